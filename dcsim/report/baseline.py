"""The change of every figure against a document that an earlier `--json` wrote."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcsim.errors import ConfigError
from dcsim.report.document import SCHEMA_VERSION, Document

UNITS = {
    "file_bytes": "bytes",
    "compression_ratio": "x",
    "test_error": "",
    "dram_bytes_per_frame": "bytes",
    "energy_pj_per_frame": "pJ",
    "average_power_watts": "W",
    "latency_s": "s",
    "latency_p95_s": "s",
    "latency_p99_s": "s",
    "deadline_misses": "",
    "cold_latency_s": "s",
    "sustainable_fps": "fps",
    "clock_hz": "Hz",
    "volts": "V",
}
CONDITIONS = ("soc", "fps", "budget", "dcsim_version")


@dataclass(frozen=True)
class Change:
    """One figure before and now, in `unit`; None where there is or was none."""

    name: str
    unit: str
    before: float | None
    now: float | None


@dataclass(frozen=True)
class Changes:
    """What has changed since a baseline.

    Attributes:
        conditions: such as `soc mobile45, now phone7nm`: what was asked is not the same.
        variants: changes of every figure by variant; none of a variant that the baseline does not have.
    """

    conditions: tuple[str, ...]
    variants: dict[str, tuple[Change, ...]]


def read_document(path: Path) -> Document:
    """A document that `dcsim check --json` wrote. Raises ConfigError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot read the baseline {path}: {reason}") from error
    if not isinstance(content, dict) or not isinstance(content.get("variants"), list) or "network" not in content:
        raise ConfigError(f"{path}: not a document that `dcsim check --json` wrote")
    if content.get("schema") != SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: a baseline of schema {content.get('schema')}, this dcsim compares with {SCHEMA_VERSION}; "
            "write it again with `dcsim check --json`"
        )
    return content


def changes(before: Document, now: Document) -> Changes:
    """Every figure of two documents of one network. Raises ConfigError when they are of different ones."""
    if before["network"] != now["network"]:
        raise ConfigError(f"the baseline is of {before['network']}, these traces are of {now['network']}")
    moved = (
        f"{key} {_word(before.get(key))}, now {_word(now[key])}" for key in CONDITIONS if before.get(key) != now[key]
    )
    try:
        old = {variant["variant"]: _figures(variant) for variant in before["variants"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"the baseline is not as `dcsim check --json` wrote it: {error}") from error
    new = {variant["variant"]: _figures(variant) for variant in now["variants"]}
    return Changes(tuple(moved), {name: _changes(old[name], figures) for name, figures in new.items() if name in old})


def _word(condition: object) -> str:
    return f"{condition:g}" if isinstance(condition, int | float) else str(condition)


def _figures(variant: dict[str, Any]) -> dict[str, tuple[str, float | None]]:
    """Unit and value of every figure of one variant; energies by component are `energy_<component>_pj`."""
    figures = {name: (unit, variant[name]) for name, unit in UNITS.items()}
    figures |= {f"energy_{name}_pj": ("pJ", pj) for name, pj in variant["energy_pj_by_component"].items()}
    figures |= {item["name"]: (item["unit"], item["found"]) for item in variant["checks"]}
    for name, (_, value) in figures.items():
        if not isinstance(value, int | float | None):
            raise TypeError(f"{name} is {value!r}")
    return figures


def _changes(old: dict[str, tuple[str, float | None]], new: dict[str, tuple[str, float | None]]) -> tuple[Change, ...]:
    return tuple(Change(name, unit, old.get(name, (unit, None))[1], now) for name, (unit, now) in new.items())

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
TEXT, NUMBER, NONE = (str,), (int, float), (type(None),)
CONDITIONS = {"soc": TEXT, "fps": NUMBER, "budget": TEXT + NONE, "dcsim_version": TEXT}
WORDS: dict[type, str] = {str: "text", int: "a number", type(None): "null", dict: "a mapping", list: "a list"}


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
        conditions: such as `soc mobile45, now phone7nm`: what was asked is not the same, or a variant not there.
        variants: changes of every figure by variant; none of a variant that the baseline does not have.
    """

    conditions: tuple[str, ...]
    variants: dict[str, tuple[Change, ...]]


def read_document(path: Path) -> Document:
    """A document that `dcsim check --json` wrote. Raises ConfigError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
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


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def changes(before: Document, now: Document) -> Changes:
    """Every figure of two documents of one network.

    Raises:
        ConfigError: they are of different ones, or the first is not what `--json` writes.
    """
    if before["network"] != now["network"]:
        raise ConfigError(f"the baseline is of {before['network']}, these traces are of {now['network']}")
    asked = {key: _field(before, key, *kinds) for key, kinds in CONDITIONS.items()}
    moved = [f"{key} {_word(was)}, now {_word(now[key])}" for key, was in asked.items() if was != now[key]]
    old, new = (
        {_field(variant, "variant", *TEXT): _figures(variant) for variant in content["variants"]}
        for content in (before, now)
    )
    absent = [f"it has no {name}, so nothing to compare with" for name in new if name not in old]
    return Changes(
        (*moved, *absent), {name: _changes(old[name], figures) for name, figures in new.items() if name in old}
    )


def _field(owner: object, name: str, *kinds: type) -> Any:
    """What a mapping holds under a name. Raises ConfigError when that is of no such kind."""
    if not isinstance(owner, dict):
        raise ConfigError(f"the baseline is not as `dcsim check --json` wrote it: expected a mapping, found {owner!r}")
    value = owner.get(name)
    if name not in owner or isinstance(value, bool) or not isinstance(value, kinds):
        expected = " or ".join(WORDS[kind] for kind in kinds if kind in WORDS)
        found = repr(value) if name in owner else "nothing"
        raise ConfigError(
            f"the baseline is not as `dcsim check --json` wrote it: {name}: expected {expected}, found {found}"
        )
    return value


def _word(condition: object) -> str:
    return f"{condition:.10g}" if isinstance(condition, int | float) else str(condition)


def _figures(variant: object) -> dict[str, tuple[str, float | None]]:
    """Unit and value of every figure of one variant; energies by component are `energy_<component>_pj`."""
    energies = _field(variant, "energy_pj_by_component", dict)
    figures = {name: (unit, _field(variant, name, *NUMBER, *NONE)) for name, unit in UNITS.items()}
    figures |= {f"energy_{name}_pj": ("pJ", _field(energies, name, *NUMBER)) for name in energies}
    for item in _field(variant, "checks", list):
        unit, found = _field(item, "unit", *TEXT), _field(item, "found", *NUMBER, *NONE)
        figures[_field(item, "name", *TEXT)] = (unit, found)
    return figures


def _changes(old: dict[str, tuple[str, float | None]], new: dict[str, tuple[str, float | None]]) -> tuple[Change, ...]:
    return tuple(Change(name, unit, old.get(name, (unit, None))[1], now) for name, (unit, now) in new.items())

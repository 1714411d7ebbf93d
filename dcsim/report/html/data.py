"""What a page holds of each run, as plain values: figures as they were simulated, and what plays with them."""

import math
from dataclasses import asdict
from typing import Any

from dcsim.config import parse_yaml
from dcsim.explore.checks import ENERGIES, FIGURES, TIMES
from dcsim.plots.roofline import layer_points
from dcsim.plots.stalls import CAUSES
from dcsim.plots.style import COLOURS, GREY, LABELS, PALE
from dcsim.report.html.whatif import (
    explicit,
    numbers,
    options,
    polynomials,
    refusals,
    static_times,
    unit_of,
)
from dcsim.report.run_folder import RunFolder, StoredVariant
from dcsim.report.schemas import meanings
from dcsim.simulation.result import RunResult
from dcsim.soc import sram
from dcsim.soc.dram_spec import BankedDram
from dcsim.soc.ledger import COMPONENTS, STATIC_COMPONENTS

Plain = dict[str, Any]

BLACK, INK = "#000000", "currentColor"  # black on a dark page would not be seen
#: parts of a chip's YAML as headings of the sliders
GROUPS = {
    "always_on_mw": "Static",
    "logic": "Static",
    "dram": "DRAM",
    "sram": "SRAM",
    "decoder": "Decoder",
    "array": "Array",
}


def page_data() -> Plain:
    """What all runs of a page share: names, colours and units."""
    return {
        "components": [{"name": name, "label": LABELS[name], "colour": _ink(COLOURS[name])} for name in COMPONENTS],
        "resources": {name: _ink(COLOURS[name]) for name in ("dram", "sram", "decoder", "array")},
        "causes": {cause: {"label": label, **_faded(colour)} for cause, (label, colour) in CAUSES.items()},
        "kinds": {
            "buffers": _ink(COLOURS["always_on"]),
            "weights": _ink(COLOURS["sram"]),
            "activations": _ink(COLOURS["sram_leakage"]),
        },
        "grey": GREY,
        "figures": {name: asdict(figure) for name, figure in FIGURES.items()},
        "energies": sorted(ENERGIES),
        "times": sorted(TIMES),
    }


def _ink(colour: str) -> str:
    return INK if colour == BLACK else colour


def _faded(colour: str) -> Plain:
    """A colour as it stands for waiting; pale on white is a trace of ink on any page."""
    return {"colour": INK, "opacity": 0.08} if colour == PALE else {"colour": _ink(colour), "opacity": 0.4}


def run_data(folder: RunFolder) -> Plain:
    """One run."""
    run = folder.run
    return {
        "name": f"{run.network} on {folder.soc.name} at {run.fps:g} fps",
        "folder": str(folder.path),
        "network": run.network,
        "soc": folder.soc.name,
        "description": folder.soc.description,
        "sram_capacity_bytes": sram.capacity_bytes(folder.soc.sram),
        "fps": run.fps,
        "gate": run.gate,
        "synthetic": run.synthetic,
        "engine": run.engine,
        "arrivals": asdict(run.arrivals),
        "deadline_s": run.deadline_s,
        "budget": _budget(folder),
        "whatif": _whatif(folder),
        "yaml": _yaml(folder),
        "variants": [_variant(stored) for stored in run.variants],
        "provenance": _provenance(folder),
    }


def _budget(folder: RunFolder) -> Plain | None:
    budget = folder.budget
    if budget is None:
        return None
    return {
        "name": budget.name,
        "description": budget.description,
        "limits": budget.limits.levels(),
        "warnings": budget.warning_levels(),
        "deadline_s": budget.deadline_s,
        "battery": budget.battery.model_dump() if budget.battery else None,
    }


def _whatif(folder: RunFolder) -> Plain:
    soc = explicit(folder.soc)
    found, counted = polynomials(soc), _counted(folder)
    used = {name: each for name, each in found.items() if name in counted or name.split("/")[0] in STATIC_COMPONENTS}
    turned = {path for each in used.values() for path in each.slopes}
    meant = _meanings(folder)
    return {
        "numbers": [
            {
                "path": path,
                "value": value,
                "unit": unit_of(path),
                "meaning": meant.get(path, ""),
                "group": GROUPS[path.split(".")[0]],
            }
            for path, value in numbers(soc).items()
            if path in turned
        ],
        "polynomials": {name: asdict(each) for name, each in used.items()},
        "times": static_times(soc),
        "refusals": refusals(soc),
        "options": options(soc),
        "idle": soc.idle.model_dump(),
        "wakes": isinstance(soc.dram, BankedDram),
        "nominal": soc.nominal.model_dump(),
        "points": [point.model_dump() for point in soc.operating_points],
        "operating_point": soc.operating_point,
    }


def _counted(folder: RunFolder) -> set[str]:
    """Events that some variant counts."""
    return {f"{row.component}/{row.action}" for stored in folder.run.variants for row in stored.result.ledger}


def _meanings(folder: RunFolder) -> dict[str, str]:
    """What the keys of the chip's file mean, by path, as the classes that read them say."""
    soc = folder.soc
    found = {"always_on_mw": meanings(type(soc)).get("always_on_mw", "")}
    parts: dict[str, Any] = {part: getattr(soc, part) for part in ("logic", "sram", "dram", "decoder", "array")}
    if isinstance(soc.dram, BankedDram):
        parts["dram.currents"] = soc.dram.currents
    for prefix, part in parts.items():
        found |= {f"{prefix}.{key}": meaning for key, meaning in meanings(type(part)).items()}
    return found


def _yaml(folder: RunFolder) -> Plain:
    """The chip's file; the line of each of its numbers by path, from 0; the line after each part at its top."""
    _, lines, _ = parse_yaml(folder.soc_text, str(folder.path))
    text = folder.soc_text.splitlines()
    tops = sorted(line - 1 for path, line in lines.items() if len(path) == 1)
    ends = dict(zip(tops, [*tops[1:], len(text)], strict=True))
    return {
        "lines": text,
        "places": {".".join(map(str, path)): line - 1 for path, line in lines.items() if path and path[0] != "sources"},
        "ends": {str(path[0]): ends[line - 1] for path, line in lines.items() if len(path) == 1},
    }


def _variant(stored: StoredVariant) -> Plain:
    result = stored.result
    array = next(use for use in result.resources if use.resource == "array")
    return {
        "name": result.variant,
        "batch": result.batch,
        "file_bytes": result.file_bytes,
        "file_sha256": result.file_sha256,
        "compression_ratio": result.compression_ratio,
        "test_error": result.test_error,
        "dram_bytes": result.dram_bytes_per_frame,
        "resident_bytes": result.resident_bytes,
        "peak_sram_bytes": result.peak_sram_bytes,
        "point": result.operating_point.model_dump(),
        "period_ps": result.period_ps,
        "service_ps": result.service_ps,
        "cold_ps": result.cold_service_ps,
        "energy_pj": result.energy_pj_per_frame,
        "waits_dram_ps": array.stall_ps.get("weights", 0),
        "queue": asdict(result.queue) if result.queue else None,
        "uncounted": any(layer.counts == "unknown" for layer in stored.weights),
        "checks": [_finite(row) for row in stored.verdict.rows()] if stored.verdict else [],
        "rows": [
            [row.layer, f"{row.component}/{row.action}", row.unit, row.count]
            for row in result.ledger
            if row.unit != "ps"
        ],
        "static_ps": _static_times(result),
        "resources": [asdict(use) for use in result.resources],
        "layers": _layers(stored),
        "roof": _roof(result),
        "sram": [asdict(part) for part in stored.sram],
        "frame": asdict(stored.frame) if stored.frame else None,
        "placement": result.placement.model_dump(mode="json"),
    }


def _finite(row: Plain) -> Plain:
    """JSON has no infinity: None, which is more than any limit allows or keeps every least."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def _static_times(result: RunResult) -> Plain:
    """Times of the DRAM in a frame, as the ledger had them [ps]."""
    rows = {row.action: row.count for row in result.ledger if row.component == "dram_background"}
    dram = next(use for use in result.resources if use.resource == "dram")
    active_ps = dram.busy_ps + sum(dram.stall_ps.values()) - dram.stall_ps.get("no_request", 0)
    return {"active_ps": active_ps, "awake_ps": rows.get("refresh", active_ps + rows.get("standby", 0))}


def _layers(stored: StoredVariant) -> list[Plain]:
    result = stored.result
    points = {name: (None if math.isinf(x) else x, y, share) for x, y, share, name in layer_points(result)}
    return [
        {
            **asdict(use),
            **{key: value for key, value in asdict(weights).items() if key != "layer"},
            "point": points.get(use.layer),
        }
        for use, weights in zip(result.layers, stored.weights, strict=True)
    ]


def _roof(result: RunResult) -> Plain:
    return {"macs_per_s": result.peak_macs_per_s, "dram_bytes_per_s": result.dram_peak_bytes_per_s}


def _provenance(folder: RunFolder) -> list[list[str]]:
    """What the run was made from: label, value."""
    run, arrivals = folder.run, folder.run.arrivals
    random = "" if arrivals.kind == "periodic" else f", seed {arrivals.seed}"
    rows = [
        ["dcsim", folder.dcsim_version],
        ["engine", run.engine],
        ["arrivals", f"{arrivals.kind}, {arrivals.n_frames:,} frames{random}"],
        ["traces", "drawn from a table of layers" if run.synthetic else "measured on real weights and inputs"],
    ]
    results = [stored.result for stored in run.variants]
    rows += [[f"{each.variant}.dcz, SHA-256", each.file_sha256] for each in results if each.file_sha256]
    inputs = {stored.input_sha256 for stored in run.variants if stored.input_sha256}
    rows += [["inputs, SHA-256", digest] for digest in sorted(inputs)]
    return rows + [[f"{name}, SHA-256", digest] for name, digest in folder.files.items()]

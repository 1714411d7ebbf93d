"""The JSON that `run`, `simulate` and `check` print. Its words are the names of the figures everywhere else."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim import __version__
from dcsim.files import written

if TYPE_CHECKING:
    from dcsim.run import RunReport
    from dcsim.simulation.result import RunResult

SCHEMA_VERSION = 3
Document = dict[str, Any]


def document(report: "RunReport") -> Document:
    """A run as plain values: what `--json` writes."""
    return {
        "schema": SCHEMA_VERSION,
        "dcsim_version": __version__,
        "network": report.network,
        "soc": report.soc,
        "fps": report.fps,
        "budget": report.budget,
        "gate": report.gate,
        "status": report.verdict.status if report.verdict else None,
        "synthetic": report.synthetic,
        "variants": [
            {
                **result.summary(),
                "fits": verdict.fits if verdict else None,
                "checks": verdict.rows() if verdict else [],
            }
            for result, verdict in zip(report.results, report.verdicts, strict=True)
        ],
    }


def write_ledger(result: "RunResult", path: Path) -> None:
    """Every row of the energy ledger as CSV. Raises OutputError."""
    with written(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["layer", "component", "action", "unit", "count", "pj_each", "energy_pj"])
        for row in result.ledger:
            writer.writerow([*vars(row).values(), row.energy_pj])


def to_json(content: object) -> str:
    """A document as text. Figures that are not numbers would be a fault, so they are refused rather than written."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"

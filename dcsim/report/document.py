"""The JSON that `run`, `simulate` and `check` print. Its words are the names of the figures everywhere else."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcsim.run import RunReport

SCHEMA_VERSION = 1


def document(report: "RunReport") -> dict[str, Any]:
    """A run as plain values: what `--json` writes."""
    return {
        "schema": SCHEMA_VERSION,
        "network": report.network,
        "soc": report.soc,
        "fps": report.fps,
        "budget": report.budget,
        "synthetic": report.synthetic,
        "variants": [
            {
                **result.summary(),
                "fits": verdict.fits if verdict else None,
                "checks": [asdict(check) for check in verdict.checks] if verdict else [],
            }
            for result, verdict in zip(report.results, report.verdicts, strict=True)
        ],
    }


def to_json(content: dict[str, Any]) -> str:
    """A document as text. Figures that are not numbers would be a fault, so they are refused rather than written."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"

"""The JSON that `run`, `simulate` and `check` print. Its words are the names of the figures everywhere else."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim import __version__
from dcsim.files import written
from dcsim.units import bytes_to_bits

if TYPE_CHECKING:
    from dcsim.artifact import CompressedModel, StoredTensor
    from dcsim.run import RunReport
    from dcsim.simulation.result import RunResult

SCHEMA_VERSION = 1


def document(report: "RunReport") -> dict[str, Any]:
    """A run as plain values: what `--json` writes."""
    return {
        "schema": SCHEMA_VERSION,
        "dcsim_version": __version__,
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


def inspection(model: "CompressedModel") -> dict[str, Any]:
    """A `.dcz` file, tensor by tensor. Raises ArtifactError when a stream does not decode."""
    return {
        "schema": SCHEMA_VERSION,
        "network": model.network,
        "variant": model.variant,
        "file_bytes": model.file_bytes,
        "header_bytes": model.header_bytes,
        "compression_ratio": model.compression_ratio,
        "tensors": [_tensor(tensor, model.file_bytes) for tensor in model.tensors],
    }


def _tensor(tensor: "StoredTensor", file_bytes: int) -> dict[str, Any]:
    n_nonzero, n_elements = tensor.n_nonzero(), tensor.n_elements
    stream_bits: dict[str, int] = {}
    for block in tensor.blocks:
        stream_bits[block.stream] = stream_bits.get(block.stream, 0) + block.n_bits
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "encoding": tensor.encoding,
        "density": n_nonzero / n_elements if n_elements else 0.0,
        "n_filler_zeros": tensor.n_entries - n_nonzero if tensor.n_entries else 0,
        "gap_bits": tensor.gap_bits,
        "n_codes": tensor.n_codes,
        "bits_per_weight": bytes_to_bits(len(tensor.payload)) / n_elements if n_elements else 0.0,
        "stored_bytes": len(tensor.payload),
        "share_of_file": len(tensor.payload) / file_bytes,
        "stream_bits": stream_bits,
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

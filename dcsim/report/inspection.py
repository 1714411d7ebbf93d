"""What a `.dcz` file holds: the document of `dcsim inspect --json`, and its tables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table

from dcsim.codec import huffman
from dcsim.report.tables import percent
from dcsim.units import bits_to_bytes, bytes_to_bits

if TYPE_CHECKING:
    from dcsim.artifact import CompressedModel, StoredTensor

SCHEMA_VERSION = 1
LEFT_ALIGNED = ("tensor", "shape", "encoding", "scan", "part")


def inspection(model: "CompressedModel") -> dict[str, Any]:
    """A `.dcz` file, tensor by tensor and part by part. Raises ArtifactError when a stream does not decode.

    `streams` gives, for every part of a payload, symbols, bits, bytes and share of the file, and for codes and gaps the
    entropy: the bits a symbol takes at least when it is coded for itself.
    """
    tensors = [_tensor(tensor, model.file_bytes) for tensor in model.tensors]
    stored_bytes: dict[str, int] = {}
    for tensor in tensors:
        for stream, part in tensor["streams"].items():
            stored_bytes[stream] = stored_bytes.get(stream, 0) + part["stored_bytes"]
    stored_bytes["directory"] = model.header_bytes
    return {
        "schema": SCHEMA_VERSION,
        "network": model.network,
        "variant": model.variant,
        "file_bytes": model.file_bytes,
        "header_bytes": model.header_bytes,
        "compression_ratio": model.compression_ratio,
        "share_of_file": {stream: n_bytes / model.file_bytes for stream, n_bytes in stored_bytes.items()},
        "tensors": tensors,
    }


def _tensor(tensor: "StoredTensor", file_bytes: int) -> dict[str, Any]:
    n_nonzero, n_elements = tensor.n_nonzero(), tensor.n_elements
    n_live_rows, n_live_columns = tensor.layout.live_shape(tensor.shape)
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "encoding": tensor.encoding,
        "scan": tensor.layout.scan,
        "n_live_rows": n_live_rows,
        "n_live_columns": n_live_columns,
        "density": n_nonzero / n_elements if n_elements else 0.0,
        "n_entries": tensor.n_entries,
        "n_filler_zeros": tensor.n_entries - n_nonzero if tensor.is_sparse else 0,
        "gap_bits": tensor.gap_bits,
        "n_codes": tensor.n_codes,
        "bits_per_weight": bytes_to_bits(len(tensor.payload)) / n_elements if n_elements else 0.0,
        "stored_bytes": len(tensor.payload),
        "share_of_file": len(tensor.payload) / file_bytes,
        "streams": _streams(tensor, file_bytes),
    }


def _streams(tensor: "StoredTensor", file_bytes: int) -> dict[str, dict[str, Any]]:
    streams: dict[str, dict[str, Any]] = {}
    for block in tensor.blocks:
        part = streams.setdefault(block.stream, {"n_blocks": 0, "n_symbols": 0, "n_bits": 0, "stored_bytes": 0})
        part["n_blocks"] += 1
        part["n_symbols"] += block.n_symbols
        part["n_bits"] += block.n_bits
        part["stored_bytes"] += bits_to_bytes(block.n_bits)
    for part in streams.values():
        part["share_of_file"] = part["stored_bytes"] / file_bytes
        part["bits_per_symbol"] = part["n_bits"] / part["n_symbols"] if part["n_symbols"] else 0.0
    if "gaps" in streams:
        streams["gaps"]["entropy_bits_per_symbol"] = _entropy(tensor.gaps(), 1 << tensor.gap_bits)
    if "codes" in streams:
        streams["codes"]["entropy_bits_per_symbol"] = _entropy(tensor.codes(), tensor.n_codes)
    return streams


def _entropy(symbols: npt.NDArray[np.integer], n_alphabet: int) -> float:
    """Bits a symbol by how often each occurs (Shannon, Bell System Technical Journal 27, 1948)."""
    counts = huffman.count(symbols, n_alphabet)
    shares = counts[counts > 0] / max(1, len(symbols))
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def inspect_tables(content: Mapping[str, Any]) -> Group:
    """A `.dcz` file, tensor by tensor and as a whole, from the document of `inspection`."""
    title = (
        f"{content['network']}, {content['variant']}: {content['file_bytes']:,} bytes, "
        f"{content['compression_ratio']:.1f}x, directory {content['header_bytes']} bytes"
    )
    tensors = _table(title, "tensor", "shape", "encoding", "scan", "density", "fillers", "codes", "bits/code (entropy)",
                     "gap bits", "bits/gap (entropy)", "bits/weight", "bytes", "share")  # fmt: skip
    for row in content["tensors"]:
        sparse = "gaps" in row["streams"]
        tensors.add_row(
            row["name"],
            "x".join(map(str, row["shape"])),
            row["encoding"],
            row["scan"] if sparse else "-",
            percent(row["density"], 1),
            f"{row['n_filler_zeros']:,}" if sparse else "-",
            str(row["n_codes"] or "-"),
            _rate(row, "codes"),
            str(row["gap_bits"]) if sparse else "-",
            _rate(row, "gaps"),
            f"{row['bits_per_weight']:.3f}",
            f"{row['stored_bytes']:,}",
            percent(row["share_of_file"], 1),
        )
    parts = _table("share of the file", *content["share_of_file"])
    parts.add_row(*(percent(share, 1) for share in content["share_of_file"].values()))
    return Group(tensors, "", parts)


def _rate(row: Mapping[str, Any], stream: str) -> str:
    part = row["streams"].get(stream)
    return f"{part['bits_per_symbol']:.3f} ({part['entropy_bits_per_symbol']:.3f})" if part else "-"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2))
    for name in columns:
        table.add_column(name, justify="left" if name in LEFT_ALIGNED else "right", no_wrap=True)
    return table

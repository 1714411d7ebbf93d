"""Writes the golden files again: `.venv/bin/python -m tests.golden.regenerate`. Look at the difference first.

* `tiny-<variant>.dcz`: the weights of `tiny_weights`, packed; `tiny-layouts.dcz`: sliced scans, live units as counts and
  bitmaps, and a codebook that two tensors share. They pin the bytes of the format.
* `<network>-<soc>.json`: what `run` finds at 20 fps for a phone, from the traces under models/. They pin the physics.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.artifact import VARIANTS, CompressedModel, Floats, Layout, Live, pack, pack_tensor
from dcsim.report.document import document
from dcsim.run import run
from tests.networks import shares_codebook

FOLDER = Path(__file__).parent
TINY = (*VARIANTS, "layouts")
RUNS = tuple(
    (network, soc) for network in ("lenet-300-100", "lenet-5", "one-billion") for soc in ("paper45", "mobile45")
)


def tiny_weights() -> dict[str, Floats]:
    """A convolution, a sparse matrix with few values, a bias; no random generator whose stream could change."""
    ramp = np.arange(2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3) / 8 - 3
    matrix = ((np.arange(40 * 30) * 7919) % 1201).reshape(40, 30)
    sparse = np.where(matrix < 100, (matrix % 7 - 3) / 4, 0).astype(np.float32)
    return {"conv.weight": ramp, "fc.weight": sparse, "fc.bias": np.arange(40, dtype=np.float32) / 3}


def tiny(name: Any) -> CompressedModel:
    """The golden model of one variant, or the one with all that `pack` does not choose by itself."""
    return tiny_layouts() if name == "layouts" else pack("tiny", name, tiny_weights())


def tiny_layouts() -> CompressedModel:
    """A tensor for every sliced scan and kind of live units; the last two use the codebook of the first."""
    values = tiny_weights()["fc.weight"]
    filters = np.where(np.arange(18).reshape(6, 3) % 4 > 0, np.float32(0.1), 0).reshape(6, 3, 1, 1).repeat(4, 2)
    filters[::3] = filters[:, 1] = 0
    codes = (np.arange(12 * 10) * 31 % 113).reshape(12, 10)
    codes = np.where(codes < 7, codes, 0)
    rows, columns = Live.of(np.arange(6) % 3 > 0), Live.of(np.arange(3) != 1, 4)
    owner = pack_tensor("fc1.weight", values, "huffman", gap_bits=3, layout=Layout("per-pe", 4))
    return CompressedModel(
        "layouts",
        "huffman",
        (
            owner,
            pack_tensor("fc1.bias", np.arange(10, dtype=np.float32) / 4, "huffman"),
            pack_tensor("conv.weight", filters, "shared", gap_bits=1, layout=Layout("columns", 1, rows, columns)),
            pack_tensor("conv.bias", np.arange(6, dtype=np.float32) / 3, "huffman"),
            shares_codebook("fc2.weight", codes, owner, 0.75, "huffman", Layout("per-row"), 5),
            shares_codebook(
                "fc3.weight", codes.T, owner, -0.1, "shared", Layout("rows", 1, None, Live.of(np.arange(12) < 9)), 0
            ),
        ),
    )


def found(network: str, soc: str) -> dict[str, Any]:
    """The document of one run, without the version, which changes by itself."""
    variants = VARIANTS[1:] if network == "one-billion" else VARIANTS
    content = document(run(network, soc, 20, "phone", variants=variants))
    del content["dcsim_version"]
    return content


if __name__ == "__main__":
    for name in TINY:
        tiny(name).save(FOLDER / f"tiny-{name}.dcz")
    for network_name, soc_name in RUNS:
        text = json.dumps(found(network_name, soc_name), indent=1)
        (FOLDER / f"{network_name}-{soc_name}.json").write_text(text + "\n")

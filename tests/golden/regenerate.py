"""Writes the golden files again: `.venv/bin/python -m tests.golden.regenerate`. Look at the difference first.

* `tiny-<variant>.dcz`: the weights of `tiny_weights`, packed. They pin the bytes of the format.
* `<network>-<soc>.json`: what `run` finds at 20 fps for a phone, from the traces under models/. They pin the physics.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.artifact import VARIANTS, CompressedModel, Floats, pack
from dcsim.report.document import document
from dcsim.run import run

FOLDER = Path(__file__).parent
RUNS = tuple(
    (network, soc) for network in ("lenet-300-100", "lenet-5", "one-billion") for soc in ("paper45", "mobile45")
)


def tiny_weights() -> dict[str, Floats]:
    """A convolution, a sparse matrix with few values, a bias; no random generator whose stream could change."""
    ramp = np.arange(2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3) / 8 - 3
    matrix = ((np.arange(40 * 30) * 7919) % 1201).reshape(40, 30)
    sparse = np.where(matrix < 100, (matrix % 7 - 3) / 4, 0).astype(np.float32)
    return {"conv.weight": ramp, "fc.weight": sparse, "fc.bias": np.arange(40, dtype=np.float32) / 3}


def tiny(variant: Any) -> CompressedModel:
    """The golden model of one variant."""
    return pack("tiny", variant, tiny_weights())


def found(network: str, soc: str) -> dict[str, Any]:
    """The document of one run, without the version, which changes by itself."""
    variants = VARIANTS[1:] if network == "one-billion" else VARIANTS
    content = document(run(network, soc, 20, "phone", variants=variants))
    del content["dcsim_version"]
    return content


if __name__ == "__main__":
    for name in VARIANTS:
        tiny(name).save(FOLDER / f"tiny-{name}.dcz")
    for network_name, soc_name in RUNS:
        text = json.dumps(found(network_name, soc_name), indent=1)
        (FOLDER / f"{network_name}-{soc_name}.json").write_text(text + "\n")

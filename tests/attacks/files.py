"""Files that are right, to be damaged or forged."""

import numpy as np

from dcsim.artifact import pack
from dcsim.artifact.dcz import SECTION_BYTES
from tests.golden.regenerate import TINY, tiny
from tests.networks import linked

#: together they have every encoding, scan and kind of live units, and codebooks of their own and of others
SMALL = {name: tiny(name).content for name in TINY if name != "dense"} | {"linked": linked().content}


def large_file() -> bytes:
    """Four sections: three tensors of one each, and one that two tensors share."""
    values = np.random.default_rng(0).normal(size=(5, SECTION_BYTES // 4)).astype(np.float32)
    return pack(
        "net", "dense", dict(zip("abc", values, strict=False)) | {"d": values[3, :9], "e": values[4, :9]}
    ).content

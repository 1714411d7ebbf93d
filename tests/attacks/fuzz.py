"""Does every altered file end in a decoded model or a typed error? `make fuzz`, a million files and more.

Coverage leads the fuzzer (atheris, which is libFuzzer) from the files of the golden tests and a few others to ever new
ones. A third of its alterations leave checksums as they are; the others make them right again, as an attacker would, so
that the parser, the code tables and the streams see them. Compiled kernels check the bounds of their arrays here.
What breaks a rule below is kept by libFuzzer as `crash-*`: add it to the tests, then mend it.
"""

import math
import os
import random
import struct
import sys
import tempfile
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

os.environ["NUMBA_BOUNDSCHECK"] = "1"
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="dcsim-fuzz-")  # not among the kernels without checks

import atheris
import numpy as np

PARSERS = ["dcsim.artifact", "dcsim.codec.code_table", "dcsim.codec.fixed_width", "dcsim.codec.huffman",
           "dcsim.codec.relative_index", "dcsim.codec.varint"]  # fmt: skip
KERNELS = ["dcsim.codec.bit_kernels", "dcsim.codec.huffman_kernels", "dcsim.codec.relative_index_kernels"]
with atheris.instrument_imports(include=PARSERS, exclude=KERNELS):
    from dcsim.artifact import VARIANTS, CompressedModel, pack, repack
    from dcsim.errors import ArtifactError
    from tests.attacks.forging import opened, sealed
    from tests.golden.regenerate import TINY, tiny
    from tests.networks import linked, network

MAX_FILE_BYTES = 1 << 13
MAX_DECODED_ELEMENTS = 1 << 20  # what a file of zeros may claim takes this long and no longer
READ_ALLOWANCE_BYTES = 1 << 20  # for reading: records, names, code tables of 2^16 gaps
DECODE_ALLOWANCE_BYTES = 2 << 20  # for decoding beyond twice the declared size: look-up tables
SHARE_MEASURED = 16  # memory is measured for one file of so many, for that takes long
FP32_BYTES = 4

outcomes: Counter[str] = Counter()


def examine(content: bytes) -> str:
    """The outcome of one file, in a word. Any error but ArtifactError, and any broken rule, is a finding."""
    is_measured = zlib.crc32(content) % SHARE_MEASURED == 0
    if is_measured:
        tracemalloc.start()
    try:
        model = CompressedModel.from_bytes(content)
        n_elements = sum(tensor.n_elements for tensor in model.tensors)
        if is_measured:
            assert tracemalloc.get_traced_memory()[1] < READ_ALLOWANCE_BYTES + 8 * len(content)
        if n_elements > MAX_DECODED_ELEMENTS:
            return "read"
        decoded = model.decode()
        if is_measured:
            allowed = 2 * FP32_BYTES * n_elements + READ_ALLOWANCE_BYTES + DECODE_ALLOWANCE_BYTES
            assert tracemalloc.get_traced_memory()[1] < allowed
    except ArtifactError as error:
        return type(error).__name__
    finally:
        tracemalloc.stop()
    assert sealed(*opened(content)) == content, "accepted, yet a checksum is wrong"
    for tensor in model.tensors:
        values = decoded[tensor.name]
        assert values.shape == tensor.shape
        assert np.isfinite(values).all()
        assert tensor.n_nonzero() == np.count_nonzero(values)
        assert sum(math.ceil(block.n_bits / 8) for block in tensor.blocks) == len(tensor.payload)
    if is_measured:
        for same in (CompressedModel.from_bytes(model.content), repack(model, model.variant)):
            again = same.decode()
            assert all(np.array_equal(again[name], values) for name, values in decoded.items())
    return "decoded"


def alter(content: bytes, max_bytes: int, seed: int) -> bytes:
    """Another file near this one."""
    kind = random.Random(seed).randrange(3)
    try:
        directory, payloads = opened(content)
        if kind == 1:
            return sealed(atheris.Mutate(directory, max_bytes - len(payloads) - 20), payloads)
        if kind == 2:
            return sealed(directory, atheris.Mutate(payloads, max_bytes - len(directory) - 20))
    except (struct.error, ValueError):
        pass  # not a file that can be opened: altered as it is
    return bytes(atheris.Mutate(content, max_bytes))


def try_one(content: bytes) -> None:
    outcomes[examine(content)] += 1
    if outcomes.total() % 100_000 == 0:
        counted = ", ".join(f"{n:,} {name}" for name, n in outcomes.most_common())
        print(f"{outcomes.total():,} files: {counted}", file=sys.stderr, flush=True)


def seeds() -> list[bytes]:
    """Files of every variant, encoding, scan and kind of live units."""
    kinds = network()
    small = [pack("net", variant, {name: kinds[name]}).content for variant in VARIANTS for name in kinds]
    files = [*(tiny(name).content for name in TINY), linked().content, *small]
    return sorted({content for content in files if len(content) < MAX_FILE_BYTES})


def main() -> None:
    with tempfile.TemporaryDirectory() as corpus:
        for index, content in enumerate(seeds()):
            (Path(corpus) / f"{index:03}").write_bytes(content)
        options = [f"-max_len={MAX_FILE_BYTES}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[1:], corpus], try_one, custom_mutator=alter)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

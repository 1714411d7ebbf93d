"""Do all weights come back from all variants, and does no bytes string ever do anything but decode or be refused?"""

import zlib

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dcsim.artifact import VARIANTS, CompressedModel, Floats, Variant, pack, repack
from dcsim.artifact.dcz import MAGIC, PREFIX
from dcsim.artifact.tensor import total_payload_bytes
from dcsim.errors import ArtifactError

laws = settings(max_examples=100, deadline=None)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)  # no negative zero
shapes = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7)
any_values = arrays(np.float32, shapes, elements=floats)
palettes = st.lists(floats, min_size=1, max_size=6).map(lambda values: [0.0] * 4 + values)
few_values = palettes.flatmap(lambda palette: arrays(np.float32, shapes, elements=st.sampled_from(palette)))
variants = st.sampled_from(VARIANTS)


@st.composite
def long_sparse(draw: st.DrawFn) -> Floats:
    """Matrices with runs of zeros that need fillers."""
    n_rows, n_columns = draw(st.integers(1, 40)), draw(st.integers(1, 60))
    values = np.zeros((n_rows, n_columns), np.float32)
    chosen = draw(st.lists(st.integers(0, values.size - 1), max_size=30))
    values.flat[chosen] = draw(st.sampled_from([0.5, 0.1, -3.0]))
    return values


tensors = any_values | few_values | long_sparse()


@laws
@given(st.lists(tensors, max_size=3), variants, st.sampled_from([*range(1, 13), "auto"]))
def test_weights_come_back_bit_for_bit(values: list[Floats], variant: Variant, gap_bits: int) -> None:
    weights = {f"tensor {index}": array for index, array in enumerate(values)}
    model = pack("net", variant, weights, dict.fromkeys(weights, gap_bits))
    read = CompressedModel.from_bytes(model.content)
    assert read.content == model.content
    assert {name: array.tobytes() for name, array in read.decode().items()} == {
        name: array.tobytes() for name, array in weights.items()
    }
    assert all(array.shape == weights[name].shape for name, array in read.decode().items())
    for tensor in read.tensors:
        assert total_payload_bytes(tensor.blocks) == len(tensor.payload)
        assert tensor.n_nonzero() == np.count_nonzero(weights[tensor.name])


@laws
@given(long_sparse())
def test_no_variant_is_larger_than_the_one_before_nor_auto_than_any_width(values: Floats) -> None:
    weights = {"w": values}
    payloads = [len(pack("net", variant, weights).tensors[0].payload) for variant in VARIANTS]
    assert payloads == sorted(payloads, reverse=True)
    for variant, auto in zip(VARIANTS[1:], payloads[1:], strict=True):
        assert auto == min(len(pack("net", variant, weights, {"w": bits}).tensors[0].payload) for bits in range(1, 9))


@laws
@given(long_sparse(), variants, variants)
def test_repacking_loses_nothing(values: Floats, first: Variant, second: Variant) -> None:
    model = pack("net", first, {"w": values})
    assert repack(model, second).content == pack("net", second, {"w": values}).content


EXAMPLE = pack(
    "net",
    "huffman",
    {
        "h": np.resize(np.float32([0, 0, 0.1, 0, 0.1, 0.2, 0, 0, 0, 0.3]), (30, 30)),
        "p": np.diag(np.arange(1, 13, dtype=np.float32) / 7),
        "b": np.float32([1, 2]),
    },
).content


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(EXAMPLE) - 1 - PREFIX.size), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_forged_file_is_refused_or_decoded(changes: list[tuple[int, int]]) -> None:
    """Bytes are altered and every checksum is made right again, as an attacker would."""
    _, header_bytes, _ = PREFIX.unpack_from(EXAMPLE)
    body = bytearray(EXAMPLE[PREFIX.size :])
    for at, value in changes:
        body[at] = value
    header = with_right_checksums(bytes(body[:header_bytes]), bytes(body[header_bytes:]))
    forged = PREFIX.pack(MAGIC, len(header), zlib.crc32(header)) + header + bytes(body[header_bytes:])
    try:
        model = CompressedModel.from_bytes(forged)
        assume(all(tensor.n_elements < 10**6 for tensor in model.tensors))
        decoded = model.decode()
    except ArtifactError:
        return
    assert all(decoded[tensor.name].shape == tensor.shape for tensor in model.tensors)


def with_right_checksums(header: bytes, payloads: bytes) -> bytes:
    """The header with the checksums of the payloads as they are now, where they stand in the example."""
    original = CompressedModel.from_bytes(EXAMPLE)
    start = 0
    for tensor in original.tensors:
        end = start + len(tensor.payload)
        old, new = zlib.crc32(tensor.payload), zlib.crc32(payloads[start:end])
        header = header.replace(old.to_bytes(4, "little"), new.to_bytes(4, "little"))
        start = end
    return header


@laws
@given(st.binary(max_size=60))
def test_a_header_of_random_bytes_is_refused_or_read(header: bytes) -> None:
    content = PREFIX.pack(MAGIC, len(header), zlib.crc32(header)) + header
    try:
        model = CompressedModel.from_bytes(content)
    except ArtifactError:
        return
    assert model.header_bytes == len(content)

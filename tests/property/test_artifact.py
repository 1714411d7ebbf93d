"""Do all weights come back from all variants, and does no bytes string ever do anything but decode or be refused?"""

import io

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dcsim.artifact import VARIANTS, CompressedModel, DczWriter, Floats, GapBits, Layout, Live, Variant, pack, repack
from dcsim.artifact.layout import SCANS, find_dead, matrix_shape
from dcsim.artifact.packing import pack_tensor
from dcsim.artifact.tensor import ENCODINGS
from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.errors import ArtifactError
from tests.attacks.forging import sealed, sealed_again
from tests.networks import linked, shares_codebook, total_payload_bytes

#: widths are compared without what fills up the last byte of either stream, and without the number of entries
ROUNDING_BYTES = 3
laws = settings(max_examples=100, deadline=None)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)  # no negative zero
shapes = array_shapes(min_dims=0, max_dims=8, min_side=0, max_side=4) | array_shapes(max_dims=4, max_side=7)
any_values = arrays(np.float32, shapes, elements=floats)
palettes = st.lists(floats, min_size=1, max_size=6).map(lambda values: [0.0] * 4 + values)
few_values = palettes.flatmap(lambda palette: arrays(np.float32, shapes, elements=st.sampled_from(palette)))
variants = st.sampled_from(VARIANTS)
gap_widths = st.sampled_from([*range(MAX_GAP_BITS + 1), "auto"])
#: like those of layers, with dots, shared starts, endings and any letters
names = st.lists(
    st.lists(
        st.sampled_from(["conv", "1", "weight", "bias", "running_mean", "ö", ""]) | st.text(max_size=4), max_size=4
    )
    .map(".".join)
    .filter(lambda name: name.isprintable()),
    unique=True,
    max_size=6,
)


@st.composite
def long_sparse(draw: st.DrawFn) -> Floats:
    """Matrices with runs of zeros that need fillers."""
    n_rows, n_columns = draw(st.integers(1, 40)), draw(st.integers(1, 60))
    values = np.zeros((n_rows, n_columns), np.float32)
    chosen = draw(st.lists(st.integers(0, values.size - 1), max_size=30))
    values.flat[chosen] = draw(st.sampled_from([0.5, 0.1, -3.0]))
    return values


@st.composite
def layouts(draw: st.DrawFn, values: Floats) -> Layout:
    """Any scan, and on either side no live units, exactly those that live, or some that do not."""
    sides: list[Live | None] = []
    for size, found in zip(matrix_shape(values.shape), find_dead(values), strict=True):
        dead_too = Live.of(found.elements() | (np.arange(size) < size // 2)) if found else None
        sides.append(draw(st.sampled_from([None, found, dead_too])))
    return Layout(draw(st.sampled_from(SCANS)), draw(st.integers(1, 9)), *sides)


tensors = any_values | few_values | long_sparse()


def same_bits(found: dict[str, Floats], expected: dict[str, Floats]) -> bool:
    return [(name, array.shape, array.tobytes()) for name, array in found.items()] == [
        (name, array.shape, array.tobytes()) for name, array in expected.items()
    ]


@laws
@given(st.data(), st.lists(tensors, max_size=3), variants, gap_widths)
def test_weights_come_back_bit_for_bit(
    data: st.DataObject, values: list[Floats], variant: Variant, gap_bits: GapBits
) -> None:
    weights = {f"tensor {index}": array for index, array in enumerate(values)}
    chosen = {name: data.draw(layouts(array)) for name, array in weights.items() if data.draw(st.booleans())}
    model = pack("net", variant, weights, dict.fromkeys(weights, gap_bits), chosen)
    read = CompressedModel.from_bytes(model.content)
    assert read.content == model.content
    assert same_bits(read.decode(), weights)
    for tensor in read.tensors:
        assert total_payload_bytes(tensor.blocks) == len(tensor.payload)
        assert tensor.n_nonzero() == np.count_nonzero(weights[tensor.name])


@laws
@given(long_sparse())
def test_no_variant_is_larger_than_the_one_before_nor_auto_than_any_width(values: Floats) -> None:
    weights = {"w": values}
    sizes = [pack("net", variant, weights).file_bytes for variant in VARIANTS]
    assert sizes == sorted(sizes, reverse=True)
    for variant, auto in zip(VARIANTS[1:], sizes[1:], strict=True):
        fixed = [pack("net", variant, weights, {"w": bits}).file_bytes for bits in range(9)]
        assert auto <= min(fixed) + ROUNDING_BYTES


@laws
@given(long_sparse(), variants, variants)
def test_repacking_loses_nothing(values: Floats, first: Variant, second: Variant) -> None:
    model = pack("net", first, {"w": values})
    assert repack(model, second).content == pack("net", second, {"w": values}).content


@laws
@given(names)
def test_any_names_come_back_in_any_order(chosen: list[str]) -> None:
    weights = {name: np.float32([index]) for index, name in enumerate(chosen)}
    assert same_bits(CompressedModel.from_bytes(pack("net", "dense", weights).content).decode(), weights)


OWNER = linked().tensors[0]
code_arrays = arrays(
    np.int64, array_shapes(min_dims=2, max_dims=4, max_side=9), elements=st.integers(0, OWNER.n_codes - 1)
)


@laws
@given(st.data(), code_arrays, floats.filter(lambda scale: abs(scale) < 1e30), gap_widths)
def test_a_shared_codebook_times_a_scale_comes_back(
    data: st.DataObject, codes: np.ndarray, scale: float, gap_bits: GapBits
) -> None:
    layout = data.draw(layouts(codes.astype(np.float32)))
    encoding = data.draw(st.sampled_from(ENCODINGS[3:]))
    tensor = shares_codebook("w", codes, OWNER, scale, encoding, layout, gap_bits)
    model = CompressedModel("net", "huffman", (OWNER, tensor))
    with np.errstate(under="ignore"):
        expected = (OWNER.codebook * np.float32(scale))[codes]
    assume(expected[codes > 0].all())  # a value that underflows cannot be told from a filler
    assert np.array_equal(CompressedModel.from_bytes(model.content).decode()["w"], expected)


@laws
@given(st.lists(st.integers(0, 40_000), max_size=12), variants)
def test_tensors_one_by_one_make_the_same_file(sizes: list[int], variant: Variant) -> None:
    weights = {str(index): np.arange(size, dtype=np.float32) for index, size in enumerate(sizes)}
    stream = io.BytesIO()
    writer = DczWriter(stream, "net", variant)
    for name, values in weights.items():
        writer.add(pack_tensor(name, values, variant))
    writer.finish()
    model = pack("net", variant, weights)
    assert stream.getvalue() == model.content
    assert same_bits(CompressedModel.from_bytes(model.content).decode(), weights)


EXAMPLE = linked().content


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(4, len(EXAMPLE) - 9), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_forged_file_is_refused_or_decoded(changes: list[tuple[int, int]]) -> None:
    """Bytes are altered and every checksum is made right again, as an attacker would."""
    forged = bytearray(EXAMPLE)
    for at, value in changes:
        forged[at] = value
    try:
        model = CompressedModel.from_bytes(sealed_again(bytes(forged)))
        assume(all(tensor.n_elements < 10**6 for tensor in model.tensors))
        decoded = model.decode()
    except ArtifactError:
        return
    assert all(decoded[tensor.name].shape == tensor.shape for tensor in model.tensors)


@laws
@given(st.binary(max_size=60), st.binary(max_size=20))
def test_a_directory_of_random_bytes_is_refused_or_read(directory: bytes, payloads: bytes) -> None:
    content = sealed(directory, payloads)
    try:
        model = CompressedModel.from_bytes(content)
    except ArtifactError:
        return
    assert model.header_bytes == len(content) - len(payloads)


@laws
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(content: bytes) -> None:
    for start in (b"", b"DCZ2"):
        try:
            CompressedModel.from_bytes(start + content)
        except ArtifactError:
            continue
        raise AssertionError("random bytes were read as a file")

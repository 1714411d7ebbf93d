"""Does a `.dcz` file hold exactly the weights, in the smallest encoding its variant permits?"""

import io
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dcsim.artifact import (
    VARIANTS,
    CompressedModel,
    DczWriter,
    Floats,
    Layout,
    Live,
    StoredTensor,
    Variant,
    pack,
    pack_tensor,
    repack,
)
from dcsim.artifact.dcz import SECTION_BYTES
from dcsim.artifact.layout import SCANS, find_dead
from dcsim.codec import code_table
from dcsim.codec.huffman import BLOCK_SYMBOLS, N_STREAMS
from dcsim.codec.relative_index import MAX_GAP_BITS
from dcsim.errors import ArtifactError, NotADczError, OutputError, TruncatedError
from dcsim.units import BITS_PER_BYTE, bytes_to_bits
from tests.networks import (
    layouts,
    lenet5_like,
    linked,
    network,
    shares_codebook,
    some_codes,
    sparse,
    total_payload_bytes,
    with_dead_ends,
    with_dead_units,
)

PERMITTED = {
    "dense": {"fp32"},
    "pruned": {"fp32", "fp16", "pruned"},
    "shared": {"fp32", "fp16", "pruned", "shared"},
    "huffman": {"fp32", "fp16", "pruned", "shared", "huffman"},
}


def read_back(model: CompressedModel) -> dict[str, Floats]:
    return CompressedModel.from_bytes(model.content).decode()


def assert_same_bits(found: dict[str, Floats], expected: dict[str, Floats]) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert (found[name].shape, found[name].dtype) == (values.shape, np.float32), name
        assert found[name].tobytes() == values.tobytes(), name


def only(model: CompressedModel) -> StoredTensor:
    (tensor,) = model.tensors
    return tensor


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_tensor_comes_back_bit_for_bit(variant: Variant) -> None:
    assert_same_bits(read_back(pack("net", variant, network())), network())


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("gap_bits", range(MAX_GAP_BITS + 1))
def test_every_layout_and_gap_width_comes_back_bit_for_bit(variant: Variant, gap_bits: int) -> None:
    for values in (with_dead_units(9, 8, 3, 3), with_dead_ends(20, 15), sparse(13, 7, density=0.2)):
        for layout in layouts(values):
            model = pack("net", variant, {"w": values}, {"w": gap_bits}, {"w": layout})
            read = CompressedModel.from_bytes(model.content)
            assert read.content == model.content
            assert_same_bits(read.decode(), {"w": values})


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("gap_bits", [0, 1, 4, 9, 16])
@pytest.mark.parametrize("scan", SCANS)
def test_a_chosen_layout_and_gap_width_are_kept(variant: Variant, gap_bits: int, scan: str) -> None:
    values = with_dead_units(80, 60)
    (layout,) = (one for one in layouts(values) if one.scan == scan and one.live_rows and one.live_columns)
    tensor = only(
        CompressedModel.from_bytes(pack("net", variant, {"w": values}, {"w": gap_bits}, {"w": layout}).content)
    )
    assert (tensor.encoding, tensor.gap_bits, tensor.layout.scan) == (variant, gap_bits, scan)
    assert tensor.layout.n_pes == (3 if scan == "per-pe" else 1)
    for found, chosen in (
        (tensor.layout.live_rows, layout.live_rows),
        (tensor.layout.live_columns, layout.live_columns),
    ):
        assert found is not None
        assert chosen is not None
        assert (found.unit, found.mask.tolist()) == (chosen.unit, chosen.mask.tolist())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(40, 50), (2000,)])
def test_a_negative_zero_becomes_zero_in_every_variant(variant: Variant, shape: tuple[int, ...]) -> None:
    weights = {"w": sparse(*shape)}
    signed = weights["w"].copy()
    signed[weights["w"] == 0] = -0.0
    model = pack("net", variant, {"w": signed})
    assert_same_bits(read_back(model), weights)
    assert model.content == pack("net", variant, weights).content


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(40, 50), (2000,)])
def test_values_beyond_fp16_are_stored_without_a_warning(variant: Variant, shape: tuple[int, ...]) -> None:
    values = sparse(*shape) * np.float32(1e6)
    assert_same_bits(read_back(pack("net", variant, {"w": values})), {"w": values})


@pytest.mark.parametrize("variant", VARIANTS)
def test_memory_layout_of_the_source_does_not_matter(variant: Variant) -> None:
    values = sparse(40, 50)
    for same in (values.T.copy().T, np.repeat(values, 2, axis=1)[:, ::2], values.astype(">f4"), values.astype(float)):
        assert pack("net", variant, {"w": same}).content == pack("net", variant, {"w": values}).content


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_uses_only_the_encodings_it_permits(variant: Variant) -> None:
    used = {tensor.encoding for tensor in pack("net", variant, network()).tensors}
    assert variant == "dense" or variant in used
    assert used <= PERMITTED[variant]


def test_a_later_variant_is_never_larger() -> None:
    sizes = [[len(tensor.payload) for tensor in pack("net", variant, network()).tensors] for variant in VARIANTS]
    for before, after in pairwise(sizes):
        assert all(b >= a for b, a in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        ([0.5, -1.25, 65504, 2.0**-24, 0], "fp16"),
        ([0.5, 0.1], "fp32"),
        ([2049], "fp32"),
        ([2.0**-25], "fp32"),
    ],
)
def test_a_bias_is_fp16_only_where_that_is_exact(values: list[float], encoding: str) -> None:
    bias = np.array(values, np.float32)
    for variant in VARIANTS[1:]:
        model = pack("net", variant, {"b": bias})
        assert only(model).encoding == encoding
        assert_same_bits(model.decode(), {"b": bias})
    assert only(pack("net", "dense", {"b": bias})).encoding == "fp32"


def test_a_vector_is_sparse_or_shared_where_that_pays_its_longer_record() -> None:
    values = {"b": sparse(2000, density=0.01)}
    models = [pack("net", variant, values) for variant in VARIANTS]
    assert [only(model).encoding for model in models] == ["fp32", "pruned", "shared", "shared"]
    for model in models:
        assert_same_bits(read_back(model), values)
    short = {"b": np.float32([0.1, 0, 0.2])}
    assert {only(pack("net", variant, short)).encoding for variant in VARIANTS} == {"fp32"}


def test_a_dense_matrix_is_fp16_where_that_is_exact_and_smallest() -> None:
    halves = np.arange(2000, dtype=np.float32).reshape(40, 50)
    assert {only(pack("net", variant, {"w": halves})).encoding for variant in VARIANTS[1:]} == {"fp16"}
    assert_same_bits(read_back(pack("net", "huffman", {"w": halves})), {"w": halves})


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_a_gap_width_of_one_tensor_leaves_the_others_alone(variant: Variant) -> None:
    weights = {"w": sparse(200, 300), "other": sparse(60, 80)}
    model = pack("net", variant, weights, {"w": 11})
    assert model.tensors[0].gap_bits == 11
    assert model.tensors[1].gap_bits == only(pack("net", variant, {"other": weights["other"]})).gap_bits


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("density", [0.01, 0.08, 0.3, 0.9])
def test_the_automatic_gap_width_is_the_best_one(variant: Variant, density: float) -> None:
    weights = {"w": sparse(60, 80, density=density)}
    fixed = [pack("net", variant, weights, {"w": bits}).file_bytes for bits in range(MAX_GAP_BITS + 1)]
    automatic = pack("net", variant, weights, {"w": "auto"}).file_bytes
    assert automatic == pack("net", variant, weights).file_bytes
    # widths are compared without what fills up the last byte of either stream, and without the number of entries
    assert min(fixed) <= automatic <= min(fixed) + 3


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_the_automatic_layout_is_the_best_one(variant: Variant) -> None:
    for values in (with_dead_units(30, 40), with_dead_ends(30, 40), sparse(30, 40, density=0.2), sparse(50, 8).T):
        unsliced = [layout for layout in layouts(values) if not layout.is_sliced]
        fixed = [pack("net", variant, {"w": values}, None, {"w": layout}).file_bytes for layout in unsliced]
        assert pack("net", variant, {"w": values}).file_bytes == min(fixed)


def test_leaving_out_dead_units_pays() -> None:
    values = sparse(200, 300, density=0.5)
    values[::2] = 0
    values[:, ::3] = 0
    tensor = only(pack("net", "huffman", {"w": values}))
    whole = only(pack("net", "huffman", {"w": values}, None, {"w": Layout()}))
    assert tensor.layout.live_rows or tensor.layout.live_columns  # in the other scan, one side is enough
    assert len(tensor.payload) < 0.9 * len(whole.payload)


@pytest.mark.parametrize("n_values", [1, 2, 3, 255, 256, 1023])
def test_a_codebook_holds_zero_and_every_value(n_values: int) -> None:
    values = np.resize(np.arange(1, n_values + 1), (100, 200)).astype(np.float32)
    tensor = only(pack("net", "shared", {"w": values}))
    assert (tensor.encoding, tensor.n_codes, tensor.codebook_bytes) == ("shared", n_values + 1, 2)  # exact in fp16
    assert tensor.code_bits == n_values.bit_length()
    assert tensor.codebook.tolist() == list(range(n_values + 1))
    assert_same_bits({"w": tensor.decode()}, {"w": values})


def test_a_codebook_is_fp16_only_where_that_is_exact() -> None:
    for value, codebook_bytes in ((0.5, 2), (0.1, 4)):
        assert only(pack("net", "huffman", {"w": np.full((9, 9), value, np.float32)})).codebook_bytes == codebook_bytes


def test_too_many_values_for_a_codebook_are_stored_as_pruned() -> None:
    values = np.zeros((100, 200), np.float32)
    values.flat[::10] = np.resize(np.arange(1, 1025), 2000)
    for variant in VARIANTS[1:]:
        assert only(pack("net", variant, {"w": values})).encoding == "pruned"


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_byte_of_the_file_is_accounted_for(variant: Variant) -> None:
    model = pack("net", variant, network())
    directory_bytes, _ = struct.unpack("<II", model.content[-8:])
    payload_bytes = sum(total_payload_bytes(tensor.blocks) for tensor in model.tensors)
    assert [total_payload_bytes(tensor.blocks) for tensor in model.tensors] == [len(t.payload) for t in model.tensors]
    assert model.header_bytes == 4 + directory_bytes + 8
    assert model.file_bytes == len(model.content) == 4 + payload_bytes + directory_bytes + 8


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_every_byte_of_every_layout_is_accounted_for(variant: Variant) -> None:
    values = with_dead_units(80, 60)
    for layout in layouts(values):
        tensor = only(pack("net", variant, {"w": values}, None, {"w": layout}))
        assert total_payload_bytes(tensor.blocks) == len(tensor.payload)
        front = {"live": 0, "pointers": 0} | {block.stream: block.n_symbols for block in tensor.blocks}
        assert (front["live"] > 0) == (layout.live_rows is not None or layout.live_columns is not None)
        assert front["pointers"] == (layout.n_slices(values.shape) if layout.is_sliced else 0)


def test_compression_ratio_counts_all_parameters_against_the_file() -> None:
    model = pack("net", "huffman", {"w": sparse(60, 80), "b": np.zeros(80, np.float32)})
    assert model.n_parameters == 4880
    assert model.compression_ratio == 4 * 4880 / len(model.content)


def test_blocks_of_a_long_tensor_cover_every_entry_of_both_streams() -> None:
    values = sparse(600, 1000, density=0.5)
    tensor = only(pack("net", "huffman", {"w": values}))
    for stream in ("codes", "gaps"):
        blocks = [block for block in tensor.blocks if block.stream == stream]
        assert [block.block for block in blocks] == list(range(len(blocks)))
        assert len(blocks) > 3
        assert {block.n_symbols for block in blocks[:-1]} == {BLOCK_SYMBOLS}
        assert sum(block.n_symbols for block in blocks) == tensor.n_entries
    assert_same_bits(read_back(CompressedModel("net", "huffman", (tensor,))), {"w": values})


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("gap_bits", [0, 3, 5])
def test_entries_are_the_nonzeros_and_fillers_of_value_zero(variant: Variant, gap_bits: int) -> None:
    values = sparse(60, 80, density=0.02)
    values[-10:] = 0
    tensor = only(pack("net", variant, {"w": values}, {"w": gap_bits}, {"w": Layout()}))
    positions = np.cumsum(tensor.gaps().astype(np.int64) + 1) - 1
    stored = tensor.values()
    assert positions[stored != 0].tolist() == np.flatnonzero(values).tolist()
    assert set(tensor.gaps()[stored == 0].tolist()) == {(1 << gap_bits) - 1}
    assert tensor.n_nonzero() == np.count_nonzero(values)
    assert tensor.n_entries == len(positions) > tensor.n_nonzero()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_repack_is_the_file_that_packing_the_weights_makes(variant: Variant) -> None:
    assert repack(pack("net", "huffman", network()), variant).content == pack("net", variant, network()).content


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ArtifactError, match=r"fc\.weight holds values that are not finite"):
        pack("net", "dense", {"b": np.zeros(2, np.float32), "fc.weight": np.array([[1, value]], np.float32)})


def test_a_number_that_fp32_cannot_hold_is_refused() -> None:
    with pytest.raises(ArtifactError, match="w holds values that are not finite"):
        pack("net", "dense", {"w": np.array([[1e300]])})


@pytest.mark.parametrize("gap_bits", [-1, 17, 64])
def test_a_gap_width_that_no_file_can_have_is_refused(gap_bits: int) -> None:
    with pytest.raises(ArtifactError, match=f"gaps of {gap_bits} bits are not possible"):
        pack("net", "huffman", {"w": np.ones((2, 2), np.float32)}, {"w": gap_bits})


def test_a_shape_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ArtifactError, match="at most 8 dimensions"):
        pack("net", "dense", {"w": np.ones((1,) * 9, np.float32)})


def test_the_bytes_of_a_small_file() -> None:
    alone = np.array([[0, 0, 1.5] + [0] * 97], np.float32)
    content = pack("n", "pruned", {"w": alone, "b": np.array([2], np.float32)}).content
    payloads = bytes.fromhex("0000c03f" + "02" + "0040")  # 1.5 as fp32, then the gap; 2 as fp16
    directory = (
        b"\x01\x01n\x02"  # variant, network, number of tensors
        + b"\x02\x00\x01w\x02\x01\x64\x01\x02\x00\x05"  # pruned, name, 2 dimensions: 1 and 100, 1 entry, gaps of 2 bits, rows, 5 bytes
        + b"\x01\x00\x01b\x01\x01"  # fp16, name, 1 dimension: 1
        + struct.pack("<I", zlib.crc32(payloads))
    )
    footer = struct.pack("<II", len(directory), zlib.crc32(directory))
    assert content == b"DCZ2" + payloads + directory + footer


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_numbered_in_the_order_of_the_pipeline(variant: Variant) -> None:
    assert pack("net", variant, {}).content[4] == VARIANTS.index(variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_reading_and_writing_again_gives_the_same_file(variant: Variant, tmp_path: Path) -> None:
    model = pack("größeres netz", variant, network())
    path = tmp_path / "folder" / "net.dcz"
    model.save(path)
    loaded = CompressedModel.load(path)
    assert (loaded.network, loaded.variant) == ("größeres netz", variant)
    assert loaded.content == path.read_bytes() == model.content
    assert loaded.sha256 == model.sha256
    assert_same_bits(loaded.decode(), network())


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_weights_make_the_same_bytes(variant: Variant) -> None:
    assert pack("net", variant, network()).content == pack("net", variant, network()).content
    assert linked().content == linked().content


def test_a_network_without_tensors_comes_back() -> None:
    assert CompressedModel.from_bytes(pack("", "huffman", {}).content).tensors == ()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5,), (0, 5), (5, 0), (4, 0, 2), (3, 4), (2, 3, 1, 4, 2, 1, 3, 2)])
@pytest.mark.parametrize("kind", ["zeros", "one value", "few values", "any values"])
def test_tensors_of_every_shape_come_back(shape: tuple[int, ...], kind: str) -> None:
    values = {
        "zeros": np.zeros(shape, np.float32),
        "one value": np.full(shape, 0.3, np.float32),
        "few values": sparse(*shape, density=0.4, n_values=3),
        "any values": np.random.default_rng(0).normal(size=shape).astype(np.float32),
    }[kind]
    for variant in VARIANTS:
        assert_same_bits(read_back(pack("net", variant, {"w": values})), {"w": values})
        for layout in layouts(values):
            assert_same_bits(read_back(pack("net", variant, {"w": values}, None, {"w": layout})), {"w": values})


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_a_layer_of_zeros_takes_no_more_than_a_few_bytes(variant: Variant) -> None:
    model = pack("net", variant, {"w": np.zeros((1000, 1000), np.float32)})
    assert len(only(model).payload) == 0
    assert not read_back(model)["w"].any()


def test_a_layer_of_one_value_takes_no_bit_an_element() -> None:
    values = np.full((500, 400), 0.3, np.float32)
    model = pack("net", "huffman", {"w": values})
    assert len(only(model).payload) < 10
    assert_same_bits(read_back(model), {"w": values})


def test_a_layer_of_ten_million_elements_comes_back() -> None:
    values = sparse(4000, 2500, density=0.1, n_values=31)
    for variant in ("pruned", "huffman"):
        model = pack("net", variant, {"w": values})
        assert only(model).encoding == variant
        assert_same_bits(read_back(model), {"w": values})


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        pytest.param(slice(3, None), slice(5, None), id="counts"),
        pytest.param(slice(None, None, 3), slice(None, None, 4), id="bitmaps"),
        pytest.param(slice(3, None), slice(None, None, 4), id="a count and a bitmap"),
    ],
)
def test_dead_rows_and_input_channels_of_a_convolution_are_left_out(rows: slice, columns: slice) -> None:
    filters = sparse(12, 16, 3, 3, density=0.8, n_values=5)
    filters[rows] = 0
    filters[:, columns] = 0
    live_rows, live_columns = find_dead(filters)
    assert live_rows is not None
    assert live_columns is not None
    assert live_rows.unit * live_rows.n_units == 12
    assert (live_columns.unit, live_columns.n_units) == (9, 16)
    for scan in SCANS:
        layout = Layout(scan, 2 if scan == "per-pe" else 1, live_rows, live_columns)
        model = pack("net", "huffman", {"w": filters}, {"w": 0}, {"w": layout})
        assert only(model).n_entries <= live_rows.n_live * live_columns.n_live  # no gaps: an entry an element
        n_bits = {block.n_bits for block in only(model).blocks if block.stream == "live"}
        assert n_bits == {len(live.mask) for live in (live_rows, live_columns) if not live.is_count}
        assert_same_bits(read_back(model), {"w": filters})


def test_a_live_count_costs_no_payload_and_a_bitmap_a_bit_a_unit() -> None:
    values = with_dead_ends(40, 30)
    count, bitmap = (Live.of(np.arange(40) < 27), Live.of(np.arange(40) != 39))
    for live, n_bits in ((count, []), (Live.of(np.arange(40) % 39 > 0), [40]), (bitmap, [])):
        values[~live.mask] = 0
        tensor = only(pack("net", "pruned", {"w": values}, None, {"w": Layout(live_rows=live)}))
        assert [block.n_bits for block in tensor.blocks if block.stream == "live"] == n_bits


def test_a_tensor_with_the_codebook_of_another_is_that_codebook_times_a_scale() -> None:
    model = linked()
    read = CompressedModel.from_bytes(model.content)
    owner = read.tensors[0]
    assert [tensor.owner for tensor in read.tensors] == [None, None, owner, owner, owner]
    scales = {"conv2.weight": 1.5, "conv3.weight": 0.1, "conv4.weight": -3.0}
    for tensor in read.tensors[2:]:
        expected = owner.codebook * np.float32(scales[tensor.name])
        assert tensor.codebook.tobytes() == (expected + np.float32(0)).tobytes()  # code 0 stays plus zero
        assert (tensor.n_codes, tensor.codebook.dtype) == (owner.n_codes, np.float32)
    codes = some_codes(10, 8, n_codes=8)
    assert np.array_equal(read.decode()["conv2.weight"], owner.codebook[codes] * np.float32(1.5))
    assert read.content == model.content
    assert_same_bits(read.decode(), model.decode())


@pytest.mark.parametrize(("scale", "codebook_bytes"), [(1.0, 2), (0.5, 2), (0.1, 4), (-2.0, 2), (1e30, 4)])
@pytest.mark.parametrize("encoding", ["shared", "huffman"])
def test_a_shared_codebook_costs_one_scale(scale: float, codebook_bytes: int, encoding: str) -> None:
    owner = pack_tensor("a", sparse(30, 20, density=0.3, n_values=200), "huffman")
    codes = some_codes(40, 30, n_codes=owner.n_codes)
    tensor = shares_codebook("b", codes, owner, scale, encoding)  # type: ignore[arg-type]  # a parameter
    assert [block.n_bits for block in tensor.blocks if block.stream == "codebook"] == [bytes_to_bits(codebook_bytes)]
    assert (tensor.codebook_bytes, tensor.encoding) == (codebook_bytes, encoding)
    decoded = read_back(CompressedModel("net", "huffman", (owner, tensor)))["b"]
    assert decoded.tobytes() == (owner.codebook * np.float32(scale) + np.float32(0))[codes].tobytes()


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("gap_bits", [0, 2, 16])
@pytest.mark.parametrize("encoding", ["shared", "huffman"])
def test_a_shared_codebook_goes_with_every_layout(scan: str, gap_bits: int, encoding: str) -> None:
    owner = pack_tensor("a", sparse(30, 20, density=0.3), "huffman")
    codes = some_codes(24, 30, n_codes=owner.n_codes)
    codes[::3] = codes[:, ::5] = 0
    for layout in layouts(codes.astype(np.float32)):
        tensor = shares_codebook("b", codes, owner, 0.7, encoding, layout, gap_bits)  # type: ignore[arg-type]
        decoded = read_back(CompressedModel("net", "huffman", (owner, tensor)))["b"]
        assert np.array_equal(decoded, (owner.codebook * np.float32(0.7))[codes])


def test_a_repack_of_shared_codebooks_keeps_every_weight() -> None:
    for variant in VARIANTS:
        assert_same_bits(read_back(repack(linked(), variant)), linked().decode())


@pytest.mark.parametrize(
    "names",
    [
        ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"],
        ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"],
        [".weight", ".bias", ""],
        ["weight", "bias", "a.weight.bias", "a.weight", "a.bias.weight"],
        ["layer.1.0.conv", "layer.1.0.conv1", "layer.1.0", "layer.10.0.conv", "x"],
        ["größe", "größe.weight", "gräße", "層.重み", "層.偏り.bias", "🙂", "🙃", "e\u0301", "\u00e9"],
        ["a" * 248, "a" * 248 + ".weight", "a" * 255, "b"],
        ["a\x00b", "a\nb", " ", "  "],
    ],
)
def test_any_names_come_back(names: list[str]) -> None:
    weights = {name: np.full(1, index, np.float32) for index, name in enumerate(names)}
    for variant in VARIANTS:
        read = CompressedModel.from_bytes(pack("net", variant, weights).content)
        assert read.network == "net"
        assert_same_bits(read.decode(), weights)


def test_a_name_costs_only_what_is_new() -> None:
    def header_bytes(*names: str) -> int:
        return pack("net", "dense", {name: np.zeros(1, np.float32) for name in names}).header_bytes

    assert header_bytes("block.1.conv.weight", "block.1.conv.bias") - header_bytes("block.1.conv.weight") == 5
    assert header_bytes("conv.weight") == header_bytes("conv")


@pytest.mark.parametrize("network_name", ["", "net", "größeres netz", "重み", "n" * 300])
def test_any_network_name_comes_back(network_name: str) -> None:
    assert CompressedModel.from_bytes(pack(network_name, "dense", {}).content).network == network_name


@pytest.mark.parametrize("variant", VARIANTS)
def test_writing_tensor_by_tensor_makes_the_same_file(variant: Variant) -> None:
    model = pack("net", variant, network())
    stream = io.BytesIO()
    writer = DczWriter(stream, "net", variant)
    for name, values in network().items():
        before = stream.tell()
        tensor = pack_tensor(name, values, variant)
        writer.add(tensor)
        assert stream.tell() == before + len(tensor.payload)
    writer.finish()
    assert stream.getvalue() == model.content


def test_a_file_that_was_never_finished_is_refused() -> None:
    stream = io.BytesIO()
    writer = DczWriter(stream, "net", "huffman")
    for tensor in (None, *linked().tensors):
        if tensor is not None:
            writer.add(tensor)
        with pytest.raises(TruncatedError):
            CompressedModel.from_bytes(stream.getvalue())
    writer.finish()
    assert_same_bits(CompressedModel.from_bytes(stream.getvalue()).decode(), linked().decode())


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_sections_of_any_size_come_back(extra: int) -> None:
    generator = np.random.default_rng(0)
    n_elements = SECTION_BYTES // 4
    sizes = [n_elements + extra, 1, 0, n_elements - 1, 1, 3, 5 * n_elements, 0, 7, 0]
    weights = {str(index): generator.normal(size=size).astype(np.float32) for index, size in enumerate(sizes)}
    model = pack("net", "dense", weights)
    assert_same_bits(read_back(model), weights)
    assert (model.header_bytes - pack("net", "dense", {name: np.zeros(0) for name in weights}).header_bytes) > 4


def overhead_bytes(model: CompressedModel) -> float:
    """Bytes of a file beyond the bits of its streams, code tables, codebooks and values: layout, checksums, padding."""
    content_bits = 0
    for tensor in model.tensors:
        if tensor.encoding != "huffman":
            content_bits += sum(block.n_bits for block in tensor.blocks)
            continue
        content_bits += sum(block.n_bits for block in tensor.blocks if block.stream not in ("tables", "codes", "gaps"))
        parts = tensor._huffman_parts
        for stream, symbols in ((parts.codes, tensor.codes()), (parts.gaps, tensor.gaps())):
            content_bits += bytes_to_bits(len(code_table.pack(stream.lengths)))
            counts = np.bincount(symbols, minlength=len(stream.lengths))
            if np.count_nonzero(counts) > 1:
                content_bits += int(counts @ stream.lengths.astype(np.int64))
    return model.file_bytes - content_bits / BITS_PER_BYTE


@pytest.mark.parametrize("variant", VARIANTS)
def test_layout_costs_lenet_5_at_most_150_bytes(variant: Variant) -> None:
    model = pack("lenet-5", variant, lenet5_like())
    assert model.header_bytes <= overhead_bytes(model) <= 150
    assert model.header_bytes <= 130


@pytest.mark.parametrize("variant", VARIANTS)
def test_layout_costs_a_megabyte_at_most_a_thousandth(variant: Variant) -> None:
    weights = {"fc1.weight": sparse(2500, 3000, density=0.08, n_values=31), "fc2.weight": sparse(1000, 2500, seed=1)}
    model = pack("net", variant, weights)
    assert model.file_bytes > 1_000_000
    assert overhead_bytes(model) <= 0.001 * model.file_bytes


def test_a_run_is_listed_in_two_bytes_or_less() -> None:
    values = sparse(1000, 2000, density=0.5)
    tensor = only(pack("net", "huffman", {"w": values}))
    parts = tensor._huffman_parts
    n_runs = len(parts.codes.run_bytes) + len(parts.gaps.run_bytes)
    assert n_runs > 2 * N_STREAMS
    index_bytes = parts.table_bytes - sum(len(code_table.pack(stream.lengths)) for stream in (parts.codes, parts.gaps))
    assert index_bytes <= 2 * n_runs


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"cannot read {tmp_path / 'none.dcz'}: No such file"):
        CompressedModel.load(tmp_path / "none.dcz")
    (tmp_path / "text.dcz").write_text("hello")
    with pytest.raises(NotADczError, match=f"{tmp_path / 'text.dcz'}: not a .dcz file"):
        CompressedModel.load(tmp_path / "text.dcz")


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        pack("net", "dense", {}).save(tmp_path)

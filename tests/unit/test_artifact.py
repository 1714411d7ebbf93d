"""Does a `.dcz` file hold exactly the weights, in the smallest encoding its variant permits?"""

import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dcsim.artifact import VARIANTS, CompressedModel, Floats, StoredTensor, Variant, pack, repack
from dcsim.artifact.tensor import total_payload_bytes
from dcsim.codec.huffman import BLOCK_SYMBOLS
from dcsim.errors import ArtifactError, NotADczError, OutputError

PERMITTED = {
    "dense": {"fp32"},
    "pruned": {"fp32", "fp16", "pruned"},
    "shared": {"fp32", "fp16", "pruned", "shared"},
    "huffman": {"fp32", "fp16", "pruned", "shared", "huffman"},
}


def sparse(*shape: int, density: float = 0.1, n_values: int = 12, seed: int = 0) -> Floats:
    """Pruned and shared weights: `n_values` distinct nonzeros, normally distributed, not exact in fp16."""
    generator = np.random.default_rng(seed)
    palette = generator.normal(size=n_values).astype(np.float32)
    return np.where(generator.random(shape) < density, generator.choice(palette, shape), np.float32(0))


def network() -> dict[str, Floats]:
    """Tensors of every kind that a network has, and some that it hardly has."""
    single = np.zeros((30, 20), np.float32)
    single[-1, -1] = 0.1
    return {
        "conv.weight": sparse(6, 3, 5, 5, density=0.4),
        "conv.bias": np.array([0.5, -0.25, 0, 1, 2, 3], np.float32),
        "fc.weight": sparse(60, 80),
        "fc.bias": np.array([0.1, 0.2], np.float32),
        "dense.weight": np.random.default_rng(1).normal(size=(8, 9)).astype(np.float32),
        "zeros": np.zeros((30, 20), np.float32),
        "last alone": single,
        "one value": np.full((20, 20), 0.3, np.float32),
        "scalar": np.array(0.7, np.float32),
        "nothing": np.zeros(0, np.float32),
        "no rows": np.zeros((0, 5), np.float32),
        "no columns": np.zeros((4, 0, 2), np.float32),
        "tiny": np.array([[1e-45, -1e-38], [65000.1, 1 / 3]], np.float32),
        "größe": np.ones((1, 1), np.float32),
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


def test_a_matrix_is_never_fp16() -> None:
    halves = np.arange(2000, dtype=np.float32).reshape(40, 50)
    assert "fp16" not in {only(pack("net", variant, {"w": halves})).encoding for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("gap_bits", range(1, 13))
def test_a_chosen_gap_width_is_honoured(variant: Variant, gap_bits: int) -> None:
    weights = {"w": sparse(200, 300), "other": sparse(60, 80)}
    model = pack("net", variant, weights, {"w": gap_bits})
    assert (model.tensors[0].encoding, model.tensors[0].gap_bits) == (variant, gap_bits)
    assert model.tensors[1].gap_bits == only(pack("net", variant, {"other": weights["other"]})).gap_bits
    assert_same_bits(read_back(model), weights)


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("density", [0.01, 0.08, 0.3, 0.9])
def test_the_automatic_gap_width_is_the_best_one(variant: Variant, density: float) -> None:
    weights = {"w": sparse(60, 80, density=density)}
    fixed = [pack("net", variant, weights, {"w": gap_bits}).file_bytes for gap_bits in range(1, 9)]
    assert (
        pack("net", variant, weights, {"w": "auto"}).file_bytes
        == pack("net", variant, weights).file_bytes
        == min(fixed)
    )


@pytest.mark.parametrize("n_values", [1, 2, 3, 255, 256, 1023])
def test_a_codebook_holds_zero_and_every_value(n_values: int) -> None:
    values = np.resize(np.arange(1, n_values + 1), (100, 200)).astype(np.float32)
    tensor = only(pack("net", "shared", {"w": values}))
    assert (tensor.encoding, tensor.n_codes, tensor.codebook_bytes) == ("shared", n_values + 1, 2)  # exact in fp16
    assert tensor.code_bits == n_values.bit_length()
    assert_same_bits({"w": tensor.decode()}, {"w": values})


def test_too_many_values_for_a_codebook_are_stored_as_pruned() -> None:
    values = np.zeros((100, 200), np.float32)
    values.flat[::10] = np.resize(np.arange(1, 1025), 2000)
    for variant in VARIANTS[1:]:
        assert only(pack("net", variant, {"w": values})).encoding == "pruned"


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_byte_of_the_file_is_accounted_for(variant: Variant) -> None:
    model = pack("net", variant, network())
    _, header_bytes, _ = struct.unpack_from("<4sII", model.content)
    payload_bytes = sum(total_payload_bytes(tensor.blocks) for tensor in model.tensors)
    assert [total_payload_bytes(tensor.blocks) for tensor in model.tensors] == [len(t.payload) for t in model.tensors]
    assert model.header_bytes == 12 + header_bytes
    assert model.file_bytes == len(model.content) == 12 + header_bytes + payload_bytes


def test_compression_ratio_counts_all_parameters_against_the_file() -> None:
    model = pack("net", "huffman", {"w": sparse(60, 80), "b": np.zeros(80, np.float32)})
    assert model.n_parameters == 4880
    assert model.compression_ratio == 4 * 4880 / len(model.content)


def test_blocks_of_a_long_tensor_cover_every_entry_of_both_streams() -> None:
    values = sparse(300, 400, density=0.5)
    tensor = only(pack("net", "huffman", {"w": values}))
    for stream in ("codes", "gaps"):
        blocks = [block for block in tensor.blocks if block.stream == stream]
        assert [block.block for block in blocks] == list(range(len(blocks)))
        assert len(blocks) > 3
        assert {block.n_symbols for block in blocks[:-1]} == {BLOCK_SYMBOLS}
        assert sum(block.n_symbols for block in blocks) == tensor.n_entries
    assert_same_bits({"w": tensor.decode()}, {"w": values})


@pytest.mark.parametrize("variant", VARIANTS)
def test_entries_are_the_nonzeros_and_fillers_of_value_zero(variant: Variant) -> None:
    values = sparse(60, 80, density=0.02)
    tensor = only(pack("net", variant, {"w": values}, {"w": 3}))
    positions, stored = tensor.entries()
    assert (np.diff(positions) > 0).all()
    assert positions[stored != 0].tolist() == np.flatnonzero(values).tolist()
    assert tensor.n_nonzero() == np.count_nonzero(values)
    assert variant == "dense" or (tensor.n_entries == len(positions) > tensor.n_nonzero())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_repack_is_the_file_that_packing_the_weights_makes(variant: Variant) -> None:
    assert repack(pack("net", "huffman", network()), variant).content == pack("net", variant, network()).content


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ArtifactError, match=r"fc\.weight holds values that are not finite"):
        pack("net", "dense", {"b": np.zeros(2, np.float32), "fc.weight": np.array([[1, value]], np.float32)})


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_a_number_that_fp32_cannot_hold_is_refused() -> None:
    with pytest.raises(ArtifactError, match="w holds values that are not finite"):
        pack("net", "dense", {"w": np.array([[1e300]])})


def test_the_bytes_of_a_small_file() -> None:
    content = pack("n", "pruned", {"w": np.array([[0, 0, 1.5, 0]], np.float32), "b": np.array([2], np.float32)}).content
    w_payload = bytes.fromhex("0000c03f" + "02")  # 1.5 as fp32, then the gap
    b_payload = bytes.fromhex("0040")  # 2 as fp16
    header = (
        b"\x01\x01n\x02"  # variant, network, number of tensors
        + b"\x01w\x02\x02\x01\x04\x01\x02"  # name, pruned, 2 dimensions: 1 and 4, 1 entry, gaps of 2 bits
        + b"\x05"
        + struct.pack("<I", zlib.crc32(w_payload))
        + b"\x01b\x01\x01\x01"  # name, fp16, 1 dimension: 1
        + b"\x02"
        + struct.pack("<I", zlib.crc32(b_payload))
    )
    assert content == b"DCZ1" + struct.pack("<II", len(header), zlib.crc32(header)) + header + w_payload + b_payload


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


def test_a_network_without_tensors_comes_back() -> None:
    assert CompressedModel.from_bytes(pack("", "huffman", {}).content).tensors == ()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"cannot read {tmp_path / 'none.dcz'}: No such file"):
        CompressedModel.load(tmp_path / "none.dcz")
    (tmp_path / "text.dcz").write_text("hello")
    with pytest.raises(NotADczError, match=f"{tmp_path / 'text.dcz'}: not a .dcz file"):
        CompressedModel.load(tmp_path / "text.dcz")


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        pack("net", "dense", {}).save(tmp_path)

"""Does `inspect` say what a file holds: shares that sum to one, entropies below what is stored, fillers counted by hand?"""

import json
from typing import Any

import numpy as np
import pytest

from dcsim.artifact import VARIANTS, CompressedModel, Variant, pack
from dcsim.codec.huffman import BLOCK_SYMBOLS, N_STREAMS
from dcsim.compression.plan import PostTraining
from dcsim.compression.post_training import compress_tensor
from dcsim.report.document import to_json
from dcsim.report.inspection import inspect_tables, inspection
from dcsim.report.terminal import console
from tests.networks import linked, network, sparse

TENSOR_KEYS = {
    "name", "shape", "encoding", "scan", "n_live_rows", "n_live_columns", "density", "n_entries", "n_filler_zeros",
    "gap_bits", "n_codes", "bits_per_weight", "stored_bytes", "share_of_file", "streams",
}  # fmt: skip


def only(model: CompressedModel) -> dict[str, Any]:
    (tensor,) = inspection(model)["tensors"]
    assert tensor.keys() == TENSOR_KEYS
    return tensor


def printed(content: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    console().print(inspect_tables(content))
    return capsys.readouterr().out


def entropy(symbols: np.ndarray) -> float:
    shares = np.unique(symbols, return_counts=True)[1] / len(symbols)
    return float(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize("variant", VARIANTS)
def test_shares_of_the_file_sum_to_one(variant: Variant) -> None:
    for weights in (network(), {"w": sparse(300, 200)}, {}):
        model = pack("net", variant, weights)
        content = inspection(model)
        assert json.loads(to_json(content)) == content
        assert sum(content["share_of_file"].values()) == pytest.approx(1, abs=1e-12)
        tensors = sum(tensor["share_of_file"] for tensor in content["tensors"])
        assert tensors + content["share_of_file"]["directory"] == pytest.approx(1, abs=1e-12)
        assert content["share_of_file"]["directory"] == model.header_bytes / len(model.content)
        for tensor in content["tensors"]:
            assert sum(part["stored_bytes"] for part in tensor["streams"].values()) == tensor["stored_bytes"]
            assert sum(part["share_of_file"] for part in tensor["streams"].values()) == pytest.approx(
                tensor["share_of_file"]
            )


def test_a_file_says_what_it_is() -> None:
    model = linked()
    content = inspection(model)
    assert (content["schema"], content["network"], content["variant"]) == (1, "linked", "huffman")
    assert content["file_bytes"] == len(model.content)
    assert content["header_bytes"] == len(model.content) - sum(len(tensor.payload) for tensor in model.tensors)
    assert content["compression_ratio"] == 4 * sum(values.size for values in model.decode().values()) / len(
        model.content
    )
    assert [tensor["name"] for tensor in content["tensors"]] == [tensor.name for tensor in model.tensors]


@pytest.mark.parametrize("variant", VARIANTS)
def test_density_and_shape_are_those_of_the_weights(variant: Variant) -> None:
    weights = network()
    for tensor in inspection(pack("net", variant, weights))["tensors"]:
        values = weights[tensor["name"]]
        assert tensor["shape"] == list(values.shape)
        assert tensor["density"] == (np.count_nonzero(values) / values.size if values.size else 0)
        assert tensor["bits_per_weight"] == (8 * tensor["stored_bytes"] / values.size if values.size else 0)


def test_entries_fillers_and_bits_are_those_counted_by_hand() -> None:
    values = np.zeros((1, 40), np.float32)
    values[0, [0, 3, 4, 20, 29]] = [0.5, 1, 0.5, 1, 0.5]  # gaps of two bits reach 4 further: 3 fillers to 20, 2 to 29
    tensor = only(pack("net", "shared", {"w": values}, {"w": 2}))
    assert (tensor["encoding"], tensor["gap_bits"], tensor["n_codes"]) == ("shared", 2, 3)
    assert (tensor["n_entries"], tensor["n_filler_zeros"], tensor["density"]) == (10, 5, 5 / 40)
    codes, gaps = tensor["streams"]["codes"], tensor["streams"]["gaps"]
    assert (codes["n_symbols"], codes["n_bits"], codes["bits_per_symbol"]) == (10, 20, 2)
    assert (gaps["n_symbols"], gaps["n_bits"], gaps["stored_bytes"]) == (10, 20, 3)
    assert codes["entropy_bits_per_symbol"] == pytest.approx(0.5 * 1 + 0.3 * np.log2(1 / 0.3) + 0.2 * np.log2(5))
    assert gaps["entropy_bits_per_symbol"] == pytest.approx(entropy(np.array([0, 2, 0, 3, 3, 3, 3, 3, 3, 0])))
    assert (tensor["streams"]["codebook"]["n_symbols"], tensor["streams"]["codebook"]["n_bits"]) == (2, 32)
    assert tensor["stored_bytes"] == 3 + 3 + 4
    assert tensor["bits_per_weight"] == 2.0


@pytest.mark.parametrize("gap_bits", [0, 2, 4, 8, "auto"])
@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
def test_a_code_takes_no_less_than_the_entropy_and_at_most_a_bit_more(gap_bits: Any, density: float) -> None:
    values = np.random.default_rng(0).normal(size=(700, 600)).astype(np.float32)
    stored = compress_tensor("w", values, PostTraining(density=density, code_bits=5, gap_bits=gap_bits))
    assert stored.encoding == "huffman"
    streams = only(CompressedModel("net", "huffman", (stored,)))["streams"]
    for name, symbols in (("codes", stored.codes()), ("gaps", stored.gaps())):
        stream = streams[name]
        n_runs = N_STREAMS * (len(symbols) // BLOCK_SYMBOLS + 1)
        assert stream["n_symbols"] == len(symbols) == stored.n_entries
        assert stream["n_blocks"] == -(-len(symbols) // BLOCK_SYMBOLS)
        assert stream["entropy_bits_per_symbol"] == pytest.approx(entropy(symbols), abs=1e-9)
        assert stream["bits_per_symbol"] >= stream["entropy_bits_per_symbol"] - 1e-9
        assert stream["bits_per_symbol"] <= stream["entropy_bits_per_symbol"] + 1 + 7 * n_runs / len(symbols)


def test_what_takes_no_bits_has_no_entropy() -> None:
    tensor = only(pack("net", "huffman", {"w": np.full((40, 50), 0.1, np.float32)}))
    for name in ("codes", "gaps"):
        assert tensor["streams"][name]["n_bits"] == tensor["streams"][name]["entropy_bits_per_symbol"] == 0
    assert str(tensor["streams"]["codes"]["entropy_bits_per_symbol"]) == "0.0"  # not -0.0
    empty = only(pack("net", "huffman", {"w": np.zeros((40, 50), np.float32)}))
    assert (empty["density"], empty["n_entries"], empty["n_filler_zeros"], empty["stored_bytes"]) == (0, 0, 0, 0)


def test_dead_units_that_are_left_out_are_told() -> None:
    values = sparse(200, 300, density=0.5)
    values[np.random.default_rng(1).permutation(200)[:120]] = 0
    tensor = only(pack("net", "huffman", {"w": values}))
    assert (tensor["n_live_rows"], tensor["n_live_columns"]) == (80, 300)
    assert tensor["streams"]["live"]["n_bits"] == 200


def test_the_table_has_a_row_for_every_tensor_and_the_parts_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    content = inspection(
        pack("net", "huffman", {"fc.weight": sparse(60, 80), "fc.bias": np.arange(60, dtype=np.float32)})
    )
    lines = [line.split() for line in printed(content, capsys).splitlines()]
    rows = {line[0]: line for line in lines if line}
    weight, stream = content["tensors"][0], content["tensors"][0]["streams"]["codes"]
    assert rows["fc.weight"][1:3] == ["60x80", weight["encoding"]]
    assert f"{stream['bits_per_symbol']:.3f}" in rows["fc.weight"]
    assert f"({stream['entropy_bits_per_symbol']:.3f})" in rows["fc.weight"]
    assert rows["fc.bias"][1:4] == ["60", "fp16", "-"]
    assert "directory" in lines[-2]
    assert sum(float(share) for share in lines[-1] if share != "%") == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize("name", ["layers[0].weight", "[bold]x", "w[/w]", ":bug:", "größe"])
def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str], name: str) -> None:
    out = printed(inspection(pack(name, "dense", {name: np.ones(3, np.float32)})), capsys)
    assert out.splitlines()[0].startswith(f"{name}, dense: ")
    assert any(line.startswith(f"{name} ") for line in out.splitlines()[1:])

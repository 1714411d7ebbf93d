"""Are the weights of a network given by numbers drawn as it says, and is its trace that of a real network?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dcsim import trace as trace_network
from dcsim.artifact import VARIANTS, Variant, pack
from dcsim.codec import relative_index
from dcsim.compression.pipeline import state_weights
from dcsim.run import run
from dcsim.tables import LinearSpec
from dcsim.traces import drawn
from dcsim.traces.capture import capture, export
from dcsim.traces.synthetic import DRAWN_NONZEROS, n_entries, stored_weight, synthesize
from dcsim.traces.trace import INPUT, Trace
from dcsim.zoo import NetworkSpec
from tests.builders import table_network

BY_FORMULA = table_network(
    {"n_inputs": 100, "n_outputs": 40, "weight_density": 0.25, "activation_density": 0.5, "gap_bits": 3},
    {"n_inputs": 40, "n_outputs": 10, "weight_density": 1.0, "gap_bits": 3},
)
DRAWN = {"n_inputs": 2000, "n_outputs": 500, "huffman_bits_per_gap": None}


def layer_of(**changes: Any) -> LinearSpec:
    """A layer whose weights are drawn: a million, 10 % of them not zero."""
    (layer,) = table_network({**DRAWN, **changes}).layers
    assert isinstance(layer, LinearSpec)
    return layer


# --- drawn weights -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.001, 0.04, 0.37, 0.9])
def test_a_mask_keeps_each_weight_with_the_same_probability(density: float) -> None:
    n_elements = 4_000_000
    skips = drawn.draw_skips(n_elements, density, np.random.default_rng(5))
    places = np.cumsum(skips.astype(np.int64) + 1) - 1
    assert places[-1] < n_elements
    expected, deviation = n_elements * density, (n_elements * density * (1 - density)) ** 0.5
    assert abs(len(skips) - expected) < 4 * deviation
    tenths = np.bincount(places * 10 // n_elements, minlength=10)
    assert np.all(np.abs(tenths - expected / 10) < 4.5 * deviation / 10**0.5)
    # and independently of its neighbours: a skip of k zeros has probability density x (1 - density)^k
    for k in range(3):
        share = density * (1 - density) ** k
        assert abs(np.count_nonzero(skips == k) - len(skips) * share) < 4.5 * (len(skips) * share) ** 0.5


@pytest.mark.parametrize(("n_elements", "density"), [(1, 1.0), (1000, 1.0), (7, 1e-300), (1, 0.5), (100_000, 1e-9)])
def test_masks_at_the_edges(n_elements: int, density: float) -> None:
    skips = drawn.draw_skips(n_elements, density, np.random.default_rng(1))
    assert len(skips) == n_elements if density == 1 else len(skips) <= 1
    assert not skips.any()


@pytest.mark.parametrize("gap_bits", [2, 4, 5])
@pytest.mark.parametrize("weight_density", [0.04, 0.3])
def test_fillers_of_a_drawn_mask_are_as_many_as_the_formula_expects(weight_density: float, gap_bits: int) -> None:
    layer = layer_of(weight_density=weight_density, gap_bits=gap_bits)
    nonzeros, _ = drawn.draw(layer, 0)
    assert relative_index.n_entries(nonzeros.skips, gap_bits) == pytest.approx(n_entries(layer), rel=0.02)


@pytest.mark.parametrize(
    ("code_bits", "gap_bits", "weight_density", "mean_bits"),
    [
        (5, 4, 0.09, 3.6),  # AlexNet fc7, where a fifth of the entries are fillers
        (5, 5, 0.04, 3.6),
        (8, 4, 0.84, 6.3),
        (8, 5, 0.27, 4.2),
        (8, 5, 0.35, 7.9),
        (2, 4, 0.5, 1.6),
        (10, 4, 0.5, 8.0),
    ],
)
def test_huffman_codes_have_the_stated_mean_length(
    code_bits: int, gap_bits: int, weight_density: float, mean_bits: float
) -> None:
    layer = layer_of(
        code_bits=code_bits, gap_bits=gap_bits, weight_density=weight_density, huffman_bits_per_code=mean_bits
    )
    _, stored = stored_weight(layer, "huffman", 0)
    n_bits = sum(block.n_bits for block in stored.blocks if block.stream == "codes")
    n_codes = sum(block.n_symbols for block in stored.blocks if block.stream == "codes")
    assert n_bits / n_codes == pytest.approx(mean_bits, rel=1e-3)  # runs end on a byte


@pytest.mark.parametrize(("mean_bits", "expected"), [(5.0, 4.97), (0.1, 1.5)])  # 31 alike; two, 1 and 2 bits
def test_a_mean_length_that_no_codes_have_is_met_as_nearly_as_they_can(mean_bits: float, expected: float) -> None:
    counts = drawn.code_counts(drawn.centroid_places(5), 100_000, 0, mean_bits)
    assert counts.sum() == 100_000
    assert drawn.mean_length_bits(counts) == pytest.approx(expected, abs=0.01)


def test_without_a_stated_length_codes_keep_seven_tenths_of_their_bits() -> None:
    layer = layer_of(huffman_bits_per_code=None, code_bits=8)
    nonzeros, shared = drawn.draw(layer, 0)
    n_fillers = relative_index.n_entries(nonzeros.skips, 4) - len(nonzeros.skips)
    counts = np.bincount(shared.codes)
    counts[0] = n_fillers
    assert drawn.mean_length_bits(counts) == pytest.approx(5.6, abs=1e-3)


@pytest.mark.parametrize("gap_bits", [4, "auto"])
def test_the_tensors_are_real_ones_that_decode_to_the_same_weights(gap_bits: Any) -> None:
    layer = layer_of(gap_bits=gap_bits)
    tensors = [drawn.pack(layer, variant, *drawn.draw(layer, 3)) for variant in VARIANTS[1:]]
    first, *others = [tensor.decode() for tensor in tensors]
    assert first.shape == (500, 2000)
    assert all(np.array_equal(first, other) for other in others)
    assert np.count_nonzero(first) == drawn.drawn_weight(layer, 3).n_nonzero == pytest.approx(100_000, rel=0.02)
    assert len(np.unique(first)) == 32
    for tensor, variant in zip(tensors, VARIANTS[1:], strict=True):
        found = drawn.drawn_weight(layer, 3).stored[variant]
        assert (found.n_bytes, found.blocks) == (len(tensor.payload), tensor.blocks)


def test_the_sizes_are_those_that_packing_the_weights_gives() -> None:
    layer = layer_of(gap_bits="auto")
    weights = {"fc0.weight": drawn.pack(layer, "shared", *drawn.draw(layer, 0)).decode()}
    for variant in VARIANTS:
        _, found = stored_weight(layer, variant, 0)
        (expected,) = pack("toy", variant, weights).tensors
        # pack tries both scans as well; in a mask without structure they differ by chance alone
        assert found.n_bytes == pytest.approx(len(expected.payload), rel=5e-3)
        assert found.encoding == expected.encoding


def test_no_variant_is_larger_than_the_one_before() -> None:
    layer = layer_of(weight_density=0.9, gap_bits=4, n_inputs=4, n_outputs=3)
    sizes = [stored_weight(layer, variant, 0)[1] for variant in VARIANTS]
    assert [weight.encoding for weight in sizes] == ["fp32", "fp32", "shared", "shared"]  # gaps and tables cost more
    assert sorted((weight.n_bytes for weight in sizes), reverse=True) == [weight.n_bytes for weight in sizes]


def test_the_seed_and_the_name_of_the_layer_decide() -> None:
    layer, other = layer_of(), layer_of(name="other")

    def skips(layer: LinearSpec, seed: int) -> bytes:
        return drawn.draw(layer, seed)[0].skips.tobytes()

    assert skips(layer, 0) == skips(layer, 0)
    assert len({skips(layer, 0), skips(layer, 1), skips(other, 0)}) == 3


def test_the_seed_of_the_file_is_used() -> None:
    rows = {"name": "t", "kind": "synthetic", "layers": (layer_of().model_dump(),)}
    plain, zero, one = (NetworkSpec.model_validate(rows | more) for more in ({}, {"seed": 0}, {"seed": 1}))
    assert synthesize(plain, "huffman") == synthesize(zero, "huffman")
    assert synthesize(plain, "huffman").file_bytes != synthesize(one, "huffman").file_bytes


def test_a_layer_that_keeps_nothing_is_drawn_too() -> None:
    layer = layer_of(n_inputs=3, n_outputs=3, weight_density=1e-6)
    assert [stored_weight(layer, variant, 0)[0] for variant in VARIANTS] == [9, 0, 0, 0]


# --- sizes by formula ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight_density", "gap_bits", "expected_entries"),
    [
        # nonzeros x (1 + q / (1 - q)), q = (1 - density)^(2^gap_bits)
        (0.25, 3, 1111),  # 1000 x (1 + 0.1001 / 0.8999) = 1111.25
        (1.0, 4, 4000),  # nothing to skip
        (0.5, 1, 2667),  # 2000 x (1 + 0.25 / 0.75) = 2666.67
        (0.5, 4, 2000),  # 2000 x (1 + 2^-16) = 2000.03
        (0.25, 0, 4000),  # without gaps every weight is an entry
    ],
)
def test_fillers_are_those_of_a_uniformly_random_mask(
    weight_density: float, gap_bits: int, expected_entries: int
) -> None:
    layer = layer_of(n_inputs=100, n_outputs=40, weight_density=weight_density, gap_bits=gap_bits)
    assert n_entries(layer) == expected_entries


@pytest.mark.parametrize(
    ("variant", "expected_bytes"),
    [
        ("dense", 16_000),  # 4000 x 4
        ("pruned", 4_861),  # 1111 x 4 + ceil(1111 x 3 / 8) = 4444 + 417
        ("shared", 1_240),  # codebook 32 x 4 + ceil(1111 x 5 / 8) + ceil(1111 x 3 / 8) = 128 + 695 + 417
        ("huffman", 1_101),  # 128 + ceil(1111 x 4 / 8) + ceil(1111 x 3 / 8) = 128 + 556 + 417
    ],
)
def test_stored_bytes_follow_from_entries_and_widths(variant: Variant, expected_bytes: int) -> None:
    assert synthesize(BY_FORMULA, variant).layers[0].stored_bytes == expected_bytes


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_the_formula_gives_the_size_that_drawing_gives(variant: Variant) -> None:
    layer = layer_of(n_inputs=4000, n_outputs=1000)
    n_bits = {"codes": 0, "gaps": 0}
    for block in stored_weight(layer, "huffman", 0)[1].blocks:
        if block.stream in n_bits:
            n_bits[block.stream] += block.n_bits
    mean_gap_bits = n_bits["gaps"] / n_entries(layer)
    by_formula = layer_of(n_inputs=4000, n_outputs=1000, huffman_bits_per_gap=mean_gap_bits)
    found = stored_weight(by_formula, variant, 0)[1].n_bytes
    assert found == pytest.approx(stored_weight(layer, variant, 0)[1].n_bytes, rel=0.01)


@pytest.mark.parametrize("gap_bits", [4, "auto"])
def test_a_layer_too_large_to_draw_has_the_expected_sizes(gap_bits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of(n_inputs=4000, n_outputs=1000, gap_bits=gap_bits)
    sizes = [stored_weight(layer, variant, 0)[1].n_bytes for variant in VARIANTS]
    monkeypatch.setattr("dcsim.traces.synthetic.DRAWN_NONZEROS", 399_999)
    monkeypatch.setattr(drawn, "draw", None)
    n_nonzero, _ = stored_weight(layer, "huffman", 0)
    assert n_nonzero == 400_000
    expected = [stored_weight(layer, variant, 0)[1].n_bytes for variant in VARIANTS]
    assert expected == pytest.approx(sizes, rel=0.01 if gap_bits == 4 else 0.03)  # each variant chooses its own width


def test_the_largest_layer_of_the_papers_is_drawn_and_a_billion_is_not() -> None:
    assert 0.04 * 25_088 * 4_096 < DRAWN_NONZEROS < 0.09 * 10**9


def test_the_file_is_its_layers_and_nothing_else() -> None:
    for spec in (BY_FORMULA, table_network(DRAWN)):
        for variant in VARIANTS:
            trace = synthesize(spec, variant)
            assert trace.file_bytes == sum(layer.stored_bytes for layer in trace.layers)
            assert trace.header_bytes == 0


# --- traces --------------------------------------------------------------------------------------------------------


def test_layers_follow_one_another() -> None:
    trace = synthesize(BY_FORMULA, "pruned")
    assert [layer.producers for layer in trace.layers] == [(INPUT,), (0,)]
    assert trace.n_network_inputs == 100
    assert trace.n_parameters == 4400  # 100 x 40 + 40 x 10


def test_macs_and_nonzeros_follow_from_the_densities() -> None:
    first, second = synthesize(BY_FORMULA, "huffman").layers
    assert (first.m, first.n, first.k) == (1, 40, 100)
    assert (first.n_macs_dense, first.n_macs_nonzero) == (4000, 500)  # 4000 x 0.25 x 0.5
    assert (first.n_weights_nonzero, first.n_inputs_nonzero) == (1000, 50)
    assert (first.n_outputs_nonzero, second.n_outputs_nonzero) == (40, 10)


def test_a_dense_file_stores_the_unpruned_weights() -> None:
    first = synthesize(BY_FORMULA, "dense").layers[0]
    assert (first.n_weights_nonzero, first.n_macs_nonzero) == (4000, 2000)


def test_it_is_labelled_and_claims_no_error_and_no_file() -> None:
    for spec in (BY_FORMULA, table_network(DRAWN)):
        trace = synthesize(spec, "huffman")
        assert trace.synthetic
        assert trace.test_error is None
        layer = trace.layers[0]
        assert (trace.file_sha256, layer.counts) == ("", "estimated")


BRANCHED = """
name: branched
kind: synthetic
input_shape: [3, 13, 11]
layers:
  - {name: conv1, kind: conv2d, n_inputs: 3, n_outputs: 8, kernel: 3, stride: 2, padding: 1, weight_density: 0.5}
  - {name: conv2, kind: conv2d, n_inputs: 8, n_outputs: 8, kernel: [1, 3], padding: [0, 1], groups: 4,
     weight_density: 0.5, activation_density: 0.5}
  - {name: add, kind: add, inputs: [conv1, conv2]}
  - {name: max_pool, kind: max_pool2d, kernel: 3, stride: 2, padding: 1}
  - {name: avg_pool, kind: avg_pool2d, kernel: [3, 1], stride: [2, 2], padding: [1, 0], inputs: [add]}
  - {name: cat, kind: cat, inputs: [max_pool, avg_pool]}
  - {name: fc, kind: linear, n_inputs: 192, n_outputs: 10, weight_density: 0.5, activation_density: 0.25}
"""


class Branched(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.conv2 = nn.Conv2d(8, 8, (1, 3), 1, (0, 1), groups=4, bias=False)
        self.fc = nn.Linear(192, 10, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.conv1(images)
        found = first + self.conv2(first)
        pooled = nn.functional.max_pool2d(found, 3, 2, 1), nn.functional.avg_pool2d(found, (3, 1), (2, 2), (1, 0))
        result: torch.Tensor = self.fc(torch.cat(pooled, 1).flatten(1))
        return result


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    path = tmp_path / "branched.yaml"
    path.write_text(BRANCHED)
    return path


def test_a_table_has_the_trace_of_the_network_it_describes(table_file: Path) -> None:
    model, inputs = Branched(), np.ones((2, 3, 13, 11), np.float32)
    real = capture(export(model, inputs), pack("branched", "dense", state_weights(model)), inputs, None)
    table = trace_network(str(table_file), "dense", batch=2)
    same = ("producers", "input_shapes", "output_shapes", "element_bits", "n_steps", "n_groups", "m", "n", "k")
    same += ("n_macs_dense", "n_alu_ops", "n_inputs", "n_outputs", "n_weights", "weights", "encoding", "stored_bytes")
    same += ("blocks", "kind", "weights_of", "read_bytes")
    for found, expected in zip(table.layers, real.layers, strict=True):
        assert {key: getattr(found, key) for key in same} == {key: getattr(expected, key) for key in same}
    assert (table.n_parameters, table.n_network_inputs) == (real.n_parameters, real.n_network_inputs)


def test_activations_are_as_dense_as_the_layer_that_reads_them_says(table_file: Path) -> None:
    layers = {layer.name: layer for layer in trace_network(str(table_file), "huffman").layers}
    n_first = 8 * 7 * 6
    assert (layers["conv1"].n_outputs_nonzero, layers["conv2"].n_inputs_nonzero) == (n_first // 2, n_first // 2)
    assert (layers["conv2"].n_outputs_nonzero, layers["add"].n_outputs_nonzero) == (n_first, n_first)  # nobody says
    assert layers["add"].n_inputs_nonzero == n_first // 2 + n_first
    assert (layers["cat"].n_outputs_nonzero, layers["fc"].n_inputs_nonzero) == (48, 48)
    assert layers["fc"].n_macs_nonzero == 240  # 1920 x 0.5 x 0.25
    assert layers["conv2"].n_macs_nonzero == 504  # 4 groups x 42 pixels x 2 outputs x 6 taps x 0.5 x 0.5


def test_a_frame_of_several_examples_has_so_many_activations_and_macs(table_file: Path) -> None:
    one, three = (trace_network(str(table_file), "huffman", batch=batch) for batch in (1, 3))
    for layer, larger in zip(one.layers, three.layers, strict=True):
        for key in ("n_macs_dense", "n_macs_nonzero", "n_inputs", "n_inputs_nonzero", "n_outputs_nonzero", "n_alu_ops"):
            assert getattr(larger, key) == 3 * getattr(layer, key)
        assert larger.m == 3 * layer.m
        assert larger.blocks == layer.blocks
    assert three.n_network_inputs == 3 * one.n_network_inputs


@pytest.mark.parametrize("soc", ["mobile45", "paper45"])  # a dense array, and one that skips zero weights
def test_a_table_of_ones_own_is_run_by_its_path(table_file: Path, soc: str) -> None:
    report = run(str(table_file), soc, fps=20)
    assert (report.network, report.synthetic) == ("branched", True)
    assert [result.variant for result in report.results] == list(VARIANTS)


def test_its_trace_is_saved_and_loaded(table_file: Path, tmp_path: Path) -> None:
    trace = trace_network(str(table_file), "shared")
    trace.save(tmp_path / "t.parquet")
    assert Trace.load(tmp_path / "t.parquet") == trace


def test_a_drawn_linear_layer_says_which_of_its_weights_and_inputs_are_not_zero() -> None:
    network = table_network(
        {
            "n_inputs": 300,
            "n_outputs": 200,
            "weight_density": 0.1,
            "activation_density": 0.4,
            "huffman_bits_per_gap": None,
        }
    )
    (layer,) = synthesize(network, "huffman", batch=2).layers
    assert layer.weight_bitmap is not None
    assert layer.column_nonzeros is not None
    flags = np.unpackbits(np.frombuffer(layer.weight_bitmap, np.uint8), bitorder="little")[: 300 * 200]
    assert flags.sum() == layer.n_weights_nonzero
    assert (sum(layer.column_nonzeros), set(layer.column_nonzeros)) == (2 * 120, {0, 2})  # 40 % of 300, twice
    assert synthesize(network, "dense").layers[0].weight_bitmap is None


def test_a_layer_whose_sizes_are_by_formula_does_not_know_which() -> None:
    network = table_network({"n_inputs": 300, "n_outputs": 200, "huffman_bits_per_gap": 3.0})
    (layer,) = synthesize(network, "huffman").layers
    assert (layer.weight_bitmap, layer.column_nonzeros) == (None, None)

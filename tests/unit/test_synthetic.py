"""Are the sizes of a network given by numbers those its densities and widths imply?"""

import pytest

from dcsim.artifact import VARIANTS, Variant
from dcsim.traces.synthetic import n_entries, synthesize
from dcsim.traces.trace import INPUT
from tests.builders import table_network

TABLE = table_network(
    {"n_inputs": 100, "n_outputs": 40, "weight_density": 0.25, "activation_density": 0.5, "gap_bits": 2},
    {"n_inputs": 40, "n_outputs": 10, "weight_density": 1.0, "gap_bits": 2},
)


@pytest.mark.parametrize(
    ("weight_density", "gap_bits", "expected_entries"),
    [
        # nonzeros x (1 + q / (1 - q)), q = (1 - density)^(2^gap_bits)
        (0.25, 2, 1463),  # 1000 x (1 + 0.31640625 / 0.68359375) = 1462.86
        (1.0, 4, 4000),  # nothing to skip
        (0.5, 1, 2667),  # 2000 x (1 + 0.25 / 0.75) = 2666.67
        (0.5, 4, 2000),  # 2000 x (1 + 2^-16) = 2000.03
    ],
)
def test_fillers_are_those_of_a_uniformly_random_mask(
    weight_density: float, gap_bits: int, expected_entries: int
) -> None:
    spec = table_network({"n_inputs": 100, "n_outputs": 40, "weight_density": weight_density, "gap_bits": gap_bits})
    assert n_entries(spec.layers[0]) == expected_entries


@pytest.mark.parametrize(
    ("variant", "expected_bytes"),
    [
        ("dense", 16_000),  # 4000 x 4
        ("pruned", 6_218),  # 1463 x 4 + ceil(1463 x 2 / 8) = 5852 + 366
        ("shared", 1_409),  # codebook 32 x 4 + ceil(1463 x 5 / 8) + ceil(1463 x 2 / 8) = 128 + 915 + 366
        ("huffman", 1_409),  # 128 + ceil(1463 x 4 / 8) + ceil(1463 x 3 / 8) = 128 + 732 + 549
    ],
)
def test_stored_bytes_follow_from_entries_and_widths(variant: Variant, expected_bytes: int) -> None:
    assert synthesize(TABLE, variant).layers[0].stored_bytes == expected_bytes


def test_the_file_is_its_layers_and_nothing_else() -> None:
    for variant in VARIANTS:
        trace = synthesize(TABLE, variant)
        assert trace.file_bytes == sum(layer.stored_bytes for layer in trace.layers)
        assert trace.header_bytes == 0


def test_layers_follow_one_another() -> None:
    trace = synthesize(TABLE, "pruned")
    assert [layer.producers for layer in trace.layers] == [(INPUT,), (0,)]
    assert trace.n_network_inputs == 100
    assert trace.n_parameters == 4400  # 100 x 40 + 40 x 10


def test_macs_and_nonzeros_follow_from_the_densities() -> None:
    first = synthesize(TABLE, "huffman").layers[0]
    assert (first.m, first.n, first.k) == (1, 40, 100)
    assert (first.n_macs_dense, first.n_macs_nonzero) == (4000, 500)  # 4000 x 0.25 x 0.5
    assert (first.n_weights_nonzero, first.n_inputs_nonzero) == (1000, 50)


def test_a_dense_file_stores_the_unpruned_weights() -> None:
    first = synthesize(TABLE, "dense").layers[0]
    assert (first.n_weights_nonzero, first.n_macs_nonzero) == (4000, 2000)


def test_it_is_labelled_and_claims_no_error_and_no_file() -> None:
    trace = synthesize(TABLE, "huffman")
    assert trace.synthetic
    assert trace.test_error is None
    assert (trace.file_sha256, trace.layers[0].weight_bitmap, trace.layers[0].column_nonzeros) == ("", None, None)

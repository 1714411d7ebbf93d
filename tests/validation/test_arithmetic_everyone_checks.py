"""Do the two sums that every reader of the papers does first come out as printed?"""

import pytest

from dcsim.artifact import Variant
from dcsim.simulation.simulate import simulate
from dcsim.traces.synthetic import n_entries, synthesize
from dcsim.validation import seed
from dcsim.zoo import NetworkSpec, find_network
from tests.builders import table_network


def one_billion() -> NetworkSpec:
    spec = find_network("one-billion").spec
    assert spec is not None
    return spec


def test_a_billion_connections_at_20_frames_per_second_cost_12_8_watts_for_dram_access() -> None:
    # Han, Mao, Dally, ICLR 2016, section 1: (20 Hz)(1 G)(640 pJ) = 12.8 W
    (compared,) = seed.billion_table()
    assert compared.found == compared.reference == 12.8
    assert (compared.tolerance, compared.unit) == (0, "W")
    result = seed.billion_connections()
    (row,) = [row for row in result.ledger if row.component == "dram"]
    assert (row.action, row.count, row.pj_each) == ("read", 10**9, 640.0)
    assert result.component_watts("dram") == 12.8


def test_events_are_priced_as_the_literature_prints_them() -> None:
    rows = seed.events_table()
    assert {row.name: row.found for row in rows} == {"fp32 add": 0.9, "SRAM access": 5, "DRAM access": 640}
    assert all(row.found == row.reference and row.tolerance == 0 for row in rows)


def test_the_literatures_chip_has_no_static_power_and_no_decoder_energy() -> None:
    by_component = simulate(synthesize(one_billion(), "huffman"), "paper45", fps=20).energy_pj_by_component
    assert {name for name, energy_pj in by_component.items() if energy_pj} == {"dram", "sram", "array"}


def test_compressing_saves_dram_power_by_the_ratio_of_the_bytes() -> None:
    dense, packed = (
        simulate(synthesize(one_billion(), variant), "paper45", fps=20) for variant in ("dense", "huffman")
    )
    saved = dense.component_watts("dram") / packed.component_watts("dram")
    assert saved == pytest.approx(dense.file_bytes / packed.file_bytes, rel=1e-6)


#: AlexNet fc6, Deep Compression (arXiv 1510.00149), Table 4: 38 M weights, 9 % kept, 5-bit codes and 4-bit gaps, after
#: Huffman coding 3.9 and 3.2 bits
FC6 = {
    "n_inputs": 9216,
    "n_outputs": 4096,
    "weight_density": 0.09,
    "activation_density": 0.36,
    "code_bits": 5,
    "gap_bits": 4,
    "huffman_bits_per_code": 3.9,
    "huffman_bits_per_gap": 3.2,
}
#: Densities are printed rounded to 1 %, and the paper's own columns disagree by up to 12 % layer by layer
TOLERANCE = 0.12


@pytest.mark.parametrize(
    ("variant", "printed_rate"),
    [("shared", 0.030), ("huffman", 0.0239)],  # Table 4, fc6, columns P+Q and P+Q+H: weights and index, no code tables
)
def test_the_rates_of_alexnet_fc6_are_the_printed_ones(variant: Variant, printed_rate: float) -> None:
    trace = synthesize(table_network(FC6), variant)
    assert 1 / trace.compression_ratio == pytest.approx(printed_rate, rel=TOLERANCE)


def test_filler_zeros_of_alexnet_fc6_are_as_many_as_the_paper_implies() -> None:
    # 3.0 % printed over 9 % x (5 + 4) bits / 32 bits = 2.531 % without fillers: 1.185 entries per nonzero weight
    (layer,) = table_network(FC6).layers
    found = n_entries(layer) / (0.09 * 9216 * 4096)
    assert found == pytest.approx(1.284, rel=1e-3)  # uniformly random masks: 1 / (1 - 0.91^16)
    assert found == pytest.approx(1.185, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("layer", "density", "gap_bits", "implied"),
    [
        # entries per nonzero that the printed P+Q rates imply: rate / (density x (code bits + gap bits) / 32)
        ("AlexNet fc7", 0.09, 4, 1.185),  # 3.0 % / 2.531 %
        ("AlexNet fc8", 0.25, 4, 1.038),  # 7.3 % / 7.031 %
        ("VGG-16 fc6", 0.04, 5, 1.28),  # 1.6 % / 1.25 %
        ("VGG-16 fc8", 0.23, 5, 0.988),  # 7.1 % / 7.188 %
        ("LeNet-300-100 ip1", 0.08, 5, 1.117),  # (3.1 % - 0.027 % codebook) / 2.75 %
    ],
)
def test_filler_overhead_of_other_layers_is_near_the_printed_one(
    layer: str, density: float, gap_bits: int, implied: float
) -> None:
    spec = table_network({"n_inputs": 1000, "n_outputs": 1000, "weight_density": density, "gap_bits": gap_bits})
    assert n_entries(spec.layers[0]) / (density * 1_000_000) == pytest.approx(implied, rel=TOLERANCE)

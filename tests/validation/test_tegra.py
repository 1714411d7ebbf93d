"""Does a chip described by its datasheets take the time and the power that were measured on it?

Deep Compression (arXiv 1510.00149), Tables 8 and 9: the Tegra K1 at batch 1. Four numbers of the chip are calibrated on
these tables, and tests below say how; they are one set for all rows.
"""

from functools import cache
from statistics import geometric_mean, mean

import pytest

from dcsim.soc.dram_spec import BankedDram
from dcsim.soc.spec import SocSpec, StreamDecoder, load_soc
from dcsim.validation import tegra
from dcsim.validation.comparison import Comparison
from dcsim.validation.comparison import of as rows_of

NAMES = ("Alex-6", "Alex-7", "Alex-8", "VGG-6", "VGG-7", "VGG-8")
QUANTITIES = ("dense time", "dense power", "pruned time", "pruned power", tegra.GAIN)
#: 1000 outputs, which got 60 % of the bandwidth of 4096
TOO_FEW_OUTPUTS = ("Alex-8", "VGG-8")


@cache
def table() -> tuple[Comparison, ...]:
    return tegra.tegra_table()


@cache
def chip() -> SocSpec:
    return load_soc("tegra-k1")


def of(quantity: str) -> dict[str, Comparison]:
    return {row.name: row for row in rows_of(table(), quantity) if row.name in NAMES}


def outside(quantity: str, tolerance: float) -> tuple[str, ...]:
    return tuple(layer for layer, row in of(quantity).items() if abs(row.error) > tolerance)


def test_all_figures_of_six_layers_are_compared() -> None:
    found = [(row.name, row.quantity) for row in table() if row.name in NAMES]
    assert found == [(name, what) for name in NAMES for what in QUANTITIES]


def test_every_row_is_within_its_tolerance() -> None:
    assert [row for row in table() if not row.ok] == []
    shown_only = {(row.quantity.removesuffix(" time"), row.name) for row in table() if not row.decides}
    assert shown_only == tegra.OUTLIERS.keys() | {(tegra.GAIN, name) for name in NAMES}


@pytest.mark.parametrize(("kind", "found"), [("dense", 4), ("pruned", 5)])
def test_times_are_within_15_percent_on_four_of_six(kind: str, found: int) -> None:
    (row,) = rows_of(table(), f"{kind} time: within 15 %")
    assert (row.name, row.reference, row.found) == ("of 6", 4, found)


def test_printed_figures_are_taken_in_seconds_and_watts() -> None:
    assert of("pruned time")["VGG-6"].reference == 4377.2e-6
    assert of("pruned power")["VGG-7"].reference == 6.3


def test_dense_time_is_within_15_percent_on_four_of_six() -> None:
    assert outside("dense time", 0.15) == TOO_FEW_OUTPUTS


def test_layers_with_1000_outputs_are_too_fast_by_what_they_lose_of_the_bandwidth() -> None:
    """7.3 GB/s where the others get 12: dense fp32 weights over the printed time."""
    for layer in TOO_FEW_OUTPUTS:
        row = of("dense time")[layer]
        assert 4 * 4096 * 1000 / row.reference == pytest.approx(7.3e9, rel=0.01)
        assert row.error == pytest.approx(7.3 / 12.1 - 1, abs=0.01)


def test_pruned_time_is_within_15_percent_on_four_of_six_and_one_more() -> None:
    assert outside("pruned time", 0.15) == ("VGG-6",)


@pytest.mark.parametrize("quantity", ["dense power", "pruned power"])
def test_power_is_within_15_percent(quantity: str) -> None:
    assert outside(quantity, 0.15) == ()


def test_pruning_gains_4_2_in_energy_within_20_percent() -> None:
    (gain,) = [row for row in table() if row.name == "geometric mean"]
    assert (round(gain.reference, 1), gain.tolerance) == (4.2, 0.20)
    assert gain.ok


def test_entries_a_cycle_are_the_printed_rates_of_the_pruned_layers() -> None:
    """Nonzeros at the rounded densities of Tables 4 and 5 over the printed time, geometric mean of the six."""
    nonzeros = {"Alex-6": 0.09 * 9216 * 4096, "Alex-7": 0.09 * 4096 * 4096, "Alex-8": 0.25 * 4096 * 1000}
    nonzeros |= {"VGG-6": 0.04 * 25088 * 4096, "VGG-7": 0.04 * 4096 * 4096, "VGG-8": 0.23 * 4096 * 1000}
    rate_hz = geometric_mean([nonzeros[layer] / row.reference for layer, row in of("pruned time").items()])
    decoder = chip().decoder
    assert isinstance(decoder, StreamDecoder)
    assert decoder.symbols_per_cycle == pytest.approx(rate_hz / chip().clock_hz, abs=0.005)


def test_bursts_in_flight_are_the_whole_number_that_fits_the_dense_layers_best() -> None:
    best = mean(abs(row.error) for layer, row in of("dense time").items() if layer not in TOO_FEW_OUTPUTS)
    dram = chip().dram
    assert isinstance(dram, BankedDram)
    assert dram.n_outstanding is not None
    for n_outstanding in (dram.n_outstanding - 1, dram.n_outstanding + 1):
        other = chip().model_copy(update={"dram": dram.model_copy(update={"n_outstanding": n_outstanding})})
        found_ps = tegra.back_to_back(tegra.layer_traces("eie-alex-7")["dense"], other).service_ps
        assert abs(found_ps * 1e-12 / of("dense time")["Alex-7"].reference - 1) > best


@pytest.mark.parametrize("quantity", ["dense power", "pruned power"])
def test_power_is_calibrated_on_the_mean_of_six_rows(quantity: str) -> None:
    rows = of(quantity).values()
    assert mean(row.found for row in rows) == pytest.approx(mean(row.reference for row in rows), rel=0.005)

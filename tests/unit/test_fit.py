"""Is the value that `fit` finds the one that follows by hand, and does it say when there is none?"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dcsim.errors import ConfigError, SimulationError
from dcsim.explore.bisection import search, spread, values_between
from dcsim.explore.budget import Budget, Limits
from dcsim.explore.fit import Fit, fit, fit_traces, highest_fps
from dcsim.explore.network_knobs import Source, by_codebook_bits, fit_source, with_codebook_bits
from dcsim.report.answers import fit_lines, fit_table
from dcsim.simulation.simulate import simulate
from dcsim.soc.spec import load_soc
from dcsim.traces.trace import Trace
from dcsim.zoo import find_network
from tests.builders import chip, coded, linear, network, table_network

# --- the search ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Toy:
    """An outcome that is known."""

    fits: bool
    miss: float = 1.0
    possible: bool = True


def asking(fitting: set[int], impossible: frozenset[int] = frozenset()) -> Callable[[int], Toy]:
    def ask(place: int) -> Toy:
        nearest = min((abs(place - other) for other in fitting), default=99)
        return Toy(place in fitting, float(nearest), place not in impossible)

    return ask


def test_the_first_place_that_fits_is_found_by_halves() -> None:
    ask = asking(set(range(371, 1000)))
    found = search(1000, [], ask, ask)
    assert (found.place, found.monotone, found.windows) == (371, True, ((999, 999),))
    assert found.before == ask(370)
    assert len(found.trail) < 15


def test_windows_are_told_and_the_first_one_is_refined() -> None:
    ask = asking({*range(33, 48), *range(70, 100)})
    found = search(100, range(0, 100, 10), ask, ask)
    assert (found.place, found.monotone, found.windows) == (33, False, ((40, 40), (70, 99)))


@pytest.mark.parametrize("shift", [-40, -3, -1, 0, 1, 3, 40])
def test_the_judge_has_the_last_word(shift: int) -> None:
    guide, judge = asking(set(range(500, 1000))), asking(set(range(500 + shift, 1000)))
    found = search(1000, [], guide, judge)
    assert found.place == 500 + shift
    assert found.outcome.fits
    assert found.before == judge(499 + shift)
    assert sum(of_judge for _, of_judge, _ in found.trail) < 16


def test_the_judge_may_find_nothing_where_the_guide_did_and_the_other_way_round() -> None:
    assert search(100, [], asking({99}), asking(set())).place is None
    assert search(100, [], asking(set()), asking({98, 99})).place == 98


def test_the_nearest_miss_is_told() -> None:
    guide = asking(set())
    found = search(9, range(9), lambda place: Toy(False, abs(place - 6) + 1.0), guide)
    assert (found.place, found.before) == (None, None)
    assert [place for place, of_judge, _ in found.trail if of_judge] == [6]


def test_a_narrow_window_is_found_around_the_nearest_miss() -> None:
    ask = asking({4321})
    found = search(10_000, range(0, 10_000, 500), ask, ask)
    assert found.place == 4321
    assert len(found.trail) < 100


def test_places_that_cannot_be_say_nothing_of_those_that_can() -> None:
    powers = {1 << n for n in range(10)}
    impossible = frozenset(set(range(1024)) - powers)
    ask = asking({place for place in powers if place >= 64}, impossible)
    found = search(1024, powers, ask, ask)
    assert (found.place, found.monotone) == (64, True)
    assert found.windows == ((64, 512),)
    assert found.before == ask(32)  # 63 cannot be, and 32 is the last that can


def test_all_fits_from_the_first_place_on() -> None:
    ask = asking(set(range(50)))
    found = search(50, [], ask, ask)
    assert (found.place, found.before, found.monotone) == (0, None, True)


def test_values_between_bounds() -> None:
    assert list(values_between(3, 7, whole=True)) == [3, 4, 5, 6, 7]
    numbers = values_between(0.0123456, 98.7, whole=False)
    assert numbers[:3] == [0.0123456, 0.01235, 0.01236]
    assert numbers[-2:] == [98.69, 98.7]
    assert sorted(numbers) == numbers
    clocks = values_between(1_234_567, 900_000_000, whole=True)
    assert clocks[:3] == [1_234_567, 1_235_000, 1_236_000]
    assert all(type(value) is int for value in clocks)
    from_zero = values_between(0, 8, whole=False)
    assert (from_zero[0], from_zero[-1]) == (0, 8)
    assert len(set(from_zero)) == len(from_zero) < 100_000


def test_samples_hold_the_ends_and_the_value_doubled_and_halved() -> None:
    ladder = values_between(8, 32_768, whole=True)
    values = [ladder[place] for place in spread(ladder, 512)]
    assert {8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768} <= set(values)
    assert spread([1, 2, 3], 2) == [0, 1, 2]


# --- knobs of a chip -----------------------------------------------------------------------------------------------

#: 64 KiB of weights that never stay in 4 KiB of SRAM; 128 x 128 MACs at one a cycle of 1 ns take 16.384 us
STREAMED = network(linear("fc", 128, 128))
WEIGHT_BYTES, N_MACS = 128 * 128 * 4, 128 * 128


def budget(**limits: float) -> Budget:
    return Budget(name="toy", limits=Limits(**limits))


def reasons(found: Fit) -> list[str]:
    return [attempt.check.name if attempt.check else attempt.fault for attempt in found.trail]


def test_the_lowest_bandwidth_follows_from_bytes_and_frames() -> None:
    fps = 100.0
    found = fit(
        STREAMED,
        chip(),
        fps,
        budget(latency_s=1.0),
        "dram.bandwidth_bytes_per_s",
        lowest=1e5,
        highest=1e9,
    )
    assert found.found
    assert found.beyond
    bandwidth = float(found.found.value)
    # 65,536 bytes in 10 ms, besides the tail of the last tile of 1 KiB that is still computed: 256 cycles
    assert bandwidth == pytest.approx(WEIGHT_BYTES / (1 / fps - 256e-9), rel=2e-3)
    assert float(found.beyond.value) == pytest.approx(bandwidth, rel=1.1e-3)
    assert float(found.beyond.value) < bandwidth
    assert found.beyond.check
    assert found.beyond.check.name == "sustainable_fps"
    assert (found.monotone, found.exhaustive, found.nearest) == (True, False, None)
    assert found.question.knob == "dram.bandwidth_bytes_per_s"


def test_the_highest_frame_rate_under_a_power_limit_is_the_limit_over_the_energy() -> None:
    energy_pj = simulate(STREAMED, chip(), 1).energy_pj_per_frame  # no static power: the same at any rate
    watts = 1e-3
    found = fit(STREAMED, chip(), 1, budget(average_power_watts=watts), "fps", "largest")
    assert found.found
    assert found.beyond
    exact = watts * 1e12 / energy_pj
    assert float(found.found.value) <= exact < float(found.beyond.value)
    assert float(found.beyond.value) == pytest.approx(float(found.found.value), rel=1.1e-3)
    assert found.question.fps is None
    assert found.beyond.check
    assert found.beyond.check.name == "average_power_watts"


def test_the_highest_frame_rate_at_all_is_what_the_chip_keeps_up_with() -> None:
    found = fit(STREAMED, chip(), 1, budget(average_power_watts=1e3), "fps", "largest")
    assert found.found
    assert float(found.found.value) <= highest_fps(STREAMED, chip()) <= float(found.found.value) * (1 + 1e-3)
    assert highest_fps(STREAMED, chip()) == pytest.approx(1e9 / N_MACS, rel=0.02)


def test_the_smallest_sram_under_an_energy_limit_is_the_one_that_holds_the_weights() -> None:
    # two buffers of 1 KiB, 64 KiB of weights, 128 inputs and 128 outputs of 4 bytes: 67 KiB exactly
    streamed, resident = (simulate(STREAMED, chip({"sram.capacity_kib": kib}), 20) for kib in (66, 67))
    limit_pj = (streamed.energy_pj_per_frame + resident.energy_pj_per_frame) / 2
    found = fit(STREAMED, chip(), 20, budget(energy_pj_per_frame=limit_pj), "sram.capacity_kib", highest=512)
    assert found.found
    assert found.beyond
    assert (found.found.value, found.beyond.value) == (67, 66)
    assert type(found.found.value) is int
    assert found.beyond.check
    assert found.beyond.check.name == "energy_pj_per_frame"
    assert {attempt.engine for attempt in found.trail} == {"analytic", "event"}


def test_one_engine_alone() -> None:
    limits = budget(average_power_watts=1e-3)
    found = fit(STREAMED, chip(), 1, limits, "fps", "largest", engine="analytic")
    assert {attempt.engine for attempt in found.trail} == {"analytic"}
    sure = fit(STREAMED, chip(), 1, limits, "fps", "largest")
    assert found.found
    assert sure.found
    assert found.found.value == sure.found.value


def test_what_cannot_be_met_has_a_nearest_miss_and_a_reason() -> None:
    found = fit(STREAMED, chip(), 20, budget(latency_s=1e-6), "clock_hz", highest=10_000_000_000)
    assert (found.found, found.beyond, found.windows) == (None, None, ())
    assert found.nearest
    assert found.nearest.value == 10_000_000_000
    assert found.nearest.engine == "event"
    assert found.nearest.check
    assert found.nearest.check.name == "latency_s"
    assert found.nearest.miss == pytest.approx(0.65, abs=0.05)  # 16,384 cycles of 0.1 ns, and a little


def test_a_window_is_found_and_said_to_be_one() -> None:
    # a larger SRAM of CACTI cells leaks more: enough to hold the weights, not so much that it leaks them away
    soc = chip(
        {
            "sram": {
                "kind": "cacti45",
                "capacity_kib": 64,
                "access_width_bits": 32,
                "cell": "low-operating-power",
                "n_banks": 1,
            }
        }
    )
    watts = {
        kib: simulate(
            STREAMED, soc.model_copy(update={"sram": soc.sram.model_copy(update={"capacity_kib": kib})}), 1000
        ).average_power_watts
        for kib in (16, 67, 2048)
    }
    assert watts[67] < min(watts[16], watts[2048])
    limit = (watts[67] + min(watts[16], watts[2048])) / 2
    found = fit(STREAMED, soc, 1000, budget(average_power_watts=limit), "sram.capacity_kib", lowest=16, highest=8192)
    assert found.found
    assert found.found.value == 67
    assert not found.monotone
    ((first, last),) = found.windows
    assert 67 <= first < last < 2048


def test_a_bound_may_be_the_answer() -> None:
    found = fit(STREAMED, chip(), 20, budget(latency_s=1.0), "sram.capacity_kib", "largest", highest=100)
    assert found.found
    assert (found.found.value, found.beyond) == (100, None)


def test_whole_numbers_and_values_that_the_chip_refuses() -> None:
    soc = load_soc("mobile45")
    found = fit(STREAMED, soc, 20, budget(latency_s=1.0), "sram.capacity_kib", "largest")
    assert found.found
    assert found.beyond
    assert (found.found.value, found.beyond.value, found.beyond.possible) == (8192, 8193, False)
    assert "sizes of the CACTI table" in found.beyond.fault
    assert found.monotone  # sizes that are refused are no verdict
    rows = fit(STREAMED, soc, 20, budget(latency_s=1.0), "dram.row_bytes", "smallest")
    assert rows.found
    assert rows.found.value == 64
    assert rows.monotone


@pytest.mark.parametrize(
    ("knob", "bounds", "said"),
    [
        ("sram.capacity", {}, "did you mean sram.capacity_kib"),
        ("sram.kind", {}, "has no number sram.kind"),
        ("always_on_mw", {}, "always_on_mw is 0.0 in the chip's file: give --from and --to"),
        ("dram.bandwidth_bytes_per_s", {"lowest": 1.0}, "is not set in the chip's file"),
        ("sram.capacity_kib", {"lowest": 4.5}, "is a whole number"),
        ("sram.capacity_kib", {"lowest": 9, "highest": 8}, "the second above the first"),
        ("fps", {"lowest": 0.0}, "must be positive"),
        ("fps", {"highest": math.inf}, "must be positive"),
        ("volts", {"lowest": -1.0}, "must be positive"),
        ("operating_point", {}, "no number"),
    ],
)
def test_knobs_that_cannot_be_turned(knob: str, bounds: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fit(STREAMED, chip(), 20, budget(latency_s=1.0), knob, **bounds)


def test_operating_points_are_turned_by_their_own_clock() -> None:
    soc = load_soc("mobile45")
    limits = budget(latency_s=1.0)
    with pytest.raises(ConfigError, match="operating_point: nominal"):
        fit(STREAMED, soc, 20, limits, "operating_points.0.clock_hz")
    auto = soc.model_copy(update={"operating_point": "auto"})
    with pytest.raises(ConfigError, match="operating_point: nominal"):
        fit(STREAMED, auto, 20, limits, "clock_hz")
    with pytest.raises(ConfigError, match="from its timing"):
        fit(STREAMED, soc, 20, limits, "dram.bandwidth_bytes_per_s")


def test_the_slowest_operating_point_that_keeps_up() -> None:
    # 16,384 MACs, 16 a cycle, in no less than 1,024 cycles: 5.4 us at 190 MHz, 2.9 us at 350 MHz
    soc = load_soc("mobile45")
    resident = network(linear("fc", 128, 128))
    times_s = [
        simulate(resident, soc.model_copy(update={"operating_point": place}), 1).service_ps / 1e12 for place in range(4)
    ]
    assert times_s == sorted(times_s, reverse=True)
    limit_s = (times_s[1] + times_s[2]) / 2
    for choice in ("nominal", "auto", 0):
        chosen = soc.model_copy(update={"operating_point": choice})
        found = fit(resident, chosen, 20, budget(latency_s=limit_s), "operating_point")
        assert found.found
        assert found.beyond
        assert (found.found.value, found.beyond.value, found.exhaustive) == (2, 1, True)


def test_a_frame_rate_must_be_one() -> None:
    with pytest.raises(SimulationError, match="fps must be"):
        fit(STREAMED, chip(), 0, budget(latency_s=1.0), "clock_hz")


# --- knobs of a network --------------------------------------------------------------------------------------------


def of_bits(bits: int) -> Trace:
    """16 KiB of codes at 8 bits."""
    blocks = coded(128 * 128, bits, 1)
    return network(linear("fc", 128, 128, encoding="shared", blocks=blocks), test_error=0.5**bits, variant="shared")


def test_the_fewest_bits_that_keep_an_error() -> None:
    makers = {bits: (lambda bits=bits: of_bits(bits)) for bits in range(1, 11)}
    found = fit_traces(makers, chip({"sram.capacity_kib": 64}), 20, budget(test_error=0.03), "codebook_bits")
    assert found.found
    assert found.beyond
    assert (found.found.value, found.beyond.value) == (6, 5)  # 1/64 and 1/32
    assert found.exhaustive
    few = fit_traces(makers, chip({"sram.capacity_kib": 64}), 20, budget(test_error=0.03), "codebook_bits", stride=3)
    assert few.found == found.found
    assert not few.exhaustive


def test_the_most_bits_that_keep_a_size() -> None:
    makers = {bits: (lambda bits=bits: of_bits(bits)) for bits in range(1, 11)}
    limits = budget(file_bytes=128 * 128 * 7 / 8)
    found = fit_traces(makers, chip({"sram.capacity_kib": 64}), 20, limits, "codebook_bits", "largest")
    assert found.found
    assert found.found.value == 6  # and a bit for the gap


def test_without_evidence_nothing_is_searched_for() -> None:
    trace = network(linear("fc", 8, 8), test_error=None)
    limits = budget(test_error=0.03, accuracy_loss=0.01, latency_s=1e-9)
    with pytest.raises(ConfigError, match=r"missing for toy: test_error \(.* not measured\); accuracy_loss \("):
        fit(trace, chip(), 20, limits, "clock_hz")


def test_what_the_chip_cannot_be_is_never_the_nearest_miss() -> None:
    soc, limits = load_soc("mobile45"), budget(latency_s=1e-9)
    found = fit(STREAMED, soc, 1e7, limits, "sram.capacity_kib")  # frames queue: no point has a latency to miss by
    assert not all(attempt.possible for attempt in found.trail)
    assert found.nearest
    assert found.nearest.possible
    beyond = fit(STREAMED, soc, 20, limits, "sram.capacity_kib", lowest=10_000, highest=20_000)
    assert (beyond.found, beyond.nearest) == (None, None)
    assert list(fit_lines(beyond)) == [
        "no sram.capacity_kib from 10,000 to 20,000 fits toy",
        "mobile45 cannot have any of the values that were tried",
    ]
    assert fit_table(beyond).row_count == 1


def test_code_bits_of_a_table_keep_the_share_that_huffman_coding_leaves() -> None:
    table = table_network({"n_inputs": 40, "n_outputs": 30, "code_bits": 5, "huffman_bits_per_code": 4.0})
    (layer,) = with_codebook_bits(table, 10).layers
    assert (layer.code_bits, layer.huffman_bits_per_code, layer.huffman_bits_per_gap) == (10, 8.0, 3.0)
    (layer,) = with_codebook_bits(table, 1).layers
    assert (layer.code_bits, layer.huffman_bits_per_code) == (1, 1.0)
    decoder = find_network("llama-2-7b").spec
    assert decoder
    weights = with_codebook_bits(decoder, 8).weights
    assert weights
    assert (weights.code_bits, weights.huffman_bits_per_code) == (8, pytest.approx(2 * 3.72))


def test_fewer_code_bits_make_a_smaller_file() -> None:
    makers = by_codebook_bits(Source("one-billion"))
    sizes = [makers[bits]().file_bytes for bits in (2, 5, 8)]
    assert sizes == sorted(sizes)
    assert makers[5]().file_bytes == pytest.approx(102_553_524, rel=1e-6)  # as models/one-billion says


@pytest.mark.parametrize(
    ("source", "knob", "said"),
    [
        (Source("one-billion", "pruned"), "codebook_bits", "the pruned variant has no codes"),
        (Source("lenet-5", recipe="best"), "codebook_bits", "takes no recipe"),
        (Source("own:build"), "codebook_bits", "give --data module:callable"),
        (Source("one-billion", "pruned"), "variant", "--variant has no place"),
        (Source("saved.parquet"), "variant", "a trace of one variant"),
        (Source("saved.parquet", "dense"), "clock_hz", "a trace of one variant"),
    ],
)
def test_network_knobs_that_cannot_be_turned(source: Source, knob: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fit_source(source, "paper45", 1, "phone", knob, "smallest")


def test_bounds_are_for_numbers_with_many_values() -> None:
    with pytest.raises(ConfigError, match="few values"):
        fit_source(Source("one-billion"), "paper45", 1, "phone", "variant", "smallest", lowest=1)

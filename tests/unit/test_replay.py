"""Is the schedule the one worked out by hand, to the picosecond?

The plain chip does one MAC per nanosecond. A 32 x 32 fp32 layer has 4096 bytes of weights, which are four tiles of
1 KiB and 256 ns of work each; they do not fit into the SRAM beside two buffers of 1 KiB, so every frame fetches them.
"""

import math
from dataclasses import asdict

import pytest

from dcsim.errors import SimulationError
from dcsim.simulation.result import ResourceUse, RunResult
from dcsim.simulation.simulate import simulate
from dcsim.soc.ledger import total_pj
from dcsim.soc.spec import load_soc
from dcsim.traces.synthetic import synthesize
from tests.builders import STREAM_DECODER, chip, coded, elementwise, linear, network, table_network

NS = 1000  # ps
LAYER = linear("fc", 32, 32)
ONE = network(LAYER)
TWO = network(linear("a", 32, 32), linear("b", 32, 32, producers=(0,)))
#: a tile of 1 KiB takes 128 ns at 8e9 bytes per s and 512 ns at 2e9, its work 256 ns
FAST, SLOW = {"dram.bandwidth_bytes_per_s": 8e9}, {"dram.bandwidth_bytes_per_s": 2e9}
RESIDENT = {"sram.capacity_kib": 8}


def use(result: RunResult, resource: str) -> ResourceUse:
    return next(use for use in result.resources if use.resource == resource)


def stalls(result: RunResult, resource: str) -> dict[str, int]:
    return {cause: time_ps for cause, time_ps in use(result, resource).stall_ps.items() if time_ps}


# --- schedules -----------------------------------------------------------------------------------------------------


def test_without_any_waiting_the_array_alone_sets_the_time() -> None:
    result = simulate(ONE, chip(), fps=1000)
    assert result.service_ps == 1024 * NS
    assert use(result, "array") == ResourceUse("array", 1024 * NS, use(result, "array").stall_ps, 998_976 * NS)
    assert stalls(result, "array") == {}


def test_computing_hides_all_fetches_but_the_first() -> None:
    # fetch  |1 |2 |     |3 |    |4 |       128 ns each; the third waits for the first buffer, free at 384
    # array     |1    |2    |3    |4    |   256 ns each, from 128 on
    result = simulate(ONE, chip(FAST), fps=1000)
    assert result.service_ps == (128 + 4 * 256) * NS
    assert (use(result, "array").busy_ps, stalls(result, "array")) == (1024 * NS, {"weights": 128 * NS})
    assert (use(result, "dram").busy_ps, stalls(result, "dram")) == (512 * NS, {"no_request": 640 * NS})


def test_fetching_hides_all_computing_but_the_last() -> None:
    # fetch  |1       |2       |3       |4       |   512 ns each
    # array           |1 |     |2 |     |3 |     |4 |
    result = simulate(ONE, chip(SLOW), fps=1000)
    assert result.service_ps == (4 * 512 + 256) * NS
    assert (use(result, "array").busy_ps, stalls(result, "array")) == (1024 * NS, {"weights": (512 + 3 * 256) * NS})
    assert (use(result, "dram").busy_ps, stalls(result, "dram")) == (2048 * NS, {"no_request": 256 * NS})


def test_with_a_single_buffer_fetching_and_computing_take_turns() -> None:
    result = simulate(ONE, chip(FAST | {"tiles.n_buffers": 1, "sram.capacity_kib": 3}), fps=1000)
    assert result.service_ps == 4 * (128 + 256) * NS


@pytest.mark.parametrize(
    ("lanes", "service_ns", "busy_ns"),
    [
        # 1024 codes and 1024 gaps of 4 bits: 1024 bytes, 256 a tile, 32 ns to fetch. A tile takes the decoder 512 ns
        # with one lane, 256 with two, and the array 256.
        (1, 32 + 4 * 512 + 256, 2048),
        (2, 32 + 4 * 256 + 256, 1024),
    ],
)
def test_the_decoder_is_a_stage_between_fetching_and_computing(lanes: int, service_ns: int, busy_ns: int) -> None:
    packed = network(linear("fc", 32, 32, encoding="shared", blocks=coded(1024, 4, 4)))
    soc = chip(FAST | {"decoder": STREAM_DECODER | {"lanes": lanes}, "sram.capacity_kib": 5})
    result = simulate(packed, soc, fps=1000)
    assert result.service_ps == service_ns * NS
    assert use(result, "decoder").busy_ps == busy_ns * NS
    assert stalls(result, "decoder") == {"weights": 32 * NS, "drained": 256 * NS}


def test_weights_of_the_next_layer_are_fetched_while_this_one_computes() -> None:
    result = simulate(TWO, chip(FAST), fps=1000)
    assert result.service_ps == (128 + 8 * 256) * NS
    a, b = result.layers
    assert (a.start_s, a.end_s) == (pytest.approx(128e-9), pytest.approx(1152e-9))
    assert (b.start_s, b.end_s) == (pytest.approx(1152e-9), pytest.approx(2176e-9))


def test_a_spilled_activation_is_written_before_the_next_layer_reads_it() -> None:
    # a and b have 16 x 16 weights, resident, and 64 rows of activations, 4096 bytes each, all in DRAM: four tiles each.
    # At 8e9 bytes per s: read the first tile 128, compute 64 x 16 x 16 = 16384, write the last 128, then the same for b.
    trace = network(linear("a", 16, 16, m=64), linear("b", 16, 16, m=64, producers=(0,)))
    result = simulate(trace, chip(FAST), fps=1000)
    assert result.dram_bytes_per_frame == 4 * 4096
    assert result.service_ps == 2 * (128 + 16_384 + 128) * NS


def test_a_spilled_activation_is_read_only_after_its_last_tile_is_written() -> None:
    # 32 x 32 weights in four tiles, 16 rows: 2 KiB of activations. The input takes the 2 KiB beside the buffers, so a's
    # output is spilled; b's then takes them. a: fetch 128, four tiles of 4096 ns, the last write of 512 bytes 64. Only
    # then b: its weights pass in four chunks, each with the whole input, 12 KiB in all, so twelve tiles of 128 ns.
    trace = network(linear("a", 32, 32, m=16), linear("b", 32, 32, m=16, producers=(0,)))
    result = simulate(trace, chip(FAST), fps=1000)
    assert [layer.dram_read_bytes for layer in result.layers] == [4096, 4096 + 4 * 2048]
    assert [layer.dram_write_bytes for layer in result.layers] == [2048, 0]
    assert result.service_ps == (128 + 4 * 4096 + 64 + 128 + 4 * 4096) * NS


def test_layers_without_a_common_producer_still_follow_one_another() -> None:
    # one array: 16 inputs x 2, and their addition, 32 inputs at one a cycle
    trace = network(linear("a", 16, 16), linear("b", 16, 16), elementwise("add", 32, 16, producers=(0, 1)))
    assert simulate(trace, chip(), fps=1000).service_ps == (256 + 256 + 32) * NS


def test_operands_that_do_not_pass_the_sram_port_in_time_stall_the_array() -> None:
    # CACTI, 8 KiB, 32 bits, low operating power: a cycle of 0.57 ns, one access per ns. Each MAC reads a weight and an
    # activation: 2048 accesses for 1024 MACs, and 32 writes of outputs. The port never rests.
    sram = {"kind": "cacti45", "capacity_kib": 8, "access_width_bits": 32, "cell": "low-operating-power", "n_banks": 1}
    result = simulate(ONE, chip({"sram": sram}), fps=1000)
    assert result.service_ps == (2048 + 32) * NS
    assert (use(result, "sram").busy_ps, stalls(result, "sram")) == (2080 * NS, {})
    assert use(result, "array").busy_ps == 1024 * NS
    assert stalls(result, "array")["sram"] >= 1024 * NS


LPDDR3 = {"dram": load_soc("mobile45").dram.model_dump(), "idle.dram": "self_refresh"}


def test_a_channel_that_slept_wakes_opens_a_row_and_then_streams() -> None:
    # One tile of 1 KiB: 32 bursts of 4 cycles of 1250 ps in the 149 / 156 of the time that refresh leaves, 167517 ps,
    # after tXS + tRCD + CL + the first burst, 207 cycles, 258750 ps; then 256 ns of work.
    result = simulate(
        network(linear("fc", 16, 16)), chip(LPDDR3 | {"sram.capacity_kib": 2, "tiles.n_buffers": 1}), fps=1000
    )
    assert result.service_ps == 258_750 + 167_517 + 256 * NS
    assert use(result, "dram").busy_ps == 167_517
    assert stalls(result, "dram") == {"latency": 258_750, "no_request": 256 * NS}


def test_reading_what_was_just_written_turns_the_channel_around() -> None:
    # Two layers whose activations of 4096 bytes are spilled, in tiles of 1 KiB: 32 bursts, 128 cycles, 167517 ps with
    # refresh. After a pause of the channel a row is opened again: 31 cycles, 38750 ps. b reads as soon as the last tile
    # of a is written: no pause, but CL + 2 + tWTR = 20 cycles more, 148 x 156 / 149 x 1250 = 193691 ps.
    trace = network(linear("a", 16, 16, m=64), linear("b", 16, 16, m=64, producers=(0,)))
    result = simulate(trace, chip(LPDDR3), fps=1000)
    read_a, write_a, read_b, write_b = 258_750 + 167_517, 38_750 + 167_517, 193_691, 38_750 + 167_517
    assert result.service_ps == read_a + write_a + read_b + write_b + 2 * 16_384 * NS


# --- frames --------------------------------------------------------------------------------------------------------


def test_the_first_frame_loads_resident_weights_and_later_ones_do_not() -> None:
    result = simulate(ONE, chip(FAST | RESIDENT), fps=1000)
    assert result.cold_service_ps == (128 + 4 * 256) * NS
    assert result.service_ps == 4 * 256 * NS
    assert (result.resident_bytes, result.dram_bytes_per_frame) == (4096, 0)
    assert not [row for row in result.ledger if row.component == "dram"]


def test_a_sustainable_frame_takes_its_service_time_from_arrival_to_last_write_back() -> None:
    result = simulate(ONE, chip(FAST), fps=400_000)
    assert result.period_ps == 2500 * NS
    assert result.latency_s == pytest.approx(1152e-9)
    assert use(result, "array").idle_ps == (2500 - 1152) * NS
    assert result.sustainable


def test_latency_is_the_steady_one_although_loading_the_weights_took_many_periods() -> None:
    # loading 4096 bytes at 4e8 bytes per s takes 10.24 us, five periods of 2 us; a steady frame takes 1.024 us
    result = simulate(ONE, chip(RESIDENT | {"dram.bandwidth_bytes_per_s": 4e8}), fps=500_000)
    assert result.cold_service_ps > 5 * result.period_ps
    assert result.sustainable
    assert result.latency_s == pytest.approx(1024e-9)


def test_frames_that_follow_each_other_exactly_are_sustainable() -> None:
    result = simulate(ONE, chip(), fps=1e12 / (1024 * NS))
    assert (result.period_ps, result.service_ps) == (1024 * NS, 1024 * NS)
    assert result.sustainable
    assert result.latency_s == pytest.approx(1024e-9)


def test_frames_that_come_too_fast_queue_without_bound() -> None:
    result = simulate(ONE, chip(FAST), fps=1e6)
    assert not result.sustainable
    assert result.latency_s is None
    assert result.period_ps == result.service_ps == 1152 * NS  # one after the other
    assert result.sustainable_fps == pytest.approx(1e12 / (1152 * NS))


def test_a_batch_is_one_frame_of_several_inferences() -> None:
    trace = network(linear("fc", 32, 32, m=4), batch=4)
    result = simulate(trace, chip(RESIDENT | {"always_on_mw": 1.0}), fps=1000)
    assert result.period_ps == 4 * 10**9  # four inferences every 4 ms
    assert result.service_ps == 4 * 1024 * NS
    assert result.sustainable_fps == pytest.approx(4 / 4096e-9)
    assert result.component_watts("always_on") == pytest.approx(1e-3)
    assert result.average_power_watts == pytest.approx(result.energy_pj_per_frame / 1e12 / 4e-3)


@pytest.mark.parametrize("fps", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_a_frame_rate_that_is_no_positive_number_is_refused(fps: float) -> None:
    with pytest.raises(SimulationError, match="fps must be a positive number"):
        simulate(ONE, chip(), fps)


def test_a_trace_without_layers_is_refused() -> None:
    with pytest.raises(SimulationError, match="no layers"):
        simulate(network(), chip(), 20)


def test_a_chip_is_found_by_name() -> None:
    assert simulate(ONE, "paper45", 20).soc == "paper45"


def test_two_runs_are_equal() -> None:
    trace = synthesize(
        table_network({"n_inputs": 300, "n_outputs": 100}, {"n_inputs": 100, "n_outputs": 10}), "huffman"
    )
    assert simulate(trace, "mobile45", 20) == simulate(trace, "mobile45", 20)


# --- energy --------------------------------------------------------------------------------------------------------


def test_every_picojoule_of_a_frame_worked_out_by_hand() -> None:
    result = simulate(ONE, chip({"always_on_mw": 1.0}), fps=1000)
    events = {
        (row.component, row.action): row.count * row.pj_each for row in result.ledger if row.component != "always_on"
    }
    assert events == {
        ("dram", "read"): 1024 * 640.0,  # weights, 4 bytes an access
        ("sram", "write"): (1024 + 32) * 6.0,  # weights from DRAM, outputs from the array
        ("sram", "read"): 2048 * 5.0,  # a weight and an activation per MAC
        ("array", "mac"): 1024 * 4.6,
    }
    assert result.energy_pj_by_component["always_on"] == pytest.approx(1e6)  # 1 mW for 1 ms
    assert result.energy_pj_per_frame == pytest.approx(655_360 + 6_336 + 10_240 + 4_710.4 + 1_000_000)
    assert result.average_power_watts == pytest.approx(1.6766464e-3)  # that, 1000 times a second


def test_energy_per_frame_is_the_sum_of_the_ledger_to_the_last_bit() -> None:
    trace = synthesize(table_network({"n_inputs": 300, "n_outputs": 100}), "huffman")
    result = simulate(trace, "mobile45", 20)
    assert result.energy_pj_per_frame == total_pj(result.ledger)
    assert result.energy_pj_per_frame == pytest.approx(sum(result.energy_pj_by_component.values()), rel=1e-12)


def test_dram_bytes_per_frame_are_the_bursts_of_the_ledger_but_for_their_rounding() -> None:
    trace = synthesize(
        table_network({"n_inputs": 2001, "n_outputs": 999}, {"n_inputs": 999, "n_outputs": 401}), "dense"
    )
    result = simulate(trace, "mobile45", 20)
    bursts = sum(row.count for row in result.ledger if row.component == "dram" and row.action in ("read", "write"))
    assert result.dram_bytes_per_frame == 2001 * 999 * 4 + 999 * 401 * 4
    assert 0 <= bursts * 32 - result.dram_bytes_per_frame < 2 * 32  # two regions


def test_static_energy_lasts_from_one_frame_to_the_next() -> None:
    slow, fast = (simulate(ONE, chip({"always_on_mw": 1.0}), fps) for fps in (1000, 4000))
    assert slow.energy_pj_by_component["always_on"] == 4 * fast.energy_pj_by_component["always_on"]
    assert slow.component_watts("always_on") == pytest.approx(fast.component_watts("always_on")) == pytest.approx(1e-3)


def test_dram_sleeps_outside_of_its_first_and_last_use() -> None:
    trace = synthesize(table_network({"n_inputs": 2000, "n_outputs": 1000}), "dense")
    result = simulate(trace, "mobile45", 20)
    states = {row.action: row.count for row in result.ledger if row.component == "dram_background"}
    assert states["active"] + states.get("standby", 0) + states["self_refresh"] == result.period_ps == 5 * 10**10
    assert states["refresh"] == states["active"] + states.get("standby", 0)
    assert states["active"] > use(result, "dram").busy_ps


# --- what a result shows -------------------------------------------------------------------------------------------


def test_frames_of_a_result_have_the_rows_of_their_parts() -> None:
    result = simulate(TWO, chip(FAST), 1000)
    assert list(result.layers_frame()["layer"]) == ["a", "b"]
    assert list(result.ledger_frame()["energy_pj"]) == [row.energy_pj for row in result.ledger]
    resources = result.resources_frame().groupby("resource")["time_s"].sum()
    assert all(total == pytest.approx(1e-3) for total in resources)
    assert sorted(resources.index) == ["array", "decoder", "dram", "sram"]
    assert result.frame()["energy_dram_pj"].tolist() == [result.energy_pj_by_component["dram"]]


def test_layers_say_where_their_data_lay() -> None:
    (layer,) = simulate(network(linear("a", 16, 16, m=64)), chip(FAST), 1000).layers
    assert asdict(layer) | {"start_s": 0, "end_s": 0} == {
        "layer": "a",
        "start_s": 0,
        "end_s": 0,
        "n_tiles": 4,
        "n_macs_dense": 64 * 16 * 16,
        "n_macs_nonzero": 64 * 16 * 16,
        "weights_resident": True,
        "output_spilled": True,
        "why_weights": "fits beside buffers and activations",
        "why_output": "4,096 bytes do not fit while it is needed",
        "dram_read_bytes": 4096,
        "dram_write_bytes": 4096,
    }

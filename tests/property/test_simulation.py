"""Do the laws of energy, time and bytes hold for any network on any chip?"""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import SimulationError
from dcsim.simulation.placement import Placement, place
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import simulate
from dcsim.simulation.tiles import n_steps_of, tile_costs
from dcsim.soc import dram, sram
from dcsim.soc.dram_spec import BankedDram
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import INPUT, Layer, Trace, consumers
from dcsim.units import cycles_to_ps
from tests.builders import PLAIN, STREAM_DECODER, chip, coded, elementwise, linear, network

FPS = st.sampled_from([1.0, 30.0, 1e4, 1e6])
IDLE_MODES = ["standby", "power_down", "self_refresh"]


@st.composite
def layers(draw: st.DrawFn, index: int) -> Layer:
    """A layer that reads the one before it, and sometimes an earlier one too."""
    producers = (index - 1,)
    if index > 0 and draw(st.booleans()):
        producers = (index - 1, draw(st.integers(INPUT, index - 2)) if index > 1 else INPUT)
    name = f"layer{index}"
    kind = draw(st.sampled_from(["dense", "pruned", "shared", "huffman", "elementwise"]))
    size = st.integers(1, 40)
    if kind == "elementwise":
        return elementwise(name, draw(st.integers(1, 3000)), draw(st.integers(1, 3000)), producers)
    k, n, m = draw(size), draw(size), draw(st.integers(1, 30))
    if kind == "dense":
        return linear(name, k, n, m, producers)
    n_symbols = draw(st.integers(1, k * n))
    blocks = coded(n_symbols, draw(st.integers(1, 9)), draw(st.integers(1, 8)))
    return linear(name, k, n, m, producers, kind, blocks)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    chain = [draw(layers(index)) for index in range(draw(st.integers(1, 4)))]
    file_bytes = 64 + sum(layer.stored_bytes for layer in chain)
    return network(*chain, batch=draw(st.sampled_from([1, 3])), header_bytes=64, file_bytes=file_bytes)


@st.composite
def chips(draw: st.DrawFn, with_port: bool = True, bandwidth_bytes_per_s: float | None = None) -> SocSpec:
    """Any chip; without a port the SRAM serves any number of accesses at once."""
    constant_sram = PLAIN["sram"] | {"capacity_kib": draw(st.integers(12, 48)), "access_width_bits": 64}
    cacti_sram = {
        "kind": "cacti45",
        "capacity_kib": draw(st.integers(12, 48)),
        "access_width_bits": draw(st.sampled_from([32, 64, 128])),
        "cell": draw(st.sampled_from(["high-performance", "low-operating-power", "low-standby-power"])),
        "n_banks": 1,
    }
    constant_dram = PLAIN["dram"] | {"bandwidth_bytes_per_s": draw(st.sampled_from([None, 1e8, 3e9]))}
    banked = load_soc("mobile45").dram.model_dump() | {
        "n_channels": draw(st.sampled_from([1, 2])),
        "address_map": "row-bank-channel-column",
        "n_outstanding": draw(st.sampled_from([None, 1, 4])),
        "sleep_after_cycles": draw(st.sampled_from([0, 1000])),
    }
    stream = STREAM_DECODER | {
        "lanes": draw(st.sampled_from([1, 2, 5])),
        "bits_per_cycle": draw(st.sampled_from([2.0, 32.0])),
    }
    changes: dict[str, Any] = {
        "clock_hz": draw(st.sampled_from([100_000_000, 333_333_333, 1_000_000_000])),
        "activation_bits": draw(st.sampled_from([8, 16, 32])),
        "always_on_mw": draw(st.sampled_from([0.0, 1.0])),
        "logic": draw(st.sampled_from([{"clock_mw": 0.0, "leakage_mw": 0.0}, {"clock_mw": 3.0, "leakage_mw": 0.5}])),
        "idle.logic": draw(st.sampled_from(["run", "clock_gate", "power_gate"])),
        "idle.sram": draw(st.sampled_from(["on", "retain", "off"])),
        "idle.dram": draw(st.sampled_from(IDLE_MODES)),
        "sram": (draw(st.sampled_from([constant_sram, cacti_sram])) if with_port else constant_sram)
        | {"retention_leakage_ratio": 0.25},
        "dram": draw(st.sampled_from([constant_dram, banked])),
        "decoder": draw(st.sampled_from([{"kind": "ideal"}, stream])),
        "array.lanes_out": draw(st.integers(1, 5)),
        "array.lanes_pixel": draw(st.integers(1, 5)),
        "array.skip_zeros": draw(st.sampled_from(["none", "weights"])),
        "tiles.n_buffers": draw(st.integers(1, 3)),
        "tiles.tile_kib": draw(st.integers(1, 2)),
    }
    if bandwidth_bytes_per_s is not None:
        changes["dram"] = constant_dram | {"bandwidth_bytes_per_s": bandwidth_bytes_per_s}
    return chip(changes)


RUNS = {"trace": traces(), "soc": chips(), "fps": FPS}
law = settings(max_examples=100, deadline=None)


def count(result: RunResult, component: str, *actions: str) -> int:
    return sum(row.count for row in result.ledger if row.component == component and row.action in actions)


# --- energy --------------------------------------------------------------------------------------------------------


@law
@given(**RUNS)
def test_energy_of_a_frame_is_the_sum_of_its_parts(trace: Trace, soc: SocSpec, fps: float) -> None:
    result = simulate(trace, soc, fps)
    total = 0.0
    for row in result.ledger:
        assert row.count > 0
        total += row.count * row.pj_each
    assert result.energy_pj_per_frame == total
    assert abs(sum(result.energy_pj_by_component.values()) - total) <= 1e-12 * total


@law
@given(**RUNS)
def test_every_event_of_every_layer_is_in_the_ledger_once(trace: Trace, soc: SocSpec, fps: float) -> None:
    result, plans = simulate(trace, soc, fps), place(trace, soc).layers
    assert count(result, "array", "mac") == sum(plan.work.n_macs for plan in plans)
    assert count(result, "array", "alu") == sum(layer.n_alu_ops for layer in trace.layers)
    passes = [plan.n_decode_passes * plan.decode.n_gaps for plan in plans]
    assert count(result, "decoder", "gap") == sum(passes)


@law
@given(**RUNS)
def test_the_dram_is_in_one_state_at_any_time(trace: Trace, soc: SocSpec, fps: float) -> None:
    result = simulate(trace, soc, fps)
    states = count(result, "dram_background", "active", "standby", *(set(IDLE_MODES) - {"standby"}))
    assert states == (0 if soc.dram.kind == "constant" else result.period_ps)


@law
@given(trace=traces(), soc=chips())
def test_more_frames_per_second_never_cost_more_energy_each_nor_less_power(trace: Trace, soc: SocSpec) -> None:
    results = [simulate(trace, soc, fps) for fps in (1.0, 100.0, 1e4)]
    for slower, faster in pairwise(results):
        if faster.sustainable:
            assert faster.energy_pj_per_frame <= slower.energy_pj_per_frame * (1 + 1e-12)
            assert faster.average_power_watts >= slower.average_power_watts * (1 - 1e-9)


# --- time ----------------------------------------------------------------------------------------------------------


@law
@given(**RUNS)
def test_busy_stalled_and_idle_time_fill_the_period(trace: Trace, soc: SocSpec, fps: float) -> None:
    result = simulate(trace, soc, fps)
    assert result.period_ps >= result.service_ps
    for use in result.resources:
        assert use.busy_ps >= 0
        assert all(stall_ps >= 0 for stall_ps in use.stall_ps.values())
        assert use.idle_ps >= 0
        assert use.busy_ps + sum(use.stall_ps.values()) + use.idle_ps == result.period_ps


@law
@given(**RUNS)
def test_no_frame_is_faster_than_its_busiest_resource(trace: Trace, soc: SocSpec, fps: float) -> None:
    # the bounds are computed from the plan, not taken from the replay's own account
    result, plans = simulate(trace, soc, fps), place(trace, soc).layers
    rounding_ps = sum(plan.n_tiles for plan in plans)
    n_cycles = sum(plan.work.n_cycles for plan in plans)
    assert result.service_ps >= cycles_to_ps(n_cycles, soc.clock_hz) - rounding_ps
    n_bytes = sum(plan.dram_read_bytes + plan.dram_write_bytes for plan in plans)
    if isinstance(soc.dram, BankedDram):
        peak_bytes_per_s: float | None = 6.4e9  # LPDDR3-1600 x32: 32 bytes every 4 x 1250 ps
    else:
        peak_bytes_per_s = soc.dram.bandwidth_bytes_per_s
    if peak_bytes_per_s:
        assert result.service_ps >= n_bytes * 1e12 / peak_bytes_per_s - rounding_ps
    n_accesses = count(result, "sram", "read", "write")
    port_cycles = n_accesses * sram.cost(soc.sram, soc.clock_hz).cycles_per_access
    assert result.service_ps >= cycles_to_ps(port_cycles, soc.clock_hz) - 10 * rounding_ps


@law
@given(trace=traces(), soc=chips(with_port=False, bandwidth_bytes_per_s=1e7), fps=FPS)
def test_more_bandwidth_is_never_slower(trace: Trace, soc: SocSpec, fps: float) -> None:
    # Claimed where DRAM and SRAM port do not compete; who is first at a port may change with the bandwidth.
    changed = [{**soc.dram.model_dump(), "bandwidth_bytes_per_s": rate} for rate in (1e7, 3e7, 1e9, None)]
    socs = [SocSpec.model_validate({**soc.model_dump(), "dram": changes}) for changes in changed]
    service = [simulate(trace, soc, fps).service_ps for soc in socs]
    assert service == sorted(service, reverse=True)


@law
@given(trace=traces(), soc=chips(with_port=False))
def test_the_first_frame_is_never_faster_than_a_later_one(trace: Trace, soc: SocSpec) -> None:
    result = simulate(trace, soc, 1.0)
    assert result.cold_service_ps >= result.service_ps


@law
@given(**RUNS)
def test_two_runs_are_equal(trace: Trace, soc: SocSpec, fps: float) -> None:
    assert simulate(trace, soc, fps) == simulate(trace, soc, fps)


# --- bytes ---------------------------------------------------------------------------------------------------------


def spilled_reads(layer: Layer, soc: SocSpec, placement: Placement, sizes: dict[int, int]) -> int:
    """A layer may need only a part of what its producers made."""
    spilled = sum(sizes[producer] for producer in layer.producers if producer not in placement.activations_in_sram)
    return min(spilled, -(-layer.n_inputs * soc.activation_bits // 8))


def activation_bytes(trace: Trace, soc: SocSpec) -> dict[int, int]:
    elements = {INPUT: trace.n_network_inputs} | {i: layer.n_outputs for i, layer in enumerate(trace.layers)}
    return {index: -(-n_elements * soc.activation_bits // 8) for index, n_elements in elements.items()}


@law
@given(**RUNS)
def test_a_frame_reads_and_writes_what_is_not_on_chip_and_nothing_else(trace: Trace, soc: SocSpec, fps: float) -> None:
    result, placement, sizes = simulate(trace, soc, fps), place(trace, soc), activation_bytes(trace, soc)
    reads = writes = n_bytes = 0
    for index, plan in enumerate(placement.layers):
        weights = 0 if plan.weights_resident else plan.layer.stored_bytes
        spilled = spilled_reads(plan.layer, soc, placement, sizes)
        written = 0 if index in placement.activations_in_sram else sizes[index]
        reads += dram.n_accesses(soc.dram, weights) + plan.n_input_passes * dram.n_accesses(soc.dram, spilled)
        writes += dram.n_accesses(soc.dram, written)
        n_bytes += weights + plan.n_input_passes * spilled + written
    assert (count(result, "dram", "read"), count(result, "dram", "write")) == (reads, writes)
    assert result.dram_bytes_per_frame == n_bytes


@law
@given(trace=traces(), soc=chips())
def test_the_sram_never_holds_more_than_it_has(trace: Trace, soc: SocSpec) -> None:
    placement, sizes = place(trace, soc), activation_bytes(trace, soc)
    resident = sum(plan.layer.stored_bytes for plan in placement.layers if plan.weights_resident)
    peak = 0
    for step in range(len(trace.layers)):
        alive = [producer for producer, last in consumers(trace) if max(producer, 0) <= step <= max(last, 0)]
        held = sum(sizes[producer] for producer in alive if producer in placement.activations_in_sram)
        peak = max(peak, placement.buffer_bytes + resident + held + placement.layers[step].chunk_bytes)
    assert peak == placement.peak_bytes <= sram.capacity_bytes(soc.sram)


@law
@given(trace=traces(), soc=chips())
def test_tiles_of_a_layer_add_up_to_the_layer(trace: Trace, soc: SocSpec) -> None:
    for plan in place(trace, soc).layers:
        costs = tile_costs(plan, soc, n_steps_of(plan))
        assert sum(cost.fetch.n_bytes for cost in costs) == plan.dram_read_bytes
        assert sum(cost.load.n_bytes for cost in costs) == plan.weights_resident * plan.layer.stored_bytes
        assert sum(cost.write.dram.n_bytes for cost in costs) == plan.dram_write_bytes
        assert sum(cost.compute.n_cycles for cost in costs) == plan.work.n_cycles
        assert sum(cost.compute.events["mac"] for cost in costs) == plan.work.n_macs
        assert min(min(cost.fetch) for cost in costs) >= 0


@law
@given(trace=traces(), soc=chips(), tile_kib=st.integers(13, 100))
def test_buffers_that_do_not_fit_are_refused(trace: Trace, soc: SocSpec, tile_kib: int) -> None:
    tiles = {"n_buffers": 4, "tile_kib": tile_kib}  # 52 KiB and more; no chip here has more than 48
    with pytest.raises(SimulationError, match="working buffers take"):
        place(trace, SocSpec.model_validate({**soc.model_dump(), "tiles": tiles}))

"""Do time, bytes and energy obey their laws on any kind of array, and with zeros, more memory and faster decoders?"""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcsim.simulation.layer_plan import LayerPlan
from dcsim.simulation.placement import place
from dcsim.simulation.replay import replay_frame
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import Engine, simulate
from dcsim.simulation.tiles import n_steps_of, tile_costs
from dcsim.soc import dram, sram
from dcsim.soc.array_spec import SparseArray
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import Layer, Trace
from dcsim.units import cycles_to_ps
from tests.builders import PLAIN, STREAM_DECODER, chip, coded, elementwise, linear, network
from tests.property.test_simulation import FPS, chips, count, traces

ENGINES: tuple[Engine, ...] = ("event", "analytic")
NS = 1000  # ps
law = settings(max_examples=50, deadline=None)


def changed(soc: SocSpec, **parts: Any) -> SocSpec:
    return SocSpec.model_validate({**soc.model_dump(), **parts})


@st.composite
def arrays(draw: st.DrawFn) -> dict[str, Any]:
    """An array of any of the three kinds, as YAML has it."""
    size = st.sampled_from([1, 2, 3, 8, 16])
    mac_format = draw(st.sampled_from(["int8", "int16", "fp16", "fp32"]))
    kind = draw(st.sampled_from(["simd", "systolic", "sparse"]))
    if kind == "sparse":
        return {
            "kind": "sparse",
            "mac_format": mac_format,
            "n_pes": draw(size),
            "fifo_depth": draw(st.sampled_from([1, 2, 8])),
            "code_bits": 4,
            "gap_bits": draw(st.sampled_from([1, 4])),
            "pj_per_entry_read": 4.9,
            "pj_per_pointer_read": 14.4,
            "pj_per_activation_access": 0.56,
            "pj_per_queue_access": 0.45,
        }
    registers = {"register_accesses_per_mac": draw(st.integers(0, 3)), "pj_per_register_access": 1.0}
    if kind == "systolic":
        dataflows = ["output_stationary", "weight_stationary", "input_stationary"]
        shape = {"n_rows": draw(size), "n_columns": draw(size), "dataflow": draw(st.sampled_from(dataflows))}
    else:
        skip_zeros = draw(st.sampled_from(["none", "weights"]))
        shape = {"lanes_out": draw(size), "lanes_pixel": draw(size), "skip_zeros": skip_zeros}
    return {"kind": kind, "mac_format": mac_format} | shape | registers


@st.composite
def any_chips(draw: st.DrawFn, **changes: Any) -> SocSpec:
    """Any chip, with an array of any kind."""
    return changed(draw(chips(**changes)), array=draw(arrays()))


RUNS = {"trace": traces(), "soc": any_chips(), "fps": FPS, "engine": st.sampled_from(ENGINES)}

# --- time ----------------------------------------------------------------------------------------------------------

#: a cycle of 700 MHz is no whole number of picoseconds, so that every tile is rounded
ODD: dict[str, Any] = {
    "trace": network(linear("a", 32, 64)),
    "soc": chip({"clock_hz": 700_000_000, "sram.capacity_kib": 64}),
    "fps": 1.0,
}


@law
@given(**RUNS)
@example(**ODD, engine="event")
@example(**ODD, engine="analytic")
def test_busy_stalled_and_idle_time_fill_the_period(trace: Trace, soc: SocSpec, fps: float, engine: Engine) -> None:
    result = simulate(trace, soc, fps, engine=engine)
    assert result.period_ps >= result.service_ps
    for use in result.resources:
        assert use.busy_ps >= 0, use
        assert use.idle_ps == result.period_ps - result.service_ps
        assert all(stall_ps >= 0 for stall_ps in use.stall_ps.values()), use
        assert use.busy_ps + sum(use.stall_ps.values()) + use.idle_ps == result.period_ps


@law
@given(**RUNS)
def test_no_frame_is_faster_than_its_busiest_resource(trace: Trace, soc: SocSpec, fps: float, engine: Engine) -> None:
    result, placement = simulate(trace, soc, fps, engine=engine), place(trace, soc)
    busy_ps = roofline_ps(placement.layers, soc)
    rounding_ps = 10 * sum(plan.n_tiles for plan in placement.layers)
    for resource, least_ps in busy_ps.items():
        assert result.service_ps >= least_ps - rounding_ps, resource


def roofline_ps(plans: tuple[LayerPlan, ...], soc: SocSpec) -> dict[str, int]:
    """How long each resource works at least, from the counts of whole layers."""
    port_cycles = sram.cost(soc.sram, soc.clock_hz).cycles_per_access
    cycles = {"array": 0, "decoder": 0, "port": 0}
    dram_ps = 0
    for plan in plans:
        (whole,) = tile_costs(plan, soc, 1)
        tiles = tile_costs(plan, soc, n_steps_of(plan))
        cycles["array"] += whole.compute.n_cycles
        cycles["decoder"] += sum(tile.decode.n_cycles for tile in tiles)
        engines = (whole.decode, whole.compute)
        moved = (whole.fetch.n_sram_accesses, whole.write.dram.n_sram_accesses, whole.write.n_sram_writes)
        n_accesses = sum(engine.n_sram_reads + engine.n_sram_writes for engine in engines) + sum(moved)
        cycles["port"] += port_cycles * n_accesses
        for move in (whole.fetch, whole.write.dram):
            # a stream of whole bursts that never waits for a row
            dram_ps += dram.transfer_ps(soc.dram, move.n_bursts // n_channels(soc) * n_channels(soc), 0)
    return {name: cycles_to_ps(n_cycles, soc.clock_hz) for name, n_cycles in cycles.items()} | {"dram": dram_ps}


def n_channels(soc: SocSpec) -> int:
    return soc.dram.n_channels if soc.dram.kind == "banked" else 1


# --- bytes ---------------------------------------------------------------------------------------------------------

FEW: dict[str, Any] = {"fps": 1.0, "engine": "event"}
NO_WEIGHTS_STAY = {"idle.sram": "off", "sram.capacity_kib": 16}
BANKED = {"dram": load_soc("mobile45").dram.model_dump()}
#: 5 bytes in two accesses to DRAM, for seven tiles: the fourth has no byte of its own, but an access
FEW_BYTES = FEW | {
    "trace": network(linear("fc", 40, 40, encoding="pruned", blocks=coded(5, 4, 3))),
    "soc": chip(NO_WEIGHTS_STAY),
}
#: 6 bytes in a burst for two tiles: the first has no burst, but an access to SRAM
FEW_BURSTS = FEW | {
    "trace": network(linear("fc", 20, 13, encoding="pruned", blocks=coded(17, 1, 1))),
    "soc": chip(NO_WEIGHTS_STAY | BANKED),
}
#: the same of 50 bytes of outputs that ten tiles write back in two bursts
FEW_WRITES = FEW | {
    "trace": network(linear("fc", 50, 50)),
    "soc": chip(NO_WEIGHTS_STAY | BANKED | {"activation_bits": 8, "placement": {"weights": (), "activations": ()}}),
}


@law
@given(**RUNS)
@example(**FEW_BYTES)
@example(**FEW_BURSTS)
@example(**FEW_WRITES)
def test_bytes_of_the_ledger_are_those_of_the_placement_but_for_whole_bursts(
    trace: Trace, soc: SocSpec, fps: float, engine: Engine
) -> None:
    result, plans = simulate(trace, soc, fps, engine=engine), place(trace, soc).layers
    burst_bytes = dram.access_bytes(soc.dram)
    n_regions = sum(plan.n_weight_passes + plan.n_input_passes for plan in plans)
    reads = burst_bytes * count(result, "dram", "read") - sum(plan.dram_read_bytes for plan in plans)
    writes = burst_bytes * count(result, "dram", "write") - sum(plan.dram_write_bytes for plan in plans)
    assert 0 <= reads < max(1, n_regions * burst_bytes)
    assert 0 <= writes < max(1, len(plans) * burst_bytes)
    assert result.dram_bytes_per_frame == sum(use.dram_read_bytes + use.dram_write_bytes for use in result.layers)
    if soc.dram.kind == "banked":  # every byte from an open row, and a row for every region at most more
        rows = count(result, "dram", "activate") * soc.dram.row_bytes
        assert result.dram_bytes_per_frame <= rows
    io = sum(row.count for row in result.ledger if row.component == "dram_io")
    assert io in (0, count(result, "dram", "read", "write"))


@law
@given(**RUNS)
@example(**FEW_BYTES)
@example(**FEW_BURSTS)
@example(**FEW_WRITES)
def test_what_comes_from_dram_is_written_into_sram_and_what_goes_there_is_read(
    trace: Trace, soc: SocSpec, fps: float, engine: Engine
) -> None:
    result, plans = simulate(trace, soc, fps, engine=engine), place(trace, soc).layers
    width_bytes = soc.sram.access_width_bits // 8
    moved = sum(-(-plan.dram_read_bytes // width_bytes) for plan in plans)
    outputs = sum(-(-plan.output_bytes // width_bytes) for plan in plans)
    others = sum(-(-plan.expanded_bits // (8 * width_bytes)) for plan in plans)
    partials = sum(-(-plan.work.partial_write_bits // (8 * width_bytes)) for plan in plans)
    assert count(result, "sram", "write") == moved + outputs + others + partials
    spilled = sum(-(-plan.dram_write_bytes // width_bytes) for plan in plans)
    works = [
        (work.weight_read_bits, work.activation_read_bits, work.partial_read_bits) for work in (p.work for p in plans)
    ]
    operands = sum(-(-n_bits // (8 * width_bytes)) for bits in works for n_bits in bits)
    assert count(result, "sram", "read") >= operands + spilled


#: 4 KiB of weights, inputs and outputs each: all in DRAM, and weights pass in two chunks of what is left of the SRAM
CHUNKS = network(linear("a", 32, 32, m=32), linear("b", 32, 32, m=32, producers=(0,)))


@law
@given(trace=traces(), soc=any_chips(), cold=st.booleans())
@example(trace=CHUNKS, soc=chip(), cold=False)
def test_at_no_instant_does_the_sram_hold_more_than_the_placement_says(trace: Trace, soc: SocSpec, cold: bool) -> None:
    # exactly as much: a layer begins when the one before is written back, and then holds what the placement counts
    placement = place(trace, soc)
    frame = replay_frame(placement, soc, soc.nominal, cold)
    assert frame.peak_sram_bytes == placement.peak_bytes <= sram.capacity_bytes(soc.sram)


# --- energy --------------------------------------------------------------------------------------------------------


@law
@given(**RUNS)
def test_energy_of_a_frame_is_the_sum_of_its_parts(trace: Trace, soc: SocSpec, fps: float, engine: Engine) -> None:
    result = simulate(trace, soc, fps, engine=engine)
    total = 0.0
    for row in result.ledger:
        assert row.count > 0
        assert row.pj_each >= 0
        total += row.count * row.pj_each
    assert result.energy_pj_per_frame == total
    assert sum(result.energy_pj_by_component.values()) == pytest.approx(total, rel=1e-12)


@law
@given(**RUNS)
def test_every_event_of_the_array_is_in_the_ledger_once(trace: Trace, soc: SocSpec, fps: float, engine: Engine) -> None:
    result, plans = simulate(trace, soc, fps, engine=engine), place(trace, soc).layers
    expected = {
        "mac": sum(plan.work.n_macs for plan in plans),
        "alu": sum(layer.n_alu_ops for layer in trace.layers),
        "entry": sum(plan.work.n_entries for plan in plans),
        "pointer": sum(plan.work.n_pointer_reads for plan in plans),
        "activation": sum(plan.work.n_activation_accesses for plan in plans),
        "queue": sum(plan.work.n_queue_accesses for plan in plans),
    }
    if isinstance(soc.array, SparseArray):
        assert expected["mac"] <= sum(layer.n_weights_nonzero * layer.m for layer in trace.layers)
    else:
        expected["register"] = expected["mac"] * soc.array.register_accesses_per_mac
    rows = [row for row in result.ledger if row.component == "array"]
    assert {action: count(result, "array", action) for action in expected} == expected
    assert {row.action for row in rows} <= set(expected)
    assert len({(row.layer, row.action) for row in rows}) == len(rows)


@law
@given(trace=traces(), soc=any_chips())
def test_dense_operands_are_all_multiplied_and_zeros_that_are_skipped_never_are(trace: Trace, soc: SocSpec) -> None:
    dense = sum(layer.n_macs_dense for layer in trace.layers)
    n_macs = count(simulate(trace, soc, 1.0), "array", "mac")
    skips = soc.array.kind == "sparse" or (soc.array.kind == "simd" and soc.array.skip_zeros == "weights")
    assert n_macs <= dense if skips else n_macs == dense


# --- more of something ---------------------------------------------------------------------------------------------


@law
@given(trace=traces(), soc=any_chips(with_port=False, bandwidth_bytes_per_s=1e7))
def test_more_bandwidth_is_never_slower_where_the_dram_is_only_read(trace: Trace, soc: SocSpec) -> None:
    # Where it is written too, a fetch that comes earlier may go before a write-back for which the next layer waits.
    soc = changed(soc, sram=soc.sram.model_dump() | {"capacity_kib": 512}, idle=soc.idle.model_dump() | {"sram": "off"})
    memories = [soc.dram.model_dump() | {"bandwidth_bytes_per_s": rate} for rate in (1e7, 3e7, 1.7e8, 1e9, None)]
    results = [simulate(trace, changed(soc, dram=memory), 1.0) for memory in memories]
    assert count(results[0], "dram", "write") == 0
    service = [result.service_ps for result in results]
    assert service == sorted(service, reverse=True)


@law
@given(
    trace=traces(),
    soc=any_chips(with_port=False, bandwidth_bytes_per_s=3e8),
    more_kib=st.integers(1, 40),
)
@example(trace=CHUNKS, soc=chip({"dram.bandwidth_bytes_per_s": 3e8}), more_kib=2)
def test_more_sram_at_the_same_placement_moves_no_more_bytes_and_is_not_slower(
    trace: Trace, soc: SocSpec, more_kib: int
) -> None:
    less = simulate(trace, soc, 1.0)
    larger = changed(soc, sram=soc.sram.model_dump() | {"capacity_kib": soc.sram.capacity_kib + more_kib})
    more = simulate(trace, larger, 1.0, placement=less.placement)
    assert more.placement == less.placement
    assert more.dram_bytes_per_frame <= less.dram_bytes_per_frame
    if [use.n_tiles for use in more.layers] == [use.n_tiles for use in less.layers]:
        assert more.service_ps <= less.service_ps
    else:  # fewer bytes of a spilled input are cut into fewer tiles, and the first of them is waited for
        fill_ps = sum(largest_tile_ps(plan, larger) for plan in place(trace, larger).layers)
        assert more.service_ps <= less.service_ps + fill_ps


def largest_tile_ps(plan: LayerPlan, soc: SocSpec) -> int:
    """One tile on its way through all stages, each at its largest."""
    tiles = tile_costs(plan, soc, n_steps_of(plan))
    n_cycles = max(tile.decode.n_cycles for tile in tiles) + max(tile.compute.n_cycles for tile in tiles)
    moved = (max(tile.fetch.n_bursts for tile in tiles), max(tile.write.dram.n_bursts for tile in tiles))
    return cycles_to_ps(n_cycles, soc.clock_hz) + sum(dram.transfer_ps(soc.dram, n, 0) for n in moved)


# --- nothing -------------------------------------------------------------------------------------------------------

NOTHING = elementwise("nothing", 0, 0, ())


def with_nothing(trace: Trace, place_of_it: int) -> Trace:
    """The same trace with a layer of no inputs, outputs and weights among the others."""

    def moved(index: int) -> int:
        return index + (index >= place_of_it)

    renumbered: list[Layer] = [
        replace(layer, producers=tuple(moved(p) if p >= 0 else p for p in layer.producers)) for layer in trace.layers
    ]
    renumbered.insert(place_of_it, NOTHING)
    return replace(trace, layers=tuple(renumbered))


@law
@given(**RUNS, place_of_it=st.integers(0, 4))
def test_a_layer_of_no_size_costs_nothing(
    trace: Trace, soc: SocSpec, fps: float, place_of_it: int, engine: Engine
) -> None:
    result = simulate(trace, soc, fps, engine=engine)
    more = with_nothing(trace, min(place_of_it, len(trace.layers)))
    found = simulate(more, soc, fps, placement=result.placement, engine=engine)
    assert found.ledger == result.ledger
    assert (found.service_ps, found.cold_service_ps) == (result.service_ps, result.cold_service_ps)
    assert [use.busy_ps for use in found.resources] == [use.busy_ps for use in result.resources]
    assert found.dram_bytes_per_frame == result.dram_bytes_per_frame


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_that_does_nothing_takes_no_time_and_costs_what_is_always_on(engine: Engine) -> None:
    trace = network(NOTHING, replace(NOTHING, name="again", producers=(0,)), file_bytes=64)
    result = simulate(trace, chip({"always_on_mw": 1.0}), 1000, engine=engine)
    assert (result.service_ps, result.cold_service_ps, result.latency_s) == (0, 0, 0)
    assert [(row.component, row.energy_pj) for row in result.ledger] == [("always_on", pytest.approx(1e6))]
    assert result.deadline_misses == 0
    assert result.sustainable
    assert result.summary()["sustainable_fps"] == math.inf


# --- the decoder ---------------------------------------------------------------------------------------------------


def decode_stall_ps(result: RunResult) -> int:
    return next(use for use in result.resources if use.resource == "array").stall_ps["decode"]


@law
@given(
    n_tiles=st.integers(1, 12),
    symbols_per_cycle=st.sampled_from([0.25, 0.5, 0.8, 1.0, 1.6, 2.0, 4.0, 8.0]),
    lanes_out=st.sampled_from([1, 2, 4, 8]),
    fetched=st.booleans(),
)
def test_the_array_stalls_for_the_decoder_when_that_is_slower_and_not_otherwise(
    n_tiles: int, symbols_per_cycle: float, lanes_out: int, fetched: bool
) -> None:
    # 256 codes and 256 gaps a tile, side by side in two lanes, and 256 MACs; fetched in 4 ns, or resident. The first
    # tile has to be decoded before there is anything to do; after that, only a slower decoder is waited for.
    rows = 8 * n_tiles
    trace = network(linear("fc", 32, rows, encoding="shared", blocks=coded(32 * rows, 4, 4)))
    soc = chip(
        {
            "decoder": STREAM_DECODER | {"symbols_per_cycle": symbols_per_cycle},
            "array.lanes_out": lanes_out,
            "sram.capacity_kib": 64,
            "idle.sram": "off" if fetched else "on",
            "dram.bandwidth_bytes_per_s": 64e9,
        }
    )
    decode_ps, compute_ps = round(256 / symbols_per_cycle) * NS, 256 // lanes_out * NS
    result = simulate(trace, soc, 1.0)
    later_ps = decode_stall_ps(result) - decode_ps
    assert (later_ps > 0) == (decode_ps > compute_ps and n_tiles > 1)
    assert later_ps == (n_tiles - 1) * max(0, decode_ps - compute_ps)


@law
@given(trace=traces(), soc=any_chips())
def test_a_decoder_that_takes_no_time_is_never_waited_for(trace: Trace, soc: SocSpec) -> None:
    soc = changed(
        soc, decoder={"kind": "ideal"}, sram=PLAIN["sram"] | {"retention_leakage_ratio": 0.25, "capacity_kib": 48}
    )
    assert decode_stall_ps(simulate(trace, soc, 1.0)) == 0

"""Does the compiled DRAM controller do what the slow one says, cycle by cycle, and does nothing get lost in it?"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.soc import dram as closed_form
from dcsim.soc.dram_controller import DramReplay, DramRequests, replay
from dcsim.soc.dram_spec import BankedDram, Idle
from tests import dram_reference
from tests.builders import shipped_chip

laws = settings(max_examples=80, deadline=None)
few = settings(max_examples=40, deadline=None)
COUNTS = [
    *("cycles", "n_reads", "n_writes", "n_merged_reads", "n_merged_writes", "n_forwarded_reads"),
    *("n_row_hits", "n_row_misses", "n_row_conflicts", "n_activates", "n_precharges", "n_refreshes"),
    *("active_cycles", "idle_cycles", "power_down_cycles", "self_refresh_cycles"),
]
IDLE: list[Idle | None] = [None, "standby", "power_down", "self_refresh"]
TREFI = 400  # short, so that a few hundred cycles see refreshes


@st.composite
def parts(draw: st.DrawFn) -> BankedDram:
    """Any geometry and any timing, within what the refresh leaves."""
    at_most = {
        **{"burst": 8, "cl": 14, "cwl": 14, "trcd": 20, "trp": 20, "tras": 40, "trrd": 12, "tfaw": 60},
        **{"twtr": 10, "twr": 16, "trtp": 10, "trtrs": 4, "trfc": 120, "txp": 12, "txs": 150},
    }
    timing = {f"{name}_cycles": draw(st.integers(1, most)) for name, most in at_most.items()}
    n_refresh = draw(st.sampled_from([TREFI, 1000]))
    fields = draw(st.permutations(["row", "rank", "bank", "column", "channel"]))
    changes = {
        "capacity_mib": draw(st.sampled_from([1, 3])),
        "n_channels": draw(st.sampled_from([1, 1, 2, 4])),
        "n_ranks": draw(st.sampled_from([1, 1, 2])),
        "n_banks": draw(st.sampled_from([1, 2, 8])),
        "burst_bytes": draw(st.sampled_from([16, 32, 64])),
        "row_bytes": draw(st.sampled_from([128, 4096])),
        "sleep_after_cycles": draw(st.sampled_from([0, 0, 7, 50])),
        "address_map": "-".join(fields),
        "timing": {"tck_ps": 1250, "trefi_cycles": n_refresh, **timing},
    }
    found = shipped_chip("mobile45", {f"dram.{name}": value for name, value in changes.items()}).dram
    assert isinstance(found, BankedDram)
    return found


@st.composite
def traffic(draw: st.DrawFn) -> DramRequests:
    """Streams, strides and addresses that meet again, read and written, with and without gaps."""
    n = draw(st.integers(1, 70))
    seed = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["anywhere", "stride", "rows", "rows"]))
    if kind == "anywhere":
        addresses = seed.integers(0, draw(st.sampled_from([2**7, 2**10, 2**14, 2**22])), n)
    elif kind == "stride":
        addresses = np.arange(n) * draw(st.sampled_from([32, 4096]))
    else:  # a few bursts each of a few rows, whatever the address map makes of them
        addresses = seed.choice([0, 2**12, 2**15, 2**18], n) + seed.integers(0, 12, n) * 32
    writes = seed.random(n) < draw(st.sampled_from([0.0, 0.2, 0.6, 1.0]))
    gaps = seed.integers(0, draw(st.sampled_from([8, 90, 700])), n)
    some = seed.random(n) < draw(st.sampled_from([0.0, 0.0, 0.1, 1.0])) * 20 / n
    return DramRequests(addresses.astype(np.uint64), writes, np.cumsum(np.where(some, gaps, 0)))


in_flight = st.sampled_from([None, None, 1, 2, 5, 40])
windows = st.sampled_from([0, 0, 1500])


def counts(found: DramReplay) -> dict[str, int]:
    """What the slow controller counts."""
    n_returned = found.n_reads + found.n_merged_reads + found.n_forwarded_reads
    known = {name: getattr(found, name) for name in COUNTS}
    known["latency_cycles"] = round(found.mean_read_latency_cycles * n_returned)
    return {name: count for name, count in known.items() if count}


@laws
@given(parts(), traffic(), in_flight, st.sampled_from(IDLE), windows)
def test_the_compiled_controller_is_the_slow_one(
    part: BankedDram, requests: DramRequests, n_outstanding: int | None, idle: Idle | None, window_cycles: int
) -> None:
    options: tuple[Any, ...] = (n_outstanding, idle, window_cycles)
    assert counts(replay(part, requests, *options)) == dram_reference.replay(part, requests, *options)


@pytest.mark.parametrize("idle", IDLE)
def test_they_agree_on_every_part_of_the_controller(idle: Idle | None) -> None:
    """Hypothesis may be lucky: one trace in which everything happens at least once."""
    changes = {"dram.timing.trefi_cycles": TREFI, "dram.n_ranks": 2, "dram.address_map": "row-rank-bank-column"}
    part = shipped_chip("mobile45", changes).dram
    assert isinstance(part, BankedDram)
    seed = np.random.default_rng(5)
    rows = np.repeat(seed.integers(0, 12, 150), 4) * 65536
    addresses = rows + seed.integers(0, 40, 600) * 32 + seed.integers(0, 2, 600) * 4096
    gaps = np.where(np.arange(600) % 120 == 119, 2000, 0)
    requests = DramRequests(addresses.astype(np.uint64), seed.random(600) < 0.4, np.cumsum(gaps))
    found = counts(replay(part, requests, 30, idle, 13_000))
    assert found == dram_reference.replay(part, requests, 30, idle, 13_000)
    asleep = {f"{state}_cycles" for state in ("power_down", "self_refresh") if state != idle}
    assert found.keys() == {*COUNTS, "latency_cycles"} - asleep


@few
@given(parts(), traffic(), in_flight, st.sampled_from(IDLE), windows)
def test_every_request_and_every_cycle_is_accounted_for(
    part: BankedDram, requests: DramRequests, n_outstanding: int | None, idle: Idle | None, window_cycles: int
) -> None:
    found = replay(part, requests, n_outstanding, idle, window_cycles)
    n_writes = int(requests.writes.sum())
    assert found.n_reads + found.n_merged_reads + found.n_forwarded_reads == len(requests) - n_writes
    assert found.n_writes + found.n_merged_writes + found.n_waiting_writes == n_writes
    assert found.n_row_hits + found.n_row_misses + found.n_row_conflicts == found.n_reads + found.n_writes
    assert 0 <= found.n_activates - found.n_precharges <= part.n_channels * part.n_ranks * part.n_banks
    states = (found.active_cycles, found.idle_cycles, found.power_down_cycles, found.self_refresh_cycles)
    assert min(states) >= 0
    assert sum(states) == found.cycles * part.n_channels * part.n_ranks
    assert found.cycles >= max(window_cycles, int(requests.earliest_cycles[-1]))
    data_cycles = (found.n_reads + found.n_writes) * part.timing.burst_cycles
    assert data_cycles <= (found.cycles + part.timing.cwl_cycles + part.timing.burst_cycles) * part.n_channels


@few
@given(parts(), traffic(), in_flight, st.sampled_from(IDLE))
def test_energy_is_commands_and_states_times_their_price(
    part: BankedDram, requests: DramRequests, n_outstanding: int | None, idle: Idle | None
) -> None:
    found = replay(part, requests, n_outstanding, idle, 1500)
    each, i = closed_form.energies(part), part.currents
    ns = part.timing.tck_ps / 1e3  # mA x V x ns = pJ
    expected = {
        "activate": found.n_activates * each.activate_pj,
        "read": found.n_reads * each.read_pj,
        "write": found.n_writes * each.write_pj,
        "refresh": found.n_refreshes * each.refresh_pj,
        "active_standby": found.active_cycles * i.idd3n_ma * i.vdd_volts * ns,
        "precharge_standby": found.idle_cycles * i.idd2n_ma * i.vdd_volts * ns,
        "power_down": found.power_down_cycles * i.idd2p_ma * i.vdd_volts * ns,
        "self_refresh": found.self_refresh_cycles * i.idd6_ma * i.vdd_volts * ns,
    }
    assert found.energy_pj_by_kind == pytest.approx(expected, rel=1e-12)
    assert found.energy_pj == pytest.approx(sum(expected.values()), rel=1e-12)
    assert found.io_energy_pj == pytest.approx((found.n_reads + found.n_writes) * each.io_pj, rel=1e-12)


@few
@given(parts(), traffic(), in_flight, st.sampled_from(IDLE[1:]))
def test_an_idle_policy_costs_nothing_where_there_is_no_gap(
    part: BankedDram, requests: DramRequests, n_outstanding: int | None, idle: Idle | None
) -> None:
    """Reads that follow each other at once, on one channel: there is no cycle without work before the last is back."""
    part = part.model_copy(update={"n_channels": 1})
    at_once = replace(
        requests, writes=np.zeros(len(requests), np.bool_), earliest_cycles=np.zeros(len(requests), np.int64)
    )
    assert replay(part, at_once, n_outstanding, idle) == replay(part, at_once, n_outstanding)


@few
@given(parts(), traffic(), st.sampled_from(IDLE), windows)
def test_a_longer_window_only_adds_what_comes_after(
    part: BankedDram, requests: DramRequests, idle: Idle | None, window_cycles: int
) -> None:
    short, long = (replay(part, requests, None, idle, n_cycles) for n_cycles in (window_cycles, 4000))
    assert short.mean_read_latency_cycles == long.mean_read_latency_cycles
    for name in COUNTS:
        assert getattr(short, name) <= getattr(long, name), name


@few
@given(parts(), traffic())
def test_more_reads_in_flight_than_there_are_is_no_limit(part: BankedDram, requests: DramRequests) -> None:
    assert replay(part, requests, len(requests)) == replay(part, requests)

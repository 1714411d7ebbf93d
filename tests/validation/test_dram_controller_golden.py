"""Does DRAM traffic replayed burst by burst agree with DRAMsim3 on every pattern, and asleep with DRAMPower?

Claimed: time and energy within 5 % of DRAMsim3 on all 27 rows, 15 % where two streams, or reads and writes, alternate
every 32 bytes (two real simulators differ by 13 % there); activations within 10 % on the rows made of row misses and
few reads in flight. Beyond the claim, the mechanism is the same: patterns without chance agree to the cycle.
Parts that DRAMsim3 was not run on here are held against the closed form, which stayed within 4.1 % of it on four parts.
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import dcsim.validation
from dcsim.errors import ConfigError
from dcsim.soc import dram as closed_form
from dcsim.soc.dram_controller import DramReplay, DramRequests, replay
from dcsim.soc.dram_spec import BankedDram, Idle
from dcsim.soc.spec import load_soc
from dcsim.validation.dram_frames import drampower_parts
from dcsim.validation.dram_patterns import golden_pattern, golden_rows, window_cycles
from tests.builders import shipped_chip

PART = load_soc("mobile45").dram
ROWS = golden_rows()
NAMES = [f"{row['pattern']}-{row['mb']}-{row['outst']}" for row in ROWS]
TOLERANCE, BURST_TOLERANCE, ACTIVATES_TOLERANCE = 0.05, 0.15, 0.10
DRAMPOWER = Path(dcsim.validation.__file__).parent / "data" / "drampower4_frames_1mb_50ms.csv"
MODES: dict[str, Idle] = {"none": "standby", "pdn": "power_down", "sref": "self_refresh"}
FRAME_PS = 50_000_000_000
#: LPDDR2-1066 x32: timings published with the reference, tRTRS as in the other part
LPDDR2 = {
    "tck_ps": 1876,
    **{"burst_cycles": 4, "cl_cycles": 8, "cwl_cycles": 4, "trcd_cycles": 8, "trp_cycles": 8, "tras_cycles": 23},
    **{"trfc_cycles": 70, "trefi_cycles": 2080, "trrd_cycles": 6, "twtr_cycles": 4, "tfaw_cycles": 27},
    **{"twr_cycles": 8, "trtp_cycles": 4, "trtrs_cycles": 1, "txp_cycles": 4, "txs_cycles": 75},
}
OTHER_PARTS: dict[str, dict[str, object]] = {
    "LPDDR2": {"timing": LPDDR2},
    "bursts of 16": {"burst_bytes": 64, "timing.burst_cycles": 8},
    "two ranks": {"n_ranks": 2, "address_map": "rank-row-bank-column"},
    "two channels": {"n_channels": 2, "address_map": "row-bank-column-channel"},
    "four channels of two ranks": {"n_channels": 4, "n_ranks": 2, "address_map": "row-rank-bank-column-channel"},
}

rows = pytest.mark.parametrize("number", range(len(ROWS)), ids=NAMES)


@cache
def replayed(number: int) -> DramReplay:
    row = ROWS[number]
    assert isinstance(PART, BankedDram)
    requests = golden_pattern(row["pattern"], float(row["mb"]))
    return replay(PART, requests, int(row["outst"]), window_cycles=window_cycles(row["pattern"]))


def test_the_reference_has_all_its_rows() -> None:
    assert len(ROWS) == 27
    assert len(set(NAMES)) == 27


@rows
def test_time_and_energy_are_dramsim3s(number: int) -> None:
    row, found = ROWS[number], replayed(number)
    alternates = row["pattern"].startswith(("b_burst", "c_burst"))
    tolerance = BURST_TOLERANCE if alternates else TOLERANCE
    assert found.n_requests == int(row["reqs"])
    assert found.cycles == pytest.approx(int(row["cycles"]), rel=tolerance)
    assert found.energy_pj == pytest.approx(float(row["E_tot_pJ"]), rel=tolerance)


@rows
def test_activations_are_dramsim3s(number: int) -> None:
    row, found = ROWS[number], replayed(number)
    few_in_flight = 0 < int(row["outst"]) < 8
    if row["pattern"].startswith(("e_", "d_rand64")) or few_in_flight:
        assert found.n_activates == pytest.approx(int(row["n_act"]), rel=ACTIVATES_TOLERANCE)


@rows
def test_patterns_without_chance_agree_to_the_cycle(number: int) -> None:
    row, found = ROWS[number], replayed(number)
    if row["pattern"].startswith("d_"):
        assert found.cycles != int(row["cycles"])  # another draw, or the seed is known and this can be claimed too
        return
    counts = {
        "cycles": found.cycles,
        "n_act": found.n_activates,
        "n_pre": found.n_precharges,
        "n_rd": found.n_reads,
        "n_wr": found.n_writes,
        "n_ref": found.n_refreshes,
        "active_cyc": found.active_cycles,
        "idle_cyc": found.idle_cycles,
    }
    assert counts == {name: int(row[name]) for name in counts}
    assert found.energy_pj == pytest.approx(float(row["E_tot_pJ"]), abs=0.6)  # printed in whole pJ
    assert found.mean_read_latency_cycles == pytest.approx(float(row["avg_rd_lat_cyc"]), abs=0.005001)
    n_accesses = found.n_reads + found.n_writes
    assert found.n_row_hits / n_accesses == pytest.approx(float(row["row_hit"]), abs=0.5001e-4)


@pytest.mark.parametrize(("memspec", "mode"), [(name, mode) for name in drampower_parts() for mode in MODES])
def test_a_frame_with_a_pause_costs_what_drampower_says(memspec: str, mode: str) -> None:
    """1 MiB read at once, and nothing for the rest of 50 ms: within 1 %, the claim of the closed form."""
    part = drampower_parts()[memspec]
    n_bursts = 2**20 // part.burst_bytes
    at_once = np.zeros(n_bursts, np.int64)
    requests = DramRequests(np.arange(n_bursts, dtype=np.uint64) * np.uint64(part.burst_bytes), at_once > 0, at_once)
    found = replay(part, requests, idle=MODES[mode], window_cycles=FRAME_PS // part.timing.tck_ps)
    with DRAMPOWER.open(newline="") as stream:
        table = list(csv.DictReader(line for line in stream if not line.startswith("#")))
    (row,) = [row for row in table if (row["memspec"], row["idle_mode"]) == (memspec, mode)]
    assert found.energy_pj == pytest.approx(1e6 * float(row["E_total_uJ"]), rel=0.01)
    assert found.energy_pj_by_kind["read"] == pytest.approx(1e6 * float(row["E_rd_uJ"]), rel=0.001)


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("name", OTHER_PARTS)
def test_streams_of_other_parts_take_what_the_closed_form_says(name: str, writes: bool) -> None:
    part = shipped_chip("mobile45", {f"dram.{key}": value for key, value in OTHER_PARTS[name].items()}).dram
    assert isinstance(part, BankedDram)
    n_bytes = 2**22
    n_bursts = n_bytes // part.burst_bytes
    addresses = np.arange(n_bursts, dtype=np.uint64) * np.uint64(part.burst_bytes)
    found = replay(part, DramRequests(addresses, np.full(n_bursts, writes), np.zeros(n_bursts, np.int64)))
    n_rows = closed_form.n_activates(part, n_bytes)
    expected_ps = closed_form.transfer_ps(part, n_bursts, n_rows)
    assert found.cycles * found.tck_ps == pytest.approx(expected_ps, rel=TOLERANCE)
    n_reopened = found.n_refreshes * part.n_banks  # a refresh closes what is open
    assert n_rows <= found.n_activates <= n_rows + n_reopened


def test_an_unknown_pattern_is_refused() -> None:
    with pytest.raises(ConfigError, match="no DRAM pattern b_tile5k; there are a_stream, b_burst_bank4"):
        golden_pattern("b_tile5k", 1.0)

"""Do DRAM time and energy agree with DRAMsim3 and DRAMPower? Both are device core only, like the model.

Claimed: contiguous streams with at least eight requests in flight; two such streams read side by side, unless they
alternate every 32 bytes within one bank; a read and a written stream that take turns every 4 KiB or more; frames with
pauses in between. Not claimed: random blocks, a new row for every burst, reads and writes that alternate every 32 bytes,
and fewer requests in flight.
"""

import csv
from pathlib import Path

import pytest

from dcsim.simulation.simulate import simulate
from dcsim.simulation.result import RunResult
from dcsim.soc import dram
from dcsim.soc.dram_spec import BankedDram
from dcsim.soc.spec import load_soc
from dcsim.traces.synthetic import synthesize
from dcsim.units import mib_to_bytes
from tests.builders import PLAIN, shipped_chip, table_network

DATA = Path(__file__).with_name("data")
LPDDR3 = load_soc("mobile45").dram


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))


GOLDEN = {(row["pattern"], float(row["mb"]), int(row["outst"])): row for row in rows("dramsim3_lpddr3_1600_x32.csv")}

#: (pattern, MiB, requests in flight) -> changes from write to read: one per pair of grains, as the pattern is defined
CLAIMED = {
    ("a_stream", 16.0, 0): 0,
    ("w_stream", 8.0, 0): 0,
    ("a_stream", 2.0, 8): 0,
    ("a_stream", 2.0, 16): 0,
    ("a_stream", 2.0, 32): 0,
    ("b_tile4k", 8.0, 0): 0,
    ("b_tile4k_bank4", 8.0, 0): 0,
    ("b_tile64k", 8.0, 0): 0,
    ("b_burst_bank4", 8.0, 0): 0,
    ("c_tile4k_1r1w", 8.0, 0): 1024,  # 4 MiB written, 4 KiB at a time
    ("c_tile4k_3r1w", 8.0, 0): 512,  # 2 MiB written, 4 KiB at a time
    ("c_tile64k_1r1w", 8.0, 0): 64,  # 4 MiB written, 64 KiB at a time
}
NOT_CLAIMED = {
    *(("b_burst_samebank", 8.0, 0), ("c_burst_1r1w", 8.0, 0), ("c_burst_1r1w_bank4", 8.0, 0)),
    *(("d_rand64", 8.0, 0), ("d_rand1k", 8.0, 0), ("e_samebank_rows", 2.0, 0), ("e_bankwalk", 4.0, 0)),
    *(("a_stream", 2.0, 1), ("a_stream", 2.0, 2), ("a_stream", 2.0, 4)),
    *(("d_rand64", 1.0, 1), ("d_rand64", 1.0, 2), ("d_rand64", 1.0, 4), ("d_rand64", 1.0, 8)),
}
FRAMES = ("f_frames", 2.0, 0)
Row = tuple[str, float, int]


def test_every_row_of_the_reference_is_claimed_or_disclaimed() -> None:
    assert GOLDEN.keys() == CLAIMED.keys() | NOT_CLAIMED | {FRAMES}


@pytest.mark.parametrize(
    ("command", "energy", "count"),
    [
        ("activate_pj", "E_act_pJ", "n_act"),
        ("read_pj", "E_rd_pJ", "n_rd"),
        ("write_pj", "E_wr_pJ", "n_wr"),
        ("refresh_pj", "E_ref_pJ", "n_ref"),
    ],
)
def test_energy_of_each_command_is_dramsim3s(command: str, energy: str, count: str) -> None:
    found = getattr(dram.energies(LPDDR3), command)
    compared = [float(row[energy]) / int(row[count]) for row in GOLDEN.values() if int(row[count])]
    assert compared == pytest.approx([found] * len(compared), rel=1e-6)
    assert compared


@pytest.mark.parametrize("key", CLAIMED, ids=lambda key: f"{key[0]}-{key[1]:g}MiB-{key[2]}")
def test_cycles_of_a_stream_are_within_five_percent(key: Row) -> None:
    n_bytes, row = mib_to_bytes(int(key[1])), GOLDEN[key]
    bursts, activates = dram.n_accesses(LPDDR3, n_bytes), dram.n_activates(LPDDR3, n_bytes)
    assert isinstance(LPDDR3, BankedDram)
    found_ps = dram.transfer_ps(LPDDR3, bursts, activates, CLAIMED[key])
    assert found_ps / LPDDR3.timing.tck_ps == pytest.approx(int(row["cycles"]), rel=0.05)


@pytest.mark.parametrize("key", CLAIMED, ids=lambda key: f"{key[0]}-{key[1]:g}MiB-{key[2]}")
def test_dynamic_energy_of_a_stream_is_within_five_percent(key: Row) -> None:
    n_bytes, row, each = mib_to_bytes(int(key[1])), GOLDEN[key], dram.energies(LPDDR3)
    share_read = int(row["n_rd"]) / (int(row["n_rd"]) + int(row["n_wr"]))
    bursts = dram.n_accesses(LPDDR3, n_bytes)
    found_pj = dram.n_activates(LPDDR3, n_bytes) * each.activate_pj
    found_pj += bursts * (share_read * each.read_pj + (1 - share_read) * each.write_pj)
    assert found_pj == pytest.approx(sum(float(row[name]) for name in ("E_act_pJ", "E_rd_pJ", "E_wr_pJ")), rel=0.05)


# --- frames: the whole simulator, 1 MiB of weights read every 50 ms --------------------------------------------------

#: 512 x 512 fp32 weights are 1 MiB; the SRAM holds activations and buffers only; the array keeps up with the channel
ONE_MIB = synthesize(table_network({"n_inputs": 512, "n_outputs": 512}), "dense")
FAST = {
    "clock_hz": 1_000_000_000,
    "sram": PLAIN["sram"] | {"capacity_kib": 64},
    "array.lanes_out": 512,
    "tiles.n_buffers": 2,
    "tiles.tile_kib": 16,
}

ONE_CHANNEL = {
    **{"kind": "banked", "n_channels": 1, "n_ranks": 1, "n_banks": 8, "address_map": "row-bank-column"},
    **{"n_outstanding": None, "sleep_after_cycles": 0, "io_pj_per_bit": 4.0},
}
#: LPDDR3 x32 4 Gb, 800 MHz of DRAMPower 4.0, its two rails folded to 1.2 V
DRAMPOWER_LPDDR3 = {
    **ONE_CHANNEL,
    "capacity_mib": 512,
    "burst_bytes": 32,
    "row_bytes": 4096,
    "timing": {
        **{"tck_ps": 1250, "burst_cycles": 4, "cl_cycles": 12, "trcd_cycles": 15, "trp_cycles": 15},
        **{"cwl_cycles": 9, "twr_cycles": 12, "trtrs_cycles": 1},
        **{"tras_cycles": 36, "trrd_cycles": 8, "tfaw_cycles": 40, "twtr_cycles": 8, "trtp_cycles": 8},
        **{"trfc_cycles": 104, "trefi_cycles": 3120, "txp_cycles": 6, "txs_cycles": 112},
    },
    "currents": {
        **{"vdd_volts": 1.2, "idd0_ma": 102.5, "idd2p_ma": 1.77, "idd2n_ma": 41.0, "idd3n_ma": 48.0},
        **{"idd4r_ma": 267.5, "idd4w_ma": 299.0, "idd5_ma": 220.0, "idd6_ma": 4.77},
    },
}
#: LPDDR2 x16 2 Gb, 533 MHz of DRAMPower 4.0: bursts of 16 bytes, rows of 2 KiB
DRAMPOWER_LPDDR2 = {
    **ONE_CHANNEL,
    "capacity_mib": 256,
    "burst_bytes": 16,
    "row_bytes": 2048,
    "timing": {
        **{"tck_ps": 1876, "burst_cycles": 4, "cl_cycles": 8, "trcd_cycles": 10, "trp_cycles": 10},
        **{"cwl_cycles": 4, "twr_cycles": 10, "trtrs_cycles": 1},
        **{"tras_cycles": 23, "trrd_cycles": 6, "tfaw_cycles": 27, "twtr_cycles": 4, "trtp_cycles": 4},
        **{"trfc_cycles": 70, "trefi_cycles": 2080, "txp_cycles": 4, "txs_cycles": 75},
    },
    "currents": {
        **{"vdd_volts": 1.2, "idd0_ma": 101.0, "idd2p_ma": 2.45, "idd2n_ma": 24.55, "idd3n_ma": 31.8},
        **{"idd4r_ma": 233.5, "idd4w_ma": 223.0, "idd5_ma": 158.5, "idd6_ma": 4.4},
    },
}
PARTS = {
    "MICRON_4Gb_LPDDR3-1600_32bit_A": DRAMPOWER_LPDDR3,
    "MICRON_2Gb_LPDDR2-1066-S4_16bit_A": DRAMPOWER_LPDDR2,
}
MODES = {"none": "standby", "pdn": "power_down", "sref": "self_refresh"}
DRAMPOWER = {(row["memspec"], row["idle_mode"]): row for row in rows("drampower4_frames_1mb_50ms.csv")}


def frame_of(memory: object, idle: str) -> RunResult:
    """One frame of 1 MiB every 50 ms."""
    result = simulate(ONE_MIB, shipped_chip("mobile45", FAST | {"dram": memory, "idle.dram": idle}), fps=20)
    assert result.dram_bytes_per_frame == mib_to_bytes(1)
    return result


def dram_uj(result: RunResult) -> float:
    return (result.energy_pj_by_component["dram"] + result.energy_pj_by_component["dram_background"]) / 1e6


@pytest.mark.parametrize(("memspec", "mode"), DRAMPOWER)
def test_energy_of_a_frame_is_drampowers_within_one_percent(memspec: str, mode: str) -> None:
    found = dram_uj(frame_of(PARTS[memspec], MODES[mode]))
    assert found == pytest.approx(float(DRAMPOWER[memspec, mode]["E_total_uJ"]), rel=0.01)


def test_energy_of_two_frames_in_standby_is_dramsim3s_within_three_percent() -> None:
    assert isinstance(LPDDR3, BankedDram)
    found = 2 * dram_uj(frame_of(LPDDR3.model_dump(), "standby"))
    assert found == pytest.approx(float(GOLDEN[FRAMES]["E_tot_pJ"]) / 1e6, rel=0.03)


def test_the_reference_controller_holds_the_channel_as_long_as_the_model() -> None:
    # DRAMsim3 counts the cycles in which a row is open: 265731 for two frames of 1 MiB
    assert isinstance(LPDDR3, BankedDram)
    result = frame_of(LPDDR3.model_dump(), "standby")
    active_ps = next(row.count for row in result.ledger if row.action == "active")
    assert 2 * active_ps / LPDDR3.timing.tck_ps == pytest.approx(int(GOLDEN[FRAMES]["active_cyc"]), rel=0.05)

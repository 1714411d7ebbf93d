"""Do the closed forms of soc/dram.py give the datasheet arithmetic, worked out by hand?"""

import pytest

from dcsim.soc import dram
from dcsim.soc.dram_spec import BankedDram, Idle
from dcsim.soc.spec import load_soc
from tests.builders import chip, shipped_chip

LPDDR3 = load_soc("mobile45").dram
CONSTANT = load_soc("paper45").dram
SLOW = chip({"dram.bandwidth_bytes_per_s": 8e9}).dram
IDLE_MODES: list[Idle] = ["standby", "power_down", "self_refresh"]


@pytest.mark.parametrize(
    ("command", "expected_pj"),
    [
        # mA x V x ns = pJ, at 1.2 V and 1.25 ns a cycle: 1.5 pJ per mA and cycle
        ("activate_pj", 2793.0),  # (72 x 49 - 37 x 34 - 27.2 x 15) x 1.5 = 1862 x 1.5
        ("read_pj", 1176.0),  # (233 - 37) x 4 x 1.5
        ("write_pj", 936.0),  # (193 - 37) x 4 x 1.5
        ("refresh_pj", 24180.0),  # (192 - 37) x 104 x 1.5
    ],
)
def test_energy_of_a_command_follows_from_the_currents(command: str, expected_pj: float) -> None:
    assert getattr(dram.energies(LPDDR3), command) == pytest.approx(expected_pj, rel=1e-12)


def test_powers_of_the_states_are_current_times_voltage() -> None:
    power = dram.powers(LPDDR3, "standby")
    assert power.active_watts == pytest.approx(0.0444)  # 37 mA x 1.2 V
    assert power.standby_watts == pytest.approx(0.033032)  # 27.2 mA, and 37 mA for 104 of 3120 cycles, x 1.2 V
    assert power.refresh_watts == pytest.approx(0.0062)  # 24180 pJ every 3120 x 1250 ps


@pytest.mark.parametrize(
    ("idle", "expected_watts"),
    [
        ("standby", 0.033032),  # 27.2 mA, and 37 mA for the 104 of 3120 cycles that a refresh takes, x 1.2 V
        ("power_down", 0.0050384615),  # 3.0 mA, and 37 mA for the 104 + 6 of 3120 cycles of refresh and wake, x 1.2 V
        ("self_refresh", 0.00306),  # 2.55 mA x 1.2 V
    ],
)
def test_idle_power_is_that_of_the_chosen_mode(idle: Idle, expected_watts: float) -> None:
    power = dram.powers(LPDDR3, idle)
    assert (power.idle_state, power.idle_watts) == (idle, pytest.approx(expected_watts))


def test_only_self_refresh_includes_its_refresh() -> None:
    assert [dram.powers(LPDDR3, idle).idle_refresh_watts > 0 for idle in IDLE_MODES] == [True, True, False]


@pytest.mark.parametrize(
    ("n_bursts", "n_rows", "n_turnarounds", "expected_ps"),
    [
        # a refresh takes 104 + 15 + 15 + 4 + 2 = 140 of every 3120 cycles: times are divided by 149 / 156
        (128, 1, 0, 670_067),  # 512 cycles on the bus: 512 x 156 / 149 x 1250 = 670067.1
        (1, 100, 0, 1_308_725),  # rows decide: 100 x max(8, 40 / 4) = 1000 cycles
        (128, 1, 3, 748_591),  # 512 + 3 x (12 + 2 + 6) = 572 cycles
        (0, 0, 0, 0),
    ],
)
def test_transfer_time_is_the_closed_form(n_bursts: int, n_rows: int, n_turnarounds: int, expected_ps: int) -> None:
    assert dram.transfer_ps(LPDDR3, n_bursts, n_rows, n_turnarounds) == expected_ps


@pytest.mark.parametrize(
    ("idle", "expected_ps"),
    [
        # tRCD 15 + CL 12 + burst 4 = 31 cycles of 1250 ps; waking adds tXP 6 or tXS 176
        ("standby", 38_750),
        ("power_down", 46_250),
        ("self_refresh", 258_750),
        (None, 38_750),
    ],
)
def test_first_access_waits_for_waking_and_opening_a_row(idle: Idle | None, expected_ps: int) -> None:
    assert dram.first_access_ps(LPDDR3, idle) == expected_ps


@pytest.mark.parametrize(
    ("n_bytes", "n_bursts", "n_rows"),
    [(0, 0, 0), (1, 1, 1), (32, 1, 1), (33, 2, 1), (4096, 128, 1), (4097, 129, 2)],
)
def test_bursts_and_rows_round_up(n_bytes: int, n_bursts: int, n_rows: int) -> None:
    assert dram.n_accesses(LPDDR3, n_bytes) == n_bursts
    assert dram.n_activates(LPDDR3, n_bytes) == n_rows


def test_constant_model_costs_640_pj_per_32_bits_and_nothing_else() -> None:
    assert dram.n_accesses(CONSTANT, 9) == 3  # 72 bits
    assert dram.energies(CONSTANT) == dram.DramEnergies(activate_pj=0, read_pj=640, write_pj=640, refresh_pj=0, io_pj=0)
    assert dram.n_activates(CONSTANT, 10**9) == 0
    assert dram.powers(CONSTANT, "standby") == dram.DramPowers("idle", 0, 0, 0, 0, 0)


def test_constant_model_without_bandwidth_takes_no_time() -> None:
    assert dram.transfer_ps(CONSTANT, 10**9, 0) == 0
    assert dram.first_access_ps(CONSTANT, "self_refresh") == 0


def test_constant_model_with_bandwidth_takes_bytes_over_bandwidth() -> None:
    assert dram.transfer_ps(SLOW, 256, 0) == 128_000  # 256 x 4 bytes / 8e9 bytes per s = 128 ns


def lpddr3(**changes: object) -> BankedDram:
    memory = shipped_chip("mobile45", {f"dram.{key}": value for key, value in changes.items()}).dram
    assert isinstance(memory, BankedDram)
    return memory


def test_channels_share_bursts_and_rows() -> None:
    two = lpddr3(n_channels=2, address_map="row-bank-channel-column")
    assert dram.transfer_ps(two, 256, 2) == 670_067  # 128 bursts each, as above
    assert dram.transfer_ps(two, 257, 2) == 675_302  # 129 on one of them: 516 cycles
    assert dram.powers(two, "self_refresh").idle_watts == pytest.approx(2 * 0.00306)


def test_few_reads_in_flight_wait_for_each_other() -> None:
    # CL 12 + burst 4 + 2 = 18 cycles a read of its own; with 4 in flight 4.5 cycles each, more than the burst
    assert dram.transfer_ps(lpddr3(n_outstanding=1), 128, 1) == 3_015_302  # 2304 x 156 / 149 x 1250
    assert dram.transfer_ps(lpddr3(n_outstanding=4), 128, 1) == 753_826  # 576 x 156 / 149 x 1250
    assert dram.transfer_ps(lpddr3(n_outstanding=8), 128, 1) == 670_067


@pytest.mark.parametrize(("address_map", "n_rows"), [("row-bank-column-channel", 2), ("row-bank-channel-column", 1)])
def test_channels_that_take_turns_by_bursts_each_open_a_row(address_map: str, n_rows: int) -> None:
    two = lpddr3(n_channels=2, address_map=address_map)
    assert [dram.n_activates(two, n_bytes) for n_bytes in (0, 32, 4096, 4097)] == [0, 1, n_rows, 2]


def test_other_ranks_stand_by_while_one_is_active() -> None:
    power = dram.powers(lpddr3(n_ranks=2, address_map="row-rank-bank-column"), "standby")
    assert power.active_watts == pytest.approx(0.0444 + 0.033032)


def test_io_and_phy_are_paid_by_the_bit() -> None:
    assert dram.energies(LPDDR3).io_pj == pytest.approx(32 * 8 * 4.0)


def test_capacity_is_given_in_mib() -> None:
    assert dram.capacity_bytes(LPDDR3) == 536_870_912  # 512 x 2**20

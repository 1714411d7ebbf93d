"""Do DRAM time and energy agree with DRAMsim3 and DRAMPower? Both are device core only, like the model.

Of the controller, which replays every burst, all 27 patterns are claimed. Of the closed form: contiguous streams with at
least eight requests in flight; two such streams read side by side, unless they alternate every 32 bytes within one bank;
a read and a written stream that take turns every 4 KiB or more; frames with pauses in between. Not claimed by it: random
blocks, a new row for every burst, reads and writes that alternate every 32 bytes, and fewer requests in flight.
"""

from functools import cache

import pytest

from dcsim.soc import dram as closed_form
from dcsim.units import mib_to_bytes
from dcsim.validation import dram, dram_frames
from dcsim.validation.comparison import Comparison, of

pytestmark = pytest.mark.xdist_group("dram")  # one replay of all patterns serves them all

NOT_CLAIMED = {
    *(("b_burst_samebank", 8.0, 0), ("c_burst_1r1w", 8.0, 0), ("c_burst_1r1w_bank4", 8.0, 0)),
    *(("d_rand64", 8.0, 0), ("d_rand1k", 8.0, 0), ("e_samebank_rows", 2.0, 0), ("e_bankwalk", 4.0, 0)),
    *(("a_stream", 2.0, 1), ("a_stream", 2.0, 2), ("a_stream", 2.0, 4)),
    *(("d_rand64", 1.0, 1), ("d_rand64", 1.0, 2), ("d_rand64", 1.0, 4), ("d_rand64", 1.0, 8)),
}
FRAMES = ("f_frames", 2.0, 0)


@cache
def bursts() -> tuple[Comparison, ...]:
    return dram.bursts_table()


@cache
def streams() -> tuple[Comparison, ...]:
    return dram.streams_table()


@cache
def frames() -> tuple[Comparison, ...]:
    return dram_frames.frames_table(dram.golden()[FRAMES])


def names(rows: tuple[Comparison, ...]) -> set[str]:
    return {row.name for row in rows}


# --- every burst through the controller ------------------------------------------------------------------------------


def test_all_27_patterns_are_replayed() -> None:
    assert len(set(map(dram.name_of, dram.golden()))) == 27
    assert len(dram.golden()) == 27
    assert [row.name for row in of(bursts(), "cycles")] == [dram.name_of(key) for key in dram.golden()]
    assert len(bursts()) == 3 * 27


def test_cycles_energy_and_activations_are_near_enough() -> None:
    assert [row for row in bursts() if not row.ok] == []


def test_tolerances_of_the_controller_are_those_that_were_asked_for() -> None:
    burst_grain = {row.name for row in of(bursts(), "cycles") if row.tolerance == 0.15}
    assert burst_grain == {"b_burst_samebank", "b_burst_bank4", "c_burst_1r1w", "c_burst_1r1w_bank4"}
    for quantity in ("cycles", "energy"):
        assert {row.tolerance for row in of(bursts(), quantity) if row.name not in burst_grain} == {0.05}
    held = {row.name for row in of(bursts(), "activations") if row.tolerance == 0.10}
    assert {row.name for row in of(bursts(), "activations") if row.decides} == held
    few = {f"a_stream, {n} in flight" for n in (1, 2, 4)} | {f"d_rand64, {n} in flight" for n in (1, 2, 4, 8)}
    assert held == few | {"d_rand64", "e_samebank_rows", "e_bankwalk"}


def test_patterns_that_follow_from_their_names_agree_to_the_cycle() -> None:
    """The random blocks are other draws than those of the reference."""
    for row in bursts():
        if row.name.startswith("d_"):
            assert row.error == pytest.approx(0, abs=0.003)
        elif row.quantity == "energy":
            assert row.error == pytest.approx(0, abs=1e-8)
        else:
            assert row.found == row.reference


# --- streams in closed form ------------------------------------------------------------------------------------------


def test_every_row_of_the_reference_is_claimed_or_disclaimed_by_the_closed_form() -> None:
    assert dram.golden().keys() == dram.CLAIMED.keys() | NOT_CLAIMED | {FRAMES}
    assert names(streams()) == {dram.name_of(key) for key in dram.CLAIMED}


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
    found = getattr(closed_form.energies(dram.reference_part()), command)
    compared = [float(row[energy]) / int(row[count]) for row in dram.golden().values() if int(row[count])]
    assert compared == pytest.approx([found] * len(compared), rel=1e-6)
    assert compared


@pytest.mark.parametrize("quantity", ["cycles", "command energy"])
def test_a_stream_is_within_five_percent(quantity: str) -> None:
    rows = of(streams(), quantity)
    assert len(rows) == len(dram.CLAIMED)
    assert {row.tolerance for row in rows} == {0.05}
    assert [row for row in rows if not row.ok] == []


# --- frames: the whole simulator, 1 MiB of weights read every 50 ms --------------------------------------------------


def test_energy_of_a_frame_is_drampowers_within_one_percent() -> None:
    rows = of(frames(), "energy of a frame")
    assert len(rows) == 6
    assert {row.tolerance for row in rows} == {0.01}
    assert [row for row in rows if not row.ok] == []


def test_energy_of_two_frames_in_standby_is_dramsim3s_within_three_percent() -> None:
    (row,) = of(frames(), "energy of two frames")
    assert row.tolerance == 0.03
    assert row.ok


def test_the_reference_controller_holds_the_channel_as_long_as_the_model() -> None:
    # DRAMsim3 counts the cycles in which a row is open: 265731 for two frames of 1 MiB
    (row,) = of(frames(), "cycles a row is open")
    assert (row.reference, row.tolerance) == (265731, 0.05)
    assert row.ok


def test_a_frame_reads_one_mib() -> None:
    for part in dram_frames.drampower_parts().values():
        assert dram_frames.frame_of(part, "standby").dram_bytes_per_frame == mib_to_bytes(1)

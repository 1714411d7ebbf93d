"""Are address traces read as they are written, and does the controller time what can be timed by hand?"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from dcsim.errors import TraceError
from dcsim.soc import dram_kernels
from dcsim.soc.dram_controller import DramReplay, DramRequests, replay
from dcsim.soc.dram_spec import BankedDram
from dcsim.soc.dram_trace import MOST_CYCLES, read_trace
from dcsim.validation.dram_patterns import golden_pattern
from tests.builders import shipped_chip

#: CL 12, CWL 6, burst 4, tRCD 15, tRP 15, tRAS 34, tRRD 8, tFAW 40, tWTR 6, tRTRS 1, tRFC 104, tREFI 3120 cycles
BURST, ROW, ALL_BANKS = 32, 4096, 8 * 4096
READ, WRITE = False, True
Access = tuple[int, bool, int]


def part(**changes: object) -> BankedDram:
    found = shipped_chip("mobile45", {f"dram.{key.replace('__', '.')}": value for key, value in changes.items()}).dram
    assert isinstance(found, BankedDram)
    return found


def requests(*accesses: Access) -> DramRequests:
    addresses, writes, cycles = zip(*accesses, strict=True)
    return DramRequests(np.array(addresses, np.uint64), np.array(writes, np.bool_), np.array(cycles, np.int64))


def replayed(*accesses: Access, **changes: object) -> DramReplay:
    return replay(part(**changes), requests(*accesses))


@pytest.fixture
def trace(tmp_path: Path) -> Callable[[str], Path]:
    """A trace file with this text."""

    def write(text: str) -> Path:
        path = tmp_path / "t.trace"
        path.write_bytes(text.encode("latin1"))
        return path

    return write


# reading


def test_lines_become_requests(trace: Callable[[str], Path]) -> None:
    found = read_trace(trace("0x0 READ 0\n0xfFfFfFfFfFfFfFfF WRITE 12\n0X20 READ 5\n"))
    assert found.addresses.tolist() == [0, 2**64 - 1, 32]
    assert found.writes.tolist() == [False, True, False]
    assert found.earliest_cycles.tolist() == [0, 12, 5]
    assert [array.dtype for array in vars(found).values()] == [np.uint64, np.bool_, np.int64]


@pytest.mark.parametrize(
    "text",
    [
        "0x40 READ 7",  # no end of line
        "0x40 READ 7\r\n",  # as Windows writes it
        "\n\n  0x40\tREAD   7 \n\n",
        "0x40 read 7\n",  # as DRAMsim3 also reads it
        "0x0000000000000000000000000040 READ 0007\n",
    ],
)
def test_blanks_and_letters_do_not_matter(trace: Callable[[str], Path], text: str) -> None:
    found = read_trace(trace(text))
    assert (found.addresses.tolist(), found.writes.tolist(), found.earliest_cycles.tolist()) == ([64], [False], [7])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("40 READ 7", "hexadecimal address"),
        ("0x READ 7", "hexadecimal address"),
        ("0x4g READ 7", "hexadecimal address"),
        ("-0x40 READ 7", "hexadecimal address"),
        ("0x11112222333344445 READ 7", "64 bits"),
        ("# comment", "hexadecimal address"),
        ("0x40", "READ or WRITE"),
        ("0x40 7", "READ or WRITE"),
        ("0x40 Read 7", "READ or WRITE"),
        ("0x40 READS 7", "READ or WRITE"),
        ("0x40 WRITE", "earliest cycle"),
        ("0x40 WRITE x", "earliest cycle"),
        ("0x40 WRITE -7", "earliest cycle"),
        ("0x40 WRITE 7.5", "earliest cycle"),
        (f"0x40 WRITE {MOST_CYCLES + 1}", "earliest cycle"),
        ("0x40 WRITE 99999999999999999999999999999", "earliest cycle"),
        ("0x40 WRITE 7 8", "no more than"),
        ("\x00\xff", "hexadecimal address"),
    ],
)
@pytest.mark.parametrize("place", [1, 4])
def test_a_bad_line_is_named_and_quoted(trace: Callable[[str], Path], line: str, expected: str, place: int) -> None:
    path = trace("0x0 READ 0\n" * (place - 1) + line + "\n0x0 READ 0\n")
    with pytest.raises(TraceError, match=f"t.trace:{place}: expected .*{expected}") as error:
        read_trace(path)
    found = str(error.value).split("found ")[1]
    assert found == repr(line.encode("latin1").decode(errors="replace"))


def test_a_long_line_is_cut_in_the_message(trace: Callable[[str], Path]) -> None:
    with pytest.raises(TraceError, match=r"found '(z{60})' \.\.\.$"):
        read_trace(trace("z" * 10_000))


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_trace_without_requests_is_refused(trace: Callable[[str], Path], text: str) -> None:
    with pytest.raises(TraceError, match="holds no request"):
        read_trace(trace(text))


def test_a_missing_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot read .*t\.trace: No such file"):
        read_trace(tmp_path / "t.trace")


def test_the_latest_cycle_is_allowed(trace: Callable[[str], Path]) -> None:
    assert read_trace(trace(f"0x0 READ {MOST_CYCLES}")).earliest_cycles.tolist() == [MOST_CYCLES]


# timing, by hand: a request enters in cycle 0, is seen in 1, its command follows in 2


def test_a_read_of_a_closed_bank() -> None:
    found = replayed((0, READ, 0))
    assert found.mean_read_latency_cycles == 1 + 15 + 12 + 4  # tRCD + CL + burst
    assert found.cycles == 34  # activate in 2, read in 17, back in 33
    assert (found.n_activates, found.n_precharges, found.n_reads) == (1, 0, 1)
    assert (found.n_row_hits, found.n_row_misses, found.n_row_conflicts) == (0, 1, 0)
    assert (found.active_cycles, found.idle_cycles) == (32, 2)
    assert found.bandwidth_bytes_per_s == pytest.approx(32 / (34 * 1.25e-9))


def test_what_has_not_moved_is_in_no_bandwidth() -> None:
    waiting = replay(part(), requests((0, WRITE, 0)), window_cycles=100_000)
    assert (waiting.n_waiting_writes, waiting.n_writes, waiting.bandwidth_bytes_per_s) == (1, 0, 0.0)
    joined = replayed((0, READ, 0), (0, READ, 0))  # two requests for one burst
    assert joined.n_merged_reads == 1
    assert joined.bandwidth_bytes_per_s == pytest.approx(32 / (joined.cycles * 1.25e-9))


def test_energy_of_a_read_by_kind() -> None:
    found = replayed((0, READ, 0))
    kinds = {kind: energy_pj for kind, energy_pj in found.energy_pj_by_kind.items() if energy_pj}
    # mA x V x ns = pJ; 1.5 pJ per mA and cycle
    expected = {"activate": 1862 * 1.5, "read": 784 * 1.5, "active_standby": 32 * 37 * 1.5, "precharge_standby": 81.6}
    assert kinds == pytest.approx(expected)
    assert found.energy_pj == pytest.approx(sum(expected.values()))
    assert found.io_energy_pj == 256 * 4.0


def test_a_row_hit_and_a_row_conflict() -> None:
    hit = replayed((0, READ, 0), (BURST, READ, 100))
    assert hit.mean_read_latency_cycles == (32 + 1 + 12 + 4) / 2
    assert (hit.n_row_hits, hit.n_row_conflicts, hit.n_activates) == (1, 0, 1)
    conflict = replayed((0, READ, 0), (ALL_BANKS, READ, 100))
    assert conflict.mean_read_latency_cycles == (32 + 1 + 15 + 15 + 12 + 4) / 2
    assert (conflict.n_row_hits, conflict.n_row_conflicts, conflict.n_activates, conflict.n_precharges) == (0, 1, 2, 1)


def test_a_row_stays_open_for_tras() -> None:
    # seen in 21, would close the row in 22, but it is open until 2 + 34
    found = replayed((0, READ, 0), (ALL_BANKS, READ, 20))
    assert found.cycles == 36 + 15 + 15 + 16 + 1


@pytest.mark.parametrize(
    ("n_banks", "last_activate"),
    [(4, 2 + 3 * 8), (5, 2 + 40), (6, 2 + 40 + 8)],  # tRRD apart up to the fourth; the fifth waits for tFAW
)
def test_the_fifth_activation_waits_for_tfaw(n_banks: int, last_activate: int) -> None:
    found = replayed(*((bank * ROW, READ, 0) for bank in range(n_banks)))
    assert found.n_activates == n_banks
    assert found.cycles == last_activate + 15 + 16 + 1


def test_without_a_tfaw_the_fifth_activation_is_one_trrd_later() -> None:
    found = replayed(*((bank * ROW, READ, 0) for bank in range(5)), timing__tfaw_cycles=4 * 8)
    assert found.cycles == 2 + 4 * 8 + 15 + 16 + 1


def test_bursts_of_an_open_row_follow_each_other_on_the_bus() -> None:
    found = replayed(*((i * BURST, READ, 0) for i in range(8)))
    assert found.cycles == 17 + 7 * 4 + 16 + 1


@pytest.mark.parametrize(
    ("trtp", "expected"),
    [
        (6, (2, 1, 7)),  # each access keeps the row open for 6 cycles, and the next follows after 4: all eight go first
        (1, (3, 2, 6)),  # now it can close in between, and does after the fourth: four accesses, the other row, four
    ],
)
def test_a_row_may_close_after_four_accesses_although_more_wait(trtp: int, expected: tuple[int, int, int]) -> None:
    accesses = [(i * BURST, READ, 0) for i in range(8)]
    accesses.insert(3, (ALL_BANKS, READ, 0))
    found = replayed(*accesses, timing__trtp_cycles=trtp, timing__tras_cycles=20)
    assert (found.n_activates, found.n_row_conflicts, found.n_row_hits) == expected


def test_a_refresh_waits_for_nobody() -> None:
    before = replayed((0, READ, 3099))  # activated in 3101, read in 3116
    assert before.mean_read_latency_cycles == 32
    open_row = replayed((0, READ, 3117))  # activated in 3119, closed in 3153, refreshed in 3168, activated in 3272
    assert open_row.cycles == 3272 + 15 + 16 + 1
    assert (open_row.n_refreshes, open_row.n_activates, open_row.n_precharges) == (1, 2, 1)
    closed = replayed((0, READ, 3118))  # seen in 3119; refreshed in 3120, activated in 3224
    assert closed.mean_read_latency_cycles == 3224 + 15 + 16 - 3119


def test_a_window_is_refreshed_to_its_end() -> None:
    found = replay(part(), requests((0, READ, 0)), window_cycles=3120 * 5 + 1)
    assert found.cycles == 3120 * 5 + 1
    assert found.n_refreshes == 5
    assert found.active_cycles + found.idle_cycles == found.cycles
    assert found.active_cycles == 3120 - 2  # the row stays open until the first refresh is due


def test_a_window_that_ends_early_changes_nothing() -> None:
    assert replay(part(), requests((0, READ, 0)), window_cycles=5) == replayed((0, READ, 0))


def test_writes_are_posted_and_a_few_wait_for_more() -> None:
    found = replayed((0, WRITE, 0))
    assert (found.cycles, found.n_writes, found.n_waiting_writes) == (3, 0, 1)
    assert found.mean_read_latency_cycles == 0
    eight = replay(part(), requests(*((i * BURST, WRITE, 0) for i in range(8))), window_cycles=1000)
    assert (eight.n_writes, eight.n_waiting_writes) == (0, 8)
    nine = replay(part(), requests(*((i * BURST, WRITE, 0) for i in range(9))), window_cycles=1000)
    assert (nine.n_writes, nine.n_waiting_writes) == (9, 0)


def test_a_read_after_writes_waits_for_the_bus_to_turn() -> None:
    writes = [(i * BURST, WRITE, 0) for i in range(9)]
    alone = replay(part(), requests(*writes), window_cycles=1000)
    # the ninth is seen in 9 and starts the draining; activated in 10, written from 25 on, every 4 cycles up to 57
    found = replayed(*writes, (9 * BURST, READ, 20))
    assert found.n_writes == alone.n_writes == 9
    assert found.cycles == 57 + (6 + 4 + 6) + 16 + 1  # CWL + burst + tWTR


def test_a_write_that_waits_answers_reads_and_joins_writes() -> None:
    found = replayed((0, WRITE, 0), (BURST - 1, READ, 0), (8, WRITE, 0))
    assert found.mean_read_latency_cycles == 1
    assert (found.n_forwarded_reads, found.n_merged_writes, found.n_waiting_writes) == (1, 1, 1)
    assert (found.n_reads, found.n_writes, found.n_activates) == (0, 0, 0)


def test_reads_of_a_burst_that_wait_together_are_one() -> None:
    found = replayed((0, READ, 0), (4, READ, 0), (31, READ, 0))
    assert (found.n_reads, found.n_merged_reads) == (1, 2)
    assert found.mean_read_latency_cycles == (32 + 31 + 30) / 3


def test_reads_in_flight_are_limited() -> None:
    accesses = requests(*((i * BURST, READ, 0) for i in range(3)))
    assert replay(part(), accesses, n_outstanding=3).cycles == replay(part(), accesses).cycles == 17 + 8 + 16 + 1
    # the second enters in the cycle in which the first is back, 33, and takes 1 + CL + burst from 34 on
    assert replay(part(), accesses, n_outstanding=1).cycles == 34 + 17 + 18 + 1


@pytest.mark.parametrize("start", range(32))
def test_a_read_that_came_back_in_a_pause_is_in_flight_no_more(start: int) -> None:
    accesses = requests((0, READ, start), (BURST, READ, 1000), (2 * BURST, READ, 1000))
    assert replay(part(), accesses, n_outstanding=1).cycles == 1001 + 17 + 18 + 1


def test_addresses_past_the_capacity_wrap_around() -> None:
    found = replayed((0, READ, 0), (512 * 2**20 + BURST, READ, 0), (2**64 - 1, READ, 0))
    assert (found.n_outside, found.n_row_hits, found.n_activates) == (2, 1, 2)


def test_channels_work_side_by_side() -> None:
    changes = {"n_channels": 2, "address_map": "row-bank-column-channel"}
    found = replayed((0, READ, 0), (BURST, READ, 0), **changes)
    assert found.cycles == 35  # the second enters one cycle later
    assert (found.n_activates, found.active_cycles) == (2, 33 + 32)
    assert found.idle_cycles == 2 * 35 - 65


def test_a_change_of_rank_takes_a_pause_on_the_bus() -> None:
    one = replayed((0, READ, 0), (BURST, READ, 0), n_ranks=2, address_map="row-bank-rank-column")
    other = replayed((0, READ, 0), (ROW, READ, 0), n_ranks=2, address_map="row-bank-rank-column")
    assert one.cycles == 17 + 4 + 16 + 1
    # both ranks are activated one after the other, in 2 and 3; the second reads after burst + tRTRS
    assert other.cycles == 17 + 4 + 1 + 16 + 1


@pytest.mark.parametrize(
    ("address_map", "stride_bytes"),
    [("row-bank-column-channel", 32), ("row-bank-channel-column", 4096), ("channel-row-bank-column", 256 * 2**20)],
)
def test_the_address_map_says_where_a_channel_begins(address_map: str, stride_bytes: int) -> None:
    found = replayed((0, READ, 0), (stride_bytes, READ, 0), n_channels=2, address_map=address_map)
    assert (found.n_activates, found.cycles) == (2, 35)  # without a tRRD in between


def test_a_number_of_rows_that_is_no_power_of_two() -> None:
    changes = {"capacity_mib": 384, "address_map": "bank-row-column"}  # 12288 rows
    last_row_of_bank_0 = replayed((12287 * ROW, READ, 0), (0, READ, 200), **changes)
    first_row_of_bank_1 = replayed((12288 * ROW, READ, 0), (0, READ, 200), **changes)
    assert (last_row_of_bank_0.n_row_conflicts, first_row_of_bank_1.n_row_conflicts) == (1, 0)


# idle policies: the read is back in 33; then the row closes in 36 = 2 + tRAS, and the bank is closed from 51 on


@pytest.mark.parametrize(
    ("idle", "n_cycles", "asleep"),
    [
        ("power_down", 1000, 1000 - 51),
        ("power_down", 5000, (3120 - 6 - 51) + (5000 - 3224)),  # awake from tXP before the refresh to tRFC after
        ("self_refresh", 1000, 1000 - 51),
        ("self_refresh", 100_000, 100_000 - 51),
    ],
)
def test_without_work_the_dram_sleeps(idle: str, n_cycles: int, asleep: int) -> None:
    found = replay(part(), requests((0, READ, 0)), idle=idle, window_cycles=n_cycles)  # type: ignore[arg-type]  # a word
    assert {"power_down": found.power_down_cycles, "self_refresh": found.self_refresh_cycles}[idle] == asleep
    assert found.n_precharges == 1
    n_refreshes = int(idle == "power_down" and n_cycles > 3120)
    assert found.n_refreshes == n_refreshes
    assert found.active_cycles == 34 + 104 * n_refreshes
    assert found.active_cycles + found.idle_cycles + asleep == n_cycles


def test_standby_closes_rows_and_stays_awake() -> None:
    found = replay(part(), requests((0, READ, 0)), idle="standby", window_cycles=3000)
    assert (found.n_precharges, found.active_cycles, found.idle_cycles) == (1, 34, 3000 - 34)


def test_the_dram_goes_to_sleep_only_after_a_while() -> None:
    found = replay(part(sleep_after_cycles=100), requests((0, READ, 0)), idle="power_down", window_cycles=1000)
    assert found.power_down_cycles == 1000 - (34 + 100 + 15)


def test_a_refresh_at_the_end_of_the_window_is_counted_up_to_it() -> None:
    found = replay(part(), requests((0, READ, 0)), idle="power_down", window_cycles=3120 + 10)
    assert found.active_cycles == 34 + 10
    assert found.idle_cycles == 2 + 15 + 6


@pytest.mark.parametrize(("idle", "exit_cycles"), [("standby", 1), ("power_down", 6), ("self_refresh", 176)])
def test_waking_up_takes_its_time(idle: str, exit_cycles: int) -> None:
    accesses = requests((0, READ, 0), (0, READ, 2000))
    found = replay(part(), accesses, idle=idle)  # type: ignore[arg-type]  # a word
    assert found.mean_read_latency_cycles == (32 + exit_cycles + 15 + 12 + 4) / 2
    assert found.n_row_misses == 2


# what the code promises to whoever calls it


def test_arrays_of_any_kind_are_replayed_by_the_same_kernel() -> None:
    plain = requests((0, READ, 0), (ALL_BANKS, WRITE, 9), (BURST, READ, 9))
    expected = replay(part(), plain)
    odd = [DramRequests(plain.addresses, plain.writes.astype(np.int8), plain.earliest_cycles.astype(np.uint16))]
    read_only = DramRequests(*(array.copy() for array in vars(plain).values()))
    for array in vars(read_only).values():
        array.flags.writeable = False
    twice = DramRequests(*(np.repeat(array, 2)[::2] for array in vars(plain).values()))
    for each in [*odd, read_only, twice]:
        assert replay(part(), each) == expected
    assert len(dram_kernels.replay.signatures) == 1


def test_no_requests_take_no_time() -> None:
    nothing = DramRequests(np.zeros(0, np.uint64), np.zeros(0, np.bool_), np.zeros(0, np.int64))
    assert (replay(part(), nothing).cycles, replay(part(), nothing).bandwidth_bytes_per_s) == (0, 0.0)
    assert replay(part(), nothing, window_cycles=7000).n_refreshes == 2


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("a_stream", [(0, READ, 0), (32, READ, 0), (64, READ, 0)]),
        ("w_stream", [(0, WRITE, 0), (32, WRITE, 0)]),
        ("b_burst_samebank", [(0, READ, 0), (2**28, READ, 0), (32, READ, 0), (2**28 + 32, READ, 0)]),
        ("b_burst_bank4", [(0, READ, 0), (2**28 + 16384, READ, 0), (32, READ, 0)]),
        ("c_burst_1r1w", [(0, READ, 0), (2**28, WRITE, 0), (32, READ, 0), (2**28 + 32, WRITE, 0)]),
        ("e_samebank_rows", [(0, READ, 0), (32768, READ, 0), (65536, READ, 0)]),
        ("e_bankwalk", [(0, READ, 0), (4096, READ, 0), (8192, READ, 0)]),
    ],
)
def test_patterns_begin_as_they_are_described(name: str, first: Sequence[Access]) -> None:
    assert accesses_of(golden_pattern(name, 0.01))[: len(first)] == list(first)


def test_tiles_take_turns() -> None:
    found = accesses_of(golden_pattern("c_tile4k_3r1w", 0.125))
    n_grain = 4096 // 32
    assert [write for _, write, _ in found] == ([READ] * 3 * n_grain + [WRITE] * n_grain) * 8
    reads = [address for address, write, _ in found if not write]
    assert reads == [32 * i for i in range(len(reads))]
    writes = [address for address, write, _ in found if write]
    assert writes == [2**28 + 32 * i for i in range(len(writes))]


def test_random_blocks_are_whole_and_aligned() -> None:
    found = [address for address, _, _ in accesses_of(golden_pattern("d_rand1k", 0.25))]
    blocks = np.array(found).reshape(-1, 32)
    assert (blocks[:, 0] % 1024 == 0).all()
    assert (np.diff(blocks, axis=1) == 32).all()
    assert len(np.unique(blocks[:, 0])) > 200
    assert 2**27 < blocks.max() < 2**28


def test_frames_are_fifty_milliseconds_apart() -> None:
    found = golden_pattern("f_frames", 2.0)
    assert np.unique(found.earliest_cycles, return_counts=True)[1].tolist() == [32768, 32768]
    assert np.unique(found.earliest_cycles).tolist() == [0, 40_000_000]


def accesses_of(found: DramRequests) -> list[Access]:
    return list(zip(found.addresses.tolist(), found.writes.tolist(), found.earliest_cycles.tolist(), strict=True))

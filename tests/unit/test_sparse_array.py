"""Do entries, fillers and queues of the sparse array come out as worked by hand, and as counted one by one?"""

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.soc import sparse_array
from dcsim.soc.array_spec import SparseArray
from dcsim.soc.pe_array import event_counts
from dcsim.soc.sparse_array import SparseWork, expected_filler_zeros

Mask = npt.NDArray[np.bool_]


def array(n_pes: int, fifo_depth: int = 8, gap_bits: int = 4) -> SparseArray:
    return SparseArray(
        kind="sparse",
        mac_format="int16",
        n_pes=n_pes,
        fifo_depth=fifo_depth,
        code_bits=4,
        gap_bits=gap_bits,
        pj_per_entry_read=1,
        pj_per_pointer_read=1,
        pj_per_activation_access=1,
        pj_per_queue_access=1,
    )


def packed(mask: Mask) -> bytes:
    return np.packbits(mask, bitorder="little").tobytes()


def work(chip: SparseArray, mask: Mask, counts: Sequence[int] | None = None, m: int = 1) -> SparseWork:
    """Of (groups, N, K) or (N, K) nonzero weights."""
    groups = mask if mask.ndim == 3 else mask[None]
    return sparse_array.work(chip, groups.shape[0], m, groups.shape[1], groups.shape[2], packed(mask), counts)


# --- the same, slowly and one by one -------------------------------------------------------------------------------


def stored_entries(slice_: Sequence[bool], gap_bits: int) -> list[tuple[int, bool]]:
    """(gap, is it a nonzero) of every entry of a PE's slice of a column, as it would be written."""
    entries, gap = [], 0
    for nonzero in slice_:
        if nonzero or gap == 2**gap_bits - 1:
            entries.append((gap, bool(nonzero)))
            gap = 0
        else:
            gap += 1
    while entries and not entries[-1][1]:  # nothing is stored after the last nonzero
        entries.pop()
    return entries


def cycles_one_by_one(columns: Sequence[Sequence[int]], n_pes: int, fifo_depth: int) -> int:
    """Cycle by cycle, with real queues: `columns` are the entries of each PE in the columns that are sent."""
    waiting = deque(columns)
    queues: list[deque[int]] = [deque() for _ in range(n_pes)]
    n_cycles = 0
    while waiting or any(queues):
        if waiting and all(len(queue) < fifo_depth for queue in queues):
            for queue, n_entries in zip(queues, waiting.popleft(), strict=True):
                queue.append(n_entries)
        for queue in queues:
            if queue:
                queue[0] -= 1  # an entry; where the column has none, the look at its pointers
                if queue[0] <= 0:
                    queue.popleft()
        n_cycles += 1
    return n_cycles


def is_active(pixel: int, column: int, count: int, m: int) -> bool:
    offset = ((column * 0x9E3779B9) % 2**32) * m // 2**32
    return ((pixel + 1) * count + offset) // m > (pixel * count + offset) // m


def reference(chip: SparseArray, mask: Mask, counts: Sequence[int], m: int) -> SparseWork:
    """All groups and all pixels of a (groups, N, K) mask."""
    total = SparseWork()
    for group, matrix in enumerate(mask):
        n_columns = matrix.shape[1]
        group_counts = counts[group * n_columns : (group + 1) * n_columns]
        slices = [
            [stored_entries(matrix[pe :: chip.n_pes, j], chip.gap_bits) for pe in range(chip.n_pes)]
            for j in range(n_columns)
        ]
        per_pe = [[len(entries) for entries in column] for column in slices]
        sent = [[per_pe[j] for j in range(n_columns) if is_active(p, j, group_counts[j], m)] for p in range(m)]
        n_entries = sum(map(sum, itertools.chain(*sent)))
        n_macs = sum(int(matrix[:, j].sum()) * group_counts[j] for j in range(n_columns))
        n_sent = sum(map(len, sent))
        total = total.followed_by(
            SparseWork(
                n_cycles=sum(cycles_one_by_one(columns, chip.n_pes, chip.fifo_depth) for columns in sent),
                n_cycles_theoretical=-(-n_entries // chip.n_pes),
                n_entries=n_entries,
                n_filler_zeros=n_entries - n_macs,
                n_macs=n_macs,
                n_broadcasts=n_sent,
                n_pointer_reads=chip.n_pes * n_sent,
                n_activation_accesses=2 * n_entries + n_sent,
                n_queue_accesses=2 * chip.n_pes * n_sent,
                n_entries_stored=sum(map(sum, per_pe)),
            )
        )
    return total


# --- entries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slice_", "gap_bits", "entries"),
    [
        ("1", 1, [(0, True)]),
        ("01", 1, [(1, True)]),
        ("001", 1, [(1, False), (0, True)]),  # a filler stands for two zeros
        ("000001", 1, [(1, False), (1, False), (1, True)]),
        ("0001", 2, [(3, True)]),
        ("00001", 2, [(3, False), (0, True)]),
        ("1000010", 2, [(0, True), (3, False), (0, True)]),
        ("1000000", 1, [(0, True)]),  # none after the last nonzero
        ("0000", 1, []),
    ],
)
def test_fillers_of_one_slice(slice_: str, gap_bits: int, entries: list[tuple[int, bool]]) -> None:
    column = np.array([[bit == "1"] for bit in slice_])
    found = work(array(1, gap_bits=gap_bits), column)
    assert stored_entries(column[:, 0], gap_bits) == entries
    assert (found.n_entries_stored, found.n_macs) == (len(entries), sum(nonzero for _, nonzero in entries))
    assert found.n_filler_zeros == len(entries) - found.n_macs


def test_gaps_are_counted_within_what_one_pe_holds() -> None:
    # rows 0 and 6 of eight. In one slice there are 5 zeros between them: two fillers of 2 zeros. With two PEs, PE 0 holds
    # rows 0, 2, 4, 6: two zeros, one filler. With four, PE 0 holds rows 0, 4 and PE 2 rows 2, 6: one zero, no filler
    column = np.zeros((8, 1), np.bool_)
    column[[0, 6]] = True
    assert [work(array(n_pes, gap_bits=1), column).n_entries_stored for n_pes in (1, 2, 4, 8)] == [4, 3, 2, 2]


def test_gaps_start_anew_in_each_column() -> None:
    # PE 0 holds rows 0 and 2 of two columns: 1 0 and 0 1. Across the columns two zeros would lie between them: a filler
    mask = np.array([[1, 0], [0, 0], [0, 1], [0, 0]], np.bool_)
    assert work(array(2, gap_bits=1), mask).n_entries_stored == 2


# --- queues --------------------------------------------------------------------------------------------------------

UNEVEN = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]], np.bool_)
"""Two PEs: rows 0, 2, 4 have 3, 1, 1 entries in the three columns, rows 1, 3, 5 have 1, 1, 3."""


@pytest.mark.parametrize(
    ("fifo_depth", "n_cycles"),
    [
        # depth 1: every column waits for the slower PE: 3 + 1 + 3
        (1, 7),
        # depth 2: columns are sent in cycles 0, 1 and 3, when PE 0 is done with the first; PE 1 works 0, 1, 3 4 5
        (2, 6),
        # depth 3: sent in cycles 0, 1, 2; PE 0 works 0 1 2, 3, 4 and PE 1 0, 1, 2 3 4
        (3, 5),
        (1000, 5),
    ],
)
def test_a_full_queue_stops_the_broadcast(fifo_depth: int, n_cycles: int) -> None:
    found = work(array(2, fifo_depth), UNEVEN)
    assert (found.n_cycles, found.n_cycles_theoretical, found.n_entries) == (n_cycles, 5, 10)
    assert found.load_balance == 5 / n_cycles


def test_one_slow_pe_holds_all_others_up() -> None:
    # four PEs, five rows each, ten columns; PE 0 has 5 entries of each, the others 1: it is never idle, they mostly are
    mask = np.zeros((20, 10), np.bool_)
    mask[0::4] = True
    mask[1:4] = True
    found = work(array(4), mask)
    assert (found.n_cycles, found.n_cycles_theoretical) == (50, 20)  # 80 entries over 4 PEs


def test_a_column_without_entries_takes_a_cycle() -> None:
    # of three columns sent, the middle one is empty in the only PE
    mask = np.array([[1, 0, 1], [1, 0, 1]], np.bool_)
    found = work(array(1), mask)
    assert (found.n_cycles, found.n_cycles_theoretical) == (5, 4)


def test_columns_are_sent_one_a_cycle() -> None:
    # 64 PEs with a row each could do 10 columns of one entry at once, but the last is sent in the tenth cycle
    assert work(array(64), np.ones((64, 10), np.bool_)).n_cycles == 10


def test_columns_without_activation_are_not_sent() -> None:
    found = work(array(2), UNEVEN, counts=(1, 0, 1))
    # sent in cycles 0 and 1; PE 0 works 0 1 2, 3 and PE 1 0, 1 2 3
    assert (found.n_entries, found.n_cycles, found.n_broadcasts) == (8, 4, 2)
    assert found.n_entries_stored == 10


def test_pes_without_rows_are_idle() -> None:
    found = work(array(64), np.ones((3, 5), np.bool_))
    assert (found.n_cycles, found.n_cycles_theoretical, found.n_entries) == (5, 1, 15)
    assert found.n_pointer_reads == 64 * 5  # they look at the pointers of every column all the same


def test_accesses_are_counted_by_event() -> None:
    found = work(
        array(2, gap_bits=1), np.array([[1, 1], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0], [0, 1], [0, 0]], np.bool_)
    )
    # column 0: one entry; column 1: 1, two zeros, 1 = 1 + filler + 1
    assert (found.n_entries, found.n_filler_zeros, found.n_macs, found.n_broadcasts) == (4, 1, 3, 2)
    assert event_counts(array(2), found.array_work()) == {
        "mac": 3,
        "alu": 0,
        "entry": 4,
        "pointer": 4,  # two columns in two PEs
        "activation": 10,  # an accumulator read and written for each entry, two activations read
        "queue": 8,  # in and out, two columns in two PEs
    }
    assert found.array_work().n_cycles == found.n_cycles == 4
    assert found.array_work().weight_read_bits == found.array_work().activation_read_bits == 0


# --- groups, pixels and what is not known --------------------------------------------------------------------------


def test_groups_begin_anywhere_in_a_byte_and_follow_one_another() -> None:
    generator = np.random.default_rng(1)
    mask = generator.random((5, 7, 3)) < 0.5  # 21 bits a group
    counts = [int(c) for c in generator.integers(0, 2, 15)]
    found = work(array(2), mask, counts)
    assert found == reference(array(2), mask, counts, 1)
    alone = [work(array(2), mask[g], counts[3 * g : 3 * g + 3]) for g in range(5)]
    assert found.n_cycles == sum(part.n_cycles for part in alone)
    assert found.n_entries == sum(part.n_entries for part in alone)


def test_a_matrix_wider_than_a_word_is_counted_like_its_columns() -> None:
    mask = np.random.default_rng(2).random((33, 1000)) < 0.3
    whole = work(array(4, gap_bits=2), mask)
    assert whole == reference(array(4, gap_bits=2), mask[None], [1] * 1000, 1)


def test_pixels_follow_one_another() -> None:
    # two pixels that need all three columns: the queues empty in between
    assert work(array(2, 3), UNEVEN, counts=(2, 2, 2), m=2).n_cycles == 10
    assert work(array(2, 3), UNEVEN, counts=None, m=1000).n_cycles == 5000


def test_every_pixel_count_is_met_exactly() -> None:
    generator = np.random.default_rng(3)
    mask = generator.random((1, 12, 20)) < 0.4
    counts = [int(c) for c in generator.integers(0, 8, 20)]
    assert [sum(is_active(p, j, c, 7) for p in range(7)) for j, c in enumerate(counts)] == counts
    assert work(array(3, 2), mask, counts, m=7) == reference(array(3, 2), mask, counts, 7)


def test_pixels_beyond_those_simulated_are_like_them(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(4)
    mask = generator.random((128, 600)) < 0.3
    counts = [int(c) for c in generator.binomial(500, 0.4, 600)]
    sampled = work(array(16), mask, counts, m=500)
    monkeypatch.setattr(sparse_array, "MAX_PIXELS", 500)
    every = work(array(16), mask, counts, m=500)
    assert replace(sampled, n_cycles=0) == replace(every, n_cycles=0)
    assert sampled.n_cycles != every.n_cycles
    assert sampled.n_cycles == pytest.approx(every.n_cycles, rel=0.01)


def test_pixels_that_miss_the_only_entries_wait_at_every_column() -> None:
    # 1000 pixels, one of which has the only nonzero; 32 are simulated and none of them is it
    found = work(array(1), np.ones((2, 1), np.bool_), counts=(1,), m=1000)
    assert (found.n_entries, found.n_cycles) == (2, 2)


@pytest.mark.parametrize(("n", "n_pes"), [(8, 4), (10, 4), (3, 8), (1, 1)])
def test_dense_weights_need_no_positions(n: int, n_pes: int) -> None:
    unknown = sparse_array.work(array(n_pes), 2, 3, n, 5)
    assert unknown == work(array(n_pes), np.ones((2, n, 5), np.bool_), m=3)


def test_unknown_positions_are_spread_evenly() -> None:
    # 30 nonzeros and no fillers on 3 PEs and 10 columns: one each, so nobody waits
    found = sparse_array.work(array(3), 1, 1, 12, 10, n_nonzero=30)
    assert (found.n_cycles, found.n_cycles_theoretical, found.n_macs, found.n_filler_zeros) == (10, 10, 30, 0)


def test_unknown_positions_are_spread_over_groups() -> None:
    found = sparse_array.work(array(3), 4, 2, 12, 10, n_nonzero=30)
    assert (found.n_macs, found.n_entries_stored) == (60, 30)


def test_fillers_of_unknown_positions_are_those_of_a_random_mask() -> None:
    generator = np.random.default_rng(5)
    mask = generator.random((4096, 200)) < 0.04
    exact = work(array(64), mask)
    spread = sparse_array.work(array(64), 1, 1, 4096, 200, n_nonzero=int(mask.sum()))
    assert exact.n_filler_zeros > 0.3 * exact.n_entries
    assert spread.n_entries == pytest.approx(exact.n_entries, rel=0.01)
    assert spread.n_macs == exact.n_macs
    assert spread.n_cycles < exact.n_cycles  # no PE has more than another


@pytest.mark.parametrize(("n", "n_pes", "gap_bits"), [(9, 1, 1), (11, 2, 1), (12, 1, 2), (3, 5, 1)])
def test_expected_fillers_are_the_mean_over_all_masks(n: int, n_pes: int, gap_bits: int) -> None:
    density, mean = 0.3, 0.0
    for column in itertools.product((False, True), repeat=n):
        n_nonzero = sum(column)
        n_entries = sum(len(stored_entries(column[pe::n_pes], gap_bits)) for pe in range(n_pes))
        mean += density**n_nonzero * (1 - density) ** (n - n_nonzero) * (n_entries - n_nonzero)
    assert expected_filler_zeros(n, 7, n_pes, gap_bits, density) == pytest.approx(7 * mean)


@pytest.mark.parametrize("size", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_nothing_costs_nothing(size: tuple[int, int, int, int]) -> None:
    assert sparse_array.work(array(4), *size) == SparseWork()
    assert SparseWork().load_balance == 1


def test_no_activation_and_no_weight_cost_nothing_to_process() -> None:
    silent = work(array(2), UNEVEN, counts=(0, 0, 0))
    assert replace(silent, n_entries_stored=0) == SparseWork()
    empty = work(array(2), np.zeros((4, 3), np.bool_))
    assert (empty.n_cycles, empty.n_entries, empty.n_broadcasts) == (3, 0, 3)  # three columns are sent in vain


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bitmap": bytes(2)}, "bitmap of 1 bytes, found 2"),
        ({"column_nonzeros": (1, 1, 1)}, "2 counts .* from 0 to 3"),
        ({"column_nonzeros": (1, 4)}, "2 counts .* from 0 to 3"),
        ({"column_nonzeros": (-1, 2)}, "2 counts .* from 0 to 3"),
        ({"n_nonzero": 7}, "at most 6 nonzero weights, found 7"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sparse_array.work(array(2), 1, 3, 3, 2, **arguments)  # type: ignore[arg-type]

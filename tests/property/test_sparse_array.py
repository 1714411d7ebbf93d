"""Do the laws of the sparse array hold for any weights, activations, PEs and queues?"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.soc import sparse_array
from dcsim.soc.array_spec import SparseArray
from dcsim.soc.sparse_array import SparseWork
from dcsim.units import ceil_div
from tests.unit.test_sparse_array import Mask, array, packed, reference

ENDLESS = 10**6


@dataclass(frozen=True)
class Product:
    """A (groups, N, K) mask of weights and how many of M pixels have a nonzero in each of the groups' columns."""

    mask: Mask
    counts: tuple[int, ...]
    m: int

    def work(self, chip: SparseArray) -> SparseWork:
        n_groups, n, k = self.mask.shape
        return sparse_array.work(chip, n_groups, self.m, n, k, packed(self.mask), self.counts)


FEW = st.integers(1, 6)


@st.composite
def products(draw: st.DrawFn, m: st.SearchStrategy[int] = FEW) -> Product:
    n_groups, n, k, n_pixels = draw(st.integers(1, 3)), draw(st.integers(1, 40)), draw(st.integers(1, 12)), draw(m)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = generator.random((n_groups, n, k)) < draw(st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.0]))
    counts = generator.binomial(n_pixels, draw(st.sampled_from([0.1, 0.5, 1.0])), n_groups * k)
    return Product(mask, tuple(counts.tolist()), n_pixels)


arrays = st.builds(array, st.integers(1, 9), st.integers(1, 10), st.integers(1, 3))
law = settings(max_examples=150, deadline=None)


@law
@given(products(), arrays)
def test_the_kernels_are_the_queues_cycle_by_cycle(product: Product, chip: SparseArray) -> None:
    assert product.work(chip) == reference(chip, product.mask, product.counts, product.m)


@law
@given(products(), arrays)
def test_no_time_is_shorter_than_balance_and_none_longer_than_waiting_at_every_column(
    product: Product, chip: SparseArray
) -> None:
    found, waiting = product.work(chip), product.work(chip.model_copy(update={"fifo_depth": 1}))
    assert max(found.n_cycles_theoretical, found.n_broadcasts) <= found.n_cycles <= waiting.n_cycles
    assert 0 <= found.load_balance <= 1
    assert found.n_cycles_theoretical >= ceil_div(found.n_entries, chip.n_pes)


@law
@given(products(), arrays, st.integers(1, 5))
def test_a_deeper_queue_is_never_slower(product: Product, chip: SparseArray, deeper: int) -> None:
    deep = chip.model_copy(update={"fifo_depth": chip.fifo_depth + deeper})
    assert product.work(deep).n_cycles <= product.work(chip).n_cycles


@law
@given(products(m=st.just(1)), arrays)
def test_with_endless_queues_the_busiest_pe_decides(product: Product, chip: SparseArray) -> None:
    endless = chip.model_copy(update={"fifo_depth": ENDLESS})
    expected, k = 0, product.mask.shape[2]
    for group, matrix in enumerate(product.mask):
        sent = [j for j in range(k) if product.counts[group * k + j]]
        # a PE alone, with a queue that never stops anybody
        busy = [
            sum(max(1, work.n_entries) for j in sent for work in [column(matrix[pe :: chip.n_pes, j], chip)])
            for pe in range(chip.n_pes)
        ]
        expected += max(busy)
    assert product.work(endless).n_cycles == expected


def column(rows: Mask, chip: SparseArray) -> SparseWork:
    """One column of one PE."""
    return sparse_array.work(array(1, gap_bits=chip.gap_bits), 1, 1, len(rows), 1, packed(rows))


@law
@given(products(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_it_does_not_matter_which_pe_is_which(product: Product, n_pes: int, random) -> None:  # type: ignore[no-untyped-def]
    rows_each = product.mask.shape[1] // n_pes
    if rows_each == 0:
        return
    whole = product.mask[:, : rows_each * n_pes]
    order = list(range(n_pes))
    random.shuffle(order)
    shuffled = whole.reshape(len(whole), rows_each, n_pes, -1)[:, :, order].reshape(whole.shape)
    chip = array(n_pes, 2, 1)
    assert replace(product, mask=shuffled).work(chip) == replace(product, mask=whole).work(chip)


@law
@given(products(), arrays, st.integers(0, 2**32))
def test_more_nonzero_weights_never_take_less(product: Product, chip: SparseArray, seed: int) -> None:
    # a nonzero in a run of zeros may take the place of a filler, but never of two
    added = np.random.default_rng(seed).random(product.mask.shape) < 0.2
    few, many = product.work(chip), replace(product, mask=product.mask | added).work(chip)
    assert many.n_entries_stored >= few.n_entries_stored
    assert many.n_entries >= few.n_entries
    assert many.n_macs >= few.n_macs
    assert many.n_cycles >= few.n_cycles


@law
@given(products(m=st.just(1)), arrays, st.integers(0, 2**32))
def test_more_nonzero_activations_never_take_less(product: Product, chip: SparseArray, seed: int) -> None:
    added = np.random.default_rng(seed).integers(0, 2, len(product.counts))
    counts = tuple(map(int, np.maximum(product.counts, added)))
    few, many = product.work(chip), replace(product, counts=counts).work(chip)
    assert many.n_cycles >= few.n_cycles
    assert many.n_macs >= few.n_macs
    assert many.n_entries_stored == few.n_entries_stored


@law
@given(products(m=st.integers(2, 60)), arrays)
def test_totals_of_many_pixels_are_exact(product: Product, chip: SparseArray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_array, "MAX_PIXELS", 3)
        found = product.work(chip)
    per_column = [
        sparse_array.work(chip, 1, 1, matrix.shape[0], 1, packed(matrix[:, j]))
        for matrix in product.mask
        for j in range(matrix.shape[1])
    ]
    weighted = list(zip(product.counts, per_column, strict=True))
    assert found.n_entries == sum(count * work.n_entries for count, work in weighted)
    assert found.n_macs == sum(count * work.n_macs for count, work in weighted)
    assert found.n_entries_stored == sum(work.n_entries_stored for _, work in weighted)
    assert found.n_broadcasts == sum(product.counts)
    assert max(found.n_cycles_theoretical, found.n_broadcasts) <= found.n_cycles
    assert found.n_cycles <= sum(count * work.n_cycles for count, work in weighted)  # each column alone


@law
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 12), arrays, st.floats(0, 1))
def test_what_is_spread_is_all_there(n_groups: int, m: int, n: int, k: int, chip: SparseArray, density: float) -> None:
    n_nonzero = round(density * n_groups * n * k)
    found = sparse_array.work(chip, n_groups, m, n, k, n_nonzero=n_nonzero)
    assert found.n_macs == m * n_nonzero
    assert found.n_entries == m * found.n_entries_stored
    assert 0 <= found.n_filler_zeros == found.n_entries - found.n_macs

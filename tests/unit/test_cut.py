"""Does a cut keep exactly as many of the largest magnitudes as asked for, ties by position, in one part or in many?"""

import numpy as np
import pytest
import torch

from dcsim.artifact import Floats
from dcsim.codec.relative_index import SMALLEST_MAGNITUDE
from dcsim.compression import cut as cut_module
from dcsim.compression.cut import SAMPLE_RUN, Cut, count_nonzero, cut_at_density
from dcsim.compression.prune import magnitude_mask

MANY = 150_000  # twice as many as a sample has, and more


def kept(cut: Cut, flat: Floats, part_elements: int | None = None) -> Floats:
    """What stays of `flat`, zeros elsewhere, cut part by part."""
    found, n_ties = np.zeros_like(flat), 0
    size = part_elements or max(len(flat), 1)
    for first in range(0, len(flat), size):
        nonzeros, n_ties = cut.apply(flat[first : first + size], n_ties)
        assert nonzeros.n_per_slice.tolist() == [len(nonzeros.values)] == [len(nonzeros.skips)]
        positions = np.cumsum(nonzeros.skips.astype(np.int64) + 1) - 1
        found[first + positions] = nonzeros.values
    return found


def sorted_cut(flat: Floats, density: float) -> Floats:
    """The same by sorting everything: the earlier of equal magnitudes goes first."""
    order = np.argsort(-np.abs(flat.astype(np.float64)), kind="stable")[: max(1, round(density * len(flat)))]
    found = np.zeros_like(flat)
    found[order] = flat[order]
    return found


def drawn(name: str, n: int = MANY) -> Floats:
    """Arrays that are hard to sample: ties, zeros, order, outliers, values next to one another."""
    generator = np.random.default_rng(0)
    normal = generator.normal(size=n).astype(np.float32)
    arrays = {
        "normal": normal,
        "one value": np.full(n, -0.25, np.float32),
        "three values": generator.choice(np.float32([-1, 0, 1]), n),
        "few values": np.round(normal * 4) / 4,
        "pruned": normal * (generator.random(n) < 0.05),
        "ascending": np.sort(np.abs(normal)),
        "descending": -np.sort(-np.abs(normal)),
        "large in what a sample misses": np.where(np.arange(n) // SAMPLE_RUN % 4 == 1, normal * 1000, normal),
        "outlier at the end": np.append(normal[1:] * 1e-6, np.float32(1e30)),
        "denormals": generator.integers(0, 9, n).astype(np.uint32).view(np.float32),
        "smallest alone": np.full(n, SMALLEST_MAGNITUDE, np.float32),
        "neighbours": (np.float32(1).view(np.uint32) + generator.integers(0, 9, n).astype(np.uint32)).view(np.float32),
        "all zero": np.zeros(n, np.float32),
        "negative zeros": np.where(generator.random(n) < 0.5, np.float32(-0.0), normal),
    }
    return arrays[name].astype(np.float32)


NAMES = (
    "normal", "one value", "three values", "few values", "pruned", "ascending", "descending", "large in what a sample misses",
    "outlier at the end", "denormals", "smallest alone", "neighbours", "all zero", "negative zeros",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("density", [1e-9, 0.001, 0.3, 0.999, 1])
def test_a_cut_is_what_sorting_gives(name: str, density: float) -> None:
    flat = drawn(name)
    cut, expected = cut_at_density(flat, density), sorted_cut(flat, density)
    for part_elements in (None, 70_001):
        assert np.array_equal(kept(cut, flat, part_elements), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 1000])
def test_short_arrays_are_cut_as_exactly(name: str, n: int) -> None:
    flat = drawn(name, n)
    for density in (0.01, 1 / 3, 0.5, 0.9, 1):
        cut = cut_at_density(flat, density)
        for part_elements in (None, 1, 7):
            assert np.array_equal(kept(cut, flat, part_elements), sorted_cut(flat, density))


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_is_the_mask_of_training(name: str) -> None:
    flat = drawn(name, 5000)
    for density in (0.02, 0.5, 0.98):
        mask = magnitude_mask(torch.from_numpy(flat), density).numpy()
        assert np.array_equal(kept(cut_at_density(flat, density), flat), np.where(mask, flat, 0))


@pytest.mark.parametrize(
    ("n", "density", "n_kept"), [(10, 0.25, 2), (10, 0.35, 4), (10, 0.26, 3), (3, 0.5, 2), (1000, 0.0001, 1)]
)
def test_the_count_is_the_nearest_to_density_times_n_and_never_none(n: int, density: float, n_kept: int) -> None:
    flat = np.arange(1, n + 1, dtype=np.float32)
    assert np.flatnonzero(kept(cut_at_density(flat, density), flat)).tolist() == list(range(n - n_kept, n))


def test_ties_keep_the_earlier_positions_over_any_number_of_parts() -> None:
    flat = np.float32([1, -2, 2, 5, -2, 2, 0, 2, 1])
    cut = cut_at_density(flat, 4 / 9)
    for part_elements in (None, 1, 2, 3, 4):
        assert kept(cut, flat, part_elements).tolist() == [0, -2, 2, 5, -2, 0, 0, 0, 0]


def test_a_density_above_its_own_leaves_a_pruned_array_alone() -> None:
    flat = drawn("pruned")
    own = np.count_nonzero(flat) / len(flat)
    for density in (own, own + 0.01, 0.5, 1):
        cut = cut_at_density(flat, density)
        assert np.array_equal(kept(cut, flat), flat)
    assert cut.keeps_all
    assert np.count_nonzero(kept(cut_at_density(flat, own / 2), flat)) == round(own / 2 * len(flat))


def test_a_threshold_keeps_what_equals_it_and_signs_do_not_count() -> None:
    flat = np.float32([0.5, -0.5, 0.49999997, 0.50000006, 0, -7, 1e-45])
    assert kept(Cut(0.5), flat).tolist() == np.float32([0.5, -0.5, 0, 0.50000006, 0, -7, 0]).tolist()
    assert np.array_equal(kept(Cut(SMALLEST_MAGNITUDE), flat), flat)
    assert not kept(Cut(8), flat).any()


def test_only_a_cut_without_ties_at_the_smallest_magnitude_keeps_all() -> None:
    assert Cut(SMALLEST_MAGNITUDE).keeps_all
    assert not Cut(SMALLEST_MAGNITUDE, n_ties=3).keeps_all
    assert not Cut(0.5).keeps_all


def test_a_poor_sample_costs_time_but_no_exactness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut_module, "FIRST_MARGIN", 1e-3)
    monkeypatch.setattr(cut_module, "SAMPLE_ELEMENTS", SAMPLE_RUN)
    for name in NAMES:
        flat = drawn(name, 20_000)
        assert np.array_equal(kept(cut_at_density(flat, 0.1), flat), sorted_cut(flat, 0.1)), name


def test_an_empty_array_is_cut_too() -> None:
    flat = np.zeros(0, np.float32)
    assert len(cut_at_density(flat, 0.5).apply(flat)[0].values) == 0
    assert count_nonzero(flat) == 0


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 4_999, 9_999])
def test_what_is_not_finite_is_refused_wherever_it_is(value: float, at: int) -> None:
    flat = drawn("normal", 10_000)
    flat[at] = value
    for refuse in (count_nonzero, Cut(100.0).apply, Cut(SMALLEST_MAGNITUDE).apply, cut_at_density(flat, 0.1).apply):
        with pytest.raises(ValueError, match="an element is not finite"):
            refuse(flat)


def test_nonzeros_are_counted() -> None:
    for name in NAMES:
        for n in (1, 4095, 4096, 4097, 50_000):
            flat = drawn(name, n)
            assert count_nonzero(flat) == np.count_nonzero(flat)


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_weights_of_a_mapped_file_at_any_byte_are_cut(offset: int) -> None:
    expected = drawn("few values", 10_000)
    stored = np.frombuffer(bytes(offset) + expected.tobytes(), np.uint8)[offset:]
    flat = stored.view("<f4")
    assert not flat.flags.writeable
    assert np.array_equal(kept(cut_at_density(flat, 0.2), flat), sorted_cut(expected, 0.2))

"""Are elements scanned in the order a layout says, and do they come back to their places?"""

from itertools import product

import numpy as np
import pytest

from dcsim.artifact import Floats, Layout, Live
from dcsim.artifact.layout import SCANS, Scan, find_dead, matrix_shape


def numbered(*shape: int) -> Floats:
    """1, 2, 3 ... so that an element tells where it was."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def live(*flags: int, unit: int = 1) -> Live:
    return Live.of(np.array(flags, np.bool_), unit)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1)),
        ((7,), (1, 7)),
        ((0,), (1, 0)),
        ((3, 4), (3, 4)),
        ((6, 3, 5, 5), (6, 75)),
        ((0, 5), (0, 5)),
        ((4, 0, 2), (4, 0)),
        ((2,) * 8, (2, 128)),
    ],
)
def test_a_tensor_is_a_matrix_of_output_units_and_inputs(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert matrix_shape(shape) == expected


@pytest.mark.parametrize(
    ("layout", "order", "slices"),
    [
        (Layout("rows"), [1, 2, 3, 4, 5, 6, 7, 8, 9], [9]),
        (Layout("columns"), [1, 4, 7, 2, 5, 8, 3, 6, 9], [9]),
        (Layout("per-row"), [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3, 3]),
        (Layout("per-pe", 1), [1, 4, 7, 2, 5, 8, 3, 6, 9], [3, 3, 3]),
        # element 0 holds rows 0 and 2, element 1 row 1; each column by column
        (Layout("per-pe", 2), [1, 7, 2, 8, 3, 9, 4, 5, 6], [2, 2, 2, 1, 1, 1]),
        (Layout("per-pe", 3), [1, 2, 3, 4, 5, 6, 7, 8, 9], [1] * 9),
        (Layout("per-pe", 4), [1, 2, 3, 4, 5, 6, 7, 8, 9], [1] * 9 + [0] * 3),
        (Layout("rows", live_rows=live(1, 0, 1)), [1, 2, 3, 7, 8, 9], [6]),
        (Layout("rows", live_columns=live(0, 1, 1)), [2, 3, 5, 6, 8, 9], [6]),
        (Layout("columns", live_rows=live(0, 1, 1), live_columns=live(1, 0, 1)), [4, 7, 6, 9], [4]),
        (Layout("per-row", live_rows=live(1, 0, 1), live_columns=live(1, 0, 1)), [1, 3, 7, 9], [2, 2]),
        (Layout("per-pe", 2, live(1, 0, 1), live(1, 0, 1)), [1, 3, 7, 9], [1, 1, 1, 1]),
        (Layout("rows", live_rows=live(0, 0, 0)), [], [0]),
    ],
)
def test_the_order_of_every_scan(layout: Layout, order: list[int], slices: list[int]) -> None:
    matrix = numbered(3, 3)
    assert layout.flatten(matrix).tolist() == order
    assert layout.slice_elements((3, 3)).tolist() == slices
    assert layout.n_slices((3, 3)) == len(slices)
    assert layout.is_sliced == (layout.scan in ("per-row", "per-pe"))
    restored = layout.restore(np.array(order, np.float32), (3, 3))
    assert np.array_equal(restored, np.where(np.isin(matrix, order), matrix, 0))


def test_the_taps_of_an_input_channel_live_and_die_together() -> None:
    filters = numbered(2, 3, 2, 2)
    layout = Layout(live_columns=live(1, 0, 1, unit=4))
    assert layout.live_shape(filters.shape) == (2, 8)
    assert layout.flatten(filters).tolist() == [1, 2, 3, 4, 9, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24]
    restored = layout.restore(layout.flatten(filters), filters.shape)
    assert not restored[:, 1].any()
    assert np.array_equal(restored[:, [0, 2]], filters[:, [0, 2]])


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("n_pes", [1, 2, 5, 64])
@pytest.mark.parametrize("shape", [(), (0,), (9,), (7, 4), (0, 5), (4, 0, 2), (6, 3, 2, 2), (2, 1, 2, 1, 2, 1, 2, 3)])
def test_restoring_undoes_flattening(scan: Scan, n_pes: int, shape: tuple[int, ...]) -> None:
    n_rows, n_columns = matrix_shape(shape)
    every_other = [None, Live.of(np.arange(n_rows) % 2 == 0)], [None, Live.of(np.arange(n_columns) % 3 > 0)]
    for rows, columns in product(*every_other):
        layout = Layout(scan, n_pes, rows, columns)
        matrix = numbered(*shape).reshape(n_rows, n_columns).copy()
        matrix[~rows.elements() if rows else [], :] = 0
        matrix[:, ~columns.elements() if columns else []] = 0
        flat = layout.flatten(matrix.reshape(shape))
        assert flat.flags.c_contiguous
        assert layout.slice_elements(shape).sum() == len(flat) == np.prod(layout.live_shape(shape))
        assert len(layout.slice_elements(shape)) == layout.n_slices(shape)
        restored = layout.restore(flat, shape)
        assert (restored.shape, restored.dtype) == (shape, np.float32)
        assert np.array_equal(restored.reshape(n_rows, n_columns), matrix)


@pytest.mark.parametrize(
    ("flags", "is_count"),
    [
        ([], True),
        ([1], True),
        ([0], True),
        ([1, 1, 0, 0], True),
        ([1, 1, 1], True),
        ([0, 0, 0], True),
        ([0, 1], False),
        ([1, 0, 1], False),
    ],
)
def test_units_are_a_count_where_the_live_ones_come_first(flags: list[int], is_count: bool) -> None:
    units = live(*flags, unit=3)
    assert units.is_count == is_count
    assert units.n_live == 3 * sum(flags) == units.elements().sum()
    assert len(units.elements()) == 3 * len(flags)


def test_neighbours_that_die_together_are_one_unit() -> None:
    """As the 4 x 4 inputs that a fully connected layer has of each channel of the convolution before it."""
    matrix = np.ones((6, 80), np.float32)
    matrix[:, 16:32] = matrix[:, 64:] = matrix[2:4] = 0
    rows, columns = find_dead(matrix)
    assert rows is not None
    assert columns is not None
    assert (rows.unit, rows.mask.tolist()) == (2, [True, False, True])
    assert (columns.unit, columns.mask.tolist()) == (16, [True, False, True, True, False])


def test_dead_rows_and_input_channels_are_found() -> None:
    filters = np.zeros((3, 4, 2, 2), np.float32)
    filters[0, 1, 1, 0] = filters[2, 3, 0, 0] = 1
    rows, columns = find_dead(filters)
    assert rows is not None
    assert columns is not None
    assert (rows.unit, rows.mask.tolist()) == (1, [True, False, True])
    assert (columns.unit, columns.mask.tolist()) == (4, [False, True, False, True])
    assert not columns.is_count


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2, 2), (5,), ()])
def test_nothing_is_dead_where_nothing_is_zero(shape: tuple[int, ...]) -> None:
    assert find_dead(np.ones(shape, np.float32)) == (None, None)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2, 2), (5,)])
def test_all_is_dead_where_all_is_zero(shape: tuple[int, ...]) -> None:
    for units in find_dead(np.zeros(shape, np.float32)):
        assert units is not None
        assert units.is_count
        assert units.n_live == 0


@pytest.mark.parametrize("shape", [(0,), (0, 5), (4, 0, 2), (3, 0)])
def test_a_tensor_without_elements_has_no_live_unit(shape: tuple[int, ...]) -> None:
    assert all(units is None or units.n_live == 0 for units in find_dead(np.zeros(shape, np.float32)))

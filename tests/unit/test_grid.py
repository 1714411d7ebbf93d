"""Are the points of a sweep all combinations of its axes, in order, each once, and the constraints plain arithmetic?"""

import json
from itertools import product
from typing import Any

import numpy as np
import pytest

from dcsim.errors import ConfigError
from dcsim.explore.grid import MOST_COMBINATIONS, Constraint, Grid
from dcsim.explore.sweep_spec import SweepSpec

#: whole numbers, a fraction, a word, a switch, and what may be left out
USUAL: dict[str, Any] = {
    "n": 4,
    "m.n": 8,
    "x": 1.5,
    "word": "low",
    "switch": False,
    "nothing": None,
    "operating_point": "nominal",
}


def grid(*axes: dict[str, Any]) -> Grid:
    about = {"name": "own", "network": "any", "soc": "any", "fps": 1, "axes": axes}
    return Grid.of(SweepSpec.model_validate_json(json.dumps(about)), USUAL)


def values(path: str, *listed: Any) -> dict[str, Any]:
    return {"path": path, "values": listed}


def rows(of: Grid) -> list[tuple[Any, ...]]:
    columns = of.columns(np.arange(of.n_points))
    return list(zip(*(column.tolist() for column in columns.values()), strict=True))


# --- points --------------------------------------------------------------------------------------------------------


def test_points_are_all_combinations_the_last_axis_fastest() -> None:
    found = grid(values("n", 1, 2), values("word", "a", "b", "c"), values("x", 0.5, 1.5))
    assert found.n_points == 12
    assert found.lengths == (2, 3, 2)
    assert list(found.columns(np.arange(12))) == ["n", "word", "x"]
    assert rows(found) == list(product([1, 2], ["a", "b", "c"], [0.5, 1.5]))


def test_any_points_may_be_asked_for_in_any_order() -> None:
    found = grid(values("n", 1, 2, 3), values("x", 0.5, 1.5))
    columns = found.columns(np.array([5, 0, 0, 3]))
    assert columns["n"].tolist() == [3, 1, 1, 2]
    assert columns["x"].tolist() == [1.5, 0.5, 0.5, 1.5]
    assert [place.tolist() for place in found.places(np.array([5, 0, 3]))] == [[2, 0, 1], [1, 0, 1]]


def test_zipped_axes_move_together() -> None:
    found = grid(values("x", 0.5, 1.5), {"zip": [values("n", 1, 2), values("word", "a", "b")]})
    assert rows(found) == [(0.5, 1, "a"), (0.5, 2, "b"), (1.5, 1, "a"), (1.5, 2, "b")]


def test_a_sweep_without_axes_is_one_point() -> None:
    found = grid()
    assert (found.n_points, found.places(np.arange(1)), found.columns(np.arange(1))) == (1, (), {})


def test_values_keep_the_order_in_which_they_are_given() -> None:
    assert rows(grid(values("n", 5, 1, 9))) == [(5,), (1,), (9,)]


def test_more_combinations_than_anybody_can_count_are_refused() -> None:
    thousand = {"start": 0, "stop": 1, "n": 1 << 12}
    axes = [{"path": path, "range": thousand} for path in ("x", "nothing", "word")]
    assert grid(*axes).n_points == MOST_COMBINATIONS
    with pytest.raises(ConfigError, match="combinations, more than"):
        grid(*axes, values("switch", True, False))


# --- their types ---------------------------------------------------------------------------------------------------


def test_a_range_on_a_whole_number_is_rounded_and_its_doubles_dropped() -> None:
    assert rows(grid({"path": "n", "range": {"start": 1, "stop": 4, "n": 7}})) == [(1,), (2,), (3,), (4,)]
    logs = grid({"path": "n", "log_range": {"start": 1, "stop": 64, "n": 13}})
    assert rows(logs) == [(1,), (2,), (3,), (4,), (6,), (8,), (11,), (16,), (23,), (32,), (45,), (64,)]
    assert logs.types == {"n": "int64"}
    kept = grid({"path": "x", "range": {"start": 1, "stop": 4, "n": 7}})
    assert kept.n_points == 7


def test_zipped_ranges_lose_only_what_is_double_in_all_of_them() -> None:
    n, x = {"path": "n", "range": {"start": 1, "stop": 2, "n": 4}}, values("x", 1, 1, 2, 2)
    assert rows(grid({"zip": [n, x]})) == [(1, 1.0), (2, 2.0)]
    x = values("x", 1, 3, 2, 2)
    assert rows(grid({"zip": [n, x]})) == [(1, 1.0), (1, 3.0), (2, 2.0)]


def test_doubles_in_a_list_are_dropped() -> None:
    assert rows(grid(values("x", 2, 2.0, 1, 2))) == [(2.0,), (1.0,)]
    assert rows(grid(values("word", "a", "b", "a"))) == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("path", "listed", "kind"),
    [
        ("n", [1, 2.0], "int64"),
        ("x", [1, 2], "float64"),  # as it would be with 1.5 among them: a column has one type
        ("word", ["a"], "object"),
        ("switch", [True, False], "bool"),
        ("nothing", [1, 2], "int64"),
        ("nothing", [1, 2.5], "float64"),
        ("operating_point", [0, 1], "int64"),
        ("operating_point", [0, "auto"], "object"),
    ],
)
def test_a_column_has_one_type(path: str, listed: list[Any], kind: str) -> None:
    found = grid(values(path, *listed))
    assert found.types == {path: kind}
    assert rows(found) == [(value,) for value in listed]


def test_words_and_numbers_stay_what_they_are() -> None:
    assert [type(value) for (value,) in rows(grid(values("operating_point", 0, "auto", "0")))] == [int, str, str]


def test_a_fraction_where_a_whole_number_belongs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"m\.n takes whole numbers, found 512\.5"):
        grid(values("m.n", 256, 512.5))


@pytest.mark.parametrize("axis", [values("n", 1, 1 << 63), {"path": "n", "range": {"start": 1, "stop": 1e30, "n": 2}}])
def test_a_whole_number_that_no_column_holds_is_refused(axis: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"n: .* is too large a number"):
        grid(axis)
    assert rows(grid(values("n", (1 << 63) - 1))) == [((1 << 63) - 1,)]


# --- groups --------------------------------------------------------------------------------------------------------


def test_groups_are_the_values_that_occur_together_and_their_points() -> None:
    found = grid(
        values("n", 1, 2), values("x", 0.5, 1.5), {"zip": [values("word", "a", "b", "a"), values("m.n", 1, 2, 3)]}
    )
    points = np.array([11, 0, 2, 1, 7])
    groups = {row: members.tolist() for row, members in found.groups(points, ("n", "missing", "word"))}
    assert groups == {(1, None, "a"): [1, 2], (1, None, "b"): [3], (2, None, "a"): [0], (2, None, "b"): [4]}
    assert [(row, members.tolist()) for row, members in found.groups(points, ("missing",))] == [
        ((None,), [0, 1, 2, 3, 4])
    ]


# --- constraints ---------------------------------------------------------------------------------------------------

N = np.array([1, 2, 3, 4])
COLUMNS = {"n": N, "m.n": 2 * N, "x": np.array([0.0, 0.5, 1.0, 2.0]), "word": np.array(["a", "b", "a", "c"], object)}


def kept(text: str, fixed: dict[str, Any] | None = None) -> list[bool]:
    constraint = Constraint.of(text, USUAL)
    return list(map(bool, constraint.holds(COLUMNS, USUAL | (fixed or {}))))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n <= 2", [True, True, False, False]),
        ("2 < n", [False, False, True, True]),
        ("n == 2", [False, True, False, False]),
        ("n != 2", [True, False, True, True]),
        ("m.n >= 2 * n", [True, True, True, True]),
        ("m.n - n < 3", [True, True, False, False]),
        ("n + x >= 4", [False, False, True, True]),
        ("n / 2 == x", [False, False, False, True]),
        ("n // 2 == 1", [False, True, True, False]),
        ("n % 2 == 0", [False, True, False, True]),
        ("2 ** n > 7", [False, False, True, True]),
        ("2 ** -n > 0.2", [True, True, False, False]),
        ("-n < -2", [False, False, True, True]),
        ("(n + 1) * 2 > 8", [False, False, False, True]),
        ("1 < n <= 3", [False, True, True, False]),
        ("1 < n <= m.n / 2 < 4", [False, True, True, False]),
        ("3 > n > 1", [False, True, False, False]),
        ("word == 'a'", [True, False, True, False]),
        ("word != 'a'", [False, True, False, True]),
        ("switch == False", [True] * 4),
        ("1 < 2", [True] * 4),
        ("2 < 1", [False] * 4),
        ("n / x < 5", [False, True, True, True]),  # divided by zero it is larger than anything
        ("x / x == 1", [False, True, True, True]),  # and of nothing by nothing there is no saying
        ("n % x < 1", [False, True, True, True]),
        ("n * 9000000000000000000 > 0", [True] * 4),  # nothing overflows
        ("n < 9 ** 9 ** 9", [True] * 4),  # and nothing takes a year
    ],
)
def test_a_constraint_is_worked_out_at_every_point(text: str, expected: list[bool]) -> None:
    assert kept(text) == expected


def test_a_path_that_is_no_axis_has_the_value_of_the_chip() -> None:
    constraint = Constraint.of("n * x >= 4", USUAL)
    assert constraint.paths == ("n", "x")
    assert constraint.holds({"n": N}, {"x": 1.0}).tolist() == [False, False, False, True]
    assert constraint.holds({"n": N}, {"x": 4}).tolist() == [True] * 4
    assert constraint.holds({}, {"n": 2, "x": 3}).tolist() == [True]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("n <", "not an expression"),
        ("n < 2; m.n", "not an expression"),
        ("", "not an expression"),
        ("n", "expected a comparison"),
        ("n + 1", "expected a comparison"),
        ("n < 2 and x < 1", "expected a comparison"),
        ("not n < 2", "expected a comparison"),
        ("lambda: n < 2", "expected a comparison"),
        ("[n < 2]", "expected a comparison"),
        ("(n := 3) < 2", "found (n := 3)"),
        ("abs(n) < 2", "found abs(n)"),
        ("__import__('os').system('true') < 2", "found __import__('os').system('true')"),
        ("__import__('os').name < 2", "no __import__('os').name"),
        ("n.__class__ < 2", "no n.__class__"),
        ("().__class__.__mro__ < 2", "no ().__class__.__mro__"),
        ("'a'.join < 2", "no 'a'.join"),
        ("n[0] < 2", "found n[0]"),
        ("n < (1 if x else 2)", "found 1 if x else 2"),
        ("n < (not x)", "found not x"),
        ("n < +x", "found +x"),
        ("n < ~1", "found ~1"),
        ("n & 1 < 2", "found n & 1"),
        ("n << 60 < 2", "found n << 60"),
        ("n @ n < 2", "found n @ n"),
        ("n in (1, 2)", "found n in (1, 2)"),
        ("n is 2", "found n is 2"),
        ("n < (1, 2)", "found (1, 2)"),
        ("n < [x for x in n]", "found [x for x in n]"),
        ("f'{n}' == '1'", "found f'{n}'"),
        ("n < None", "found None"),
        ("n < 1j", "found 1j"),
        ("n < b'1'", "found b'1'"),
        ("n < ...", "found ..."),
        ("m.nn < 2", "no m.nn; did you mean m.n?"),
    ],
)
def test_what_is_not_plain_arithmetic_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Constraint.of(text, USUAL)
    assert str(caught.value).startswith(f"constraint {text!r}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["word < 2", "n < word", "n < 'a'", "nothing < 2", "-word < 2", "word * n < 'b'"])
def test_words_and_numbers_are_not_compared(text: str) -> None:
    with pytest.raises(ConfigError, match="numbers and words cannot be compared"):
        kept(text)

"""Does a sweep do every point once, whoever shares it, and does `screen` replay the best ones and say how far it was?"""

import io
import json
import re
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from dcsim.errors import ConfigError
from dcsim.explore import sweep as sweep_module
from dcsim.explore.executors import InProcess, LocalPool, Task
from dcsim.explore.plan import make_plan
from dcsim.explore.screen import FIGURES, disagreement
from dcsim.explore.sweep import Share, Sweep, blocks, sweep
from dcsim.explore.sweep_spec import SweepSpec
from dcsim.prepare import Listener
from dcsim.report.sweeps import (
    expectation,
    sensitivity_table,
    sweep_lines,
    sweep_rows,
    sweep_table,
    watched,
    write_table,
)
from tests.builders import PLAIN, linear, network

OUT = Path("out")
ALL = Share()


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With shards of four points, so that a small sweep has several."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_module, "POINTS_A_SHARD", {"analytic": 4, "event": 2})
    network(linear("fc1", 32, 32), linear("fc2", 32, 16, producers=(0,))).save("net.parquet")
    bounded = PLAIN["dram"] | {"bandwidth_bytes_per_s": 4_000_000_000.0}
    Path("plain.yaml").write_text(yaml.safe_dump(PLAIN | {"dram": bounded}))


def axis(path: str, *values: Any) -> dict[str, Any]:
    return {"path": path, "values": values}


MEMORY = axis("sram.capacity_kib", 3, 4, 6, 8, 12)
ARRAY = axis("array.lanes_out", 1, 2, 4)


def spec(*axes: dict[str, Any], **about: Any) -> SweepSpec:
    content = {
        "name": "own",
        "traces": ["net.parquet"],
        "soc": "plain.yaml",
        "fps": 20,
        "axes": axes or (MEMORY, ARRAY),
    }
    return SweepSpec.model_validate_json(json.dumps(content | about))


def run(*axes: dict[str, Any], share: Share = ALL, **about: Any) -> Sweep:
    return sweep(spec(*axes, **about), OUT, share=share, executor=InProcess())


def points_of(found: Sweep) -> set[tuple[int, int]]:
    return set(zip(*(found.frame()[path] for path in ("sram.capacity_kib", "array.lanes_out")), strict=True))


# --- every point once --------------------------------------------------------------------------------------------------


def test_a_sweep_does_every_point_and_again_none() -> None:
    found = run()
    assert (found.n_points, found.n_done_before, found.n_done_now) == (15, 0, 15)
    assert len(points_of(found)) == found.table().num_rows == 15
    again = run()
    assert (again.n_points, again.n_done_before, again.n_done_now) == (15, 15, 0)
    assert again.table().equals(found.table())


def test_rows_of_points_come_in_the_order_of_the_points() -> None:
    found = run()
    rows = found.rows("analytic", np.array([14, 0, 14, 4]), ["sram.capacity_kib", "array.lanes_out"])
    assert list(zip(rows["sram.capacity_kib"], rows["array.lanes_out"], strict=True)) == [
        (12, 4),
        (3, 1),
        (12, 4),
        (4, 2),
    ]
    assert list(found.rows("analytic")["sram.capacity_kib"]) == [kib for kib in (3, 4, 6, 8, 12) for _ in range(3)]


def test_what_is_done_is_done_for_a_sweep_of_more_values_too() -> None:
    run()
    more = run(axis("sram.capacity_kib", 2, 3, 4, 6, 8, 12), axis("array.lanes_out", 1, 4))
    assert (more.n_points, more.n_done_before, more.n_done_now) == (12, 10, 2)
    assert more.table().num_rows == 12
    assert more.store.table().num_rows == 17
    fewer = run(axis("sram.capacity_kib", 4), axis("array.lanes_out", 4))
    assert (fewer.n_points, fewer.n_done_now, fewer.table().num_rows) == (1, 0, 1)


def test_an_engine_does_its_own_points() -> None:
    run()
    assert run(engine="event").n_done_now == 15
    assert run(engine="event").table(["engine"]).column("engine").unique().to_pylist() == ["event"]


def test_a_folder_of_other_axes_is_left_as_it_is() -> None:
    run()
    before = {path: path.stat().st_mtime_ns for path in OUT.rglob("*")}
    network(linear("fc", 8, 8)).save("net.parquet")
    with pytest.raises(
        ConfigError, match=r"out holds a sweep along .*array\.lanes_out \(int64\).*; choose another folder"
    ):
        run(MEMORY, axis("fps", 1, 2))
    assert {path: path.stat().st_mtime_ns for path in OUT.rglob("*")} == before


def test_a_sweep_may_be_called_by_its_file_or_made_ready_before() -> None:
    about = json.loads(spec().model_dump_json(exclude_none=True))
    Path("own.yaml").write_text(yaml.safe_dump(about))
    assert sweep("own.yaml", "out", executor=InProcess()).n_done_now == 15
    assert sweep(make_plan(spec(), OUT), OUT, executor=InProcess()).n_done_before == 15


def test_the_folder_says_what_it_holds() -> None:
    found = run()
    about = json.loads((OUT / "sweep.json").read_text())
    assert about["axes"] == {"trace": "object", "sram.capacity_kib": "int64", "array.lanes_out": "int64"}
    assert about["sweep"]["name"] == "own"
    assert {OUT.resolve() / "traces" / name for name in about["traces"]} == {
        saved.path for saved in found.plan.traces.values()
    }


def test_progress_goes_from_what_was_there_to_everything() -> None:
    run(share=Share(1, 4))
    told: list[tuple[int, int]] = []
    sweep(spec(), OUT, executor=InProcess(), progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 15), (7, 15), (11, 15), (15, 15)]
    told.clear()
    sweep(spec(), OUT, executor=InProcess(), progress=lambda done, total: told.append((done, total)))
    assert told == []


# --- shares ------------------------------------------------------------------------------------------------------------


def test_shares_are_all_points_each_once() -> None:
    plan = make_plan(spec(constraints=["sram.capacity_kib != 6"]), OUT)
    for n in (1, 2, 3, 7):
        shares = [np.concatenate([*blocks(plan, "analytic", Share(i, n)), np.zeros(0, np.int64)]) for i in range(n)]
        assert sorted(np.concatenate(shares).tolist()) == [*range(6), *range(9, 15)]


@pytest.mark.parametrize(
    ("n_points", "n_shares"), [(33, 3), (33, 1), (64, 7), (190, 2), (1000, 3), (5, 8), (10**9, 1000)]
)
def test_shares_are_even_and_together_the_whole(n_points: int, n_shares: int) -> None:
    """Also where one block would hold all points."""
    most = 64 if n_points < 10**6 else 1 << 15
    shares = [list(Share(place, n_shares).parts(n_points, most)) for place in range(n_shares)]
    sizes = [sum(part.stop - part.start for part in parts) for parts in shares]
    assert max(sizes) - min(sizes) <= max(map(len, shares))  # a point a block, as blocks differ by one
    assert all(0 <= part.stop - part.start <= most for parts in shares for part in parts)
    parts = sorted((part for parts in shares for part in parts), key=lambda part: (part.start, part.stop))
    assert (parts[0].start, parts[-1].stop) == (0, n_points)
    assert all(before.stop == after.start for before, after in pairwise(parts))


def test_a_small_sweep_is_shared_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "POINTS_A_SHARD", {"analytic": 1 << 15, "event": 64})
    assert [run(engine="event", share=Share(place, 3)).n_done_now for place in range(3)] == [5, 5, 5]
    assert run(engine="event").n_done_before == 15


def test_a_share_has_its_own_table_and_all_of_them_the_whole() -> None:
    parts = [run(share=Share(place, 3)) for place in (2, 0, 1)]
    assert [part.n_done_now for part in parts] == [5, 5, 5]
    assert [part.table().num_rows for part in parts] == [5, 5, 5]
    whole = run()
    assert (whole.n_done_now, whole.table().num_rows) == (0, 15)
    assert set.union(*map(points_of, parts)) == points_of(whole)


def test_a_share_may_be_empty() -> None:
    found = run(share=Share(0, 20))
    assert (found.n_points, found.n_done_now) == (0, 0)
    (line,) = sweep_lines(found, sweep_rows(found))
    assert line.startswith("out: 0 points, 0 found there, 0 worked out in ")
    assert expectation(found.plan, Share(0, 20), InProcess()) == "no points of 15 combinations are in this share"


@pytest.mark.parametrize(("text", "share"), [("1/1", Share()), ("1/8", Share(0, 8)), ("8/8", Share(7, 8))])
def test_a_share_is_written_i_of_n(text: str, share: Share) -> None:
    assert Share.of_text(text) == share


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "-1/3", "1/0", "a/b", "1/3/5", "1.5/3", " 1/3"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a shard is i/n with i from 1 to n"):
        Share.of_text(text)


def test_halves_of_a_task_are_all_of_it() -> None:
    first, second = Task(np.array([7, 3, 5]), "event").halves()
    assert [first.points.tolist(), second.points.tolist()] == [[7, 3], [5]]
    assert first.engine == second.engine == "event"


# --- screen ------------------------------------------------------------------------------------------------------------


def front_and_neighbours(found: Sweep) -> set[int]:
    """By comparing every point with every other."""
    rows = found.rows("analytic")
    figures = list(zip(rows["energy_pj_per_frame"], rows["latency_s"], strict=True))

    def beaten(mine: tuple[float, float]) -> bool:
        return any(other[0] <= mine[0] and other[1] <= mine[1] and other != mine for other in figures)

    front = [point for point, mine in enumerate(figures) if not rows["error"][point] and not beaten(mine)]
    near = {point + step for point in front for step in (-3, 3)} & set(range(15))
    near |= {point + step for point in front for step in (-1, 1) if (point + step) // 3 == point // 3}
    return near | set(front)


def test_screen_replays_the_front_and_what_lies_beside_it() -> None:
    found = run(engine="screen")
    expected = front_and_neighbours(found)
    assert 0 < len(expected) < 15
    assert set(found.replayed) == expected
    assert found.n_points == found.n_done_now == 15 + len(expected)
    engines = found.frame()["engine"].value_counts().to_dict()
    assert engines == {"analytic": 15, "event": len(expected)}
    again = run(engine="screen")
    assert (again.n_done_now, again.replayed) == (0, found.replayed)
    assert again.table().equals(found.table())


def test_screen_says_how_far_apart_the_engines_are() -> None:
    found = run(engine="screen")
    analytic, event = (found.rows(engine, np.array(found.replayed)) for engine in ("analytic", "event"))
    off = disagreement(found)
    assert off.n_points == len(found.replayed)
    for figure in FIGURES:
        each = abs(analytic[figure] / event[figure] - 1)
        assert off.median[figure] == pytest.approx(each.median())
        assert off.largest[figure] == pytest.approx(each.max())


def test_screen_waits_for_the_rows_of_all_shares_and_then_shares_the_replays() -> None:
    first = run(engine="screen", share=Share(0, 2))
    assert first.replayed == ()
    assert any("before the rows of all shares are there" in line for line in sweep_lines(first, sweep_rows(first)))
    second = run(engine="screen", share=Share(1, 2))
    assert second.replayed
    first = run(engine="screen", share=Share(0, 2))
    assert first.replayed == second.replayed
    whole = run(engine="screen")
    assert (whole.n_done_now, whole.n_points) == (0, 15 + len(whole.replayed))
    assert first.n_points + second.n_points == whole.n_points


def test_screen_leaves_out_points_that_cannot_be() -> None:
    found = run(axis("sram.capacity_kib", 1, 3, 4), ARRAY, engine="screen")
    assert found.frame()["error"].astype(bool).sum() == 3 + sum(point < 3 for point in found.replayed)
    assert set(found.replayed) > {point for point in found.replayed if point >= 3}  # a neighbour may be one
    nothing = run(axis("sram.capacity_kib", 1), ARRAY, engine="screen")
    assert nothing.replayed == ()


# --- what is said ------------------------------------------------------------------------------------------------------


def test_what_will_be_done_is_told_before() -> None:
    plan = make_plan(spec(constraints=["sram.capacity_kib != 6"]), OUT)
    told = expectation(plan, Share(), LocalPool(3))
    assert told.startswith("12 points of 15 combinations, analytic: about ")
    assert told.endswith(" with 3 processes, and some seconds to start")
    assert " with 4 processes, " in expectation(plan, Share(), LocalPool(9))  # no more than there are blocks
    assert expectation(plan, Share(1, 2), LocalPool(1)).startswith("7 points of 15 combinations")
    with pytest.raises(ConfigError, match="sweep own has no points: no combination keeps its constraints"):
        expectation(make_plan(spec(constraints=["fps < 1"]), OUT), Share(), LocalPool())


def test_replays_that_a_screen_adds_are_told_before() -> None:
    told = expectation(make_plan(spec(engine="screen"), OUT), Share(), LocalPool(1))
    replays = re.search(r"; then the best and those beside them are replayed, about ([0-9.]+) (.?s) each$", told)
    assert told.startswith("15 points of 15 combinations, analytic: about ")
    assert replays
    assert float(replays[1]) > 0


def test_ten_million_points_are_counted_without_being_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "POINTS_A_SHARD", {"analytic": 1 << 15})
    many = [{"path": path, "range": {"start": 0, "stop": 9, "n": 3163}} for path in ("always_on_mw", "logic.clock_mw")]
    plan = make_plan(spec(*many), OUT)
    tracemalloc.start()
    told = expectation(plan, Share(), LocalPool(1))
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told.startswith("10,004,569 points of 10,004,569 combinations")
    assert most_bytes < 40_000_000  # a number each would be 80 MB


def test_what_was_found_is_told_with_points_that_cannot_be() -> None:
    found = run(axis("sram.capacity_kib", 1, 2, 4), ARRAY)
    lines = sweep_lines(found, sweep_rows(found))
    assert lines[0].startswith("out: 9 points, 0 found there, 9 worked out in ")
    (why,) = found.rows("analytic").iloc[:3]["error"].unique()
    assert lines[1:] == [f"3 points cannot be: {why}"]


def test_points_that_do_not_keep_up_are_told_where_the_best_leave_them_out() -> None:
    found = run(axis("fps", 20, 1e7), ARRAY)
    rows = sweep_rows(found)
    assert rows["latency_s"].isna().sum() == 3
    assert sweep_lines(found, rows)[1:] == [
        "3 points have no latency_s (they do not keep up with their frame rate): not among the best, but counted in what "
        "moves the other figures"
    ]
    assert all(cell == "20" for cell in sweep_table(found, rows).columns[0].cells)
    both = run(axis("fps", 20, 1e7), ARRAY, objectives=["energy_pj_per_frame", "sram_bytes"])
    assert len(sweep_lines(both, sweep_rows(both))) == 1  # where nobody asks for the latency, nobody lacks it


def test_the_best_points_are_shown_the_best_on_top() -> None:
    found = run(objectives=["sustainable_fps", "sram_bytes"])
    table = sweep_table(found, sweep_rows(found))
    columns = {column.header: list(column.cells) for column in table.columns}
    assert list(columns) == ["sram.capacity_kib", "array.lanes_out", "sustainable_fps", "sram_bytes"]
    assert len(columns["array.lanes_out"]) == table.row_count > 0
    assert "4" in columns["array.lanes_out"]
    assert f"{table.row_count} points" in str(table.title)


def test_what_moves_the_objectives_is_shown_the_strongest_axis_on_top() -> None:
    found = run(axis("always_on_mw", 1, 100), axis("array.lanes_out", 2, 4), objectives=["energy_pj_per_frame"])
    table = sensitivity_table(found, sweep_rows(found))
    columns = {column.header: list(column.cells) for column in table.columns}
    assert columns["axis"][:2] == ["always_on_mw", "array.lanes_out"]
    assert (columns["from"][0], columns["to"][0]) == ("1", "100")
    energy = found.rows("analytic")["energy_pj_per_frame"].to_numpy().reshape(2, 2)  # always_on_mw x lanes_out
    swings = energy[1] / energy[0]
    assert columns["energy_pj_per_frame"][0] == f"{np.median(swings):.3g}x, {swings.max():.3g}x"


@pytest.mark.parametrize(("name", "read"), [("all.parquet", pd.read_parquet), ("all.csv", pd.read_csv)])
def test_the_table_can_be_had_as_a_file(name: str, read: Callable[[str], pd.DataFrame]) -> None:
    found = run()
    write_table(found, Path(name))
    frame = read(name)
    assert len(frame) == 15
    assert list(frame.columns) == found.table().column_names
    np.testing.assert_array_equal(frame["energy_pj_per_frame"], found.frame()["energy_pj_per_frame"])
    if name == "all.parquet":
        assert pq.read_table(name).equals(found.table())


def test_progress_is_told_with_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 10, 30, 100, 110, 130])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    monkeypatch.setattr("sys.stderr", io.StringIO())  # no terminal
    bars: list[tuple[Any, ...]] = []
    said: list[str] = []
    progress = watched(Listener(progress=lambda *told: bars.append(told), say=said.append))
    for done, total in ((200, 1000), (400, 1000), (1000, 1000), (0, 50), (30, 50)):
        progress(done, total)
    assert bars == [
        ("sweep", 200, 1000, "0 points a second"),
        ("sweep", 400, 1000, "10 points a second"),
        ("sweep", 1000, 1000, "9 points a second"),
        ("replay", 0, 50, "0 points a second"),
        ("replay", 30, 50, "2 points a second"),
    ]
    assert said == ["1,000 of 1,000 points, 9 a second, 0 s left"]


def test_points_have_one_order_everywhere() -> None:
    plan = make_plan(spec(), OUT)
    numbers = np.concatenate(list(blocks(plan, "analytic")))
    assert all(before < after for before, after in pairwise(numbers.tolist()))
    assert [len(block) for block in blocks(plan, "analytic")] == [3, 4, 4, 4]
    assert [len(block) for block in blocks(plan, "event")] == [1] + [2] * 7

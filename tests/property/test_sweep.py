"""Is a sweep's table the same whoever does its points, in which shards, in which order, and however often they stop?"""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.explore import sweep as sweep_module
from dcsim.explore.executors import InProcess, Task
from dcsim.explore.plan import Plan
from dcsim.explore.store import Store
from dcsim.explore.sweep import OneEngine, Share, record_failure, sweep, work
from dcsim.explore.sweep_spec import SweepSpec
from dcsim.files import sha256
from tests.builders import PLAIN, coded, linear, network

ENGINES: list[OneEngine] = ["analytic", "event"]
N_POINTS = 24


@dataclass(frozen=True, repr=False)
class Whole:
    """A sweep, and its table undisturbed."""

    plan: Plan
    engine: OneEngine
    table: pa.Table
    fingerprint: str


@pytest.fixture(scope="module", params=ENGINES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Two chips, two traces and numbers; some points cannot be."""
    folder = tmp_path_factory.mktemp("sweep")
    network(linear("fc1", 32, 32), linear("fc2", 32, 16, producers=(0,))).save(folder / "dense.parquet")
    network(linear("fc", 32, 32, encoding="huffman", blocks=coded(300, 4, 3))).save(folder / "coded.parquet")
    for name, clock_hz in (("slow", 10**8), ("fast", 10**9)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(PLAIN | {"name": name, "clock_hz": clock_hz}))
    axes: list[dict[str, Any]] = [
        {"path": "soc", "values": [str(folder / "slow.yaml"), str(folder / "fast.yaml")]},
        {"path": "sram.capacity_kib", "values": [1, 4, 8]},  # the first holds no two buffers
        {"path": "fps", "values": [10, 1e5]},
    ]
    about = {"name": "own", "traces": [str(folder / f"{name}.parquet") for name in ("dense", "coded")], "axes": axes}
    content = about | {"soc": "paper45", "fps": 1, "engine": request.param}
    spec = SweepSpec.model_validate_json(json.dumps(content))
    found = sweep(spec, folder / "whole", executor=InProcess())
    errors = [error for error in found.frame()["error"] if error]
    assert (found.plan.grid.n_points, found.n_points, len(errors)) == (N_POINTS, N_POINTS, 8)
    return Whole(found.plan, request.param, found.table(), fingerprint(found.table()))


def fingerprint(table: pa.Table) -> str:
    """Of the file that it would be."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sha256(sink.getvalue())


@st.composite
def partitions(draw: st.DrawFn) -> list[list[int]]:
    """All points in any order, in shards of any sizes."""
    points = draw(st.permutations(range(N_POINTS)))
    cuts = sorted(draw(st.sets(st.integers(1, N_POINTS - 1), max_size=6)))
    return [points[start:stop] for start, stop in zip([0, *cuts], [*cuts, N_POINTS], strict=True)]


@settings(max_examples=25, deadline=None)
@given(shards=partitions())
def test_any_shards_in_any_order_are_the_same_table(whole: Whole, shards: list[list[int]]) -> None:
    plan, engine = whole.plan, whole.engine
    with TemporaryDirectory() as folder:
        for shard in shards:
            work(plan, Path(folder), Task(np.array(shard), engine))
        assert fingerprint(Store(Path(folder)).table()) == whole.fingerprint


@settings(max_examples=15, deadline=None)
@given(
    done=st.lists(st.lists(st.integers(0, N_POINTS - 1), min_size=1, max_size=9, unique=True), max_size=3),
    died=st.lists(st.integers(0, N_POINTS - 1), max_size=3, unique=True),
    step=st.integers(1, N_POINTS),
    n_shares=st.integers(1, 5),
    data=st.data(),
)
def test_any_shares_after_any_of_the_points_are_the_same_table(
    whole: Whole,
    done: list[list[int]],
    died: list[int],
    step: int,
    n_shares: int,
    data: st.DataObject,
) -> None:
    """Points that were done before, some of them twice, some by a worker that died after it had written them."""
    plan, engine = whole.plan, whole.engine
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setattr(sweep_module, "POINTS_A_SHARD", {"analytic": step, "event": step})
        for shard in done:
            work(plan, folder, Task(np.array(shard), engine))
        before = {point for shard in done for point in shard}
        for point in set(died) & before:
            record_failure(plan, folder, Task(np.array([point]), engine), "the process that worked it out died")
        shares = data.draw(st.permutations(range(n_shares)))
        parts = [sweep(plan, folder, share=Share(place, n_shares), executor=InProcess()) for place in shares]
        assert sum(part.n_points for part in parts) == N_POINTS
        assert sum(part.n_done_now for part in parts) == N_POINTS - len(before)
        assert fingerprint(Store(folder).table()) == whole.fingerprint
        assert fingerprint(sweep(plan, folder, executor=InProcess()).table()) == whole.fingerprint
        rows = pa.concat_tables(part.table() for part in parts)
        assert fingerprint(rows.sort_by("key").combine_chunks()) == whole.fingerprint


@settings(max_examples=25, deadline=None)
@given(points=st.lists(st.integers(0, N_POINTS - 1), min_size=1, max_size=40))
def test_a_point_has_its_row_in_any_company(whole: Whole, points: list[int]) -> None:
    plan, engine = whole.plan, whole.engine
    row_of = {row.pop("key"): row for row in whole.table.to_pylist()}
    with TemporaryDirectory() as folder:
        work(plan, Path(folder), Task(np.array(points), engine))
        found = Store(Path(folder)).table().to_pylist()
    assert len(found) == len(set(points))
    for row in found:
        assert repr(row_of[row.pop("key")]) == repr(row)  # nan is not itself

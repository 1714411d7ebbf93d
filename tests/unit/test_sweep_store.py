"""Are the rows of a sweep kept whole, each once, in files that others can read?"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dcsim.errors import ConfigError, OutputError
from dcsim.explore.keys import KEY
from dcsim.explore.store import ABANDONED_AFTER_S, Keys, Store, frame_of, missing, places
from tests.conftest import ROOT

N_POINTS = 30


def keys(*numbers: int) -> Keys:
    """Keys whose order is not that of the numbers."""
    content = b"".join(bytes([number * 37 % 256, 255 - number]) + bytes(14) for number in numbers)
    return np.frombuffer(content, KEY)


def rows(*numbers: int, error: str = "") -> dict[str, Any]:
    return {
        "number": np.array(numbers, np.int64),
        "half": np.array(numbers) / 2,
        "word": [f"word {number}" for number in numbers],
        "error": [error] * len(numbers),
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out")


def fill(store: Store, *shards: range | list[int]) -> None:
    for shard in shards:
        store.write(keys(*shard), rows(*shard))


def numbers(table: pa.Table) -> list[int]:
    found: list[int] = table.column("number").to_pylist()
    return found


BY_KEY = sorted(range(N_POINTS), key=lambda number: keys(number).tobytes())


# --- rows ----------------------------------------------------------------------------------------------------------


def test_what_is_written_is_found_in_the_order_of_its_keys(store: Store) -> None:
    fill(store, range(0, 10), range(10, N_POINTS))
    table = store.table()
    assert numbers(table) == BY_KEY != sorted(BY_KEY)
    assert table.column("key").to_pylist() == [keys(number).tobytes() for number in BY_KEY]
    assert table.column("half").to_pylist() == [number / 2 for number in BY_KEY]
    assert table.column("word").to_pylist() == [f"word {number}" for number in BY_KEY]
    assert set(store.keys().tolist()) == set(keys(*range(N_POINTS)).tolist())
    assert len(store.keys()) == N_POINTS


def test_a_column_of_any_kind_comes_back_as_it_was(store: Store) -> None:
    columns: dict[str, Any] = {
        "whole": np.array([-(1 << 62), 0, 7], np.int64),
        "fraction": np.array([0.1, np.nan, -0.0]),
        "switch": np.array([True, False, True]),
        "word": ["", "µJ and 三 words", "x" * 1000],
        "error": ["", "", ""],
    }
    store.write(keys(2, 1, 0), columns)
    table = store.table()
    assert [str(kind) for kind in table.schema.types] == [
        "fixed_size_binary[16]", "int64", "double", "bool", "string", "string",
    ]  # fmt: skip
    order = [place for _, place in sorted((keys(number).tobytes(), place) for place, number in enumerate((2, 1, 0)))]
    for name, values in columns.items():
        written = np.asarray(values).tolist()
        assert repr(table.column(name).to_pylist()) == repr([written[place] for place in order])  # nan is not itself


def test_many_rows_come_back(store: Store) -> None:
    """More than a byte of switches, and shards whose sizes are no multiple of eight."""
    n_rows = 1001
    switches = np.arange(n_rows) % 3 == 0
    some = np.frombuffer(np.arange(2 * n_rows, dtype=np.uint64).tobytes(), KEY)
    store.write(some[:500], {"switch": switches[:500], "error": [""] * 500})
    store.write(some[500:], {"switch": switches[500:], "error": [""] * 501})
    table = store.table()
    assert table.column("switch").to_numpy()[places(some, table)].tolist() == switches.tolist()


NEEDS_NO_PANDAS = """
import sys
from pathlib import Path
import numpy as np
from dcsim.explore.keys import KEY
from dcsim.explore.store import Store

store = Store(Path(sys.argv[1]))
store.write(np.zeros(2, KEY), {"n": np.arange(2), "x": np.zeros(2), "b": np.zeros(2, bool), "error": ["", ""]})
store.keys()
sys.exit("pandas" in sys.modules)
"""


def test_a_worker_does_without_pandas(store: Store) -> None:
    """It takes half a second and 40 MB to import, in every process."""
    done = subprocess.run([sys.executable, "-c", NEEDS_NO_PANDAS, str(store.folder)], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_the_table_has_the_same_bytes_whatever_the_order_and_the_shards(tmp_path: Path) -> None:
    partitions: list[list[range | list[int]]] = [
        [range(N_POINTS)],
        [range(0, 10), range(10, N_POINTS)],
        [range(10, N_POINTS), range(0, 10)],
        [[number] for number in reversed(range(N_POINTS))],
    ]
    files = []
    for place, partition in enumerate(partitions):
        store = Store(tmp_path / str(place))
        fill(store, *partition)
        pq.write_table(store.table(), tmp_path / f"{place}.parquet")
        files.append((tmp_path / f"{place}.parquet").read_bytes())
    assert len(set(files)) == 1


def test_the_same_points_written_again_are_the_same_shard(store: Store) -> None:
    assert store.write(keys(1, 2), rows(1, 2)) == store.write(keys(1, 2), rows(1, 2))
    assert store.write(keys(2, 1), rows(2, 1)) != store.write(keys(1, 2), rows(1, 2))
    assert len(list(store.shards.iterdir())) == 2
    assert sorted(numbers(store.table())) == [1, 2]


def test_a_point_that_was_done_twice_counts_once_and_without_its_error(store: Store) -> None:
    fill(store, [1, 2, 3])
    for error in ("the worker died", "and again"):
        store.write(keys(2), rows(2, error=error))
    store.write(keys(4), rows(4, error="alone"))
    table = store.table()
    assert sorted(numbers(table)) == [1, 2, 3, 4]
    assert dict(zip(numbers(table), table.column("error").to_pylist(), strict=True)) == {
        1: "",
        2: "",
        3: "",
        4: "alone",
    }


def test_keys_that_begin_alike_are_different_points(store: Store) -> None:
    alike = np.frombuffer(b"".join(b"12345678" + bytes([last]) * 8 for last in (9, 1, 5, 1)), KEY)
    store.write(alike, rows(0, 1, 2, 3))
    assert numbers(store.table()) == [1, 2, 0]


def test_some_columns_of_some_points_can_be_asked_for(store: Store) -> None:
    fill(store, range(N_POINTS))
    table = store.table(["half"], keys(*range(5, 9), 77))
    assert table.column_names == ["key", "half"]
    assert table.column("half").to_pylist() == [number / 2 for number in BY_KEY if 5 <= number < 9]
    assert set(store.table(["error", "number", "key"]).column_names) == {"key", "number", "error"}
    assert store.table(wanted=keys(99)).num_rows == 0
    assert store.table(wanted=keys(99)).column_names == ["key", "number", "half", "word", "error"]


def test_what_is_missing_and_where_the_rest_is(store: Store) -> None:
    fill(store, range(5))
    assert missing(keys(3, 9, 0, 7), store.keys()).tolist() == [False, True, False, True]
    assert missing(keys(), store.keys()).tolist() == []
    assert missing(keys(3), keys()).tolist() == [True]
    table = store.table()
    assert [numbers(table)[place] for place in places(keys(4, 0, 4), table)] == [4, 0, 4]
    part = table.slice(2)  # keys that do not begin where their buffer does
    assert [numbers(part)[place] for place in places(keys(numbers(part)[1]), part)] == [numbers(part)[1]]


def test_a_store_without_points_says_so(store: Store) -> None:
    assert len(store.keys()) == 0
    store.clean()
    with pytest.raises(OutputError, match="out holds no points of a sweep"):
        store.table()


# --- other readers ---------------------------------------------------------------------------------------------------


def test_pandas_reads_the_shards(store: Store) -> None:
    fill(store, range(0, 10), range(10, N_POINTS))
    frame = pd.read_parquet(store.shards)
    assert sorted(frame["number"]) == list(range(N_POINTS))
    assert frame.sort_values("key")["number"].tolist() == BY_KEY
    assert dict(frame.dtypes.astype(str)) | {"word": "", "key": "", "error": ""} == {
        "key": "",
        "number": "int64",
        "half": "float64",
        "word": "",
        "error": "",
    }


def test_the_frame_shows_keys_as_text(store: Store) -> None:
    fill(store, range(3))
    assert store.frame()["key"].tolist() == [keys(number).tobytes().hex() for number in BY_KEY if number < 3]
    pd.testing.assert_frame_equal(store.frame(), frame_of(store.table()))


def test_duckdb_queries_the_shards(store: Store) -> None:
    fill(store, range(0, 10), range(10, N_POINTS))
    shards = f"read_parquet('{store.shards}/*.parquet')"
    with duckdb.connect() as database:
        asked = f"SELECT number FROM {shards} WHERE half >= 12 AND error = '' ORDER BY key"
        assert [number for (number,) in database.execute(asked).fetchall()] == [n for n in BY_KEY if n >= 24]
        counted = database.execute(f"SELECT count(*), count(DISTINCT key), sum(half) FROM {shards}").fetchone()
    assert counted == (N_POINTS, N_POINTS, sum(range(N_POINTS)) / 2)


# --- whole or not at all -----------------------------------------------------------------------------------------------

DIES = """
import os, sys
from pathlib import Path
import pyarrow.parquet as pq
from dcsim.explore.store import Store
from tests.unit.test_sweep_store import keys, rows

def half(table, path, **options):
    Path(path).write_bytes(b"PAR1 and no more")
    os.kill(os.getpid(), 9)

store = Store(Path(sys.argv[1]))
store.write(keys(1), rows(1))
pq.write_table = half
store.write(keys(2), rows(2))
"""


def test_a_writer_that_is_killed_leaves_no_shard_and_nothing_that_is_read(store: Store) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(store.folder)], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert sorted(numbers(store.table())) == [1]
    (left,) = store.shards.glob(".*")
    store.clean()
    assert left.exists()  # it may be somebody's who is writing
    long_ago = time.time() - ABANDONED_AFTER_S - 1
    os.utime(left, (long_ago, long_ago))
    store.clean()
    assert not left.exists()
    assert sorted(numbers(store.table())) == [1]


def test_a_disk_that_is_full_is_said_and_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(table: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OutputError, match="No space left on device"):
        store.write(keys(1), rows(1))
    assert list(store.shards.iterdir()) == []


def truncated(content: bytes) -> bytes:
    return content[:-20]


def emptied(content: bytes) -> bytes:
    return b""


def altered_key(content: bytes) -> bytes:
    """One bit of the first column, the keys."""
    at = 60
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def something_else(content: bytes) -> bytes:
    return b"these are no rows of a sweep " * 100


@pytest.mark.parametrize("damage", [truncated, emptied, altered_key, something_else])
def test_a_damaged_shard_is_named_and_what_to_do(store: Store, damage: Any) -> None:
    fill(store, range(0, 10), range(10, N_POINTS))
    shard = store.write(keys(77), rows(77))
    shard.write_bytes(damage(shard.read_bytes()))
    for read in (store.keys, store.table):
        with pytest.raises(OutputError) as caught:
            read()
        assert str(caught.value).startswith(f"{shard}: not a shard of a sweep: ")
        assert str(caught.value).endswith("; remove it to have its points done again")
    shard.unlink()
    assert numbers(store.table()) == BY_KEY


def test_a_figure_that_was_altered_is_found_when_it_is_read(store: Store) -> None:
    shard = store.write(keys(1, 2), {"word": ["A" * 1000, "B" * 1000], "error": ["", ""]})
    pq.write_table(pq.read_table(shard), shard, compression="none", write_page_checksum=True)
    content = shard.read_bytes()
    at = content.index(b"AAAA") + 500
    shard.write_bytes(content[:at] + b"C" + content[at + 1 :])
    assert len(store.keys()) == 2
    with pytest.raises(OutputError, match="not a shard of a sweep"):
        store.table()


def test_a_parquet_file_of_another_kind_is_no_shard(store: Store) -> None:
    fill(store, range(3))
    pq.write_table(pa.table({"layer": ["fc1"]}), store.shards / "trace.parquet")
    for read in (store.keys, store.table):
        with pytest.raises(OutputError, match=r"trace\.parquet: not a shard of a sweep"):
            read()


# --- whose it is -------------------------------------------------------------------------------------------------------

AXES = {"fps": "float64", "sram.capacity_kib": "int64"}


def test_a_folder_belongs_to_one_set_of_axes(store: Store) -> None:
    store.claim(AXES)
    assert not store.folder.exists()
    store.describe({"axes": AXES, "sweep": {"name": "own"}})
    store.claim(dict(reversed(AXES.items())))
    for other in ({}, {"fps": "float64"}, AXES | {"fps": "object"}, AXES | {"volts": "float64"}):
        with pytest.raises(
            ConfigError, match=r"holds a sweep along fps \(float64\), sram\.capacity_kib \(int64\); choose"
        ):
            store.claim(other)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"axes": 5}', '{"axes": ["fps"]}', "\x00"])
def test_a_folder_of_something_else_is_left_alone(store: Store, content: str) -> None:
    store.folder.mkdir()
    (store.folder / "sweep.json").write_text(content)
    with pytest.raises(ConfigError, match=r"sweep\.json is not what a sweep wrote"):
        store.claim(AXES)

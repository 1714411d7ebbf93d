"""Where the rows of a sweep are kept: Parquet shards that appear whole or not at all, each point under its key.

A shard's name is the fingerprint of the keys in it. Whoever runs the sweep again reads the keys that are there and does
the rest, so a run may be killed at any time, and several may write to one store if they do different points.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dcsim.errors import ConfigError, OutputError
from dcsim.explore.keys import KEY
from dcsim.files import write_bytes, written

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "sweep.json"
#: a shard is written in less than a second: what is unfinished after so long is of a run that was killed
ABANDONED_AFTER_S = 3600

Keys = npt.NDArray[Any]


class Store:
    """The shards of one sweep, in a folder, and a file that says whose they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards = folder / "points"

    def claim(self, axes: Mapping[str, str]) -> None:
        """Refuse a folder of a sweep along other axes, or of other types: a table has one set of columns.

        Raises:
            ConfigError: another sweep's folder, or one whose manifest cannot be read.
        """
        path = self.folder / MANIFEST
        if not path.exists():
            return
        try:
            before = dict(json.loads(path.read_text())["axes"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ConfigError(f"{path} is not what a sweep wrote: {error}; choose another folder") from error
        if before != dict(axes):
            listed = ", ".join(f"{axis} ({kind})" for axis, kind in before.items())
            raise ConfigError(f"{self.folder} holds a sweep along {listed}; choose another folder")

    def describe(self, about: Mapping[str, Any]) -> None:
        """Say whose points these are. Raises OutputError."""
        write_bytes(self.folder / MANIFEST, (json.dumps(about, indent=1) + "\n").encode())

    def write(self, keys: Keys, columns: Mapping[str, npt.NDArray[Any] | list[str]]) -> Path:
        """Add rows as a shard, numbers as arrays and words as lists. Raises OutputError."""
        path = self.shards / f"{hashlib.sha256(keys.tobytes()).hexdigest()[:24]}.parquet"
        table = pa.table({name: _column(values) for name, values in {"key": keys, **columns}.items()})
        with written(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", compression_level=1, write_page_checksum=True)
        return path

    def keys(self) -> Keys:
        """Keys of all rows. Raises OutputError for a shard that cannot be read."""
        return _keys(self._read(["key"])) if self._paths() else np.zeros(0, KEY)

    def clean(self) -> None:
        """Remove what killed runs left half-written an hour ago and longer."""
        for path in self.shards.glob(".*.tmp"):
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER_S:
                path.unlink(missing_ok=True)

    def table(self, names: Iterable[str] | None = None, wanted: Keys | None = None) -> pa.Table:
        """Rows in the order of their keys: the same bytes whatever the order in which they were made.

        A point that was done twice, as when a worker died after writing it, counts once, and without its error.

        Args:
            names: columns beside the key; all by default.
            wanted: rows with these keys only.

        Raises:
            OutputError: there are no rows, or a shard cannot be read.
        """
        if not self._paths():
            raise OutputError(f"{self.folder} holds no points of a sweep")
        whole = self._read(None if names is None else list(dict.fromkeys(["key", "error", *names])))
        keys = _keys(whole)
        order = _in_order(keys, pc.not_equal(whole.column("error"), "").to_numpy())
        if wanted is not None:
            order = order[~missing(keys, wanted)[order]]
        listed = [name for name in whole.column_names if names is None or name in {"key", *names}]
        columns = {name: whole.column(name) for name in listed}
        del whole  # a column is given back when it has been put in order
        return pa.table({name: columns.pop(name).take(order).combine_chunks() for name in listed})

    def frame(self) -> "pd.DataFrame":
        """All rows as a DataFrame, keys as hexadecimal text."""
        return frame_of(self.table())

    def _paths(self) -> list[Path]:
        return sorted(self.shards.glob("*.parquet"))

    def _read(self, names: list[str] | None) -> pa.Table:
        tables = []
        for path in self._paths():
            try:
                tables.append(pq.ParquetFile(path, page_checksum_verification=True).read(names))
                tables[-1].column("key")
            except (pa.ArrowException, OSError, KeyError) as error:
                raise OutputError(
                    f"{path}: not a shard of a sweep: {error}; remove it to have its points done again"
                ) from error
        return pa.concat_tables(tables, promote_options="default")


def _in_order(keys: Keys, failed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Places of the keys from low to high, of equal ones the first that has not failed."""
    high, low = keys.view(">u8").astype(np.uint64).reshape(-1, 2).T
    order = np.argsort(high)
    again = high[order[1:]] == high[order[:-1]]
    if again.any():
        order = np.lexsort((failed, low, high))
        again = keys[order[1:]] == keys[order[:-1]]
    return np.asarray(order[np.append(True, ~again)])


def frame_of(table: pa.Table) -> "pd.DataFrame":
    """A table as a DataFrame, keys as hexadecimal text."""
    frame: pd.DataFrame = table.to_pandas()
    frame["key"] = frame["key"].map(bytes.hex)
    return frame


def missing(keys: Keys, done: Keys) -> npt.NDArray[np.bool_]:
    """Which of `keys` are not among those that are done."""
    known: npt.NDArray[np.bool_] = pc.is_in(_column(keys), value_set=_column(done)).to_numpy(zero_copy_only=False)
    return ~known


def places(keys: Keys, table: pa.Table) -> npt.NDArray[np.int64]:
    """Rows of a table that have these keys, all of which it must have."""
    found: npt.NDArray[np.int64] = pc.index_in(_column(keys), value_set=_column(_keys(table))).to_numpy()
    return found.astype(np.int64)


def _column(values: npt.NDArray[Any] | list[str]) -> pa.Array:
    """What `pa.array` makes of keys, numbers, switches or words; it would import pandas, half a second of a worker."""
    if isinstance(values, list):
        words = [word.encode() for word in values]
        ends = np.cumsum([0, *map(len, words)], dtype=np.int32)
        return pa.Array.from_buffers(pa.string(), len(words), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(words))])
    kind = pa.binary(KEY.itemsize) if values.dtype == KEY else pa.from_numpy_dtype(values.dtype)
    content = np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(content.tobytes())])


def _keys(table: pa.Table) -> Keys:
    chunks = table.column("key").chunks
    parts = [np.frombuffer(c.buffers()[1], KEY)[c.offset : c.offset + len(c)] for c in chunks]
    return np.concatenate([np.zeros(0, KEY), *parts])

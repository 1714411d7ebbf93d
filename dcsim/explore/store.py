"""Where the rows of a sweep are kept: Parquet shards that appear whole or not at all, each point under its key.

A shard's name is the fingerprint of the keys in it. Whoever runs the sweep again reads the keys that are there and does
the rest, so a run may be killed at any time, and several may write to one store if they do different points.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dcsim.errors import OutputError
from dcsim.explore.keys import KEY_BYTES
from dcsim.files import written

if TYPE_CHECKING:
    import pandas as pd

Keys = npt.NDArray[Any]


class Store:
    """The shards of one sweep, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards = folder / "points"

    def write(self, keys: Keys, columns: dict[str, Any]) -> Path:
        """Add rows as a shard. Raises OutputError."""
        path = self.shards / f"{hashlib.sha256(keys.tobytes()).hexdigest()[:24]}.parquet"
        table = pa.table({"key": _column(keys), **columns})
        with written(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", compression_level=1)
        return path

    def keys(self) -> Keys:
        """Keys of all rows. Raises OutputError for a shard that cannot be read."""
        found = [self.keys_of(self._read(path, ["key"])) for path in self._paths()]
        return np.concatenate(found) if found else np.zeros(0, f"V{KEY_BYTES}")

    def clean(self) -> None:
        """Remove what a killed run left half-written. Only when no other run writes to this store."""
        for path in self.shards.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def table(self) -> pa.Table:
        """All rows in the order of their keys: the same bytes whatever the order in which they were made."""
        tables = [self._read(path) for path in self._paths()]
        if not tables:
            raise OutputError(f"{self.folder} holds no points of a sweep")
        whole = pa.concat_tables(tables, promote_options="default")
        return whole.sort_by("key").combine_chunks()

    def frame(self) -> "pd.DataFrame":
        """All rows as a DataFrame, keys as hexadecimal text."""
        frame: pd.DataFrame = self.table().to_pandas()
        frame["key"] = frame["key"].map(bytes.hex)
        return frame

    def _paths(self) -> Iterator[Path]:
        yield from sorted(self.shards.glob("*.parquet"))

    @staticmethod
    def keys_of(table: pa.Table) -> Keys:
        """The keys of a table's rows."""
        content = b"".join(table.column("key").to_pylist())
        return np.frombuffer(content, f"V{KEY_BYTES}")

    def _read(self, path: Path, columns: list[str] | None = None) -> pa.Table:
        try:
            return pq.ParquetFile(path).read(columns)
        except (pa.ArrowException, OSError) as error:
            raise OutputError(
                f"{path}: not a shard of a sweep: {error}; remove it to have its points done again"
            ) from error


def missing(keys: Keys, done: Keys) -> npt.NDArray[np.bool_]:
    """Which of `keys` are not among those that are done."""
    known: npt.NDArray[np.bool_] = pc.is_in(_column(keys), value_set=_column(done)).to_numpy(zero_copy_only=False)
    return ~known


def places(keys: Keys, among: Keys) -> npt.NDArray[np.int64]:
    """Place of each key among others, all of which it must be one of."""
    found: npt.NDArray[np.int64] = pc.index_in(_column(keys), value_set=_column(among)).to_numpy().astype(np.int64)
    return found


def _column(keys: Keys) -> pa.Array:
    buffer = pa.py_buffer(np.ascontiguousarray(keys).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY_BYTES), len(keys), [None, buffer])

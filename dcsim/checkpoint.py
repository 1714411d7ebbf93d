"""Weights in safetensors files, memory-mapped: one file, or several with an index, tensor by tensor.

The format (Hugging Face, safetensors 0.x): u64 length of a JSON header, the header, the tensors' bytes. It is read here
rather than by its own library because that one has no numpy type for bfloat16 and no view into the mapped file.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import NetworkError
from dcsim.files import written

HEADER_LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
FLOAT_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
OTHER_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8}
ELEMENT_BYTES = FLOAT_BYTES | OTHER_BYTES
MAX_DIMENSIONS, MAX_BYTES = 64, 1 << 62  # of any array that numpy can make
SHARD = re.compile(r"(?P<stem>.*)-\d{5}-of-(?P<total>\d{5})\.safetensors")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor lies."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int

    @property
    def n_elements(self) -> int:
        """Elements of the tensor."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether its values are floating-point numbers, which alone are compressed."""
        return self.dtype in FLOAT_BYTES

    @property
    def n_bytes(self) -> int:
        """Bytes it takes in its file."""
        return self.n_elements * ELEMENT_BYTES[self.dtype]

    def read(self) -> Floats:
        """The values as fp32: a view into the mapped file where they are fp32 there.

        Raises:
            NetworkError: the tensor is not of a float type, or holds float64 values that fp32 does not have.
        """
        if not self.is_float:
            raise NetworkError(f"{self.file}: {self.name} has type {self.dtype}, expected {', '.join(FLOAT_BYTES)}")
        if not self.n_elements:
            return np.zeros(self.shape, np.float32)
        stored = np.memmap(self.file, np.uint8, "r", self.offset, (self.n_bytes,))
        if self.dtype == "BF16":  # the upper half of an fp32
            return (stored.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        values = stored.view({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[self.dtype]).reshape(self.shape)
        with np.errstate(over="ignore"):
            single = values.astype(np.float32, copy=False)
        if self.dtype == "F64" and not np.array_equal(single, values, equal_nan=True):
            raise NetworkError(f"{self.file}: {self.name} has float64 values that fp32 cannot hold; convert it first")
        return single


def open_checkpoint(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of `path`, in the order in which they lie.

    Args:
        path: a safetensors file, an index (`*.safetensors.index.json`), or one shard `*-0000N-of-000NN.safetensors`.

    Raises:
        NetworkError: a file is missing or damaged, or a tensor is in none of them.
    """
    entries = [entry for file in _files(path) for entry in _entries(file)]
    counts = Counter(entry.name for entry in entries)
    if len(counts) < len(entries):
        name = next(name for name, count in counts.items() if count > 1)
        files = ", ".join(entry.file.name for entry in entries if entry.name == name)
        raise NetworkError(f"{path}: {name} is in more than one file: {files}")
    if path.suffix == ".json":
        missing = sorted(_index(path).keys() - counts.keys())
        if missing:
            raise NetworkError(f"{path} names {missing[0]}, which its files do not have")
    return tuple(entries)


def _files(path: Path) -> list[Path]:
    if path.suffix == ".json":
        return [path.parent / name for name in sorted(set(_index(path).values()))]
    shard = SHARD.fullmatch(path.name)
    if not shard:
        return [path]
    total = shard["total"]
    return [path.parent / f"{shard['stem']}-{n:05d}-of-{total}.safetensors" for n in range(1, int(total) + 1)]


def _index(path: Path) -> dict[str, str]:
    try:
        weight_map = json.loads(path.read_text())["weight_map"]
        if any(Path(file).name != file for file in weight_map.values()):
            raise NetworkError(f"cannot read the weights {path}: expected files beside it, by their names alone")
        return {str(name): str(file) for name, file in weight_map.items()}
    except OSError as error:
        raise NetworkError(f"cannot read the weights {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise NetworkError(f"cannot read the weights {path}: expected an index of files with a weight_map") from error


def _entries(file: Path) -> Iterator[TensorEntry]:
    header, at, end = _header(file)
    entries = [_entry(file, name, about, at, end) for name, about in header.items() if name != "__metadata__"]
    for entry in sorted(entries, key=lambda entry: (entry.offset, entry.n_bytes)):
        if entry.offset != at:
            fault = "overlaps the tensor before it" if entry.offset < at else "leaves bytes before it to no tensor"
            raise NetworkError(f"{file}: {entry.name} {fault}: the header is damaged")
        yield entry
        at += entry.n_bytes
    if at != end:
        raise NetworkError(f"{file}: {end - at} bytes at the end belong to no tensor: the header is damaged")


def _header(file: Path) -> tuple[dict[str, Any], int, int]:
    """The JSON header, where the tensors begin, and where the file ends."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            n_bytes = int.from_bytes(stream.read(HEADER_LENGTH_BYTES), "little")
            if not 2 <= n_bytes <= min(MAX_HEADER_BYTES, size - HEADER_LENGTH_BYTES):
                raise NetworkError(f"cannot read the weights {file}: not a safetensors file, or cut off")
            header = json.loads(stream.read(n_bytes), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise NetworkError(f"cannot read the weights {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise NetworkError(f"cannot read the weights {file}: its header is damaged: {error}") from error
    if not isinstance(header, dict):
        raise NetworkError(f"cannot read the weights {file}: its header is not a table of tensors")
    return header, HEADER_LENGTH_BYTES + n_bytes, size


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of the header. Raises ValueError when a name stands in it twice, which the format forbids."""
    counts = Counter(name for name, _ in pairs)
    if len(counts) < len(pairs):
        raise ValueError(f"{counts.most_common(1)[0][0]} stands in it twice")
    return dict(pairs)


def _entry(file: Path, name: str, about: Any, data_at: int, end: int) -> TensorEntry:
    try:
        dtype, shape, (first, last) = about["dtype"], tuple(about["shape"]), about["data_offsets"]
        name.encode()
    except (KeyError, TypeError, ValueError) as error:
        raise _senseless(file, name, about) from error
    if dtype not in [*ELEMENT_BYTES]:
        raise NetworkError(f"{file}: {name} has type {dtype}, expected {', '.join(FLOAT_BYTES)}")
    is_possible = (
        len(shape) <= MAX_DIMENSIONS
        and all(type(number) is int and 0 <= number <= MAX_BYTES for number in (*shape, first, last))
        and math.prod(max(size, 1) for size in shape) * ELEMENT_BYTES[dtype] <= MAX_BYTES
    )
    if not is_possible or last - first != math.prod(shape) * ELEMENT_BYTES[dtype]:
        raise _senseless(file, name, about)
    if data_at + last > end:
        raise NetworkError(f"{file}: {name} ends after the file does: the file is cut off")
    return TensorEntry(name, dtype, shape, file, data_at + first)


def _senseless(file: Path, name: str, about: object) -> NetworkError:
    return NetworkError(f"{file}: the header's entry of {name!r} makes no sense: {str(about)[:200]}")


def write_checkpoint(path: Path, shapes: Mapping[str, tuple[int, ...]], decode: Callable[[str], Floats]) -> None:
    """Write fp32 tensors to a safetensors file one after the other, so that one at a time is in memory.

    Args:
        shapes: by name, in the order to write.
        decode: gives the values of a name.

    Raises:
        OutputError: the file cannot be written.
    """
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + FLOAT_BYTES["F32"] * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    packed = json.dumps(header, separators=(",", ":")).encode()
    packed += b" " * (-len(packed) % HEADER_LENGTH_BYTES)  # tensors begin at a multiple of eight
    with written(path) as temporary, temporary.open("wb") as stream:
        stream.write(len(packed).to_bytes(HEADER_LENGTH_BYTES, "little") + packed)
        for name in shapes:
            stream.write(np.ascontiguousarray(decode(name), "<f4").data)

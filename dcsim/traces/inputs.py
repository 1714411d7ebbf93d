"""What a network is run on: arrays or tensors, by place or by name. Needs no torch itself."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dcsim.errors import NetworkError


@dataclass(frozen=True)
class Inputs:
    """Arguments of a forward pass: numpy arrays, torch tensors, and numbers or None between them.

    Attributes:
        positional, named: as the network takes them; the first array has the batch first.
    """

    positional: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object) -> "Inputs":
        """From an array, a tuple of arguments, a dictionary of named ones, or a pair of both.

        Raises:
            NetworkError: there is no array or tensor among them.
        """
        if isinstance(value, cls):
            return value
        match value:
            case dict():
                found = cls((), value)
            case (tuple() | list() as positional, dict() as named):
                found = cls(tuple(positional), named)
            case tuple() | list():
                found = cls(tuple(value))
            case _:
                found = cls((value,))
        strange = next((array for array in found.arrays() if str(array.dtype) == "object"), None)
        if strange is not None or not any(array.ndim for array in found.arrays()):
            raise NetworkError(
                f"inputs are {type(value).__name__} without an array: expected an array, batch first, a tuple of "
                "arguments, or a dictionary of named ones"
            )
        return found

    def arrays(self) -> Iterator[Any]:
        """Every array and tensor, in order."""
        for value in (*self.positional, *self.named.values()):
            yield from _leaves(value)

    @property
    def batch(self) -> int:
        """Inferences that make one frame: the first size of the first array that has one."""
        return next(int(array.shape[0]) for array in self.arrays() if array.ndim)

    def first(self, n: int) -> "Inputs":
        """The first `n` examples: of every array as long as the batch. Raises NetworkError when there are fewer."""
        batch = self.batch
        if not 1 <= n <= batch:
            raise NetworkError(f"batch {n} is not possible: expected 1 to {batch}, the examples of the inputs")

        def cut(value: Any) -> Any:
            return value[:n] if getattr(value, "ndim", 0) and value.shape[0] == batch else value

        return Inputs(tuple(map(cut, self.positional)), {name: cut(value) for name, value in self.named.items()})

    @property
    def n_elements(self) -> int:
        """Elements of all arrays."""
        return sum(int(np.prod(array.shape)) for array in self.arrays())

    @property
    def shapes(self) -> str:
        """For messages: `(1, 3, 224, 224)`, or several."""
        return ", ".join(str(tuple(array.shape)) for array in self.arrays())

    @property
    def sha256(self) -> str:
        """Fingerprint of all values; empty when there are none, only shapes."""
        digest = hashlib.sha256()
        for array in self.arrays():
            if getattr(array, "is_meta", False):
                return ""
            digest.update(_bytes(array))
        return digest.hexdigest()


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _leaves(each)
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        yield value if hasattr(value, "ndim") else np.asarray(value)


def _bytes(array: Any) -> bytes:
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array).tobytes()
    tensor = array.detach().cpu()
    try:
        return _bytes(tensor.numpy())
    except TypeError:  # numpy has no such type: bfloat16
        return _bytes(tensor.float().numpy())

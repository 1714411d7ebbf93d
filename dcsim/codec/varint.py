"""Integers of any size in few bytes: LEB128, seven bits a byte, lowest first, the top bit set on all but the last."""

import numpy as np
import numpy.typing as npt

from dcsim.errors import MalformedError, TruncatedError

MAX_BYTES = 8  # 56 bits: more than any length or count of a file


def pack(value: int) -> bytes:
    """`value`, not negative and below 2**56, as one to eight bytes."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def unpack(payload: bytes, at: int) -> tuple[int, int]:
    """The integer at byte `at`, and the byte after it.

    Raises:
        TruncatedError: the payload ends inside it.
        MalformedError: it is longer than eight bytes, or than it needs to be.
    """
    value = 0
    for place, byte in enumerate(payload[at : at + MAX_BYTES]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if not byte and place:
                raise MalformedError("a number is written longer than it is")
            return value, at + place + 1
    if at + MAX_BYTES > len(payload):
        raise TruncatedError("the bytes end inside a number")
    raise MalformedError("a number is longer than eight bytes")


def pack_differences(values: npt.ArrayLike) -> bytes:
    """Each value as its difference from the one before, the first from 0; 0, -1, 1, -2 ... become 0, 1, 2, 3 ..."""
    steps = np.diff(np.asarray(values, np.int64), prepend=0)
    folded = np.where(steps < 0, -2 * steps - 1, 2 * steps)[:, np.newaxis]
    places = 7 * np.arange(MAX_BYTES)
    goes_on = folded >> places + 7 > 0
    encoded = folded >> places & 0x7F | goes_on * 0x80
    is_used = np.column_stack([np.ones(len(folded), np.bool_), goes_on[:, :-1]])
    return encoded[is_used].astype(np.uint8).tobytes()


def unpack_differences(payload: bytes, at: int, n_values: int) -> tuple[list[int], int]:
    """`n_values` values that `pack_differences` wrote, none negative, and the byte after them.

    Raises:
        TruncatedError, MalformedError: as `unpack`, and for a negative value.
    """
    values, previous = [], 0
    for _ in range(n_values):
        folded, at = unpack(payload, at)
        previous += -(folded + 1) // 2 if folded & 1 else folded // 2
        if previous < 0:
            raise MalformedError("a length is negative")
        values.append(previous)
    return values, at

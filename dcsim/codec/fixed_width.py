"""Unsigned integers as fixed-width fields, least significant bit first, without padding between fields."""

import numpy as np
import numpy.typing as npt

from dcsim.errors import MalformedError, TruncatedError
from dcsim.units import bits_to_bytes


def pack(symbols: npt.NDArray[np.integer], width_bits: int) -> bytes:
    """Pack `symbols` (1-D, each below 2**width_bits) into ceil(n * width_bits / 8) bytes."""
    shifts = np.arange(width_bits, dtype=np.uint32)
    bits = (symbols.astype(np.uint32)[:, None] >> shifts) & 1
    return np.packbits(bits.astype(np.uint8).ravel(), bitorder="little").tobytes()


def unpack(payload: bytes, width_bits: int, n_symbols: int) -> npt.NDArray[np.uint32]:
    """The `n_symbols` fields that `pack` wrote.

    Raises:
        TruncatedError: the payload is too short.
        MalformedError: the padding bits of the last byte are not zero.
    """
    n_bits = n_symbols * width_bits
    if len(payload) < bits_to_bytes(n_bits):
        raise TruncatedError(f"{n_symbols} fields of {width_bits} bits need more than {len(payload)} bytes")
    bits = np.unpackbits(np.frombuffer(payload, np.uint8, bits_to_bytes(n_bits)), bitorder="little")
    if bits[n_bits:].any():
        raise MalformedError("padding bits after the last field are not zero")
    weights = np.uint32(1) << np.arange(width_bits, dtype=np.uint32)
    fields = bits[:n_bits].reshape(n_symbols, width_bits).astype(np.uint32)
    return fields @ weights

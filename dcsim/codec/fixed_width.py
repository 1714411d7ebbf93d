"""Unsigned integers as fixed-width fields, least significant bit first, without padding between fields."""

import numpy as np
import numpy.typing as npt

from dcsim.errors import MalformedError, TruncatedError
from dcsim.units import BITS_PER_BYTE, bits_to_bytes

MAX_WIDTH_BITS = 32
SPARE_BYTES = 8  # reads and writes are eight bytes wide, from any byte on


def pack(fields: npt.NDArray[np.integer], width_bits: int) -> bytes:
    """Pack 1-D `fields`, each below 2**width_bits, into ceil(n * width_bits / 8) bytes; no field wider than 32 bits."""
    from dcsim.codec import bit_kernels

    n_bytes = bits_to_bytes(len(fields) * width_bits)
    packed = np.zeros(n_bytes + SPARE_BYTES, np.uint8)
    bit_kernels.pack_fields(fields, width_bits, packed)
    return packed[:n_bytes].tobytes()


def unpack(
    payload: npt.NDArray[np.uint8], width_bits: int, n_fields: int, kind: type[np.unsignedinteger] = np.uint32
) -> npt.NDArray[np.unsignedinteger]:
    """The `n_fields` fields that `pack` wrote, as `kind`, which is wide enough.

    Raises:
        TruncatedError: the payload is too short.
        MalformedError: the padding bits of the last byte are not zero.
    """
    from dcsim.codec import bit_kernels

    n_bits = n_fields * width_bits
    n_bytes = bits_to_bytes(n_bits)
    if len(payload) < n_bytes:
        raise TruncatedError(f"{n_fields} fields of {width_bits} bits need more than {len(payload)} bytes")
    n_spare = n_bytes * BITS_PER_BYTE - n_bits
    if n_spare and payload[n_bytes - 1] >> (BITS_PER_BYTE - n_spare):
        raise MalformedError("padding bits after the last field are not zero")
    fields = np.empty(n_fields, kind)
    bit_kernels.unpack_fields(np.concatenate([payload[:n_bytes], np.zeros(SPARE_BYTES, np.uint8)]), width_bits, fields)
    return fields

"""Are fixed-width fields packed without gaps, lowest bit first, and read back as they were?"""

import numpy as np
import pytest

from dcsim.codec import fixed_width
from dcsim.errors import MalformedError, TruncatedError


@pytest.mark.parametrize(
    ("symbols", "width_bits", "payload"),
    [
        ([], 5, b""),
        ([1], 1, b"\x01"),
        ([1, 2, 3], 2, b"\x39"),  # 11 10 01
        ([0x5, 0xA], 4, b"\xa5"),
        ([7, 0, 7], 3, b"\xc7\x01"),  # a field across two bytes
        ([0x1234], 16, b"\x34\x12"),
        ([2**32 - 1, 1], 32, b"\xff\xff\xff\xff\x01\x00\x00\x00"),
    ],
)
def test_layout(symbols: list[int], width_bits: int, payload: bytes) -> None:
    packed = fixed_width.pack(np.array(symbols, np.uint32), width_bits)
    assert packed == payload
    assert fixed_width.unpack(packed, width_bits, len(symbols)).tolist() == symbols


@pytest.mark.parametrize("width_bits", range(1, 17))
def test_smallest_and_largest_symbols_come_back_at_every_width(width_bits: int) -> None:
    largest = (1 << width_bits) - 1
    symbols = np.array([0, largest, largest // 2, 0, largest, 1, largest], np.uint16)
    packed = fixed_width.pack(symbols, width_bits)
    assert len(packed) == -(-len(symbols) * width_bits // 8)
    assert fixed_width.unpack(packed, width_bits, len(symbols)).tolist() == symbols.tolist()


def test_a_payload_one_byte_short_is_refused() -> None:
    packed = fixed_width.pack(np.arange(8), 3)
    with pytest.raises(TruncatedError, match="8 fields of 3 bits"):
        fixed_width.unpack(packed[:-1], 3, 8)


@pytest.mark.parametrize("bit", range(5, 8))
def test_padding_that_is_not_zero_is_refused(bit: int) -> None:
    with pytest.raises(MalformedError, match="padding"):
        fixed_width.unpack(bytes([1 << bit]), 5, 1)

"""Are fixed-width fields packed without gaps, lowest bit first, and read back as they were?"""

import numpy as np
import pytest

from dcsim.codec import fixed_width
from dcsim.errors import MalformedError, TruncatedError


@pytest.mark.parametrize(
    ("fields", "width_bits", "payload"),
    [
        ([], 5, b""),
        ([1], 1, b"\x01"),
        ([1, 2, 3], 2, b"\x39"),  # 11 10 01
        ([0x5, 0xA], 4, b"\xa5"),
        ([7, 0, 7], 3, b"\xc7\x01"),  # a field across two bytes
        ([0x155, 0x0AA], 9, b"\x55\x55\x01"),
        ([0x1234], 16, b"\x34\x12"),
        ([0x123456, 0x789ABC], 24, b"\x56\x34\x12\xbc\x9a\x78"),
        ([2**31 - 1, 0, 1], 31, b"\xff\xff\xff\x7f\x00\x00\x00\x40\x00\x00\x00\x00"),
        ([2**32 - 1, 1], 32, b"\xff\xff\xff\xff\x01\x00\x00\x00"),
    ],
)
def test_layout(fields: list[int], width_bits: int, payload: bytes) -> None:
    assert fixed_width.pack(np.array(fields, np.uint32), width_bits) == payload
    unpacked = fixed_width.unpack(np.frombuffer(payload, np.uint8), width_bits, len(fields))
    assert (unpacked.tolist(), unpacked.dtype) == (fields, np.uint32)


@pytest.mark.parametrize("width_bits", range(1, fixed_width.MAX_WIDTH_BITS + 1))
def test_smallest_and_largest_fields_come_back_at_every_width(width_bits: int) -> None:
    largest = (1 << width_bits) - 1
    fields = [0, largest, largest // 2, 0, largest, 1, largest] * 5
    packed = fixed_width.pack(np.array(fields, np.int64), width_bits)
    as_one = sum(field << width_bits * place for place, field in enumerate(fields))
    assert packed == as_one.to_bytes(-(-len(fields) * width_bits // 8), "little")
    unpacked = fixed_width.unpack(np.frombuffer(packed, np.uint8), width_bits, len(fields))
    assert unpacked.tolist() == fields


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int64])
def test_fields_of_any_type_are_packed_alike(kind: type) -> None:
    assert fixed_width.pack(np.array([0x55, 0x2A], kind), 7) == b"\x55\x15"


def test_fields_without_width_take_no_bytes() -> None:
    assert fixed_width.pack(np.zeros(1000, np.uint8), 0) == b""
    assert fixed_width.unpack(np.zeros(0, np.uint8), 0, 1000).tolist() == [0] * 1000


def test_what_follows_the_fields_is_left_alone() -> None:
    assert fixed_width.unpack(np.array([0x39, 0xFF, 0xFF], np.uint8), 2, 4).tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("width_bits", [1, 3, 8, 13, 32])
def test_a_payload_one_byte_short_is_refused(width_bits: int) -> None:
    packed = np.frombuffer(fixed_width.pack(np.ones(9, np.uint8), width_bits), np.uint8)
    with pytest.raises(TruncatedError, match=f"9 fields of {width_bits} bits need more than {len(packed) - 1} bytes"):
        fixed_width.unpack(packed[:-1], width_bits, 9)


def test_a_number_of_fields_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(TruncatedError, match="need more than 8 bytes"):
        fixed_width.unpack(np.zeros(8, np.uint8), 32, 1 << 56)


@pytest.mark.parametrize("bit", range(5, 8))
def test_padding_that_is_not_zero_is_refused(bit: int) -> None:
    with pytest.raises(MalformedError, match="padding"):
        fixed_width.unpack(np.array([1 << bit], np.uint8), 5, 1)


@pytest.mark.parametrize("bit", range(5, 8))
def test_padding_of_the_last_byte_is_not_zero_either(bit: int) -> None:
    packed = np.frombuffer(fixed_width.pack(np.arange(7, dtype=np.uint8), 3), np.uint8)  # 21 bits
    with pytest.raises(MalformedError, match="padding"):
        fixed_width.unpack(packed | np.array([0, 0, 1 << bit], np.uint8), 3, 7)

"""Do integers take the bytes they need and no more, and are other bytes refused?"""

import pytest

from dcsim.codec import varint
from dcsim.errors import MalformedError, TruncatedError


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),  # 10 0101100
        (16_383, b"\xff\x7f"),
        (16_384, b"\x80\x80\x01"),
        (12_857, b"\xb9\x64"),  # an example of the DWARF standard, 57 + 128 and 100
        (2**32 - 1, b"\xff\xff\xff\xff\x0f"),
        (2**56 - 1, b"\xff\xff\xff\xff\xff\xff\xff\x7f"),
    ],
)
def test_bytes_of_an_integer(value: int, payload: bytes) -> None:
    assert varint.pack(value) == payload
    assert varint.unpack(payload, 0) == (value, len(payload))
    assert varint.unpack(b"\xff" + payload + b"\xff", 1) == (value, 1 + len(payload))


@pytest.mark.parametrize("n_bytes", range(1, 9))
def test_seven_bits_a_byte(n_bytes: int) -> None:
    assert len(varint.pack((1 << 7 * n_bytes) - 1)) == n_bytes
    if n_bytes < varint.MAX_BYTES:
        assert len(varint.pack(1 << 7 * n_bytes)) == n_bytes + 1


@pytest.mark.parametrize("payload", [b"\x80\x00", b"\xff\x00", b"\xff\x80\x00", b"\x80\x80\x80\x80\x80\x80\x80\x00"])
def test_a_number_written_longer_than_it_is_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedError, match="written longer than it is"):
        varint.unpack(payload, 0)


@pytest.mark.parametrize("n_more", [0, 1, 100])
def test_a_number_of_more_than_eight_bytes_is_refused(n_more: int) -> None:
    with pytest.raises(MalformedError, match="longer than eight bytes"):
        varint.unpack(b"\x80" * 8 + b"\x01" * n_more, 0)


@pytest.mark.parametrize("n_bytes", range(8))
def test_bytes_that_end_inside_a_number_are_refused(n_bytes: int) -> None:
    with pytest.raises(TruncatedError, match="end inside a number"):
        varint.unpack(b"\x80" * n_bytes, 0)
    with pytest.raises(TruncatedError, match="end inside a number"):
        varint.unpack(b"\x05" + b"\xff" * n_bytes, 1)


def test_a_number_past_the_end_is_refused() -> None:
    with pytest.raises(TruncatedError, match="end inside a number"):
        varint.unpack(b"\x05", 7)


@pytest.mark.parametrize(
    ("values", "payload"),
    [
        ([], b""),
        ([0], b"\x00"),
        ([5], b"\x0a"),
        ([63], b"\x7e"),
        ([64], b"\x80\x01"),  # 128
        ([5, 5, 5], b"\x0a\x00\x00"),
        ([5, 4, 6, 3], b"\x0a\x01\x04\x05"),  # 5, -1, 2, -3
        ([1000, 936, 1000], b"\xd0\x0f\x7f\x80\x01"),  # 2000, -64 is 127, 64 is 128
        ([2**55 - 1, 0], b"\xfe\xff\xff\xff\xff\xff\xff\x7f\xfd\xff\xff\xff\xff\xff\xff\x7f"),
    ],
)
def test_differences(values: list[int], payload: bytes) -> None:
    assert varint.pack_differences(values) == payload
    assert varint.unpack_differences(payload, 0, len(values)) == (values, len(payload))
    assert varint.unpack_differences(b"\xff" + payload + b"\xff", 1, len(values)) == (values, 1 + len(payload))


def test_differences_that_lead_below_zero_are_refused() -> None:
    assert varint.unpack_differences(b"\x0a\x09", 0, 2) == ([5, 0], 2)
    for payload in (b"\x01", b"\x0a\x0b", b"\xff\xff\xff\xff\xff\xff\xff\x7f"):
        with pytest.raises(MalformedError, match="negative"):
            varint.unpack_differences(payload + b"\x00", 0, 2)


def test_differences_that_end_early_are_refused() -> None:
    packed = varint.pack_differences([1000, 936, 1000])
    for n_bytes in range(len(packed)):
        with pytest.raises(TruncatedError, match="end inside a number"):
            varint.unpack_differences(packed[:n_bytes], 0, 3)


def test_differences_in_more_bytes_than_they_need_are_refused() -> None:
    with pytest.raises(MalformedError, match="written longer than it is"):
        varint.unpack_differences(b"\x0a\x81\x00", 0, 2)

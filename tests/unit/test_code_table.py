"""Are code-length tables the tokens that the format says, and refused when they are not?"""

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.codec import code_table
from dcsim.errors import ArtifactError, MalformedError, TruncatedError


def written(tokens: str) -> npt.NDArray[np.uint8]:
    """The bytes of tokens that are written first bit first."""
    return np.packbits(np.array([int(bit) for bit in tokens.replace(" ", "")], np.uint8), bitorder="little")


@pytest.mark.parametrize(
    ("lengths", "tokens"),
    [
        ([], ""),
        # one symbol is numbered by one bit here, as two are
        ([1], "0"),
        ([1, 1], "0 0"),
        ([0, 1], "110 0"),
        # the yardstick of 3 and 4 symbols is 2, that of 5 to 8 is 3; one longer is 100, one shorter 101
        ([1, 2, 2], "101 100 0"),
        ([2, 2, 2, 2], "0 0 0 0"),
        ([3, 3, 2, 3, 3], "0 0 101 100 0"),
        # what does not occur leaves the yardstick alone
        ([2, 0, 2, 1], "0 110 0 101"),
        # two steps and more are written out, 1 + x
        ([1, 3, 3, 2], "101 1110 0100 0 101"),
        ([4, 1, 5, 16], "1110 1100 1110 0000 1110 0010 1110 1111"),
        # up to two that do not occur are told one by one, three and more by their number: gamma of 3 is 011
        ([0], "110"),
        ([0, 0], "110 110"),
        ([0, 0, 0], "1111 01 1"),
        ([0, 0, 0, 0], "1111 001 00"),
        ([0, 0, 0, 0, 0], "1111 001 10"),
        ([3, 0, 0, 0, 0, 0, 0, 3], "0 1111 001 01 0"),
        # yardsticks of large alphabets; 253 is 1111101, and 65534 1111111111111110
        ([8, 8, *[0] * 253, 8], "0 0 1111 0000000 1 1011111 0"),
        ([9, *[0] * 253, 8, 7], "100 1111 0000000 1 1011111 101 101"),
        ([16, *[0] * 65534, 16], "0 1111 000000000000000 1 011111111111111 0"),
        ([0] * 65536, "1111 0000000000000000 1 0000000000000000"),
    ],
)
def test_tokens(lengths: list[int], tokens: str) -> None:
    packed = code_table.pack(np.array(lengths, np.uint8))
    assert packed == written(tokens).tobytes()
    unpacked, n_bytes = code_table.unpack(np.frombuffer(packed, np.uint8), len(lengths))
    assert (unpacked.tolist(), n_bytes) == (lengths, len(packed))


def test_the_bytes_of_a_table() -> None:
    assert code_table.pack(np.array([1, 2, 2], np.uint8)) == bytes([0b0001101])
    assert code_table.pack(np.array([4, 1, 5, 16], np.uint8)) == bytes([0x37, 0x07, 0x47, 0xF7])


def test_every_length_after_every_other_comes_back() -> None:
    lengths = np.array([length for first in range(17) for second in range(17) for length in (first, second)], np.uint8)
    packed = np.frombuffer(code_table.pack(lengths), np.uint8)
    unpacked, n_bytes = code_table.unpack(packed, len(lengths))
    assert (unpacked.tolist(), n_bytes) == (lengths.tolist(), len(packed))


def test_what_follows_a_table_is_left_alone() -> None:
    packed = np.frombuffer(code_table.pack(np.array([1, 2, 2], np.uint8)) + b"\xff\xff", np.uint8)
    for n_alphabet, expected in ((3, [1, 2, 2]), (0, [])):
        lengths, n_bytes = code_table.unpack(packed, n_alphabet)
        assert (lengths.tolist(), n_bytes) == (expected, min(1, n_alphabet))


@pytest.mark.parametrize("lengths", [[1], [3, 3, 2, 3, 3], [4, 1, 5, 16], [16, *[0] * 65534, 16]])
def test_a_table_cut_short_is_refused_at_every_byte(lengths: list[int]) -> None:
    packed = np.frombuffer(code_table.pack(np.array(lengths, np.uint8)), np.uint8)
    for n_bytes in range(len(packed)):
        with pytest.raises(TruncatedError, match="ends inside a code table"):
            code_table.unpack(packed[:n_bytes], len(lengths))


@pytest.mark.parametrize(
    ("n_alphabet", "tokens", "reason"),
    [
        (2, "101", "a code of 0 bits"),
        (8, "101 101 101", "a code of 0 bits"),
        (65536, "100", "a code of 17 bits"),
        (4, "1110 1111 100", "a code of 17 bits"),
        (3, "1111 001 00", "has 4 symbols, its alphabet 3"),
        (4, "0 0 1111 01 1", "has 5 symbols, its alphabet 4"),
        (4, "1111 0000000000000000 1 0000000000000000", "has 65536 symbols, its alphabet 4"),
        (65535, "1111 0000000000000000 1 0000000000000000", "has 65536 symbols, its alphabet 65535"),
        (65536, "1111 00000000000000000 1 00000000000000000", "longer than any alphabet"),
        (65536, "1111" + "0" * 400, "longer than any alphabet"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(n_alphabet: int, tokens: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        code_table.unpack(np.concatenate([written(tokens), np.zeros(8, np.uint8)]), n_alphabet)


@pytest.mark.parametrize("bit", range(1, 8))
def test_padding_that_is_not_zero_is_refused(bit: int) -> None:
    with pytest.raises(MalformedError, match="padding"):
        code_table.unpack(np.array([1 << bit], np.uint8), 1)  # of which the lowest bit is the table


@pytest.mark.parametrize("byte", [0x00, 0x55, 0xFF])
@pytest.mark.parametrize("n_alphabet", [1, 3, 1000, 65536])
def test_a_table_of_one_byte_again_and_again_ends(byte: int, n_alphabet: int) -> None:
    payload = np.full(100_000, byte, np.uint8)
    try:
        lengths, n_bytes = code_table.unpack(payload, n_alphabet)
    except ArtifactError:
        assert byte  # zeros repeat the yardstick
        return
    assert len(lengths) == n_alphabet
    assert lengths.max() <= 16
    assert n_bytes <= n_alphabet + 1

"""Code-length tables of Huffman codes as a few bits a symbol: in a file of 3 KB they are a real cost.

Neighbours in a sorted codebook, and neighbouring gaps, have codes of similar length. So a table is a list of tokens of
one or more bits each, lowest bit first, with the last length that was not 0 as the yardstick (at first the bits that
number the alphabet):

    0           the same length again
    10x         one bit longer (x = 0) or shorter (x = 1)
    110         a symbol that does not occur
    1110xxxx    length 1 + x
    1111 gamma  n symbols that do not occur, n in Elias's gamma code: one 0 for every bit after the first, a 1, and
                those bits (Elias, IEEE Trans. Inf. Theory 21(2), 1975)
"""

import numpy as np
import numpy.typing as npt

from dcsim.errors import MalformedError, TruncatedError
from dcsim.units import BITS_PER_BYTE, bits_to_bytes

Lengths = npt.NDArray[np.uint8]


def pack(lengths: Lengths) -> bytes:
    """The table of an alphabet of `len(lengths)` symbols, code lengths 0 to 16, padded with zero bits to a byte."""
    tokens: list[str] = []
    previous = _first_yardstick(len(lengths))
    n_unused = 0
    for length in [*lengths.tolist(), None]:
        if length == 0:
            n_unused += 1
            continue
        if n_unused:
            run = "1111" + _gamma(n_unused)
            tokens.append(run if len(run) < 3 * n_unused else "110" * n_unused)
            n_unused = 0
        if length is not None:
            tokens.append(_TOKEN_OF_STEP.get(length - previous) or "1110" + _bits(length - 1, 4))
            previous = length
    bits = "".join(tokens)
    return int(bits[::-1] or "0", 2).to_bytes(bits_to_bytes(len(bits)), "little")


def unpack(payload: npt.NDArray[np.uint8], n_alphabet: int) -> tuple[Lengths, int]:
    """The table at the start of `payload`, and the bytes it takes.

    Raises:
        TruncatedError: the payload ends inside the table.
        MalformedError: the table goes on after its last symbol, or its padding is not zero.
    """
    bits = _BitReader(payload[: n_alphabet + 1])  # no token takes more than eight bits a symbol
    lengths = np.zeros(n_alphabet, np.uint8)
    previous, symbol = _first_yardstick(n_alphabet), 0
    while symbol < n_alphabet:
        n_ones = bits.ones_up_to(4)
        if n_ones == 2:
            symbol += 1
            continue
        if n_ones == 4:
            symbol += bits.gamma()
            continue
        if n_ones == 1:
            previous += -1 if bits.take(1) else 1
        elif n_ones == 3:
            previous = 1 + bits.take(4)
        if not 1 <= previous <= 16:
            raise MalformedError(f"a code table has a code of {previous} bits")
        lengths[symbol] = previous
        symbol += 1
    if symbol > n_alphabet:
        raise MalformedError(f"a code table has {symbol} symbols, its alphabet {n_alphabet}")
    return lengths, bits.end_of_byte()


_TOKEN_OF_STEP = {0: "0", 1: "100", -1: "101"}


def _first_yardstick(n_alphabet: int) -> int:
    return min(16, max(1, (n_alphabet - 1).bit_length()))


def _bits(value: int, n_bits: int) -> str:
    return f"{value:0{n_bits}b}"[::-1] if n_bits else ""


def _gamma(value: int) -> str:
    n_rest = value.bit_length() - 1
    return "0" * n_rest + "1" + _bits(value - (1 << n_rest), n_rest)


class _BitReader:
    """A cursor over bits, lowest first, that never reads past the end."""

    def __init__(self, payload: npt.NDArray[np.uint8]) -> None:
        self._bits = np.unpackbits(payload, bitorder="little").tolist()
        self._at = 0

    def take(self, n_bits: int) -> int:
        taken = self._bits[self._at : self._at + n_bits]
        if len(taken) < n_bits:
            raise TruncatedError("the payload ends inside a code table")
        self._at += n_bits
        return sum(bit << place for place, bit in enumerate(taken))

    def ones_up_to(self, limit: int) -> int:
        n_ones = 0
        while n_ones < limit and self.take(1):
            n_ones += 1
        return n_ones

    def gamma(self) -> int:
        n_rest = 0
        while not self.take(1):
            n_rest += 1
            if n_rest > BITS_PER_BYTE * 2:
                raise MalformedError("a run in a code table is longer than any alphabet")
        return (1 << n_rest) + self.take(n_rest)

    def end_of_byte(self) -> int:
        n_bytes = bits_to_bytes(self._at)
        if any(self._bits[self._at : n_bytes * BITS_PER_BYTE]):
            raise MalformedError("padding bits after a code table are not zero")
        return n_bytes

"""The reader of address traces, compiled by numba. Imported only where a trace is read."""

import numpy as np
from numba import njit

BLANK, TAB, RETURN, NEWLINE = 32, 9, 13, 10
DIGIT_0, LETTER_A, LETTER_X = 48, 97, 120
LOWER_CASE = 32  # the bit that makes letters small
READ = np.frombuffer(b"read", np.uint8)
WRITE = np.frombuffer(b"write", np.uint8)
ADDRESS_BITS = 64
FAULTS = ("", "address", "operation", "cycle", "more")


@njit(cache=True)
def _is_blank(character):
    return character in (BLANK, TAB, RETURN)


@njit(cache=True)
def _skip_blanks(text, at):
    while at < len(text) and _is_blank(text[at]):
        at += 1
    return at


@njit(cache=True)
def _word_end(text, at):
    while at < len(text) and text[at] != NEWLINE and not _is_blank(text[at]):
        at += 1
    return at


@njit(cache=True)
def _is_word(text, at, end, word):
    """Whether a word of the text is `word`, in large letters or in small ones."""
    if end - at != len(word):
        return False
    case = text[at] & LOWER_CASE ^ LOWER_CASE
    n_same = 0
    for i in range(len(word)):
        n_same += text[at + i] == word[i] ^ case
    return n_same == len(word)


@njit(cache=True)
def parse(text, most_cycles, addresses, writes, cycles):
    """Fill the arrays from lines `0xADDRESS READ|WRITE CYCLE`; lines without a word are passed over.

    Returns:
        Requests found, then the number of the first line that is wrong and the place in FAULTS of what is wrong in it,
        or 0 and 0.
    """
    n = at = 0
    line = 1
    while at < len(text):
        at = _skip_blanks(text, at)
        if at == len(text):
            break
        if text[at] == NEWLINE:
            at += 1
            line += 1
            continue
        end = _word_end(text, at)
        if end - at < 3 or text[at] != DIGIT_0 or text[at + 1] | LOWER_CASE != LETTER_X:
            return n, line, 1
        address = np.uint64(0)
        for i in range(at + 2, end):
            digit = np.int64(text[i]) - DIGIT_0
            if digit < 0 or digit > 9:
                digit = np.int64(text[i] | LOWER_CASE) - LETTER_A + 10
                if digit < 10 or digit > 15:
                    return n, line, 1
            if address >> np.uint64(ADDRESS_BITS - 4):
                return n, line, 1
            address = address << np.uint64(4) | np.uint64(digit)
        at = _skip_blanks(text, end)
        end = _word_end(text, at)
        is_write = _is_word(text, at, end, WRITE)
        if not is_write and not _is_word(text, at, end, READ):
            return n, line, 2
        at = _skip_blanks(text, end)
        end = _word_end(text, at)
        if at == end:
            return n, line, 3
        cycle = 0
        for i in range(at, end):
            digit = np.int64(text[i]) - DIGIT_0
            cycle = 10 * cycle + digit
            if digit < 0 or digit > 9 or cycle > most_cycles:
                return n, line, 3
        at = _skip_blanks(text, end)
        if at < len(text) and text[at] != NEWLINE:
            return n, line, 4
        addresses[n], writes[n], cycles[n] = address, is_write, cycle
        n += 1
    return n, 0, 0

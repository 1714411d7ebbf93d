"""Are conversions exact, and rounded once?"""

import pytest

from dcsim import units


@pytest.mark.parametrize(
    ("n_cycles", "clock_hz", "expected_ps"),
    [
        (0, 350_000_000, 0),
        (1, 350_000_000, 2857),  # 2857.14...
        (7, 350_000_000, 20_000),  # 7 times a rounded cycle would be 19,999
        (350_000_000, 350_000_000, units.PS_PER_S),
        (3, 1_600_000_000, 1875),
        (10**15, 800_000_000, 1_250_000_000_000_000_000),  # past the 53 bits of a float
        (10**15 + 1, 1_000_000_000_000, 10**15 + 1),
    ],
)
def test_cycles_are_rounded_once_for_the_whole_span(n_cycles: int, clock_hz: int, expected_ps: int) -> None:
    assert units.cycles_to_ps(n_cycles, clock_hz) == expected_ps


@pytest.mark.parametrize(
    ("numerator", "denominator", "nearest", "ceiling"),
    [
        (0, 5, 0, 0),
        (4, 2, 2, 2),
        (7, 3, 2, 3),
        (8, 3, 3, 3),
        (1, 2, 1, 1),  # halves go up
        (3, 2, 2, 2),
        (-1, 2, 0, 0),
        (-7, 3, -2, -2),
        (10**30 + 1, 10**15, 10**15, 10**15 + 1),
    ],
)
def test_integer_divisions(numerator: int, denominator: int, nearest: int, ceiling: int) -> None:
    assert units.round_div(numerator, denominator) == nearest
    assert units.ceil_div(numerator, denominator) == ceiling


def test_shares_differ_by_one_at_most_and_sum_exactly() -> None:
    assert units.shares(10, 4) == [2, 3, 2, 3]
    assert units.shares(2, 4) == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("converted", "expected"),
    [
        (units.s_to_ps(1e-12), 1),
        (units.s_to_ps(0.05), 50_000_000_000),
        (units.ps_to_s(2_500_000_000_000), 2.5),
        (units.ns_to_ps(1.25), 1250),
        (units.ns_to_ps(0.0004), 0),
        (units.watts_from_pj(10**12, 2), 0.5),  # one joule in two seconds
        (units.bits_to_bytes(0), 0),
        (units.bits_to_bytes(1), 1),
        (units.bits_to_bytes(8), 1),
        (units.bits_to_bytes(9), 2),
        (units.bytes_to_bits(3), 24),
        (units.kib_to_bytes(2), 2048),
        (units.mib_to_bytes(2), 2_097_152),
        (units.mw_to_watts(1500), 1.5),
        (units.ma_to_watts(500, 1.5), 0.75),
    ],
)
def test_conversion(converted: float, expected: float) -> None:
    assert converted == expected
    assert type(converted) is type(expected)

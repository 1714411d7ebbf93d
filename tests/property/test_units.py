"""Do the integer divisions keep every picosecond and every byte?"""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim import units

laws = settings(max_examples=150, deadline=None)
whole = st.integers(-(10**24), 10**24)
positive = st.integers(1, 10**18)


@laws
@given(whole, positive)
def test_round_div_is_within_half_of_the_quotient(numerator: int, denominator: int) -> None:
    assert abs(units.round_div(numerator, denominator) - Fraction(numerator, denominator)) <= Fraction(1, 2)


@laws
@given(whole, positive)
def test_ceil_div_is_the_least_integer_not_below_the_quotient(numerator: int, denominator: int) -> None:
    ceiling = units.ceil_div(numerator, denominator)
    assert (ceiling - 1) * denominator < numerator <= ceiling * denominator


@laws
@given(st.integers(0, 10**24), st.integers(1, 300))
def test_shares_are_near_equal_and_sum_to_the_total(total: int, n_parts: int) -> None:
    parts = units.shares(total, n_parts)
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


@laws
@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 5 * 10**9))
def test_spans_of_cycles_add_up_to_within_a_picosecond(first: int, second: int, clock_hz: int) -> None:
    together = units.cycles_to_ps(first + second, clock_hz)
    assert abs(units.cycles_to_ps(first, clock_hz) + units.cycles_to_ps(second, clock_hz) - together) <= 1

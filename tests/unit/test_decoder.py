"""How long does the decoder take, and is it symbols, bits or the number of lanes that decides?"""

import pytest

from dcsim.soc import decoder
from tests.builders import STREAM_DECODER, chip

IDEAL = chip().decoder


def stream(**changes: float) -> decoder.Decoder:
    return chip({"decoder": STREAM_DECODER | changes}).decoder


def work(*streams: tuple[int, int]) -> decoder.DecodeWork:
    return decoder.DecodeWork(streams, n_entropy_symbols=0, n_lookups=0, n_gaps=0)


@pytest.mark.parametrize(
    ("lanes", "expected_cycles"),
    [(1, 1600), (2, 1000)],  # 1000 codes and 600 gaps at a symbol a cycle: one after the other, or side by side
)
def test_a_lane_takes_one_stream_at_a_time(lanes: int, expected_cycles: int) -> None:
    assert decoder.decode_cycles(stream(lanes=lanes), work((1000, 3000), (600, 2400))) == expected_cycles


@pytest.mark.parametrize(
    ("n_bits", "expected_cycles"),
    [
        (3000, 100),  # 100 symbols of 30 bits, 32 bits a cycle: symbols decide
        (3200, 100),
        (3201, 101),  # one bit more than 100 cycles can take in
        (6400, 200),  # 64-bit symbols take two cycles each
    ],
)
def test_the_slower_of_symbols_and_bits_decides(n_bits: int, expected_cycles: int) -> None:
    assert decoder.decode_cycles(stream(), work((100, n_bits))) == expected_cycles


def test_each_stream_has_its_own_bound() -> None:
    # at 8 bits a cycle: codes 10 symbols of 80 bits -> 10, gaps 4 symbols of 160 bits -> 20 cycles
    two_streams = work((10, 80), (4, 160))
    assert decoder.decode_cycles(stream(lanes=1, bits_per_cycle=8.0), two_streams) == 30
    assert decoder.decode_cycles(stream(lanes=2, bits_per_cycle=8.0), two_streams) == 20


def test_half_a_symbol_a_cycle_rounds_up_once_per_stream() -> None:
    assert decoder.decode_cycles(stream(symbols_per_cycle=0.4), work((3, 3))) == 8  # 3 / 0.4 = 7.5


def test_nothing_to_decode_takes_no_time() -> None:
    assert decoder.decode_cycles(stream(), work()) == 0


def test_the_ideal_decoder_takes_neither_time_nor_energy() -> None:
    assert decoder.decode_cycles(IDEAL, work((10**6, 10**8))) == 0
    assert set(decoder.event_energies_pj(IDEAL).values()) == {0.0}


def test_energies_are_those_of_the_description() -> None:
    assert decoder.event_energies_pj(stream()) == {"entropy_symbol": 2.5, "lookup": 0.35, "gap": 0.1}

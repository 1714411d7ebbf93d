"""The decoder between stored weights and the array: time from the actual code lengths, energy by event."""

import math
from dataclasses import dataclass

from dcsim.soc.spec import IdealDecoder, StreamDecoder
from dcsim.units import ceil_div

Decoder = IdealDecoder | StreamDecoder


@dataclass(frozen=True)
class DecodeWork:
    """What a layer, or a tile of it, asks of the decoder.

    Attributes:
        streams: (n_symbols, n_bits) of every stream read symbol by symbol.
        n_entropy_symbols: symbols that go through a Huffman decoder.
        n_lookups: codes turned into values by a codebook.
        n_gaps: gaps turned into positions.
    """

    streams: tuple[tuple[int, int], ...]
    n_entropy_symbols: int
    n_lookups: int
    n_gaps: int


def decode_cycles(decoder: Decoder, work: DecodeWork) -> int:
    """Cycles until all streams are decoded: in each, the slower of symbols and bits decides.

    Streams that have a lane or more each are decoded side by side. Several lanes share a stream by its runs of 8,192
    symbols, which can be found without decoding what is before them.
    """
    if isinstance(decoder, IdealDecoder) or not work.streams:
        return 0
    per_stream = [
        max(math.ceil(n_symbols / decoder.symbols_per_cycle), math.ceil(n_bits / decoder.bits_per_cycle))
        for n_symbols, n_bits in work.streams
    ]
    lanes_each = decoder.lanes // len(per_stream)
    return ceil_div(max(per_stream), lanes_each) if lanes_each else ceil_div(sum(per_stream), decoder.lanes)


def event_energies_pj(decoder: Decoder) -> dict[str, float]:
    """Energy of each event [pJ]."""
    if isinstance(decoder, IdealDecoder):
        return {"entropy_symbol": 0.0, "lookup": 0.0, "gap": 0.0}
    return {"entropy_symbol": decoder.pj_per_symbol, "lookup": decoder.pj_per_lookup, "gap": decoder.pj_per_gap}

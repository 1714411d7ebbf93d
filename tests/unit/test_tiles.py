"""Do the tiles of a layer add up to the layer, also where nothing divides evenly?"""

from collections.abc import Callable

import pytest

from dcsim.artifact import Block
from dcsim.simulation.placement import LayerPlan, place
from dcsim.simulation.tiles import MAX_STEPS, TileCosts, n_steps_of, tile_costs
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Layer
from tests.builders import PLAIN, STREAM_DECODER, chip, coded, linear, network, shipped_chip

#: primes throughout: 53 x 37 weights of 4 bytes are 7844 bytes in 8 tiles
ODD = linear("odd", k=37, n=53, m=7)
ODD_CODED = linear("odd", k=37, n=53, m=7, encoding="huffman", blocks=coded(1009, 5, 3))
#: beside 4 KiB of buffers there is room for the activations, not for the weights
STREAMING = {"sram.capacity_kib": 7, "decoder": STREAM_DECODER}


def tiles(layer: Layer, soc: SocSpec) -> tuple[LayerPlan, list[TileCosts]]:
    (plan,) = place(network(layer), soc).layers
    return plan, tile_costs(plan, soc, n_steps_of(plan))


def total(costs: list[TileCosts], of: Callable[[TileCosts], int]) -> int:
    return sum(of(cost) for cost in costs)


def test_a_streamed_dense_layer_adds_up() -> None:
    _, costs = tiles(ODD, chip(STREAMING))
    assert len(costs) == 8
    assert total(costs, lambda c: c.fetch.n_bytes) == 7844
    assert total(costs, lambda c: c.fetch.n_bursts) == 1961  # accesses of 4 bytes
    assert total(costs, lambda c: c.fetch.n_sram_accesses) == 1961
    assert total(costs, lambda c: c.load.n_bytes) == 0
    assert total(costs, lambda c: c.compute.n_cycles) == 13_727  # 7 x 53 x 37 on one lane
    assert total(costs, lambda c: c.compute.events["mac"]) == 13_727
    assert total(costs, lambda c: c.compute.n_sram_reads) == 27_454  # a weight and an activation per MAC
    assert total(costs, lambda c: c.write.n_sram_writes) == 371  # 7 x 53 outputs
    assert total(costs, lambda c: c.write.dram.n_bytes) == 0


def test_a_coded_layer_adds_up() -> None:
    _, costs = tiles(ODD_CODED, chip(STREAMING | {"sram.capacity_kib": 6}))
    assert len(costs) == 8  # as many as expanded
    assert total(costs, lambda c: c.decode.events["entropy_symbol"]) == 2018  # 1009 codes and 1009 gaps
    assert total(costs, lambda c: c.decode.events["lookup"]) == 1009
    assert total(costs, lambda c: c.decode.events["gap"]) == 1009
    # stored: ceil(5045 / 8) + ceil(3027 / 8) = 631 + 379 = 1010 bytes, read 4 at a time
    assert total(costs, lambda c: c.decode.n_sram_reads) == 253
    assert total(costs, lambda c: c.decode.n_sram_writes) == 1961  # every weight expanded to 4 bytes


def test_a_resident_layer_is_loaded_and_not_fetched() -> None:
    _, costs = tiles(ODD, chip({"sram.capacity_kib": 16}))
    assert total(costs, lambda c: c.load.n_bytes) == 7844
    assert total(costs, lambda c: c.fetch.n_bytes) == 0


def test_spilled_activations_are_fetched_once_per_pass_and_written() -> None:
    # input 64 x 37 x 4 = 9472, output 64 x 53 x 4 = 13568 bytes, 2 KiB beside the buffers: four passes of the weights
    plan, costs = tiles(linear("odd", k=37, n=53, m=64), chip())
    assert plan.n_input_passes == 4
    assert total(costs, lambda c: c.fetch.n_bytes) == 7844 + 4 * 9472
    assert total(costs, lambda c: c.write.dram.n_bytes) == 13_568


def test_each_region_starts_with_a_burst_and_a_row_of_its_own() -> None:
    # 1025 weights and 1025 inputs are 4100 bytes each: 129 bursts of 32 and 2 rows of 4096. Beside the buffers and the
    # output 2044 bytes are left, so weights pass in three chunks and the input is read three times.
    soc = shipped_chip("mobile45", {"sram": PLAIN["sram"], "tiles": PLAIN["tiles"]})
    plan, costs = tiles(linear("a", k=1025, n=1), soc)
    assert plan.n_input_passes == 3
    assert total(costs, lambda c: c.fetch.n_bursts) == 4 * 129
    assert total(costs, lambda c: c.fetch.n_rows) == 4 * 2


def test_biases_are_read_beside_the_weights() -> None:
    with_bias = linear("a", 4, 4, blocks=(Block("values", 0, 16, 512), Block("a.bias", 0, 4, 128)))
    _, (plain,) = tiles(linear("a", 4, 4), chip())
    _, (biased,) = tiles(with_bias, chip())
    assert biased.compute.n_sram_reads - plain.compute.n_sram_reads == 4


def test_register_accesses_follow_the_macs() -> None:
    _, costs = tiles(ODD, chip(STREAMING | {"array.register_accesses_per_mac": 2}))
    assert total(costs, lambda c: c.compute.events["register"]) == 2 * 13_727


UNEVEN = linear(
    "uneven",
    k=32,
    n=32,
    encoding="huffman",
    blocks=(Block("codes", 0, 100, 800), Block("codes", 1, 100, 100), Block("gaps", 0, 200, 200)),
)


def test_decoding_follows_the_bits_of_each_block() -> None:
    # four tiles of 50 codes: 8 bits each in the first block, 1 bit each in the second; at one bit a cycle bits decide
    soc = chip({"sram.capacity_kib": 5, "decoder": STREAM_DECODER | {"bits_per_cycle": 1.0}})
    _, costs = tiles(UNEVEN, soc)
    assert [cost.decode.n_cycles for cost in costs] == [400, 400, 50, 50]


def test_a_tile_across_two_blocks_takes_its_part_of_each() -> None:
    # 32 x 24 x 4 bytes are 3 tiles of 66, 67 and 67 symbols; the second has 34 of 8 bits and 33 of 1 bit
    soc = chip({"sram.capacity_kib": 5, "decoder": STREAM_DECODER | {"bits_per_cycle": 1.0}})
    three_tiles = linear("uneven", k=32, n=24, encoding="huffman", blocks=UNEVEN.blocks)
    _, costs = tiles(three_tiles, soc)
    assert [cost.decode.n_cycles for cost in costs] == [66 * 8, 34 * 8 + 33, 67]


def test_an_array_that_skips_zeros_decodes_once_per_fold_of_pixels() -> None:
    soc = chip(STREAMING | {"array.skip_zeros": "weights", "array.lanes_pixel": 2})
    _, (once,) = tiles(linear("a", 8, 8, m=2, encoding="huffman", blocks=coded(40, 4, 4)), soc)
    _, (thrice,) = tiles(linear("a", 8, 8, m=5, encoding="huffman", blocks=coded(40, 4, 4)), soc)
    assert (once.decode.n_cycles, thrice.decode.n_cycles) == (40, 120)
    assert (once.decode.n_sram_reads, thrice.decode.n_sram_reads) == (10, 30)  # 40 stored bytes
    assert (once.decode.n_sram_writes, thrice.decode.n_sram_writes) == (0, 0)
    assert thrice.decode.events == {"entropy_symbol": 240, "lookup": 120, "gap": 120}


def test_very_many_tiles_are_replayed_in_a_bounded_number_of_steps() -> None:
    plan, costs = tiles(linear("large", k=512, n=512), chip({"sram.capacity_kib": 8, "dram.capacity_mib": 2}))
    assert plan.n_tiles == 1024
    assert len(costs) == MAX_STEPS == 128
    assert total(costs, lambda c: c.fetch.n_bytes) == 512 * 512 * 4


@pytest.mark.parametrize(
    "of",
    [lambda c: c.fetch.n_bytes, lambda c: c.compute.n_cycles, lambda c: c.compute.n_sram_reads],
    ids=["bytes", "cycles", "reads"],
)
def test_tiles_differ_by_one_at_most(of: Callable[[TileCosts], int]) -> None:
    counts = [of(cost) for cost in tiles(ODD, chip(STREAMING))[1]]
    assert max(counts) - min(counts) <= 1

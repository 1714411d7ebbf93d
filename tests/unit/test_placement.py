"""What stays on chip? Worked out by hand on the plain chip: 4 KiB of SRAM, of which two 1 KiB buffers take half."""

from dataclasses import replace

import pytest

from dcsim.errors import SimulationError
from dcsim.simulation.placement import Placement, place
from dcsim.traces.trace import INPUT, Trace
from tests.builders import chip, coded, elementwise, linear, network

#: weights of 1 KiB, activations of 1 KiB between all layers
TWO = network(linear("a", 16, 16, m=16), linear("b", 16, 16, m=16, producers=(0,)))


def with_sram(capacity_kib: int, **changes: object) -> Placement:
    return place(TWO, chip({"sram.capacity_kib": capacity_kib, **changes}))


def residents(placement: Placement) -> list[str]:
    return [plan.layer.name for plan in placement.layers if plan.weights_resident]


@pytest.mark.parametrize(
    ("capacity_kib", "activations", "resident", "dram_bytes", "peak_bytes"),
    [
        # Saved per byte and layer held: the input (1 move in 1 layer), a's output (2 in 2) and b's (1 in 1) save 1,
        # weights (1 move in 2 layers) save 1/2. Beside 2 KiB of buffers:
        (2, [], [], 6144, 2048),  # weights 2 x 1 KiB, reads 2 x 1 KiB, writes 2 x 1 KiB
        (3, [INPUT, 1], [], 4096, 3072),  # in 1 KiB the input and b's output take turns; a's output moves twice
        (4, [INPUT, 0, 1], [], 2048, 4096),  # two activations at a time
        (5, [INPUT, 0, 1], ["a"], 1024, 5120),  # one layer's weights as well: a tie, so the first
        (6, [INPUT, 0, 1], ["a", "b"], 0, 6144),
        (7, [INPUT, 0, 1], ["a", "b"], 0, 6144),
    ],
)
def test_more_sram_holds_activations_first_then_weights_in_order(
    capacity_kib: int, activations: list[int], resident: list[str], dram_bytes: int, peak_bytes: int
) -> None:
    placement = with_sram(capacity_kib)
    assert sorted(placement.activations_in_sram) == activations
    assert residents(placement) == resident
    assert placement.dram_bytes_per_frame == dram_bytes
    assert placement.peak_bytes == peak_bytes


def test_the_plan_is_the_same_every_time() -> None:
    assert with_sram(4) == with_sram(4)


def test_a_resident_layer_reads_no_weights_from_dram() -> None:
    a, b = with_sram(5).layers
    assert (a.weights_resident, a.weight_dram_bytes, a.dram_read_bytes) == (True, 0, 0)
    assert (b.weights_resident, b.weight_dram_bytes, b.dram_read_bytes) == (False, 1024, 1024)
    assert with_sram(5).resident_bytes == 1024


def test_a_large_layer_that_does_not_fit_leaves_room_for_a_small_one_behind_it() -> None:
    trace = network(linear("large", 32, 32), linear("small", 32, 8, producers=(0,)))
    placement = place(trace, chip())  # beside the buffers 2 KiB: 4096 bytes do not fit, 1024 do
    assert residents(placement) == ["small"]


def test_what_is_held_long_for_few_reads_gives_way() -> None:
    # The input is read by a and again by the addition and written by nobody here: 2 moves over 3 layers. Every output
    # saves 2 moves over 2 layers, or 1 over 1, and two of them at a time fill what the buffers leave.
    trace = network(
        linear("a", 16, 16, m=16),
        linear("b", 16, 16, m=16, producers=(0,)),
        elementwise("add", 512, 256, producers=(1, INPUT)),
    )
    assert place(trace, chip()).activations_in_sram == {0, 1, 2}


def test_ties_go_to_the_earlier_layer() -> None:
    # b's output (3 moves over 3 layers), c's (2 over 2) and the addition's (1 over 1) meet at the last layer
    trace = network(
        linear("a", 16, 16, m=16),
        linear("b", 16, 16, m=16, producers=(0,)),
        linear("c", 16, 16, m=16, producers=(1,)),
        elementwise("add", 512, 256, producers=(1, 2)),
    )
    assert place(trace, chip()).activations_in_sram == {INPUT, 0, 1, 2}


def test_a_spilled_input_is_read_once_when_the_weights_fit_beside_it() -> None:
    # input and output of 4 KiB each do not fit, weights of 1 KiB do and stay
    (plan,) = place(network(linear("a", 16, 16, m=64)), chip()).layers
    assert (plan.n_input_passes, plan.n_input_bytes_spilled, plan.output_spilled) == (1, 4096, True)
    assert (plan.dram_read_bytes, plan.dram_write_bytes) == (4096, 4096)


def test_a_spilled_input_is_read_once_per_pass_of_the_weights() -> None:
    # weights of 4 KiB pass through the 2 KiB left free in two chunks, and the input of 4 KiB with each of them
    (plan,) = place(network(linear("a", 32, 32, m=32)), chip()).layers
    assert plan.n_input_passes == 2
    assert plan.dram_read_bytes == 4096 + 2 * 4096
    assert plan.dram_write_bytes == 4096


def test_an_input_that_several_layers_read_is_read_by_each_when_it_is_spilled() -> None:
    trace = network(linear("a", 32, 1, m=32), linear("b", 32, 1, m=32), elementwise("c", 64, 32, producers=(0, 1)))
    placement = place(trace, chip())
    assert INPUT not in placement.activations_in_sram
    assert [plan.n_input_bytes_spilled for plan in placement.layers] == [4096, 4096, 0]


def test_the_networks_input_costs_no_write() -> None:
    placement = with_sram(2)
    assert sum(plan.dram_write_bytes for plan in placement.layers) == 2048  # the outputs of a and b, not the input


def test_narrow_activations_take_less_room() -> None:
    # 256 bytes each instead of 1024: beside two of them, 1.5 KiB are left for weights, which is one layer's
    assert residents(with_sram(4, activation_bits=32)) == []
    assert residents(with_sram(4, activation_bits=8)) == ["a"]


def test_compressed_layers_need_buffers_for_stored_and_expanded_tiles() -> None:
    packed = network(linear("a", 16, 16, encoding="shared", blocks=coded(100, 4, 4)))
    assert place(packed, chip()).buffer_bytes == 4096  # 2 x 1 KiB stored + 2 x 1 KiB expanded
    assert place(TWO, chip()).buffer_bytes == 2048


def test_a_resident_compressed_layer_occupies_its_stored_bytes_and_is_expanded_at_each_use() -> None:
    packed = network(linear("a", 32, 32, encoding="huffman", blocks=coded(100, 4, 4)))
    placement = place(packed, chip({"sram.capacity_kib": 5}))
    (plan,) = placement.layers
    assert (placement.resident_bytes, plan.decodes, plan.expanded_bits) == (100, True, 32 * 32 * 32)
    assert placement.dram_bytes_per_frame == 0


@pytest.mark.parametrize(
    ("encoding", "n_entropy_symbols"), [("huffman", 200), ("shared", 0)], ids=["coded", "fixed width"]
)
def test_only_huffman_streams_pass_the_entropy_decoder(encoding: str, n_entropy_symbols: int) -> None:
    packed = network(linear("a", 32, 32, encoding=encoding, blocks=coded(100, 4, 4)))
    (plan,) = place(packed, chip({"sram.capacity_kib": 5})).layers
    assert plan.decode.n_entropy_symbols == n_entropy_symbols
    assert (plan.decode.n_lookups, plan.decode.n_gaps) == (100, 100)


def test_dense_layers_are_cut_into_tiles_of_the_buffers_size() -> None:
    # 32 x 32 fp32 weights are 4096 bytes; one more row is 4224
    assert [place(network(linear("a", 32, n)), chip()).layers[0].n_tiles for n in (8, 32, 33)] == [1, 4, 5]


def test_buffers_larger_than_the_sram_are_refused_with_what_to_change() -> None:
    with pytest.raises(SimulationError, match=r"buffers take 6144 bytes, the SRAM has 4096; lower tiles\.tile_kib"):
        place(TWO, chip({"tiles.tile_kib": 3}))


@pytest.mark.parametrize(
    ("trace", "needed"),
    [
        (network(linear("a", 512, 512), file_bytes=1_048_577), "1,048,577"),
        # half a MiB of file, and 13 x 1024 rows of 8 inputs and 2 outputs of 4 bytes that do not fit on chip
        (network(linear("a", 8, 2, m=13 * 1024), file_bytes=524_288), "1,056,768"),
    ],
    ids=["file", "file and spilled activations"],
)
def test_a_network_larger_than_the_dram_is_refused(trace: Trace, needed: str) -> None:
    with pytest.raises(SimulationError, match=f"needs {needed} bytes, the DRAM of plain has 1,048,576"):
        place(trace, chip({"sram.capacity_kib": 8}))


def test_room_in_dram_is_used_again_when_an_activation_has_been_read() -> None:
    # five outputs of 106,496 bytes that do not fit on chip, of which two are there at a time
    layers = [linear(str(place), 2, 2, m=13 * 1024, producers=(place - 1,)) for place in range(5)]
    assert place(network(*layers, file_bytes=1_048_576 - 2 * 106_496), chip({"sram.capacity_kib": 8}))
    with pytest.raises(SimulationError, match="needs 1,048,577 bytes"):
        place(network(*layers, file_bytes=1_048_577 - 2 * 106_496), chip({"sram.capacity_kib": 8}))


def test_what_is_kept_between_frames_needs_room_in_dram() -> None:
    cached = replace(linear("a", 2, 2), n_state_inputs=1000, n_state_outputs=24)
    with pytest.raises(SimulationError, match="needs 1,048,577 bytes"):
        place(network(cached, file_bytes=1_048_577 - 4096), chip())


def test_a_network_as_large_as_the_dram_is_placed() -> None:
    placement = place(network(linear("a", 512, 512)), chip({"sram.capacity_kib": 8}))
    assert placement.dram_bytes_per_frame == 1_048_576


SKIPPING = {"sram.capacity_kib": 5, "array.skip_zeros": "weights"}


def test_an_array_that_skips_zeros_takes_compressed_weights_as_they_are_stored() -> None:
    packed = network(linear("a", 32, 32, m=3, encoding="pruned", blocks=coded(100, 32, 4)))
    (plan,) = place(packed, chip(SKIPPING)).layers
    assert (plan.expanded_bits, plan.work.weight_read_bits) == (0, 0)
    assert plan.n_decode_passes == 3  # once per output pixel, as there is one pixel lane
    assert plan.n_tiles == 1  # 450 stored bytes; expanded they would be 4096


def test_an_array_that_skips_zeros_reads_dense_weights_like_any_other() -> None:
    dense = network(linear("a", 32, 32))
    assert place(dense, chip(SKIPPING)).layers[0].work == place(dense, chip({"sram.capacity_kib": 5})).layers[0].work


# --- weights that are read more or less than once a frame -----------------------------------------------------------


def recurrent(n_steps: int, n_alu_ops: int = 0) -> Trace:
    """Weights of 1 KiB that each of some steps needs, one row at a time."""
    layer = linear("h", 16, 16, m=n_steps)
    return network(replace(layer, m=1, n_steps=n_steps, n_alu_ops=n_alu_ops))


def test_a_recurrent_layer_reads_its_weights_at_every_step_unless_they_stay() -> None:
    streamed = place(recurrent(5), chip({"sram.capacity_kib": 3})).layers[0]
    assert (streamed.weights_resident, streamed.dram_read_bytes) == (False, 5 * 1024)
    resident = place(recurrent(5), chip({"sram.capacity_kib": 4})).layers[0]
    assert (resident.weights_resident, resident.dram_read_bytes) == (True, 0)


def test_operations_of_a_recurrent_layer_are_those_of_all_steps() -> None:
    work = place(recurrent(5, n_alu_ops=40), chip()).layers[0].work
    assert (work.n_macs, work.n_alu_ops, work.n_cycles) == (5 * 256, 40, 5 * 256 + 40)
    assert work.weight_read_bits == 5 * 256 * 32


def test_weights_read_at_every_step_go_before_those_read_once() -> None:
    once = linear("once", 16, 16, producers=(0,))
    trace = network(recurrent(3).layers[0], once)
    assert residents(place(trace, chip({"sram.capacity_kib": 4}))) == ["h"]
    assert residents(place(network(once, replace(recurrent(3).layers[0], producers=(0,))), chip())) == ["h"]


def test_tied_weights_are_held_once_and_both_layers_have_them() -> None:
    first = linear("first", 16, 16)
    second = replace(linear("second", 16, 16, producers=(0,)), stored_bytes=0, weights_of=0)
    trace = network(first, second)
    placement = place(trace, chip({"sram.capacity_kib": 4}))
    assert (residents(placement), placement.resident_bytes) == (["first", "second"], 1024)
    assert place(trace, chip({"sram.capacity_kib": 3})).dram_bytes_per_frame >= 2 * 1024  # moved for each


def test_a_table_of_which_some_rows_are_read_comes_last() -> None:
    rows = replace(linear("rows", 16, 16), n_macs_dense=0, n_groups=0, m=0, n=0, k=0, read_bytes=64)
    trace = network(rows, linear("fc", 16, 16, producers=(0,)))
    placement = place(trace, chip({"sram.capacity_kib": 4}))
    assert residents(placement) == ["fc"]
    assert placement.layers[0].dram_read_bytes == 64


def test_what_is_kept_from_frame_to_frame_lies_in_dram() -> None:
    keeps = replace(elementwise("keep", 16, 0, (INPUT,)), n_state_outputs=16)
    reads = replace(elementwise("read", 64, 16, (0,)), n_state_inputs=48)
    plans = place(network(keeps, reads), chip()).layers
    assert [plan.dram_write_bytes for plan in plans] == [64, 0]
    assert [plan.dram_read_bytes for plan in plans] == [0, 192]


def test_a_slice_of_a_spilled_activation_is_read_as_a_slice() -> None:
    whole = linear("qkv", 16, 3 * 512)
    part = elementwise("part", 512, 4, (0,))
    plan = place(network(whole, part), chip({"sram.capacity_kib": 3})).layers[1]
    assert plan.n_input_bytes_spilled == 512 * 4

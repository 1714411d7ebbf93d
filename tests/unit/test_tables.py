"""Do the shapes of a table of layers follow from it, and is every fault named at its line?"""

from typing import Any

import pytest

from dcsim.config import parse_spec
from dcsim.errors import ConfigError
from dcsim.tables import place
from dcsim.zoo import NetworkSpec

HEAD = "name: net\nkind: synthetic\ninput_shape: [3, 12, 10]\nlayers:\n"  # layers begin on line 5


def table(*rows: str, head: str = HEAD) -> NetworkSpec:
    return parse_spec(NetworkSpec, head + "".join(f"  - {{{row}}}\n" for row in rows), "net.yaml")


def faults(*rows: str, head: str = HEAD) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        table(*rows, head=head)
    return str(caught.value).splitlines()


def conv(name: str, n_inputs: int, n_outputs: int, **more: Any) -> str:
    rest = "".join(f", {key}: {value}" for key, value in ({"kernel": 3} | more).items())
    return f"name: {name}, kind: conv2d, n_inputs: {n_inputs}, n_outputs: {n_outputs}{rest}"


def linear(name: str, n_inputs: int, n_outputs: int = 4, more: str = "") -> str:
    return f"name: {name}, kind: linear, n_inputs: {n_inputs}, n_outputs: {n_outputs}{more}"


def shapes(spec: NetworkSpec) -> list[tuple[int, ...]]:
    return [where.output_shape for where in place(spec.layers, spec.input_shape)]


# --- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (conv("a", 3, 8), (8, 10, 8)),
        (conv("a", 3, 8, padding=1), (8, 12, 10)),
        (conv("a", 3, 8, stride=2), (8, 5, 4)),  # floor((12 - 3) / 2) + 1, floor((10 - 3) / 2) + 1
        (conv("a", 3, 6, groups=3), (6, 10, 8)),
        (conv("a", 3, 8, kernel="[1, 7]", stride="[3, 1]", padding="[0, 3]"), (8, 4, 10)),
        ("name: a, kind: max_pool2d, kernel: 2", (3, 6, 5)),  # side by side where no stride is given
        ("name: a, kind: max_pool2d, kernel: 3, stride: 2", (3, 5, 4)),
        ("name: a, kind: avg_pool2d, kernel: [12, 10]", (3, 1, 1)),
        ("name: a, kind: avg_pool2d, kernel: 3, stride: 1, padding: 1", (3, 12, 10)),
        ("name: a, kind: add, inputs: [network, network]", (3, 12, 10)),
        ("name: a, kind: cat, inputs: [network, network]", (6, 12, 10)),
        (linear("a", 360), (4,)),  # 3 x 12 x 10, flattened
    ],
)
def test_the_output_of_a_layer(row: str, expected: tuple[int, ...]) -> None:
    assert shapes(table(row)) == [expected]


@pytest.mark.parametrize(
    ("row", "weight_shape", "n_groups"),
    [
        (conv("a", 3, 8), (8, 3, 3, 3), 1),
        (conv("a", 3, 6, groups=3, kernel="[1, 5]"), (6, 1, 1, 5), 3),
        (linear("a", 360, 7), (7, 360), 1),
    ],
)
def test_the_weights_of_a_layer(row: str, weight_shape: tuple[int, ...], n_groups: int) -> None:
    (layer,) = table(row).layers
    assert (layer.weight_shape, layer.n_groups) == (weight_shape, n_groups)


def test_layers_read_the_one_before_or_those_they_name() -> None:
    spec = table(
        conv("a", 3, 8, padding=1),
        conv("b", 8, 8, padding=1),
        conv("c", 3, 8, padding=1, inputs="[network]"),
        "name: d, kind: add, inputs: [b, c, a]",
        "name: e, kind: cat, inputs: [d, network]",
    )
    placed = place(spec.layers, spec.input_shape)
    assert [where.producers for where in placed] == [(-1,), (0,), (-1,), (1, 2, 0), (3, -1)]
    assert placed[4].inputs == ((3, (8, 12, 10)), (-1, (3, 12, 10)))
    assert placed[4].output_shape == (11, 12, 10)


def test_a_linear_layer_says_itself_what_the_network_reads() -> None:
    spec = table(linear("a", 30), linear("b", 4), head="name: net\nkind: synthetic\nlayers:\n")
    assert place(spec.layers, None)[0].inputs == ((-1, (30,)),)


def test_four_numbers_make_a_layer() -> None:
    convolution, matrix = table(conv("a", 3, 8), linear("b", 640)).layers
    for layer, code_bits in ((convolution, 8), (matrix, 5)):  # Deep Compression, section 5
        said = layer.model_dump(include={"weight_density", "activation_density", "code_bits", "gap_bits"})
        assert said == {"weight_density": 1, "activation_density": 1, "code_bits": code_bits, "gap_bits": "auto"}


# --- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (conv("b", 9, 4), "b expects [9, height, width]; a gives [8, 10, 8]"),
        (linear("b", 100), "b expects 100 features; a gives [8, 10, 8]"),
        (conv("b", 8, 4, kernel=9), "b expects [8, height, width] into which a window of 9 x 9 fits; a gives [8, 10, 8]"),
        ("name: b, kind: max_pool2d, kernel: [11, 1]",
         "b expects [channels, height, width] into which a window of 11 x 1 fits; a gives [8, 10, 8]"),
        ("name: b, kind: add, inputs: [a, network]",
         "b expects two inputs or more of one shape; a gives [8, 10, 8] and the network gives [3, 12, 10]"),
        ("name: b, kind: add", "b expects two inputs or more of one shape; a gives [8, 10, 8]"),
        ("name: b, kind: cat, inputs: [a, network]",
         "b expects two inputs or more that differ in channels alone; a gives [8, 10, 8] and the network gives [3, 12, 10]"),
        ("name: b, kind: max_pool2d, kernel: 2, inputs: [a, a]",
         "b expects one input; a gives [8, 10, 8] and a gives [8, 10, 8]"),
        ("name: b, kind: max_pool2d, kernel: 2, inputs: []", "b expects one input; it reads nothing"),
    ],
)  # fmt: skip
def test_shapes_that_clash(row: str, expected: str) -> None:
    assert faults(conv("a", 3, 8), row) == [f"net.yaml:6: layers.1: {expected}"]


def test_what_reads_features_is_no_image() -> None:
    head = "name: net\nkind: synthetic\nlayers:\n"
    assert faults(linear("a", 30), conv("b", 4, 2), head=head) == [
        "net.yaml:5: layers.1: b expects [4, height, width]; a gives [4]"
    ]


@pytest.mark.parametrize(
    ("row", "place_in_file", "expected"),
    [
        ("name: b, kind: add, inputs: [a, z]", "layers.1.inputs.1", "no layer before it is called 'z'; known: network, a"),
        ("name: b, kind: add, inputs: [a, b]", "layers.1.inputs.1", "no layer before it is called 'b'; known: network, a"),
        (conv("a", 8, 8), "layers.1.name", "the name a is taken; every layer has one of its own"),
        (conv("network", 8, 8), "layers.1.name", "the name network is taken; every layer has one of its own"),
        (conv('""', 8, 8), "layers.1.name", "expected at least 1 character, found the text ''"),
        (linear("b", 640, more=", code_bits: 4, huffman_bits_per_code: 4.5"), "layers.1",
         "huffman_bits_per_code 4.5 is more than the 4 bits of an uncoded one"),
        (linear("b", 640, more=", gap_bits: 2, huffman_bits_per_gap: 3"), "layers.1",
         "huffman_bits_per_gap 3 is more than the 2 bits of an uncoded one"),
        (conv("b", 8, 9, groups=4), "layers.1", "4 groups do not divide 8 channels into 9"),
        (conv("b", 8, 8, weight_density=0), "layers.1.weight_density", "expected greater than 0, found 0"),
        (conv("b", 8, 8, code_bits=11), "layers.1.code_bits", "expected less than or equal to 10, found 11"),
        ("name: b, kind: max_pool2d, kernel: 2, weight_density: 0.5", "layers.1.weight_density",
         "unknown key; known: inputs, kernel, kind, name, padding, stride"),
        ("name: b, kind: maxpool, kernel: 2", "layers.1",
         "expected 'linear', 'conv2d', 'max_pool2d', 'avg_pool2d', 'add', 'cat', found the text 'maxpool'; did you mean max_pool2d?"),
        ("name: b, kernel: 2", "layers.1", "required key 'kind' is missing"),
        ("name: b, kind: conv2d, n_inputs: 8, n_outputs: 8", "layers.1.kernel", "required key is missing"),
    ],
)  # fmt: skip
def test_every_other_fault_is_named_at_its_line(row: str, place_in_file: str, expected: str) -> None:
    assert faults(conv("a", 3, 8), row) == [f"net.yaml:6: {place_in_file}: {expected}"]


def test_an_image_needs_a_size() -> None:
    head = "name: net\nkind: synthetic\nlayers:\n"
    assert faults(conv("a", 3, 8), head=head) == [
        "net.yaml:4: layers.0: a reads an image: give the network an input_shape"
    ]


def test_an_input_has_a_dimension_at_least() -> None:
    head = HEAD.replace("[3, 12, 10]", "[]")
    assert faults("name: a, kind: max_pool2d, kernel: 2", head=head) == [
        "net.yaml:3: input_shape: expected at least 1 item after validation, not 0, found a list"
    ]


def test_a_table_without_layers_is_none() -> None:
    with pytest.raises(ConfigError, match="a synthetic network needs at least one of layers"):
        parse_spec(NetworkSpec, "name: net\nkind: synthetic\nlayers: []", "net.yaml")


def test_all_faults_are_told_at_once_and_none_that_follows_from_another() -> None:
    found = faults(
        conv("a", 4, 8),
        conv("b", 7, 8),  # reads what nobody knows
        "name: c, kind: add, inputs: [z, b]",
        conv("d", 5, 8, inputs="[network]"),
        conv("a", 8, 8),
    )
    assert [fault.split(": ")[1] for fault in found] == ["layers.0", "layers.2.inputs.0", "layers.3", "layers.4.name"]

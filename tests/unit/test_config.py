"""Is every mistake in a YAML file found, named by line and path, and nothing read as what it is not?"""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from dcsim.compression.recipe import DenseTraining, Recipe
from dcsim.config import SourcedSpec, Spec, find_yaml, known_yaml, load_spec, parse_spec, parse_yaml, shipped
from dcsim.errors import ConfigError
from dcsim.explore.budget import Budget
from dcsim.explore.sweep_spec import SweepSpec
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.zoo import NetworkSpec


class Round(Spec):
    kind: Literal["round"]
    radius_mm: Annotated[float, Field(gt=0)]


class Square(Spec):
    kind: Literal["square"]
    side_mm: Annotated[float, Field(gt=0)]


class Hole(Spec):
    at_mm: float
    depth: Annotated[int, Field(ge=1)] | Literal["through"]


class Plate(SourcedSpec):
    count: Annotated[int, Field(gt=0)]
    finish: Literal["no", "matt", "gloss"]
    painted: bool
    shape: Annotated[Round | Square, Field(discriminator="kind")]
    holes: tuple[Hole, ...] = ()
    weight_g: float | None = None


PLATE = """\
name: plate
count: 3
finish: no
painted: true
shape:
  kind: round
  radius_mm: 5
holes:
  - {at_mm: 1.5, depth: 2}
  - {at_mm: 2.5, depth: through}
sources:
  count: "a drawing"
  painted: "a drawing"
  shape: "assumption"
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_spec(Plate, text, "plate.yaml")
    return str(caught.value)


def edited(old: str, new: str) -> str:
    assert PLATE.count(old) == 1
    return PLATE.replace(old, new)


def test_a_correct_file_is_read() -> None:
    plate = parse_spec(Plate, PLATE, "plate.yaml")
    assert (plate.count, plate.finish, plate.painted, plate.weight_g) == (3, "no", True, None)
    assert plate.shape == Round(kind="round", radius_mm=5)
    assert [hole.depth for hole in plate.holes] == [2, "through"]


def test_a_description_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse_spec(Plate, PLATE, "plate.yaml").count = 4  # type: ignore[misc]  # assigning is what must fail


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1e-12", 1e-12),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("2.", 2.0),
        ("1_000.5", 1000.5),
        ("010", 10),
        ("-7", -7),
        ("800_000_000", 800_000_000),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("No", "No"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),  # PyYAML reads ninety
        ("0x10", "0x10"),
        ("2024-05-01", "2024-05-01"),
        (".inf", ".inf"),
        ("=", "="),
        ("'5'", "5"),
        ("[1, no]", [1, "no"]),
    ],
)
def test_scalar_is_read_as(written: str, expected: object) -> None:
    tree, _, _ = parse_yaml(f"x: {written}", "plate.yaml")
    assert tree == {"x": expected}
    assert type(tree["x"]) is type(expected)


def test_a_key_that_is_no_word_is_refused() -> None:
    assert "plate.yaml:2: (the file): a key must be a word" in refusal("a: 1\n? [b, c]\n: 2")


def test_all_faults_are_told_although_a_key_stands_twice() -> None:
    text = edited("painted: true", "painted: true\ncount: 4").replace("finish: no", "finish: maybe")
    assert [line.split(": ")[0] for line in refusal(text).splitlines()] == ["plate.yaml:3", "plate.yaml:5"]


def test_an_anchored_value_can_be_used_again() -> None:
    assert parse_yaml("a: &a {b: 1}\nc: *a", "plate.yaml")[0] == {"a": {"b": 1}, "c": {"b": 1}}


def test_duplicate_key_is_refused_with_both_lines() -> None:
    text = edited("painted: true", "painted: true\ncount: 4")
    assert refusal(text) == "plate.yaml:5: count: the key stands twice, first on line 2"


def test_every_duplicate_key_is_reported_also_inside() -> None:
    text = edited("  radius_mm: 5", "  radius_mm: 5\n  kind: square") + "count: 5\n"
    assert refusal(text).splitlines() == [
        "plate.yaml:8: shape.kind: the key stands twice, first on line 6",
        "plate.yaml:16: count: the key stands twice, first on line 2",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count: 3", "count: 3\ncuont: 3", "plate.yaml:3: cuont: unknown key; did you mean count?"),
        (
            "  radius_mm: 5",
            "  radius_mm: 5\n  side_mm: 5",
            "plate.yaml:8: shape.side_mm: unknown key; known: kind, radius_mm",
        ),
        ("depth: 2}", "depth: 2, deep: 1}", "plate.yaml:9: holes.0.deep: unknown key; did you mean depth?"),
        ("count: 3\n", "", "plate.yaml:1: count: required key is missing"),
        ("at_mm: 2.5, ", "", "plate.yaml:10: holes.1.at_mm: required key is missing"),
        ("count: 3", "count: three", "plate.yaml:2: count: expected a valid integer, found the text 'three'"),
        ("count: 3", "count: '3'", "plate.yaml:2: count: expected a valid integer, found the text '3'"),
        ("count: 3", "count: 3.0", "plate.yaml:2: count: expected a valid integer, found 3.0"),
        ("count: 3", "count: true", "plate.yaml:2: count: expected a valid integer, found true"),
        ("count: 3", "count:", "plate.yaml:2: count: expected a valid integer, found nothing"),
        ("count: 3", "count: [3]", "plate.yaml:2: count: expected a valid integer, found a list"),
        ("count: 3", "count: {a: 3}", "plate.yaml:2: count: expected a valid integer, found a mapping"),
        ("count: 3", "count: 0", "plate.yaml:2: count: expected greater than 0, found 0"),
        ("radius_mm: 5", "radius_mm: -1e-12", "plate.yaml:7: shape.radius_mm: expected greater than 0, found -1e-12"),
        ("radius_mm: 5", "radius_mm: 1e999", "plate.yaml:7: shape.radius_mm: expected a finite number, found inf"),
        ("painted: true", "painted: yes", "plate.yaml:4: painted: expected a valid boolean, found the text 'yes'"),
        ("name: plate", "name: 010", "plate.yaml:1: name: expected a valid string, found 10"),
        (
            "finish: no",
            "finish: glos",
            "plate.yaml:3: finish: expected 'no', 'matt' or 'gloss', found the text 'glos'; did you mean gloss?",
        ),
        (
            "kind: round",
            "kind: rond",
            "plate.yaml:5: shape: expected 'round', 'square', found the text 'rond'; did you mean round?",
        ),
        ("  kind: round\n", "", "plate.yaml:5: shape: required key 'kind' is missing"),
    ],
)
def test_fault_is_reported_with_line_path_and_values(old: str, new: str, message: str) -> None:
    assert refusal(edited(old, new)) == message


def test_all_faults_are_reported_at_once_in_the_order_of_lines() -> None:
    text = edited("finish: no", "finish: yes").replace("count: 3", "count: -3").replace("depth: 2", "dept: 2")
    text = text.replace("name: plate\n", "") + "colour: red\n"
    assert refusal(text).splitlines() == [
        "plate.yaml:1: count: expected greater than 0, found -3",
        "plate.yaml:1: name: required key is missing",
        "plate.yaml:2: finish: expected 'no', 'matt' or 'gloss', found the text 'yes'; known: no, matt, gloss",
        "plate.yaml:8: holes.0.dept: unknown key; did you mean depth?",
        "plate.yaml:8: holes.0.depth: required key is missing",
        "plate.yaml:14: colour: unknown key; known: "
        "count, description, finish, holes, name, painted, shape, sources, weight_g",
    ]


@pytest.mark.parametrize("depth", ["0", "thru"])
def test_fault_in_a_number_or_word_is_reported_at_its_own_path(depth: str) -> None:
    lines = refusal(edited("depth: 2}", f"depth: {depth}}}")).splitlines()
    assert {line.split(": ")[1] for line in lines} == {"holes.0.depth"}


@pytest.mark.parametrize(
    ("text", "found"),
    [("", "nothing"), ("# only a comment\n", "nothing"), ("- a", "a list"), ("word", "the text 'word'"), ("5", "5")],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, found: str) -> None:
    assert refusal(text) == f"plate.yaml:1: expected a mapping of keys, found {found}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3", 3),
        ("a: 1\n\tb: 2", 2),
        ("a: 1\nb: 'open", 2),
        ("a: *nowhere", 1),
        ("a: 1\n---\nb: 2", 2),
        ("a: 1\nb: !!python/name:os.system", 2),
    ],
)
def test_text_that_is_no_plain_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    assert refusal(text).startswith(f"plate.yaml:{line}: ")


@pytest.mark.parametrize("value", ["1__0", "1_", "!!int three", "!!binary aGVsbG8=", "!!timestamp 2001-01-01"])
def test_value_that_cannot_be_plain_is_refused_with_its_line(value: str) -> None:
    assert refusal(edited("count: 3", f"count: {value}")).startswith("plate.yaml:2: ")


@pytest.mark.parametrize("text", ["a: \x01", "a: &a [*a]"])
def test_text_that_nobody_can_read_is_refused(text: str) -> None:
    assert refusal(text).startswith("plate.yaml: not valid YAML: ")


def test_sources_that_name_no_path_of_the_file_are_refused() -> None:
    assert refusal(edited("  count: ", "  cuont: ")).endswith("sources.cuont: there is no such path in the file")
    assert "shape.side_mm" in refusal(edited("  shape: ", "  shape.side_mm: "))


def test_a_number_takes_the_source_of_the_longest_group_that_covers_it() -> None:
    plate = parse_spec(Plate, PLATE + '  shape.radius_mm: "a caliper"\n  holes.0: "a ruler"\n', "plate.yaml")
    assert plate.source_of("shape.radius_mm") == "a caliper"
    assert plate.source_of("shape.kind") == "assumption"
    assert plate.source_of("holes.0.at_mm") == "a ruler"
    assert plate.source_of("holes.1.at_mm") is None
    assert plate.source_of("counter") is None  # `count` is no group of it


def test_numbers_without_a_source_are_listed() -> None:
    left = parse_spec(Plate, PLATE, "plate.yaml").leaves_without_source()
    assert left == ["holes.0.at_mm", "holes.0.depth", "holes.1.at_mm"]  # `through` is a word, not a number


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: caf\xe9")
    for path, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "directory"), (latin, "utf-8")):
        with pytest.raises(ConfigError, match=f"cannot read {path}: .*{reason}"):
            load_spec(Plate, path)


def test_faults_of_a_file_carry_its_path(tmp_path: Path) -> None:
    path = tmp_path / "plate.yaml"
    path.write_text(edited("count: 3", "count: 0"))
    with pytest.raises(ConfigError) as caught:
        load_spec(Plate, path)
    assert str(caught.value) == f"{path}:2: count: expected greater than 0, found 0"


SHIPPED = sorted(path for folder in ("configs", "models") for path in shipped(folder).rglob("*.yaml"))


def described(path: Path) -> SourcedSpec:
    if path.parent.name == "soc":
        return load_spec(SocSpec, path)
    if path.parent.name == "budget":
        return load_spec(Budget, path)
    if path.parent.name == "sweep":
        return load_spec(SweepSpec, path)
    if path.stem.startswith("recipe"):
        return load_spec(Recipe, path)
    classes: dict[str, Any] = {"network": NetworkSpec, "training": DenseTraining}
    loaded: SourcedSpec = load_spec(classes[path.stem.partition("-")[0]], path)
    return loaded


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_number_that_ships_has_a_source(path: Path) -> None:
    spec = described(path)
    assert spec.leaves_without_source() == []
    assert all(source.strip() for source in spec.sources.values())


def test_shipped_files_are_found_by_name() -> None:
    assert {"mobile45", "paper45"} <= set(known_yaml("soc"))
    assert find_yaml("soc", "mobile45").name == "mobile45.yaml"
    assert [load_soc(name).name for name in known_yaml("soc")] == known_yaml("soc")


def test_a_file_of_ones_own_is_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "chip.yml"
    path.write_text("name: chip")
    assert find_yaml("soc", str(path)) == path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mobile54", "did you mean mobile45"),
        ("zzz", "known: .*mobile45"),
        ("", "known: .*mobile45"),
        ("no/such.yaml", "mobile45"),
        pytest.param("x" * 300, "known: .*mobile45", id="long-name"),
        pytest.param("x" * 300 + ".yaml", "mobile45", id="long-path"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_yaml("soc", name)

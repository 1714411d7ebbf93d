"""Do editors get from the JSON Schema files what dcsim itself knows of every key, no more and no less?"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dcsim.cli.schema import KindName
from dcsim.config import Spec, parse_yaml, shipped
from dcsim.report.document import to_json
from dcsim.report.schemas import KINDS, meanings, schema, summary
from dcsim.soc.spec import CactiSram, SocSpec
from dcsim.tables import Conv2dSpec

SCHEMAS = shipped("configs") / "schemas"
SHIPPED = sorted(path for folder in ("configs", "models") for path in shipped(folder).rglob("*.yaml"))
MODELINE = "# yaml-language-server: $schema="


def tree(path: Path) -> Any:
    content, _, faults = parse_yaml(path.read_text(), path.name)
    assert not faults
    return content


def keys(of: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(class, key, what the schema says of it) of the file and of all its parts."""
    parts = {of["title"]: of} | of.get("$defs", {})
    return [(name, key, about) for name, part in parts.items() for key, about in part.get("properties", {}).items()]


def faults(kind: str, content: Any) -> list[str]:
    checker = jsonschema.Draft202012Validator(schema(kind))
    return sorted(error.json_path for error in checker.iter_errors(content))


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_file_is_what_the_code_says(kind: str) -> None:
    assert (SCHEMAS / f"{kind}.json").read_text() == to_json(schema(kind)), "run `make schemas`"


def test_the_command_and_the_folder_know_the_same_kinds() -> None:
    assert [kind.value for kind in KindName] == list(KINDS)
    assert {path.stem for path in SCHEMAS.iterdir()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_schema(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(kind))


def test_every_key_of_every_yaml_is_documented() -> None:
    said = [(kind, *key) for kind in KINDS for key in keys(schema(kind))]
    gaps = [f"{kind}: {name}.{key}" for kind, name, key, about in said if not about.get("description")]
    print(f"{len(said)} keys of YAML files, {len(gaps)} without a meaning")
    assert len(said) > 250
    assert not gaps


def spec_classes(of: type[Spec] = Spec) -> list[type[Spec]]:
    """Those of dcsim; other tests have some of their own."""
    found = [of] + [each for child in of.__subclasses__() for each in spec_classes(child)]
    return [each for each in found if each.__module__.startswith("dcsim.")]


def test_nothing_is_said_of_keys_that_are_not_there() -> None:
    assert len(spec_classes()) > 40
    for each in spec_classes():
        assert summary(each)
        assert not set(meanings(each)) - set(each.model_fields), each


def test_a_meaning_goes_on_over_lines_and_is_inherited() -> None:
    assert meanings(SocSpec)["operating_point"].endswith("or `auto`, the most frugal one that meets the deadline.")
    assert meanings(SocSpec)["name"] == "what results call it."
    assert meanings(Conv2dSpec)["n_inputs"] == meanings(Conv2dSpec)["n_outputs"]
    assert summary(CactiSram).endswith("table of 45 nm.\n\nSizes between those of the table are interpolated log-log.")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_shipped_file_names_its_schema_and_keeps_it(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith(MODELINE)
    named = (path.parent / first.removeprefix(MODELINE)).resolve()
    assert named.parent == SCHEMAS.resolve()
    assert faults(named.stem, tree(path)) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_numbers_of_shipped_files_are_numbers_for_every_yaml_1_2_reader(path: Path) -> None:
    """dcsim also reads 350_000_000; editors, which go by YAML 1.2, take that for text."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    values = [line.split(":", 1)[1] for line in lines if ":" in line and '"' not in line]
    assert not [value for value in values if value.strip().replace("_", "").isdigit() and "_" in value]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("clock_hz", "fast"),
        ("clock_hz", -1),
        ("clock_hz", 1.5),
        ("activation_bits", 12),
        ("idle.sram", "asleep"),
        ("sram.capacity", 512),
        ("dram.kind", "banks"),
        ("array.lanes_out", 0),
        ("operating_points.0.volts", 0),
        ("tiles", 3),
    ],
)
def test_a_fault_is_found_where_it_is(path: str, value: object) -> None:
    content = tree(shipped("configs") / "soc" / "mobile45.yaml")
    assert not faults("soc", content)
    *parents, last = path.split(".")
    branch = content
    for parent in parents:
        branch = branch[int(parent)] if parent.isdigit() else branch[parent]
    branch[last] = value
    found = faults("soc", content)
    assert found
    assert all(place.startswith("$." + path.split(".")[0]) for place in found)


def test_units_are_those_of_the_code_and_defaults_are_given() -> None:
    of = schema("soc")["$defs"]["CactiSram"]["properties"]
    assert of["outside_table"]["default"] == "refuse"
    assert of["access_width_bits"]["enum"] == [32, 64, 128]
    assert json.loads(to_json(schema("soc"))) == schema("soc")

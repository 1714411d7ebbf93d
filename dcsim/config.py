"""Strict YAML, the base class of everything a YAML file describes, and where `configs/` and `models/` are.

Strict means: duplicate keys are refused, `1e-12` is a number, `no` stays a word, an unknown or missing key is an error,
and all errors of a file are reported at once, each as `file:line: path: what was expected, what was found`.
"""

import difflib
import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dcsim.errors import ConfigError
from dcsim.files import is_file

Tree = Any
Lines = dict[tuple[str | int, ...], int]
Fault = tuple[int, str]  # line and message


class Spec(BaseModel):
    """Base of every description read from YAML: immutable and strict. `Attributes:` say what its keys mean."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class SourcedSpec(Spec):
    """A whole YAML file.

    Attributes:
        name: what results call it.
        description: for people.
        sources: where each number comes from, by dotted path or by the path of a group; a guess says `assumption`.
    """

    name: str = Field(min_length=1)
    description: str = ""
    sources: dict[str, Annotated[str, Field(min_length=1)]] = {}

    def leaves(self) -> dict[str, Any]:
        """Every scalar of the description by dotted path, without the sources themselves."""
        return dict(walk_leaves(self.model_dump(exclude={"sources"}), ""))

    def source_of(self, path: str) -> str | None:
        """Source of the number at `path`: the entry of the longest group that covers it."""
        found = [key for key in self.sources if covers(key, path)]
        return self.sources[max(found, key=len)] if found else None

    def leaves_without_source(self) -> list[str]:
        """Dotted paths whose number has no source. Empty in every file that ships with dcsim (tested)."""
        numbers = [path for path, value in self.leaves().items() if isinstance(value, int | float)]
        return [path for path in numbers if self.source_of(path) is None]


def covers(group: str, path: str) -> bool:
    """Whether dotted `path` is `group` itself or lies inside it."""
    return path == group or path.startswith(group + ".")


def walk_leaves(tree: Tree, prefix: str) -> list[tuple[str, Any]]:
    """(dotted path, scalar) of every leaf of nested dicts and lists, in order."""
    if isinstance(tree, dict):
        items = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple):
        items = [(str(index), value) for index, value in enumerate(tree)]
    else:
        return [(prefix, tree)]
    return [leaf for key, value in items for leaf in walk_leaves(value, f"{prefix}.{key}" if prefix else key)]


S = TypeVar("S", bound=Spec)


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with the core schema of YAML 1.2 for scalars: PyYAML's 1.1 reads `no` as false and `1e-12` as text."""


_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", "n~\0"),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), [*_first.replace("\0", ""), ""]
    )


def _construct_int(loader: Any, node: Any) -> int:
    return int(loader.construct_scalar(node))  # PyYAML's own reads 010 as eight


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse_yaml(text: str, origin: str) -> tuple[Tree, Lines, list[Fault]]:
    """Parse one YAML document into plain values, the line of every path, and what is wrong with it.

    Args:
        text: the document.
        origin: file name for messages.

    Returns:
        Faults are duplicate keys, of which the first counts, keys that are not words, and values that are not plain.

    Raises:
        ConfigError: a syntax error, with file and line.
    """
    try:
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
            lines: Lines = {}
            problems: list[Fault] = []
            tree = None if node is None else _construct(loader, node, (), lines, problems, origin)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{origin}:{mark.line + 1}" if mark else origin
        raise ConfigError(f"{where}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from error
    return tree, lines, problems


def _construct(
    loader: Any, node: Any, path: tuple[str | int, ...], lines: Lines, problems: list[Fault], origin: str
) -> Tree:
    line = node.start_mark.line + 1
    lines[path] = line
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Tree] = {}
        first_line: dict[str, int] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                problems.append((key_line, f"{origin}:{key_line}: {dotted(path)}: a key must be a word"))
                continue
            if key in result:
                where = f"{origin}:{key_line}: {dotted((*path, key))}"
                problems.append((key_line, f"{where}: the key stands twice, first on line {first_line[key]}"))
                continue
            first_line[key] = key_line
            result[key] = _construct(loader, value_node, (*path, key), lines, problems, origin)
            lines[(*path, key)] = key_line
        return result
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(loader, child, (*path, index), lines, problems, origin) for index, child in enumerate(node.value)
        ]
    try:
        value = loader.construct_object(node)
    except (ValueError, TypeError):
        value = NotImplemented
    if isinstance(value, str | int | float | bool | None):
        return value
    problems.append((line, f"{origin}:{line}: {dotted(path)}: expected a number or a word, found {node.value!r}"))
    return None


def dotted(path: tuple[str | int, ...]) -> str:
    """`("dram", "timing", "tck_ns")` as `dram.timing.tck_ns`."""
    return ".".join(str(part) for part in path) or "(the file)"


def load_spec(spec_class: type[S], path: Path) -> S:
    """Read `path` as a `spec_class`.

    Raises:
        ConfigError: every fault of the file at once, each with file, line, path, what was expected and what was found.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot read {path}: {reason}") from error
    return parse_spec(spec_class, text, str(path))


def parse_spec(spec_class: type[S], text: str, origin: str) -> S:
    """`load_spec` of a text that is already read; `origin` names it in messages."""
    tree, lines, faults = parse_yaml(text, origin)
    if not isinstance(tree, dict):
        raise ConfigError(f"{origin}:1: expected a mapping of keys, found {describe(tree)}")
    if issubclass(spec_class, SourcedSpec):
        faults += _source_faults(tree, lines, origin)
    try:
        # JSON mode is strict about numbers and text, yet takes a list for a tuple.
        spec = spec_class.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        placed = [fault_of(fault, tree, spec_class) for fault in error.errors()]
        at_line = [(_line(path, lines), path, message) for path, message in placed]
        found = [(line, f"{origin}:{line}: {dotted(path)}: {message}") for line, path, message in at_line]
        missing = [dotted(fault["loc"]) for fault in error.errors() if fault["type"] == "missing"]
        faults = [fault for fault in faults if not any(f": sources.{path}" in fault[1] for path in missing)]
        named = {message.split(": ")[1] for _, message in faults}
        faults += [fault for fault in found if fault[1].split(": ")[1] not in named]  # one fault a path
    if faults:
        raise ConfigError("\n".join(message for _, message in sorted(set(faults))))
    return spec


def _source_faults(tree: Tree, lines: Lines, origin: str) -> list[Fault]:
    """Entries of `sources` that name nothing in the file."""
    sources = tree.get("sources")
    leaves = [path for path, _ in walk_leaves({key: tree[key] for key in tree if key != "sources"}, "")]
    faults = []
    for path in sources if isinstance(sources, dict) else ():
        if not any(covers(path, leaf) for leaf in leaves):
            line = lines["sources", path]
            faults.append((line, f"{origin}:{line}: sources.{path}: there is no such path in the file"))
    return faults


def fault_of(fault: Any, tree: Tree, spec_class: type[Spec]) -> tuple[tuple[str | int, ...], str]:
    """Of a fault that pydantic found its path in the tree, and what was expected there and found."""
    path = _path_in_file(fault["loc"], tree, names_a_key=fault["type"] in ("missing", "extra_forbidden"))
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "missing":
        message = "required key is missing"
    elif kind == "extra_forbidden":
        known = sorted(_known_keys(fault["loc"][:-1], spec_class))
        message = f"unknown key{did_you_mean(str(path[-1]), known)}"
    elif kind in ("union_tag_invalid", "literal_error"):
        expected = context.get("expected_tags") or context.get("expected")
        found = context.get("tag", fault["input"])
        words = re.findall(r"'([^']*)'", str(expected))
        message = f"expected {expected}, found {describe(found)}{did_you_mean(str(found), words)}"
    elif kind == "union_tag_not_found":
        message = f"required key {context['discriminator']} is missing"
    elif kind == "value_error":
        message = str(context["error"])
    else:
        expected = re.sub(r"^(Input|Value|\w+) should (be|have) ", "", fault["msg"])
        message = f"expected {expected}, found {describe(fault['input'])}"
    return path, message


def _path_in_file(location: tuple[str | int, ...], tree: Tree, names_a_key: bool) -> tuple[str | int, ...]:
    """pydantic puts the tag or type of a union's member into the location; the file has no such level."""
    path: list[str | int] = []
    for position, part in enumerate(location):
        last = position == len(location) - 1
        present = (isinstance(tree, dict) and part in tree) or (
            isinstance(tree, list | tuple) and isinstance(part, int) and part < len(tree)
        )
        if present:
            tree = tree[part]
        elif not (last and names_a_key):
            continue
        path.append(part)
    return tuple(path)


def _line(path: tuple[str | int, ...], lines: Lines) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _known_keys(location: tuple[str | int, ...], spec_class: Any) -> set[str]:
    """Keys that are allowed at `location`, by walking the model's JSON schema."""
    schema = spec_class.model_json_schema()
    definitions = schema.get("$defs", {})
    options = [schema]
    for part in location:
        narrowed: list[Any] = []
        for option in options:
            properties = option.get("properties", {})
            if part in properties:
                narrowed += _expand(properties[part], definitions)
            elif isinstance(part, int) and "items" in option:
                narrowed += _expand(option["items"], definitions)
            elif isinstance(option.get("additionalProperties"), dict):
                narrowed += _expand(option["additionalProperties"], definitions)
            elif part in (properties.get("kind", {}).get("const"), option.get("title")):
                narrowed.append(option)
        options = narrowed
    return {key for option in options for key in option.get("properties", {})}


def _expand(schema: Any, definitions: Any) -> list[Any]:
    if "$ref" in schema:
        return _expand(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    choices = schema.get("anyOf") or schema.get("oneOf")
    return [leaf for choice in choices for leaf in _expand(choice, definitions)] if choices else [schema]


def describe(value: Any) -> str:
    """A value as an error message shows it: with its type where the two could be confused."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return f"{value!r}"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean x?`, or the choices when nothing is near."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(known)}" if known else ""


def shipped(folder: str) -> Path:
    """`configs` or `models`: beside the package in an installed wheel, at the root of a checkout otherwise."""
    package = Path(__file__).resolve().parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def find_yaml(kind: str, name: str) -> Path:
    """Path of a YAML given by path (`my/chip.yaml`) or by the name of a shipped one (`mobile45`).

    Args:
        kind: folder under configs/: `soc` or `budget`.
        name: what the user typed.

    Raises:
        ConfigError: no such file; the message lists the names that ship with dcsim.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        if not is_file(path):
            raise ConfigError(f"no {kind} file {name}; expected a path to a YAML file or one of {known_yaml(kind)}")
        return path
    path = shipped("configs") / kind / f"{name}.yaml"
    if not is_file(path):
        near = did_you_mean(name, known_yaml(kind))
        raise ConfigError(f"no {kind} named {name!r}, and your own is given by its path, ending in .yaml{near}")
    return path


def known_yaml(kind: str) -> list[str]:
    """Names of the shipped YAML files of one kind."""
    return sorted(path.stem for path in (shipped("configs") / kind).glob("*.yaml"))

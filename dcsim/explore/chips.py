"""A chip with other values by dotted path, or why it cannot have them."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dcsim.config import dotted, fault_of
from dcsim.errors import ConfigError
from dcsim.soc.spec import SocSpec


def chip_at(soc: SocSpec, values: Mapping[str, Any]) -> SocSpec:
    """The chip with other values by dotted path, checked as its YAML would be. Raises ConfigError when it cannot be."""
    tree = _tree(soc, values)
    try:
        return SocSpec.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the chip"
        found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
        raise ConfigError(f"{where}: {first['msg'].removeprefix('Value error, ')}{found}") from error


def refusal(soc: SocSpec, path: str, value: Any) -> str:
    """What is wrong with a value by itself, its type, a word or a bound; empty where other values could go with it.

    Raises:
        ConfigError: the chip has no such path.
    """
    tree = _tree(soc, {path: value})
    try:
        SocSpec.model_validate(tree)
    except ValidationError as error:
        own = (path, path.removesuffix(".kind"))  # a kind that there is not is a fault of what would have it
        placed = [fault_of(fault, tree, SocSpec) for fault in error.errors()]
        return "; or ".join(message for place, message in placed if dotted(place) in own)
    return ""


def _tree(soc: SocSpec, values: Mapping[str, Any]) -> Any:
    tree: Any = soc.model_dump(exclude={"sources"})
    for path, value in values.items():
        tree = _changed(tree, path.split("."), value, path)
    return tree


def _changed(tree: Any, steps: list[str], value: Any, path: str) -> Any:
    """A tree of mappings and lists with another value at the end of these steps."""
    if not steps:
        return value
    if isinstance(tree, dict) and steps[0] in tree:
        return tree | {steps[0]: _changed(tree[steps[0]], steps[1:], value, path)}
    if isinstance(tree, tuple) and steps[0] in map(str, range(len(tree))):
        at = int(steps[0])
        return (*tree[:at], _changed(tree[at], steps[1:], value, path), *tree[at + 1 :])
    raise ConfigError(f"the chip has no {path}")

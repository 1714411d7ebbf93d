"""JSON Schema of every kind of YAML that dcsim reads, for editors: keys, types, ranges, and what each key means.

What a key means is said once, in the `Attributes:` section of the class that reads it.
"""

import inspect
import re
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from dcsim.compression.recipe import DenseTraining, Recipe
from dcsim.config import Spec
from dcsim.explore.budget import Budget
from dcsim.explore.sweep_spec import SweepSpec
from dcsim.soc.spec import FixedPlacement, SocSpec
from dcsim.zoo import NetworkSpec

#: what reads each kind of file
KINDS: dict[str, type[Spec]] = {
    "soc": SocSpec,
    "budget": Budget,
    "sweep": SweepSpec,
    "recipe": Recipe,
    "training": DenseTraining,
    "network": NetworkSpec,
    "placement": FixedPlacement,
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of one of `KINDS`."""
    made = KINDS[kind].model_json_schema(schema_generator=_Described)
    return {"$schema": DIALECT} | made | {"title": f"dcsim {kind}"}


def summary(spec_class: type[Spec]) -> str:
    """What a class says of itself before it comes to its keys."""
    return _sections(spec_class)[0]


def meanings(spec_class: type[Spec]) -> dict[str, str]:
    """What each key means, of all that are said in the class or in those that it extends."""
    found: dict[str, str] = {}
    for ancestor in reversed(spec_class.__mro__):
        if issubclass(ancestor, Spec):
            found |= _entries(_sections(ancestor)[1])
    return found


def _sections(spec_class: type[Spec]) -> tuple[str, str]:
    """The docstring before its `Attributes:`, as lines of whole paragraphs, and what stands there."""
    before, _, attributes = inspect.cleandoc(spec_class.__doc__ or "").partition("\n\nAttributes:\n")
    return re.sub(r"(?<!\n)\n(?!\n)", " ", before), inspect.cleandoc("\n" + attributes)


def _entries(attributes: str) -> dict[str, str]:
    """`a, b: what both mean`, indented where an entry goes on, as the meaning of each name."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", attributes) if attributes else ():
        names, _, meaning = entry.partition(": ")
        found |= dict.fromkeys(names.split(", "), " ".join(meaning.split()))
    return found


class _Described(GenerateJsonSchema):
    """pydantic's schema with the meaning of keys, and without titles that only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        made, spec_class = super().model_schema(schema), schema["cls"]
        made["description"] = summary(spec_class)
        for key, meaning in meanings(spec_class).items():
            if key in made["properties"]:
                made["properties"][key]["description"] = meaning
        return made

"""The command that writes what an editor needs to complete and check YAML files: schema."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.app import app, require_outputs


class KindName(StrEnum):
    """Kinds of YAML files, as words of the command line."""

    soc = "soc"
    budget = "budget"
    sweep = "sweep"
    recipe = "recipe"
    training = "training"
    network = "network"
    placement = "placement"


@app.command()
def schema(
    kind: Annotated[KindName, typer.Argument(help="What the YAML describes.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; stdout unless said.")] = None,
) -> None:
    """Write the JSON Schema of a kind of YAML file, with which editors complete keys and say what they mean."""
    from dcsim.files import write_bytes
    from dcsim.report.document import to_json
    from dcsim.report.schemas import schema as schema_of

    require_outputs(output)
    text = to_json(schema_of(kind.value))
    if output:
        write_bytes(output, text.encode())
    else:
        sys.stdout.write(text)

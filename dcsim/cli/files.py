"""Commands that take a `.dcz` file: inspect, decode."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.app import JsonOption, app, require_outputs, write_json


class SparseName(StrEnum):
    """Kinds of sparse matrices, as words of the command line."""

    csr = "csr"
    csc = "csc"


@app.command()
def decode(
    file: Annotated[Path, typer.Argument(help="A .dcz file.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A .safetensors, .pt (torch) or .npz (sparse matrices) file.")
    ],
    sparse: Annotated[
        SparseName | None, typer.Option("--sparse", help="Kind of sparse matrix in an .npz file: csr unless said.")
    ] = None,
) -> None:
    """Write the weights of a .dcz file for other tools, as they were stored, bit for bit."""
    from dcsim.artifact import CompressedModel
    from dcsim.errors import OutputError
    from dcsim.export import require_format, save_weights
    from dcsim.report.terminal import console

    require_outputs(output)
    require_format(output)
    if sparse and output.suffix != ".npz":
        raise OutputError(f"cannot write {output} with --sparse: sparse matrices go to an .npz file")
    model = CompressedModel.load(file)
    save_weights(model, output, sparse.value if sparse else "csr")
    console().print(f"{output}: {len(model.tensors)} tensors, {model.n_parameters:,} parameters", soft_wrap=True)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .dcz file.")],
    json: JsonOption = None,
) -> None:
    """Show what a .dcz file holds, tensor by tensor."""
    from dcsim.artifact import CompressedModel
    from dcsim.report.inspection import inspect_tables, inspection
    from dcsim.report.terminal import console

    require_outputs(json=json)
    content = inspection(CompressedModel.load(file))
    if json:
        write_json(content, json)
    if str(json) != "-":
        console().print(inspect_tables(content))

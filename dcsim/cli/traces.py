"""Commands about traces: trace, trace show, trace diff."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dcsim.cli.app import (
    ContextOption,
    DataOption,
    JsonOption,
    RecipeOption,
    TokensOption,
    VariantName,
    WeightsOption,
    app,
    require_outputs,
    write_json,
)

EXIT_DIFFERENT = 1


class SparseFormatName(StrEnum):
    """Formats of sparse matrices, as words of the command line."""

    csr = "csr"
    csc = "csc"


class _NetworkFirst(TyperGroup):
    """A group whose command need not be named when what follows is a network."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["network", *args]
        return super().parse_args(ctx, args)


traces = typer.Typer(
    cls=_NetworkFirst,
    no_args_is_help=True,
    help="Run one storage variant on real inputs and save what it does: dcsim trace NETWORK -o FILE (see trace network "
    "--help); or look at what was saved.",
)
app.add_typer(traces, name="trace")

TraceArgument = Annotated[Path, typer.Argument(help="A trace written by `dcsim trace`.")]


@traces.command()
def network(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A network of models/, your own as module:callable, a .pt2 or .onnx file, or a YAML table of layers.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")],
    inputs: Annotated[
        str | None,
        typer.Option("--inputs", help="Trace it as it is, on these: module:callable, FILE.npz or FILE.npy."),
    ] = None,
    variant: Annotated[
        VariantName | None,
        typer.Option("--variant", help="Storage variant: huffman, dense with --inputs, or that of the file."),
    ] = None,
    sparse_format: Annotated[
        SparseFormatName | None,
        typer.Option("--sparse-format", help="Price the pruned variant as libraries keep it, 32-bit CSR or CSC."),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Trace the weights of this .dcz file instead.")] = None,
    recipe: RecipeOption = None,
    weights: WeightsOption = None,
    data: DataOption = "",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Estimate nonzero MACs from densities: quicker, and labelled so.")
    ] = False,
    context: ContextOption = None,
    tokens: TokensOption = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Examples that make one frame: 1, or all of --inputs.")
    ] = None,
) -> None:
    """Run one storage variant on real inputs and save what it does, layer by layer."""
    from dcsim.prepare import trace as trace_network
    from dcsim.prepare import unknown_operators
    from dcsim.report.terminal import console, listening
    from dcsim.traces.sparse_formats import priced_as

    require_outputs(output)
    with listening() as listener:
        found = trace_network(
            name,
            variant.value if variant else None,
            recipe=recipe,
            file=file,
            weights=weights,
            dataset=data,
            inputs=inputs,
            batch=batch,
            exact=not estimate,
            context=context,
            tokens=tokens,
            listener=listener,
        )
    if sparse_format:
        found = priced_as(found, sparse_format.value)
    found.save(output)
    unknown = unknown_operators(found)
    if unknown:
        listed = ", ".join(unknown)
        console(stderr=True).print(f"no cost model, counted as data movement: {listed}", soft_wrap=True)
    console().print(f"{output}: {found.network}, {found.variant}, {len(found.layers)} layers", soft_wrap=True)


@traces.command()
def show(trace: TraceArgument, json: JsonOption = None) -> None:
    """Print what a trace holds, a row for each layer."""
    from dcsim.report.terminal import console
    from dcsim.report.traces import trace_document, trace_table, trace_totals
    from dcsim.traces.trace import Trace

    require_outputs(json=json)
    found = Trace.load(trace)
    if json:
        write_json(trace_document(found), json)
    if str(json) != "-":
        console().print(trace_table(found))
        console().print(trace_totals(found), soft_wrap=True)


@traces.command()
def diff(before: TraceArgument, after: TraceArgument, json: JsonOption = None) -> None:
    """Print where two traces differ. Exit code 0: nowhere; 1: somewhere."""
    from dcsim.report.terminal import console
    from dcsim.report.traces import difference_table, differences
    from dcsim.traces.trace import Trace

    require_outputs(json=json)
    found = differences(Trace.load(before), Trace.load(after))
    if json:
        write_json([vars(each) for each in found], json)
    if str(json) != "-":
        console().print(difference_table(found) if found else "no difference")
    if found:
        raise typer.Exit(EXIT_DIFFERENT)

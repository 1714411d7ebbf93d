"""What the commands share: the options they have in common, and how results and faults leave the program."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dcsim.run import RunReport

EXIT_OVER_BUDGET = 1

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What a neural network costs in joules, watts and milliseconds on a phone chip, before and after compression.",
)


def _show_version(asked: bool) -> None:
    if asked:
        from dcsim import __version__

        typer.echo(f"dcsim {__version__}")
        raise typer.Exit


class VariantName(StrEnum):
    """Storage variants, as words of the command line."""

    dense = "dense"
    pruned = "pruned"
    shared = "shared"
    huffman = "huffman"


class EngineName(StrEnum):
    """How a frame is worked out, as words of the command line."""

    event = "event"
    analytic = "analytic"


class Initialization(StrEnum):
    """Where k-means begins, as words of the command line."""

    linear = "linear"
    density = "density"
    forgy = "forgy"
    optimal = "optimal"


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """What goes before a command."""


NetworkArgument = Annotated[
    str,
    typer.Argument(
        help="A network of models/ (lenet-5, alexnet ...), your own as module:callable, or a table of layers."
    ),
]
SocOption = Annotated[str, typer.Option("--soc", help="A chip of configs/soc/ or the path of a YAML file.")]
FpsOption = Annotated[float, typer.Option("--fps", help="Inferences per second.")]
BudgetOption = Annotated[str | None, typer.Option("--budget", help="A budget of configs/budget/ or a YAML path.")]
GateOption = Annotated[
    VariantName | None, typer.Option("--gate", help="Variant whose verdict decides; the most compressed by default.")
]
VariantsOption = Annotated[
    list[VariantName] | None, typer.Option("--variant", help="Run only this variant; may be repeated.")
]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", help="`published`, another recipe-NAME of the network's folder, or a YAML path."),
]
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="safetensors with the dense weights.")]
DataOption = Annotated[
    str,
    typer.Option(
        "--data", help="For a network of your own: mnist, or module:callable that returns a Dataset (or inputs)."
    ),
]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Test examples that make one frame.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Compress again even if files of this recipe exist.")]
PostTrainingOption = Annotated[
    bool, typer.Option("--post-training", help="Prune, share and code the weights as they are, without training.")
]
DensityOption = Annotated[
    float | None, typer.Option("--prune-density", help="Share of weights to keep in every layer, 0 to 1.")
]
CodeBitsOption = Annotated[
    int | None, typer.Option("--codebook-bits", help="Bits of a code before Huffman coding, 1 to 10.")
]
CentroidsOption = Annotated[
    Initialization | None, typer.Option("--centroids", help="Where k-means begins: as the paper, linear.")
]
ContextOption = Annotated[
    int | None, typer.Option("--context", min=0, help="Of a language model: tokens it has behind it.")
]
TokensOption = Annotated[
    int | None, typer.Option("--tokens", min=1, help="Of a language model: tokens it reads in a step.")
]
EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="Replay every tile (event), or repeat equal tiles in closed form.")
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the result as JSON; - for stdout, then nothing else goes there.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder for figures, chip, budget and traces: all that `dcsim report` reads."),
]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Draw the energy per component: .png, .svg or .pdf.")]


def show(report: "RunReport", json: Path | None, plot: Path | None) -> None:
    """Draw, print and write a report, then leave with 1 when it is over budget."""
    from dcsim.report.tables import run_table
    from dcsim.report.terminal import console

    if plot:
        from dcsim.plots.style import save_figure

        save_figure(report.plot.energy(), plot)
    if str(json) != "-":
        screen = console()
        screen.print(run_table(report, screen))
    finish(report, json)


def keep(report: "RunReport", folder: Path | None) -> None:
    """Write the folder of a run, if one is asked for."""
    if folder:
        from dcsim.report.run_folder import write_run

        write_run(report, folder)


def finish(report: "RunReport", json: Path | None) -> None:
    """Write the JSON, then leave with 1 when the gated variant is over budget."""
    if json:
        from dcsim.report.document import document

        write_json(document(report), json)
    report.require_evidence()
    if report.fits is False:
        raise typer.Exit(EXIT_OVER_BUDGET)


def write_json(content: object, path: Path) -> None:
    """Write to a file, or to stdout for `-`."""
    from dcsim.files import write_bytes
    from dcsim.report.document import to_json

    if str(path) == "-":
        sys.stdout.write(to_json(content))
    else:
        write_bytes(path, to_json(content).encode())


def require_outputs(*paths: Path | None, json: Path | None = None, plot: Path | None = None) -> None:
    """Refuse outputs that cannot be written before any work is done. Only JSON may go to stdout, as `-`."""
    from dcsim.errors import OutputError
    from dcsim.files import require_writable
    from dcsim.report import PLOT_FORMATS

    for path in (*paths, plot, None if str(json) == "-" else json):
        if path:
            require_writable(path)
        if str(path) == "-":
            raise OutputError("only --json can go to stdout; name a file")
    if plot and plot.suffix not in PLOT_FORMATS:
        raise OutputError(f"cannot draw {plot}: the name must end in {', '.join(PLOT_FORMATS)}")

"""The command line: parse, call, print. No physics, no arithmetic. Heavy imports wait inside the commands."""

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.errors import DcsimError

if TYPE_CHECKING:
    from dcsim.run import RunReport

EXIT_OVER_BUDGET, EXIT_BAD_INPUT, EXIT_INTERNAL, EXIT_INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What a neural network costs in joules, watts and milliseconds on a phone chip, before and after compression.",
)


class VariantName(StrEnum):
    """Storage variants, as words of the command line."""

    dense = "dense"
    pruned = "pruned"
    shared = "shared"
    huffman = "huffman"


NetworkArgument = Annotated[
    str,
    typer.Argument(help="A network of models/ (lenet-300-100, lenet-5, one-billion) or your own as module:callable."),
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
    str, typer.Option("--data", help="For a network of your own: mnist, or module:callable that returns a Dataset.")
]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Test examples that make one frame.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Compress again even if files of this recipe exist.")]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the result as JSON; - for stdout, then nothing else goes there.")
]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Draw the energy per component: .png, .svg or .pdf.")]


@app.command()
def run(
    network: NetworkArgument,
    soc: SocOption = "mobile45",
    fps: FpsOption = 20,
    budget: BudgetOption = None,
    gate: GateOption = None,
    variant: VariantsOption = None,
    recipe: RecipeOption = None,
    weights: WeightsOption = None,
    data: DataOption = "",
    batch: BatchOption = 1,
    fresh: FreshOption = False,
    json: JsonOption = None,
    plot: PlotOption = None,
) -> None:
    """The main job: compress the network, replay it on the chip, say whether it fits the budget."""
    from dcsim.explore.budget import load_budget
    from dcsim.report.terminal import listening
    from dcsim.run import run as run_network
    from dcsim.simulation.replay import require_fps
    from dcsim.soc.spec import load_soc

    _require_outputs(json=json, plot=plot)
    require_fps(fps)
    chip, limits = load_soc(soc), load_budget(budget) if budget else None
    with listening() as listener:
        report = run_network(
            network,
            chip,
            fps,
            limits,
            variants=[name.value for name in variant or VariantName],
            gate=gate.value if gate else None,
            recipe=recipe,
            weights=weights,
            dataset=data,
            batch=batch,
            fresh=fresh,
            listener=listener,
        )
    _show(report, json, plot)


@app.command()
def compress(
    network: NetworkArgument,
    recipe: RecipeOption = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for the four .dcz files.")] = None,
    weights: WeightsOption = None,
    data: DataOption = "",
    fresh: FreshOption = False,
) -> None:
    """Prune, share and Huffman-code a network; every stage leaves a .dcz file that is read back and tested."""
    from dcsim.prepare import compress as compress_network
    from dcsim.report.terminal import console, listening, print_stage

    if output:
        _require_outputs(output / "stages.json")
    with listening() as listener:
        done = compress_network(
            network, recipe, folder=output, weights=weights, dataset=data, fresh=fresh, listener=listener
        )
    if done.reused:
        for stage in done.stages:
            print_stage(console(stderr=True), stage)
    console().print(f"{done.folder}", soft_wrap=True)


@app.command()
def train(
    network: NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="safetensors file to write.")],
) -> None:
    """Train the dense weights of a network of models/ as its training.yaml says."""
    from dcsim.report.terminal import console, listening
    from dcsim.zoo import require_torch

    require_torch("training a network")
    from dcsim.compression.dense import train_dense

    _require_outputs(output)
    with listening() as listener:
        error = train_dense(network, output, listener.progress, listener.say)
    console().print(f"{output}: test error {100 * error:.2f} %", soft_wrap=True)


@app.command()
def trace(
    network: NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")],
    variant: Annotated[
        VariantName | None, typer.Option("--variant", help="Storage variant to trace; huffman, or that of the file.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Trace this .dcz file instead.")] = None,
    recipe: RecipeOption = None,
    weights: WeightsOption = None,
    data: DataOption = "",
    batch: BatchOption = 1,
) -> None:
    """Run one storage variant on real inputs and save what it does, layer by layer."""
    from dcsim.prepare import trace as trace_network
    from dcsim.report.terminal import console, listening

    _require_outputs(output)
    with listening() as listener:
        found = trace_network(
            network,
            variant.value if variant else None,
            recipe=recipe,
            file=file,
            weights=weights,
            dataset=data,
            batch=batch,
            listener=listener,
        )
    found.save(output)
    console().print(f"{output}: {found.network}, {found.variant}, {len(found.layers)} layers", soft_wrap=True)


@app.command()
def simulate(
    trace: Annotated[Path, typer.Argument(help="A trace written by `dcsim trace`.")],
    soc: SocOption = "mobile45",
    fps: FpsOption = 20,
    json: JsonOption = None,
    plot: PlotOption = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Write every row of the energy ledger as CSV.")
    ] = None,
) -> None:
    """Replay a saved trace on a chip: energy, power, latency, and where the time of each resource went."""
    from dcsim.report.tables import resource_table
    from dcsim.report.terminal import console
    from dcsim.run import judge
    from dcsim.traces.trace import Trace

    _require_outputs(ledger, json=json, plot=plot)
    report = judge([Trace.load(trace)], soc, fps, None)
    if ledger:
        from dcsim.report.document import write_ledger

        write_ledger(report.results[0], ledger)
    _show(report, json, plot)
    if str(json) != "-":
        console().print(resource_table(report.results[0]))


@app.command()
def check(
    traces: Annotated[list[Path], typer.Argument(help="Traces of one network, one or several variants.")],
    budget: Annotated[str, typer.Option("--budget", help="A budget of configs/budget/ or a YAML path.")] = "phone",
    soc: SocOption = "mobile45",
    fps: FpsOption = 20,
    gate: GateOption = None,
    json: JsonOption = None,
) -> None:
    """Hold saved traces against a budget. Exit code 0: the gated variant fits; 1: it does not."""
    from dcsim.report.tables import check_table
    from dcsim.report.terminal import console
    from dcsim.run import judge
    from dcsim.traces.trace import Trace

    _require_outputs(json=json)
    report = judge([Trace.load(path) for path in traces], soc, fps, budget, gate.value if gate else None)
    if str(json) != "-":
        for result, verdict in zip(report.results, report.verdicts, strict=True):
            console().print(f"{result.network}, {result.variant} on {result.soc} at {result.fps:g} fps:")
            if verdict:
                console().print(check_table(verdict))
    _finish(report, json)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .dcz file.")],
    json: JsonOption = None,
) -> None:
    """Show what a .dcz file holds, tensor by tensor."""
    from dcsim.artifact import CompressedModel
    from dcsim.report.document import inspection
    from dcsim.report.tables import inspect_table
    from dcsim.report.terminal import console

    _require_outputs(json=json)
    content = inspection(CompressedModel.load(file))
    if json:
        _write_json(content, json)
    if str(json) != "-":
        console().print(inspect_table(content))


@app.command(name="soc")
def show_soc(
    name: Annotated[str, typer.Argument(help="A chip of configs/soc/ or the path of a YAML file.")] = "mobile45",
) -> None:
    """Check a chip's YAML and show each number with its source."""
    from dcsim.report.tables import soc_table
    from dcsim.report.terminal import console
    from dcsim.soc.spec import load_soc

    console().print(soc_table(load_soc(name)))


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 over budget, 2 bad input, 3 a fault of dcsim itself."""
    # Spinning OpenMP threads make training many times slower when another process wants the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except DcsimError as error:
        sys.stdout.flush()
        sys.stderr.write(f"error: {error}\n")
        sys.exit(EXIT_BAD_INPUT)
    except _Interrupted:
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    except Exception:  # every fault a person can cause is a DcsimError, so this one is ours
        import traceback

        traceback.print_exc()
        sys.stderr.write("internal fault of dcsim: please report it with the lines above\n")
        sys.exit(EXIT_INTERNAL)


class _Interrupted(BaseException):
    """Ctrl-C. click would turn a KeyboardInterrupt into exit code 1, which here means over budget."""


def _interrupt(number: int, frame: object) -> None:
    raise _Interrupted


def _show(report: "RunReport", json: Path | None, plot: Path | None) -> None:
    from dcsim.report.tables import run_table
    from dcsim.report.terminal import console

    if plot:
        from dcsim.report.plots import energy_figure, save_figure

        save_figure(energy_figure(report), plot)
    if str(json) != "-":
        screen = console()
        screen.print(run_table(report, screen))
    _finish(report, json)


def _finish(report: "RunReport", json: Path | None) -> None:
    """Write the JSON, then leave with 1 when the gated variant is over budget."""
    if json:
        from dcsim.report.document import document

        _write_json(document(report), json)
    if report.fits is False:
        raise typer.Exit(EXIT_OVER_BUDGET)


def _write_json(content: object, path: Path) -> None:
    from dcsim.files import write_bytes
    from dcsim.report.document import to_json

    if str(path) == "-":
        sys.stdout.write(to_json(content))
    else:
        write_bytes(path, to_json(content).encode())


def _require_outputs(*paths: Path | None, json: Path | None = None, plot: Path | None = None) -> None:
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

"""Commands that take traces or chips: simulate, check, soc."""

from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.app import FpsOption, GateOption, JsonOption, PlotOption, SocOption, app, finish, require_outputs, show


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

    require_outputs(ledger, json=json, plot=plot)
    report = judge([Trace.load(trace)], soc, fps, None)
    if ledger:
        from dcsim.report.document import write_ledger

        write_ledger(report.results[0], ledger)
    show(report, json, plot)
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

    require_outputs(json=json)
    report = judge([Trace.load(path) for path in traces], soc, fps, budget, gate.value if gate else None)
    if str(json) != "-":
        for result, verdict in zip(report.results, report.verdicts, strict=True):
            console().print(f"{result.network}, {result.variant} on {result.soc} at {result.fps:g} fps:")
            if verdict:
                console().print(check_table(verdict))
    finish(report, json)


@app.command(name="soc")
def show_soc(
    name: Annotated[str, typer.Argument(help="A chip of configs/soc/ or the path of a YAML file.")] = "mobile45",
) -> None:
    """Check a chip's YAML and show each number with its source."""
    from dcsim.report.tables import soc_table
    from dcsim.report.terminal import console
    from dcsim.soc.spec import load_soc

    console().print(soc_table(load_soc(name)))

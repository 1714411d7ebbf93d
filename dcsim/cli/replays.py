"""Commands that take a trace or a chip: simulate, soc."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.app import (
    EngineName,
    EngineOption,
    FolderOption,
    FpsOption,
    JsonOption,
    PlotOption,
    SocOption,
    app,
    keep,
    require_outputs,
    show,
)


class ArrivalName(StrEnum):
    """How frames arrive, as words of the command line."""

    periodic = "periodic"
    jittered = "jittered"
    poisson = "poisson"


@app.command()
def simulate(
    trace: Annotated[Path, typer.Argument(help="A trace written by `dcsim trace`.")],
    soc: SocOption = "mobile45",
    fps: FpsOption = 20,
    arrivals: Annotated[ArrivalName, typer.Option("--arrivals", help="How frames arrive.")] = ArrivalName.periodic,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames to serve after the cold one.")] = 1000,
    jitter: Annotated[
        float, typer.Option("--jitter", min=0.0, max=1.0, help="Of jittered arrivals: periods to either side.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of arrivals that are random.")] = 0,
    deadline: Annotated[
        float | None, typer.Option("--deadline", help="Seconds from arrival to last write-back; a period unless said.")
    ] = None,
    placement: Annotated[
        Path | None, typer.Option("--placement", help="What stays in SRAM, as --save-placement wrote it.")
    ] = None,
    save_placement: Annotated[
        Path | None, typer.Option("--save-placement", help="Write what stays in SRAM as YAML, to be given again.")
    ] = None,
    engine: EngineOption = EngineName.event,
    output: FolderOption = None,
    json: JsonOption = None,
    plot: PlotOption = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="Write every row of the energy ledger as CSV.")
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option("--timeline", help="Write one frame, tile by tile, for ui.perfetto.dev (JSON).")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show where the data of each layer lies, and why.")] = False,
) -> None:
    """Replay a saved trace on a chip: energy, power, latency, and where the time of each resource went."""
    from dcsim.report import RUN
    from dcsim.report.tables import placement_table, queue_line, resource_table
    from dcsim.report.terminal import console
    from dcsim.run import judge
    from dcsim.simulation.frames import Arrivals
    from dcsim.simulation.placement import load_placement, save
    from dcsim.traces.trace import Trace

    require_outputs(ledger, save_placement, timeline, output and output / RUN, json=json, plot=plot)
    if timeline and engine == EngineName.analytic:
        from dcsim.errors import ConfigError
        from dcsim.report.timeline import NO_SLICES

        raise ConfigError(NO_SLICES)
    report = judge(
        [Trace.load(trace)],
        soc,
        fps,
        None,
        arrivals=Arrivals(arrivals.value, frames, jitter, seed),
        deadline_s=deadline,
        placement=load_placement(placement) if placement else None,
        engine=engine.value,
    )
    (result,) = report.results
    if ledger:
        from dcsim.report.document import write_ledger

        write_ledger(result, ledger)
    if timeline:
        from dcsim.report.timeline import write_timeline

        write_timeline(result, timeline)
    if save_placement:
        save(result.placement, save_placement)
    keep(report, output)
    show(report, json, plot)
    if str(json) != "-":
        screen = console()
        screen.print(resource_table(result))
        screen.print(queue_line(result), soft_wrap=True)
        if layers:
            screen.print(placement_table(result))


@app.command(name="soc")
def show_soc(
    name: Annotated[str, typer.Argument(help="A chip of configs/soc/ or the path of a YAML file.")] = "mobile45",
) -> None:
    """Check a chip's YAML, show each number with its source, and what follows from them."""
    from dcsim.report.chips import derived_table, soc_table
    from dcsim.report.terminal import console
    from dcsim.soc.spec import load_soc

    chip, screen = load_soc(name), console()
    screen.print(soc_table(chip))
    screen.print(derived_table(chip))

"""The command that holds saved traces against a budget: check."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.app import (
    EXIT_OVER_BUDGET,
    EngineName,
    EngineOption,
    FpsOption,
    GateOption,
    JsonOption,
    SocOption,
    app,
    require_outputs,
    write_json,
)
from dcsim.cli.replays import ArrivalName
from dcsim.errors import OutputError
from dcsim.files import write_bytes

if TYPE_CHECKING:
    from dcsim.report.baseline import Changes
    from dcsim.run import RunReport


@app.command()
def check(
    traces: Annotated[list[Path], typer.Argument(help="Traces of one network, one or several variants.")],
    budget: Annotated[str, typer.Option("--budget", help="A budget of configs/budget/ or a YAML path.")] = "phone",
    soc: SocOption = "mobile45",
    fps: FpsOption = 20,
    gate: GateOption = None,
    arrivals: Annotated[ArrivalName, typer.Option("--arrivals", help="How frames arrive.")] = ArrivalName.periodic,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames to serve after the cold one.")] = 1000,
    jitter: Annotated[
        float, typer.Option("--jitter", min=0.0, max=1.0, help="Of jittered arrivals: periods to either side.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of arrivals that are random.")] = 0,
    deadline: Annotated[
        float | None,
        typer.Option("--deadline", help="Seconds from arrival to last write-back, instead of the budget's."),
    ] = None,
    engine: EngineOption = EngineName.event,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="Show what has changed since --json wrote this file.")
    ] = None,
    json: JsonOption = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the checks as JUnit XML.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write the verdict as Markdown; - for stdout, alone.")
    ] = None,
) -> None:
    """Hold saved traces against a budget.

    Exit code 0: the gated variant fits; 1: it does not; 2: bad input, or evidence is missing.
    """
    from dcsim.report.baseline import changes, read_document
    from dcsim.report.document import document
    from dcsim.run import judge
    from dcsim.simulation.frames import Arrivals
    from dcsim.traces.trace import Trace

    _require_outputs(json, junit, markdown)
    before = read_document(baseline) if baseline else None
    report = judge(
        [Trace.load(path) for path in traces],
        soc,
        fps,
        budget,
        gate.value if gate else None,
        arrivals=Arrivals(arrivals.value, frames, jitter, seed),
        deadline_s=deadline,
        engine=engine.value,
    )
    now = document(report)
    changed = changes(before, now) if before else None
    if "-" not in (str(json), str(markdown)):
        _print(report, changed)
    if json:
        write_json(now, json)
    if junit:
        from dcsim.report.junit import junit as as_junit

        write_bytes(junit, as_junit(report))
    if markdown:
        _write_markdown(report, changed, markdown)
    report.require_evidence()
    if not report.fits:
        raise typer.Exit(EXIT_OVER_BUDGET)


def _require_outputs(json: Path | None, junit: Path | None, markdown: Path | None) -> None:
    if str(json) == str(markdown) == "-":
        raise OutputError("--json and --markdown cannot both go to stdout; name a file for one")
    require_outputs(junit, None if str(markdown) == "-" else markdown, json=json)


def _print(report: "RunReport", changed: "Changes | None") -> None:
    """Every variant's checks, what is wrong with them and what has changed; the verdict that decides comes last."""
    from dcsim.report.checks import change_table, check_table, run_name, sentences, title, unchanged
    from dcsim.report.terminal import console

    screen = console()
    for result, verdict in zip(report.results, report.verdicts, strict=True):
        assert verdict, "check has a budget"
        screen.print(f"{run_name(result)}:")
        screen.print(check_table(verdict))
        for told in sentences(verdict):
            screen.print(told, soft_wrap=True)
        changes = changed.variants.get(result.variant, ()) if changed else ()
        if table := change_table(changes):
            screen.print(table)
        if same := unchanged(changes):
            screen.print(same, soft_wrap=True)
    for condition in changed.conditions if changed else ():
        screen.print(f"baseline: {condition}", soft_wrap=True)
    screen.print(title(report), soft_wrap=True)


def _write_markdown(report: "RunReport", changed: "Changes | None", path: Path) -> None:
    from dcsim.report.checks import markdown

    text = markdown(report, changed)
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        write_bytes(path, text.encode())

"""The command that runs many design points: sweep."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.app import app, require_outputs

if TYPE_CHECKING:
    from dcsim.explore.executors import Executor


class ExecutorName(StrEnum):
    """Who works the points out, as words of the command line."""

    local = "local"
    dask = "dask"


@app.command()
def sweep(
    spec: Annotated[str, typer.Argument(help="A sweep of configs/sweep/ or the path of a YAML file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of traces and shards; run again to go on.")],
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; one a core unless said.")] = None,
    executor: Annotated[ExecutorName, typer.Option("--executor", help="Who works it out.")] = ExecutorName.local,
    scheduler: Annotated[str, typer.Option("--scheduler", help="Of the Dask cluster: tcp://host:port.")] = "",
    shard: Annotated[str, typer.Option("--shard", help="Do this part only: i/n, such as 2/8.")] = "1/1",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many points there are and how long it takes.")
    ] = False,
    table: Annotated[Path | None, typer.Option("--table", help="Write all rows: .parquet or .csv.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the Pareto front: .png, .svg or .pdf.")] = None,
) -> None:
    """Work out every combination of a sweep's axes; a run that was stopped goes on where it was."""
    from tempfile import TemporaryDirectory

    from dcsim.errors import ConfigError
    from dcsim.explore.executors import DaskCluster, LocalPool
    from dcsim.explore.plan import make_plan
    from dcsim.explore.sweep import Share
    from dcsim.explore.sweep import sweep as run_sweep
    from dcsim.explore.sweep_spec import load_sweep
    from dcsim.report.sweeps import (
        expectation,
        require_sound,
        sensitivity_table,
        sweep_lines,
        sweep_rows,
        sweep_table,
        watched,
        write_table,
    )
    from dcsim.report.terminal import console, listening

    require_outputs(table, plot=plot)
    if table and table.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"cannot write {table}: the name must end in .parquet or .csv")
    if (executor == ExecutorName.dask) != bool(scheduler):
        raise ConfigError("--executor dask and --scheduler tcp://host:port belong together")
    asked, share = load_sweep(spec), Share.of_text(shard)
    if plot and len(asked.objectives) < 2:
        raise ConfigError(f"sweep {asked.name} has one objective; a front that can be drawn needs two")
    workforce: Executor = DaskCluster(scheduler) if scheduler else LocalPool(workers) if workers else LocalPool()
    with listening() as listener, TemporaryDirectory() as scratch:
        plan = make_plan(asked, output, listener, Path(scratch) if dry_run else None)
        listener.say(expectation(plan, share, workforce))
        if dry_run:
            return
        found = run_sweep(plan, output, share=share, executor=workforce, progress=watched(listener))
    rows, screen = sweep_rows(found), console()
    for line in sweep_lines(found, rows):
        screen.print(line, soft_wrap=True)
    if table and found.n_points:
        write_table(found, table)
    require_sound(found, rows)
    if found.n_points:
        screen.print(sweep_table(found, rows))
        screen.print(sensitivity_table(found, rows))
    if plot and found.n_points:
        from dcsim.plots.style import save_figure

        save_figure(found.plot.pareto(), plot)

"""Talking to a terminal: consoles, progress bars, a line for every finished stage."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dcsim.prepare import Listener

if TYPE_CHECKING:
    from dcsim.compression.store import Stage

UNBOUNDED_WIDTH = 200  # what is not a terminal gets tables at their natural width


def console(stderr: bool = False) -> Console:
    """A console on stdout or stderr."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else UNBOUNDED_WIDTH, highlight=False)


@contextmanager
def listening() -> Iterator[Listener]:
    """A progress bar on stderr while training runs, and a line for every stage that is finished."""
    screen = console(stderr=True)
    columns = (TextColumn("{task.description:<8}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=screen) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int, total: int, note: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, note=note)
            bars.update(tasks[stage], completed=done, note=note)

        yield Listener(progress, lambda stage: print_stage(screen, stage), screen.print)


def print_stage(screen: Console, stage: "Stage") -> None:
    """One denominator for all: real bytes, ratio to dense fp32, test error of the decoded file."""
    screen.print(
        f"{stage.variant:<8}{stage.file_bytes:>12,} bytes {stage.compression_ratio:>7.1f}x"
        f"   test error {100 * stage.test_error:.2f} %"
    )

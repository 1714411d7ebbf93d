"""Talking to a terminal: consoles, progress bars, a line for every finished stage."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dcsim.prepare import Listener

if TYPE_CHECKING:
    from dcsim.compression.post_training import Packed
    from dcsim.compression.store import Stage

UNTRAINED_ERROR = 0.5  # assumption: whoever compresses a network has one that is right more often than not
LISTED = 5  # names in a message; more say how many they are
UNBOUNDED_WIDTH = 200  # what is not a terminal gets tables at their natural width


def console(stderr: bool = False) -> Console:
    """A console on stdout or stderr, which prints names and paths as they are, brackets and colons too."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else UNBOUNDED_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


@contextmanager
def listening() -> Iterator[Listener]:
    """Progress bars on stderr while training runs there in a terminal, and a line for every stage that is finished.

    What is said again, as of each variant that comes from the same files, is printed once.
    """
    screen = console(stderr=True)
    columns = (TextColumn("{task.description:<8}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    bars = Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False), console=screen)
    tasks: dict[str, TaskID] = {}
    said: set[str] = set()

    def progress(stage: str, done: int, total: int, note: str) -> None:
        if not screen.is_terminal:
            return
        if stage not in tasks:
            bars.start()
            tasks[stage] = bars.add_task(stage, total=total, note=note)
        bars.update(tasks[stage], completed=done, note=note)

    def say(message: str) -> None:
        if message not in said:
            said.add(message)
            screen.print(message, soft_wrap=True)

    try:
        yield Listener(progress, partial(print_stage, screen), say)
    finally:
        if tasks:
            bars.stop()


def print_stage(screen: Console, stage: "Stage") -> None:
    """One denominator for all: real bytes, ratio to dense fp32, test error of the decoded file."""
    screen.print(
        f"{stage.variant:<8}{stage.file_bytes:>12,} bytes {stage.compression_ratio:>7.1f}x"
        f"   test error {100 * stage.test_error:.2f} %"
    )
    if stage.variant == "dense" and stage.test_error > UNTRAINED_ERROR:
        screen.print("is this network trained? dcsim retrains what pruning breaks, it does not train from scratch")


def print_packed(done: "Packed") -> None:
    """What a compression without training came to; what was left out and which centroids are idle go to stderr."""
    screen = console(stderr=True)
    if done.left_out:
        others = len(done.left_out) - LISTED
        listed = ", ".join(done.left_out[:LISTED]) + (f" and {others} more" if others > 0 else "")
        screen.print(f"left out, not weights: {listed}", soft_wrap=True)
    if done.n_centroids:
        screen.print(
            f"{done.n_empty_centroids:,} of {done.n_centroids:,} centroids own no weight and are not stored",
            soft_wrap=True,
        )
    console().print(
        f"{done.path}: {done.n_tensors:,} tensors, {done.file_bytes:,} bytes, {done.compression_ratio:.1f}x",
        soft_wrap=True,
    )

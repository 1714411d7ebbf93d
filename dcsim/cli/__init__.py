"""The command line: parse, call, print. No physics, no arithmetic. Heavy imports wait inside the commands."""

import os
import signal
import sys

# isort: off
# the order in which commands are registered is that of --help
from dcsim.cli import networks, traces, replays, verdicts, sweeps, answers  # noqa: F401 - registers the commands
from dcsim.cli import reports, choices, files, dram, validate, schema  # noqa: F401 - registers the commands

# isort: on
from dcsim.cli.app import app
from dcsim.errors import DcsimError

EXIT_BAD_INPUT, EXIT_INTERNAL, EXIT_SIGNALLED = 2, 3, 128
STOPPING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, or it fits; 1 over budget, beyond tolerance, or two files differ; 2 bad input, or evidence is
    missing; 3 a fault of dcsim itself.
    """
    # Spinning OpenMP threads make training many times slower when another process wants the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for number in STOPPING_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores one, and means it
            signal.signal(number, _interrupt)
    try:
        app()
    except DcsimError as error:
        sys.stdout.flush()
        sys.stderr.write(f"error: {error}\n")
        sys.exit(EXIT_BAD_INPUT)
    except _Interrupted as interruption:
        sys.stderr.write("interrupted\n")
        sys.exit(EXIT_SIGNALLED + interruption.number)
    except Exception:  # every fault a person can cause is a DcsimError, so this one is ours
        import traceback

        traceback.print_exc()
        sys.stderr.write("internal fault of dcsim: please report it with the lines above\n")
        sys.exit(EXIT_INTERNAL)


class _Interrupted(BaseException):
    """Ctrl-C, or a signal that asks to stop: unfinished files are removed on the way out.

    click would turn a KeyboardInterrupt into exit code 1, which here means over budget.
    """

    def __init__(self, number: int) -> None:
        self.number = number


def _interrupt(number: int, frame: object) -> None:
    raise _Interrupted(number)

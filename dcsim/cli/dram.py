"""The command that replays an address trace on the DRAM of a chip: dram."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.app import JsonOption, SocOption, app, require_outputs, write_json

if TYPE_CHECKING:
    from dcsim.soc.dram_spec import Idle


class IdleName(StrEnum):
    """What the DRAM does without work, as words of the command line."""

    standby = "standby"
    power_down = "power_down"
    self_refresh = "self_refresh"


@app.command()
def dram(
    trace: Annotated[Path, typer.Argument(help="A text file: a line `0xADDRESS READ|WRITE CYCLE` for each request.")],
    soc: SocOption = "mobile45",
    outstanding: Annotated[
        int | None,
        typer.Option(
            "--outstanding",
            min=0,
            help="Reads in flight at most; 0 for no limit. The chip's n_outstanding unless said.",
        ),
    ] = None,
    idle: Annotated[
        IdleName | None, typer.Option("--idle", help="State of the DRAM without work; rows stay open unless said.")
    ] = None,
    cycles: Annotated[
        int, typer.Option("--cycles", min=0, help="Measure over at least so many cycles of the DRAM clock.")
    ] = 0,
    json: JsonOption = None,
) -> None:
    """Replay an address trace on the DRAM alone, burst by burst: cycles, commands, energy of the device by kind."""
    from dcsim.errors import ConfigError
    from dcsim.report.dram import dram_document, dram_table
    from dcsim.report.terminal import console
    from dcsim.soc.dram_controller import replay
    from dcsim.soc.dram_spec import BankedDram
    from dcsim.soc.dram_trace import MOST_CYCLES, read_trace
    from dcsim.soc.spec import load_soc

    require_outputs(json=json)
    chip = load_soc(soc)
    part = chip.dram
    if not isinstance(part, BankedDram):
        raise ConfigError(
            f"{chip.name} has no banks to replay addresses on: expected dram.kind banked, found {part.kind}; "
            "choose another chip with --soc"
        )
    if cycles > MOST_CYCLES:
        raise ConfigError(f"--cycles: expected at most {MOST_CYCLES:,}, found {cycles:,}")
    requests = read_trace(trace)
    n_outstanding = (part.n_outstanding if outstanding is None else outstanding) or None
    state: Idle | None = idle.value if idle else None
    found = replay(part, requests, n_outstanding, state, cycles)
    if json:
        write_json(dram_document(found, chip.name, n_outstanding, state), json)
    if str(json) != "-":
        console().print(dram_table(found, chip.name))

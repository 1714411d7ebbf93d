"""The command that holds dcsim against published and measured figures: validate."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.app import JsonOption, app, require_outputs, write_json

if TYPE_CHECKING:
    from dcsim.validation.comparison import Comparison

EXIT_BEYOND_TOLERANCE = 1


class TableName(StrEnum):
    """Validation tables, as words of the command line."""

    dram = "dram"
    eie = "eie"
    tegra = "tegra"
    deep_compression = "deep-compression"
    seed = "seed"


@app.command()
def validate(
    table: Annotated[TableName | None, typer.Argument(help="One of the tables; all of them unless said.")] = None,
    json: JsonOption = None,
) -> None:
    """Hold dcsim against papers and other simulators. Exit code 0: all within tolerance; 1: a row is beyond it."""
    from dcsim.report.terminal import console
    from dcsim.report.validation import print_validation, summary_line, validation_document
    from dcsim.validation.registry import TABLES

    require_outputs(json=json)
    rows: list[Comparison] = []
    for name in [table.value] if table else TABLES:
        found = TABLES[name]()
        rows += found
        if str(json) != "-":
            print_validation(console(), found)
    if json:
        write_json(validation_document(rows), json)
    if str(json) != "-":
        console().print(summary_line(rows), soft_wrap=True)
    if not all(row.ok for row in rows):
        raise typer.Exit(EXIT_BEYOND_TOLERANCE)

"""The command that turns runs into a page: report."""

from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.app import app, require_outputs


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `dcsim run -o` or `dcsim simulate -o` wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write; it needs nothing beside it.")],
) -> None:
    """Make one HTML page of one run or several, to look at and to play with: energies, rates and idle policies."""
    from dcsim.report.html.bundle import require_report_packages
    from dcsim.report.html.page import write_report
    from dcsim.report.run_folder import load_run
    from dcsim.report.terminal import console

    require_outputs(output)
    require_report_packages()
    write_report([load_run(folder) for folder in runs], output)
    console().print(f"{output}: {output.stat().st_size:,} bytes", soft_wrap=True)

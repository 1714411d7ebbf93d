"""Commands that answer a question by trying: fit, break-even, knobs."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.app import (
    EXIT_OVER_BUDGET,
    DataOption,
    EngineName,
    EngineOption,
    FpsOption,
    JsonOption,
    RecipeOption,
    SocOption,
    VariantName,
    app,
    require_outputs,
    write_json,
)

if TYPE_CHECKING:
    from dcsim.explore.fit import Wanted


class FigureName(StrEnum):
    """Figures that a knob may move, as words of the command line."""

    energy_pj_per_frame = "energy_pj_per_frame"
    average_power_watts = "average_power_watts"
    latency_s = "latency_s"


SourceArgument = Annotated[
    str,
    typer.Argument(metavar="NETWORK|TRACE.parquet", help="A network as for run, or a trace saved by `dcsim trace`."),
]
VariantOption = Annotated[
    VariantName | None, typer.Option("--variant", help="Storage variant of the network; huffman unless said.")
]
KNOB_HELP = "A number of the chip's YAML, such as sram.capacity_kib, or fps, operating_point, variant or codebook_bits."


@app.command()
def fit(
    source: SourceArgument,
    smallest: Annotated[str | None, typer.Option("--smallest", metavar="KNOB", help=KNOB_HELP)] = None,
    largest: Annotated[str | None, typer.Option("--largest", metavar="KNOB", help=KNOB_HELP)] = None,
    budget: Annotated[str, typer.Option("--budget", help="A budget of configs/budget/ or a YAML path.")] = "phone",
    soc: SocOption = "mobile45",
    fps: FpsOption = 20,
    lowest: Annotated[
        float | None, typer.Option("--from", help="Least value to try; 1/64 of the chip's unless said.")
    ] = None,
    highest: Annotated[
        float | None, typer.Option("--to", help="Largest value to try; 64 times the chip's unless said.")
    ] = None,
    variant: VariantOption = None,
    recipe: RecipeOption = None,
    data: DataOption = "",
    engine: EngineOption = EngineName.event,
    trail: Annotated[
        bool, typer.Option("--trail", help="Show every value in the order in which it was tried.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Find the smallest or largest value of a knob at which a network meets a budget.

    Exit code 0: found; 1: no value within the bounds fits; 2: bad input, or evidence is missing.
    """
    from dcsim.errors import ConfigError
    from dcsim.explore.network_knobs import Source, fit_source
    from dcsim.report.answers import fit_document, fit_lines, fit_table, trail_table
    from dcsim.report.terminal import console, listening

    require_outputs(json=json)
    if (smallest is None) == (largest is None):
        raise ConfigError("say which knob to turn: --smallest KNOB or --largest KNOB")
    knob = smallest or largest or ""
    wanted: Wanted = "smallest" if smallest else "largest"
    with listening() as listener:
        asked = Source(source, variant.value if variant else None, recipe, data, listener)
        found = fit_source(asked, soc, fps, budget, knob, wanted, lowest, highest, engine.value)
    if json:
        write_json(fit_document(found), json)
    if str(json) != "-":
        screen = console()
        if trail:
            screen.print(trail_table(found))
        screen.print(fit_table(found))
        for line in fit_lines(found):
            screen.print(line, soft_wrap=True)
    if not found.found:
        raise typer.Exit(EXIT_OVER_BUDGET)


@app.command(name="break-even")
def break_even(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK|TRACE.parquet...",
            help="A network as for run, all of its variants; or saved traces of it, the one to compare with first.",
        ),
    ],
    soc: SocOption = "mobile45",
    recipe: RecipeOption = None,
    data: DataOption = "",
    engine: EngineOption = EngineName.event,
    json: JsonOption = None,
) -> None:
    """Find the frame rate from which compression pays, and the SRAM with which a network needs no DRAM traffic."""
    from dcsim.artifact import VARIANTS
    from dcsim.errors import ConfigError
    from dcsim.explore.break_even import break_evens
    from dcsim.explore.network_knobs import Source
    from dcsim.report.answers import break_even_document, break_even_lines, break_even_tables
    from dcsim.report.terminal import console, listening

    require_outputs(json=json)
    with listening() as listener:
        asked = [Source(source, None, recipe, data, listener) for source in sources]
        if len(asked) > 1 and not all(source.saved for source in asked):
            raise ConfigError("give one network, or saved traces of one")
        if asked[0].saved:
            traces = [source.trace() for source in asked]
        else:
            traces = [asked[0].trace(variant) for variant in VARIANTS]
        found = break_evens(traces, soc, engine.value)
    if json:
        write_json(break_even_document(found), json)
    if str(json) != "-":
        screen = console()
        for table in break_even_tables(found):
            screen.print(table)
        for line in break_even_lines(found):
            screen.print(line, soft_wrap=True)


@app.command()
def knobs(
    source: SourceArgument,
    soc: SocOption = "mobile45",
    fps: FpsOption = 20,
    figure: Annotated[
        FigureName, typer.Option("--figure", help="What they move; latency is the time of a frame.")
    ] = FigureName.energy_pj_per_frame,
    variant: VariantOption = None,
    recipe: RecipeOption = None,
    data: DataOption = "",
    json: JsonOption = None,
) -> None:
    """Turn every number of a chip by 10 % and show which moves energy, power or latency most."""
    from dcsim.explore.answers import knobs as turn
    from dcsim.explore.network_knobs import Source
    from dcsim.report.answers import knob_document, knob_line, knob_table
    from dcsim.report.terminal import console, listening
    from dcsim.soc.spec import load_soc

    require_outputs(json=json)
    chip = load_soc(soc)
    with listening() as listener:
        trace = Source(source, variant.value if variant else None, recipe, data, listener).trace()
    found = turn(trace, chip, fps, figure.value)
    about = {"network": trace.network, "variant": trace.variant, "synthetic": trace.synthetic, "soc": chip.name}
    if json:
        write_json(knob_document(found, {**about, "fps": fps, "figure": figure.value}), json)
    if str(json) != "-":
        console().print(
            knob_table(found, f"{trace.network}, {trace.variant} on {chip.name} at {fps:.10g} fps: {figure}")
        )
        console().print(knob_line(found), soft_wrap=True)

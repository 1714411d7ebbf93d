"""Commands that help to choose a recipe: sensitivity, recipe auto."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.app import (
    DataOption,
    NetworkArgument,
    PlotOption,
    RecipeOption,
    WeightsOption,
    app,
    require_outputs,
)

if TYPE_CHECKING:
    from dcsim.compression.search import Trial

recipes = typer.Typer(no_args_is_help=True, help="Find a recipe for a network.")
app.add_typer(recipes, name="recipe")


@app.command()
def sensitivity(
    network: NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV file to write.")],
    plot: PlotOption = None,
    weights: WeightsOption = None,
    data: DataOption = "",
) -> None:
    """Prune and share each layer alone, without retraining, and measure the error on held-out training examples."""
    from dcsim.plots.style import save_figure
    from dcsim.report.choices import sensitivity_figure, write_rows
    from dcsim.report.terminal import console, listening
    from dcsim.zoo import require_torch

    require_outputs(output, plot=plot)
    require_torch("trying a network")
    from dcsim.compression.pipeline import require_scores
    from dcsim.compression.sensitivity import scan
    from dcsim.prepare import load_trained

    with listening() as listener:
        found, model, dataset = load_trained(network, weights, data, listener)
        require_scores(model, dataset)
        before, rows = scan(model, dataset.held_out(), on_progress=listener.progress)
    write_rows(rows, output)
    if plot:
        save_figure(sensitivity_figure(found.name, before, rows), plot)
    n_layers = len({row.layer for row in rows})
    console().print(f"{output}: {n_layers} layers, {100 * before:.2f} % as they are", soft_wrap=True)


@recipes.command()
def auto(
    network: NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Recipe YAML to write; trials go to a folder beside.")],
    max_error: Annotated[
        float, typer.Option("--max-error", min=0.0, max=1.0, help="Error to permit on held-out examples, 0 to 1.")
    ],
    recipe: RecipeOption = None,
    weights: WeightsOption = None,
    data: DataOption = "",
) -> None:
    """Find how many weights and values give the smallest file at an error, by trying; goes on where it was stopped.

    A sixth of the training examples is held out to judge by; the test set is not looked at. --recipe gives the epochs
    and rates to search with; without it they are 36 epochs in all.
    """
    from dcsim.report.choices import recipe_text, write_rows
    from dcsim.report.terminal import console, listening
    from dcsim.zoo import require_torch

    require_outputs(output)
    require_torch("trying a network")
    from dcsim.compression.recipe import search_base
    from dcsim.compression.search import Search
    from dcsim.files import write_bytes
    from dcsim.prepare import architecture, load_recipe, load_trained

    with listening() as listener:
        found, model, dataset = load_trained(network, weights, data, listener)
        base = load_recipe(found, recipe) if recipe else search_base(output.stem)

        def on_trial(trial: "Trial") -> None:
            listener.say(
                f"{trial.n_kept:>9,} weights, {trial.n_codes:>2} values {trial.file_bytes:>12,} bytes"
                f"   error {100 * trial.error:.2f} %"
            )

        folder = output.with_name(f"{output.stem}.trials")
        search = Search(
            found.name,
            architecture(found, model, dataset),
            model,
            base,
            dataset.held_out(),
            folder,
            listener.progress,
            on_trial,
        )
        best = search.smallest(max_error)
    write_rows(search.trials, folder / "trials.csv")
    write_bytes(output, recipe_text(search.recipe(best.n_kept, best.n_codes), best, max_error).encode())
    console().print(
        f"{output}: {best.n_kept:,} weights, {best.n_codes} values, {best.file_bytes:,} bytes at "
        f"{100 * best.error:.2f} % on held-out examples",
        soft_wrap=True,
    )

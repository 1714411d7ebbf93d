"""Commands that take a network: run, compress, train."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.app import (
    BatchOption,
    BudgetOption,
    CentroidsOption,
    CodeBitsOption,
    ContextOption,
    DataOption,
    DensityOption,
    EngineName,
    EngineOption,
    FolderOption,
    FpsOption,
    FreshOption,
    GateOption,
    JsonOption,
    NetworkArgument,
    PlotOption,
    PostTrainingOption,
    RecipeOption,
    SocOption,
    TokensOption,
    VariantName,
    VariantsOption,
    WeightsOption,
    app,
    keep,
    require_outputs,
    show,
)

if TYPE_CHECKING:
    from dcsim.compression.plan import Overrides


@app.command()
def run(
    network: NetworkArgument,
    soc: SocOption = "mobile45",
    fps: FpsOption = 20,
    budget: BudgetOption = None,
    gate: GateOption = None,
    variant: VariantsOption = None,
    recipe: RecipeOption = None,
    weights: WeightsOption = None,
    data: DataOption = "",
    batch: BatchOption = 1,
    fresh: FreshOption = False,
    post_training: PostTrainingOption = False,
    density: DensityOption = None,
    code_bits: CodeBitsOption = None,
    centroids: CentroidsOption = None,
    context: ContextOption = None,
    tokens: TokensOption = None,
    engine: EngineOption = EngineName.event,
    output: FolderOption = None,
    json: JsonOption = None,
    plot: PlotOption = None,
) -> None:
    """The main job: compress the network, replay it on the chip, say whether it fits the budget."""
    from dcsim.compression.plan import Overrides
    from dcsim.errors import ConfigError
    from dcsim.explore.budget import load_budget
    from dcsim.report import RUN
    from dcsim.report.terminal import listening
    from dcsim.run import run as run_network
    from dcsim.simulation.simulate import require_fps
    from dcsim.soc.spec import load_soc

    require_outputs(output and output / RUN, json=json, plot=plot)
    require_fps(fps)
    chip, limits = load_soc(soc), load_budget(budget) if budget else None
    overrides = Overrides(density, None, code_bits, None, centroids.value if centroids else None)
    if overrides != Overrides() and not post_training:
        raise ConfigError("--prune-density, --codebook-bits and --centroids need --post-training; a recipe has its own")
    with listening() as listener:
        report = run_network(
            network,
            chip,
            fps,
            limits,
            variants=[name.value for name in variant or VariantName],
            gate=gate.value if gate else None,
            recipe=recipe,
            weights=weights,
            dataset=data,
            batch=batch,
            fresh=fresh,
            post_training=overrides.post_training() if post_training else None,
            context=context,
            tokens=tokens,
            engine=engine.value,
            listener=listener,
        )
    keep(report, output)
    show(report, json, plot)


@app.command()
def compress(
    network: Annotated[
        str | None, typer.Argument(help="As for run. With --as-is or --post-training a name to record, or nothing.")
    ] = None,
    recipe: RecipeOption = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the four .dcz files; with --as-is or --post-training a file."),
    ] = None,
    weights: WeightsOption = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Pack the tensors of --weights bit for bit: pruned and shared elsewhere.")
    ] = False,
    post_training: PostTrainingOption = False,
    density: DensityOption = None,
    threshold: Annotated[
        float | None, typer.Option("--prune-threshold", help="Post-training: smallest magnitude to keep.")
    ] = None,
    code_bits: CodeBitsOption = None,
    gap_bits: Annotated[
        str | None, typer.Option("--gap-bits", help="Bits of a gap, 0 to 16, or auto: what makes the file smallest.")
    ] = None,
    centroids: CentroidsOption = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Instead of the recipe's.")] = None,
    data: DataOption = "",
    fresh: FreshOption = False,
) -> None:
    """Prune, share and Huffman-code a network; every stage leaves a .dcz file that is read back and tested."""
    from dcsim.compression.plan import Overrides, gap_bits_from
    from dcsim.errors import ConfigError
    from dcsim.prepare import compress as compress_network
    from dcsim.report.terminal import console, listening, print_stage

    overrides = Overrides(
        density, threshold, code_bits, gap_bits_from(gap_bits), centroids.value if centroids else None, seed
    )
    if as_is or post_training:
        if recipe or fresh or (as_is and post_training) or (as_is and data):
            raise ConfigError("--as-is, --post-training and a recipe with its data exclude each other")
        if output is None or (weights is None and (as_is or network is None)):
            raise ConfigError(
                "--as-is and --post-training need --weights FILE.safetensors, or --post-training a network, and "
                "-o FILE.dcz"
            )
        if post_training and network and (weights is None or data):
            _compress_network(network, weights, output, overrides, data)
        else:
            _compress_weights(weights, output, overrides, as_is, network)
        return
    if network is None:
        raise ConfigError("name a network, or give --weights with --as-is or --post-training")
    if output:
        require_outputs(output / "stages.json")
    with listening() as listener:
        done = compress_network(
            network,
            recipe,
            folder=output,
            weights=weights,
            dataset=data,
            overrides=overrides,
            fresh=fresh,
            listener=listener,
        )
    if done.reused:
        for stage in done.stages:
            print_stage(console(stderr=True), stage)
    console().print(f"{done.folder}", soft_wrap=True)


def _compress_weights(
    weights: Path | None, output: Path, overrides: "Overrides", as_is: bool, network: str | None
) -> None:
    from dcsim.compression.post_training import compress_checkpoint
    from dcsim.report.terminal import listening, print_packed

    assert weights is not None
    require_outputs(output)
    plan = overrides.packing() if as_is else overrides.post_training()
    with listening() as listener:
        done = compress_checkpoint(weights, output, plan, network=network, on_progress=listener.progress)
    print_packed(done)


def _compress_network(network: str, weights: Path | None, output: Path, overrides: "Overrides", data: str) -> None:
    """Without training, but with a network that can be run: what its outputs, or its error, become is measured."""
    from dcsim.prepare import compress_network
    from dcsim.report.terminal import console, listening, print_packed

    require_outputs(output)
    with listening() as listener:
        done, comparison = compress_network(network, output, overrides.post_training(), weights, data, listener)
    print_packed(done)
    if str(comparison):
        console().print(str(comparison), soft_wrap=True)


@app.command()
def train(
    network: NetworkArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="safetensors file to write.")],
    training: Annotated[
        str | None, typer.Option("--training", help="`unaugmented` for training-unaugmented.yaml of its folder.")
    ] = None,
    data: DataOption = "",
) -> None:
    """Train the dense weights of a network of models/ as its training.yaml says."""
    from dcsim.prepare import load_dataset
    from dcsim.report.terminal import console, listening
    from dcsim.zoo import find_network, require_torch

    require_torch("training a network")
    from dcsim.compression.dense import dense_training, train_dense

    require_outputs(output)
    with listening() as listener:
        found = find_network(network, data)
        plan = dense_training(found, training)
        error = train_dense(found, plan, load_dataset(found, listener), output, listener.progress)
    console().print(f"{output}: test error {100 * error:.2f} %", soft_wrap=True)

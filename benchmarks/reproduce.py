"""Make what is committed of the LeNets again, from the seeds: `make reproduce`, under an hour on two cores.

`python -m benchmarks.reproduce resnet-20` does it for that one. For every network: the dense weights; the files and
traces of its recipes; and, for the recipes that are after size, the huffman file of three seeds and of further
densities, of which models/strength.csv and models/strength.png tell.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from benchmarks.strength_figure import draw
from dcsim.artifact import VARIANTS, CompressedModel
from dcsim.compression.recipe import Recipe
from dcsim.config import load_spec

MODELS = Path("models")
TRACED = ("default", "published", "best")  # the recipes that `dcsim run` finds files of, made with their own seed, 0
STRONG = ("best", "accurate", "unaugmented")  # the recipes that are after size
SEEDS = (0, 1, 2)
#: further points of the curve: recipe best, seed 0, with these shares of the weights
FURTHER = {"lenet-300-100": (0.02, 0.06)}


@dataclass(frozen=True)
class Row:
    """A file and what it is worth.

    Attributes:
        file: below models/.
        test_error: wrong / all on the test set, of the decoded file.
        seconds: of the whole command, one thread, beside others.
    """

    network: str
    recipe: str
    seed: int
    n_nonzero: int
    shift_pixels: int
    teacher_weight: float
    file_bytes: int
    compression_ratio: float
    test_error: float
    seconds: int
    file: str
    file_sha256: str
    command: str


@dataclass(frozen=True)
class Job:
    """One compression of `strength.csv`."""

    network: str
    recipe: str
    seed: int
    density: float | None = None  # instead of the recipe's


def dcsim(*arguments: object) -> None:
    """Run a command in one thread. Raises CalledProcessError."""
    command = [sys.executable, "-m", "dcsim", *map(str, arguments)]
    sys.stderr.write(" ".join(["dcsim", *map(str, arguments)]) + "\n")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def dense(network: str) -> None:
    """The trained network that everything else begins with, and the one that never saw a shifted digit."""
    dcsim("train", network, "-o", MODELS / network / "dense.safetensors")
    if has(network, "unaugmented"):
        dcsim("train", network, "--training", "unaugmented", "-o", unaugmented(network))


def unaugmented(network: str) -> Path:
    """Weights that were trained without augmentation."""
    return MODELS / network / "dense-unaugmented.safetensors"


def with_traces(network: str, recipe: str) -> None:
    """The four files of a recipe and their traces."""
    folder = MODELS / network / "compressed" / recipe
    dcsim("compress", network, "--recipe", recipe, "-o", folder)
    traces(network, folder)


def traces(network: str, folder: Path) -> None:
    """The traces of the files in a folder."""
    for variant in VARIANTS:
        dcsim("trace", network, "--file", folder / f"{variant}.dcz", "-o", folder / f"{variant}.parquet")


def strong(job: Job) -> Row:
    """The huffman file of one recipe, seed and density."""
    recipe = load_spec(Recipe, MODELS / job.network / f"recipe-{job.recipe}.yaml")
    name = f"{job.recipe}-seed{job.seed}" if job.density is None else f"{job.recipe}-density{job.density:g}"
    kept = MODELS / job.network / "strength" / f"{name}.dcz"
    traced = job.recipe in TRACED and (job.seed, job.density) == (0, None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = MODELS / job.network / "compressed" / job.recipe if traced else Path(scratch)
        options: list[object] = ["--recipe", job.recipe, "--seed", job.seed]
        if job.recipe == "unaugmented":
            options += ["--weights", unaugmented(job.network)]
        if job.density is not None:
            options += ["--prune-density", job.density]
        started = time.monotonic()
        dcsim("compress", job.network, *options, "-o", folder)
        seconds = round(time.monotonic() - started)
        stage = json.loads((folder / "stages.json").read_text())["stages"][-1]
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / "huffman.dcz", kept)
        if traced:
            traces(job.network, folder)
    stored = CompressedModel.load(kept)
    return Row(
        network=job.network,
        recipe=job.recipe,
        seed=job.seed,
        n_nonzero=sum(int(np.count_nonzero(values)) for values in stored.decode().values()),
        shift_pixels=recipe.training.shift_pixels,
        teacher_weight=recipe.training.teacher_weight,
        file_bytes=stage["file_bytes"],
        compression_ratio=round(stage["compression_ratio"], 2),
        test_error=stage["test_error"],
        seconds=seconds,
        file=str(kept.relative_to(MODELS)),
        file_sha256=stored.sha256,
        command=" ".join(map(str, ("dcsim compress", job.network, *options))),
    )


def jobs(network: str) -> list[Job]:
    """What `strength.csv` has of a network."""
    found = [Job(network, recipe, seed) for recipe in STRONG if has(network, recipe) for seed in SEEDS]
    return found + [Job(network, "best", 0, density) for density in FURTHER.get(network, ())]


def has(network: str, recipe: str) -> bool:
    """Whether models/ has a recipe of that name for the network."""
    return (MODELS / network / ("recipe.yaml" if recipe == "default" else f"recipe-{recipe}.yaml")).is_file()


def write(rows: list[Row], path: Path) -> None:
    """`rows`, and those of other networks that are in `path` already."""
    networks = {row.network for row in rows}
    others = [row for row in csv.DictReader(path.open()) if row["network"] not in networks] if path.exists() else []
    written = [*others, *(asdict(row) for row in rows)]
    written.sort(key=lambda row: (row["network"], row["recipe"], int(row["n_nonzero"]), int(row["seed"])))
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(written)


def main(networks: list[str]) -> None:
    """All of it, as many jobs at a time as there are cores, the slow network first."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(dense, networks))
        only = [(n, recipe) for n in networks for recipe in TRACED if recipe not in STRONG and has(n, recipe)]
        waiting = [pool.submit(with_traces, *pair) for pair in only]
        rows = list(pool.map(strong, [job for network in networks for job in jobs(network)]))
        for finished in waiting:
            finished.result()
    if rows:
        write(rows, MODELS / "strength.csv")
        draw(MODELS / "strength.csv", MODELS / "strength-anchors.csv", MODELS / "strength.png")


if __name__ == "__main__":
    main(sys.argv[1:] or ["lenet-5", "lenet-300-100"])

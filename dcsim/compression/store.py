"""What a finished compression leaves in a folder, and how it is found again. Needs no torch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dcsim import __version__
from dcsim.artifact import VARIANTS, Variant, Weights
from dcsim.compression.recipe import Recipe
from dcsim.config import shipped
from dcsim.datasets import cache_folder
from dcsim.files import sha256, sha256_of_file, write_bytes

STAGES_FILE = "stages.json"
CHECKPOINT_FILE = "checkpoint.pt"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Stage:
    """One storage variant: its real file and what the file is worth.

    Attributes:
        file_bytes: size of `<variant>.dcz`.
        compression_ratio: 4 bytes x all parameters / file_bytes.
        test_error: wrong / all on the test set, with weights decoded from that file.
    """

    variant: Variant
    file_bytes: int
    compression_ratio: float
    test_error: float
    file_sha256: str


def cache_key(recipe: Recipe, weights: Weights, data_fingerprint: str, architecture: str) -> str:
    """Fingerprint of everything the files depend on: recipe without its prose, weights, data, operators."""
    content = recipe.model_dump_json(exclude={"description", "sources"})
    parts = [f"{name} {array.shape} {sha256(array.tobytes())}" for name, array in sorted(weights.items())]
    return sha256("\n".join([content, data_fingerprint, architecture, *parts]).encode())


def write_stages(
    folder: Path, network: str, recipe: Recipe, key: str, dataset: str, torch_version: str, stages: Sequence[Stage]
) -> None:
    """Write `stages.json`, the last file of a compression: a folder without it is unfinished. Raises OutputError."""
    about = {
        "schema": SCHEMA_VERSION,
        "network": network,
        "recipe": recipe.name,
        "key": key,
        "seed": recipe.seed,
        "dataset": dataset,
        "dcsim_version": __version__,
        "torch_version": torch_version,
        "stages": [asdict(stage) for stage in stages],
    }
    write_bytes(folder / STAGES_FILE, (json.dumps(about, indent=2) + "\n").encode())


def read_stages(folder: Path, key: str) -> tuple[Stage, ...] | None:
    """The stages of a finished compression of this key whose files are all intact, or None."""
    try:
        about = json.loads((folder / STAGES_FILE).read_text())
        stages = tuple(Stage(**stage) for stage in about["stages"])
        intact = all(sha256_of_file(folder / f"{stage.variant}.dcz") == stage.file_sha256 for stage in stages)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    matches = about.get("schema") == SCHEMA_VERSION and about.get("key") == key
    complete = tuple(stage.variant for stage in stages) == VARIANTS
    return stages if matches and complete and intact else None


def cache_path(network: str, key: str) -> Path:
    """Where the files of this compression are kept in the user cache."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in network)
    return cache_folder() / "compressed" / f"{name}-{key[:16]}"


def shipped_path(network: str, recipe: str) -> Path:
    """Where a network of models/ has the files that came with dcsim."""
    return shipped("models") / network / "compressed" / recipe

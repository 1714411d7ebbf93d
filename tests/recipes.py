"""Recipes for tests, whole and valid, with changes by section."""

from typing import Any

from dcsim.compression.recipe import Recipe

PLAIN: dict[str, Any] = {
    "name": "plain",
    "seed": 0,
    "training": {"batch_size": 50, "weight_decay": 0.0, "shift_pixels": 0, "n_threads": 1},
    "prune": {"schedule": "one-shot", "n_kept": 20, "epochs": 2, "learning_rate": 1e-2},
    "share": {"codebook": "network", "n_codes": 3, "epochs": 1, "learning_rate": 1e-3},
}


def recipe(**sections: Any) -> Recipe:
    """The plain recipe; a section given as a mapping is added to, with None as a value taken out."""
    content = dict(PLAIN)
    for name, changes in sections.items():
        if isinstance(changes, dict) and name in PLAIN:
            merged = {**PLAIN[name], **changes}
            content[name] = {key: value for key, value in merged.items() if value is not None}
        else:
            content[name] = changes
    return Recipe.model_validate(content)

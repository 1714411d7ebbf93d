"""Did anything change? `python -m tests.golden.regenerate` writes the files again."""

import json
from typing import Any

import numpy as np
import pytest

from dcsim.artifact import VARIANTS, CompressedModel
from tests.golden.regenerate import FOLDER, RUNS, found, tiny, tiny_weights


@pytest.mark.parametrize("variant", VARIANTS)
def test_bytes_of_a_file_are_the_same(variant: str) -> None:
    assert tiny(variant).content == (FOLDER / f"tiny-{variant}.dcz").read_bytes()


@pytest.mark.parametrize("variant", VARIANTS)
def test_committed_files_still_decode(variant: str) -> None:
    decoded = CompressedModel.load(FOLDER / f"tiny-{variant}.dcz").decode()
    for name, values in tiny_weights().items():
        np.testing.assert_array_equal(decoded[name], values)


@pytest.mark.parametrize(("network", "soc"), RUNS)
def test_numbers_of_a_run_are_the_same(network: str, soc: str) -> None:
    expected = json.loads((FOLDER / f"{network}-{soc}.json").read_text())
    same(found(network, soc), expected, "$")


def same(value: Any, expected: Any, path: str) -> None:
    """Equal in every key, word and integer; floats to the rounding of a different libm."""
    if isinstance(expected, dict):
        assert value.keys() == expected.keys(), path
        for key in expected:
            same(value[key], expected[key], f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(value) == len(expected), path
        for index, (one, other) in enumerate(zip(value, expected, strict=True)):
            same(one, other, f"{path}[{index}]")
    elif isinstance(expected, float):
        assert value == pytest.approx(expected, rel=1e-12), path
    else:
        assert value == expected, path

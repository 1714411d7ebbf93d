"""Did anything change? `python -m tests.golden.regenerate` writes the files again."""

import json
from typing import Any

import numpy as np
import pytest

from dcsim.artifact import VARIANTS, CompressedModel
from tests.golden.regenerate import FOLDER, RUNS, TINY, found, tiny, tiny_weights


@pytest.mark.parametrize("name", TINY)
def test_bytes_of_a_file_are_the_same(name: str) -> None:
    assert tiny(name).content == (FOLDER / f"tiny-{name}.dcz").read_bytes()


@pytest.mark.parametrize("variant", VARIANTS)
def test_committed_files_still_decode(variant: str) -> None:
    decoded = CompressedModel.load(FOLDER / f"tiny-{variant}.dcz").decode()
    for name, values in tiny_weights().items():
        np.testing.assert_array_equal(decoded[name], values)


def test_the_committed_file_of_all_layouts_still_decodes() -> None:
    decoded = CompressedModel.load(FOLDER / "tiny-layouts.dcz").decode()
    np.testing.assert_array_equal(decoded["fc1.weight"], tiny_weights()["fc.weight"])
    codes = (np.arange(12 * 10) * 31 % 113).reshape(12, 10)
    codebook = np.array([0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75], np.float32)
    for name, scale in (("fc2.weight", 0.75), ("fc3.weight", -0.1)):
        expected = np.where(codes < 7, codebook[np.minimum(codes, 6)] * np.float32(scale), 0)
        np.testing.assert_array_equal(decoded[name], expected if name == "fc2.weight" else expected.T)
    filters = decoded["conv.weight"]
    assert filters.shape == (6, 3, 4, 1)
    assert not filters[::3].any()
    assert not filters[:, 1].any()
    assert set(filters.ravel().tolist()) == {0, np.float32(0.1)}


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

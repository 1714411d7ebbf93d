"""Does a network whose tensors share one codebook come back value by value, in fewer bytes than with one for each?"""

import numpy as np
import pytest

from dcsim.artifact import CompressedModel, Variant, pack, pack_linked
from tests.networks import some_codes

CODEBOOK = np.float32([-1.5, -0.25, 0.5, 2])
SCALES = {"fc1.weight": 1.0, "fc1.bias": 0.125, "fc2.weight": 3.0, "dead.weight": 1.0}


def codes() -> dict[str, np.ndarray]:
    shapes = {"dead.weight": (3, 4), "fc1.weight": (40, 30), "fc1.bias": (40,), "fc2.weight": (10, 40)}
    numbers = {name: some_codes(*shape, n_codes=5, seed=len(name)).astype(np.uint8) for name, shape in shapes.items()}
    numbers["dead.weight"][:] = 0
    return numbers


def weights() -> dict[str, np.ndarray]:
    values = np.concatenate([np.zeros(1, np.float32), CODEBOOK])
    linked = {name: values[numbers] * np.float32(SCALES[name]) for name, numbers in codes().items()}
    return linked | {"norm.weight": np.float32([1, 0.5])}


@pytest.mark.parametrize("variant", ["shared", "huffman"])
def test_every_weight_comes_back(variant: Variant) -> None:
    model = CompressedModel.from_bytes(pack_linked("net", variant, weights(), CODEBOOK, codes(), SCALES).content)
    assert model.variant == variant
    for name, values in model.decode().items():
        assert np.array_equal(values, weights()[name]), name


def test_the_first_tensor_that_is_not_zero_has_the_codebook_and_the_others_a_scale() -> None:
    tensors = {t.name: t for t in pack_linked("net", "huffman", weights(), CODEBOOK, codes(), SCALES).tensors}
    owner = tensors["fc1.weight"]
    assert owner.owner is None
    assert owner.codebook.tolist() == [0, *CODEBOOK.tolist()]
    assert [tensors[name].owner for name in ("fc1.bias", "fc2.weight")] == [owner, owner]
    assert tensors["norm.weight"].encoding == "fp16"


@pytest.mark.parametrize("variant", ["shared", "huffman"])
def test_one_codebook_takes_less_than_one_for_each(variant: Variant) -> None:
    linked = pack_linked("net", variant, weights(), CODEBOOK, codes(), SCALES)
    assert linked.file_bytes < pack("net", variant, weights()).file_bytes

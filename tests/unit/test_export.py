"""Do decoded weights reach other tools to the bit: safetensors, torch, scipy?"""

import builtins
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy import sparse as scipy_sparse

from dcsim.artifact import CompressedModel, Floats, pack
from dcsim.errors import OutputError
from dcsim.export import FORMATS, save_weights, state_dict, to_scipy
from tests.networks import linked, network, sparse

MODELS: dict[str, Callable[[], CompressedModel]] = {
    "every kind of tensor": lambda: pack("net", "huffman", network()),
    "shared codebooks": linked,
    "names that numpy and torch use": lambda: pack(
        "net",
        "huffman",
        {name: np.float32([[1, 0], [0, 2]]) for name in ("file", "self", "args", "a.b/c", "allow_pickle")},
    ),
    "nothing": lambda: pack("net", "dense", {}),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> CompressedModel:
    return MODELS[request.param]()


def assert_same_bits(found: dict[str, Floats], expected: dict[str, Floats]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, np.float32), name
        assert np.ascontiguousarray(found[name]).tobytes() == np.ascontiguousarray(array).tobytes(), name


def test_safetensors_come_back_by_their_own_library(model: CompressedModel, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "w.safetensors")
    assert_same_bits(load_file(tmp_path / "w.safetensors"), model.decode())


@pytest.mark.parametrize("ending", [".pt", ".pth"])
def test_a_state_dict_comes_back_without_running_code(model: CompressedModel, tmp_path: Path, ending: str) -> None:
    save_weights(model, tmp_path / f"w{ending}")
    found = torch.load(tmp_path / f"w{ending}", weights_only=True)
    assert [*found] == [tensor.name for tensor in model.tensors]
    assert_same_bits({name: tensor.numpy() for name, tensor in found.items()}, model.decode())


def test_a_state_dict_fits_a_network_and_can_be_trained() -> None:
    layer = torch.nn.Linear(5, 4)
    weights = {"weight": sparse(4, 5, density=0.5), "bias": np.ones(4, np.float32)}
    layer.load_state_dict(state_dict(pack("net", "huffman", weights)))
    assert np.array_equal(layer.weight.detach().numpy(), weights["weight"])
    with torch.no_grad():
        layer.weight.add_(1)


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_sparse_matrices_come_back(model: CompressedModel, tmp_path: Path, kind: Any) -> None:
    save_weights(model, tmp_path / "w.npz", kind)
    stored = np.load(tmp_path / "w.npz", allow_pickle=False)
    found = {}
    for name, expected in model.decode().items():
        if expected.ndim < 2:
            found[name] = stored[name]
            continue
        parts = [stored[f"{name}.{part}"] for part in ("data", "indices", "indptr")]
        assert len(parts[0]) == len(parts[1]) == np.count_nonzero(expected)  # zeros are not stored
        rebuild = scipy_sparse.csr_array if kind == "csr" else scipy_sparse.csc_array
        matrix = rebuild(tuple(parts), shape=tuple(stored[f"{name}.shape"]))
        assert matrix.shape[0] == expected.shape[0]
        found[name] = matrix.toarray().reshape(expected.shape)
    assert_same_bits(found, model.decode())
    n_arrays = sum(4 if len(tensor.shape) > 1 else 1 for tensor in model.tensors)
    assert len(stored.files) == n_arrays


@pytest.mark.parametrize(("kind", "cls"), [("csr", scipy_sparse.csr_array), ("csc", scipy_sparse.csc_array)])
def test_a_sparse_matrix_multiplies_as_the_layer_does(kind: Any, cls: type) -> None:
    weights = {"conv": sparse(6, 3, 5, 5), "fc": sparse(20, 30), "bias": np.ones(3, np.float32)}
    found = to_scipy(pack("net", "huffman", weights), kind)
    inputs = np.random.default_rng(0).normal(size=30).astype(np.float32)
    assert type(found["fc"]) is type(found["conv"]) is cls
    assert np.allclose(found["fc"] @ inputs, weights["fc"] @ inputs, rtol=1e-5, atol=1e-6)
    assert found["conv"].shape == (6, 75)
    assert np.array_equal(found["bias"], weights["bias"])


@pytest.mark.parametrize("name", ["w.bin", "w", "w.safetensors.gz", "w.npy", "safetensors"])
def test_an_ending_that_stands_for_no_format_is_refused_with_those_that_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        OutputError, match=rf"cannot write {tmp_path / name}: the name must end in \.safetensors, \.pt, "
    ):
        save_weights(linked(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "library", "words"), [(".npz", "scipy", "pip install scipy"), (".pt", "torch", "dcsim\\[torch\\]")]
)
def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, library: str, words: str
) -> None:
    find = builtins.__import__

    def without(name: str, *about: Any, **more: Any) -> Any:
        if name.split(".")[0] == library:
            raise ImportError(name)
        return find(name, *about, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OutputError, match=f"{library}, which is not installed: .*{words}"):
        save_weights(linked(), tmp_path / f"w{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", FORMATS)
def test_a_place_that_cannot_be_written_is_refused_and_keeps_nothing(tmp_path: Path, ending: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / f"w{ending}"
    with pytest.raises(OutputError, match=f"cannot write {path}"):
        save_weights(linked(), path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_weights_make_the_same_file(tmp_path: Path, ending: str) -> None:
    for name in ("one", "two"):
        save_weights(linked(), tmp_path / f"{name}{ending}")
    one, two = ((tmp_path / f"{name}{ending}").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_sparse_file_is_an_archive_that_every_numpy_reads(tmp_path: Path) -> None:
    save_weights(linked(), tmp_path / "w.npz")
    with zipfile.ZipFile(tmp_path / "w.npz") as archive:
        assert archive.testzip() is None
        assert "conv1.weight.data.npy" in archive.namelist()

"""Are networks found by name or by module:callable, and is every way to get that wrong explained?"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dcsim.compression.pipeline import load_weights, state_weights
from dcsim.config import parse_spec, shipped
from dcsim.errors import ConfigError, NetworkError
from dcsim.prepare import load_recipe
from dcsim.zoo import Network, NetworkSpec, call, dense_weights, find_network, known_networks, resolve

OWN = Network("own", "own:build", "")
MODULES = {
    "fine": "import torch\ndef build():\n    return torch.nn.Linear(2, 3)\nnumber = 5\n",
    "raises": "def build():\n    raise RuntimeError('no more memory')\n",
    "needs": "import a_module_that_nobody_has\ndef build(): ...\n",
    "syntax": "def build(:\n",
    "attribute": "import math\nmath.cosinus\ndef build(): ...\n",
}


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules `zoo_fine`, `zoo_raises` ... in the working folder, found as `python -m dcsim` would find them."""
    for name, source in MODULES.items():
        (tmp_path / f"zoo_{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"zoo_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])


@pytest.mark.parametrize(
    ("name", "n_parameters", "layers"),
    [
        ("lenet-300-100", 266_610, ["fc1", "fc2", "fc3"]),
        ("lenet-5", 431_080, ["conv1", "conv2", "fc1", "fc2"]),
    ],
)
def test_a_network_of_models_has_the_published_parameters(name: str, n_parameters: int, layers: list[str]) -> None:
    network = find_network(name)
    model = network.build()
    assert (network.name, network.dataset, network.synthetic) == (name, "mnist", False)
    assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters
    assert [key for key, module in model.named_children() if hasattr(module, "weight")] == layers
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in shipped("models").glob("*/dense.safetensors")))
def test_the_weights_that_ship_are_those_of_the_network(name: str) -> None:
    network = find_network(name)
    weights = dense_weights(network)
    assert weights is not None
    model = network.build()
    load_weights(model, weights)
    assert all(np.array_equal(array, weights[name]) for name, array in state_weights(model).items())


def test_every_folder_of_models_is_found_by_its_name() -> None:
    assert {"lenet-5", "lenet-300-100", "one-billion", "alexnet", "vgg-16", "eie-nt-lstm"} <= set(known_networks())
    assert [find_network(name).name for name in known_networks()] == known_networks()


def test_the_billion_connections_are_a_billion() -> None:
    network = find_network("one-billion")
    assert network.synthetic
    assert network.spec is not None
    assert sum(layer.n_weights for layer in network.spec.layers) == 10**9


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lenet-50", "did you mean lenet-5"),
        ("zzz", "known: .*lenet-5"),
        ("", "known: .*lenet-5"),
        pytest.param("x" * 300, "known: .*lenet-5", id="long"),
    ],
)
def test_an_unknown_network_is_answered_with_the_known_ones(name: str, words: str) -> None:
    with pytest.raises(
        ConfigError, match=f"no network named .*your own is given as module:callable or as a table.*{words}"
    ):
        find_network(name)


@pytest.mark.usefixtures("own_modules")
def test_a_network_of_ones_own_is_built_from_the_working_folder() -> None:
    network = find_network("zoo_fine:build", dataset="zoo_fine:data")
    assert network == Network("zoo_fine:build", "zoo_fine:build", "zoo_fine:data")
    assert isinstance(network.build(), torch.nn.Linear)
    assert dense_weights(network) is None


def test_a_chosen_data_set_goes_before_the_networks_own() -> None:
    assert find_network("lenet-5", dataset="own:data").dataset == "own:data"


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("zoo_missing:build", "cannot load zoo_missing:build: no module named zoo_missing"),
        ("zoo_needs:build", "cannot load zoo_needs:build: no module named a_module_that_nobody_has"),
        ("zoo_fine:built", "cannot load zoo_fine:built: zoo_fine has no 'built'"),
        ("zoo_fine:number", "zoo_fine:number is not callable"),
        ("zoo_fine:", "cannot load zoo_fine:: zoo_fine has no ''"),
        (":build", "cannot load :build: ValueError"),
        ("zoo_syntax:build", "cannot load zoo_syntax:build: SyntaxError"),
        ("zoo_raises:build", "zoo_raises:build failed: RuntimeError: no more memory"),
        (
            "zoo_attribute:build",
            "cannot load zoo_attribute:build: AttributeError: module 'math' has no attribute 'cosinus'",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_explained(reference: str, reason: str) -> None:
    with pytest.raises(NetworkError) as caught:
        call(reference)
    assert str(caught.value).startswith(reason)


@pytest.mark.usefixtures("own_modules")
def test_a_resolved_callable_is_not_yet_called() -> None:
    assert resolve("zoo_raises:build").__name__ == "build"


def test_a_builder_that_returns_no_module_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"builtins:dict returned dict, expected a torch\.nn\.Module"):
        find_network("builtins:dict").build()


@pytest.mark.parametrize("content", [None, b"", b"garbage", bytes(100)])
def test_weights_that_cannot_be_read_are_refused_and_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "dense.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NetworkError, match=f"cannot read the weights {path}: "):
        dense_weights(OWN, path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_number_format_are_read_as_fp32(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "dense.safetensors"
    save_file({"w": torch.tensor([0.5, -2], dtype=kind)}, path)
    weights = dense_weights(OWN, path)
    assert weights is not None
    assert weights["w"].dtype == np.float32
    assert weights["w"].tolist() == [0.5, -2]


def test_weights_in_a_format_that_is_not_known_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "dense.safetensors"
    save_file({"w": torch.tensor([0.5, -2]).to(torch.float8_e4m3fn)}, path)
    with pytest.raises(NetworkError, match=f"{path}: w has type F8_E4M3, expected F64, F32, F16, BF16"):
        dense_weights(OWN, path)


def test_the_saved_state_of_a_network_with_integer_buffers_fits_it_again(tmp_path: Path) -> None:
    path = tmp_path / "dense.safetensors"
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    save_file(model.state_dict(), path)
    weights = dense_weights(OWN, path)
    assert weights is not None
    load_weights(model, weights)


TABLE = "name: mine\nkind: synthetic\nlayers:\n  - {name: fc, kind: linear, n_inputs: 4, n_outputs: 2}\n"


@pytest.mark.parametrize("file", ["table.yaml", "table.yml"])
def test_a_table_of_layers_is_found_by_its_path(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(TABLE)
    network = find_network(str(tmp_path / file))
    assert (network.name, network.synthetic, network.folder, network.builder) == ("mine", True, None, "")
    assert network.spec == parse_spec(NetworkSpec, TABLE, file)
    assert dense_weights(network) is None


def test_a_table_that_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    with pytest.raises(ConfigError, match=f"cannot read {path}: No such file"):
        find_network(str(path))
    path.write_text(TABLE.replace("linear", "linea"))
    with pytest.raises(ConfigError, match=rf"{path}:4: layers\.0: .*did you mean linear\?"):
        find_network(str(path))
    path.write_text("name: n\nkind: trained\nbuilder: own:build\ndataset: mnist\n")
    with pytest.raises(ConfigError, match=f"{path}: a network given by a file is a table of layers, kind: synthetic"):
        find_network(str(path))


@pytest.mark.usefixtures("own_modules")
def test_without_a_recipe_a_network_that_is_none_is_said_first() -> None:
    with pytest.raises(NetworkError, match="no module named mynt"):
        load_recipe(find_network("mynt:build"), None)
    with pytest.raises(NetworkError, match="zoo_fine has no 'biuld'"):
        load_recipe(find_network("zoo_fine:biuld"), None)
    with pytest.raises(ConfigError, match="needs a recipe"):
        load_recipe(find_network("zoo_fine:build"), None)

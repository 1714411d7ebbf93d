"""Does tracing work for a user: any module, files of torch.export, weights from a file, what was saved, and mistakes?"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcsim.artifact import CompressedModel, pack
from dcsim.errors import DcsimError
from dcsim.prepare import trace
from dcsim.traces.trace import Trace
from tests.conftest import Dcsim

MODULE = """
import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.fc = nn.Linear(1024, 10)

    def forward(self, x):
        return self.fc(self.up(self.conv(x).relu()).flatten(1))


def build():
    torch.manual_seed(0)
    return Net()


def batch():
    return torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)


def array():
    return batch().numpy()


def wrong_shape():
    return torch.ones(2, 4, 8, 8)


def nothing():
    return "no array"


def not_a_number():
    model = build()
    model.fc.weight.data[0, 0] = float("nan")
    return model


def odd():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4), Svd())


class Svd(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x)
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(MODULE)
    return tmp_path


def test_a_module_and_a_batch_are_all_it_needs(dcsim: Dcsim, net: Path) -> None:
    done = dcsim("trace", "net:build", "--inputs", "net:batch", "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    trace = Trace.load(net / "t.parquet")
    assert [(layer.name, layer.kind, layer.n_macs_dense) for layer in trace.layers] == [
        ("conv", "conv2d", 2 * 64 * 8 * 27),
        ("up", "conv_transpose2d", 2 * 64 * 8 * 16),
        ("fc", "linear", 2 * 1024 * 10),
    ]
    assert (trace.batch, trace.variant, trace.synthetic, trace.test_error) == (2, "dense", False, None)
    assert trace.n_parameters == 8 * 28 + 8 * 16 + 4 + 1025 * 10
    simulated = dcsim("simulate", "t.parquet", "--json", "-")
    assert json.loads(simulated.stdout)["network"] == "net:build"


def test_what_was_saved_can_be_looked_at_and_compared(dcsim: Dcsim, net: Path) -> None:
    for variant in ("dense", "huffman"):
        dcsim(
            "trace",
            "net:build",
            "--inputs",
            "net:array",
            "--batch",
            1,
            "--variant",
            variant,
            "-o",
            f"{variant}.parquet",
        )
    shown = dcsim("trace", "show", "huffman.parquet")
    assert shown.returncode == 0, shown.stderr
    assert "conv_transpose2d" in shown.stdout
    assert "input" in shown.stdout
    shown = dcsim("trace", "show", "huffman.parquet", "--json", "-")
    document = json.loads(shown.stdout)
    assert [layer["kind"] for layer in document["layers"]] == ["conv2d", "conv_transpose2d", "linear"]
    assert "weight_bitmap" not in document["layers"][0]
    same = dcsim("trace", "diff", "dense.parquet", "dense.parquet")
    assert (same.returncode, same.stdout) == (0, "no difference\n")
    different = dcsim("trace", "diff", "dense.parquet", "huffman.parquet", "--json", "-")
    assert different.returncode == 1
    fields = {(row["layer"], row["field"]) for row in json.loads(different.stdout)}
    assert {("", "variant"), ("", "file_sha256")} <= fields
    assert not {field for _, field in fields} & {"n_macs_dense", "n_macs_nonzero", "producers"}


def test_a_file_for_some_layers_leaves_the_others_dense(dcsim: Dcsim, net: Path) -> None:
    weight = np.zeros((10, 1024), np.float32)
    weight[:, ::64] = 0.5
    pack("net", "huffman", {"fc.weight": weight}).save(net / "fc.dcz")
    done = dcsim("trace", "net:build", "--inputs", "net:batch", "--file", "fc.dcz", "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    conv, _, fc = Trace.load(net / "t.parquet").layers
    assert (conv.encoding, fc.encoding) == ("fp32", "huffman")
    assert (fc.n_weights_nonzero, fc.n_macs_nonzero <= 2 * 160) == (160, True)
    stored = CompressedModel.load(net / "fc.dcz").tensors[0]
    assert fc.stored_bytes == len(stored.payload) + 4 * 10


def test_weights_of_a_safetensors_file(dcsim: Dcsim, net: Path) -> None:
    from safetensors.torch import save_file

    shapes = {"conv.weight": (8, 3, 3, 3), "conv.bias": (8,), "up.weight": (8, 4, 2, 2), "up.bias": (4,)}
    tensors = {
        name: torch.zeros(shape) for name, shape in (shapes | {"fc.weight": (10, 1024), "fc.bias": (10,)}).items()
    }
    save_file(tensors, net / "zeros.safetensors")
    done = dcsim("trace", "net:build", "--inputs", "net:batch", "--weights", "zeros.safetensors", "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    assert sum(layer.n_macs_nonzero for layer in Trace.load(net / "t.parquet").layers) == 0


def test_an_exported_program_needs_no_module(dcsim: Dcsim, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    torch.export.save(torch.export.export(model, (torch.ones(2, 4),)), tmp_path / "small.pt2")
    done = dcsim("trace", "small.pt2", "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    trace = Trace.load(tmp_path / "t.parquet")
    assert (trace.network, trace.batch, trace.layers[0].n_macs_dense) == ("small", 2, 24)
    np.savez(tmp_path / "inputs.npz", input=np.zeros((2, 4), np.float32))
    done = dcsim("trace", "small.pt2", "--inputs", "inputs.npz", "-o", "t.parquet")
    assert Trace.load(tmp_path / "t.parquet").layers[0].n_macs_nonzero == 0


def test_operators_that_have_no_cost_model_are_named(dcsim: Dcsim, net: Path) -> None:
    done = dcsim("trace", "net:odd", "--inputs", "net:array", "-o", "t.parquet")
    assert done.returncode == 0, done.stderr
    assert "no cost model, counted as data movement: aten._linalg_svd" in done.stderr
    assert Trace.load(net / "t.parquet").layers[1].counts == "unknown"


def test_a_network_without_training_goes_through_in_one_command(dcsim: Dcsim, own_network: Path) -> None:
    with (own_network / "own.py").open("a") as stream:
        stream.write("\n\ndef inputs():\n    return data().test_inputs\n")
    one = ("--post-training", "--codebook-bits", 6, "--fps", 10, "--budget", "phone", "--json", "-")
    done = dcsim("run", "own:build", "--data", "own:inputs", *one)
    assert done.returncode == 0, done.stderr
    assert "outputs: cosine 0.99" in done.stderr
    results = json.loads(done.stdout)["variants"]
    assert [result["variant"] for result in results] == ["dense", "pruned", "shared", "huffman"]
    assert results[3]["file_bytes"] < results[0]["file_bytes"] / 3
    assert results[3]["test_error"] is None
    labelled = dcsim("run", "own:build", "--data", "own:data", *one)
    assert "test error" in labelled.stderr
    assert json.loads(labelled.stdout)["variants"][3]["test_error"] >= 0


MISTAKES = [
    ({"network": "net:build", "inputs": "net:wrong_shape"}, ("forward fails", "(2, 4, 8, 8)")),
    ({"network": "net:build", "inputs": "net:nothing"}, ("inputs are str", "expected an array")),
    ({"network": "net:build", "inputs": "net:missing"}, ("has no 'missing'",)),
    ({"network": "net:build", "inputs": "net.npz"}, ("no file net.npz",)),
    ({"network": "net:build", "inputs": "text.npy"}, ("cannot read inputs from text.npy",)),
    ({"network": "net:build", "inputs": "net"}, ("expected module:callable, FILE.npz",)),
    ({"network": "net:not_a_number", "inputs": "net:batch"}, ("fc.weight holds values that are not finite",)),
    ({"network": "net:build", "inputs": "net:batch", "file": "other.dcz"}, ("fc.weight, (3, 4)", "(10, 1024)")),
    ({"network": "net:build", "inputs": "net:batch", "batch": 3}, ("batch 3 is not possible", "1 to 2")),
    ({"network": "net:build", "inputs": "net:batch", "recipe": "x.yaml"}, ("traced as it is",)),
    ({"network": "net:build"}, ("needs a recipe",)),
    ({"network": "lenet-5", "exact": False}, ("estimated only for a module",)),
    ({"network": "none.onnx", "exact": False}, ("estimated only for a module",)),
    ({"network": "none.pt2"}, ("no file none.pt2",)),
    ({"network": "none.onnx"}, ("no file none.onnx",)),
    ({"network": "bad.pt2"}, ("cannot read bad.pt2",)),
    ({"network": "bad.pt2", "dataset": "mnist"}, ("holds its weights",)),
]


@pytest.fixture
def mistaken(net: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network, and files that are none."""
    (net / "bad.pt2").write_bytes(b"no archive")
    (net / "text.npy").write_text("nothing")
    pack("other", "dense", {"fc.weight": np.zeros((3, 4), np.float32)}).save(net / "other.dcz")
    monkeypatch.chdir(net)
    monkeypatch.syspath_prepend(net)
    monkeypatch.delitem(sys.modules, "net", raising=False)
    return net


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=str)
def test_mistakes_are_named(mistaken: Path, arguments: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(DcsimError) as refusal:
        trace(**arguments)
    assert len(str(refusal.value).splitlines()) == 1
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("net:build", "--inputs", "net:wrong_shape", "-o", "t.parquet"), ("forward fails", "(2, 4, 8, 8)")),
        (("show", "none.parquet"), ("no trace file none.parquet",)),
        (("diff", "bad.pt2", "bad.pt2"), ("not a readable trace",)),
    ],
)
def test_mistakes_exit_with_2_and_one_line(
    dcsim: Dcsim, mistaken: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = dcsim("trace", *arguments)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr
    assert not (mistaken / "t.parquet").exists()

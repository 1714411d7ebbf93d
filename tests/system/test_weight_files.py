"""Can a user compress files of weights without training, look into them and decode them for other tools, and safely so?"""

import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from scipy import sparse as scipy_sparse

from dcsim.artifact import CompressedModel, Floats
from dcsim.checkpoint import write_checkpoint
from dcsim.cli import main
from tests.conftest import Dcsim
from tests.networks import sparse
from tests.unit.test_checkpoint import raw, shards

MIB = 1 << 20


def weights() -> dict[str, Floats]:
    generator = np.random.default_rng(0)
    return {
        "conv.weight": generator.normal(size=(16, 8, 3, 3)).astype(np.float32),
        "conv.bias": generator.normal(size=16).astype(np.float32),
        "fc.weight": sparse(120, 90, density=0.2, n_values=15),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working folder of `dcsim`, with files of weights, right and wrong."""
    good = {name: torch.from_numpy(values) for name, values in weights().items()}
    save_file(good | {"bn.num_batches_tracked": torch.tensor(7)}, tmp_path / "net.safetensors")
    return tmp_path


@pytest.fixture
def refuse(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Run a command that must be refused and leave nothing, in this process for speed; returns its message."""
    monkeypatch.chdir(folder)
    on_interrupt = signal.getsignal(signal.SIGINT)

    def call(*arguments: object) -> str:
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        monkeypatch.setattr(sys, "argv", ["dcsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, message = capsys.readouterr()
        assert (caught.value.code, out) == (2, ""), message
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert after == before
        return message

    yield call
    signal.signal(signal.SIGINT, on_interrupt)


def same_bits(found: dict[str, Floats], expected: dict[str, Floats]) -> bool:
    return {name: (array.shape, array.dtype, array.tobytes()) for name, array in found.items()} == {
        name: (array.shape, array.dtype, array.tobytes()) for name, array in expected.items()
    }


# --- there and back


def test_as_is_and_back_loses_nothing(dcsim: Dcsim, folder: Path) -> None:
    packed = dcsim("compress", "--weights", "net.safetensors", "--as-is", "-o", "net.dcz")
    assert packed.returncode == 0, packed.stderr
    size = (folder / "net.dcz").stat().st_size
    n = sum(values.size for values in weights().values())
    assert packed.stdout == f"net.dcz: 3 tensors, {size:,} bytes, {4 * n / size:.1f}x\n"
    assert packed.stderr == "left out, not weights: bn.num_batches_tracked\n"
    decoded = dcsim("decode", "net.dcz", "-o", "back.safetensors")
    assert decoded.returncode == 0, decoded.stderr
    assert decoded.stdout == f"back.safetensors: 3 tensors, {n:,} parameters\n"
    assert same_bits(load_file(folder / "back.safetensors"), weights())


def test_other_float_formats_come_back_as_fp32_of_the_same_value(dcsim: Dcsim, folder: Path) -> None:
    exact = {name: torch.from_numpy(values).bfloat16() for name, values in weights().items()}
    kinds = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    given = {f"{kind} {name}": tensor.to(kind) for kind in kinds for name, tensor in exact.items()}
    save_file(given, folder / "given.safetensors")
    assert dcsim("compress", "--weights", "given.safetensors", "--as-is", "-o", "net.dcz").returncode == 0
    assert dcsim("decode", "net.dcz", "-o", "back.safetensors").returncode == 0
    expected = {name: tensor.float().numpy() for name, tensor in given.items()}
    assert same_bits(load_file(folder / "back.safetensors"), expected)


def test_torch_and_scipy_get_the_weights(dcsim: Dcsim, folder: Path) -> None:
    assert dcsim("compress", "--weights", "net.safetensors", "--as-is", "-o", "net.dcz").returncode == 0
    assert dcsim("decode", "net.dcz", "-o", "net.pt").returncode == 0
    found = torch.load(folder / "net.pt", weights_only=True)
    assert same_bits({name: tensor.numpy() for name, tensor in found.items()}, weights())
    assert dcsim("decode", "net.dcz", "-o", "net.npz", "--sparse", "csc").returncode == 0
    stored = np.load(folder / "net.npz")
    for name, expected in weights().items():
        if expected.ndim < 2:
            assert np.array_equal(stored[name], expected)
            continue
        parts = tuple(stored[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
        matrix = scipy_sparse.csc_array(parts, shape=stored[f"{name}.shape"])
        assert np.array_equal(matrix.toarray().reshape(expected.shape), expected)


def test_several_files_are_one_network_by_index_or_first_file(dcsim: Dcsim, folder: Path) -> None:
    parts = [{name: torch.from_numpy(values)} for name, values in weights().items()]
    shards(folder, *parts)
    for path in ("model.safetensors.index.json", "model-00001-of-00003.safetensors"):
        done = dcsim("compress", "--weights", path, "--as-is", "-o", "net.dcz")
        assert done.returncode == 0, done.stderr
        assert same_bits(CompressedModel.load(folder / "net.dcz").decode(), weights())


# --- figures of one run


def inspected(dcsim: Dcsim, path: str) -> dict[str, Any]:
    done = dcsim("inspect", path, "--json", "-")
    assert done.returncode == 0, done.stderr
    return {tensor["name"]: tensor for tensor in json.loads(done.stdout)["tensors"]}


def test_without_a_recipe_weights_are_pruned_and_shared_as_the_options_say(dcsim: Dcsim, folder: Path) -> None:
    arguments = ("--prune-density", 0.3, "--codebook-bits", 4, "--gap-bits", 3, "--centroids", "density")
    done = dcsim("compress", "my own", "--weights", "net.safetensors", "--post-training", *arguments, "-o", "net.dcz")
    assert done.returncode == 0, done.stderr
    assert "of 30 centroids own no weight" in done.stderr
    assert CompressedModel.load(folder / "net.dcz").network == "my own"
    found = inspected(dcsim, "net.dcz")
    conv, fc = found["conv.weight"], found["fc.weight"]
    assert conv["density"] == round(0.3 * 16 * 8 * 9) / (16 * 8 * 9)
    assert fc["density"] == np.count_nonzero(weights()["fc.weight"]) / (120 * 90) < 0.3  # it came in pruned further
    assert 2 <= conv["n_codes"] <= 16 >= fc["n_codes"] >= 2
    assert conv["gap_bits"] == fc["gap_bits"] == 3
    assert found["conv.bias"]["encoding"] == "fp16"


def test_defaults_and_a_threshold(dcsim: Dcsim, folder: Path) -> None:
    arguments = ("compress", "--weights", "net.safetensors", "--post-training", "-o", "net.dcz")
    assert dcsim(*arguments).returncode == 0
    default = CompressedModel.load(folder / "net.dcz").decode()
    assert all(np.array_equal(default[name] != 0, values != 0) for name, values in weights().items())
    assert np.abs(default["conv.weight"] - weights()["conv.weight"]).max() < 0.05  # 255 values over about 8
    assert dcsim(*arguments, "--prune-threshold", 1.5).returncode == 0
    by_threshold = CompressedModel.load(folder / "net.dcz").decode()
    for name in ("conv.weight", "fc.weight"):
        assert np.array_equal(by_threshold[name] != 0, np.abs(weights()[name]) >= 1.5)


def test_figures_of_one_run_go_before_those_of_the_recipe(dcsim: Dcsim, own_network: Path) -> None:
    own = ("compress", "own:build", "--data", "own:data", "--recipe", "own.yaml")
    figures = ("--prune-density", 0.3, "--codebook-bits", 2, "--gap-bits", 2, "--centroids", "density")
    plain, changed = dcsim(*own), dcsim(*own, *figures)
    assert plain.returncode == changed.returncode == 0, changed.stderr
    assert "density start" in changed.stderr
    assert "linear start" in plain.stderr
    assert "compressing" in changed.stderr  # it was not taken for the one before
    assert changed.stdout != plain.stdout
    before, after = (
        {tensor.name: tensor for tensor in CompressedModel.load(Path(done.stdout.strip()) / "huffman.dcz").tensors}
        for done in (plain, changed)
    )
    for name, density in (("1.weight", 0.2), ("3.weight", 0.5)):
        assert before[name].n_nonzero() == round(density * before[name].n_elements)
        assert after[name].n_nonzero() == round(0.3 * after[name].n_elements)
        assert after[name].n_codes <= 4 < before[name].n_codes
        assert after[name].gap_bits == 2


def test_inspect_prints_a_table_or_json_whose_shares_sum_to_one(dcsim: Dcsim, folder: Path) -> None:
    assert dcsim("compress", "--weights", "net.safetensors", "--post-training", "-o", "net.dcz").returncode == 0
    done = dcsim("inspect", "net.dcz", "--json", "net.json")
    assert done.returncode == 0, done.stderr
    content = json.loads((folder / "net.json").read_text())
    assert sum(content["share_of_file"].values()) == pytest.approx(1, abs=1e-12)
    assert content["file_bytes"] == (folder / "net.dcz").stat().st_size
    for tensor in content["tensors"]:
        assert any(
            line.split()[:2] == [tensor["name"], "x".join(map(str, tensor["shape"]))]
            for line in done.stdout.splitlines()
        )
        for stream in ("codes", "gaps"):
            part = tensor["streams"].get(stream)
            if part and tensor["encoding"] == "huffman":
                n_runs = 8 * (part["n_symbols"] // 65_536 + 1)
                padding = 7 * n_runs / part["n_symbols"]
                assert 0 <= part["bits_per_symbol"] - part["entropy_bits_per_symbol"] <= 1 + padding


def test_names_with_brackets_are_no_markup(dcsim: Dcsim, folder: Path) -> None:
    save_file({"a[/b]": torch.ones(2, 2), "n[bold]": torch.tensor(1)}, folder / "odd.safetensors")
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "dcsim", "compress", "--weights", "odd.safetensors", "--as-is", "-o", "[/x].dcz"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=follower, text=True, check=False)
    os.close(follower)
    shown = os.read(leader, 1 << 16).decode()  # a terminal, so that the bar is drawn too
    os.close(leader)
    assert done.returncode == 0, shown
    assert done.stdout.startswith("[/x].dcz: 1 tensors")
    assert "left out, not weights: n[bold]" in shown
    assert "a[/b]" in shown
    assert "a[/b]" in dcsim("inspect", "[/x].dcz").stdout


# --- what cannot be


def wrong_files(folder: Path) -> None:
    ones = torch.ones(3, 4)
    whole = (folder / "net.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[:-100])
    (folder / "stub.safetensors").write_bytes(whole[:50])
    (folder / "text.safetensors").write_text("weights, weights, weights")
    (folder / "damaged.safetensors").write_bytes(whole[:8] + b"?" + whole[9:])
    about = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    raw(folder / "overlap.safetensors", {"a": about, "b": {**about, "data_offsets": [4, 12]}}, bytes(12))
    raw(folder / "offsets.safetensors", {"fc.weight": {**about, "data_offsets": [8, 0]}}, bytes(8))
    for name, value in (("nan", torch.nan), ("inf", torch.inf)):
        save_file(
            {"fine": ones, "fc.weight": torch.where(ones.cumsum(1) == 2, value, ones)}, folder / f"{name}.safetensors"
        )
    save_file({"fc.weight": ones.to(torch.float8_e4m3fn)}, folder / "float8.safetensors")
    save_file({"fc.weight": torch.tensor([0.1], dtype=torch.float64)}, folder / "float64.safetensors")
    save_file({"counter": torch.tensor(1)}, folder / "counter.safetensors")
    parts = {"a": ones}, {"b": ones}
    for name in ("gone", "twice", "absent"):
        (folder / name).mkdir()
    shards(folder / "gone", *parts)
    (folder / "gone" / "model-00002-of-00002.safetensors").unlink()
    shards(folder / "twice", {"a": ones, "b": 2 * ones}, {"b": ones})
    shards(
        folder / "absent",
        *parts,
        index={"a": "model-00001-of-00002.safetensors", "lost": "model-00002-of-00002.safetensors"},
    )


FILES = [
    ("none.safetensors", ("cannot read the weights none.safetensors: No such file",)),
    ("cut.safetensors", ("cut.safetensors: fc.weight", "the file is cut off")),
    ("stub.safetensors", ("stub.safetensors", "not a safetensors file, or cut off")),
    ("text.safetensors", ("text.safetensors", "not a safetensors file")),
    ("damaged.safetensors", ("damaged.safetensors", "header is damaged")),
    ("overlap.safetensors", ("overlap.safetensors: b overlaps",)),
    ("offsets.safetensors", ("offsets.safetensors", "fc.weight", "makes no sense")),
    ("nan.safetensors", ("nan.safetensors: fc.weight", "not finite")),
    ("inf.safetensors", ("inf.safetensors: fc.weight", "not finite")),
    ("float8.safetensors", ("float8.safetensors: fc.weight has type F8_E4M3", "F32")),
    ("float64.safetensors", ("float64.safetensors: fc.weight", "fp32 cannot hold")),
    ("counter.safetensors", ("counter.safetensors holds no weights", "1 tensors")),
    ("gone/model.safetensors.index.json", ("gone/model-00002-of-00002.safetensors: No such file",)),
    ("twice/model.safetensors.index.json", ("b is in more than one file", "model-00002-of-00002.safetensors")),
    ("absent/model.safetensors.index.json", ("absent/model.safetensors.index.json names lost",)),
]


@pytest.mark.parametrize(("path", "words"), FILES, ids=[path for path, _ in FILES])
def test_files_that_cannot_be_compressed_are_refused_by_name(
    refuse: Callable[..., str], folder: Path, path: str, words: tuple[str, ...]
) -> None:
    wrong_files(folder)
    for mode in ("--as-is", "--post-training"):
        message = refuse("compress", "--weights", path, mode, "-o", "net.dcz")
        assert message.count("\n") == 1
        assert all(word in message for word in words), message


OF_NET = ("compress", "--weights", "net.safetensors")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*OF_NET, "-o", "x.dcz"), "--as-is or --post-training"),
        ((*OF_NET, "--as-is"), "-o FILE.dcz"),
        (("compress", "--as-is", "-o", "x.dcz"), "--weights FILE.safetensors"),
        ((*OF_NET, "--as-is", "--post-training", "-o", "x.dcz"), "exclude each other"),
        ((*OF_NET, "--post-training", "--recipe", "published", "-o", "x.dcz"), "exclude each other"),
        ((*OF_NET, "--as-is", "--prune-density", "0.1", "-o", "x.dcz"), "--prune-density cannot be given with it"),
        ((*OF_NET, "--post-training", "--prune-density", "0.1", "--prune-threshold", "1", "-o", "x.dcz"), "give one"),
        (
            (*OF_NET, "--post-training", "--prune-density", "10", "-o", "x.dcz"),
            "density 10.0 is not possible: expected",
        ),
        ((*OF_NET, "--post-training", "--prune-threshold", "nan", "-o", "x.dcz"), "threshold nan is not possible"),
        ((*OF_NET, "--post-training", "--codebook-bits", "11", "-o", "x.dcz"), "expected 1 to 10"),
        ((*OF_NET, "--post-training", "--gap-bits", "17", "-o", "x.dcz"), "0 to 16, or auto"),
        ((*OF_NET, "--post-training", "--gap-bits", "some", "-o", "x.dcz"), "gap bits 'some'"),
        ((*OF_NET, "--post-training", "--centroids", "random", "-o", "x.dcz"), "linear"),
        (("compress", "lenet-5", "--prune-threshold", "0.1"), "a threshold is for --post-training"),
        ((*OF_NET, "--as-is", "-o", "net.safetensors/x.dcz"), "cannot write net.safetensors/x.dcz"),
        ((*OF_NET, "--as-is", "-o", "net.safetensors"), "cannot write net.safetensors: it is read from"),
        ((*OF_NET, "--as-is", "-o", "."), "it is a folder"),
        (("decode", "net.dcz", "-o", "x.bin"), "must end in .safetensors, .pt, .pth, .npz"),
        (("decode", "none.dcz", "-o", "x.pt"), "cannot read none.dcz: No such file"),
        (("decode", "net.safetensors", "-o", "x.pt"), "net.safetensors: not a .dcz file"),
        (("decode", "net.dcz", "-o", "x.pt", "--sparse", "csr"), "x.pt with --sparse"),
        (("decode", "net.dcz", "-o", "x.npz", "--sparse", "coo"), "csr"),
        (("decode", "net.dcz", "-o", "net.safetensors/x.npz"), "cannot write net.safetensors/x.npz"),
        (("inspect", "net.safetensors"), "net.safetensors: not a .dcz file"),
        (("inspect", "none.dcz", "--json", "-"), "cannot read none.dcz: No such file"),
    ],
)
def test_what_cannot_be_asked_for_is_explained(
    refuse: Callable[..., str], arguments: tuple[str, ...], words: str
) -> None:
    assert words in refuse(*arguments)


def test_a_disk_that_fills_up_leaves_nothing(dcsim: Dcsim, folder: Path) -> None:
    assert dcsim("compress", "--weights", "net.safetensors", "--as-is", "-o", "ok.dcz").returncode == 0
    CompressedModel.load(folder / "ok.dcz").decode()  # compiled code is kept in files too, which must fit before
    before = sorted(folder.iterdir())
    compress, decode = ("compress", "--weights", "net.safetensors", "--as-is"), ("decode", "ok.dcz")
    for command, output in ((compress, "x.dcz"), (decode, "x.safetensors"), (decode, "x.npz")):
        done = subprocess.run(
            [sys.executable, "-m", "dcsim", *command, "-o", output],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)),
        )
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert f"cannot write {output}: File too large" in done.stderr
        assert sorted(folder.iterdir()) == before


# --- stopped half-way


def half_way(folder: Path) -> subprocess.Popen[str]:
    """A compression of many tensors that has written some of them."""
    values = np.random.default_rng(0).normal(size=(400, 500)).astype(np.float32)
    write_checkpoint(
        folder / "long.safetensors", dict.fromkeys(map(str, range(200)), values.shape), lambda name: values
    )
    arguments = [
        "compress",
        "--weights",
        "long.safetensors",
        "--post-training",
        "--centroids",
        "optimal",
        "--codebook-bits",
        "10",  # a quarter of a second a tensor: time enough to be stopped in
        "-o",
        "out/long.dcz",
    ]
    (folder / "out").mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "dcsim", *arguments], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    while sum(path.stat().st_size for path in (folder / "out").iterdir()) < 100_000:
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    return running


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_ctrl_c_and_a_signal_to_stop_leave_nothing(folder: Path, sent: signal.Signals, code: int) -> None:
    running = half_way(folder)
    running.send_signal(sent)
    _, message = running.communicate(timeout=30)
    assert (running.returncode, message) == (code, "interrupted\n")
    assert list((folder / "out").iterdir()) == []


def test_a_kill_leaves_nothing_that_looks_finished(dcsim: Dcsim, folder: Path) -> None:
    running = half_way(folder)
    running.kill()
    running.communicate(timeout=30)
    (left,) = (folder / "out").iterdir()
    assert (left.name.startswith(".long.dcz."), left.suffix) == (True, ".tmp")
    for command in (("inspect", left), ("decode", left, "-o", "x.safetensors")):
        done = dcsim(*command)
        assert done.returncode == 2
        assert "the file was cut off or altered" in done.stderr or "does not fit in" in done.stderr
    assert not (folder / "x.safetensors").exists()


# --- memory


def peak_bytes(folder: Path, n_tensors: int, *arguments: str) -> int:
    """Most anonymous memory of a compression of `n_tensors` of 8 M weights, as often as the system can be asked."""
    values = np.random.default_rng(0).normal(size=(2000, 4000)).astype(np.float32)
    write_checkpoint(
        folder / "big.safetensors", dict.fromkeys(map(str, range(n_tensors)), values.shape), lambda name: values
    )
    command = [sys.executable, "-m", "dcsim", "compress", "--weights", "big.safetensors", *arguments, "-o", "big.dcz"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak_kib = 0
    while running.poll() is None:
        status = Path(f"/proc/{running.pid}/status").read_text()
        peak_kib = max(
            peak_kib, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")), 0
        )
        time.sleep(0.002)
    assert running.returncode == 0
    assert CompressedModel.load(folder / "big.dcz").n_parameters == n_tensors * values.size
    return peak_kib * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell anonymous memory")
@pytest.mark.parametrize(
    ("arguments", "spread_mib"),
    [(("--as-is",), 48), (("--post-training",), 16)],  # less than the four files' worth of payloads: 128 and 28
    ids=["as is", "post-training"],
)
def test_memory_does_not_grow_with_the_number_of_tensors(
    tmp_path: Path, arguments: tuple[str, ...], spread_mib: int
) -> None:
    few, many = (peak_bytes(tmp_path, n_tensors, *arguments) for n_tensors in (2, 6))
    assert few > 30 * MIB  # it was measured
    assert many < few + spread_mib * MIB

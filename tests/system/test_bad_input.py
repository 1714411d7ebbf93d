"""Does every mistake end in exit code 2, one clear message, no traceback, and nothing half-written?"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dcsim.artifact import pack
from dcsim.config import shipped
from dcsim.traces.synthetic import synthesize
from dcsim.zoo import find_network
from tests.conftest import Dcsim

OWN = ("own:build", "--data", "own:data", "--recipe", "own.yaml")


@pytest.fixture
def refuse(dcsim: Dcsim, own_network: Path) -> Callable[..., str]:
    """Run a command that must be refused; returns its message."""

    def call(*arguments: object, **environment: str) -> str:
        before = {path for path in own_network.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        done = dcsim(*arguments, **environment)
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        after = {path for path in own_network.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        new = {path for path in after - before if "cache" not in path.relative_to(own_network).parts[:1]}
        assert not new, f"left behind: {new}"
        return done.stderr

    return call


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "lenet-5000"), ("lenet-5000", "did you mean lenet-5")),
        (("run", "one-billion", "--soc", "mobile54"), ("mobile54", "did you mean mobile45")),
        (("run", "one-billion", "--soc", "nowhere.yaml"), ("nowhere.yaml", "mobile45")),
        (("run", "one-billion", "--budget", "fone"), ("fone", "did you mean phone")),
        (("run", "one-billion", "--soc", "paper45", "--fps", "0"), ("fps must be a positive number",)),
        (("run", "one-billion", "--soc", "paper45", "--fps", "nan"), ("fps must be a positive number",)),
        (("run", "one-billion", "--soc", "mobile45"), ("DRAM", "--variant")),
        (("run", "one-billion", "--variant", "dense", "--gate", "huffman", "--soc", "paper45"), ("gate", "dense")),
        (("run", "nomodule:build", "--data", "own:data", "--recipe", "own.yaml"), ("nomodule",)),
        (("run", "own:nothing", "--data", "own:data", "--recipe", "own.yaml"), ("own", "nothing")),
        (("run", "own:build", "--data", "own:data"), ("--recipe",)),
        (("run", "own:build", "--recipe", "own.yaml"), ("--data",)),
        (("run", "own:build", "--data", "own:empty", "--recipe", "own.yaml"), ("empty",)),
        (("run", "own:Broken", "--data", "own:data", "--recipe", "broken.yaml"), ("forward fails", "(1, 1, 8, 8)")),
        (("run", "own:build", "--data", "own:data", "--recipe", "missing.yaml"), ("missing.yaml",)),
        (("run", "own:build", "--data", "own:integers", "--recipe", "own.yaml"), ("train_labels", "int64", "int32")),
        (("run", "own:build", "--data", "own:too_many_classes", "--recipe", "own.yaml"), ("(1, 4)", "(1, 13)")),
        (("run", "own:build", "--data", "own:flat", "--recipe", "shift.yaml"), ("shift_pixels", "(500, 64)")),
        (("run", "own:frozen", "--data", "own:data", "--recipe", "own.yaml"), ("layers 1", "frozen")),
        (("run", "own:zero", "--data", "own:data", "--recipe", "own.yaml"), ("layers 1", "all zero")),
        (("run", *OWN, "--batch", "101"), ("batch 101", "1 to 100")),
        (("run", *OWN, "--fps", "1e-300"), ("fps",)),
        (("run", "one-billion", "--soc", "paper45", "--recipe", "published"), ("numbers only",)),
        (("simulate", "any.parquet", "--ledger", "-"), ("--json",)),
        (("run", "lenet-300-100", "--recipe", "finest"), ("finest", "best", "published")),
        (("run", *OWN, "--weights", "none.safetensors"), ("none.safetensors",)),
        (("run", *OWN, "--json", "nodir/file/out.json", "--plot", "picture.txt"), ("picture.txt", ".png")),
        (("compress", "one-billion"), ("numbers only",)),
        (("train", "one-billion", "-o", "w.safetensors"), ("training.yaml",)),
        (("trace", "one-billion", "--file", "x.dcz", "-o", "t.parquet"), ("numbers only",)),
        (("trace", "own:build", "--data", "own:data", "--file", "none.dcz", "-o", "t.parquet"), ("none.dcz",)),
        (("simulate", "none.parquet"), ("none.parquet",)),
        (("simulate", "own.yaml"), ("own.yaml", "not a readable trace")),
        (("check", "none.parquet"), ("none.parquet",)),
        (("inspect", "own.yaml"), ("not a .dcz file",)),
        (("soc", "nothing"), ("nothing", "mobile45")),
    ],
)
def test_mistakes_are_named(
    refuse: Callable[..., str], own_network: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    recipe = (own_network / "own.yaml").read_text()
    broken = recipe.split("layers:")[0] + "layers:\n  fc: {density: 0.5, code_bits: 3, gap_bits: auto}\n"
    (own_network / "broken.yaml").write_text(broken)
    (own_network / "shift.yaml").write_text(recipe.replace("shift_pixels: 0", "shift_pixels: 1"))
    message = refuse(*arguments)
    assert all(word in message for word in words), message


def test_a_recipe_naming_a_missing_layer_lists_the_layers(refuse: Callable[..., str], own_network: Path) -> None:
    recipe = (own_network / "own.yaml").read_text().replace('"3":', "fc9:")
    (own_network / "own.yaml").write_text(recipe)
    message = refuse("run", *OWN)
    assert "fc9" in message
    assert "1, 3" in message


def test_a_soc_yaml_shows_all_its_errors_at_once(refuse: Callable[..., str], own_network: Path) -> None:
    text = (shipped("configs") / "soc" / "mobile45.yaml").read_text()
    text = text.replace("clock_hz: 350e+6", "clock_hz: fast").replace("lanes_out: 4", "lane_out: 4")
    text = text.replace("vdd_volts: 1.2", "vdd_volts: -1.2")
    (own_network / "my.yaml").write_text(text)
    message = refuse("soc", "my.yaml")
    assert "my.yaml:5: clock_hz: expected a valid integer, found the text 'fast'" in message
    assert "vdd_volts: expected greater than 0, found -1.2" in message
    assert "array.lane_out: unknown key; did you mean lanes_out?" in message
    assert "array.lanes_out: required key is missing" in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("trefi_cycles: 3120", "trefi_cycles: 140", "dram.timing: a refresh takes 140 cycles"),
        ("idd4r_ma: 233", "idd4r_ma: 1", "dram.currents: idd4r_ma must not be below idd3n_ma"),
        ("capacity_kib: 512", "capacity_kib: 4", "sram: capacity_kib: expected 8 to 8192"),
    ],
)
def test_a_chip_that_cannot_be_is_refused(
    refuse: Callable[..., str], own_network: Path, old: str, new: str, words: str
) -> None:
    text = (shipped("configs") / "soc" / "mobile45.yaml").read_text()
    (own_network / "my.yaml").write_text(text.replace(old, new))
    assert words in refuse("soc", "my.yaml")


def test_check_refuses_traces_that_do_not_belong_together(refuse: Callable[..., str]) -> None:
    models = shipped("models")
    one = models / "lenet-300-100" / "compressed" / "default" / "huffman.parquet"
    message = refuse("check", one, models / "lenet-5" / "compressed" / "default" / "dense.parquet")
    assert "lenet-300-100 huffman, lenet-5 dense" in message
    assert "one for each variant" in refuse("check", one, one)


def test_a_cache_that_cannot_be_written_is_refused(refuse: Callable[..., str]) -> None:
    assert "/dev/null" in refuse("run", *OWN, DCSIM_CACHE="/dev/null")


def test_a_budget_without_limits_is_refused(refuse: Callable[..., str], own_network: Path) -> None:
    (own_network / "empty.yaml").write_text("name: empty\nlimits: {}\n")
    assert "empty.yaml:2: limits: a budget needs at least one limit" in refuse(
        "run", "one-billion", "--budget", "empty.yaml"
    )


def test_an_altered_dcz_is_refused(refuse: Callable[..., str], own_network: Path) -> None:
    import numpy as np

    content = bytearray(pack("x", "dense", {"w.weight": np.ones((3, 3), np.float32)}).content)
    content[-1] ^= 1
    (own_network / "bad.dcz").write_bytes(content)
    assert "checksum" in refuse("inspect", "bad.dcz")
    (own_network / "short.dcz").write_bytes(content[:-5])
    assert "short.dcz" in refuse("inspect", "short.dcz")


def test_an_altered_trace_is_refused(refuse: Callable[..., str], own_network: Path) -> None:
    spec = find_network("one-billion").spec
    assert spec is not None
    path = own_network / "t.parquet"
    synthesize(spec, "huffman").save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "t.parquet" in refuse("simulate", path)
    path.write_bytes(content.replace(b"one-billion", b"two-billion"))
    assert "altered" in refuse("check", path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_before_work_begins(refuse: Callable[..., str], own_network: Path) -> None:
    (own_network / "locked").mkdir(mode=0o500)
    assert "permission denied" in refuse("run", *OWN, "--json", "locked/out.json")


def test_an_output_that_is_a_folder_is_refused_before_work_begins(
    refuse: Callable[..., str], own_network: Path
) -> None:
    (own_network / "folder").mkdir()
    assert "it is a folder" in refuse("run", *OWN, "--json", "folder")
    assert "is not a folder" in refuse("run", *OWN, "--json", "own.py/out.json")


def test_a_full_disk_leaves_no_half_file(dcsim: Dcsim) -> None:
    done = dcsim("trace", "one-billion", "-o", "/dev/full/t.parquet")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_only_a_fault_of_dcsim_itself_exits_3(dcsim: Dcsim, own_network: Path) -> None:
    program = (
        "import dcsim.cli as cli, dcsim.simulation.simulate as simulation\n"
        "def broken(fps): raise ZeroDivisionError('planted')\n"
        "simulation.require_fps = broken\n"
        "import sys; sys.argv = ['dcsim', 'run', 'one-billion']; cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=own_network, check=False)
    assert done.returncode == 3
    assert "internal fault of dcsim" in done.stderr

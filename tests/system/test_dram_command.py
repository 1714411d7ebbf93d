"""Does `dcsim dram` replay a trace file, say what it found, and refuse what it cannot use?"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim import __version__
from dcsim.cli import app
from tests.conftest import ROOT, Dcsim

TRACE = "".join(f"0x{32 * i:x} {'WRITE' if i % 4 == 3 else 'READ'} {10 * i}\n" for i in range(400))
WORDS = {
    *(
        "schema",
        "dcsim_version",
        "soc",
        "n_outstanding",
        "idle",
        "cycles",
        "tck_ps",
        "n_requests",
        "n_reads",
        "n_writes",
    ),
    *("n_merged_reads", "n_merged_writes", "n_forwarded_reads", "n_waiting_writes", "n_outside"),
    *("n_row_hits", "n_row_misses", "n_row_conflicts", "n_activates", "n_precharges", "n_refreshes"),
    *("active_cycles", "idle_cycles", "power_down_cycles", "self_refresh_cycles"),
    *("mean_read_latency_cycles", "bandwidth_bytes_per_s", "energy_pj", "energy_pj_by_kind", "io_energy_pj"),
}
KINDS = {
    *("activate", "read", "write", "refresh"),
    *("active_standby", "precharge_standby", "power_down", "self_refresh"),
}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.trace"
    path.write_text(TRACE)
    return path


def found(*arguments: object) -> dict[str, float]:
    """What the command writes as JSON, run in this process."""
    done = CliRunner().invoke(app, ["dram", *map(str, arguments), "--json", "-"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)  # type: ignore[no-any-return]  # what this command writes


def test_json_goes_to_stdout_alone(dcsim: Dcsim, trace: Path) -> None:
    done = dcsim("dram", trace, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found.keys() == WORDS
    assert found["energy_pj_by_kind"].keys() == KINDS
    assert (found["schema"], found["dcsim_version"], found["soc"]) == (1, __version__, "mobile45")
    assert (found["n_outstanding"], found["idle"]) == (None, None)
    assert (found["n_requests"], found["n_reads"]) == (400, 300)
    assert found["n_writes"] + found["n_waiting_writes"] == 100
    assert found["energy_pj"] == pytest.approx(sum(found["energy_pj_by_kind"].values()))
    assert found["cycles"] >= 3990
    assert found["active_cycles"] + found["idle_cycles"] == found["cycles"]


def test_a_table_and_a_file(dcsim: Dcsim, trace: Path, tmp_path: Path) -> None:
    done = dcsim("dram", trace, "--json", "found.json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "found.json").read_text())
    shown = dict(line.rstrip().split("  ", 1) for line in done.stdout.splitlines()[2:])
    assert "400 requests" in done.stdout.splitlines()[0]
    for word, name in (("cycles", "cycles"), ("activations", "n_activates"), ("refreshes", "n_refreshes")):
        assert shown[word].split()[0] == f"{found[name]:,}"
    for word in ("bandwidth", "row hits", "mean read latency", "active cycles", "energy of the device"):
        assert word in shown
    assert "power-down cycles" not in shown


def test_options_reach_the_controller(trace: Path) -> None:
    plain = found(trace)
    assert found(trace, "--outstanding", 0) == plain
    one = found(trace, "--outstanding", 1)
    assert (one["n_outstanding"], one["cycles"] > plain["cycles"]) == (1, True)
    window = found(trace, "--cycles", 100_000)
    assert (window["cycles"], window["n_refreshes"]) == (100_000, 32)
    for idle in ("power_down", "self_refresh"):
        asleep = found(trace, "--cycles", 100_000, "--idle", idle)
        assert (asleep["idle"], asleep[f"{idle}_cycles"] > 90_000) == (idle, True)
        assert asleep["energy_pj"] < 0.6 * window["energy_pj"]
    standby = found(trace, "--cycles", 100_000, "--idle", "standby")
    assert (standby["power_down_cycles"], standby["self_refresh_cycles"]) == (0, 0)


def test_the_chips_own_limit_holds_unless_another_is_given(trace: Path, tmp_path: Path) -> None:
    text = (ROOT / "configs" / "soc" / "mobile45.yaml").read_text()
    assert "n_outstanding: null" in text
    narrow = tmp_path / "narrow.yaml"
    narrow.write_text(text.replace("n_outstanding: null", "n_outstanding: 1"))
    options = [(), ("--outstanding", 3), ("--outstanding", 0)]
    assert [found(trace, "--soc", narrow, *words)["n_outstanding"] for words in options] == [1, 3, None]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing.trace",), ("cannot read nothing.trace", "No such file")),
        (("t.trace", "--soc", "paper45"), ("paper45", "banked", "constant")),
        (("t.trace", "--soc", "mobile54"), ("did you mean mobile45",)),
        (("t.trace", "--cycles", 1 << 50), ("--cycles", "at most")),
        (("t.trace", "--json", "missing/../t.trace/x.json"), ("cannot write",)),
        (("bad.trace",), ("bad.trace:2:", "READ or WRITE", "'0x20 LOAD 5'")),
        (("empty.trace",), ("empty.trace", "holds no request")),
        ((".",), ("cannot read .", "directory")),
    ],
)
def test_what_cannot_be_used_is_refused(
    dcsim: Dcsim, trace: Path, tmp_path: Path, arguments: tuple[object, ...], words: tuple[str, ...]
) -> None:
    (tmp_path / "bad.trace").write_text("0x0 READ 0\n0x20 LOAD 5\n")
    (tmp_path / "empty.trace").write_text("")
    done = dcsim("dram", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", [("--outstanding", "-1"), ("--cycles", "-5"), ("--idle", "off")])
def test_options_of_another_kind_are_refused(dcsim: Dcsim, trace: Path, options: tuple[str, str]) -> None:
    done = dcsim("dram", trace, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert options[0] in done.stderr


def test_addresses_past_the_capacity_are_said_to_wrap_around(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "far.trace").write_text("0xffffffff READ 0\n")
    done = dcsim("dram", "far.trace")
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if "past the capacity" in line]
    assert "wrap around" in line
    assert ": 1 request, each" in done.stdout


def test_a_write_that_still_waits_is_explained(dcsim: Dcsim, tmp_path: Path) -> None:
    (tmp_path / "one.trace").write_text("0x0 WRITE 0\n")
    done = dcsim("dram", "one.trace", "--cycles", 100_000)
    assert done.returncode == 0
    told = dict(line.rstrip().split("  ", 1) for line in done.stdout.splitlines()[2:])
    assert "neither moved nor paid yet" in told["writes that still wait"]
    assert told["bandwidth"].split()[:2] == ["0", "B/s"]


def test_help_names_the_command_and_its_options(dcsim: Dcsim) -> None:
    done = dcsim("dram", "--help", COLUMNS="200")
    assert done.returncode == 0
    for word in ("0xADDRESS READ|WRITE CYCLE", "--soc", "--outstanding", "--idle", "--cycles", "--json"):
        assert word in done.stdout

"""Is every row of a sweep what one run of its engine says of that point, and a point that cannot be a row that says why?

What is expected comes from chips that are built here and simulated one by one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from dcsim.errors import ConfigError
from dcsim.explore import rows as rows_module
from dcsim.explore.chips import chip_at
from dcsim.explore.executors import InProcess
from dcsim.explore.rows import NUMBERS, WHOLE_NUMBERS, rows_of
from dcsim.explore.sweep import OneEngine, Sweep, sweep
from dcsim.explore.sweep_spec import SweepSpec
from dcsim.prepare import trace as trace_network
from dcsim.simulation.simulate import simulate
from dcsim.soc.ledger import COMPONENTS
from dcsim.soc.spec import SocSpec, load_soc
from dcsim.traces.trace import Trace
from tests.builders import PLAIN, STREAM_DECODER, coded, linear, network, shipped_chip

ENGINES: list[OneEngine] = ["analytic", "event"]
MOBILE = "mobile45"
#: 256 KiB of weights, of which a half or all stays, and a layer whose weights are coded
NET = network(
    linear("fc1", 256, 128),
    linear("fc2", 128, 256, producers=(0,), encoding="huffman", blocks=coded(8192, 5, 4)),
    file_bytes=150_000,
    header_bytes=100,
)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def spec(*axes: dict[str, Any], engine: str = "analytic", **about: Any) -> SweepSpec:
    content = {"name": "own", "soc": MOBILE, "fps": 20, "engine": engine, "axes": axes} | about
    if not {"network", "traces"} & content.keys() and '"network"' not in json.dumps(axes):
        NET.save("net.parquet")
        content["traces"] = ["net.parquet"]
    return SweepSpec.model_validate_json(json.dumps(content))


def run(*axes: dict[str, Any], engine: str = "analytic", **about: Any) -> Sweep:
    return sweep(spec(*axes, engine=engine, **about), f"out-{engine}", executor=InProcess())


def rows(*axes: dict[str, Any], engine: OneEngine = "analytic", **about: Any) -> pd.DataFrame:
    return run(*axes, engine=engine, **about).rows(engine)


def axis(path: str, *values: Any) -> dict[str, Any]:
    return {"path": path, "values": values}


def expected(trace: Trace, soc: SocSpec, fps: float, engine: OneEngine) -> dict[str, float]:
    """The figures of a row, by a run of its own."""
    found = simulate(trace, soc, fps, engine=engine)
    named = ("energy_pj_per_frame", "average_power_watts", "latency_s", "sustainable_fps", "dram_bytes_per_frame")
    figures = {name: getattr(found, name) for name in (*named, "compression_ratio", "test_error", "file_bytes")}
    figures |= {f"energy_{component}_pj": found.energy_pj_by_component.get(component, 0.0) for component in COMPONENTS}
    figures |= {
        "operating_clock_hz": found.clock_hz,
        "operating_volts": found.volts,
        "sram_bytes": found.peak_sram_bytes,
    }
    return {name: np.nan if value is None else float(value) for name, value in figures.items()}


def assert_row(row: Mapping[Any, Any], figures: dict[str, float]) -> None:
    assert row["error"] == ""
    assert figures.keys() == {*NUMBERS, *WHOLE_NUMBERS}
    for name, value in figures.items():
        assert row[name] == pytest.approx(value, rel=1e-9, nan_ok=True), name


# --- one row a point, as one run says ----------------------------------------------------------------------------------

GRID = (axis("sram.capacity_kib", 64, 128), axis("dram.timing.tck_ps", 1250, 2500), axis("fps", 5, 400, 1e5))


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_what_single_runs_say(engine: OneEngine) -> None:
    found = rows(*GRID, engine=engine)
    assert len(found) == 12
    assert list(found["engine"]) == [engine] * 12
    for row in found.to_dict("records"):
        changes = {path: row[path] for path in ("sram.capacity_kib", "dram.timing.tck_ps")}
        assert_row(row, expected(NET, shipped_chip(MOBILE, changes), row["fps"], engine))
    assert found["energy_pj_per_frame"].nunique() == 12
    in_time = found["fps"] <= found["sustainable_fps"]
    assert in_time.nunique() == 2
    assert (found["latency_s"].notna() == in_time).all()  # beyond the rate it keeps up with, frames queue without bound
    demanded_watts = (found["energy_pj_per_frame"] * found["fps"] / 1e12).to_list()
    assert found["average_power_watts"].to_list() == pytest.approx(demanded_watts)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("clock_hz", (100_000_000, 350_000_000)),
        ("volts", (0.8, 0.9)),
        ("always_on_mw", (0, 2.5)),
        ("activation_bits", (16, 32)),
        ("sram.cell", ("low-operating-power", "low-standby-power", "high-performance")),
        ("sram.access_width_bits", (32, 128)),
        ("dram.n_outstanding", (1, 4)),
        ("dram.address_map", ("row-bank-column", "bank-row-column")),
        ("dram.currents.idd4r_ma", (150, 233.5)),
        ("idle.dram", ("standby", "power_down", "self_refresh")),
        ("idle.logic", ("run", "clock_gate", "power_gate")),
        ("idle.sram", ("on", "off")),
        ("decoder.lanes", (1, 2)),
        ("decoder.pj_per_symbol", (1, 25)),
        ("array.lanes_out", (1, 2, 4)),
        ("array.skip_zeros", ("none", "weights")),
        ("array.pj_per_mac", (0.5, 4.6)),
        ("tiles.n_buffers", (1, 2, 3)),
        ("tiles.tile_kib", (4, 16)),
        ("operating_point", ("nominal", "auto", 0, 3)),
        ("operating_points.0.volts", (0.5, 0.65)),
        ("operating_points.3.clock_hz", (350_000_000, 360_000_000)),
    ],
)
def test_any_number_or_word_of_the_chip_is_an_axis(engine: OneEngine, path: str, values: tuple[Any, ...]) -> None:
    """On a chip that is kept busy by its DRAM, at its slowest, with clocks that run on: every number moves something."""
    base = {
        "sram.capacity_kib": 96,
        "idle.logic": "run",
        "logic.clock_mw": 3.0,
        "logic.leakage_mw": 1.0,
        "operating_point": 0,
    }
    if path in ("clock_hz", "volts"):
        base["operating_point"] = "nominal"
    if path == "operating_points.3.clock_hz":
        base["operating_point"] = 3
    chip = shipped_chip(MOBILE, base)
    Path("chip.yaml").write_text(yaml.safe_dump(json.loads(chip.model_dump_json(exclude={"sources"}))))
    found = rows(axis(path, *values), engine=engine, soc="chip.yaml")
    assert list(found[path]) == ([str(value) for value in values] if path == "operating_point" else list(values))
    for value, row in zip(values, found.to_dict("records"), strict=True):
        assert_row(row, expected(NET, changed(chip, path, value), 20, engine))
    if path not in ("volts", "decoder.lanes", "dram.address_map", "array.skip_zeros", "dram.n_outstanding"):
        assert len(found[["energy_pj_per_frame", "sustainable_fps"]].drop_duplicates()) > 1


def changed(chip: SocSpec, path: str, value: Any) -> SocSpec:
    """The chip read again from its YAML with another value."""
    tree = json.loads(chip.model_dump_json(exclude={"sources"}))
    *parents, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    branch = tree
    for parent in parents:
        branch = branch[parent]
    branch[last] = value
    return SocSpec.model_validate_json(json.dumps(tree))


@pytest.mark.parametrize("engine", ENGINES)
def test_axes_that_a_chip_has_to_agree_on_may_be_combined_with_any_other(engine: OneEngine) -> None:
    found = rows(
        axis("operating_point", "nominal", 0),
        axis("sram.retention_leakage_ratio", 0.25, 0.5),
        axis("idle.sram", "retain", "on"),
        axis("sram.capacity_kib", 64, 256),
        engine=engine,
    )
    for row in found.to_dict("records"):
        changes = {path: row[path] for path in ("sram.retention_leakage_ratio", "idle.sram", "sram.capacity_kib")}
        point = row["operating_point"]
        changes["operating_point"] = int(point) if point.isdecimal() else point
        assert_row(row, expected(NET, shipped_chip(MOBILE, changes), 20, engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_chip_is_an_axis(engine: OneEngine) -> None:
    changed_chip = shipped_chip(MOBILE, {"operating_point": 0, "clock_hz": 300_000_000})
    Path("own.yaml").write_text(yaml.safe_dump(json.loads(changed_chip.model_dump_json(exclude={"sources"}))))
    found = rows(axis("soc", MOBILE, "own.yaml", "paper45"), axis("sram.capacity_kib", 64, 256), engine=engine)
    for row in found.to_dict("records"):
        base = changed_chip if row["soc"] == "own.yaml" else load_soc(row["soc"])
        soc = changed(base, "sram.capacity_kib", row["sram.capacity_kib"])
        if (row["soc"], row["sram.capacity_kib"]) == ("paper45", 64):
            assert_failed(row, "SRAM")  # its two buffers take 64 KiB each
        else:
            assert_row(row, expected(NET, soc, 20, engine))


def test_a_path_that_one_of_the_chips_has_not_is_no_axis() -> None:
    with pytest.raises(ConfigError, match=r"no sram\.cell"):
        rows(axis("soc", MOBILE, "paper45"), axis("sram.cell", "low-operating-power"))


# --- axes that choose the trace ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_network_recipe_and_variant_are_axes(engine: OneEngine) -> None:
    found = rows(
        {
            "zip": [
                axis("network", "lenet-300-100", "lenet-300-100", "lenet-5"),
                axis("recipe", "published", "best", "best"),
            ]
        },
        axis("variant", "huffman", "dense"),
        axis("fps", 1, 30),
        engine=engine,
    )
    assert len(found) == 12
    for row in found.to_dict("records"):
        trace = trace_network(row["network"], row["variant"], recipe=row["recipe"])
        assert_row(row, expected(trace, load_soc(MOBILE), row["fps"], engine))
    assert found.groupby(["network", "recipe"])["file_bytes"].nunique().tolist() == [2, 2, 2]
    assert found["test_error"].notna().all()


@pytest.mark.parametrize("engine", ENGINES)
def test_batch_is_an_axis(engine: OneEngine) -> None:
    found = rows(
        {"path": "batch", "range": {"start": 1, "stop": 3, "n": 5}}, network="one-billion", variants=["huffman"],
        soc="paper45", fps=2, engine=engine,
    )  # fmt: skip
    assert list(found["batch"]) == [1, 2, 3]
    for row in found.to_dict("records"):
        trace = trace_network("one-billion", "huffman", batch=row["batch"])
        assert_row(row, expected(trace, load_soc("paper45"), 2, engine))


DECODER = """
name: tiny
kind: decoder
decoder: {n_layers: 1, width: 64, n_heads: 2, n_kv_heads: 1, inner: 96, n_words: 200, tied: true, n_context: 8, n_tokens: 1}
weights: {weight_density: 1.0, code_bits: 4, gap_bits: 0, huffman_bits_per_code: 3.7}
"""


def test_context_and_tokens_of_a_language_model_are_axes() -> None:
    Path("tiny.yaml").write_text(DECODER)
    found = rows(axis("context", 4, 40), axis("tokens", 1, 3), network="tiny.yaml", variants=["huffman"])
    assert [(row["context"], row["tokens"]) for row in found.to_dict("records")] == [(4, 1), (4, 3), (40, 1), (40, 3)]
    for row in found.to_dict("records"):
        trace = trace_network("tiny.yaml", "huffman", context=row["context"], tokens=row["tokens"])
        assert_row(row, expected(trace, load_soc(MOBILE), 20, "analytic"))
    assert found["energy_pj_per_frame"].is_monotonic_increasing


def test_saved_traces_are_an_axis_of_their_own() -> None:
    NET.save("net.parquet")
    other = network(linear("fc", 64, 64), test_error=None)
    other.save("other.parquet")
    found = rows(axis("fps", 1, 2), traces=["net.parquet", "other.parquet"])
    assert list(found["trace"]) == ["net.parquet"] * 2 + ["other.parquet"] * 2
    for row in found.to_dict("records"):
        trace = NET if row["trace"] == "net.parquet" else other
        assert_row(row, expected(trace, load_soc(MOBILE), row["fps"], "analytic"))
    assert list(found["test_error"].isna()) == [False, False, True, True]


# --- points that cannot be ---------------------------------------------------------------------------------------------


def assert_failed(row: Mapping[Any, Any], why: str) -> None:
    assert why in row["error"]
    measured = {"compression_ratio", "test_error", "file_bytes"}  # of the trace, and still true
    for name in {*NUMBERS, *WHOLE_NUMBERS} - measured:
        assert row[name] == 0 if name in WHOLE_NUMBERS else np.isnan(row[name]), name


CANNOT_BE = [
    (
        "sram.capacity_kib",
        (256, 4, 16384),
        {1: "expected 8 to 8192, the sizes of the CACTI table, found 4", 2: "16384"},
    ),
    ("sram.capacity_kib", (256, 8), {1: "SRAM"}),
    ("tiles.tile_kib", (16, 300), {1: "SRAM"}),
    ("operating_point", (0, 7), {1: "operating_point 7: there are 4 points"}),
    ("operating_points.0.clock_hz", (190_000_000, 300_000_000), {1: "operating_points must go from slow to fast"}),
    ("idle.sram", ("on", "retain"), {1: "idle.sram retain needs sram.retention_leakage_ratio"}),
    ("dram.timing.trefi_cycles", (3120, 104), {1: "dram"}),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("path", "values", "faults"), CANNOT_BE)
def test_a_point_that_cannot_be_is_a_row_that_says_why(
    engine: OneEngine, path: str, values: tuple[Any, ...], faults: dict[int, str]
) -> None:
    found = rows(axis(path, *values), axis("fps", 10, 20), engine=engine).to_dict("records")
    assert len(found) == 2 * len(values)
    for place, row in enumerate(found):
        if place // 2 in faults:
            assert_failed(row, faults[place // 2])
        else:
            assert_row(row, expected(NET, changed(load_soc(MOBILE), path, values[place // 2]), row["fps"], engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_larger_than_the_dram_is_a_row_that_says_so(engine: OneEngine) -> None:
    found = rows(
        axis("dram.capacity_mib", 1024, 8192), network="one-billion", variants=["dense", "huffman"], soc="paper45",
        engine=engine,
    )  # fmt: skip
    faulty = [(row["variant"], row["dram.capacity_mib"]) for row in found.to_dict("records") if row["error"]]
    assert faulty == [("dense", 1024)]
    assert_failed(found.to_dict("records")[0], "DRAM")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_stumbles_over_a_point_loses_no_other(
    engine: OneEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of dcsim itself, at two of 24 points."""
    import dcsim.simulation.analytic as analytic

    def stumbles(original: Any, has_it: Any) -> Any:
        def call(trace: Trace, *arguments: Any, **options: Any) -> Any:
            if has_it(*arguments):
                raise ZeroDivisionError("by a fault of ours")
            return original(trace, *arguments, **options)

        return call

    axes = (axis("always_on_mw", *range(12)), axis("fps", 10, 20))
    monkeypatch.setattr(
        analytic, "estimate", stumbles(analytic.estimate, lambda soc, at, fps: 7 in list(at["always_on_mw"]))
    )
    monkeypatch.setattr(rows_module, "simulate", stumbles(simulate, lambda soc, fps: soc.always_on_mw == 7))
    found = rows(*axes, engine=engine).to_dict("records")
    for row in found:
        if row["always_on_mw"] == 7:
            assert_failed(row, "ZeroDivisionError: by a fault of ours")
        else:
            assert_row(
                row, expected(NET, shipped_chip(MOBILE, {"always_on_mw": row["always_on_mw"]}), row["fps"], engine)
            )


def test_a_trace_that_is_gone_stops_the_sweep_and_is_no_row() -> None:
    found = run(axis("fps", 1, 2))
    rows_module._load.cache_clear()
    for path in Path("out-analytic/traces").iterdir():
        path.unlink()
    with pytest.raises(Exception, match="no trace file"):
        rows_of(found.plan, np.arange(2), "analytic")


# --- what is refused before anything is made ---------------------------------------------------------------------------


def refusal(*axes: dict[str, Any], **about: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        run(*axes, **about)
    assert not Path("out-analytic").exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (axis("sram.capacity", 1), "no sram.capacity; did you mean sram.capacity_kib?"),
        (axis("name", "x"), "no name"),
        (axis("sources", "x"), "no sources"),
        (axis("trace", "x"), "no trace"),
        (axis("operating_points.4.volts", 1), "no operating_points.4.volts; did you mean operating_points.3.volts?"),
        (axis("soc", "mobile54"), "no soc named 'mobile54'"),
        (axis("soc", 5), "no soc named '5'"),
        (axis("fps", 5, "fast"), "fps takes numbers from 1e-06 on, found the text 'fast'"),
        (axis("fps", 10, 0), "fps takes numbers from 1e-06 on, found 0"),
        (axis("fps", 10, 1e-9), "fps takes numbers from 1e-06 on, found 1e-09"),
        (axis("fps", True), "fps takes numbers from 1e-06 on, found true"),
        (axis("tiles.n_buffers", 1, 1.5), "tiles.n_buffers takes whole numbers, found 1.5"),
    ],
)
def test_an_axis_that_nothing_has_or_of_another_kind_is_refused(listed: dict[str, Any], words: str) -> None:
    assert words in refusal(listed)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (axis("batch", 1, 1.5), "batch takes whole numbers, found 1.5"),
        (axis("batch", 0), "batch takes numbers from 1 on, found 0"),
        (axis("batch", -1), "batch takes numbers from 1 on, found -1"),
        (axis("batch", "two"), "batch takes numbers from 1 on, found the text 'two'"),
        (axis("variant", "dens"), "no variant named 'dens'; did you mean dense?"),
        (axis("variant", 1), "variant takes names, found 1"),
        (axis("network", "lenet-55"), "lenet-5"),
        (axis("network", 5), "network takes names, found 5"),
        (axis("recipe", "finest"), "finest"),
        (axis("recipe", 1), "recipe takes names, found 1"),
    ],
)
def test_a_trace_that_cannot_be_is_refused(listed: dict[str, Any], words: str) -> None:
    about = (
        {} if listed["path"] == "network" else {"network": "one-billion" if listed["path"] == "batch" else "lenet-5"}
    )
    assert words in refusal(listed, **about)


def test_constraints_are_checked_before_anything_is_made() -> None:
    assert "no sram.capacity_kb; did you mean sram.capacity_kib?" in refusal(
        GRID[0], constraints=["sram.capacity_kb > 1"]
    )
    assert "numbers and words cannot be compared" in refusal(GRID[0], constraints=["sram.cell > 1"])
    found = rows(*GRID, constraints=["sram.capacity_kib * 4 <= 300 + fps / 2", "fps < 1e5"])
    assert [(row["sram.capacity_kib"], row["fps"]) for row in found.to_dict("records")] == [(64, 5), (64, 400)] * 2


def test_constraints_may_be_between_any_axes() -> None:
    found = rows(
        axis("variant", "dense", "huffman"), axis("fps", 1, 5), network="lenet-5", constraints=["variant != 'dense'"]
    )
    assert list(found["variant"]) == ["huffman"] * 2


def test_a_constraint_knows_each_chip() -> None:
    found = rows(axis("soc", MOBILE, "paper45"), axis("fps", 1, 5), constraints=["clock_hz > 5e8"])
    assert list(found["soc"]) == ["paper45"] * 2


# --- chips with other numbers ------------------------------------------------------------------------------------------


def test_a_changed_chip_is_read_as_its_yaml_would_be() -> None:
    soc = load_soc(MOBILE)
    assert chip_at(soc, {}).model_dump(exclude={"sources"}) == soc.model_dump(exclude={"sources"})
    found = chip_at(soc, {"sram.capacity_kib": 64, "operating_points.1.volts": 0.65, "operating_point": 1})
    assert (found.sram.capacity_kib, found.operating_points[1].volts, found.operating_point) == (64, 0.65, 1)
    assert soc.sram.capacity_kib == 512
    assert chip_at(soc, {"always_on_mw": 2}).always_on_mw == 2.0


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("sram.capacity", 1, "the chip has no sram.capacity"),
        ("operating_points.9.volts", 1, "the chip has no operating_points.9.volts"),
        ("volts.more", 1, "the chip has no volts.more"),
        ("volts", "high", "volts: Input should be a valid number, found 'high'"),
        ("volts", -1.0, "volts: Input should be greater than 0, found -1.0"),
        ("sram.n_banks", 2.0, "sram.cacti45.n_banks: Input should be a valid integer, found 2.0"),
        ("idle.sram", "retain", "the chip: idle.sram retain needs sram.retention_leakage_ratio"),
    ],
)
def test_a_chip_that_cannot_be_changed_so_says_why(path: str, value: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chip_at(load_soc(MOBILE), {path: value})
    assert str(caught.value) == reason


def test_the_plain_chip_has_no_surprises() -> None:
    """All of a chip's leaves can be set to what they are."""
    soc = SocSpec.model_validate(PLAIN | {"decoder": STREAM_DECODER})
    leaves = {path: value for path, value in soc.leaves().items() if path != "operating_points"}
    assert chip_at(soc, leaves) == soc

"""Is a sweep's YAML read as it is meant, and every slip in it named by file and line before anything runs?"""

from pathlib import Path

import pytest

from dcsim.artifact import VARIANTS
from dcsim.config import known_yaml, parse_spec
from dcsim.errors import ConfigError
from dcsim.explore.sweep_spec import OBJECTIVES, Axis, SweepSpec, Zipped, load_sweep

SWEEP = """\
name: own
network: lenet-5
soc: mobile45
fps: 20
axes:
  - {path: sram.capacity_kib, values: [256, 512]}
"""
AXIS = "  - {path: sram.capacity_kib, values: [256, 512]}\n"


def read(text: str) -> SweepSpec:
    return parse_spec(SweepSpec, text, "own.yaml")


def with_axis(text: str) -> str:
    return SWEEP.replace(AXIS, f"  - {text}\n")


def refusal(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value).splitlines()


# --- what a file may say -------------------------------------------------------------------------------------------


def test_what_is_not_said_has_its_usual_value() -> None:
    spec = read(SWEEP)
    assert (spec.network, spec.traces, spec.soc, spec.fps) == ("lenet-5", (), "mobile45", 20)
    assert (spec.variants, spec.engine, spec.constraints) == (VARIANTS, "analytic", ())
    assert spec.objectives == ("energy_pj_per_frame", "latency_s")


@pytest.mark.parametrize(
    ("written", "points"),
    [
        ("values: [1, 2.5, 1e3]", (1, 2.5, 1000.0)),
        ("values: [on, off, nominal]", ("on", "off", "nominal")),
        ("values: [auto, 0, 1]", ("auto", 0, 1)),
        ("values: [true, false]", (True, False)),
        ("values: [7]", (7,)),
        ("range: {start: 0, stop: 1, n: 5}", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("range: {start: 3, stop: -1, n: 3}", (3.0, 1.0, -1.0)),
        ("log_range: {start: 1, stop: 1000, n: 4}", (1.0, 10.0, 100.0, 1000.0)),
        ("log_range: {start: 8, stop: 0.5, n: 5}", (8.0, 4.0, 2.0, 1.0, 0.5)),
    ],
)
def test_an_axis_has_the_values_in_their_order(written: str, points: tuple[object, ...]) -> None:
    (axis,) = read(with_axis(f"{{path: a, {written}}}")).single_axes
    assert axis.points() == pytest.approx(points) if "range" in written else axis.points() == points
    assert "range" in written or [type(value) for value in axis.points()] == [type(value) for value in points]


def test_a_range_ends_exactly_where_it_is_said_to() -> None:
    for kind in ("range", "log_range"):
        (axis,) = read(with_axis(f"{{path: a, {kind}: {{start: 0.1, stop: 0.7, n: 7}}}}")).single_axes
        assert (len(axis.points()), axis.points()[0], axis.points()[-1]) == (7, 0.1, 0.7)


def test_zipped_axes_are_read_as_one_group() -> None:
    spec = read(with_axis("zip: [{path: a, values: [1, 2]}, {path: b, range: {start: 5, stop: 6, n: 2}}]"))
    assert isinstance(spec.axes[0], Zipped)
    assert [axis.path for axis in spec.single_axes] == ["a", "b"]
    both = read(SWEEP + "  - zip: [{path: a, values: [1, 2]}, {path: b, values: [3, 4]}]\n")
    assert [axis.path for axis in both.single_axes] == ["sram.capacity_kib", "a", "b"]
    assert isinstance(both.axes[0], Axis)


def test_a_sweep_has_a_network_or_an_axis_of_them_or_traces() -> None:
    without = SWEEP.replace("network: lenet-5\n", "")
    assert read(without + "  - {path: network, values: [lenet-5, alexnet]}\n").network is None
    assert read(without + "traces: [a.parquet, b.parquet]\n").traces == ("a.parquet", "b.parquet")


@pytest.mark.parametrize("name", known_yaml("sweep"))
def test_sweeps_that_ship_are_found_by_name(name: str) -> None:
    assert load_sweep(name).name == name
    assert load_sweep(name).axes


def test_a_sweep_of_ones_own_is_found_by_path(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(SWEEP)
    assert load_sweep(str(tmp_path / "own.yaml")).name == "own"
    with pytest.raises(ConfigError, match="did you mean memory"):
        load_sweep("memori")


# --- what it may not -----------------------------------------------------------------------------------------------

HAS_NONE = "own.yaml:6: axes.0: an axis has values, range or log_range; a has "
LENGTHS = "own.yaml:6: axes.0: zipped axes need as many values each: a has 2, b has 3"


@pytest.mark.parametrize(
    ("axis", "line"),
    [
        ("{path: a}", HAS_NONE + "none"),
        ("{path: a, values: [1], range: {start: 1, stop: 2, n: 2}}", HAS_NONE + "values and range"),
        (
            "{path: a, range: {start: 1, stop: 2, n: 2}, log_range: {start: 1, stop: 2, n: 2}}",
            HAS_NONE + "range and log_range",
        ),
        (
            "{path: a, log_range: {start: 0, stop: 2, n: 2}}",
            "own.yaml:6: axes.0: a log_range goes between positive numbers; a does not",
        ),
        (
            "{path: a, log_range: {start: 2, stop: -2, n: 2}}",
            "own.yaml:6: axes.0: a log_range goes between positive numbers; a does not",
        ),
        (
            "{path: a, range: {start: 1, stop: 2, n: 0}}",
            "own.yaml:6: axes.0.range.n: expected greater than or equal to 1, found 0",
        ),
        (
            "{path: a, range: {start: 1, stop: 2, n: 2.5}}",
            "own.yaml:6: axes.0.range.n: expected a valid integer, found 2.5",
        ),
        (
            "{path: a, range: {start: low, stop: 2, n: 2}}",
            "own.yaml:6: axes.0.range.start: expected a valid number, found the text 'low'",
        ),
        ("{path: a, range: {start: 1, stop: 2}}", "own.yaml:6: axes.0.range.n: required key is missing"),
        (
            "{path: a, values: []}",
            "own.yaml:6: axes.0.values: expected at least 1 item after validation, not 0, found a list",
        ),
        ("{path: a, values: 3}", "own.yaml:6: axes.0.values: expected a valid array, found 3"),
        ("{path: a, values: [[1]]}", "own.yaml:6: axes.0.values.0: expected a valid integer, found a list"),
        ("{values: [1]}", "own.yaml:6: axes.0.path: required key is missing"),
        ("zip: [{path: a, values: [1, 2]}, {path: b, values: [1, 2, 3]}]", LENGTHS),
        (
            "zip: [{path: a, values: [1, 2]}, {path: b, range: {start: 1, stop: 2, n: 3}}]",
            LENGTHS,
        ),
        (
            "zip: [{path: a, values: [1, 2]}]",
            "own.yaml:6: axes.0.zip: expected at least 2 items after validation, not 1, found a list",
        ),
        ("3", "own.yaml:6: axes.0: expected an object, found 3"),
    ],
)
def test_an_axis_that_cannot_be_is_named_with_its_line(axis: str, line: str) -> None:
    assert line in refusal(with_axis(axis))


@pytest.mark.parametrize(
    ("axis", "line"),
    [
        ("{path: a, values: []}", "axes.0.values: expected at least 1 item"),
        ("{path: a, log_range: {start: 0, stop: 2, n: 2}}", "axes.0: a log_range goes between positive numbers"),
        ("{path: a, valus: [1]}", "axes.0.valus: unknown key; did you mean values?"),
        ("zip: [{path: a, values: [1, 2]}, {path: b, values: [1, 2, 3]}]", "axes.0: zipped axes need as many values"),
        ("zip: [{path: a, values: [1]}]", "axes.0.zip: expected at least 2 items"),
        ("3", "axes.0: expected an object, found 3"),
    ],
)
def test_one_slip_of_an_axis_is_one_line(axis: str, line: str) -> None:
    (only,) = refusal(with_axis(axis))
    assert only.startswith(f"own.yaml:6: {line}")


@pytest.mark.parametrize("kind", ["range", "log_range"])
def test_more_values_than_an_axis_can_list_are_refused_before_they_are_made(kind: str) -> None:
    """A thousand million of them would be more than memory holds."""
    axis = f"{{path: a, {kind}: {{start: 1, stop: 2, n: 1000000000}}}}"
    for text, place in ((axis, "axes.0"), (f"zip: [{axis}, {{path: b, values: [1]}}]", "axes.0.zip.0")):
        why = f"own.yaml:6: {place}.{kind}.n: expected less than or equal to 1000000, found 1000000000"
        assert why in refusal(with_axis(text))
    (most,) = read(with_axis(axis.replace("1000000000", "1000000"))).single_axes
    assert len(most.points()) == 10**6


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SWEEP + AXIS, "own.yaml:1: (the file): axes must differ, sram.capacity_kib is there twice"),
        (
            SWEEP + "  - zip: [{path: b, values: [1]}, {path: sram.capacity_kib, values: [1]}]\n",
            "own.yaml:1: (the file): axes must differ, sram.capacity_kib is there twice",
        ),
        (
            SWEEP + "objectives: [energy]\n",
            f"own.yaml:1: (the file): no objective energy; known: {', '.join(OBJECTIVES)}",
        ),
        (
            SWEEP + "engine: fast\n",
            "own.yaml:7: engine: expected 'analytic', 'event' or 'screen', found the text 'fast'; "
            "known: analytic, event, screen",
        ),
        (SWEEP.replace("fps: 20", "fps: 0"), "own.yaml:4: fps: expected greater than 0, found 0"),
        (SWEEP.replace("fps: 20\n", ""), "own.yaml:1: fps: required key is missing"),
        (SWEEP.replace("soc: mobile45\n", ""), "own.yaml:1: soc: required key is missing"),
        (SWEEP + "constraint: [a < b]\n", "own.yaml:7: constraint: unknown key; did you mean constraints?"),
        (
            SWEEP.replace("network: lenet-5\n", ""),
            "own.yaml:1: (the file): a sweep has a network, or an axis of networks, or a list of traces",
        ),
        (
            SWEEP + "traces: [a.parquet]\n",
            "own.yaml:1: (the file): a sweep has a network, or an axis of networks, or a list of traces",
        ),
        (SWEEP + "sources: {axes.1: x}\n", "own.yaml:7: sources.axes.1: there is no such path in the file"),
    ],
)
def test_a_sweep_that_cannot_be_is_named_with_its_line(text: str, line: str) -> None:
    assert line in refusal(text)


@pytest.mark.parametrize("path", ["variant", "recipe", "batch", "context", "tokens", "network"])
def test_a_saved_trace_is_not_turned_along_what_makes_a_trace(path: str) -> None:
    traces = SWEEP.replace("network: lenet-5", "traces: [dense.parquet, huffman.parquet]")
    why = f"a saved trace cannot be turned along {path}: give `network:` instead of `traces:`"
    for axis in (f"{{path: {path}, values: [1]}}", f"zip: [{{path: {path}, values: [1]}}, {{path: a, values: [1]}}]"):
        (line,) = refusal(f"{traces}  - {axis}\n")
        assert line.startswith(f"own.yaml:1: (the file): {why}")


def test_a_saved_trace_has_the_variant_that_it_has() -> None:
    traces = SWEEP.replace("network: lenet-5", "traces: [huffman.parquet]")
    (line,) = refusal(traces + "variants: [dense]\n")
    assert "a saved trace cannot be turned along variants: give `network:` instead of `traces:`" in line
    assert read(traces).traces == ("huffman.parquet",)


def test_an_unknown_variant_is_answered_with_a_near_one() -> None:
    (line, *_) = refusal(SWEEP + "variants: [dens]\n")
    assert line.startswith("own.yaml:7: variants.0: ")
    assert line.endswith("did you mean dense?")

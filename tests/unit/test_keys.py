"""Does a point's key say what its result depends on, all of it, and nothing else?"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dcsim.explore import plan as plan_module
from dcsim.explore.keys import leaf_hash, leaf_hashes, total
from dcsim.explore.plan import Plan, make_plan
from dcsim.explore.sweep_spec import SweepSpec
from dcsim.traces.trace import Trace
from tests.builders import PLAIN, linear, network

FC = network(linear("fc", 32, 32))


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path) -> Iterator[None]:
    with contextlib.chdir(tmp_path):  # not monkeypatch, whose undo a test needs for itself
        yield


def saved_chip(name: str = "plain", **changes: Any) -> str:
    """A YAML of the plain chip with other numbers at the top or, as `sram__capacity_kib`, inside."""
    tree = json.loads(json.dumps(PLAIN)) | {"name": name}
    for path, value in changes.items():
        *parents, last = path.split("__")
        branch = tree
        for parent in parents:
            branch = branch[parent]
        branch[last] = value
    Path(f"{name}.yaml").write_text(yaml.safe_dump(tree))
    return f"{name}.yaml"


def plan(
    *axes: dict[str, Any], soc: str | None = None, trace: Trace = FC, fps: float = 20.0, traces: tuple[str, ...] = ()
) -> Plan:
    if not traces:
        trace.save("fc.parquet")
        traces = ("fc.parquet",)
    about = {"name": "own", "traces": traces, "soc": soc or saved_chip(), "fps": fps, "axes": axes}
    return make_plan(SweepSpec.model_validate_json(json.dumps(about)), Path("out"))


def axis(path: str, *values: Any) -> dict[str, Any]:
    return {"path": path, "values": values}


def keys(of: Plan, engine: str = "analytic") -> list[bytes]:
    return [key.tobytes() for key in of.keys(np.arange(of.grid.n_points), engine)]


def key(*axes: dict[str, Any], engine: str = "analytic", **changes: Any) -> bytes:
    (only,) = keys(plan(*axes, **changes), engine)
    return only


# --- what a key does not depend on -----------------------------------------------------------------------------------


def test_which_leaves_were_axes_does_not_matter() -> None:
    expected = key(soc=saved_chip(sram__capacity_kib=8, always_on_mw=2.0), fps=30.0)
    assert key(axis("sram.capacity_kib", 8), axis("always_on_mw", 2), axis("fps", 30)) == expected
    assert key(axis("always_on_mw", 2), axis("sram.capacity_kib", 8), fps=30.0) == expected
    assert key(axis("fps", 30), soc=saved_chip(always_on_mw=2.0, sram__capacity_kib=8), fps=99.0) == expected
    whole = plan(axis("sram.capacity_kib", 4, 8, 16), axis("always_on_mw", 1, 2), axis("fps", 20, 25, 30))
    assert keys(whole).index(expected) == 1 * 6 + 1 * 3 + 2


def test_zipped_or_not_does_not_matter() -> None:
    pair = {"zip": [axis("sram.capacity_kib", 8, 16), axis("always_on_mw", 2, 3)]}
    assert keys(plan(pair)) == [
        key(axis("sram.capacity_kib", c), axis("always_on_mw", p)) for c, p in ((8, 2), (16, 3))
    ]


def test_whole_and_fraction_are_the_same_number() -> None:
    assert key(axis("fps", 20)) == key(axis("fps", 20.0)) == key(fps=20)
    assert key(axis("always_on_mw", 3)) == key(soc=saved_chip(always_on_mw=3)) == key(soc=saved_chip(always_on_mw=3.0))
    assert leaf_hash("a", 20) == leaf_hash("a", 20.0) != leaf_hash("a", 20.5)


def test_a_chip_is_its_numbers_not_its_name() -> None:
    assert key(soc=saved_chip("one")) == key(soc=saved_chip("another"))
    assert key(soc=saved_chip("fast", clock_hz=10**8)) == key(axis("clock_hz", 10**8))


def test_a_key_is_the_same_in_any_company() -> None:
    whole = plan(axis("sram.capacity_kib", *range(4, 40)), axis("fps", 1, 2, 3))
    everything = keys(whole)
    some = np.array([107, 3, 50, 3])
    assert [k.tobytes() for k in whole.keys(some, "analytic")] == [everything[place] for place in some]


def test_keys_are_the_same_tomorrow() -> None:
    """They are in files: if this fails, what is stored is found no longer, and KEY_VERSION should say so."""
    assert leaf_hash("sram.capacity_kib", 512) == (11756246067931620668, 3193912118257149820)
    assert total({"a": 1, "b": "x"}).tolist() == [
        sum(halves) % 2**64 for halves in zip(leaf_hash("a", 1), leaf_hash("b", "x"), strict=True)
    ]


# --- and what it does ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"clock_hz": 999_999_999}, {"volts": 0.9000001}, {"sram__read_pj_per_access": 5.5}, {"idle__dram": "power_down"}],
)
def test_a_changed_leaf_is_another_point(changes: dict[str, Any]) -> None:
    assert key(soc=saved_chip("other", **changes)) != key()


def test_every_leaf_of_the_chip_counts() -> None:
    """But for its name and what is said about it."""
    of_chip = plan_module.chip_leaves(plan().socs["plain.yaml"])
    assert {"name", "description"}.isdisjoint(of_chip)
    assert len(of_chip) > 30
    whole = total(of_chip)
    for path in of_chip:
        assert (total(of_chip | {path: "another"}) != whole).any()


def test_another_trace_rate_engine_or_version_is_another_point(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = key()
    assert key(trace=network(linear("fc", 32, 31))) != usual
    assert key(trace=network(linear("fc", 32, 32), test_error=0.26)) != usual
    assert key(fps=21) != usual
    assert key(engine="event") != usual
    monkeypatch.setattr(plan_module, "__version__", "0.0.0")
    assert key() != usual
    monkeypatch.undo()
    assert key() == usual
    monkeypatch.setattr(plan_module, "KEY_VERSION", 0)
    assert key() != usual


def test_words_numbers_and_switches_are_told_apart() -> None:
    hashes = [leaf_hash("a", value) for value in (1, "1", True, None, "None", 1.5, "true", 0, False, "")]
    assert len(set(hashes)) == len(hashes)
    assert len(set(keys(plan(axis("operating_point", 0, "nominal", "auto", 1))))) == 4


def test_the_same_value_elsewhere_is_another_point() -> None:
    assert leaf_hash("a", 1) != leaf_hash("b", 1)
    square = plan(axis("logic.clock_mw", 1, 2, 3), axis("logic.leakage_mw", 1, 2, 3))
    assert len(set(keys(square))) == 9


def test_a_row_has_the_words_by_which_an_axis_chose_so_the_key_has_them_too() -> None:
    """Two names for one chip, and two paths of one trace, are two rows."""
    assert len(set(keys(plan(axis("soc", saved_chip("one"), saved_chip("another")))))) == 2
    FC.save("elsewhere.parquet")
    key()
    assert len(set(keys(plan(traces=("fc.parquet", "elsewhere.parquet"))))) == 2
    assert key(traces=("elsewhere.parquet",)) != key()


def test_no_two_of_a_hundred_thousand_points_have_the_same_key() -> None:
    many = plan(
        axis("sram.capacity_kib", *range(4, 24)),
        axis("clock_hz", *range(10**8, 10**8 + 10)),
        {"path": "always_on_mw", "range": {"start": 0, "stop": 1e-6, "n": 50}},
        axis("fps", *range(1, 11)),
    )
    assert many.grid.n_points == 100_000
    assert len(set(keys(many))) == 100_000


def test_hashes_of_an_axis_are_those_of_its_values() -> None:
    for values in (np.array([1, 2]), np.array([0.5, 2.0]), np.array([True, False]), np.array(["a", 1], object)):
        hashes = leaf_hashes("a", values)
        assert hashes.shape == (2, 2)
        assert [tuple(halves) for halves in hashes.tolist()] == [leaf_hash("a", value) for value in values.tolist()]

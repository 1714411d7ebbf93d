"""Do fronts and fits keep their promises for any points, any budget and any network?"""

import math

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.explore.answers import pareto, sensitivity
from dcsim.explore.bisection import search
from dcsim.explore.break_even import on_chip
from dcsim.explore.budget import Budget, Limits, check
from dcsim.explore.fit import fit
from dcsim.simulation.placement import place
from dcsim.simulation.simulate import simulate
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Trace
from tests.property.test_simulation import chips, traces
from tests.unit.test_fit import Toy

law = settings(max_examples=60, deadline=None)
NUMBERS = st.one_of(st.integers(0, 4).map(float), st.floats(0, 10), st.just(math.nan), st.just(math.inf))


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Up to 400 points of 1 to 4 objectives, many of them equal in some."""
    n_objectives, n_rows = draw(st.integers(1, 4)), draw(st.integers(0, 400))
    seed, n_values = draw(st.integers(0, 1 << 30)), draw(st.sampled_from([2, 5, 1000]))
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, n_values, (n_rows, n_objectives)).astype(float)
    if draw(st.booleans()):
        rows /= np.maximum(rows.sum(axis=1, keepdims=True), 1)  # all on one plane: a large front
    some = draw(st.lists(st.lists(NUMBERS, min_size=n_objectives, max_size=n_objectives), max_size=20))
    rows = np.concatenate([rows, np.array(some, float).reshape(-1, n_objectives)])
    return pd.DataFrame(rows, columns=[f"c{column}" for column in range(n_objectives)])


def dominated(rows: np.ndarray, row: np.ndarray) -> bool:
    """Whether a row of `rows` is nowhere above `row` and somewhere below."""
    return bool(((rows <= row).all(axis=1) & (rows < row).any(axis=1)).any())


@law
@given(tables())
def test_no_point_of_the_front_is_dominated_and_every_other_point_is(frame: pd.DataFrame) -> None:
    on_front = pareto(frame, list(frame.columns))
    rows = frame.to_numpy()
    usable = ~np.isnan(rows).any(axis=1)
    assert not on_front[~usable].any()
    for row, best in zip(rows[usable], on_front[usable], strict=True):
        assert dominated(rows[usable], row) == (not best)


@law
@given(
    st.lists(st.floats(0.5, 3), min_size=1, max_size=4),
    st.lists(st.integers(2, 4), min_size=4, max_size=4),
    st.integers(0, 1 << 30),
)
def test_the_elasticities_of_a_power_law_are_its_exponents_on_any_part_of_a_grid(
    exponents: list[float], lengths: list[int], seed: int
) -> None:
    axes = [f"x{axis}" for axis in range(len(exponents))]
    values = [2.0 ** np.arange(n) * (1 + axis) for axis, n in enumerate(lengths[: len(axes)])]
    points = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, len(axes))
    kept = points[np.random.default_rng(seed).random(len(points)) < 0.7]
    frame = pd.DataFrame(kept, columns=axes).assign(figure=np.prod(kept**exponents, axis=1))
    for row in sensitivity(frame, axes, "figure"):
        if row.n_settings and "+" not in row.axis:  # of few points, some may look zipped
            assert math.isclose(row.elasticity or 0, exponents[axes.index(row.axis)], rel_tol=1e-9)
            assert row.largest_swing >= row.median_swing >= 1


@law
@given(st.integers(1, 3000), st.data())
def test_a_search_ends_where_the_judge_changes_its_mind(n_places: int, data: st.DataObject) -> None:
    of_guide, of_judge = (data.draw(st.integers(0, n_places)) for _ in range(2))
    samples = data.draw(st.lists(st.integers(0, n_places - 1), max_size=5))
    found = search(
        n_places,
        samples,
        lambda place: Toy(place >= of_guide, abs(place - of_guide)),
        lambda place: Toy(place >= of_judge, abs(place - of_judge)),
    )
    if of_judge < n_places and of_guide < n_places:
        assert found.place == of_judge
        assert (found.before is None) == (of_judge == 0)
    assert found.monotone


@settings(max_examples=25, deadline=None)
@given(trace=traces(), soc=chips(), share=st.floats(0.3, 3))
def test_the_highest_frame_rate_fits_and_one_step_more_does_not(trace: Trace, soc: SocSpec, share: float) -> None:
    watts = share * simulate(trace, soc, 1e4).average_power_watts
    budget = Budget(name="drawn", limits=Limits(average_power_watts=watts))
    found = fit(trace, soc, 1, budget, "fps", "largest")
    if found.found is None:
        assert found.nearest is not None
        assert not any(attempt.fits for attempt in found.trail)
        return
    assert found.monotone  # power rises with the frame rate, and nothing is sustained beyond the highest
    assert check(simulate(trace, soc, float(found.found.value)), budget).fits
    if found.beyond is not None:
        assert not check(simulate(trace, soc, float(found.beyond.value)), budget).fits
        assert 1 < float(found.beyond.value) / float(found.found.value) <= 1.0011


@law
@given(trace=traces(), soc=chips())
def test_the_least_sram_moves_nothing_and_a_kib_less_does(trace: Trace, soc: SocSpec) -> None:
    soc = soc.model_copy(update={"idle": soc.idle.model_copy(update={"sram": "on"})})
    found = on_chip(trace, soc)
    assert found.capacity_kib is not None

    def moved_bytes(kib: int) -> int:
        sized = soc.model_copy(update={"sram": soc.sram.model_copy(update={"capacity_kib": kib})})
        return place(trace, sized).dram_bytes_per_frame

    assert moved_bytes(found.capacity_kib) == 0
    assert moved_bytes(2 * found.capacity_kib) == 0
    if found.dram_bytes_before is not None:
        assert moved_bytes(found.capacity_kib - 1) == found.dram_bytes_before > 0

"""Do the slices of a frame add up to its bytes, its time and its energy, for any network on any chip?"""

import numpy as np
import pytest
from hypothesis import given, settings

from dcsim.simulation.frame import DRAM, RESOURCES
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import simulate
from dcsim.simulation.timeline import Steps, Timeline
from dcsim.soc.ledger import STATIC_COMPONENTS
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Trace
from tests.property.test_simulation import RUNS, chips, traces

law = settings(max_examples=100, deadline=None)


def with_timeline(trace: Trace, soc: SocSpec, fps: float) -> tuple[RunResult, Timeline]:
    result = simulate(trace, soc, fps)
    assert result.timeline is not None
    return result, result.timeline


def integral(steps: Steps, end_ps: int) -> float:
    """Over time, in the unit of the steps times ps."""
    whole = steps.until(end_ps)
    return float((whole.values[:-1] * np.diff(whole.time_ps)).sum())


def dynamic_pj(result: RunResult) -> float:
    return sum(row.energy_pj for row in result.ledger if row.component not in STATIC_COMPONENTS)


@law
@given(**RUNS)
def test_a_resource_does_one_thing_at_a_time_and_its_slices_are_its_busy_time(
    trace: Trace, soc: SocSpec, fps: float
) -> None:
    result, timeline = with_timeline(trace, soc, fps)
    for place, use in enumerate(result.resources):
        mine = timeline.resource == place
        start_ps, end_ps = timeline.start_ps[mine], timeline.end_ps[mine]
        assert (start_ps[1:] >= end_ps[:-1]).all()
        assert (end_ps - start_ps).sum() == use.busy_ps


@law
@given(**RUNS)
def test_everything_happens_within_the_frame(trace: Trace, soc: SocSpec, fps: float) -> None:
    result, timeline = with_timeline(trace, soc, fps)
    assert timeline.service_ps == result.service_ps
    assert (timeline.start_ps >= 0).all()
    assert (timeline.start_ps <= timeline.end_ps).all()
    assert (timeline.end_ps <= result.service_ps).all()
    for steps in (timeline.occupancy, timeline.static, timeline.power_watts(), timeline.dram_bytes_per_s()):
        assert steps.time_ps[0] == 0
        assert (np.diff(steps.time_ps) >= 0).all()
        assert steps.time_ps[-1] <= result.service_ps
        assert (steps.values >= 0).all()


@law
@given(**RUNS)
def test_slices_spend_the_dynamic_energy_and_move_the_bytes_of_the_frame(
    trace: Trace, soc: SocSpec, fps: float
) -> None:
    result, timeline = with_timeline(trace, soc, fps)
    assert timeline.energy_pj.sum() == pytest.approx(dynamic_pj(result), rel=1e-9)
    for place, resource in enumerate(RESOURCES):
        components = {"dram", "dram_io"} if resource == "dram" else {resource}
        expected = sum(row.energy_pj for row in result.ledger if row.component in components)
        assert timeline.energy_pj[timeline.resource == place].sum() == pytest.approx(expected, rel=1e-9)
    assert timeline.n_bytes[timeline.resource == DRAM].sum() == result.dram_bytes_per_frame


@law
@given(**RUNS)
def test_slices_of_a_layer_spend_what_its_ledger_says(trace: Trace, soc: SocSpec, fps: float) -> None:
    result, timeline = with_timeline(trace, soc, fps)
    for place, layer in enumerate(timeline.layers):
        expected = sum(row.energy_pj for row in result.ledger if row.layer == layer)
        assert timeline.energy_pj[timeline.layer == place].sum() == pytest.approx(expected, rel=1e-9)
        assert set(timeline.tile[timeline.layer == place].tolist()) <= set(range(result.layers[place].n_tiles))


@law
@given(**RUNS)
def test_the_sram_holds_at_most_what_it_can_and_its_peak_is_that_of_the_result(
    trace: Trace, soc: SocSpec, fps: float
) -> None:
    result, timeline = with_timeline(trace, soc, fps)
    assert timeline.occupancy.values.max() == result.peak_sram_bytes <= timeline.sram_capacity_bytes


@law
@given(trace=traces(), soc=chips())
def test_power_over_the_time_of_a_frame_is_its_energy(trace: Trace, soc: SocSpec) -> None:
    result, timeline = with_timeline(trace, soc, 1e12 - 1)  # frames follow each other without a pause
    if result.service_ps > 1:
        assert result.period_ps == result.service_ps
        power_pj = integral(timeline.power_watts(), result.service_ps)  # one watt is one pJ per ps
        assert power_pj == pytest.approx(result.energy_pj_per_frame, rel=1e-9)
        n_bytes = integral(timeline.dram_bytes_per_s(), result.service_ps) / 1e12
        assert n_bytes == pytest.approx(result.dram_bytes_per_frame, rel=1e-9)


@law
@given(**RUNS)
def test_power_beyond_the_static_one_is_the_dynamic_energy(trace: Trace, soc: SocSpec, fps: float) -> None:
    result, timeline = with_timeline(trace, soc, fps)
    if result.service_ps:
        beyond_pj = integral(timeline.power_watts(), result.service_ps) - integral(timeline.static, result.service_ps)
        static_pj = result.energy_pj_per_frame - dynamic_pj(result)
        assert beyond_pj == pytest.approx(dynamic_pj(result), rel=1e-9, abs=1e-9 * static_pj)
        assert integral(timeline.static, result.service_ps) <= static_pj * (1 + 1e-9)

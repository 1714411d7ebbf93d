"""From a trace and a chip to a result: place, replay a cold and a steady frame, queue frames, add up energy."""

from pathlib import Path
from typing import Literal

from dcsim.errors import SimulationError
from dcsim.simulation.energy import FrameTimes, frame_ledger
from dcsim.simulation.frame import Frame
from dcsim.simulation.frames import Arrivals, serve
from dcsim.simulation.layer_plan import LayerPlan
from dcsim.simulation.placement import Placement, fixed, place
from dcsim.simulation.replay import replay_frame
from dcsim.simulation.result import LayerUse, ResourceUse, RunResult
from dcsim.simulation.timeline import Replayed
from dcsim.soc import dram, pe_array
from dcsim.soc.ledger import LedgerRow
from dcsim.soc.spec import FixedPlacement, OperatingPoint, SocSpec, load_soc
from dcsim.traces.trace import Trace
from dcsim.units import PS_PER_S, ps_to_s, s_to_ps

Engine = Literal["event", "analytic"]
LEAST_FPS, MOST_FPS = 1e-6, float(PS_PER_S)  # a frame in twelve days; a frame at every step of the clock
PERIODIC = Arrivals()


def simulate(
    trace: Trace | Path | str,
    soc: SocSpec | str = "mobile45",
    fps: float = 20,
    *,
    arrivals: Arrivals = PERIODIC,
    deadline_s: float | None = None,
    placement: FixedPlacement | None = None,
    engine: Engine = "event",
) -> RunResult:
    """Replay `trace` on `soc` with inferences arriving at `fps` per second.

    Args:
        trace: a trace, or the path of a saved one.
        soc: a chip, or the name or path of its YAML.
        arrivals: how frames arrive; evenly if not said.
        deadline_s: from arrival to last write-back; until the next frame is due if not said.
        placement: what stays in SRAM, instead of what the chip's file says or dcsim finds.
        engine: `event` replays every tile; `analytic` takes all tiles of a layer for the same, counts the same, and is
            much faster on large networks.

    Raises:
        TraceError: the file is no trace.
        SimulationError: fps or deadline is not a positive number, or the network does not fit the SoC's memories.
    """
    require_fps(fps)
    trace = trace if isinstance(trace, Trace) else Trace.load(trace)
    if not trace.layers:
        raise SimulationError(f"{trace.network}: the trace has no layers, so there is nothing to simulate")
    if deadline_s is not None and not 0 < deadline_s < float("inf"):
        raise SimulationError(f"the deadline must be a positive number of seconds, found {deadline_s:g}")
    soc = load_soc(soc) if isinstance(soc, str) else soc
    if placement:
        soc = soc.model_copy(update={"placement": placement})
    period_ps = s_to_ps(trace.batch / fps)
    deadline_ps = period_ps if deadline_s is None else s_to_ps(deadline_s)
    placed = place(trace, soc)
    results = [_result_at(trace, soc, point, fps, placed, arrivals, deadline_ps, engine) for point in _points(soc)]
    in_time = [result for result in results if result.service_ps <= min(period_ps, deadline_ps)]
    if in_time:
        return min(in_time, key=lambda result: result.energy_pj_per_frame)
    return min(results, key=lambda result: result.service_ps)


def require_fps(fps: float) -> None:
    """Refuse a frame rate below LEAST_FPS or above MOST_FPS, and what is no number. Raises SimulationError."""
    if not LEAST_FPS <= fps <= MOST_FPS:
        raise SimulationError(f"fps must be a positive number from {LEAST_FPS:g} to {MOST_FPS:g}, found {fps:g}")


def _points(soc: SocSpec) -> tuple[OperatingPoint, ...]:
    """Operating points to try."""
    if soc.operating_point == "nominal":
        return (soc.nominal,)
    if soc.operating_point == "auto":
        return soc.operating_points
    return (soc.operating_points[soc.operating_point],)


def _result_at(
    trace: Trace,
    soc: SocSpec,
    point: OperatingPoint,
    fps: float,
    placement: Placement,
    arrivals: Arrivals,
    deadline_ps: int,
    engine: Engine,
) -> RunResult:
    frame = replay_frame if engine == "event" else _analytic_frame
    steady = frame(placement, soc, point, False)
    cold = frame(placement, soc, point, True) if placement.resident_bytes else steady
    arrival_period_ps = s_to_ps(trace.batch / fps)
    period_ps = max(arrival_period_ps, steady.service_ps)
    sustainable = steady.service_ps <= arrival_period_ps
    queue = serve(arrivals, arrival_period_ps, steady.service_ps, deadline_ps)
    return RunResult(
        network=trace.network,
        variant=trace.variant,
        soc=soc.name,
        fps=fps,
        batch=trace.batch,
        synthetic=trace.synthetic,
        file_bytes=trace.file_bytes,
        file_sha256=trace.file_sha256,
        compression_ratio=trace.compression_ratio,
        test_error=trace.test_error,
        dram_bytes_per_frame=placement.dram_bytes_per_frame,
        operating_point=point,
        ledger=_ledger(soc, point, placement, steady, period_ps),
        period_ps=period_ps,
        service_ps=steady.service_ps,
        cold_service_ps=cold.service_ps,
        queue=queue if sustainable else None,
        latency_s=ps_to_s(queue.latency_p50_ps) if sustainable else None,
        resources=tuple(
            ResourceUse(name, meter.busy_ps, dict(meter.stall_ps), period_ps - steady.service_ps)
            for name, meter in steady.meters.items()
        ),
        layers=tuple(_layer_use(plan, steady) for plan in placement.layers),
        placement=fixed(trace, placement),
        resident_bytes=placement.resident_bytes,
        peak_sram_bytes=placement.peak_bytes,
        peak_macs_per_s=pe_array.peak_macs_per_cycle(soc.array) * point.clock_hz,
        dram_peak_bytes_per_s=dram.peak_bytes_per_s(soc.dram),
        replayed=Replayed(placement, soc, point, steady, period_ps) if engine == "event" else None,
    )


def _analytic_frame(placement: Placement, soc: SocSpec, point: OperatingPoint, cold: bool) -> Frame:
    from dcsim.simulation.pipeline import analytic_frame  # compiled, and most replays do without

    return analytic_frame(placement, soc, point, cold)


def _layer_use(plan: LayerPlan, frame: Frame) -> LayerUse:
    return LayerUse(
        layer=plan.layer.name,
        start_s=ps_to_s(frame.compute_start_ps[plan.index]),
        end_s=ps_to_s(frame.compute_end_ps[plan.index]),
        n_tiles=plan.n_tiles,
        n_macs_dense=plan.layer.n_macs_dense,
        n_macs_nonzero=plan.layer.n_macs_nonzero,
        weights_resident=plan.weights_resident,
        output_spilled=plan.output_spilled,
        why_weights=plan.why_weights,
        why_output=plan.why_output,
        dram_read_bytes=plan.dram_read_bytes,
        dram_write_bytes=plan.dram_write_bytes,
    )


def _ledger(
    soc: SocSpec, point: OperatingPoint, placement: Placement, frame: Frame, period_ps: int
) -> tuple[LedgerRow, ...]:
    first_ps, last_ps = frame.dram_window_ps or (0, 0)
    channel = frame.meters["dram"]
    awake_ps = last_ps - first_ps + (dram.sleep_after_ps(soc.dram) if frame.dram_window_ps else 0)
    times = FrameTimes(
        period_ps=period_ps,
        service_ps=frame.service_ps,
        dram_awake_ps=min(awake_ps, period_ps),
        dram_active_ps=channel.used_ps - channel.stall_ps["no_request"],
    )
    return frame_ledger(soc, point, [plan.layer.name for plan in placement.layers], frame.counts, times)

"""The analytic engine: placement and counts of the replay, its pipeline compiled, many design points at once.

What each number of a design point touches is worked out once: a placement for every shape of the memories and the
array, a frame for every set of speeds, a price for every energy. Points are then put together by adding arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import SimulationError
from dcsim.simulation import pipeline_tables as columns
from dcsim.simulation.design_points import Axes, DesignPoints, Fault, Varied, together
from dcsim.simulation.energy import ON_LOGIC_SUPPLY
from dcsim.simulation.frames import LASTS_PS
from dcsim.simulation.pipeline import decoder_speed, dram_speed, speeds
from dcsim.simulation.pipeline_kernels import run_points
from dcsim.simulation.shapes import Shape, shapes_of
from dcsim.soc import decoder, dram, pe_array, sram
from dcsim.soc.ledger import COMPONENTS
from dcsim.soc.spec import OperatingPoint, SocSpec, load_soc
from dcsim.traces.trace import Trace
from dcsim.units import PJ_PER_J, PS_PER_S, mw_to_watts

if TYPE_CHECKING:
    import pandas as pd

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Event = tuple[str, str]


@dataclass(frozen=True)
class Estimates:
    """What the analytic engine found at each of n design points. A point that cannot be is nan, and says why.

    Attributes:
        energy_pj_per_frame: shape (n,).
        energy_pj_by_component: (n, len(COMPONENTS)), columns as in COMPONENTS.
        average_power_watts: (n,), power demanded.
        service_ps: (n,), from the start of a steady frame to its last write-back; 0 where there is none.
        sustainable_fps: (n,).
        dram_bytes_per_frame, resident_bytes, peak_sram_bytes: (n,).
        clock_hz, volts: (n,), of the operating point.
        faults: distinct reasons; fault_index: (n,), place in it, or -1.
    """

    energy_pj_per_frame: Floats
    energy_pj_by_component: Floats
    average_power_watts: Floats
    service_ps: Ints
    sustainable_fps: Floats
    dram_bytes_per_frame: Ints
    resident_bytes: Ints
    peak_sram_bytes: Ints
    clock_hz: Floats
    volts: Floats
    faults: tuple[str, ...]
    fault_index: Ints

    @property
    def latency_s(self) -> Floats:
        """Steady latency where frames do not queue up: the service time. Shape (n,)."""
        return np.where(self.fault_index < 0, self.service_ps / PS_PER_S, np.nan)

    def frame(self) -> "pd.DataFrame":
        """One row per point; units in the column names."""
        import pandas as pd

        columns = {
            name: getattr(self, name) for name in ("energy_pj_per_frame", "average_power_watts", "sustainable_fps")
        }
        columns |= {f"energy_{name}_pj": self.energy_pj_by_component[:, i] for i, name in enumerate(COMPONENTS)}
        columns["latency_s"] = self.latency_s
        names = ("dram_bytes_per_frame", "resident_bytes", "peak_sram_bytes")
        columns |= {name: getattr(self, name) for name in names}
        columns |= {name: getattr(self, name) for name in ("clock_hz", "volts")}
        columns["fault"] = np.array([*self.faults, ""], object)[self.fault_index]
        return pd.DataFrame(columns)


def estimate(
    trace: Trace, soc: SocSpec | str, axes: Axes | None = None, fps: float | Sequence[float] | Floats = 20
) -> Estimates:
    """Energy, power and latency of a trace at many design points.

    Args:
        soc: a chip, or the name or path of its YAML.
        axes: dotted paths of its YAML -> values, as many each: the n-th point takes the n-th value of every axis.
        fps: inferences per second, one or as many.

    Raises:
        ConfigError: a path the chip does not have, axes of different lengths.
        SimulationError: a frame rate that is not positive, or a trace without layers.
    """
    soc = load_soc(soc) if isinstance(soc, str) else soc
    if not trace.layers:
        raise SimulationError(f"{trace.network}: the trace has no layers, so there is nothing to estimate")
    axes = dict(axes or {})
    rates_hz = np.asarray(fps, np.float64)
    if rates_hz.ndim and not axes:
        axes["always_on_mw"] = np.full(len(rates_hz), soc.always_on_mw)
    points = DesignPoints.of(soc, axes)
    rates_hz = np.broadcast_to(rates_hz, (points.n_points,))
    if not ((rates_hz > 0) & np.isfinite(rates_hz)).all():
        raise SimulationError("every frame rate must be a positive number")
    if trace.batch * PS_PER_S / rates_hz.min(initial=1.0) > LASTS_PS:
        raise SimulationError(f"a frame of {trace.batch} at {rates_hz.min():g} fps is due after more than 53 days")
    period_ps = np.round(trace.batch * PS_PER_S / rates_hz).astype(np.int64)
    shapes = shapes_of(trace, points)
    chosen = points["operating_point"]
    found = [
        _most_frugal(
            [_at(trace, points, shapes, choice, period_ps, rates_hz) for choice in _choices(soc, of)], period_ps
        )
        for of in chosen.values
    ]
    return _select(found, chosen.index)


def _choices(soc: SocSpec, operating_point: Any) -> list[OperatingPoint | None]:
    """Operating points to try; None is the nominal one. A fault is said of its points elsewhere."""
    if operating_point == "auto":
        return [*soc.operating_points]
    is_place = isinstance(operating_point, int) and operating_point < len(soc.operating_points)
    return [soc.operating_points[operating_point] if is_place else None]


def _at(
    trace: Trace,
    points: DesignPoints,
    shapes: Varied[Shape | Fault],
    choice: OperatingPoint | None,
    period_ps: Ints,
    fps: Floats,
) -> Estimates:
    """All points at one operating point."""
    nominal_hz, nominal_volts = (points[key].numbers(_number) for key in ("clock_hz", "volts"))
    clock_hz = nominal_hz if choice is None else np.full_like(nominal_hz, choice.clock_hz)
    volts = nominal_volts if choice is None else np.full_like(nominal_volts, choice.volts)
    fault_index, faults = _faults(points, shapes)
    times = _frames(points, shapes, clock_hz, fault_index)
    service_ps = times[:, columns.SERVICE_PS]
    lasting_ps = np.maximum(period_ps, service_ps)
    energy = np.zeros((points.n_points, len(COMPONENTS)))
    for (component, _), pj in _dynamic(points, shapes).items():
        scale = (volts / nominal_volts) ** 2 if component in ON_LOGIC_SUPPLY else 1.0
        energy[:, COMPONENTS.index(component)] += pj * scale
    for component, pj in _static(points, times, lasting_ps, clock_hz / nominal_hz, volts / nominal_volts):
        energy[:, COMPONENTS.index(component)] += pj
    energy[fault_index >= 0] = np.nan
    total = energy.sum(axis=1)
    usable = np.where(service_ps > 0, service_ps, 1)
    whole = [shape if isinstance(shape, Shape) else None for shape in shapes.values]

    def of_shape(values: list[int]) -> Ints:
        return np.array(values, np.int64)[shapes.index]

    return Estimates(
        energy_pj_per_frame=total,
        energy_pj_by_component=energy,
        average_power_watts=total / PJ_PER_J * fps / trace.batch,
        service_ps=service_ps,
        sustainable_fps=np.where(service_ps > 0, trace.batch * PS_PER_S / usable, np.nan),
        dram_bytes_per_frame=of_shape([s.placement.dram_bytes_per_frame if s else 0 for s in whole]),
        resident_bytes=of_shape([s.placement.resident_bytes if s else 0 for s in whole]),
        peak_sram_bytes=of_shape([s.placement.peak_bytes if s else 0 for s in whole]),
        clock_hz=clock_hz,
        volts=volts,
        faults=faults,
        fault_index=fault_index,
    )


def _number(value: Any) -> float:
    return np.nan if isinstance(value, Fault) else float(value)


def _faults(points: DesignPoints, shapes: Varied[Any]) -> tuple[Ints, tuple[str, ...]]:
    """(place of each point's fault or -1, the faults)."""
    messages: dict[str, int] = {}
    index = np.full(points.n_points, -1, np.int64)
    for part in (shapes, *points.parts.values()):
        places = [messages.setdefault(v.message, len(messages)) if isinstance(v, Fault) else -1 for v in part.values]
        index = np.where(index < 0, np.array(places, np.int64)[part.index], index)
    return index, tuple(messages)


def _frames(points: DesignPoints, shapes: Varied[Shape | Fault], clock_hz: Floats, fault_index: Ints) -> Ints:
    """Times of a steady frame at every point, found once for each set of speeds. Shape (n_points, N_RESULTS)."""
    port = together(points["sram"], points["clock_hz"]).map(lambda pair: _sound(_port_cycles, *pair))
    memory = together(points["dram"], points["idle"]).map(lambda pair: _sound(_dram_speed, *pair))
    coder = points["decoder"].map(lambda part: _sound(decoder_speed, part))
    clocks, clock_index = np.unique(clock_hz, return_inverse=True)
    clock = Varied(tuple(clocks.tolist()), clock_index.astype(np.int64))
    shape = Varied(tuple(range(len(shapes.values))), shapes.index)
    sound = Varied((True, False), (fault_index >= 0).astype(np.int64))
    frames = together(shape, clock, port, memory, coder, sound)
    results = np.zeros((len(frames.values), columns.N_RESULTS), np.int64)
    of_shape: dict[int, list[int]] = {}
    for number, (place_number, *_, is_sound) in enumerate(frames.values):
        if is_sound:
            of_shape.setdefault(place_number, []).append(number)
    for place_number, numbers in of_shape.items():
        found = shapes.values[place_number]
        assert isinstance(found, Shape)
        _, hz, cycles, memories, coders, _ = zip(*(frames.values[number] for number in numbers), strict=True)
        rates = speeds(np.array(hz), np.array(cycles), np.array(memories), np.array(coders))
        results[numbers], _ = run_points(found.layers, found.n_buffers, rates, cold=False, skips=True)
    return results[frames.index]


def _sound(function: Any, *parts: Any) -> Any:
    """What follows from sound parts; a fault stays one."""
    return next((part for part in parts if isinstance(part, Fault)), None) or function(*parts)


def _port_cycles(memory: sram.Sram, clock_hz: int) -> int:
    return sram.cost(memory, clock_hz).cycles_per_access


def _dram_speed(memory: dram.Dram, idle: Any) -> Any:
    return dram_speed(memory, idle.dram)


def _dynamic(points: DesignPoints, shapes: Varied[Shape | Fault]) -> dict[Event, Floats]:
    """Energy of every event of a frame at the nominal voltage [pJ], each of shape (n_points,)."""
    clock_hz = points.soc.clock_hz  # energies do not depend on it
    prices: dict[str, dict[str, Floats]] = {}

    def price(component: str, key: str, of: Any) -> None:
        part = points[key]
        tables = [{} if isinstance(value, Fault) else of(value) for value in part.values]
        for action in dict.fromkeys(action for table in tables for action in table):
            column = np.array([table.get(action, 0.0) for table in tables])
            prices.setdefault(component, {})[action] = column[part.index]

    price("dram", "dram", lambda part: _dram_prices(part, dram_only=True))
    price("dram_io", "dram", lambda part: _dram_prices(part, dram_only=False))
    price("sram", "sram", lambda part: dict(zip(("read", "write"), _sram_prices(part, clock_hz), strict=True)))
    price("array", "array", lambda part: {k: pj for k, (_, pj) in pe_array.event_energies_pj(part).items()})
    price("decoder", "decoder", decoder.event_energies_pj)
    energies = {}
    for component, actions in prices.items():
        for action, pj in actions.items():
            event = (component, action)
            counts = [shape.counts.get(event, 0) if isinstance(shape, Shape) else 0 for shape in shapes.values]
            if any(counts):
                energies[event] = np.array(counts, np.float64)[shapes.index] * pj
    return energies


def _dram_prices(memory: dram.Dram, dram_only: bool) -> dict[str, float]:
    pj = dram.energies(memory)
    if not dram_only:
        return {"transfer": pj.io_pj}
    return {"read": pj.read_pj, "write": pj.write_pj, "activate": pj.activate_pj}


def _sram_prices(memory: sram.Sram, clock_hz: int) -> tuple[float, float]:
    cost = sram.cost(memory, clock_hz)
    return cost.read_pj, cost.write_pj


def _static(
    points: DesignPoints, times: Ints, period_ps: Ints, clock_ratio: Floats, volts_ratio: Floats
) -> list[tuple[str, Floats]]:
    """Energy of what is paid by time: see `energy.frame_ledger`. One watt is one pJ per ps."""
    service_ps = times[:, columns.SERVICE_PS]
    memory = together(points["dram"], points["idle"])

    def power(name: str) -> Floats:
        return memory.numbers(lambda pair: _power(name, *pair))

    tail_ps = points["dram"].numbers(lambda part: 0 if isinstance(part, Fault) else dram.sleep_after_ps(part))
    used = times[:, columns.DRAM_ACTIVE_PS] > 0
    awake_ps = np.minimum(times[:, columns.DRAM_AWAKE_PS] + tail_ps * used, period_ps)
    active_ps, asleep_ps = times[:, columns.DRAM_ACTIVE_PS], period_ps - awake_ps
    idle_ps = period_ps - service_ps
    leakage = points["sram"].numbers(lambda part: 0.0 if isinstance(part, Fault) else _leakage(part)) * volts_ratio
    retained = together(points["sram"], points["idle"]).numbers(lambda pair: _retained(*pair))
    runs = points["idle"].numbers(lambda part: float(not isinstance(part, Fault) and part.logic == "run"))
    gates = points["idle"].numbers(lambda part: float(not isinstance(part, Fault) and part.logic == "power_gate"))
    clock_watts = points["logic"].numbers(lambda part: 0.0 if isinstance(part, Fault) else mw_to_watts(part.clock_mw))
    leak_watts = points["logic"].numbers(lambda part: 0.0 if isinstance(part, Fault) else mw_to_watts(part.leakage_mw))
    always_on = points["always_on_mw"].numbers(lambda mw: 0.0 if isinstance(mw, Fault) else mw_to_watts(mw))
    return [
        ("dram_background", active_ps * power("active_watts") + (awake_ps - active_ps) * power("standby_watts")),
        ("dram_background", awake_ps * power("refresh_watts")),
        ("dram_background", asleep_ps * (power("idle_watts") + power("idle_refresh_watts"))),
        ("sram_leakage", leakage * (service_ps + idle_ps * retained)),
        ("logic", clock_watts * clock_ratio * volts_ratio**2 * (service_ps + idle_ps * runs)),
        ("logic", leak_watts * volts_ratio * (period_ps - idle_ps * gates)),
        ("always_on", always_on * period_ps),
    ]


def _power(name: str, memory: Any, idle: Any) -> float:
    if isinstance(memory, Fault) or isinstance(idle, Fault):
        return 0.0
    return float(getattr(dram.powers(memory, idle.dram), name))


def _leakage(memory: sram.Sram) -> float:
    return sram.cost(memory, 1).leakage_watts


def _retained(memory: Any, idle: Any) -> float:
    if isinstance(memory, Fault) or isinstance(idle, Fault):
        return 0.0
    return sram.idle_leakage_ratio(memory, idle.sram)


def _most_frugal(found: list[Estimates], period_ps: Ints) -> Estimates:
    """At every point the operating point that takes least energy in time, or the fastest where none is in time."""
    if len(found) == 1:
        return found[0]
    services = np.stack([estimates.service_ps for estimates in found])
    energies = np.stack([estimates.energy_pj_per_frame for estimates in found])
    in_time = services <= period_ps
    best = np.where(
        in_time.any(axis=0), np.argmin(np.where(in_time, energies, np.inf), axis=0), np.argmin(services, axis=0)
    )
    return _select(found, best)


def _select(found: list[Estimates], which: Ints) -> Estimates:
    """The values of one of them at each point."""
    if len(found) == 1:
        return found[0]
    names = [name for name in vars(found[0]) if name not in ("faults", "fault_index")]
    chosen: dict[str, Any] = {
        name: np.stack([getattr(e, name) for e in found])[which, np.arange(len(which))] for name in names
    }
    return replace(found[0], **chosen)

"""RunResult: what one replay found. Whoever holds it needs no simulator."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dcsim.simulation.frames import Queue
from dcsim.soc.ledger import COMPONENTS, LedgerRow, by_component_pj, total_pj
from dcsim.soc.spec import FixedPlacement, OperatingPoint
from dcsim.units import PS_PER_S, ps_to_s, watts_from_pj

if TYPE_CHECKING:
    import pandas as pd

    from dcsim.plots.runs import RunPlots
    from dcsim.simulation.timeline import Replayed, Timeline


@dataclass(frozen=True)
class ResourceUse:
    """Where the time of one resource went in one steady-state period [ps]; busy + stalls + idle = elapsed.

    Attributes:
        resource: `dram`, `sram`, `decoder` or `array`.
        busy_ps: working.
        stall_ps: waiting within the frame, by cause.
        idle_ps: between frames.
    """

    resource: str
    busy_ps: int
    stall_ps: dict[str, int]
    idle_ps: int


@dataclass(frozen=True)
class LayerUse:
    """One layer in one steady-state frame: when it was computed, where its data lay and why.

    `n_macs_dense` are the products of the network as it was trained, `n_macs_nonzero` those without a zero operand.
    """

    layer: str
    start_s: float
    end_s: float
    n_tiles: int
    n_macs_dense: int
    n_macs_nonzero: int
    weights_resident: bool
    output_spilled: bool
    why_weights: str
    why_output: str
    dram_read_bytes: int
    dram_write_bytes: int


@dataclass(frozen=True)
class RunResult:
    """Energy, power and time of one storage variant on one SoC at one frame rate.

    Attributes:
        network, variant, soc: what ran where.
        fps: inferences asked for per second; a frame is `batch` inferences.
        synthetic: the trace was drawn from a table.
        file_bytes, compression_ratio, test_error, file_sha256: of the variant's file.
        dram_bytes_per_frame: read and written in steady state.
        operating_point: clock and voltage of logic and SRAM.
        ledger: every pJ of one steady-state frame, static energy over the period included.
        period_ps: from one frame to the next: max(batch / fps, service time).
        service_ps: steady-state time from the start of a frame to its last write-back.
        cold_service_ps: the same of the first frame, which loads resident weights.
        latency_s: steady-state median from arrival to last write-back; None when frames queue without bound.
        queue: what waiting did to frames; None when they queue without bound.
        resources, layers: where time went, and what each layer did.
        placement: what stays in SRAM, by name.
        resident_bytes, peak_sram_bytes: weights kept in SRAM across frames; most SRAM held at any layer.
        peak_macs_per_s, dram_peak_bytes_per_s: what the chip could do at this clock; None where the DRAM takes no time.
        replayed: what `timeline` is drawn from when asked for; None of the analytic engine.
    """

    network: str
    variant: str
    soc: str
    fps: float
    batch: int
    synthetic: bool
    file_bytes: int
    file_sha256: str
    compression_ratio: float
    test_error: float | None
    dram_bytes_per_frame: int
    operating_point: OperatingPoint
    ledger: tuple[LedgerRow, ...]
    period_ps: int
    service_ps: int
    cold_service_ps: int
    latency_s: float | None
    queue: Queue | None
    resources: tuple[ResourceUse, ...]
    layers: tuple[LayerUse, ...]
    placement: FixedPlacement
    resident_bytes: int
    peak_sram_bytes: int
    peak_macs_per_s: float
    dram_peak_bytes_per_s: float | None
    replayed: "Replayed | None" = field(default=None, compare=False, repr=False)

    @cached_property
    def timeline(self) -> "Timeline | None":
        """The steady-state frame slice by slice; None of the analytic engine, which knows no single tile."""
        from dcsim.simulation.timeline import timeline_of

        return timeline_of(self.replayed) if self.replayed else None

    @property
    def plot(self) -> "RunPlots":
        """Pictures of this result: `plot.energy()`, `.roofline()`, `.timeline()`, `.stalls()`."""
        from dcsim.plots.runs import RunPlots

        return RunPlots((self,))

    @cached_property
    def energy_pj_per_frame(self) -> float:
        """All energy of one frame: the ledger added up in its order."""
        return total_pj(self.ledger)

    @cached_property
    def energy_pj_by_component(self) -> dict[str, float]:
        """Energy of one frame by component [pJ]."""
        return by_component_pj(self.ledger)

    @property
    def average_power_watts(self) -> float:
        """Power demanded: energy per frame times frames per second, sustainable or not."""
        return watts_from_pj(self.energy_pj_per_frame, 1) * self.fps / self.batch

    def component_watts(self, component: str) -> float:
        """Power demanded by one component [W]."""
        return watts_from_pj(self.energy_pj_by_component[component], 1) * self.fps / self.batch

    @property
    def sustainable_fps(self) -> float:
        """Inferences per second at which frames follow each other without a pause; inf when they take no time."""
        return self.batch * PS_PER_S / self.service_ps if self.service_ps else float("inf")

    @property
    def sustainable(self) -> bool:
        """Whether frames at `fps` do not queue up."""
        return self.fps <= self.sustainable_fps

    @property
    def cold_latency_s(self) -> float:
        """Time of the first frame, which loads resident weights [s]."""
        return ps_to_s(self.cold_service_ps)

    @property
    def clock_hz(self) -> int:
        """Clock it ran at [Hz]."""
        return self.operating_point.clock_hz

    @property
    def volts(self) -> float:
        """Voltage of logic and SRAM [V]."""
        return self.operating_point.volts

    @property
    def latency_p95_s(self) -> float | None:
        """Latency that 95 of 100 frames keep [s]."""
        return ps_to_s(self.queue.latency_p95_ps) if self.queue else None

    @property
    def latency_p99_s(self) -> float | None:
        """Latency that 99 of 100 frames keep [s]."""
        return ps_to_s(self.queue.latency_p99_ps) if self.queue else None

    @property
    def deadline_misses(self) -> float:
        """Share of frames that end after their deadline; all of them when they queue without bound."""
        return self.queue.n_misses / self.queue.arrivals.n_frames if self.queue else 1.0

    @property
    def queue_growth_fps(self) -> float:
        """Inferences by which the queue grows each second."""
        return max(0.0, self.fps - self.sustainable_fps)

    def summary(self) -> dict[str, object]:
        """The figures every table, JSON and DataFrame of dcsim shows, under the same names."""
        return {
            "variant": self.variant,
            "file_bytes": self.file_bytes,
            "file_sha256": self.file_sha256,
            "compression_ratio": self.compression_ratio,
            "test_error": self.test_error,
            "dram_bytes_per_frame": self.dram_bytes_per_frame,
            "energy_pj_per_frame": self.energy_pj_per_frame,
            "energy_pj_by_component": self.energy_pj_by_component,
            "average_power_watts": self.average_power_watts,
            "latency_s": self.latency_s,
            "latency_p95_s": self.latency_p95_s,
            "latency_p99_s": self.latency_p99_s,
            "deadline_misses": self.deadline_misses,
            "cold_latency_s": self.cold_latency_s,
            "sustainable_fps": self.sustainable_fps,
            "clock_hz": self.clock_hz,
            "volts": self.volts,
        }

    def frame(self) -> "pd.DataFrame":
        """The summary as one row; energies by component are columns `energy_<component>_pj`."""
        import pandas as pd

        row = {key: value for key, value in self.summary().items() if key != "energy_pj_by_component"}
        row |= {f"energy_{name}_pj": self.energy_pj_by_component[name] for name in COMPONENTS}
        return pd.DataFrame([row])

    def ledger_frame(self) -> "pd.DataFrame":
        """One row per ledger entry, with its energy."""
        import pandas as pd

        return pd.DataFrame([{**asdict(row), "energy_pj": row.energy_pj} for row in self.ledger])

    def resources_frame(self) -> "pd.DataFrame":
        """One row per resource and state: busy, each stall cause, idle; times in seconds."""
        import pandas as pd

        rows = [
            {"resource": use.resource, "state": state, "time_s": ps_to_s(time_ps)}
            for use in self.resources
            for state, time_ps in {"busy": use.busy_ps, **use.stall_ps, "idle": use.idle_ps}.items()
        ]
        return pd.DataFrame(rows)

    def layers_frame(self) -> "pd.DataFrame":
        """One row per layer of the steady-state frame."""
        import pandas as pd

        return pd.DataFrame([asdict(use) for use in self.layers])

    def _repr_html_(self) -> str:
        return f"<p>{self.network} on {self.soc} at {self.fps:g} fps</p>{self.frame().to_html(index=False)}"

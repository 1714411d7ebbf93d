"""Budgets: limits from YAML, and the verdict on a run."""

from dataclasses import dataclass, replace
from typing import Annotated, Self

from pydantic import Field, model_validator

from dcsim.config import SourcedSpec, Spec, find_yaml, load_spec
from dcsim.explore.blame import blame
from dcsim.explore.checks import ENERGIES, FIGURES, TIMES, Check, Verdict, weigh
from dcsim.explore.footprint import Part, in_dram, in_file, in_sram, total_bytes
from dcsim.simulation.result import RunResult
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Trace
from dcsim.units import MW_PER_W

__all__ = ["Battery", "Budget", "Check", "Limits", "Verdict", "check", "load_budget"]

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Limits(Spec):
    """Each figure that is named is checked: at most, but `battery_hours` and `sustainable_fps` at least.

    Attributes:
        average_power_watts: power demanded, static energy included.
        energy_pj_per_frame: of one inference of the trace's batch, static energy included.
        battery_hours: until the budget's battery is empty at that power.
        latency_s: from arrival to last write-back, the median.
        latency_p99_s: from arrival to last write-back, what 99 of 100 frames keep.
        deadline_misses: share of frames that end after their deadline.
        file_bytes: of the variant's file.
        sram_bytes: most SRAM held at any layer.
        dram_bytes: the file, what does not fit the SRAM, and what is kept from frame to frame; not traffic.
        test_error: share of the test set that is wrong.
        accuracy_loss: how far the test error is above that of the dense network.
        sustainable_fps: inferences per second that the chip keeps up with.
    """

    average_power_watts: Positive | None = None
    energy_pj_per_frame: Positive | None = None
    battery_hours: Positive | None = None
    latency_s: Positive | None = None
    latency_p99_s: Positive | None = None
    deadline_misses: Share | None = None
    file_bytes: Positive | None = None
    sram_bytes: Positive | None = None
    dram_bytes: Positive | None = None
    test_error: Share | None = None
    accuracy_loss: Share | None = None
    sustainable_fps: Positive | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.levels():
            raise ValueError(f"a budget needs at least one limit of {', '.join(FIGURES)}")
        return self

    def levels(self) -> dict[str, float]:
        """Those that are set."""
        return self.model_dump(exclude_none=True)


class Battery(Spec):
    """What a budget's battery holds: `capacity_mah` x `volts` is its energy.

    Attributes:
        capacity_mah: charge of a full battery.
        volts: nominal voltage, taken to the end.
    """

    capacity_mah: Positive
    volts: Positive


class Budget(SourcedSpec):
    """A power envelope: `configs/budget/<name>.yaml`.

    Attributes:
        limits: beyond one the run is over budget.
        warnings: beyond one there is a warning, which is printed and does not fail.
        battery: for `battery_hours`.
        deadline_s: for `deadline_misses`; until the next frame is due if not said.
        reference_error: for `accuracy_loss`; of the dense variant if not said.
    """

    limits: Limits
    warnings: Limits | None = None
    battery: Battery | None = None
    deadline_s: Positive | None = None
    reference_error: Share | None = None

    @model_validator(mode="after")
    def _can_be_checked(self) -> Self:
        limits, warnings = self.limits.levels(), self.warning_levels()
        if "battery_hours" in limits | warnings and self.battery is None:
            raise ValueError("battery_hours needs a battery: {capacity_mah: ..., volts: ...}")
        for name in limits.keys() & warnings.keys():
            late = warnings[name] <= limits[name] if FIGURES[name].at_least else warnings[name] >= limits[name]
            if late:
                raise ValueError(
                    f"warnings.{name} of {warnings[name]:g} never comes before limits.{name} of {limits[name]:g}"
                )
        return self

    def warning_levels(self) -> dict[str, float]:
        """Warnings that are set."""
        return self.warnings.levels() if self.warnings else {}


def load_budget(name: str) -> Budget:
    """The budget of a shipped name (`phone`) or of a YAML path. Raises ConfigError."""
    return load_spec(Budget, find_yaml("budget", name))


def check(
    result: RunResult,
    budget: Budget | str,
    *,
    trace: Trace | None = None,
    soc: SocSpec | None = None,
    reference_error: float | None = None,
) -> Verdict:
    """Hold a run against a budget, and against the frame rate it was asked for.

    Args:
        budget: a budget, or the name or path of its YAML.
        trace, soc: what was run on which chip; without them nobody can tell what takes which memory.
        reference_error: test error of the dense variant, for `accuracy_loss`; that of the budget comes first.
    """
    budget = load_budget(budget) if isinstance(budget, str) else budget
    if budget.reference_error is not None:
        reference_error = budget.reference_error
    evidence = _Evidence(result, budget, trace, soc, reference_error)
    limits, warnings = budget.limits.levels(), budget.warning_levels()
    limits["sustainable_fps"] = max(limits.get("sustainable_fps", 0.0), result.fps)
    named = [name for name in FIGURES if name in limits or name in warnings]
    return Verdict(budget.name, tuple(evidence.check(name, limits.get(name), warnings.get(name)) for name in named))


@dataclass(frozen=True)
class _Evidence:
    """What is known of one run."""

    result: RunResult
    budget: Budget
    trace: Trace | None
    soc: SocSpec | None
    reference_error: float | None

    def check(self, name: str, limit: float | None, warning: float | None) -> Check:
        parts = self._parts(name)
        found, missing = self._figure(name, parts)
        if missing:
            return weigh(name, None, limit, warning, missing, known=False)
        unbounded = "frames queue without bound" if found is None else ""
        item = replace(weigh(name, found, limit, warning, unbounded), blame=blame(name, self.result, parts))
        uncounted = self._uncounted() if name in ENERGIES | TIMES else ""
        return replace(item, status="warn", why=uncounted) if uncounted and item.status == "ok" else item

    def _figure(self, name: str, parts: list[Part]) -> tuple[float | None, str]:
        """The figure, or why it is not known. It is None where it is above all limits."""
        if name == "battery_hours":
            return self._hours()
        if name in ("test_error", "accuracy_loss"):
            return self._error(name)
        if name == "dram_bytes":
            known = self.trace and self.soc
            return (total_bytes(parts), "") if known else (None, "it takes the trace and the chip to know")
        found: float | None = getattr(self.result, "peak_sram_bytes" if name == "sram_bytes" else name)
        return found, ""

    def _error(self, name: str) -> tuple[float | None, str]:
        error = self.result.test_error
        if error is None:
            return None, "the test error was not measured"
        if name == "test_error":
            return error, ""
        if self.reference_error is None:
            return None, "there is no trace of the dense variant beside it, and no reference_error in the budget"
        return round(error - self.reference_error, 12), ""  # 0.0118 - 0.0108 is 0.001, not a little more

    def _hours(self) -> tuple[float | None, str]:
        """Hours that the battery lasts: mAh x V / mW, capacity and voltage taken as nominal to the end."""
        battery, power_watts = self.budget.battery, self.result.average_power_watts
        assert battery, "the budget has made sure"
        if not power_watts:
            return None, "the chip spends nothing, so that no battery ends"
        return battery.capacity_mah * battery.volts / (power_watts * MW_PER_W), ""

    def _parts(self, name: str) -> list[Part]:
        """What a figure in bytes is made of, as far as that is known."""
        if name == "file_bytes" and self.trace:
            return in_file(self.trace)
        if name in ("sram_bytes", "dram_bytes") and self.trace and self.soc:
            return (in_sram if name == "sram_bytes" else in_dram)(self.trace, self.soc, self.result)
        return []

    def _uncounted(self) -> str:
        """Work that energy and time leave out."""
        layers = self.trace.layers if self.trace else ()
        names = [layer.name for layer in layers if layer.counts == "unknown"]
        listed = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
        return f"layers without a cost model count as data movement alone: {listed}" if names else ""

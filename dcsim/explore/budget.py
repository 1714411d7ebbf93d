"""Power envelopes: named limits from YAML, and the verdict on a run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from dcsim.config import SourcedSpec, Spec, find_yaml, load_spec
from dcsim.simulation.result import RunResult

if TYPE_CHECKING:
    import pandas as pd

Positive = Annotated[float, Field(gt=0)]

UNITS = {
    "average_power_watts": "W",
    "energy_pj_per_frame": "pJ",
    "latency_s": "s",
    "file_bytes": "bytes",
    "test_error": "",
    "sustainable_fps": "fps",
}
AT_LEAST = frozenset({"sustainable_fps"})


class Limits(Spec):
    """Each limit that is set is checked: at most, except `sustainable_fps`, which is at least."""

    average_power_watts: Positive | None = None
    energy_pj_per_frame: Positive | None = None
    latency_s: Positive | None = None
    file_bytes: Positive | None = None
    test_error: Positive | None = None
    sustainable_fps: Positive | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"a budget needs at least one limit of {', '.join(UNITS)}")
        return self


class Budget(SourcedSpec):
    """A power envelope: `configs/budget/<name>.yaml`."""

    limits: Limits


@dataclass(frozen=True)
class Check:
    """One limit held against one run.

    Attributes:
        name: the figure that is limited.
        limit, found: in `unit`; found is None when there is no such figure, which is never a pass.
        headroom: what is left of the limit as a share of it; negative when exceeded.
    """

    name: str
    limit: float
    found: float | None
    unit: str
    headroom: float | None
    ok: bool

    @property
    def used(self) -> float:
        """How much of the limit is used, 1 at the limit; infinite when there is no figure."""
        if not self.found:
            return 0.0 if self.found == 0 and self.name not in AT_LEAST else float("inf")
        return self.limit / self.found if self.name in AT_LEAST else self.found / self.limit


@dataclass(frozen=True)
class Verdict:
    """All checks of one run. It fits when every check is ok."""

    budget: str
    checks: tuple[Check, ...]

    def frame(self) -> "pd.DataFrame":
        """One row per check."""
        import pandas as pd

        return pd.DataFrame([vars(check) for check in self.checks])

    def _repr_html_(self) -> str:
        words = "fits" if self.fits else "does not fit"
        return f"<p>{words} {self.budget}</p>{self.frame().to_html(index=False)}"

    @property
    def fits(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def tightest(self) -> Check:
        """The check that uses most of its limit, among the failed ones if there are any.

        Keeping up with the frame rate goes without saying: it is named only when it fails or nothing else is limited.
        """
        failed = [check for check in self.checks if not check.ok]
        named = [check for check in self.checks if check.name not in AT_LEAST]
        return max(failed or named or self.checks, key=lambda check: check.used)


def load_budget(name: str) -> Budget:
    """The budget of a shipped name (`phone`) or of a YAML path. Raises ConfigError."""
    return load_spec(Budget, find_yaml("budget", name))


def check(result: RunResult, budget: Budget | str) -> Verdict:
    """Hold a run against a budget, and against the frame rate it was asked for.

    Args:
        budget: a budget, or the name or path of its YAML.
    """
    budget = load_budget(budget) if isinstance(budget, str) else budget
    limits = budget.limits.model_dump(exclude_none=True)
    limits["sustainable_fps"] = max(limits.get("sustainable_fps", 0.0), result.fps)
    return Verdict(budget.name, tuple(_check(name, limit, getattr(result, name)) for name, limit in limits.items()))


def _check(name: str, limit: float, found: float | None) -> Check:
    if found is None:
        return Check(name, limit, None, UNITS[name], None, ok=False)
    headroom = found / limit - 1 if name in AT_LEAST else 1 - found / limit
    return Check(name, limit, found, UNITS[name], headroom, ok=headroom >= 0)

"""Checks: one figure of a run against its limit, who is to blame, what would mend it; and the verdict over them all."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from dcsim.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

#: best first; `missing` is worst, because nobody can then say whether the run fits
Status = Literal["ok", "warn", "over", "missing"]
STATUSES: tuple[Status, ...] = ("ok", "warn", "over", "missing")
WHOLE_SOC = "(soc)"  # instead of a layer, for what belongs to none: static energy, buffers, a file's header


@dataclass(frozen=True)
class Figure:
    """A figure that a budget can limit.

    Attributes:
        unit: of its limits; empty for a share.
        word: its name in a line that has little room.
        at_least: the limit is the least it may be, not the most.
    """

    unit: str
    word: str
    at_least: bool = False


#: every figure that a budget can limit, in the order in which they are checked
FIGURES = {
    "average_power_watts": Figure("W", "power"),
    "energy_pj_per_frame": Figure("pJ", "energy"),
    "battery_hours": Figure("h", "battery", at_least=True),
    "latency_s": Figure("s", "latency"),
    "latency_p99_s": Figure("s", "p99 latency"),
    "deadline_misses": Figure("", "misses"),
    "file_bytes": Figure("bytes", "file"),
    "sram_bytes": Figure("bytes", "SRAM"),
    "dram_bytes": Figure("bytes", "DRAM"),
    "test_error": Figure("", "error"),
    "accuracy_loss": Figure("", "accuracy"),
    "sustainable_fps": Figure("fps", "fps", at_least=True),
}
ENERGIES = frozenset({"average_power_watts", "energy_pj_per_frame", "battery_hours"})
TIMES = frozenset({"latency_s", "latency_p99_s", "deadline_misses", "sustainable_fps"})
MEMORIES = frozenset({"file_bytes", "sram_bytes", "dram_bytes"})


@dataclass(frozen=True)
class Blame:
    """What has most of a figure.

    Attributes:
        layer: a layer, or `(soc)` where it is none.
        component: of the energy ledger; a resource where it is about time; `weights`, `activations`, `buffers` or
            `state` where it is about memory.
        share: of the figure; of a time, the share of the layer.
    """

    layer: str
    component: str
    share: float


@dataclass(frozen=True)
class Knob:
    """What would mend a check that is over.

    Attributes:
        turn: a number of the chip's YAML with its new value, or what else to change.
        found: the figure with the knob turned, from another replay; None where it takes more than a replay to know.
        mends: whether that keeps the limit.
    """

    turn: str
    found: float | None = None
    mends: bool | None = None


@dataclass(frozen=True)
class Check:
    """One figure of one run against its limit.

    Attributes:
        name: the figure.
        unit: of limit, warning and found; empty for a share.
        limit: beyond it the run is over budget; None where there is a warning alone.
        warning: beyond it there is a warning; None without one.
        found: None where there is no such figure: frames queue without bound, or evidence is missing.
        headroom: what is left of the limit as a share of it, negative beyond; None without a figure or at a limit of 0.
        why: why there is no figure, or what the figure leaves out.
        blame: None where nothing has more of it than the rest.
        knob: of a check that is over; None where none was looked for.
    """

    name: str
    unit: str
    limit: float | None
    warning: float | None
    found: float | None
    headroom: float | None
    status: Status
    why: str = ""
    blame: Blame | None = None
    knob: Knob | None = None

    @property
    def ok(self) -> bool:
        """Whether the limit is kept, with or without a warning."""
        return self.status in ("ok", "warn")

    @property
    def expected(self) -> float:
        """The limit, or the warning where there is no limit."""
        expected = self.warning if self.limit is None else self.limit
        assert expected is not None, "a check has a limit or a warning"
        return expected

    @property
    def used(self) -> float:
        """How much of the limit is used, 1 at the limit; infinite when there is no figure."""
        if self.found is None:
            return float("inf")
        over, under = (self.expected, self.found) if FIGURES[self.name].at_least else (self.found, self.expected)
        if under == 0:
            return float("inf") if over > 0 else 0.0
        return over / under


@dataclass(frozen=True)
class Verdict:
    """All checks of one run."""

    budget: str
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """That of the worst check; evidence that is missing weighs more than a limit that is broken."""
        return max((check.status for check in self.checks), key=STATUSES.index)

    @property
    def fits(self) -> bool:
        """Whether every limit is kept, and known to be."""
        return all(check.ok for check in self.checks)

    @property
    def tightest(self) -> Check:
        """The check that uses most of its limit, among the failed ones if there are any.

        Keeping up with the frame rate goes without saying: it is named only when it fails or nothing else is limited.
        """
        failed = [check for check in self.checks if not check.ok]
        named = [check for check in self.checks if check.name != "sustainable_fps"]
        return max(failed or named or self.checks, key=lambda check: check.used)

    def require_evidence(self) -> None:
        """Refuse a verdict that nobody can give. Raises ConfigError."""
        missing = [f"{check.name} ({check.why})" for check in self.checks if check.status == "missing"]
        if missing:
            raise ConfigError(f"evidence is missing for {self.budget}: {'; '.join(missing)}")

    def rows(self) -> list[dict[str, Any]]:
        """Every check as plain values."""
        return [{**asdict(check), "ok": check.ok} for check in self.checks]

    def frame(self) -> "pd.DataFrame":
        """One row per check."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def _repr_html_(self) -> str:
        words = "fits" if self.fits else "does not fit"
        return f"<p>{words} {self.budget}</p>{self.frame().to_html(index=False)}"


def weigh(
    name: str, found: float | None, limit: float | None, warning: float | None = None, why: str = "", known: bool = True
) -> Check:
    """Hold one figure against its limit and its warning.

    Args:
        found: None with `known` is more than any limit, None without it is evidence that is missing.
        why: there is no figure.
    """
    figure = FIGURES[name]

    def beyond(level: float | None) -> bool:
        if level is None:
            return False
        return found is None or (found < level if figure.at_least else found > level)

    status: Status = "missing" if not known else "over" if beyond(limit) else "warn" if beyond(warning) else "ok"
    level = warning if limit is None else limit
    headroom = None
    if found is not None and level:
        headroom = found / level - 1 if figure.at_least else 1 - found / level
    return Check(name, figure.unit, limit, warning, found, headroom, status, why)

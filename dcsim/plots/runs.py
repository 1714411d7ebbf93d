"""Pictures of one result, or of the storage variants of a network side by side."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dcsim.simulation.result import RunResult


@dataclass(frozen=True)
class RunPlots:
    """What `result.plot` and `run.plot` offer. Each picture is a matplotlib Figure, as wide as a column of text."""

    results: "tuple[RunResult, ...]"

    @property
    def title(self) -> str:
        """What was run where."""
        first = self.results[0]
        variant = f", {first.variant}," if len(self.results) == 1 else ""
        synthetic = ", synthetic" if any(result.synthetic for result in self.results) else ""
        return f"{first.network}{variant} on {first.soc} at {first.fps:g} fps{synthetic}"

    def energy(self) -> "Figure":
        """Energy per frame by component: a bar for each variant with its power, or of one result for each layer."""
        from dcsim.plots import energy

        return energy.by_layer(self.results[0], self.title) if len(self.results) == 1 else energy.by_variant(self)

    def roofline(self) -> "Figure":
        """Speed of each layer over its MACs per byte of DRAM traffic, under what array and DRAM could do at most."""
        from dcsim.plots.roofline import roofline

        return roofline(self.results, self.title)

    def timeline(self) -> "Figure":
        """How busy each resource is through one frame; of one result, also its power and what the SRAM holds.

        Raises:
            SimulationError: of the analytic engine, which follows no tiles.
        """
        from dcsim.plots.timeline import timeline

        return timeline(self.results, self.title)

    def stalls(self) -> "Figure":
        """What each resource does during one frame: work, or wait, and for what."""
        from dcsim.plots.stalls import stalls

        return stalls(self.results, self.title)

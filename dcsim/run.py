"""The main job: a network's name -> its storage variants -> traces -> replays -> one RunReport."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dcsim.artifact import VARIANTS, Variant
from dcsim.compression.plan import PostTraining
from dcsim.errors import ConfigError
from dcsim.explore.budget import Budget, Verdict, check, load_budget
from dcsim.explore.knobs import with_knobs
from dcsim.prepare import (
    SILENT,
    Listener,
    compress,
    compress_network,
    load_examples,
    post_training_traces,
    synthetic_traces,
    trace_variants,
)
from dcsim.simulation.frames import Arrivals
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import PERIODIC, Engine, simulate
from dcsim.soc.spec import FixedPlacement, SocSpec, load_soc
from dcsim.traces.trace import Trace
from dcsim.zoo import Network, find_network

if TYPE_CHECKING:
    import pandas as pd

    from dcsim.plots.runs import RunPlots


@dataclass(frozen=True)
class Inputs:
    """What a report was made from: enough to make it again.

    Attributes:
        traces: in the order of the variants.
        soc: the chip, with the placement if one was given.
        budget: None without one.
        arrivals, deadline_s, engine: see `judge`; the deadline as it was given.
    """

    traces: tuple[Trace, ...]
    soc: SocSpec
    budget: Budget | None
    arrivals: Arrivals
    deadline_s: float | None
    engine: Engine


@dataclass(frozen=True)
class RunReport:
    """The answer of the main job: a result, and with a budget a verdict, per storage variant.

    Attributes:
        results: in the order of the variants.
        verdicts: one per result; None without a budget.
        gate: the variant whose verdict decides.
        inputs: what it was made from.
    """

    network: str
    soc: str
    fps: float
    budget: str | None
    synthetic: bool
    results: tuple[RunResult, ...]
    verdicts: tuple[Verdict | None, ...]
    gate: str
    inputs: Inputs = field(repr=False, compare=False)

    @property
    def verdict(self) -> Verdict | None:
        """On the gated variant; None without a budget."""
        (place,) = (place for place, result in enumerate(self.results) if result.variant == self.gate)
        return self.verdicts[place]

    @property
    def fits(self) -> bool | None:
        """Whether the gated variant keeps every limit; None without a budget."""
        return self.verdict.fits if self.verdict else None

    def require_evidence(self) -> None:
        """Refuse a verdict on the gated variant that nobody can give. Raises ConfigError."""
        if self.verdict:
            self.verdict.require_evidence()

    @property
    def plot(self) -> "RunPlots":
        """Pictures of the variants side by side: `plot.energy()`, `.roofline()`, `.timeline()`, `.stalls()`."""
        from dcsim.plots.runs import RunPlots

        return RunPlots(self.results)

    def frame(self) -> "pd.DataFrame":
        """One row per variant; units in the column names."""
        import pandas as pd

        frame = pd.concat([result.frame() for result in self.results], ignore_index=True)
        frame["fits"] = [verdict.fits if verdict else None for verdict in self.verdicts]
        return frame

    def _repr_html_(self) -> str:
        title = f"{self.network} on {self.soc} at {self.fps:g} fps, budget {self.budget or 'none'}"
        return f"<p>{title}</p>{self.frame().to_html(index=False)}"


def run(
    network: str,
    soc: SocSpec | str = "mobile45",
    fps: float = 20,
    budget: Budget | str | None = None,
    *,
    variants: Sequence[Variant] = VARIANTS,
    gate: Variant | None = None,
    recipe: str | None = None,
    weights: Path | None = None,
    dataset: str = "",
    batch: int = 1,
    fresh: bool = False,
    post_training: PostTraining | None = None,
    context: int | None = None,
    tokens: int | None = None,
    engine: Engine = "event",
    listener: Listener = SILENT,
) -> RunReport:
    """Compress (or reuse), trace, replay, judge.

    Args:
        network: a name of models/, or `module:callable` that builds a torch.nn.Module.
        soc, budget: names or paths of YAML files, or what was loaded from them.
        fps: inferences per second.
        gate: variant whose verdict decides; the most compressed one by default.
        recipe: see `compress`; weights, dataset: for a network of one's own.
        batch: test examples that make one frame.
        fresh: compress again even if files of this recipe and these weights exist.
        post_training: compress without training, as this says, instead of by a recipe; the dataset may then be inputs
            alone, on which outputs before and after are compared.
        context, tokens: see `trace`.
        engine: see `simulate`.

    Raises:
        DcsimError: bad input of any kind, before anything is left half done.
    """
    chosen = tuple(variant for variant in VARIANTS if variant in variants)
    if not chosen or (gate and gate not in chosen):  # said before the work; `judge` says it of traces
        raise ConfigError(f"the gate {gate} is not among the variants that are run: {', '.join(chosen) or 'none'}")
    budget = load_budget(budget) if isinstance(budget, str) else budget
    found = find_network(network, dataset).with_step(context, tokens)
    if found.synthetic:
        if recipe or weights or dataset:
            raise ConfigError(f"{network} is given by numbers only: a recipe, weights or data have no place in its run")
        traces = synthetic_traces(found, chosen, batch)
    elif post_training:
        if recipe or fresh:
            raise ConfigError("compressing without training takes no recipe")
        traces = _without_training(found, chosen, post_training, weights, batch, listener)
    else:
        compression = compress(network, recipe, weights=weights, dataset=dataset, fresh=fresh, listener=listener)
        traces = trace_variants(found, compression, chosen, batch, listener)
    return judge(traces, soc, fps, budget, gate, engine=engine)


def _without_training(
    network: Network,
    variants: Sequence[Variant],
    plan: PostTraining,
    weights: Path | None,
    batch: int,
    listener: Listener,
) -> tuple[Trace, ...]:
    if not network.dataset:
        raise ConfigError(f"{network.name} needs something to run on: give --data module:callable, inputs batch first")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "huffman.dcz"
        _, found = compress_network(network.name, file, plan, weights, network.dataset, listener)
        listener.say(str(found))
        examples = load_examples(network, listener)
        errors = (found.error_before, found.error_after)
        return post_training_traces(network, file, variants, examples, batch, errors, weights, listener)


def judge(
    traces: Sequence[Trace],
    soc: SocSpec | str,
    fps: float,
    budget: Budget | str | None,
    gate: str | None = None,
    *,
    arrivals: Arrivals = PERIODIC,
    deadline_s: float | None = None,
    placement: FixedPlacement | None = None,
    engine: Engine = "event",
) -> RunReport:
    """Replay traces of one network on one chip and hold each against the budget. Raises DcsimError.

    Args:
        arrivals, placement, engine: see `simulate`.
        deadline_s: see `simulate`; that of the budget if not said.
    """
    budget = load_budget(budget) if isinstance(budget, str) else budget
    names = {trace.network for trace in traces}
    if len(names) != 1 or len({trace.variant for trace in traces}) != len(traces):
        listed = ", ".join(f"{trace.network} {trace.variant}" for trace in traces)
        raise ConfigError(f"expected traces of one network, one for each variant; found {listed}")
    gate = gate or max(traces, key=lambda trace: VARIANTS.index(trace.variant)).variant
    if gate not in {trace.variant for trace in traces}:
        raise ConfigError(f"the gate {gate} is not among the variants: {', '.join(t.variant for t in traces)}")
    soc = load_soc(soc) if isinstance(soc, str) else soc
    if placement:
        soc = soc.model_copy(update={"placement": placement})
    inputs = Inputs(tuple(traces), soc, budget, arrivals, deadline_s, engine)
    if deadline_s is None and budget:
        deadline_s = budget.deadline_s

    def replay(trace: Trace, soc: SocSpec, fps: float) -> RunResult:
        return simulate(trace, soc, fps, arrivals=arrivals, deadline_s=deadline_s, engine=engine)

    results = tuple(replay(trace, soc, fps) for trace in traces)
    verdicts = tuple(
        _verdict(trace, result, soc, budget, traces, replay if trace.variant == gate else None) if budget else None
        for trace, result in zip(traces, results, strict=True)
    )
    return RunReport(
        network=traces[0].network,
        soc=soc.name,
        fps=fps,
        budget=budget.name if budget else None,
        synthetic=any(trace.synthetic for trace in traces),
        results=results,
        verdicts=verdicts,
        gate=gate,
        inputs=inputs,
    )


def _verdict(
    trace: Trace,
    result: RunResult,
    soc: SocSpec,
    budget: Budget,
    traces: Sequence[Trace],
    replay: Callable[[Trace, SocSpec, float], RunResult] | None,
) -> Verdict:
    """The verdict on one variant, with what would mend it where it can be replayed."""
    reference_error = next((other.test_error for other in traces if other.variant == "dense"), None)

    def held(result: RunResult, soc: SocSpec) -> Verdict:
        return check(result, budget, trace=trace, soc=soc, reference_error=reference_error)

    verdict = held(result, soc)
    if replay is None or verdict.fits:
        return verdict
    return with_knobs(verdict, result, soc, lambda chip, rate: held(replay(trace, chip, rate), chip))

"""A run in a folder: what `run -o` and `simulate -o` write, and `report` reads. It is all the evidence of a run.

run.json           every figure, below a schema number and a SHA-256
soc.yaml           the chip, complete: `dcsim simulate run/huffman.parquet --soc run/soc.yaml` gives the run again
budget.yaml        the budget, if there was one
<variant>.parquet  the trace of each variant
"""

import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dcsim import __version__
from dcsim.config import SourcedSpec, load_spec
from dcsim.errors import ConfigError, RunFolderError
from dcsim.explore.budget import Budget, Verdict
from dcsim.explore.footprint import Part, in_sram
from dcsim.files import is_file, sha256, sha256_of_file, write_bytes
from dcsim.report import BUDGET, RUN, SOC
from dcsim.report.frame_slices import FrameSlices, frame_slices
from dcsim.simulation.frames import Arrivals
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import Engine
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Counts

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from dcsim.run import RunReport
    from dcsim.traces.trace import Trace

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LayerWeights:
    """What a layer of the trace reads: weights, those that are not zero, and bytes of the file that it reads first.

    `counts` says whether its work was counted, estimated, or is unknown; see `Layer`.
    """

    layer: str
    kind: str
    counts: Counts
    n_weights: int
    n_weights_nonzero: int
    stored_bytes: int


@dataclass(frozen=True)
class StoredVariant:
    """One storage variant of a run.

    Attributes:
        result: as it was simulated, without what a timeline is drawn from.
        verdict: None without a budget.
        weights: by layer, in order.
        sram: what lies in SRAM at some time, by layer.
        frame: what is drawn of one frame; None of the analytic engine.
        input_sha256: of what was traced; empty when synthetic.
    """

    result: RunResult
    verdict: Verdict | None
    weights: tuple[LayerWeights, ...]
    sram: tuple[Part, ...]
    frame: FrameSlices | None
    input_sha256: str


@dataclass(frozen=True)
class StoredRun:
    """A run as a folder keeps it; fields are those of RunReport and of its inputs."""

    network: str
    fps: float
    gate: str
    synthetic: bool
    engine: Engine
    arrivals: Arrivals
    deadline_s: float | None
    variants: tuple[StoredVariant, ...]


@dataclass(frozen=True)
class RunFolder:
    """A folder that was read and found intact.

    Attributes:
        path: where it is.
        dcsim_version: who wrote it.
        run: the figures.
        soc, budget: what its YAML files describe; `soc_text` is the chip's file as it stands.
        files: SHA-256 of each other file in it, by name.
    """

    path: Path
    dcsim_version: str
    run: StoredRun
    soc: SocSpec
    soc_text: str
    budget: Budget | None
    files: dict[str, str]

    @property
    def gated(self) -> StoredVariant:
        """The variant whose verdict decides."""
        return next(stored for stored in self.run.variants if stored.result.variant == self.run.gate)


def write_run(report: "RunReport", folder: Path) -> None:
    """Write a run and all that it was made from; run.json comes last, so that no half of a folder looks whole.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    inputs = report.inputs
    texts = {SOC: as_yaml(inputs.soc)} | ({BUDGET: as_yaml(inputs.budget)} if inputs.budget else {})
    for name, text in texts.items():
        write_bytes(folder / name, text.encode())
    traces = {f"{trace.variant}.parquet": trace for trace in inputs.traces}
    for name, trace in traces.items():
        trace.save(folder / name)
    files = {name: sha256_of_file(folder / name) for name in (*texts, *traces)}
    content = {"schema": SCHEMA_VERSION, "dcsim_version": __version__, "files": files, "run": _plain(_stored(report))}
    write_bytes(folder / RUN, _text(content | {"sha256": sha256(_text(content).encode())}).encode())


def load_run(folder: Path) -> RunFolder:
    """Read a folder and check that every file in it is the one that was written.

    Raises:
        RunFolderError: not such a folder, of another schema, or altered.
    """
    content = _content(folder / RUN)
    for name, digest in content["files"].items():
        if not is_file(folder / name):
            raise RunFolderError(f"{folder / name} is missing; {_AGAIN}")
        if sha256_of_file(folder / name) != digest:
            raise RunFolderError(
                f"{folder / name} is not the file that was written with {RUN}: it was altered; keep edited files "
                f"elsewhere, and {_AGAIN}"
            )
    try:
        run = _adapter().validate_json(json.dumps(content["run"]), strict=True)
        return RunFolder(
            path=folder,
            dcsim_version=content["dcsim_version"],
            run=run,
            soc=load_spec(SocSpec, folder / SOC),
            soc_text=(folder / SOC).read_text(encoding="utf-8"),
            budget=load_spec(Budget, folder / BUDGET) if BUDGET in content["files"] else None,
            files=content["files"],
        )
    except (ValueError, TypeError, KeyError, ConfigError) as error:
        raise RunFolderError(f"{folder / RUN}: a figure is missing or of another kind: {error}; {_AGAIN}") from error


_AGAIN = "write the folder again with `dcsim run ... -o` or `dcsim simulate ... -o`"


def _content(path: Path) -> dict[str, Any]:
    """run.json, checked against its own SHA-256."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFolderError(
            f"{path.parent} is not the folder of a run: no {RUN} can be read in it; {_AGAIN}"
        ) from error
    except ValueError as error:
        raise RunFolderError(f"{path}: not valid JSON: {error}; {_AGAIN}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA_VERSION:
        found = content.get("schema") if isinstance(content, dict) else None
        raise RunFolderError(f"{path}: schema {found}, and this dcsim reads version {SCHEMA_VERSION}; {_AGAIN}")
    digest = content.pop("sha256", None)
    if sha256(_text(content).encode()) != digest:
        raise RunFolderError(f"{path}: the content does not match its SHA-256: the file was altered; {_AGAIN}")
    return content


def as_yaml(spec: SourcedSpec) -> str:
    """A description as YAML that loads as the same: every key, each number on a line of its own."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=float("inf"))


def _text(content: dict[str, Any]) -> str:
    return (
        json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    )  # a rate without bound is Infinity, as Python has it


def _stored(report: "RunReport") -> StoredRun:
    inputs = report.inputs
    return StoredRun(
        network=report.network,
        fps=report.fps,
        gate=report.gate,
        synthetic=report.synthetic,
        engine=inputs.engine,
        arrivals=inputs.arrivals,
        deadline_s=inputs.deadline_s,
        variants=tuple(
            _variant(trace, inputs.soc, result, verdict)
            for trace, result, verdict in zip(inputs.traces, report.results, report.verdicts, strict=True)
        ),
    )


def _variant(trace: "Trace", soc: SocSpec, result: RunResult, verdict: Verdict | None) -> StoredVariant:
    weights = tuple(
        LayerWeights(layer.name, layer.kind, layer.counts, layer.n_weights, layer.n_weights_nonzero, layer.stored_bytes)
        for layer in trace.layers
    )
    frame = frame_slices(result.timeline) if result.timeline else None
    return StoredVariant(
        replace(result, replayed=None), verdict, weights, tuple(in_sram(trace, soc, result)), frame, trace.input_sha256
    )


def _plain(run: StoredRun) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(run), default=lambda spec: spec.model_dump(mode="json")))
    return plain


@cache
def _adapter() -> "TypeAdapter[StoredRun]":
    """Reads the dataclasses as they are declared."""
    from pydantic import TypeAdapter

    adapter = TypeAdapter(StoredRun)
    adapter.rebuild(_types_namespace={"Replayed": type(None)})  # what a timeline is drawn from is not kept
    return adapter

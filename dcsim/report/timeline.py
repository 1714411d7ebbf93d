"""A frame's timeline in Chrome's trace event format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

The format is Google's "Trace Event Format": complete events (`X`), counters (`C`) and metadata (`M`), times in
microseconds. Six decimals make picoseconds exact; Perfetto itself shows whole nanoseconds.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dcsim import __version__
from dcsim.errors import SimulationError
from dcsim.files import written
from dcsim.simulation.frame import ACTIONS, RESOURCES
from dcsim.units import PS_PER_US

if TYPE_CHECKING:
    from dcsim.simulation.result import RunResult
    from dcsim.simulation.timeline import Steps, Timeline

NO_SLICES = (
    "the analytic engine has no timeline: it takes all tiles of a layer for the same and follows none of them; "
    "replay with the event engine"
)
CHIP = 1  # the one process
TRACKS = {"dram": "DRAM channels", "sram": "SRAM port", "decoder": "decoder", "array": "array"}


def write_timeline(result: "RunResult", path: Path) -> None:
    """One steady-state frame as a trace of Chrome's format.

    The chip is a process and each resource a thread, with a slice for every tile it worked on: layer, tile, bytes and
    dynamic energy are its `args`. Counters are the SRAM's occupancy, the DRAM's bandwidth and the chip's power.

    Raises:
        SimulationError: of the analytic engine.
        OutputError: the file cannot be written.
    """
    timeline = result.timeline
    if timeline is None:
        raise SimulationError(NO_SLICES)
    with written(path) as temporary, temporary.open("w") as stream:
        about = json.dumps({"displayTimeUnit": "ns", "otherData": _provenance(result)}, indent=1)
        stream.write(about.removesuffix("\n}") + ',\n "traceEvents": [\n')
        stream.write(",\n".join([*_metadata(result), *_slices(timeline), *_counters(timeline)]))
        stream.write("\n]}\n")


def _provenance(result: "RunResult") -> dict[str, Any]:
    names = ("network", "variant", "soc", "fps", "batch", "synthetic", "file_sha256", "clock_hz", "volts")
    figures = ("period_ps", "service_ps", "energy_pj_per_frame", "dram_bytes_per_frame", "peak_sram_bytes")
    return {"dcsim_version": __version__} | {name: getattr(result, name) for name in (*names, *figures)}


def _metadata(result: "RunResult") -> list[str]:
    title = f"{result.soc}: {result.network} {result.variant}, one frame"
    events: list[dict[str, Any]] = [{"ph": "M", "pid": CHIP, "name": "process_name", "args": {"name": title}}]
    for place, resource in enumerate(RESOURCES):
        track = {"ph": "M", "pid": CHIP, "tid": place + 1}
        events.append({**track, "name": "thread_name", "args": {"name": TRACKS[resource]}})
        events.append({**track, "name": "thread_sort_index", "args": {"sort_index": place + 1}})
    return [json.dumps(event) for event in events]


def _slices(timeline: "Timeline") -> Iterator[str]:
    """Lines are put together by hand, which is several times as fast as a dictionary for each."""
    layers = [json.dumps(name) for name in timeline.layers]
    names = [[json.dumps(f"{action} {layer}") for layer in timeline.layers] for action in ACTIONS]
    start_us, start_rest = _us(timeline.start_ps)
    dur_us, dur_rest = _us(timeline.end_ps - timeline.start_ps)
    columns = (timeline.resource + 1, timeline.action, timeline.layer, start_us, start_rest, dur_us, dur_rest)
    figures = (timeline.tile, timeline.n_bytes, timeline.energy_pj)
    for tid, action, layer, start, rest, dur, dur_left, tile, n_bytes, energy_pj in zip(
        *(column.tolist() for column in (*columns, *figures)), strict=True
    ):
        yield (
            f'{{"ph": "X", "pid": {CHIP}, "tid": {tid}, "name": {names[action][layer]}, "cat": "{ACTIONS[action]}", '
            f'"ts": {start}.{rest:06d}, "dur": {dur}.{dur_left:06d}, '
            f'"args": {{"layer": {layers[layer]}, "tile": {tile}, "bytes": {n_bytes}, "pJ": {energy_pj:.9g}}}}}'
        )


def _counters(timeline: "Timeline") -> Iterator[str]:
    yield from _counter("SRAM occupancy [bytes]", "bytes", timeline.occupancy)
    for name, unit, steps in (
        ("DRAM bandwidth [bytes/s]", "bytes/s", timeline.dram_bytes_per_s()),
        ("power [W]", "W", timeline.power_watts()),
    ):
        yield from _counter(name, unit, steps.until(timeline.service_ps))


def _counter(name: str, unit: str, steps: "Steps") -> Iterator[str]:
    """A line for every change."""
    changes = np.concatenate([[True], steps.values[1:] != steps.values[:-1]])[: len(steps.values)]
    whole_us, rest = _us(steps.time_ps[changes])
    head, key = f'{{"ph": "C", "pid": {CHIP}, "name": {json.dumps(name)}, "ts": ', json.dumps(unit)
    for us, left, value in zip(whole_us.tolist(), rest.tolist(), steps.values[changes].tolist(), strict=True):
        yield f'{head}{us}.{left:06d}, "args": {{{key}: {value:.9g}}}}}'


def _us(time_ps: Any) -> tuple[Any, Any]:
    """Microseconds before the point, and picoseconds after it."""
    return time_ps // PS_PER_US, time_ps % PS_PER_US

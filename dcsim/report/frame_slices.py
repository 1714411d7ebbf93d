"""A frame's timeline cut down to what a page can draw: tiles of a layer that follow each other become one slice."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dcsim.simulation.frame import RESOURCES

if TYPE_CHECKING:
    from dcsim.simulation.timeline import Steps, Timeline

N_MOMENTS = 200  # pauses shorter than that are not drawn, but make their slice paler


@dataclass(frozen=True)
class Slice:
    """A resource at work for a layer, without a pause longer than one N_MOMENTS-th of the frame.

    Attributes:
        resource, layer: by name.
        start_ps, end_ps: since the frame began [ps].
        busy_ps: of that, the time it worked.
        n_tiles: slices of the timeline in it, a tile for each action.
        n_bytes, energy_pj: of all of them; see `Timeline`.
    """

    resource: str
    layer: str
    start_ps: int
    end_ps: int
    busy_ps: int
    n_tiles: int
    n_bytes: int
    energy_pj: float


@dataclass(frozen=True)
class Held:
    """Most bytes that the SRAM held from a time on, until the next one."""

    start_ps: int
    held_bytes: int


@dataclass(frozen=True)
class FrameSlices:
    """What is drawn of one steady-state frame."""

    slices: tuple[Slice, ...]
    sram: tuple[Held, ...]


def frame_slices(timeline: "Timeline") -> FrameSlices:
    """Slices in the order of their resources, layers and times, and what the SRAM held at most at N_MOMENTS times."""
    moment_ps = timeline.service_ps // N_MOMENTS
    lasts = timeline.end_ps > timeline.start_ps
    order = np.lexsort((timeline.start_ps[lasts], timeline.layer[lasts], timeline.resource[lasts]))
    resource, layer, start_ps, end_ps, n_bytes, energy_pj = (
        column[lasts][order]
        for column in (
            timeline.resource,
            timeline.layer,
            timeline.start_ps,
            timeline.end_ps,
            timeline.n_bytes,
            timeline.energy_pj,
        )
    )
    same = (resource[1:] == resource[:-1]) & (layer[1:] == layer[:-1]) & (start_ps[1:] - end_ps[:-1] <= moment_ps)
    first = np.flatnonzero(np.concatenate([[True], ~same])) if len(start_ps) else np.zeros(0, np.int64)
    if not len(first):
        return FrameSlices((), _held(timeline.occupancy, timeline.service_ps))
    after = np.append(first[1:], len(start_ps))
    columns = zip(
        resource[first].tolist(),
        layer[first].tolist(),
        start_ps[first].tolist(),
        end_ps[after - 1].tolist(),
        np.add.reduceat(end_ps - start_ps, first).tolist(),
        (after - first).tolist(),
        np.add.reduceat(n_bytes, first).tolist(),
        np.add.reduceat(energy_pj, first).tolist(),
        strict=True,
    )
    slices = tuple(Slice(RESOURCES[place], timeline.layers[index], *rest) for place, index, *rest in columns)
    return FrameSlices(slices, _held(timeline.occupancy, timeline.service_ps))


def _held(occupancy: "Steps", service_ps: int) -> tuple[Held, ...]:
    """Changes of what is held; of many within a moment the most."""
    moment_ps = max(service_ps // N_MOMENTS, 1)
    most: dict[int, float] = {}
    for time_ps, held in zip(occupancy.time_ps.tolist(), occupancy.values.tolist(), strict=True):
        start_ps = time_ps - time_ps % moment_ps
        most[start_ps] = max(most.get(start_ps, 0.0), held)
    changes = list(most.items())
    kept = changes[:1] + [now for before, now in pairwise(changes) if now[1] != before[1]]
    return tuple(Held(start_ps, int(held)) for start_ps, held in kept)

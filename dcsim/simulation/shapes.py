"""The distinct placements over all design points, and how often each event happens in them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.errors import SimulationError
from dcsim.simulation.design_points import DesignPoints, Fault, Varied, together
from dcsim.simulation.pipeline import pipeline_layers
from dcsim.simulation.placement import Placement, place
from dcsim.simulation.tiles import frame_counts, tile_costs
from dcsim.soc.dram_spec import BankedDram, ConstantDram
from dcsim.soc.spec import SocSpec
from dcsim.traces.trace import Trace

Ints = npt.NDArray[np.int64]
Event = tuple[str, str]

#: parts of a chip that decide what is placed where and how often each event happens
SHAPING = ("sram", "dram", "array", "tiles", "activation_bits", "idle", "placement")


class Shape(NamedTuple):
    """A placement and what follows from it in whole numbers."""

    placement: Placement
    layers: Ints
    n_buffers: int
    counts: dict[Event, int]


def shapes_of(trace: Trace, points: DesignPoints) -> Varied[Shape | Fault]:
    """Placements and counts of the distinct shapes that occur."""
    combined = together(*(points[key].map(_shape_of) for key in SHAPING))
    _, first = np.unique(combined.index, return_index=True)
    shapes = []
    for point in first.tolist():
        values = {key: points[key].values[points[key].index[point]] for key in SHAPING}
        shapes.append(_shape(trace, points.soc, values))
    return Varied(tuple(shapes), combined.index)


def _shape_of(part: Any) -> Any:
    """What of a part of the chip shapes placement and counts."""
    if isinstance(part, ConstantDram):
        return (part.kind, part.capacity_mib, part.access_width_bits)
    if isinstance(part, BankedDram):
        return (part.kind, part.capacity_mib, part.n_channels, part.burst_bytes, part.row_bytes, part.address_map)
    if hasattr(part, "capacity_kib"):
        return (part.capacity_kib, part.access_width_bits)
    if hasattr(part, "mac_format"):
        return tuple((key, value) for key, value in part.model_dump().items() if not key.startswith("pj_"))
    if hasattr(part, "logic"):
        return part.sram == "off"
    return part


def _shape(trace: Trace, soc: SocSpec, values: Mapping[str, Any]) -> Shape | Fault:
    for value in values.values():
        if isinstance(value, Fault):
            return value
    shaped = soc.model_copy(update=dict(values))
    try:
        placement = place(trace, shaped)
    except SimulationError as error:
        return Fault(str(error))
    counts: dict[Event, int] = {}
    for plan in placement.layers:
        for event, count in frame_counts(tile_costs(plan, shaped, 1)[0]).items():
            counts[event] = counts.get(event, 0) + count
    return Shape(placement, pipeline_layers(placement, shaped), shaped.tiles.n_buffers, counts)

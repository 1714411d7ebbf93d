"""What is written down while a frame is replayed: counted events, and where the time of each resource went."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcsim.simulation.tiles import TileCosts

RESOURCES = ("dram", "sram", "decoder", "array")
DRAM, SRAM, DECODER, ARRAY = range(4)
#: what a tile goes through: DRAM to buffer, decoder, array, outputs into SRAM, and on to DRAM
ACTIONS = ("fetch", "decode", "compute", "write back", "spill")
FETCH, DECODE, COMPUTE, WRITE_BACK, SPILL = range(5)


@dataclass
class Meter:
    """Time account of one resource within a frame [ps]."""

    busy_ps: int = 0
    stall_ps: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def used_ps(self) -> int:
        """Busy and stalled time."""
        return self.busy_ps + sum(self.stall_ps.values())


@dataclass
class Frame:
    """What one frame did. It starts at 0.

    The event engine also keeps its `tiles` and writes down `spans` (action, resource, number of the tile, start and end
    of the work), `channel_ps` (taken, left) of the DRAM, and `held` (time, bytes) of the SRAM.
    """

    service_ps: int = 0
    counts: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))
    meters: dict[str, Meter] = field(default_factory=lambda: {name: Meter() for name in RESOURCES})
    dram_window_ps: tuple[int, int] | None = None
    compute_start_ps: dict[int, int] = field(default_factory=dict)
    compute_end_ps: dict[int, int] = field(default_factory=dict)
    peak_sram_bytes: int = 0
    tiles: "list[TileCosts]" = field(default_factory=list)
    spans: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    channel_ps: list[tuple[int, int]] = field(default_factory=list)
    held: list[tuple[int, int]] = field(default_factory=list)

"""What is written down while a frame is replayed: counted events, and where the time of each resource went."""

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Meter:
    """Time account of one resource within a frame [ps]."""

    busy_ps: int = 0
    stall_ps: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def used_ps(self) -> int:
        return self.busy_ps + sum(self.stall_ps.values())


@dataclass
class Frame:
    """What one frame did. It starts at 0."""

    service_ps: int = 0
    counts: dict[tuple[int, str, str], int] = field(default_factory=lambda: defaultdict(int))
    meters: dict[str, Meter] = field(
        default_factory=lambda: {name: Meter() for name in ("dram", "sram", "decoder", "array")}
    )
    dram_window_ps: tuple[int, int] | None = None
    compute_start_ps: dict[int, int] = field(default_factory=dict)
    compute_end_ps: dict[int, int] = field(default_factory=dict)
    peak_sram_bytes: int = 0

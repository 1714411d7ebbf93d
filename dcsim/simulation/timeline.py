"""One steady-state frame, slice by slice: which resource worked on which tile when, for how many bytes and pJ."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.simulation.energy import event_costs, static_watts
from dcsim.simulation.frame import (
    ACTIONS,
    ARRAY,
    COMPUTE,
    DECODE,
    DECODER,
    DRAM,
    FETCH,
    RESOURCES,
    SPILL,
    SRAM,
    Frame,
)
from dcsim.simulation.placement import Placement
from dcsim.simulation.tiles import TileCosts, n_steps_of
from dcsim.soc import dram, sram
from dcsim.soc.spec import OperatingPoint, SocSpec
from dcsim.units import PS_PER_S, bits_to_bytes

if TYPE_CHECKING:
    import pandas as pd

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Replayed(NamedTuple):
    """What a timeline is drawn from: a frame of the event engine, and what it was a frame of."""

    placement: Placement
    soc: SocSpec
    point: OperatingPoint
    frame: Frame
    period_ps: int


class Steps(NamedTuple):
    """A figure over time: `values[i]` holds from `time_ps[i]` to `time_ps[i + 1]`, the last one to the end."""

    time_ps: Ints
    values: Floats

    def until(self, end_ps: int) -> "Steps":
        """The same up to a time, and 0 from then on."""
        before = self.time_ps < end_ps
        return Steps(np.append(self.time_ps[before], end_ps), np.append(self.values[before], 0.0))


@dataclass(frozen=True, eq=False)
class Timeline:
    """A steady-state frame from 0 to `service_ps`. Slices are columns of one length, those of a resource in order.

    A slice is the time in which a resource works on a tile, without its waiting: those of one resource never overlap,
    and add up to its `busy_ps`. Where the chip's model gives an access no time, a slice is an instant. What takes no
    time, moves nothing and costs nothing is left out.

    Attributes:
        service_ps: see RunResult.
        layers: names, to which `layer` refers.
        resource, action: places in RESOURCES and ACTIONS.
        layer: place in `layers`.
        tile: of the layer, from 0; of a layer of more than `tiles.MAX_STEPS`, a group of consecutive tiles.
        start_ps, end_ps: since the frame began [ps].
        n_bytes: through the DRAM channels or the SRAM port; 0 of decoder and array, whose operands pass that port.
        energy_pj: dynamic energy; that of I/O and PHY is in slices of `dram`.
        occupancy: bytes that the SRAM holds, working buffers included. Steps may share a time.
        sram_capacity_bytes: what it could hold.
        static: power that is paid by time [W]: leakage, clock, DRAM background, what never sleeps.
    """

    service_ps: int
    layers: tuple[str, ...]
    resource: Ints
    action: Ints
    layer: Ints
    tile: Ints
    start_ps: Ints
    end_ps: Ints
    n_bytes: Ints
    energy_pj: Floats
    occupancy: Steps
    sram_capacity_bytes: int
    static: Steps

    def power_watts(self) -> Steps:
        """Power [W]: what each slice spends over its time, and the static power. One watt is one pJ per ps."""
        dynamic = [self._rate(self.resource == place, self.energy_pj) for place in range(len(RESOURCES))]
        return _total([*dynamic, self.static])

    def dram_bytes_per_s(self) -> Steps:
        """Bytes on the DRAM channels over the time of their slices [bytes/s]."""
        time_ps, rate = self._rate(self.resource == DRAM, self.n_bytes)
        return Steps(time_ps, rate * PS_PER_S)

    def frame(self) -> "pd.DataFrame":
        """One row per slice, resources, actions and layers by name."""
        import pandas as pd

        names = {"resource": RESOURCES, "action": ACTIONS, "layer": self.layers}
        columns = {name: np.array(words, object)[getattr(self, name)] for name, words in names.items()}
        numbers = ("tile", "start_ps", "end_ps", "n_bytes", "energy_pj")
        return pd.DataFrame(columns | {name: getattr(self, name) for name in numbers})

    def _rate(self, chosen: npt.NDArray[np.bool_], amount: Ints | Floats) -> Steps:
        """What slices of one resource move or spend per ps; what an instant does is spread over the frame."""
        lasts = chosen & (self.end_ps > self.start_ps)
        start_ps, end_ps = self.start_ps[lasts], self.end_ps[lasts]
        time_ps = np.unique(np.concatenate([[0], start_ps, end_ps]))
        rate = np.zeros(len(time_ps))
        rate[np.searchsorted(time_ps, start_ps)] = amount[lasts] / (end_ps - start_ps)
        at_once = float(amount[chosen & ~lasts].sum())
        return Steps(time_ps, rate + (at_once / self.service_ps if self.service_ps else 0.0))


def timeline_of(replayed: Replayed) -> Timeline:
    """The slices that a replay wrote down, with the bytes and the energy of their tiles."""
    placement, soc, point, frame, _ = replayed
    n_steps = [n_steps_of(plan) for plan in placement.layers]
    layer = np.repeat(np.arange(len(n_steps)), n_steps)
    tile = np.concatenate([np.arange(n) for n in n_steps])
    moved, spent = _tables(frame.tiles, soc, point)
    spans = np.array(frame.spans, np.int64).reshape(-1, 5)
    action, resource, number, start_ps, end_ps = spans[np.lexsort((spans[:, 3], spans[:, 1]))].T
    n_bytes, energy_pj = moved[number, action, resource], spent[number, action, resource]
    kept = (end_ps > start_ps) | (n_bytes > 0) | (energy_pj > 0)
    held = np.array(frame.held, np.int64).reshape(-1, 2)
    return Timeline(
        service_ps=frame.service_ps,
        layers=tuple(plan.layer.name for plan in placement.layers),
        resource=resource[kept],
        action=action[kept],
        layer=layer[number[kept]],
        tile=tile[number[kept]],
        start_ps=start_ps[kept],
        end_ps=end_ps[kept],
        n_bytes=n_bytes[kept],
        energy_pj=energy_pj[kept],
        occupancy=Steps(held[:, 0], held[:, 1].astype(np.float64)),
        sram_capacity_bytes=sram.capacity_bytes(soc.sram),
        static=_static(replayed),
    )


def _tables(tiles: list[TileCosts], soc: SocSpec, point: OperatingPoint) -> tuple[Ints, Floats]:
    """Bytes and energy [pJ] of every tile in each action at each resource. Shapes (n_tiles, n_actions, n_resources)."""
    pj = {event: each_pj for event, (_, each_pj) in event_costs(soc, point).items()}
    moved = np.zeros((len(tiles), len(ACTIONS), len(RESOURCES)), np.int64)
    spent = np.zeros(moved.shape)
    port = np.array([_port_accesses(cost) for cost in tiles]).reshape(-1, len(ACTIONS), 2)
    moved[:, :, SRAM] = port.sum(axis=2) * bits_to_bytes(soc.sram.access_width_bits)
    spent[:, :, SRAM] = port @ [pj["sram", "read"], pj["sram", "write"]]
    for action, kind in ((FETCH, "read"), (SPILL, "write")):
        transfers = np.array([cost.fetch if action == FETCH else cost.write.dram for cost in tiles])
        n_bytes, n_bursts, n_rows, _ = transfers.T
        burst_pj = pj["dram", kind] + pj.get(("dram_io", "transfer"), 0.0)
        moved[:, action, DRAM] = n_bytes
        spent[:, action, DRAM] = n_bursts * burst_pj + n_rows * pj["dram", "activate"]
    for action, engine in ((DECODE, DECODER), (COMPUTE, ARRAY)):
        each_pj = {event: cost for (component, event), cost in pj.items() if component == RESOURCES[engine]}
        events = (cost.decode.events if action == DECODE else cost.compute.events for cost in tiles)
        spent[:, action, engine] = [sum(n * each_pj[event] for event, n in counts.items()) for counts in events]
    return moved, spent


def _port_accesses(cost: TileCosts) -> list[int]:
    """Reads and writes of the SRAM, of one action after the other."""
    fetch, decode, compute, write = cost.fetch, cost.decode, cost.compute, cost.write
    engines = [decode.n_sram_reads, decode.n_sram_writes, compute.n_sram_reads, compute.n_sram_writes]
    return [0, fetch.n_sram_accesses, *engines, 0, write.n_sram_writes, write.dram.n_sram_accesses, 0]


def _static(replayed: Replayed) -> Steps:
    """Static power through the frame [W]: as `energy.frame_ledger` pays it, the DRAM by its state."""
    _, soc, point, frame, period_ps = replayed
    power = dram.powers(soc.dram, soc.idle.dram)
    asleep_watts = power.idle_watts + power.idle_refresh_watts
    first_ps, last_ps = frame.dram_window_ps or (0, 0)
    asleep_ps = last_ps + (dram.sleep_after_ps(soc.dram) if frame.dram_window_ps else 0)
    wrapped_ps = min(max(asleep_ps - period_ps, 0), first_ps)  # still awake after the frame before
    taken = np.array(frame.channel_ps, np.int64).reshape(-1, 2)
    time_ps = np.unique(np.concatenate([[0, wrapped_ps, first_ps, asleep_ps], taken.ravel()]))
    time_ps = time_ps[(time_ps < frame.service_ps) | (time_ps == 0)]
    awake = (time_ps < wrapped_ps) | ((time_ps >= first_ps) & (time_ps < asleep_ps))
    active = np.zeros(len(time_ps), np.bool_)
    if len(taken):
        last = np.searchsorted(taken[:, 0], time_ps, side="right") - 1
        active = (last >= 0) & (time_ps < taken[last, 1])
    watts = np.where(
        awake, np.where(active, power.active_watts, power.standby_watts) + power.refresh_watts, asleep_watts
    )
    return Steps(time_ps, watts + sum(static_watts(soc, point).values()))


def _total(parts: list[Steps]) -> Steps:
    """Figures added up at all times at which one of them changes."""
    time_ps = np.unique(np.concatenate([part.time_ps for part in parts]))
    values = [part.values[np.searchsorted(part.time_ps, time_ps, side="right") - 1] for part in parts]
    return Steps(time_ps, np.sum(values, axis=0))

"""From counted events and time to the ledger of one frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcsim.soc import decoder, dram, pe_array, sram
from dcsim.soc.ledger import COMPONENTS, LedgerRow
from dcsim.soc.spec import OperatingPoint, SocSpec
from dcsim.units import mw_to_watts

#: events by (layer index, component, action)
Counts = Mapping[tuple[int, str, str], int]

#: whose energy per event rises with the square of the voltage of the logic; the DRAM has a supply of its own
ON_LOGIC_SUPPLY = frozenset({"sram", "decoder", "array"})


@dataclass(frozen=True)
class FrameTimes:
    """Where the time of one steady-state period went [ps].

    Attributes:
        period_ps: from one frame to the next.
        service_ps: from the start of the frame to its last write-back.
        dram_awake_ps: from the DRAM's first use in the frame to its last; outside of it the idle policy rules.
        dram_active_ps: the part of that in which the channels are taken.
    """

    period_ps: int
    service_ps: int
    dram_awake_ps: int
    dram_active_ps: int


def frame_ledger(
    soc: SocSpec, point: OperatingPoint, layer_names: Sequence[str], counts: Counts, times: FrameTimes
) -> tuple[LedgerRow, ...]:
    """Dynamic energy by layer and event, then static energy over the period, in a fixed order.

    Args:
        counts: events of one steady-state frame.
    """
    unit_and_pj = event_costs(soc, point)
    rows = [
        LedgerRow(name, component, action, unit, counts[index, component, action], pj)
        for index, name in enumerate(layer_names)
        for (component, action), (unit, pj) in unit_and_pj.items()
        if counts.get((index, component, action))
    ]
    return (*rows, *_static_rows(soc, point, times))


def event_costs(soc: SocSpec, point: OperatingPoint) -> dict[tuple[str, str], tuple[str, float]]:
    """Unit and energy [pJ] of every event at an operating point, in the order of the ledger.

    Dynamic energy of logic and SRAM is C V^2 (Rabaey, Digital Integrated Circuits, ch. 5).
    """
    dram_pj, sram_cost = dram.energies(soc.dram), sram.cost(soc.sram, soc.clock_hz)
    costs = {
        ("dram", "read"): ("access", dram_pj.read_pj),
        ("dram", "write"): ("access", dram_pj.write_pj),
        ("dram", "activate"): ("access", dram_pj.activate_pj),
        ("sram", "read"): ("access", sram_cost.read_pj),
        ("sram", "write"): ("access", sram_cost.write_pj),
    }
    if dram_pj.io_pj:
        costs["dram_io", "transfer"] = ("access", dram_pj.io_pj)
    costs |= {("array", event): cost for event, cost in pe_array.event_energies_pj(soc.array).items()}
    costs |= {("decoder", event): ("symbol", pj) for event, pj in decoder.event_energies_pj(soc.decoder).items()}
    square = (point.volts / soc.volts) ** 2
    return {
        (component, action): (unit, pj * square if component in ON_LOGIC_SUPPLY else pj)
        for (component, action), (unit, pj) in sorted(costs.items(), key=lambda item: COMPONENTS.index(item[0][0]))
    }


def static_watts(soc: SocSpec, point: OperatingPoint) -> dict[str, float]:
    """Power of what is paid by time, while the chip works [W]: leakage rises with V, a clock network with f V^2."""
    volts, clock = point.volts / soc.volts, point.clock_hz / soc.clock_hz
    return {
        "sram_leakage": sram.cost(soc.sram, soc.clock_hz).leakage_watts * volts,
        "clock": mw_to_watts(soc.logic.clock_mw) * clock * volts**2,
        "logic_leakage": mw_to_watts(soc.logic.leakage_mw) * volts,
        "always_on": mw_to_watts(soc.always_on_mw),
    }


def _static_rows(soc: SocSpec, point: OperatingPoint, times: FrameTimes) -> list[LedgerRow]:
    """Power over time: one watt is one pJ per ps."""
    power, watts = dram.powers(soc.dram, soc.idle.dram), static_watts(soc, point)
    period_ps, idle_ps = times.period_ps, times.period_ps - times.service_ps
    asleep_ps = period_ps - times.dram_awake_ps
    retained = sram.idle_leakage_ratio(soc.sram, soc.idle.sram)
    clocked_ps = period_ps if soc.idle.logic == "run" else times.service_ps
    powered_ps = times.service_ps if soc.idle.logic == "power_gate" else period_ps
    candidates = [
        ("dram_background", "active", times.dram_active_ps, power.active_watts),
        ("dram_background", "standby", times.dram_awake_ps - times.dram_active_ps, power.standby_watts),
        ("dram_background", "refresh", times.dram_awake_ps, power.refresh_watts),
        ("dram_background", power.idle_state, asleep_ps, power.idle_watts),
        ("dram_background", "idle_refresh", asleep_ps, power.idle_refresh_watts),
        ("sram_leakage", "leakage", times.service_ps, watts["sram_leakage"]),
        ("sram_leakage", f"idle_{soc.idle.sram}", idle_ps, watts["sram_leakage"] * retained),
        ("logic", "clock", clocked_ps, watts["clock"]),
        ("logic", "leakage", powered_ps, watts["logic_leakage"]),
        ("always_on", "always_on", period_ps, watts["always_on"]),
    ]
    return [
        LedgerRow("(soc)", component, action, "ps", time_ps, watts)
        for component, action, time_ps, watts in candidates
        if time_ps and watts
    ]

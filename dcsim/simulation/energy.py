"""From counted events and time to the ledger of one frame."""

from collections.abc import Mapping, Sequence

from dcsim.soc import decoder, dram, sram
from dcsim.soc.ledger import COMPONENTS, LedgerRow
from dcsim.soc.spec import SocSpec
from dcsim.units import mw_to_watts

#: events by (layer index, component, action)
Counts = Mapping[tuple[int, str, str], int]


def frame_ledger(
    soc: SocSpec,
    layer_names: Sequence[str],
    counts: Counts,
    *,
    period_ps: int,
    dram_awake_ps: int,
    dram_active_ps: int,
) -> tuple[LedgerRow, ...]:
    """Dynamic energy by layer and event, then static energy over the period, in a fixed order.

    Args:
        counts: events of one steady-state frame.
        period_ps: from one frame to the next.
        dram_awake_ps: from the DRAM's first use in the frame to its last; outside of it the idle policy rules.
        dram_active_ps: the part of that in which the channel is taken.
    """
    unit_and_pj = _event_costs(soc)
    rows = [
        LedgerRow(name, component, action, unit, counts[index, component, action], pj)
        for index, name in enumerate(layer_names)
        for (component, action), (unit, pj) in unit_and_pj.items()
        if counts.get((index, component, action))
    ]
    return (*rows, *_static_rows(soc, period_ps, dram_awake_ps, dram_active_ps))


def _event_costs(soc: SocSpec) -> dict[tuple[str, str], tuple[str, float]]:
    """Unit and energy [pJ] of every event, in the order of the ledger."""
    dram_pj, sram_cost, array = dram.energies(soc.dram), sram.cost(soc.sram, soc.clock_hz), soc.array
    costs = {
        ("dram", "read"): ("access", dram_pj.read_pj),
        ("dram", "write"): ("access", dram_pj.write_pj),
        ("dram", "activate"): ("access", dram_pj.activate_pj),
        ("sram", "read"): ("access", sram_cost.read_pj),
        ("sram", "write"): ("access", sram_cost.write_pj),
        ("array", "mac"): ("op", array.pj_per_mac),
        ("array", "alu"): ("op", array.pj_per_alu_op),
        ("array", "register"): ("access", array.pj_per_register_access),
    } | {("decoder", event): ("symbol", pj) for event, pj in decoder.event_energies_pj(soc.decoder).items()}
    return dict(sorted(costs.items(), key=lambda item: COMPONENTS.index(item[0][0])))


def _static_rows(soc: SocSpec, period_ps: int, dram_awake_ps: int, dram_active_ps: int) -> list[LedgerRow]:
    """Power over time: one watt is one pJ per ps."""
    power = dram.powers(soc.dram)
    leakage_watts = sram.cost(soc.sram, soc.clock_hz).leakage_watts
    asleep_ps = period_ps - dram_awake_ps
    candidates = [
        ("dram_background", "active", dram_active_ps, power.active_watts),
        ("dram_background", "standby", dram_awake_ps - dram_active_ps, power.standby_watts),
        ("dram_background", "refresh", dram_awake_ps, power.refresh_watts),
        ("dram_background", power.idle_state, asleep_ps, power.idle_watts),
        ("dram_background", "idle_refresh", asleep_ps, power.idle_refresh_watts),
        ("sram_leakage", "leakage", period_ps, leakage_watts),
        ("always_on", "always_on", period_ps, mw_to_watts(soc.always_on_mw)),
    ]
    return [
        LedgerRow("(soc)", component, action, "ps", time_ps, watts)
        for component, action, time_ps, watts in candidates
        if time_ps and watts
    ]

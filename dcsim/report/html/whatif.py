"""What the page needs to work energy out again: numbers of the chip's YAML, and how each energy follows from them.

Every energy and power of the ledger is a polynomial of the numbers in the file in which none has a power above one: an
energy of its own, or a current times a voltage. Its coefficients are differences of what the simulator's own functions
give, so that the page knows no physics (tests/unit/test_html_whatif.py holds it against them at random points).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from dcsim.simulation.energy import FrameTimes, event_costs, frame_ledger
from dcsim.soc import sram
from dcsim.soc.dram_spec import BankedDram, NoDram
from dcsim.soc.ledger import LedgerRow
from dcsim.soc.spec import CactiSram, OperatingPoint, SocSpec
from dcsim.units import MW_PER_W

Values = Mapping[str, float]
Costs = dict[str, float]

#: endings of keys that hold an energy, a current, a power or a voltage of the DRAM, with their unit
UNITS = {"_ma": "mA", "_mw": "mW", "vdd_volts": "V", "retention_leakage_ratio": ""}
#: parts of the idle policy, with the component that each of them rules
POLICIES = {"dram": "dram_background", "sram": "sram_leakage", "logic": "logic"}
OPTIONS = {
    "dram": ("standby", "power_down", "self_refresh"),
    "sram": ("on", "retain", "off"),
    "logic": ("run", "clock_gate", "power_gate"),
}
#: what DramCurrents refuses: the first below the second
NOT_BELOW = [(f"idd{each}_ma", "idd3n_ma") for each in ("0", "4r", "4w", "5")] + [("idd0_ma", "idd2n_ma")]
TIMES = ("period_ps", "service_ps", "dram_awake_ps", "dram_active_ps")
#: a frame in which nothing lasts 0, even with one of its times a ps longer
LASTING = FrameTimes(period_ps=80, service_ps=40, dram_awake_ps=20, dram_active_ps=10)
DUST = 1e-11  # what is left of a coefficient of 0 after rounding, as a share of the cost


@dataclass(frozen=True)
class Polynomial:
    """`(base + sum slope (x - x0) + sum cross (x - x0) (y - y0)) (V / V0)^volts_power (f / f0)^clock_power`.

    Attributes:
        base: at the numbers of the file [pJ or W].
        slopes: by path.
        crosses: by two paths.
        volts_power, clock_power: of voltage and clock over the nominal ones.
    """

    base: float
    slopes: dict[str, float]
    crosses: list[tuple[str, str, float]]
    volts_power: int
    clock_power: int


def explicit(soc: SocSpec) -> SocSpec:
    """The same chip with every energy that its file leaves to a table or a default written out."""
    array = soc.array.model_copy(update={"pj_per_mac": soc.array.mac_pj, "pj_per_alu_op": soc.array.alu_pj})
    memory: Any = soc.sram
    if isinstance(memory, CactiSram):
        cost = sram.cost(memory, soc.clock_hz)
        found = {
            "read_pj_per_access": cost.read_pj,
            "write_pj_per_access": cost.write_pj,
            "leakage_mw": cost.leakage_watts * MW_PER_W,
        }
        given = {key: getattr(memory, key) for key in found if getattr(memory, key) is not None}
        memory = memory.model_copy(update=found | given)
    return soc.model_copy(update={"array": array, "sram": memory})


def numbers(soc: SocSpec) -> dict[str, float]:
    """Value of every number of an `explicit` chip that is an energy, a power, a current or its voltage, by path."""
    return {
        path: float(value)
        for path, value in soc.leaves().items()
        if isinstance(value, int | float) and unit_of(path) is not None
    }


def unit_of(path: str) -> str | None:
    """Unit of a number that can be turned; None of any other."""
    if not path.startswith(("always_on", "logic", "sram", "dram", "decoder", "array")):
        return None
    key = path.rpartition(".")[2]
    if "pj_per_" in key:
        return "pJ/" + key.partition("pj_per_")[2].replace("_", " ")
    return next((unit for ending, unit in UNITS.items() if key.endswith(ending)), None)


def with_numbers(soc: SocSpec, values: Values) -> SocSpec:
    """The chip with other numbers, unchecked: a difference may step outside of what a file may say."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *parents, last = path.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = value
    changed: SocSpec = _copied(soc, tree)
    return changed


def _copied(spec: Any, tree: dict[str, Any]) -> Any:
    changed = {key: _copied(getattr(spec, key), to) if isinstance(to, dict) else to for key, to in tree.items()}
    return spec.model_copy(update=changed)


def options(soc: SocSpec) -> dict[str, list[str]]:
    """What each part of the idle policy can be on this chip."""
    offered = {part: list(names) for part, names in OPTIONS.items()}
    if soc.sram.retention_leakage_ratio is None:
        offered["sram"].remove("retain")
    if isinstance(soc.dram, NoDram):
        offered["sram"].remove("off")
    if not isinstance(soc.dram, BankedDram):
        offered["dram"] = [soc.idle.dram]  # its model has no states
    return offered


def with_idle(soc: SocSpec, part: str, option: str) -> SocSpec:
    """The chip with another idle policy."""
    return soc.model_copy(update={"idle": soc.idle.model_copy(update={part: option})})


def costs_at(soc: SocSpec, point: OperatingPoint) -> Costs:
    """Every cost of a chip by name: `component/action` of events [pJ], those of `static_rows` [W]."""
    found = {"/".join(event): pj for event, (_, pj) in event_costs(soc, point).items()}
    return found | {name: row.pj_each for name, row in static_rows(soc, point, LASTING).items()}


def static_rows(soc: SocSpec, point: OperatingPoint, times: FrameTimes) -> dict[str, LedgerRow]:
    """What is paid by time under each option of the idle policy, by `component/action/option`.

    With a DRAM that stands by between frames there are two rows of that name; the second ends in `+`.
    """
    ruled = [(part, POLICIES[part], option) for part, names in options(soc).items() for option in names]
    found: dict[str, LedgerRow] = {}
    for part, component, option in [*ruled, ("", "always_on", "")]:
        for row in frame_ledger(with_idle(soc, part, option) if part else soc, point, [], {}, times):
            if row.component == component:
                name = f"{component}/{row.action}/{option}"
                found[name + "+" * (name in found)] = row
    return found


def static_times(soc: SocSpec) -> dict[str, dict[str, int]]:
    """How often each of TIMES counts in the time of each of `static_rows`."""
    raised = with_numbers(soc, {path: value + 1 for path, value in numbers(soc).items()})  # so that none costs nothing
    before = static_rows(raised, soc.nominal, LASTING)
    found: dict[str, dict[str, int]] = {name: {} for name in before}
    for time in TIMES:
        longer = replace(LASTING, **{time: getattr(LASTING, time) + 1})
        for name, row in static_rows(raised, soc.nominal, longer).items():
            if row.count != before[name].count:
                found[name][time] = row.count - before[name].count
    return found


def polynomials(soc: SocSpec) -> dict[str, Polynomial]:
    """Every cost of an `explicit` chip as a polynomial of its `numbers`."""
    nominal, start = soc.nominal, numbers(soc)
    steps = {path: max(abs(value), 1.0) for path, value in start.items()}

    def moved(*paths: str) -> Costs:
        return costs_at(with_numbers(soc, {path: start[path] + steps[path] for path in paths}), nominal)

    alone = {path: moved(path) for path in steps}
    base = dict.fromkeys((name for costs in alone.values() for name in costs), 0.0) | costs_at(soc, nominal)
    pairs = [pair for pair in combinations(steps, 2) if pair[0].split(".")[0] == pair[1].split(".")[0]]
    together = {pair: moved(*pair) for pair in pairs}
    raised = with_numbers(soc, {path: value + 1 for path, value in start.items()})
    volts_power = _powers(raised, OperatingPoint(clock_hz=soc.clock_hz, volts=2 * soc.volts))
    clock_power = _powers(raised, OperatingPoint(clock_hz=2 * soc.clock_hz, volts=soc.volts))
    return {
        name: Polynomial(
            base=value,
            slopes=_kept(
                {path: (costs.get(name, 0.0) - value) / steps[path] for path, costs in alone.items()}, steps, value
            ),
            crosses=[
                (x, y, cross)
                for (x, y), costs in together.items()
                if (cross := _cross(costs, alone[x], alone[y], name, value) / (steps[x] * steps[y]))
                and abs(cross) * steps[x] * steps[y] > DUST * max(abs(value), abs(costs.get(name, 0.0)))
            ],
            volts_power=volts_power[name],
            clock_power=clock_power[name],
        )
        for name, value in base.items()
    }


def _cross(both: Costs, x: Costs, y: Costs, name: str, value: float) -> float:
    return both.get(name, 0.0) - x.get(name, 0.0) - y.get(name, 0.0) + value


def _kept(slopes: dict[str, float], steps: Values, value: float) -> dict[str, float]:
    """Slopes that are more than rounding."""
    return {path: slope for path, slope in slopes.items() if abs(slope * steps[path]) > DUST * abs(value)}


def _powers(soc: SocSpec, doubled: OperatingPoint) -> dict[str, int]:
    """Whole power with which each cost goes with what is doubled."""
    before, after = costs_at(soc, soc.nominal), costs_at(soc, doubled)
    return {name: round(math.log2(after[name] / value)) if value else 0 for name, value in before.items()}


def refusals(soc: SocSpec) -> list[tuple[str, str]]:
    """Pairs of paths whose first number must not be below the second, or the file would be refused."""
    if not isinstance(soc.dram, BankedDram):
        return []
    return [(f"dram.currents.{low}", f"dram.currents.{high}") for low, high in NOT_BELOW]

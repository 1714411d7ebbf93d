"""Does the page's arithmetic give what the simulator's own functions give, at any numbers that a chip's file may hold?"""

import random

import pytest

from dcsim.config import known_yaml
from dcsim.explore.checks import FIGURES
from dcsim.report.html.whatif import (
    NOT_BELOW,
    Polynomial,
    costs_at,
    explicit,
    numbers,
    options,
    polynomials,
    refusals,
    static_rows,
    static_times,
    unit_of,
    with_idle,
    with_numbers,
)
from dcsim.simulation.energy import FrameTimes, frame_ledger
from dcsim.soc import sram
from dcsim.soc.spec import OperatingPoint, SocSpec, load_soc

CHIPS = known_yaml("soc")


def value(polynomial: Polynomial, moved: dict[str, float], volts: float, clock: float) -> float:
    """What the page's `cost` does: numbers as differences from the file, voltage and clock over the nominal ones."""
    found = polynomial.base + sum(slope * moved[path] for path, slope in polynomial.slopes.items())
    found += sum(cross * moved[x] * moved[y] for x, y, cross in polynomial.crosses)
    return found * volts**polynomial.volts_power * clock**polynomial.clock_power


def drawn(soc: SocSpec, draw: random.Random) -> dict[str, float]:
    return {path: now * draw.uniform(0.1, 3) + draw.uniform(0, 2) for path, now in numbers(soc).items()}


@pytest.mark.parametrize("name", CHIPS)
def test_polynomials_are_the_simulators_energies_at_random_points(name: str) -> None:
    soc, draw = explicit(load_soc(name)), random.Random(name)
    found = polynomials(soc)
    for _ in range(20):
        to = drawn(soc, draw)
        moved = {path: to[path] - now for path, now in numbers(soc).items()}
        volts, clock = draw.uniform(0.5, 1.5), draw.choice([0.25, 0.5, 2.0])
        point = OperatingPoint(clock_hz=round(soc.clock_hz * clock), volts=soc.volts * volts)
        for cost, expected in costs_at(with_numbers(soc, to), point).items():
            assert value(found[cost], moved, volts, clock) == pytest.approx(expected, rel=1e-9), cost


@pytest.mark.parametrize("name", CHIPS)
def test_at_the_numbers_of_the_file_nothing_is_rounded(name: str) -> None:
    soc = explicit(load_soc(name))
    found = polynomials(soc)
    assert {cost: found[cost].base for cost in costs_at(soc, soc.nominal)} == costs_at(soc, soc.nominal)
    assert costs_at(soc, soc.nominal) == costs_at(load_soc(name), load_soc(name).nominal)


@pytest.mark.parametrize("name", CHIPS)
def test_static_rows_are_those_of_the_ledger_under_every_idle_policy(name: str) -> None:
    """The page takes the rows of the options in force: together they are the ledger's, in its order."""
    soc, draw = explicit(load_soc(name)), random.Random(name)
    counted, found = static_times(soc), polynomials(soc)
    for dram in options(soc)["dram"]:
        for memory in options(soc)["sram"]:
            for logic in options(soc)["logic"]:
                ruled = with_idle(with_idle(with_idle(soc, "dram", dram), "sram", memory), "logic", logic)
                ruling = {"dram_background": dram, "sram_leakage": memory, "logic": logic, "always_on": ""}
                service_ps = draw.randrange(10**6, 10**9)
                awake_ps = draw.randrange(service_ps)
                times = FrameTimes(service_ps + draw.randrange(10**9), service_ps, awake_ps, draw.randrange(awake_ps))
                rows = [
                    (row.component, row.action, row.count, row.pj_each)
                    for row in frame_ledger(ruled, soc.nominal, [], {}, times)
                ]
                mine = [
                    (component, action, sum(n * getattr(times, time) for time, n in counts.items()), found[cost].base)
                    for cost, counts in counted.items()
                    for component, action, option in [cost.split("/")]
                    if option.rstrip("+") == ruling[component]
                ]
                assert [row for row in mine if row[2] and row[3]] == rows


@pytest.mark.parametrize("name", CHIPS)
def test_every_energy_that_costs_something_has_a_number_that_turns_it(name: str) -> None:
    found = polynomials(explicit(load_soc(name)))
    assert [cost for cost, each in found.items() if each.base and not each.slopes] == []
    assert all(unit_of(path) is not None for each in found.values() for path in each.slopes)


@pytest.mark.parametrize("name", CHIPS)
def test_what_the_page_refuses_is_what_the_file_refuses(name: str) -> None:
    soc = load_soc(name)
    for low, high in refusals(soc):
        tree = soc.model_dump()
        currents = tree["dram"]["currents"]
        currents[low.rpartition(".")[2]] = currents[high.rpartition(".")[2]] - 1
        with pytest.raises(ValueError, match="must not be below"):
            type(soc.dram).model_validate(tree["dram"])  # type: ignore[union-attr]  # a banked one
    assert len(refusals(soc)) in (0, len(NOT_BELOW))


def test_an_sram_of_the_table_is_written_out_as_the_table_has_it() -> None:
    soc = load_soc("mobile45")
    assert sram.cost(explicit(soc).sram, soc.clock_hz).read_pj == sram.cost(soc.sram, soc.clock_hz).read_pj
    assert numbers(explicit(soc))["sram.read_pj_per_access"] == sram.cost(soc.sram, soc.clock_hz).read_pj
    assert "sram.read_pj_per_access" not in numbers(soc)


def test_two_rows_of_a_dram_that_stands_by_are_told_apart() -> None:
    soc = explicit(load_soc("mobile45"))
    rows = static_rows(soc, soc.nominal, FrameTimes(100, 50, 20, 10))
    assert rows["dram_background/standby/standby"].count == 10
    assert rows["dram_background/standby/standby+"].count == 80


def test_units_say_what_a_number_is() -> None:
    assert unit_of("dram.pj_per_access") == "pJ/access"
    assert unit_of("sram.read_pj_per_access") == "pJ/access"
    assert unit_of("dram.currents.idd0_ma") == "mA"
    assert unit_of("logic.clock_mw") == "mW"
    assert unit_of("dram.timing.tck_ps") is None
    assert unit_of("sram.capacity_kib") is None
    assert {figure.unit for figure in FIGURES.values()} == {"W", "pJ", "h", "s", "", "bytes", "fps"}

"""Which clock and voltage does a chip run at, what do they cost, and are clocks that divide nothing kept to the ps?

The plain chip takes 1024 ns at 1 GHz for 1024 MACs, so 2048 ns at 500 MHz and 4096 ns at 250 MHz.
"""

from typing import Any

import pytest
import yaml

from dcsim.config import parse_spec
from dcsim.errors import ConfigError
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import Engine, simulate
from dcsim.soc.spec import OperatingPoint, SocSpec, load_soc
from tests.builders import PLAIN, STREAM_DECODER, chip, coded, linear, network

ONE = network(linear("fc", 32, 32))
NS = 1000  # ps
ENGINES: list[Engine] = ["event", "analytic"]


def points(*pairs: tuple[int, float]) -> tuple[dict[str, Any], ...]:
    return tuple({"clock_hz": clock_hz, "volts": volts} for clock_hz, volts in pairs)


#: half the voltage at a quarter of the clock, two thirds at half of it, and the nominal point
THREE = points((250_000_000, 0.45), (500_000_000, 0.6), (1_000_000_000, 0.9))


def run(choice: int | str, fps: float = 1000, deadline_s: float | None = None, **changes: Any) -> RunResult:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    soc = chip({"operating_points": THREE, "operating_point": choice} | dotted)
    return simulate(ONE, soc, fps, deadline_s=deadline_s)


# --- what a file may say -------------------------------------------------------------------------------------------


def described(**changes: Any) -> str:
    return yaml.safe_dump(PLAIN | changes, sort_keys=False)


def error(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_spec(SocSpec, text, "own.yaml")
    return str(caught.value)


ORDER = (
    "own.yaml:1: (the file): operating_points must go from slow to fast: each clock above the one before, no voltage "
    "below it; found "
)
SLOW, FAST = (dict(point) for point in points((250_000_000, 0.6), (500_000_000, 0.7)))


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ([FAST, SLOW], "500000000 Hz at 0.7 V before 250000000 Hz at 0.6 V"),
        ([SLOW, SLOW], "250000000 Hz at 0.6 V before 250000000 Hz at 0.6 V"),
        ([SLOW, FAST | {"volts": 0.59}], "250000000 Hz at 0.6 V before 500000000 Hz at 0.59 V"),
        ([SLOW, FAST, FAST | {"volts": 0.8}], "500000000 Hz at 0.7 V before 500000000 Hz at 0.8 V"),
    ],
    ids=["out of order", "twice the same clock", "a voltage that falls", "the same clock at more volts"],
)
def test_operating_points_go_from_slow_to_fast(listed: list[dict[str, Any]], found: str) -> None:
    assert error(described(operating_points=listed)) == ORDER + found


def test_a_faster_point_may_have_the_same_voltage() -> None:
    listed = [SLOW, FAST | {"volts": 0.6}]
    assert len(parse_spec(SocSpec, described(operating_points=listed), "own.yaml").operating_points) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operating_points": [SLOW, FAST], "operating_point": 2}, "operating_point 2: there are 2 points"),
        ({"operating_point": 0}, "operating_point 0: there are 0 points"),
        ({"operating_point": "auto"}, "operating_point auto needs operating_points to choose from"),
        ({"operating_points": [], "operating_point": "auto"}, "operating_point auto needs operating_points to choose"),
    ],
    ids=["past the last", "none at all", "auto without points", "auto with an empty list"],
)
def test_a_point_that_is_not_there_is_refused(changes: dict[str, Any], message: str) -> None:
    assert error(described(**changes)).startswith(f"own.yaml:1: (the file): {message}")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("volts", 0, "operating_points.1.volts: expected greater than 0, found 0"),
        ("clock_hz", -5, "operating_points.1.clock_hz: expected greater than 0, found -5"),
        ("clock_hz", 2.5e8 + 0.5, "operating_points.1.clock_hz: expected a valid integer, found 250000000.5"),
        ("volt", 1.0, "operating_points.1.volt: unknown key; did you mean volts?"),
    ],
)
def test_a_fault_in_a_point_is_named_with_its_line(path: str, value: object, message: str) -> None:
    text = described(operating_points=[SLOW, FAST | {path: value}])
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.strip(" -") == f"{path}: {value}")
    assert f"own.yaml:{line}: {message}" in error(text).splitlines()


@pytest.mark.parametrize("word", [-1, "fastest", 1.5, True])
def test_a_choice_is_nominal_auto_or_a_place_in_the_list(word: object) -> None:
    text = described(operating_points=[SLOW], operating_point=word)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("operating_point:"))
    assert error(text).startswith(f"own.yaml:{line}: operating_point: expected ")


def test_the_nominal_point_is_the_one_of_the_file() -> None:
    soc = parse_spec(SocSpec, described(operating_points=[SLOW, FAST]), "own.yaml")
    assert soc.nominal == OperatingPoint(clock_hz=1_000_000_000, volts=0.9)
    assert simulate(ONE, soc, 1000).operating_point == soc.nominal


# --- which one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choice", "service_ns"), [(0, 4096), (1, 2048), (2, 1024), ("nominal", 1024)])
def test_a_chosen_point_is_the_one_it_runs_at(choice: int | str, service_ns: int) -> None:
    result = run(choice)
    clock_hz, volts = {0: (250_000_000, 0.45), 1: (500_000_000, 0.6)}.get(choice, (1_000_000_000, 0.9))  # type: ignore[call-overload]
    assert (result.clock_hz, result.volts, result.service_ps) == (clock_hz, volts, service_ns * NS)


@pytest.mark.parametrize(
    ("fps", "deadline_s", "clock_hz"),
    [
        (1000, None, 250_000_000),  # all are in time, and a lower voltage costs less
        (1e12 / 4_096_000, None, 250_000_000),  # just in time
        (1e12 / 4_095_000, None, 500_000_000),
        (1000, 4.096e-6, 250_000_000),
        (1000, 4.095e-6, 500_000_000),
        (1000, 1.5e-6, 1_000_000_000),
        (400_000, 1.0, 500_000_000),  # a deadline beyond the next frame does not let frames queue up
        (1e6, None, 1_000_000_000),  # none keeps up: the fastest
        (1000, 1e-6, 1_000_000_000),  # none is in time: the fastest
    ],
)
def test_auto_takes_the_most_frugal_point_that_is_in_time(fps: float, deadline_s: float | None, clock_hz: int) -> None:
    result = run("auto", fps, deadline_s)
    assert result.clock_hz == clock_hz
    place = [point["clock_hz"] for point in THREE].index(clock_hz)
    assert result == run(place, fps, deadline_s)


def test_where_leakage_is_most_of_the_energy_the_fastest_point_is_the_most_frugal() -> None:
    # A nominal watt of leakage, off between frames: 0.5 W for 4096 ns, 2/3 W for 2048 ns or 1 W for 1024 ns, that is
    # 2048, 1365 and 1024 nJ. The 17 nJ of SRAM and MACs do not change that, DRAM is the same.
    leaky = {"logic": {"clock_mw": 0.0, "leakage_mw": 1000.0}, "idle__logic": "power_gate"}
    energies = [run(place, **leaky).energy_pj_by_component["logic"] for place in range(3)]
    assert energies == pytest.approx([2_048_000, 1_365_333.3, 1_024_000])
    assert run("auto", **leaky).clock_hz == 1_000_000_000


def test_auto_does_not_take_the_nominal_point_unless_it_is_listed() -> None:
    soc = chip({"operating_points": THREE[:2], "operating_point": "auto"})
    assert simulate(ONE, soc, fps=1e6).clock_hz == 500_000_000


def test_of_points_that_cost_the_same_auto_takes_the_slowest() -> None:
    same_volts = points((250_000_000, 0.9), (1_000_000_000, 0.9))
    soc = chip({"operating_points": same_volts, "operating_point": "auto"})
    assert simulate(ONE, soc, fps=1000).clock_hz == 250_000_000


@pytest.mark.parametrize("engine", ENGINES)
def test_both_engines_take_the_same_point(engine: Engine) -> None:
    soc = chip({"operating_points": THREE, "operating_point": "auto"})
    chosen = [simulate(ONE, soc, fps, engine=engine).clock_hz for fps in (1000, 400_000, 900_000, 2e6)]
    assert chosen == [250_000_000, 500_000_000, 1_000_000_000, 1_000_000_000]


# --- what it costs -------------------------------------------------------------------------------------------------

#: 1024 codes and gaps, expanded tile by tile: all of DRAM, SRAM, decoder and array have something to do
PACKED = network(linear("fc", 32, 32, encoding="shared", blocks=coded(1024, 4, 4)))
BUSY: dict[str, Any] = {
    "operating_points": points((250_000_000, 0.45), (1_000_000_000, 0.9)),
    "sram.capacity_kib": 8,
    "sram.leakage_mw": 2.0,
    "always_on_mw": 1.0,
    "logic": {"clock_mw": 8.0, "leakage_mw": 0.5},
    "idle.sram": "off",
    "idle.logic": "power_gate",
    "decoder": STREAM_DECODER,
    "array.register_accesses_per_mac": 2,
    "array.pj_per_register_access": 1.0,
    "dram": load_soc("mobile45").dram.model_dump(),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_logic_and_sram_cost_the_square_of_the_voltage_and_the_dram_what_it_did(engine: Engine) -> None:
    low, nominal = (
        simulate(PACKED, chip(BUSY | {"operating_point": choice}), fps=1000, engine=engine) for choice in (0, "nominal")
    )
    assert [(row.layer, row.component, row.action, row.unit) for row in low.ledger] == [
        (row.layer, row.component, row.action, row.unit) for row in nominal.ledger
    ]
    for at_low, at_nominal in zip(low.ledger, nominal.ledger, strict=True):
        ratio = at_low.pj_each / at_nominal.pj_each
        expected = {
            "sram": 1 / 4,
            "decoder": 1 / 4,
            "array": 1 / 4,
            "sram_leakage": 1 / 2,
            "logic": {"clock": 1 / 16, "leakage": 1 / 2}.get(at_low.action),
        }.get(at_low.component, 1)
        assert ratio == pytest.approx(expected, rel=1e-12), at_low
        if at_low.unit != "ps":
            assert at_low.count == at_nominal.count
    assert {row.component for row in low.ledger} >= {"dram", "dram_io", "sram", "decoder", "array", "logic"}


def test_what_leaks_does_so_for_as_long_as_the_frame_takes_at_that_clock() -> None:
    # sleeping SRAM and logic: 2 mW and 0.5 mW at half of it, over the service time of that point
    low = simulate(PACKED, chip(BUSY | {"operating_point": 0}), fps=1000)
    nominal = simulate(PACKED, chip(BUSY), fps=1000)
    assert low.service_ps > 3 * nominal.service_ps
    for result, share in ((low, 0.5), (nominal, 1.0)):
        energies = result.energy_pj_by_component
        assert energies["sram_leakage"] == pytest.approx(0.002 * share * result.service_ps)
        assert energies["always_on"] == pytest.approx(0.001 * 10**9)
    assert low.energy_pj_by_component["logic"] == pytest.approx((0.008 / 16 + 0.0005 / 2) * low.service_ps)


def test_the_sram_is_as_many_cycles_slow_at_a_lower_clock() -> None:
    # CACTI, 16 KiB, 32 bits, low standby power: 1.1 ns, an access every two cycles at 1 GHz; 2048 reads and 32 writes
    sram = {"kind": "cacti45", "capacity_kib": 16, "access_width_bits": 32, "cell": "low-standby-power", "n_banks": 1}
    found = [run(choice, sram=sram).service_ps for choice in (0, 1, 2)]
    assert found == [4 * 4160 * NS, 2 * 4160 * NS, 4160 * NS]


def test_the_dram_keeps_its_own_clock() -> None:
    # four tiles of 128 ns at 8e9 bytes per s whatever the array does; the first one shows
    assert [run(choice, dram__bandwidth_bytes_per_s=8e9).service_ps for choice in (0, 1, 2)] == [
        *((128 + 4096) * NS, (128 + 2048) * NS, (128 + 1024) * NS)
    ]


# --- clocks that divide nothing ------------------------------------------------------------------------------------

ODD_HZ = [333_333_333, 700_000_000, 999_999_937, 266_666_667, 48_000_001]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("clock_hz", ODD_HZ)
def test_cycles_become_time_once_beside_a_dram_of_another_clock(clock_hz: int, engine: Engine) -> None:
    # One tile of 1 KiB from LPDDR3 at 1250 ps: 258750 ps to wake up and open a row, and 32 bursts of 4 cycles in the
    # 149 / 156 of the time that refresh leaves, 167517 ps (see test_replay). Then 4096 x 256 MACs, one a cycle.
    trace = network(linear("fc", 16, 16, m=4096))
    changes = {
        "clock_hz": clock_hz,
        "sram.capacity_kib": 1024,
        "idle.sram": "off",
        "idle.dram": "self_refresh",
        "dram": load_soc("mobile45").dram.model_dump(),
    }
    n_cycles = 4096 * 256
    compute_ps = (2 * n_cycles * 10**12 + clock_hz) // (2 * clock_hz)  # rounded, in whole numbers
    assert compute_ps != n_cycles * round(1e12 / clock_hz)  # a rounded cycle would show
    result = simulate(trace, chip(changes), fps=1, engine=engine)
    assert result.service_ps == 258_750 + 167_517 + compute_ps


@pytest.mark.parametrize("clock_hz", ODD_HZ)
def test_cycles_of_the_decoder_become_time_once(clock_hz: int) -> None:
    # one tile, two lanes: 30000 codes a lane, one a cycle; then 8 outputs of 32 columns
    packed = network(linear("fc", 32, 8, encoding="shared", blocks=coded(30_000, 1, 1)))
    soc = chip({"clock_hz": clock_hz, "decoder": STREAM_DECODER, "sram.capacity_kib": 64, "idle.sram": "on"})
    result = simulate(packed, soc, fps=1)
    assert result.service_ps == round(30_000 * 1e12 / clock_hz) + round(256 * 1e12 / clock_hz)

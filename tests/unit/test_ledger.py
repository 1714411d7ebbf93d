"""Does the ledger add up, and does frame_ledger price each event and each state?"""

import pytest

from dcsim.simulation.energy import FrameTimes, frame_ledger
from dcsim.soc.ledger import COMPONENTS, LedgerRow, by_component_pj, total_pj
from dcsim.soc.spec import OperatingPoint
from tests.builders import STREAM_DECODER, chip, shipped_chip

ROWS = [
    LedgerRow("fc1", "dram", "read", "access", 100, 640.0),
    LedgerRow("fc1", "array", "mac", "op", 1000, 4.6),
    LedgerRow("fc2", "array", "mac", "op", 10, 4.6),
    LedgerRow("(soc)", "sram_leakage", "leakage", "ps", 2_000_000, 0.004),
]


def priced(rows: tuple[LedgerRow, ...]) -> dict[tuple[str, str], float]:
    return {(row.component, row.action): row.pj_each for row in rows}


AN_INSTANT = FrameTimes(period_ps=1, service_ps=0, dram_awake_ps=0, dram_active_ps=0)


def static(
    soc_changes: dict[str, object], period_ps: int, dram_awake_ps: int = 0, dram_active_ps: int = 0, service_ps: int = 0
) -> dict[str, tuple[int, float]]:
    soc = shipped_chip("mobile45", soc_changes)
    rows = frame_ledger(soc, soc.nominal, [], {}, FrameTimes(period_ps, service_ps, dram_awake_ps, dram_active_ps))
    return {row.action: (row.count, row.pj_each) for row in rows}


def test_a_row_is_count_times_energy_each() -> None:
    assert ROWS[0].energy_pj == 64_000
    assert ROWS[3].energy_pj == 8_000  # 2 us x 4 mW = 8 nJ


def test_total_is_the_sum_of_the_rows() -> None:
    assert total_pj(ROWS) == 64_000 + 4_600 + 46 + 8_000
    assert total_pj([]) == 0


def test_every_component_has_a_sum() -> None:
    sums = by_component_pj(ROWS)
    assert tuple(sums) == COMPONENTS
    assert {name: pj for name, pj in sums.items() if pj} == {"dram": 64_000, "array": 4_646, "sram_leakage": 8_000}


def test_every_event_has_the_price_of_the_description() -> None:
    soc = chip(
        {
            "decoder": STREAM_DECODER,
            "array.register_accesses_per_mac": 2,
            "array.pj_per_register_access": 1.0,
        }
    )
    prices = {
        ("dram", "read"): 640.0,
        ("dram", "write"): 640.0,
        ("sram", "read"): 5.0,
        ("sram", "write"): 6.0,
        ("decoder", "entropy_symbol"): 2.5,
        ("decoder", "lookup"): 0.35,
        ("decoder", "gap"): 0.1,
        ("array", "mac"): 4.6,
        ("array", "alu"): 0.9,
        ("array", "register"): 1.0,
    }
    counts = {(0, component, action): 7 for component, action in prices}
    rows = frame_ledger(soc, soc.nominal, ["fc1"], counts, AN_INSTANT)
    assert priced(rows) == prices
    assert {(row.layer, row.count) for row in rows} == {("fc1", 7)}


def test_events_that_did_not_happen_have_no_row() -> None:
    rows = frame_ledger(chip(), chip().nominal, ["fc1"], {(0, "array", "mac"): 0}, AN_INSTANT)
    assert rows == ()


def test_rows_follow_layers_then_components() -> None:
    counts = {(1, "dram", "read"): 1, (0, "array", "mac"): 1, (0, "sram", "read"): 1, (0, "dram", "read"): 1}
    rows = frame_ledger(chip(), chip().nominal, ["a", "b"], counts, AN_INSTANT)
    assert [(row.layer, row.component) for row in rows] == [
        ("a", "dram"),
        ("a", "sram"),
        ("a", "array"),
        ("b", "dram"),
    ]


def test_background_follows_the_states_of_the_dram() -> None:
    # 1 ms, awake 200 us of it, the channel taken for 150 us; LPDDR3 in self-refresh outside of that
    found = static({}, period_ps=10**9, dram_awake_ps=2 * 10**8, dram_active_ps=15 * 10**7)
    assert found["active"] == (150_000_000, pytest.approx(0.0444))
    assert found["standby"] == (50_000_000, pytest.approx(0.033032))
    assert found["refresh"] == (200_000_000, pytest.approx(0.0062))
    assert found["self_refresh"] == (800_000_000, pytest.approx(0.00306))
    assert "idle_refresh" not in found


def test_standby_pays_its_refresh_also_while_idle() -> None:
    found = static({"idle.dram": "standby"}, period_ps=10**9, dram_awake_ps=0, dram_active_ps=0)
    assert found["idle_refresh"] == (1_000_000_000, pytest.approx(0.0062))  # 24180 pJ every 3120 x 1250 ps


def test_leakage_and_always_on_last_the_whole_period() -> None:
    found = static({}, period_ps=10**9, service_ps=4 * 10**8)
    assert found["leakage"] == (400_000_000, pytest.approx(0.00419623))  # 4.19623 mW: CACTI, 512 KiB
    assert found["idle_on"] == (600_000_000, pytest.approx(0.00419623))
    assert found["always_on"] == (1_000_000_000, pytest.approx(0.001))


@pytest.mark.parametrize(("idle", "expected_watts"), [("retain", 0.00419623 / 4), ("off", None)])
def test_sram_that_retains_or_is_off_leaks_less_between_frames(idle: str, expected_watts: float | None) -> None:
    changes: dict[str, object] = {"idle.sram": idle, "sram.retention_leakage_ratio": 0.25}
    found = static(changes, period_ps=10**9, service_ps=4 * 10**8)
    assert found["leakage"][0] == 400_000_000
    if expected_watts is None:
        assert "idle_off" not in found
    else:
        assert found["idle_retain"] == (600_000_000, pytest.approx(expected_watts))


@pytest.mark.parametrize(
    ("idle", "clocked_us", "powered_us"), [("run", 1000, 1000), ("clock_gate", 400, 1000), ("power_gate", 400, 400)]
)
def test_logic_pays_for_its_clock_and_leakage_as_the_idle_policy_says(
    idle: str, clocked_us: int, powered_us: int
) -> None:
    soc = chip({"logic": {"clock_mw": 7.0, "leakage_mw": 0.5}, "idle.logic": idle})
    rows = frame_ledger(soc, soc.nominal, [], {}, FrameTimes(10**9, 4 * 10**8, 0, 0))
    assert {row.action: (row.count, row.pj_each) for row in rows} == {
        "clock": (clocked_us * 10**6, pytest.approx(0.007)),
        "leakage": (powered_us * 10**6, pytest.approx(0.0005)),
    }


def test_a_lower_point_costs_less_by_the_square_of_its_voltage_but_not_in_the_dram() -> None:
    soc = chip({"logic": {"clock_mw": 8.0, "leakage_mw": 0.5}, "always_on_mw": 1.0, "sram.leakage_mw": 2.0})
    point = OperatingPoint(clock_hz=soc.clock_hz // 4, volts=0.45)  # half the voltage, a quarter of the clock
    counts = {(0, "dram", "read"): 1, (0, "sram", "read"): 1, (0, "array", "mac"): 1}
    rows = frame_ledger(soc, point, ["fc1"], counts, FrameTimes(100, 100, 0, 0))
    assert {(row.component, row.action): row.pj_each for row in rows} == pytest.approx(
        {
            ("dram", "read"): 640.0,
            ("sram", "read"): 5.0 / 4,
            ("array", "mac"): 4.6 / 4,
            ("sram_leakage", "leakage"): 0.001,
            ("logic", "clock"): 0.0005,  # 8 mW / 4 / 4
            ("logic", "leakage"): 0.00025,
            ("always_on", "always_on"): 0.001,
        }
    )

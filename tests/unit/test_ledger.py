"""Does the ledger add up, and does frame_ledger price each event and each state?"""

import pytest

from dcsim.simulation.energy import frame_ledger
from dcsim.soc.ledger import COMPONENTS, LedgerRow, by_component_pj, total_pj
from tests.builders import STREAM_DECODER, chip, shipped_chip

ROWS = [
    LedgerRow("fc1", "dram", "read", "access", 100, 640.0),
    LedgerRow("fc1", "array", "mac", "op", 1000, 4.6),
    LedgerRow("fc2", "array", "mac", "op", 10, 4.6),
    LedgerRow("(soc)", "sram_leakage", "leakage", "ps", 2_000_000, 0.004),
]


def priced(rows: tuple[LedgerRow, ...]) -> dict[tuple[str, str], float]:
    return {(row.component, row.action): row.pj_each for row in rows}


def static(soc_changes: dict[str, object], **times_ps: int) -> dict[str, tuple[int, float]]:
    rows = frame_ledger(shipped_chip("mobile45", soc_changes), [], {}, **times_ps)
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
    rows = frame_ledger(soc, ["fc1"], counts, period_ps=1, dram_awake_ps=0, dram_active_ps=0)
    assert priced(rows) == prices
    assert {(row.layer, row.count) for row in rows} == {("fc1", 7)}


def test_events_that_did_not_happen_have_no_row() -> None:
    rows = frame_ledger(chip(), ["fc1"], {(0, "array", "mac"): 0}, period_ps=1, dram_awake_ps=0, dram_active_ps=0)
    assert rows == ()


def test_rows_follow_layers_then_components() -> None:
    counts = {(1, "dram", "read"): 1, (0, "array", "mac"): 1, (0, "sram", "read"): 1, (0, "dram", "read"): 1}
    rows = frame_ledger(chip(), ["a", "b"], counts, period_ps=1, dram_awake_ps=0, dram_active_ps=0)
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
    found = static({"dram.idle": "standby"}, period_ps=10**9, dram_awake_ps=0, dram_active_ps=0)
    assert found["idle_refresh"] == (1_000_000_000, pytest.approx(0.0062))  # 24180 pJ every 3120 x 1250 ps


def test_leakage_and_always_on_last_the_whole_period() -> None:
    found = static({}, period_ps=10**9, dram_awake_ps=0, dram_active_ps=0)
    assert found["leakage"] == (1_000_000_000, pytest.approx(0.00419623))  # 4.19623 mW: CACTI, 512 KiB
    assert found["always_on"] == (1_000_000_000, pytest.approx(0.001))

"""Does soc/sram.py read CACTI's table rightly, and stay between its points elsewhere?"""

import csv
from itertools import groupby, pairwise

import pytest

from dcsim.config import parse_spec, shipped
from dcsim.errors import ConfigError
from dcsim.soc import sram, sram_table
from dcsim.soc.spec import SocSpec, load_soc
from tests.builders import chip

NAMES = {table: name for name, table in sram_table.CELLS.items()}
with sram_table.TABLE.open(newline="") as stream:
    ROWS = [row for row in csv.DictReader(stream) if row["banks"] == "1"]
#: sizes that lie between two neighbouring rows of the same cell and width
NEIGHBOURS = [
    pair
    for _, group in groupby(
        sorted(ROWS, key=lambda row: (row["cell"], int(row["width_bits"]), int(row["size_KB"]))),
        key=lambda row: (row["cell"], row["width_bits"]),
    )
    for pair in pairwise(group)
]
GHZ = 1_000_000_000


def cacti(capacity_kib: int, access_width_bits: int, cell: str, **more: object) -> sram.Sram:
    return chip(
        {
            "sram": {
                "kind": "cacti45",
                "capacity_kib": capacity_kib,
                "access_width_bits": access_width_bits,
                "cell": cell,
                "n_banks": 1,
                **more,
            }
        }
    ).sram


def of_row(row: dict[str, str], capacity_kib: int) -> sram.SramCost:
    return sram.cost(cacti(capacity_kib, int(row["width_bits"]), NAMES[row["cell"]]), GHZ)


def test_the_table_has_every_size_of_every_cell_and_width() -> None:
    assert len(ROWS) == 3 * 3 * 11  # three cells, three widths, 8 KiB to 8 MiB


@pytest.mark.parametrize(
    ("capacity_kib", "access_width_bits", "cell", "read_pj", "write_pj", "leakage_mw"),
    [
        (512, 128, "low-operating-power", 44.2359, 34.2234, 4.19623),
        (8, 32, "low-operating-power", 2.8106, 2.0036, 0.08089),
        (8192, 64, "low-standby-power", 254.905, 221.236, 0.565669),
        (1024, 64, "high-performance", 67.6875, 55.8938, 736.758),
    ],
)
def test_a_size_of_the_table_costs_what_the_table_says(
    capacity_kib: int, access_width_bits: int, cell: str, read_pj: float, write_pj: float, leakage_mw: float
) -> None:
    cost = sram.cost(cacti(capacity_kib, access_width_bits, cell), GHZ)
    assert cost.read_pj == pytest.approx(read_pj, rel=1e-12)
    assert cost.write_pj == pytest.approx(write_pj, rel=1e-12)
    assert cost.leakage_watts == pytest.approx(leakage_mw / 1000, rel=1e-12)


def test_every_point_of_the_table_is_met() -> None:
    for row in ROWS:
        cost = of_row(row, int(row["size_KB"]))
        assert cost.read_pj == pytest.approx(float(row["rd_pJ"]), rel=1e-12)
        assert cost.write_pj == pytest.approx(float(row["wr_pJ"]), rel=1e-12)


def test_read_energy_and_leakage_between_two_sizes_lie_between_theirs_and_rise() -> None:
    for low, high in NEIGHBOURS:
        size, next_size = int(low["size_KB"]), int(high["size_KB"])
        costs = [of_row(low, size + (next_size - size) * eighth // 8) for eighth in range(9)]
        for cost, next_cost in pairwise(costs):
            assert cost.read_pj < next_cost.read_pj
            assert cost.leakage_watts < next_cost.leakage_watts
        assert costs[0].read_pj == pytest.approx(float(low["rd_pJ"]))
        assert costs[-1].read_pj == pytest.approx(float(high["rd_pJ"]))


def test_interpolation_is_log_log() -> None:
    # 724 is 512 x 2**0.5 to 1e-4, so its energy is the geometric mean: sqrt(44.2359 x 62.0691) = 52.3989
    assert sram.cost(cacti(724, 128, "low-operating-power"), GHZ).read_pj == pytest.approx(52.3989, rel=1e-4)


@pytest.mark.parametrize(
    ("clock_hz", "expected_cycles"),
    [
        # 512 KiB, 128 bit, low operating power: a cycle of 2.57679 ns, 2577 ps, is 1 / 388.05 MHz
        (350_000_000, 1),
        (388_000_000, 1),
        (389_000_000, 2),
        (776_000_000, 2),
        (777_000_000, 3),
    ],
)
def test_port_is_busy_for_whole_clock_cycles_that_cover_its_own(clock_hz: int, expected_cycles: int) -> None:
    assert sram.cost(cacti(512, 128, "low-operating-power"), clock_hz).cycles_per_access == expected_cycles


def test_constant_sram_takes_no_time_and_leaks_nothing() -> None:
    assert sram.cost(load_soc("paper45").sram, GHZ) == sram.SramCost(5, 5, 0, 0)


def test_accesses_are_full_width_and_round_up() -> None:
    wide = cacti(512, 128, "low-operating-power")
    assert [sram.n_accesses(wide, n_bits) for n_bits in (0, 1, 128, 129)] == [0, 1, 1, 2]
    assert sram.capacity_bytes(wide) == 524_288


@pytest.mark.parametrize("capacity_kib", [7, 8193])
def test_a_size_outside_the_table_is_refused_with_file_and_line(capacity_kib: int) -> None:
    text = (shipped("configs") / "soc" / "mobile45.yaml").read_text()
    altered = text.replace("capacity_kib: 512\n", f"capacity_kib: {capacity_kib}\n")
    line = altered.splitlines().index("sram:") + 1
    with pytest.raises(
        ConfigError,
        match=rf"^own\.yaml:{line}: sram: capacity_kib: expected 8 to 8192, .*found {capacity_kib}; .*extrapolate",
    ):
        parse_spec(SocSpec, altered, "own.yaml")


def test_outside_the_table_figures_go_on_at_its_last_slope_if_asked_to() -> None:
    # 62.1454 / 45.7054 from 4096 to 8192 KiB of 32-bit low-operating-power cells, so as much again to 16384
    wide = sram.cost(cacti(16384, 32, "low-operating-power", outside_table="extrapolate"), GHZ)
    assert wide.read_pj == pytest.approx(62.1454**2 / 45.7054, rel=1e-9)
    small = sram.cost(cacti(4, 32, "low-operating-power", outside_table="extrapolate"), GHZ)
    assert small.read_pj == pytest.approx(2.8106**2 / 5.3986, rel=1e-9)


def test_more_banks_are_looked_up_where_the_table_has_them() -> None:
    assert sram.cost(cacti(1024, 64, "low-standby-power", n_banks=16), GHZ).read_pj == 80.3143


@pytest.mark.parametrize(
    ("capacity_kib", "n_banks", "found"),
    [(512, 16, "1024 KiB, 2048 KiB"), (1024, 2, "none"), (512, 8, "256 KiB, 1024 KiB")],
)
def test_other_banks_are_refused(capacity_kib: int, n_banks: int, found: str) -> None:
    with pytest.raises(ValueError, match=f"n_banks {n_banks}: the table has {found} of this cell and width"):
        cacti(capacity_kib, 64, "low-standby-power", n_banks=n_banks)


def test_between_frames_it_leaks_as_the_idle_policy_says() -> None:
    kept = cacti(512, 64, "low-standby-power", retention_leakage_ratio=0.25)
    assert [sram.idle_leakage_ratio(kept, idle) for idle in ("on", "retain", "off")] == [1.0, 0.25, 0.0]


def test_figures_that_are_given_replace_those_of_the_table() -> None:
    described = load_soc("mobile45").sram
    given = described.model_copy(update={"read_pj_per_access": 11.0, "leakage_mw": 3.0})
    table, own = sram.cost(described, GHZ), sram.cost(given, GHZ)
    assert (own.read_pj, own.write_pj, own.leakage_watts) == (11.0, table.write_pj, 0.003)
    assert own.cycles_per_access == table.cycles_per_access

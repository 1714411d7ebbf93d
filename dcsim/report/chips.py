"""A chip as people read it: every number of its YAML with its source, and what follows from them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table

from dcsim.report.tables import quantity
from dcsim.soc import dram, pe_array, sram
from dcsim.soc.spec import ConstantSram, SocSpec
from dcsim.units import PJ_PER_J, PS_PER_S, bytes_to_bits, cycles_to_ps, ps_to_s

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[str, str, str]


def soc_table(soc: SocSpec) -> Table:
    """Every number of a chip with its source."""
    table = _table(f"{soc.name}: {soc.description}", ("key", "value", "source"))
    for path, value in soc.leaves().items():
        if path not in ("name", "description"):
            table.add_row(path, _as_in_yaml(value), soc.source_of(path) or "")
    return table


def derived_table(soc: SocSpec) -> Table:
    """What follows from those numbers: time and energy of an access, peak rates, at the nominal clock and voltage."""
    table = _table("what follows, at the nominal clock and voltage", ("", "value", ""))
    for row in (*_sram(soc), *_dram(soc), *_array(soc)):
        table.add_row(*row)
    return table


def _table(title: str, names: "Sequence[str]") -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2))
    first, value, last = names
    table.add_column(first, no_wrap=True)
    table.add_column(value, justify="right", no_wrap=True)
    table.add_column(last)
    return table


def _as_in_yaml(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def _joules(energy_pj: float) -> str:
    return quantity(energy_pj / PJ_PER_J, "J")


def _sram(soc: SocSpec) -> Iterator[Row]:
    cost, width = sram.cost(soc.sram, soc.clock_hz), f"{soc.sram.access_width_bits} bits"
    if isinstance(soc.sram, ConstantSram):
        yield "SRAM access", "no time", "any number at once"
    else:
        access_ps, cycle_ps = sram.access_ps(soc.sram), cycles_to_ps(1, soc.clock_hz)
        cycle = f"{_cycles(cost.cycles_per_access)} of {quantity(ps_to_s(cycle_ps), 's', 4)}"
        faster = f"; up to {quantity(PS_PER_S / access_ps, 'Hz')} it would be one" if cost.cycles_per_access > 1 else ""
        yield "SRAM access", quantity(ps_to_s(access_ps), "s", 4), f"takes {cycle}{faster}"
    yield "SRAM read", _joules(cost.read_pj), width
    yield "SRAM write", _joules(cost.write_pj), width
    yield "SRAM leakage", quantity(cost.leakage_watts, "W"), "while it is on"


def _cycles(n: int) -> str:
    return f"{n} cycle{'s' if n > 1 else ''}"


def _dram(soc: SocSpec) -> Iterator[Row]:
    n_bytes = dram.access_bytes(soc.dram)
    if not n_bytes:
        return
    pj, peak = dram.energies(soc.dram), dram.peak_bytes_per_s(soc.dram)
    yield "DRAM read", _joules(pj.read_pj), f"{n_bytes} bytes, {pj.read_pj / bytes_to_bits(n_bytes):.3g} pJ a bit"
    yield "DRAM write", _joules(pj.write_pj), f"{n_bytes} bytes"
    if pj.activate_pj:
        yield "DRAM activation", _joules(pj.activate_pj), "opening and closing a row"
    if pj.io_pj:
        yield "DRAM I/O", _joules(pj.io_pj), f"{n_bytes} bytes, besides the energy of the device"
    note = "while bursts follow each other, all channels together"
    yield "DRAM bandwidth", "no limit" if peak is None else quantity(peak, "B/s"), "" if peak is None else note


def _array(soc: SocSpec) -> Iterator[Row]:
    n = pe_array.peak_macs_per_cycle(soc.array)
    yield "array", quantity(n * soc.clock_hz, "MAC/s"), f"at most, {n:,} a cycle"
    yield "MAC", _joules(soc.array.mac_pj), soc.array.mac_format

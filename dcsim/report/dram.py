"""The DRAM replay of an address trace as people and programs read it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from dcsim import __version__
from dcsim.report.tables import percent, quantity
from dcsim.units import PJ_PER_J, ps_to_s

if TYPE_CHECKING:
    from dcsim.soc.dram_controller import DramReplay

SCHEMA_VERSION = 1
WAITING = "for more than 8 of them and nothing else to do; neither moved nor paid yet"


def dram_document(replay: "DramReplay", soc: str, n_outstanding: int | None, idle: str | None) -> dict[str, Any]:
    """A replay as plain values: what `dcsim dram --json` writes."""
    return {
        "schema": SCHEMA_VERSION,
        "dcsim_version": __version__,
        "soc": soc,
        "n_outstanding": n_outstanding,
        "idle": idle,
        "energy_pj": replay.energy_pj,
        **asdict(replay),
    }


def dram_table(replay: "DramReplay", soc: str) -> Table:
    """One row per figure of a replay."""
    requests = "1 request" if replay.n_requests == 1 else f"{replay.n_requests:,} requests"
    table = Table(
        title=f"DRAM of {soc}: {requests}, each for the burst that holds its address",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2),
    )
    for name in ("", "found", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for name, found, note in [*_traffic(replay), *_commands(replay), *_states(replay), *_energies(replay)]:
        table.add_row(name, found, note)
    return table


Rows = list[tuple[str, str, str]]


def _traffic(replay: "DramReplay") -> Rows:
    latency_cycles = replay.mean_read_latency_cycles
    n_joined = replay.n_merged_reads + replay.n_merged_writes
    rows = [
        ("cycles", f"{replay.cycles:,}", _time(replay, replay.cycles)),
        ("bandwidth", quantity(replay.bandwidth_bytes_per_s, "B/s"), "bursts that moved, over all cycles"),
        ("mean read latency", f"{latency_cycles:,.2f} cycles", _time(replay, latency_cycles)),
        ("reads", f"{replay.n_reads:,}", "bursts"),
        ("writes", f"{replay.n_writes:,}", "bursts"),
    ]
    optional = [
        ("requests that joined another", n_joined, "for the same burst while it waited"),
        ("reads answered by a waiting write", replay.n_forwarded_reads, ""),
        ("writes that still wait", replay.n_waiting_writes, WAITING),
        ("addresses past the capacity", replay.n_outside, "they wrap around"),
    ]
    return rows + [(name, f"{count:,}", note) for name, count, note in optional if count]


def _commands(replay: "DramReplay") -> Rows:
    n_accesses = replay.n_reads + replay.n_writes

    def share(count: int) -> str:
        return percent(count / n_accesses if n_accesses else None)

    return [
        ("row hits", f"{replay.n_row_hits:,}", share(replay.n_row_hits)),
        ("row misses", f"{replay.n_row_misses:,}", f"{share(replay.n_row_misses)}, the bank was closed"),
        ("row conflicts", f"{replay.n_row_conflicts:,}", f"{share(replay.n_row_conflicts)}, another row was open"),
        ("activations", f"{replay.n_activates:,}", ""),
        ("precharges", f"{replay.n_precharges:,}", ""),
        ("refreshes", f"{replay.n_refreshes:,}", ""),
    ]


def _states(replay: "DramReplay") -> Rows:
    states = [
        ("active cycles", replay.active_cycles, "a row is open"),
        ("idle cycles", replay.idle_cycles, "all banks closed, refreshes included"),
        ("power-down cycles", replay.power_down_cycles, ""),
        ("self-refresh cycles", replay.self_refresh_cycles, ""),
    ]
    n_all = sum(n_cycles for _, n_cycles, _ in states)
    return [
        (name, f"{n_cycles:,}", ", ".join(word for word in (percent(n_cycles / n_all), note) if word))
        for name, n_cycles, note in states
        if n_cycles or note
    ]


def _energies(replay: "DramReplay") -> Rows:
    kinds = [
        (f"energy, {kind.replace('_', ' ')}", _joules(energy_pj), percent(energy_pj / replay.energy_pj))
        for kind, energy_pj in replay.energy_pj_by_kind.items()
        if energy_pj
    ]
    return [
        ("energy of the device", _joules(replay.energy_pj), ""),
        *kinds,
        ("energy of I/O and PHYs", _joules(replay.io_energy_pj), "not in the energy of the device"),
    ]


def _joules(energy_pj: float) -> str:
    return quantity(energy_pj / PJ_PER_J, "J")


def _time(replay: "DramReplay", n_cycles: float) -> str:
    return quantity(ps_to_s(n_cycles * replay.tck_ps), "s")

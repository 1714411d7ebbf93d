"""The arithmetic that everyone checks first: 12.8 W, energies of one event at 45 nm, cache reads, systolic cycles."""

from dcsim.run import run
from dcsim.simulation.result import RunResult
from dcsim.soc import dram, sram, sram_table
from dcsim.soc.pe_array import event_energies_pj
from dcsim.soc.spec import CactiSram, load_soc
from dcsim.validation.comparison import Comparison, reference_rows
from dcsim.validation.systolic import systolic_table

BILLION = "Deep Compression, section 1: a billion connections, 20 Hz, 640 pJ each"
EVENTS = "Han et al., NIPS 2015, Figure 1: one event on paper45"
CACHES = "45 nm: reads of CACTI's SRAM"
DRAM_WATTS = 12.8  # (20 Hz) (1 G) (640 pJ)
FPS = 20
CLOCK_HZ = 800_000_000
#: CACTI's table is of the array alone at 330 K, so a factor of two is what can be asked
CACHE_TOLERANCE = 0.5
SMALL_KIB, SMALL_TOLERANCE = 8, 0.10
#: low-operating-power cells run at a lower voltage and are up to 3.2 times cheaper than Horowitz
LOW_VOLTAGE = "low-operating-power"


def seed_table() -> tuple[Comparison, ...]:
    """All of them."""
    return (*billion_table(), *events_table(), *caches_table(), *systolic_table())


def billion_connections() -> RunResult:
    """A dense network of a billion connections at 20 frames a second on the literature's chip."""
    (result,) = run("one-billion", "paper45", FPS, variants=("dense",)).results
    return result


def billion_table() -> tuple[Comparison, ...]:
    """Power for DRAM access alone, exactly."""
    found_watts = billion_connections().component_watts("dram")
    return (Comparison(BILLION, "one-billion on paper45", "DRAM power", "W", DRAM_WATTS, found_watts, 0.0),)


def events_table() -> tuple[Comparison, ...]:
    """Energy of a 32-bit add, SRAM access and DRAM access, exactly."""
    chip = load_soc("paper45")
    found_pj = {
        "fp32 add": event_energies_pj(chip.array)["alu"][1],
        "SRAM access": sram.cost(chip.sram, CLOCK_HZ).read_pj,
        "DRAM access": dram.energies(chip.dram).read_pj,
    }
    printed_pj = {row["operation"]: float(row["energy_pj"]) for row in _energies("Han")}
    return tuple(
        Comparison(EVENTS, operation, "energy of 32 bits", "pJ", pj, found_pj[operation], 0.0)
        for operation, pj in printed_pj.items()
    )


def caches_table() -> tuple[Comparison, ...]:
    """Reads by size and cell: of 64 bits beside Horowitz's, of 32 bits beside the 5 pJ of paper45."""
    small_pj = sram.cost(load_soc("paper45").sram, CLOCK_HZ).read_pj
    rows = []
    for cell in sram_table.CELLS:
        for printed in _energies("Horowitz"):
            size, source = (int(printed["capacity_kib"]), int(printed["bits"])), "Horowitz, ISSCC 2014"
            rows.append(_cache(cell, *size, float(printed["energy_pj"]), CACHE_TOLERANCE, source))
        rows.append(_cache(cell, SMALL_KIB, 32, small_pj, SMALL_TOLERANCE, "the 5 pJ of paper45"))
    return tuple(rows)


def _cache(
    cell: str, capacity_kib: int, width_bits: int, reference_pj: float, tolerance: float | None, source: str
) -> Comparison:
    name, found_pj = f"{capacity_kib} KiB, {cell}", read_pj(capacity_kib, width_bits, cell)
    if cell == LOW_VOLTAGE:
        tolerance, source = None, f"{source}; these cells run at a lower voltage"
    return Comparison(CACHES, name, f"energy of {width_bits} bits", "pJ", reference_pj, found_pj, tolerance, source)


def read_pj(capacity_kib: int, access_width_bits: int, cell: str) -> float:
    """Energy of a read by CACTI's table [pJ]."""
    described = {
        "kind": "cacti45",
        "capacity_kib": capacity_kib,
        "access_width_bits": access_width_bits,
        "cell": cell,
        "n_banks": 1,
    }
    return sram.cost(CactiSram.model_validate(described), CLOCK_HZ).read_pj


def _energies(source: str) -> list[dict[str, str]]:
    return [row for row in reference_rows("energies_45nm.csv") if row["source"] == source]

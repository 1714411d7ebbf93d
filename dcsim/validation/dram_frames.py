"""Frames with pauses in between, beside DRAMPower and DRAMsim3: 1 MiB read every 50 ms by the whole simulator.

DRAMPower 4.0 (Chandrasekar et al.) was run on two parts in three idle modes: standby, precharge power-down between
refreshes, self-refresh for the whole gap. Energies are of the device core: dynamic, background and refresh.
"""

from collections.abc import Mapping

from dcsim.config import Spec, load_spec
from dcsim.simulation.result import RunResult
from dcsim.simulation.simulate import simulate
from dcsim.soc.array_spec import SimdArray
from dcsim.soc.dram_spec import BankedDram, Idle
from dcsim.soc.spec import ConstantSram, SocSpec, TileBuffers, load_soc
from dcsim.traces.synthetic import synthesize
from dcsim.validation.comparison import DATA, Comparison, reference_rows
from dcsim.zoo import NetworkSpec

FRAMES = "DRAMPower 4.0 and DRAMsim3: 1 MiB read every 50 ms"
DRAMPOWER_TOLERANCE, DRAMSIM_TOLERANCE, OPEN_TOLERANCE = 0.01, 0.03, 0.05
FPS = 20
MODES: dict[str, Idle] = {"none": "standby", "pdn": "power_down", "sref": "self_refresh"}

#: 512 x 512 fp32 weights are 1 MiB
ONE_MIB = NetworkSpec.model_validate(
    {
        "name": "one-mib",
        "kind": "synthetic",
        "layers": ({"name": "fc", "kind": "linear", "n_inputs": 512, "n_outputs": 512},),
    }
)


class DramParts(Spec):
    """The file of DRAMPower's parts.

    Attributes:
        parts: each as the `dram` of a chip, by DRAMPower's name.
    """

    parts: dict[str, BankedDram]


def frames_table(dramsim3: Mapping[str, str]) -> tuple[Comparison, ...]:
    """Energy of a frame of each part in each mode, and of the two frames of DRAMsim3, which has no other mode.

    Args:
        dramsim3: the row `f_frames` of its reference.
    """
    parts = drampower_parts()
    rows = []
    for row in reference_rows("drampower4_frames_1mb_50ms.csv"):
        idle = MODES[row["idle_mode"]]
        found_pj = dram_pj(frame_of(parts[row["memspec"]], idle))
        kind = row["memspec"].split("_")[2].removesuffix("-S4")  # MICRON_4Gb_LPDDR3-1600_32bit_A
        name = f"{kind}, {idle.replace('_', ' ')}"
        reference_pj = float(f"{row['E_total_uJ']}e6")
        rows.append(Comparison(FRAMES, name, "energy of a frame", "pJ", reference_pj, found_pj, DRAMPOWER_TOLERANCE))
    return (*rows, *_two_frames(dramsim3))


def drampower_parts() -> dict[str, BankedDram]:
    """The parts that DRAMPower was run with, by its names."""
    return load_spec(DramParts, DATA / "drampower4_parts.yaml").parts


def frame_of(part: BankedDram, idle: Idle) -> RunResult:
    """One frame of 1 MiB every 50 ms on `mobile45` with another memory.

    Its SRAM holds activations and buffers only, and its array keeps up with the channel.
    """
    return simulate(synthesize(ONE_MIB, "dense"), _chip(part, idle), FPS)


def dram_pj(result: RunResult) -> float:
    """Energy of the DRAM in a frame [pJ], I/O and PHYs left out."""
    return result.energy_pj_by_component["dram"] + result.energy_pj_by_component["dram_background"]


def _two_frames(dramsim3: Mapping[str, str]) -> tuple[Comparison, ...]:
    part = load_soc("mobile45").dram
    assert isinstance(part, BankedDram)
    name, result = "DRAMsim3's part, standby", frame_of(part, "standby")
    active_ps = next(row.count for row in result.ledger if row.action == "active")
    energies = float(dramsim3["E_tot_pJ"]), 2 * dram_pj(result)
    cycles = int(dramsim3["active_cyc"]), 2 * active_ps / part.timing.tck_ps
    return (
        Comparison(FRAMES, name, "energy of two frames", "pJ", *energies, DRAMSIM_TOLERANCE),
        Comparison(FRAMES, name, "cycles a row is open", "cycles", *cycles, OPEN_TOLERANCE),
    )


def _chip(part: BankedDram, idle: Idle) -> SocSpec:
    soc = load_soc("mobile45")
    assert isinstance(soc.array, SimdArray)
    return soc.model_copy(
        update={
            "clock_hz": 800_000_000,
            "sram": ConstantSram(
                kind="constant",
                capacity_kib=64,
                access_width_bits=32,
                read_pj_per_access=0,
                write_pj_per_access=0,
                leakage_mw=0,
            ),
            "dram": part,
            "idle": soc.idle.model_copy(update={"dram": idle}),
            "array": soc.array.model_copy(update={"lanes_out": 512}),
            "tiles": TileBuffers(n_buffers=2, tile_kib=16),
        }
    )

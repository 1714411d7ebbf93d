"""Which knob would mend a check that is over: chosen by who is to blame, then turned in another replay."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_DOWN, Context
from math import floor, isfinite
from typing import Any

from dcsim.errors import DcsimError
from dcsim.explore.checks import ENERGIES, MEMORIES, TIMES, Check, Knob, Verdict
from dcsim.simulation.result import RunResult
from dcsim.soc.array_spec import SimdArray, SystolicArray
from dcsim.soc.dram_spec import BankedDram, ConstantDram
from dcsim.soc.spec import SocSpec, StreamDecoder
from dcsim.units import ceil_div, kib_to_bytes

Changes = dict[str, Any]  # dotted path of the chip's YAML -> new value; `fps` is the option
Replay = Callable[[SocSpec, float], Verdict]
FPS = "fps"
NARROWER = {"fp32": "fp16", "fp16": "int8", "int16": "int8"}
LEAST_HELP = 0.1  # of what is over: a knob that takes less away is not worth a line
TWO_DIGITS = Context(prec=2, rounding=ROUND_DOWN)
WIDEST_BITS, LARGEST_KIB = 128, 8192  # of the table of SRAMs


def with_knobs(verdict: Verdict, result: RunResult, soc: SocSpec, replay: Replay) -> Verdict:
    """The verdict, each check that is over with the first knob that mends it, or the one that helps most.

    Args:
        replay: the verdict on the same trace on another chip, or at another frame rate.
    """
    known: dict[str, Verdict | None] = {}

    def turned(changes: Changes) -> Verdict | None:
        key = json.dumps(changes, sort_keys=True)
        if key not in known:
            known[key] = _verdict(changes, result, soc, replay)
        return known[key]

    checks = (
        replace(item, knob=_knob(item, result, soc, turned)) if item.status == "over" else item
        for item in verdict.checks
    )
    return Verdict(verdict.budget, tuple(checks))


def _verdict(changes: Changes, result: RunResult, soc: SocSpec, replay: Replay) -> Verdict | None:
    """The verdict with a knob turned; None where the chip cannot be like that or the network not run on it."""
    tree = soc.model_dump(mode="json", exclude={"sources"})
    for path, value in changes.items():
        if path != FPS:
            *parents, key = path.split(".")
            branch = tree
            for parent in parents:
                branch = branch[parent]
            branch[key] = value
    try:
        chip = SocSpec.model_validate_json(json.dumps(tree))
    except ValueError:  # as which pydantic refuses
        return None
    try:
        return replay(chip, changes.get(FPS, result.fps))
    except DcsimError:
        return None


def _knob(item: Check, result: RunResult, soc: SocSpec, turned: Callable[[Changes], Verdict | None]) -> Knob:
    """The first knob that mends it, else the one that helps most if it helps enough, else what was not tried."""
    best: Knob | None = None
    left = item.used - LEAST_HELP * (item.used - 1) if isfinite(item.used) else item.used
    for changes in _candidates(item, result, soc):
        verdict = turned(changes)
        if verdict is None:
            continue
        (after,) = (other for other in verdict.checks if other.name == item.name)
        knob = Knob(_in_words(changes), after.found, after.ok)
        if after.ok:
            return knob
        if after.used < left:
            best, left = knob, after.used
    return best or _untried(item, result)


def _in_words(changes: Changes) -> str:
    """`sram.capacity_kib: 1024`; a figure that is left to its default goes without saying."""
    turns = {path: value for path, value in changes.items() if value is not None}
    words = {path: f"{value:.10g}" if isinstance(value, float) else str(value) for path, value in turns.items()}
    return ", ".join(f"--fps {word}" if path == FPS else f"{path}: {word}" for path, word in words.items())


def _untried(item: Check, result: RunResult) -> Knob:
    """What else to change where no replay of this trace can tell what it does."""
    if item.name in ("test_error", "accuracy_loss"):
        return Knob("a recipe that keeps more weights or bits; `dcsim sensitivity` shows which layer bears least")
    if item.name in MEMORIES and item.blame:
        smaller = "the huffman variant, or " if result.variant != "huffman" else ""
        return Knob(f"{smaller}a recipe that keeps fewer weights or bits, of {item.blame.layer} first")
    return Knob("another chip, or a smaller network")


# --- what to try, by who is to blame ---------------------------------------------------------------------------------


def _candidates(item: Check, result: RunResult, soc: SocSpec) -> list[Changes]:
    """Knobs to try, the likeliest first. Those that the chip cannot have are refused by its own rules."""
    component = item.blame.component if item.blame else ""
    if item.name in ENERGIES:
        found = [*_to_save_energy(component, result, soc), {"operating_point": "auto"}]
        if item.name != "energy_pj_per_frame":  # static power stays: as many frames as the limit has room for, or fewer
            found += [_fewer_frames(result.fps / item.used / part) for part in (1, 2, 4)]
        return found
    if item.name in TIMES:
        keeps_up = min(result.fps, result.sustainable_fps)
        slower = [_fewer_frames(keeps_up), _fewer_frames(keeps_up / 2)]
        return [*_to_save_time(component, _times(item, result), result, soc), *_faster_point(result, soc), *slower]
    if item.name == "sram_bytes":
        return [
            {"tiles.tile_kib": soc.tiles.tile_kib // 2},
            {"sram.capacity_kib": floor(item.expected / kib_to_bytes(1))},
        ]
    return _more_sram(result, soc) if component == "activations" else []


def _to_save_energy(component: str, result: RunResult, soc: SocSpec) -> list[Changes]:
    if component in ("dram", "dram_io"):
        return _more_sram(result, soc)
    if component == "dram_background":
        return [{"idle.dram": "self_refresh"}, {"dram.sleep_after_cycles": 0}, *_more_sram(result, soc)]
    if component == "sram":
        return [*_wider_array(soc, 2), *_less_sram(result, soc)]
    if component == "sram_leakage":
        return [{"idle.sram": "retain"}, {"sram.cell": "low-standby-power"}, *_less_sram(result, soc)]
    if component == "array":
        narrower = {"array.mac_format": NARROWER.get(soc.array.mac_format), "array.pj_per_mac": None}
        return [{"array.skip_zeros": "weights"}, narrower | {"array.pj_per_alu_op": None}]
    return [{"idle.logic": "power_gate"}] if component == "logic" else []


def _to_save_time(component: str, times: int, result: RunResult, soc: SocSpec) -> list[Changes]:
    """Args: times: how many times as fast it would have to be, a power of two."""
    if component == "array":
        return [*_wider_array(soc, times), {"array.skip_zeros": "weights"}]
    if component == "sram":
        wider = {"sram.access_width_bits": min(soc.sram.access_width_bits * times, WIDEST_BITS)}
        return [wider, *_wider_array(soc, times), {"array.skip_zeros": "weights"}]
    if component == "decoder" and isinstance(soc.decoder, StreamDecoder):
        return [{"decoder.lanes": soc.decoder.lanes * times}]
    if component == "dram" and isinstance(soc.dram, BankedDram):
        return [*_more_sram(result, soc), {"dram.n_channels": soc.dram.n_channels * times}]
    if component == "dram" and isinstance(soc.dram, ConstantDram) and soc.dram.bandwidth_bytes_per_s:
        return [*_more_sram(result, soc), {"dram.bandwidth_bytes_per_s": soc.dram.bandwidth_bytes_per_s * times}]
    return []


def _times(item: Check, result: RunResult) -> int:
    """How many times as fast, as a power of two from 2 to 64."""
    needed = result.fps / result.sustainable_fps
    if item.name in ("latency_s", "latency_p99_s") and item.found:
        needed = item.used
    return next((times for times in (2, 4, 8, 16, 32) if times >= needed), 64)


def _wider_array(soc: SocSpec, times: int) -> list[Changes]:
    array = soc.array
    if isinstance(array, SimdArray):
        return [{f"array.{lanes}": getattr(array, lanes) * times} for lanes in ("lanes_pixel", "lanes_out")]
    if isinstance(array, SystolicArray):
        return [{f"array.{side}": getattr(array, side) * times} for side in ("n_rows", "n_columns")]
    return [{"array.n_pes": array.n_pes * times}]


def _more_sram(result: RunResult, soc: SocSpec) -> list[Changes]:
    """Room for all that goes through DRAM in a frame, or as much as the table of SRAMs has."""
    moved_bytes = sum(use.dram_read_bytes + use.dram_write_bytes for use in result.layers)
    needed_kib = _power_of_two_kib(result.peak_sram_bytes + moved_bytes)
    return [{"sram.capacity_kib": kib} for kib in (needed_kib, LARGEST_KIB) if kib > soc.sram.capacity_kib]


def _less_sram(result: RunResult, soc: SocSpec) -> list[Changes]:
    """No more room than is needed."""
    kib = _power_of_two_kib(result.peak_sram_bytes)
    return [{"sram.capacity_kib": kib}] if kib < soc.sram.capacity_kib else []


def _power_of_two_kib(n_bytes: int) -> int:
    return 1 << (ceil_div(n_bytes, kib_to_bytes(1)) - 1).bit_length()


def _faster_point(result: RunResult, soc: SocSpec) -> list[Changes]:
    fastest = len(soc.operating_points) - 1
    slow = soc.operating_points and result.clock_hz < soc.operating_points[fastest].clock_hz
    return [{"operating_point": fastest}] if slow else []


def _fewer_frames(fps: float) -> Changes:
    """Frames a second, rounded down to two digits."""
    return {FPS: float(TWO_DIGITS.create_decimal(fps))}

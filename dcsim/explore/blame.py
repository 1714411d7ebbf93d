"""Which layer and which component have most of a figure."""

from dcsim.explore.checks import ENERGIES, TIMES, Blame
from dcsim.explore.footprint import Part, total_bytes
from dcsim.simulation.result import ResourceUse, RunResult


def blame(name: str, result: RunResult, parts: list[Part]) -> Blame | None:
    """Who has most of the figure `name`; None where that cannot be told layer by layer, as with a test error.

    Args:
        parts: of a figure in bytes, what it is made of.
    """
    if name in ENERGIES:
        return _of_energy(result)
    if name in TIMES:
        return _of_time(result)
    return _of_bytes(parts)


def _of_energy(result: RunResult) -> Blame | None:
    """The component that spends most, and the layer for which it spends most."""
    spent_pj = result.energy_pj_by_component
    component = max(spent_pj, key=lambda name: spent_pj[name])
    if not spent_pj[component]:
        return None
    by_layer_pj: dict[str, float] = {}
    for row in result.ledger:
        if row.component == component:
            by_layer_pj[row.layer] = by_layer_pj.get(row.layer, 0.0) + row.energy_pj
    layer = max(by_layer_pj, key=lambda name: by_layer_pj[name])
    return Blame(layer, component, by_layer_pj[layer] / result.energy_pj_per_frame)


def _of_time(result: RunResult) -> Blame | None:
    """The layer that takes longest, from the end of the one before to its own, and what the whole frame waits for."""
    spans_s: dict[str, float] = {}
    before_s = 0.0
    for use in result.layers:
        spans_s[use.layer] = max(0.0, use.end_s - before_s)
        before_s = max(before_s, use.end_s)
    if not before_s:
        return None
    layer = max(spans_s, key=lambda name: spans_s[name])
    return Blame(layer, bottleneck(result), spans_s[layer] / before_s)


def bottleneck(result: RunResult) -> str:
    """The resource that has most of a frame's time, as the array sees it: at work, or what it waits for.

    The array waits for the decoder while that waits for the SRAM port, and for weights while the DRAM does; then it is
    the port that is waited for.
    """
    use = {use.resource: use for use in result.resources}
    waits = use["array"].stall_ps
    decoder, dram = _itself_or_port(use["decoder"]), _itself_or_port(use["dram"])
    writer = "dram" if any(layer.output_spilled for layer in result.layers) else "sram"
    times_ps = {"array": use["array"].busy_ps, "sram": waits.get("sram", 0), "decoder": 0, "dram": 0}
    for cause, resource in (("decode", decoder), ("weights", dram), ("inputs", writer), ("write_back", writer)):
        times_ps[resource] += waits.get(cause, 0)
    return max(times_ps, key=lambda name: times_ps[name])


def _itself_or_port(use: ResourceUse) -> str:
    return "sram" if use.stall_ps.get("sram", 0) > use.busy_ps else use.resource


def _of_bytes(parts: list[Part]) -> Blame | None:
    n_bytes = total_bytes(parts)
    if not n_bytes:
        return None
    largest = max(parts, key=lambda part: part.n_bytes)
    return Blame(largest.layer, largest.kind, largest.n_bytes / n_bytes)

"""Traces as tables, and where two of them differ."""

from dataclasses import dataclass, fields
from typing import Any

from rich.table import Table

from dcsim.report.tables import percent, quantity
from dcsim.traces.trace import INPUT, Layer, Trace

BULK = ("weight_bitmap", "column_nonzeros", "blocks")


@dataclass(frozen=True)
class Difference:
    """One figure that two traces do not share.

    Attributes:
        layer: empty for what belongs to the whole network.
    """

    layer: str
    field: str
    before: Any
    after: Any


def trace_table(trace: Trace) -> Table:
    """A row for each layer: what it reads, what it makes, MACs, how much of each is not zero, bytes."""
    title = f"{trace.network}, {trace.variant}, batch {trace.batch}" + (", synthetic" if trace.synthetic else "")
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1))
    for heading in ("", "layer", "kind", "reads", "output", "MACs", "nonzero", "input", "weights", "stored", "read"):
        table.add_column(heading, justify="left" if heading in ("layer", "kind", "output") else "right", no_wrap=True)
    table.add_column("counts")
    for index, layer in enumerate(trace.layers):
        table.add_row(
            str(index),
            layer.name,
            layer.kind,
            ",".join("in" if producer == INPUT else str(producer) for producer in layer.producers),
            " ".join("x".join(map(str, shape)) for shape in layer.output_shapes),
            quantity(layer.n_macs_dense, "").strip() if layer.has_gemm else "",
            _share(layer.n_macs_nonzero, layer.n_macs_dense),
            _share(layer.n_inputs_nonzero, layer.n_inputs),
            _share(layer.n_weights_nonzero, layer.n_weights if layer.has_gemm else 0),
            quantity(layer.stored_bytes, "B") if layer.stored_bytes else "",
            quantity(layer.n_steps * layer.read_bytes, "B") if layer.read_bytes else "",
            layer.counts,
        )
    return table


def trace_totals(trace: Trace) -> str:
    """What belongs to the whole network, in a few lines."""
    macs = sum(layer.n_macs_dense for layer in trace.layers)
    nonzero = sum(layer.n_macs_nonzero for layer in trace.layers)
    state = sum(layer.n_state_inputs for layer in trace.layers)
    lines = [
        f"{quantity(macs, 'MAC')}s, {percent(nonzero / macs if macs else None)} of them with both operands nonzero; "
        f"{trace.n_parameters:,} parameters in {trace.file_bytes:,} bytes, {trace.compression_ratio:.1f}x",
        f"file {trace.file_sha256 or 'none'}, input {trace.input_sha256 or 'none'}, dcsim {trace.dcsim_version}",
    ]
    if state:
        lines.insert(1, f"{state:,} elements kept from frame to frame are read")
    return "\n".join(lines)


def trace_document(trace: Trace) -> dict[str, Any]:
    """The trace for JSON: all but bitmaps, column counts and blocks."""
    about = {field.name: getattr(trace, field.name) for field in fields(trace) if field.name != "layers"}
    return {**about, "layers": [_figures(layer) for layer in trace.layers]}


def differences(before: Trace, after: Trace) -> list[Difference]:
    """Where two traces differ: first the whole network, then layers by name, in order."""
    found = [
        Difference("", field.name, getattr(before, field.name), getattr(after, field.name))
        for field in fields(Trace)
        if field.name != "layers" and getattr(before, field.name) != getattr(after, field.name)
    ]
    theirs = {layer.name: layer for layer in after.layers}
    ours = {layer.name: layer for layer in before.layers}
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in ours or name not in theirs:
            found.append(Difference(name, "layer", _kind(ours.get(name)), _kind(theirs.get(name))))
            continue
        found += [
            Difference(name, field.name, *_shown(field.name, ours[name], theirs[name]))
            for field in fields(Layer)
            if getattr(ours[name], field.name) != getattr(theirs[name], field.name)
        ]
    return found


def difference_table(found: list[Difference]) -> Table:
    """A row for each difference, with the ratio where both sides are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("layer", "figure", "before", "after", "ratio"):
        table.add_column(heading, justify="right" if heading in ("before", "after", "ratio") else "left")
    for each in found:
        numbers = all(isinstance(side, int | float) for side in (each.before, each.after))
        ratio = f"{each.after / each.before:.3f}" if numbers and each.before else ""
        table.add_row(each.layer, each.field, _written(each.before), _written(each.after), ratio)
    return table


def _figures(layer: Layer) -> dict[str, Any]:
    return {field.name: getattr(layer, field.name) for field in fields(layer) if field.name not in BULK}


def _kind(layer: Layer | None) -> str:
    return layer.kind if layer else "missing"


def _shown(field: str, before: Layer, after: Layer) -> tuple[Any, Any]:
    """The two values of a field; of bulk, only that it is another one."""
    sides = getattr(before, field), getattr(after, field)
    if field not in BULK:
        return sides
    return tuple("none" if side is None else f"{len(side)} entries" for side in sides)  # type: ignore[return-value]


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _share(part: int, whole: int) -> str:
    return percent(part / whole, 1) if whole else ""

"""Charts of the page as Vega-Lite specifications. Their rows come from the page, which changes some as people play.

Text and axes take the colour of the text around them, so that light, dark and print follow the style sheet.
"""

from typing import Any

Spec = dict[str, Any]

FONT = "system-ui, sans-serif"
BAR_STEP, LAYER_STEP = 30, 22
CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "domainColor": "currentColor",
        "tickColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.12,
        "domainOpacity": 0.4,
        "tickOpacity": 0.4,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 130,
    },
    "text": {"color": "currentColor", "fontSize": 12},
}


def si_labels(unit: str) -> str:
    """Vega expression for an axis label as `20 mJ`."""
    return f"datum.value == 0 ? '0' : replace(format(datum.value, '~s'), regexp('([a-zA-Zµ]?)$'), ' $1') + '{unit}'"


#: of an axis that is logarithmic: powers of ten alone
DECADES = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"


def charts() -> dict[str, Spec]:
    """Every chart of the page by name. Where `usermeta` has a step, each of its rows is so many dots high."""
    made = {
        "energy": _energy("variant", BAR_STEP),
        "layers": _energy("layer", LAYER_STEP),
        "stalls": _stalls(),
        "roofline": _roofline(),
        "sram": _sram(),
        "occupancy": _occupancy(),
        "timeline": _timeline(),
    }
    return {
        name: {"config": CONFIG, "width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
        | made[name]
        for name in made
    }


def _quantity(field: str, unit: str, **more: Any) -> Spec:
    """An axis of a quantity, in its unit with the SI prefix that suits."""
    axis = {"labelExpr": si_labels(unit), "title": None, "tickCount": 5, "labelFlush": True, "labelOverlap": True}
    return {"field": field, "type": "quantitative", "axis": axis} | more


def _names(field: str, **more: Any) -> Spec:
    """An axis of names, in the order of the rows."""
    axis = {"title": None, "ticks": False, "domain": False, "labelPadding": 6}
    return {"field": field, "type": "nominal", "sort": None, "axis": axis} | more


def _coloured(**more: Any) -> Spec:
    """Rows carry their own colour."""
    return {"color": {"field": "colour", "type": "nominal", "scale": None}} | more


def _told(*fields: str) -> list[Spec]:
    return [{"field": field, "type": "nominal"} for field in fields]


def _energy(name: str, step: int) -> Spec:
    """A bar for each name, stacked by component, with its sum at the end."""
    bars: Spec = {
        "mark": {"type": "bar", "height": {"band": 0.72}},
        "encoding": _coloured(
            x=_quantity("energy_j", "J", stack="zero"),
            order={"field": "order", "type": "quantitative"},
            tooltip=_told(name, "component", "energy", "share"),
        ),
    }
    sums: Spec = {
        "data": {"name": "sums"},
        "mark": {"type": "text", "align": "left", "dx": 5},
        "encoding": {"x": {"field": "energy_j", "type": "quantitative"}, "text": {"field": "label", "type": "nominal"}},
    }
    room = _invisible("sums", {"field": "room_j", "type": "quantitative"})
    return {
        "description": f"Energy per frame of each {name}, stacked by component",
        "data": {"name": "rows"},
        "usermeta": {"step": step, "rows": name},
        "encoding": {"y": _names(name)},
        "layer": [bars, sums, room],
    }


def _invisible(data: str, x: Spec, y: Spec | None = None) -> Spec:
    """Points that only make room on the axes."""
    encoding = {"x": x} | ({"y": y} if y else {})
    return {"data": {"name": data}, "mark": {"type": "point", "opacity": 0, "tooltip": None}, "encoding": encoding}


def _stalls() -> Spec:
    return {
        "description": "Time of each resource within one frame: at work, or waiting, by cause",
        "data": {"name": "rows"},
        "usermeta": {"step": BAR_STEP, "rows": "resource"},
        "mark": {"type": "bar", "height": {"band": 0.72}},
        "encoding": _coloured(
            y=_names("resource"),
            x=_quantity("time_s", "s", stack="zero"),
            order={"field": "order", "type": "quantitative"},
            opacity={"field": "opacity", "type": "quantitative", "scale": None},
            tooltip=_told("resource", "state", "time", "share"),
        ),
    }


def _roofline() -> Spec:
    log_x = {"type": "log", "nice": False}
    x = _quantity("intensity", "", scale=log_x)
    x["axis"] |= {
        "title": "dense MACs per byte of DRAM traffic",
        "labelExpr": f"{DECADES} ? format(datum.value, ',~r') : ''",
    }
    y = _quantity("macs_per_s", "MAC/s", scale={"type": "log", "nice": False})
    y["axis"] |= {"labelExpr": f"{DECADES} ? {si_labels('MAC/s')} : ''"}
    for axis in (x["axis"], y["axis"]):
        del axis["tickCount"], axis["labelOverlap"]
        axis |= {"grid": False, "tickOpacity": {"condition": {"test": DECADES, "value": 0.4}, "value": 0}}
    roof: Spec = {
        "data": {"name": "roof"},
        "mark": {"type": "line", "strokeWidth": 1.5, "interpolate": "linear", "color": "currentColor", "opacity": 0.55},
        "encoding": {"x": x, "y": y},
    }
    points: Spec = {
        "mark": {"type": "point", "filled": True, "opacity": 0.8},
        "encoding": _coloured(
            x=x,
            y=y,
            size={"field": "area", "type": "quantitative", "scale": None},
            shape={"field": "shape", "type": "nominal", "scale": None},
            tooltip=_told("layer", "speed", "intensity_text", "share", "bound"),
        ),
    }
    names: Spec = {
        "mark": {"type": "text", "dy": -13, "limit": 90},
        "encoding": {"x": x, "y": y, "text": {"field": "label", "type": "nominal"}},
    }
    return {
        "description": "Speed of each layer over its MACs per byte of DRAM traffic, under the roof of array and DRAM",
        "data": {"name": "rows"},
        "height": 300,
        "layer": [roof, points, names, _invisible("bounds", x, y)],
    }


def _sram() -> Spec:
    return {
        "description": "What lies in SRAM: working buffers, weights that stay, activations while they are needed",
        "data": {"name": "rows"},
        "usermeta": {"step": LAYER_STEP, "rows": "name"},
        "mark": {"type": "bar", "height": {"band": 0.72}},
        "encoding": _coloured(
            y=_names("name"), x=_quantity("n_bytes", "B", stack="zero"), tooltip=_told("name", "kind", "size")
        ),
    }


def _time(**more: Any) -> Spec:
    x = _quantity("start_s", "s", **more)
    x["axis"] |= {"title": "time since the frame began"}
    return x


def _occupancy() -> Spec:
    area: Spec = {
        "mark": {"type": "area", "interpolate": "step-after", "opacity": 0.75},
        "encoding": _coloured(x=_time(), y=_quantity("held_bytes", "B", stack=None)),
    }
    capacity: Spec = {
        "data": {"name": "capacity"},
        "mark": {"type": "rule", "strokeDash": [4, 3], "color": "currentColor", "opacity": 0.6},
        "encoding": {"y": {"field": "held_bytes", "type": "quantitative"}},
    }
    return {
        "description": "Bytes that the SRAM holds through one frame, and its capacity",
        "data": {"name": "rows"},
        "height": 140,
        "layer": [area, capacity],
    }


def _timeline() -> Spec:
    slices: Spec = {
        "mark": {"type": "bar", "height": {"band": 0.8}},
        "encoding": _coloured(
            x=_time(),
            x2={"field": "end_s"},
            opacity={"field": "opacity", "type": "quantitative", "scale": None},
            tooltip=_told("layer", "resource", "start", "lasts", "busy", "moved", "energy"),
        ),
    }
    names: Spec = {
        "data": {"name": "names"},
        "mark": {
            "type": "text",
            "align": "left",
            "dx": 2,
            "baseline": "middle",
            "fontSize": 11,
            "limit": {"expr": "max(1, scale('x', datum.end_s) - scale('x', datum.start_s) - 4)"},  # its own slice
        },
        "encoding": {"x": {"field": "start_s", "type": "quantitative"}, "text": {"field": "layer", "type": "nominal"}},
    }
    return {
        "description": "When each resource works for which layer in one frame",
        "data": {"name": "rows"},
        "usermeta": {"step": BAR_STEP, "rows": "resource"},
        "encoding": {"y": _names("resource")},
        "layer": [slices, names],
    }

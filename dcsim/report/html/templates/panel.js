"use strict";
// The sliders of one run. Each is a native range beside a number that can be typed; both say which key they turn.

const REACH = { "mW": 100, "mA": 100, "V": 2, "": 1 }; // of a slider whose number is 0 in the file
const WORDS = { clock_gate: "clock gated", power_gate: "power gated", power_down: "power-down", self_refresh: "self-refresh" };
const HZ_PER_MHZ = 1e6;
const PARTS = { logic: "Logic", sram: "SRAM", dram: "DRAM" };

class Panel {
  /** `changed` is called after every turn. */
  constructor(container, whatif, id, changed) {
    Object.assign(this, { whatif, id, changed, controls: [], count: 0 });
    const groups = grouping(whatif.model.numbers);
    const back = () => {
      whatif.reset();
      this.refresh();
      changed();
    };
    const reset = element("button", { type: "button", class: "reset", onclick: back }, "Reset");
    container.replaceChildren(
      this.frames(), this.clock(), this.idle(), this.battery(),
      ...Object.entries(groups).map(([name, numbers]) => this.group(name, numbers)), reset);
    this.refresh();
  }

  turn(set) {
    return (value) => { set(value); this.changed(); };
  }

  /** A labelled range and number. `scale` maps the range's 0 to 1 onto values, logarithmic where that suits. */
  slider({ label, title, unit, low, high, log, get, set, least = 0, most }) {
    const name = `${this.id}-${this.count++}`;
    const number = element("input", { type: "number", id: name, step: "any", min: least, max: most });
    const range = element("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": `${label}, slider` });
    const along = (share) => log ? low * (high / low) ** share : low + (high - low) * share;
    const toValue = (place) => Number(along(place / 1000).toPrecision(3));
    const toPlace = (value) => 1000 * (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
    const show = () => {
      const value = get();
      if (document.activeElement !== number) number.value = value;
      if (document.activeElement !== range || Math.abs(toPlace(value) - range.value) > 1) range.value = toPlace(value);
      range.setAttribute("aria-valuetext", `${value} ${unit}`.trim());
    };
    const turned = this.turn(set);
    range.addEventListener("input", () => { turned(toValue(Number(range.value))); show(); number.value = get(); });
    number.addEventListener("input", () => {
      const value = Number(number.value);
      const valid = number.value !== "" && Number.isFinite(value) && value >= least && (most === undefined || value <= most);
      number.setAttribute("aria-invalid", String(!valid));
      if (valid) { turned(value); show(); }
    });
    this.controls.push(show);
    const apart = unit && !label.includes("_") ? element("span", { class: "unit" }, ` ${unit}`) : null; // keys carry theirs
    return element("div", { class: "control", title },
      element("label", { for: name }, ...named(label), apart), number, range);
  }

  frames() {
    const { whatif } = this;
    const fps = whatif.run.fps;
    return element("fieldset", {}, element("legend", {}, "Rate"), this.slider({
      label: "fps", title: "inferences per second", unit: "", low: fps / 100, high: fps * 100, log: true, least: 1e-6,
      get: () => whatif.fps, set: (value) => { whatif.fps = value; } }));
  }

  clock() {
    const { whatif } = this, { nominal, points } = whatif.model;
    const gate = whatif.run.variants.find(({ name }) => name === whatif.run.gate);
    const choice = element("select", { id: `${this.id}-point`, onchange: () => {
      const point = points[Number(choice.value)];
      Object.assign(whatif, point ? { ...point } : { clock_hz: null, volts: null });
      this.refresh();
      this.changed();
    } }, element("option", { value: "" }, "as it ran"), ...points.map(({ clock_hz, volts }, place) =>
      element("option", { value: place }, `${si(clock_hz, "Hz")} at ${volts} V`)));
    this.controls.push(() => {
      const place = points.findIndex(({ clock_hz, volts }) => clock_hz === whatif.clock_hz && volts === whatif.volts);
      choice.value = place < 0 ? "" : place;
    });
    const listed = element("div", { class: "control wide" },
      element("label", { for: choice.id }, "operating point"), choice);
    const nominal_mhz = nominal.clock_hz / HZ_PER_MHZ;
    return element("fieldset", {}, element("legend", {}, "Clock and voltage"), points.length ? listed : "",
      this.slider({
        label: "clock", title: "of array, decoder and SRAM", unit: "MHz", low: nominal_mhz / 4, high: 2 * nominal_mhz,
        least: 1e-6, get: () => (whatif.clock_hz ?? gate.point.clock_hz) / HZ_PER_MHZ,
        set: (value) => { whatif.clock_hz = Math.round(value * HZ_PER_MHZ); } }),
      this.slider({
        label: "supply", title: "of logic and SRAM", unit: "V", low: nominal.volts / 2, high: 1.5 * nominal.volts,
        least: 0.01, get: () => whatif.volts ?? gate.point.volts, set: (value) => { whatif.volts = value; } }));
  }

  idle() {
    const { whatif } = this;
    const chosen = Object.entries(whatif.model.options).filter(([, names]) => names.length > 1).map(([part, names]) => {
      const turned = this.turn((name) => { whatif.idle[part] = name; });
      const select = element("select", { id: `${this.id}-idle-${part}`, onchange: () => turned(select.value) },
        ...names.map((name) => element("option", { value: name }, WORDS[name] ?? name)));
      this.controls.push(() => { select.value = whatif.idle[part]; });
      return element("div", { class: "control wide" }, element("label", { for: select.id }, PARTS[part]), select);
    });
    return element("fieldset", {}, element("legend", {}, "Between frames"), ...chosen);
  }

  battery() {
    const { whatif } = this;
    return element("fieldset", {}, element("legend", {}, "Battery"),
      this.slider({ label: "capacity", title: "of a full battery", unit: "mAh", low: 10, high: 10000, log: true, least: 1e-3,
        get: () => whatif.battery.capacity_mah, set: (value) => { whatif.battery.capacity_mah = value; } }),
      this.slider({ label: "voltage", title: "nominal, taken to the end", unit: "V", low: 1, high: 12, least: 1e-3,
        get: () => whatif.battery.volts, set: (value) => { whatif.battery.volts = value; } }));
  }

  group(name, numbers) {
    const { whatif } = this;
    const energies = numbers.filter(({ path }) => !/(volts|ratio)$/.test(path)); // scaled, they would count twice
    const times = (factor) => () => {
      for (const { path } of energies) whatif.numbers[path] = Number((whatif.numbers[path] * factor).toPrecision(12));
      this.refresh();
      this.changed();
    };
    const scale = (factor, text) =>
      element("button", { type: "button", onclick: times(factor), "aria-label": `${name}: all ${text}` }, text);
    const sliders = numbers.map(({ path, value, unit, meaning }) => {
      const share = path.endsWith("ratio"), supply = path.endsWith("vdd_volts");
      const high = share ? 1 : value ? 2 * value : REACH[unit] ?? 10;
      return this.slider({ label: path, title: meaning, unit, low: supply ? value / 2 : 0, high: supply ? 1.5 * value : high,
        least: supply ? 1e-3 : 0, most: share ? 1 : undefined,
        get: () => whatif.numbers[path], set: (to) => { whatif.numbers[path] = to; } });
    });
    return element("details", { class: "group" }, element("summary", {}, name),
      element("div", { class: "buttons" }, scale(0.5, "½ ×"), scale(2, "2 ×")), ...sliders);
  }

  refresh() {
    for (const show of this.controls) show();
  }
}

/** A path with its last key in front of the eye; keys of the file carry their unit. */
function named(path) {
  const [, parents, key] = path.match(/^(.*\.)?([^.]*)$/);
  return parents ? [element("span", { class: "unit" }, parents), document.createElement("wbr"), key] : [key];
}

function grouping(numbers) {
  const groups = {};
  for (const number of numbers) (groups[number.group] ??= []).push(number);
  return groups;
}

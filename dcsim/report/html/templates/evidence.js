"use strict";
// What was simulated: charts and sentences of one run that no slider changes, and runs beside each other.

const CIRCLE = "circle", RIGHT = "triangle-right";
const resourceName = (resource) => ({ dram: "DRAM", sram: "SRAM" })[resource] ?? resource;

Object.assign(Run.prototype, {
  tables() {
    return Object.fromEntries(Object.entries(CAPTIONS).map(([name, caption]) =>
      [name, new Table(this.part("table", name), caption, COLUMNS[name])]));
  },

  legends() {
    const rows = this.run.variants.flatMap((variant) => this.whatif.ledger(variant));
    const present = new Set(rows.map(({ component }) => component));
    legend(this.part("legend", "energy"), DATA.components.filter(({ name }) => present.has(name)));
    legend(this.part("legend", "sram"), Object.entries(DATA.kinds).map(([label, colour]) => ({ label, colour })));
  },

  draw() {
    const names = ["energy", "layers", "stalls", "roofline", "sram", "timeline", "occupancy"];
    return Object.fromEntries(names.map((name) => [name, new Chart(this.part("chart", name), name)]));
  },

  stages() {
    const largest = Math.max(...this.run.variants.map(({ file_bytes }) => file_bytes));
    const stage = ({ name, file_bytes, compression_ratio, test_error }) => element("li", {},
      element("h4", {}, name),
      element("p", { class: "big" }, si(file_bytes, "B")),
      element("div", { class: "meter", style: `--used:${100 * file_bytes / largest}%` }),
      element("p", {}, Math.abs(compression_ratio - 1) < 0.01
        ? "as large as fp32" : `${significant(compression_ratio)}× smaller than fp32`),
      element("p", {}, test_error === null ? "error not measured" : `test error ${(100 * test_error).toFixed(2)} %`));
    this.live("stages", ...this.run.variants.map(stage));
  },

  /** Latency, stalls and the roofline of the chosen variant. */
  showTimes() {
    const { service_ps, period_ps, cold_ps, resources } = this.chosen;
    const [frame, period, cold] = [service_ps, period_ps, cold_ps].map((ps) => si(ps / PS_PER_S, "s"));
    this.live("latency", `A frame takes ${frame} of every ${period} (${percent(service_ps / period_ps)}); `
      + `the first, which loads resident weights, ${cold}.`);
    const states = ({ resource, busy_ps, stall_ps, idle_ps }) => [
      { state: "works", ps: busy_ps, colour: DATA.resources[resource], opacity: 1 },
      ...Object.entries(stall_ps).map(([cause, ps]) => {
        const { label, colour, opacity } = DATA.causes[cause];
        return { state: label, ps, colour, opacity };
      }),
      { state: "between frames", ps: idle_ps },
    ];
    const rows = resources.flatMap((use) => states(use).map(({ ps, ...state }, order) =>
      ({ ...state, order, resource: resourceName(use.resource), time_s: ps / PS_PER_S, share: ps / period_ps })))
      .filter(({ time_s }) => time_s > 0);
    this.tableOf.resources.show(rows);
    const within = rows.filter(({ colour }) => colour).map((row) => ({
      ...row, time: si(row.time_s, "s"), share: `${percent(row.time_s * PS_PER_S / service_ps)} of the frame`,
    }));
    const waits = within.filter(({ state }) => state !== "works");
    const seen = new Map(waits.map(({ state, colour, opacity }) => [state, { label: state, colour, opacity }]));
    legend(this.part("legend", "stalls"), [{ label: "works (in its own colour)", colour: DATA.grey }, ...seen.values()]);
    this.charts.stalls.show({ rows: within });
    this.charts.roofline.show(this.roofRows());
  },

  roofRows() {
    const { macs_per_s, dram_bytes_per_s } = this.chosen.roof;
    const points = this.chosen.layers.filter(({ point }) => point);
    const corner = dram_bytes_per_s ? macs_per_s / dram_bytes_per_s : null;
    const reached = [...points.map(({ point: [x] }) => x), corner].filter((x) => x !== null);
    const left = Math.min(1, ...reached) / 2, right = Math.max(10, ...reached) * 8; // room for what moves nothing
    const largest = [...points].sort((a, b) => b.point[2] - a.point[2]).slice(0, 8);
    const named = apart(largest, right, 60 * Math.log10(right / left) / this.width("roofline"));
    const rows = points.map(({ layer, point: [x, y, share] }) => {
      const memory = x !== null && corner !== null && x < corner;
      return {
        layer, intensity: x ?? right / 1.6, macs_per_s: y, area: 30 + 700 * share, shape: x === null ? RIGHT : CIRCLE,
        colour: x === null ? DATA.grey : DATA.resources[memory ? "dram" : "array"],
        label: named.has(layer) ? layer : "", speed: si(y, "MAC/s"), share: `${percent(share)} of the frame`,
        intensity_text: x === null ? "no DRAM traffic" : `${significant(x)} MAC/B`,
        bound: memory ? "under the DRAM's roof" : "under the array's roof",
      };
    });
    const roof = [[corner ?? left, macs_per_s], [right, macs_per_s]];
    if (corner) roof.unshift([left, left * dram_bytes_per_s]); // left of the corner the DRAM is the roof
    const speeds = [macs_per_s, ...points.map(({ point: [, y] }) => y)];
    const bounds = [[left, Math.min(macs_per_s / 10, ...speeds) / 3], [right, 2.5 * Math.max(...speeds)]];
    const placed = (corners) => corners.map(([intensity, macs_per_s]) => ({ intensity, macs_per_s }));
    return { rows, roof: placed(roof), bounds: placed(bounds) };
  },

  /** What lies where, and why. */
  showSram() {
    const { layers, sram, placement, peak_sram_bytes, resident_bytes, dram_bytes } = this.chosen;
    const n_stored = layers.filter(({ stored_bytes }) => stored_bytes).length;
    this.live("sram", `At most ${si(peak_sram_bytes, "B")} held. Weights of ${placement.weights.length} of ${n_stored} `
      + `layers stay from frame to frame, ${si(resident_bytes, "B")}; `
      + `${si(dram_bytes, "B")} pass the DRAM in every frame.`);
    const order = ["(soc)", "(input)", ...layers.map(({ layer }) => layer)];
    const rows = [...sram].sort((a, b) => b.n_bytes - a.n_bytes).slice(0, MOST_LAYERS).filter(({ n_bytes }) => n_bytes)
      .sort((a, b) => order.indexOf(a.layer) - order.indexOf(b.layer))
      .map(({ layer, kind, n_bytes }) => ({
        name: layer === "(soc)" ? "working buffers" : layer, kind, n_bytes, size: si(n_bytes, "B"),
        colour: DATA.kinds[kind],
      }));
    this.charts.sram.show({ rows });
    const where = (inSram) => inSram ? "in SRAM" : "in DRAM";
    const shown = spans(layers).map(({ layer, start_s, end_s }, place) => ({
      ...layers[place], layer, takes_s: end_s - start_s, where_output: where(!layers[place].output_spilled),
      where_weights: layers[place].why_weights ? where(layers[place].weights_resident) : "–",
    }));
    this.tableOf.layers.show(shown);
    this.tableOf.placement.show(shown);
  },

  /** When each resource works for which layer, and what the SRAM holds. */
  showFrame() {
    const { frame, layers, service_ps } = this.chosen;
    this.live("frame", frame
      ? "Tiles of a layer that follow each other are one slice; the paler, the more of it is waiting."
      : "The analytic engine follows no tiles, so there is no timeline; replay with --engine event.");
    for (const place of this.article.querySelectorAll('[data-if="frame"]')) place.hidden = !frame;
    if (!frame) return; // one engine ran them all
    const lasting = (start_s, end_s) => ({ start_s, end_s, start: si(start_s, "s"), lasts: si(end_s - start_s, "s") });
    const rows = frame.slices.map(({ resource, layer, start_ps, end_ps, busy_ps, n_bytes, energy_pj }) => ({
      resource: resourceName(resource), layer, ...lasting(start_ps / PS_PER_S, end_ps / PS_PER_S),
      colour: DATA.resources[resource], opacity: 0.3 + 0.7 * busy_ps / (end_ps - start_ps),
      busy: percent(busy_ps / (end_ps - start_ps)), moved: n_bytes ? si(n_bytes, "B") : "–",
      energy: si(energy_pj / PJ_PER_J, "J"),
    }));
    const bands = spans(layers).map(({ layer, start_s, end_s }, place) => ({
      resource: "layer", layer, ...lasting(start_s, end_s), colour: "currentColor", opacity: place % 2 ? 0.06 : 0.14,
    }));
    const hasRoom = ({ layer, start_s, end_s }) =>
      (end_s - start_s) * PS_PER_S > service_ps * (0.01 + 0.013 * layer.length);
    const names = bands.map((band) => ({ ...band, layer: hasRoom(band) ? band.layer : "" }));
    this.charts.timeline.show({ rows: [...bands, ...rows], names });
    const held = frame.sram.map(({ start_ps, held_bytes }) => ({ start_s: start_ps / PS_PER_S, held_bytes }));
    held.push({ ...held.at(-1), start_s: service_ps / PS_PER_S });
    const capacity = [{ held_bytes: this.run.sram_capacity_bytes }];
    this.charts.occupancy.show({ rows: held.map((row) => ({ ...row, colour: DATA.resources.sram })), capacity });
  },
});

/** What each layer adds to the frame: from the end of the layer before to its own. */
function spans(layers) {
  let before_s = 0;
  return layers.map(({ layer, end_s }) => {
    const start_s = before_s;
    before_s = Math.max(before_s, end_s);
    return { layer, start_s, end_s: before_s };
  });
}

/** Names of points of a roofline, the largest first, whose names would not lie on another: so many decades apart. */
function apart(points, right, decades) {
  const taken = [];
  for (const { layer, point: [x, y] } of points) {
    const [across, up] = [Math.log10(x ?? right), Math.log10(y)];
    const free = taken.every((other) => Math.abs(other.across - across) > decades || Math.abs(other.up - up) > 0.2);
    if (free) taken.push({ layer, across, up });
  }
  return new Set(taken.map(({ layer }) => layer));
}

/** Runs beside each other, by the variant that decides in each. */
function compare(runs) {
  const [chart, table, legendPlace] = ["chart", "table", "legend"]
    .map((kind) => document.querySelector(`[data-${kind}="compared"]`));
  const decided = runs.map(({ run, whatif }) => {
    const variant = run.variants.find(({ name }) => name === run.gate), found = whatif.result(variant);
    return { ...run, ...variant, ...found, status: worst(found.checks) };
  });
  legend(legendPlace, DATA.components.filter(({ name }) => decided.some(({ byComponent }) => byComponent[name] > 0)));
  const bars = decided.map((each) => [each.folder, each.byComponent, si(each.average_power_watts, "W")]);
  new Chart(chart, "energy").show(energyRows(bars, "variant", chart.clientWidth));
  new Table(table, "Runs", COLUMNS.compared).show(decided);
}

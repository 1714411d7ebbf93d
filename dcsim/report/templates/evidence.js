"use strict";
// What was simulated: tables, legends and charts of one run that no slider changes.

const resourceName = (resource) => ({ dram: "DRAM", sram: "SRAM" })[resource] ?? resource;
const CIRCLE = "circle", RIGHT = "triangle-right";

Object.assign(Run.prototype, {
  tables() {
    const table = (name, caption, columns) => new Table(this.part("table", name), caption, columns);
    const used = (check) => element("span", { class: "meter", style: `--used:${Math.min(100, 100 * check.used || 0)}%` });
    const blamed = ({ blame }) => blame ? `${percent(blame.share)} ${blame.layer === "(soc)" ? "" : blame.layer + ", "}${COMPONENT[blame.component]?.label ?? blame.component}` : "–";
    this.tableOf = {
      checks: table("checks", "Figures against their limits", [
        { label: "figure", csv: "figure", text: ({ name }) => DATA.figures[name].word, value: ({ name }) => name },
        { label: "found", csv: "found", number: true, text: ({ name, found, status }) => found === null && status === "over" ? "unbounded" : figureText(name, found), value: ({ found }) => found },
        { label: "limit", csv: "limit", number: true, text: ({ name, limit, warning }) => `${DATA.figures[name].at_least ? "≥" : "≤"} ${figureText(name, limit ?? warning)}`, value: ({ limit, warning }) => limit ?? warning },
        { label: "used", csv: "used", number: true, text: (check) => check.status === "missing" ? "–" : element("span", {}, percent(check.used), used(check)), value: ({ used }) => Number.isFinite(used) ? used : null },
        { label: "verdict", csv: "status", text: ({ status }) => `${SIGN_OF[status]} ${status}`, value: ({ status }) => status },
        { label: "most of it, as simulated", csv: "blame", text: blamed, value: blamed },
      ]),
      variants: table("variants", "Storage variants", [
        { label: "variant", csv: "variant", text: ({ variant }) => variant.name, value: ({ variant }) => variant.name },
        { label: "file", csv: "file_bytes", number: true, text: ({ variant }) => si(variant.file_bytes, "B"), value: ({ variant }) => variant.file_bytes },
        { label: "from DRAM", csv: "dram_bytes_per_frame", number: true, text: ({ variant }) => si(variant.dram_bytes, "B"), value: ({ variant }) => variant.dram_bytes },
        { label: "energy", csv: "energy_j_per_frame", number: true, text: (row) => si(row.energy_pj_per_frame / PJ_PER_J, "J"), value: (row) => row.energy_pj_per_frame / PJ_PER_J },
        figure("power", "average_power_watts", (value) => si(value, "W")),
        figure("battery", "battery_hours", hours),
        figure("latency", "latency_s", (value) => si(value, "s")),
        figure("max fps", "sustainable_fps", (value) => figureText("sustainable_fps", value)),
      ]),
      resources: table("resources", "Where the time of each resource goes", [
        word("resource", "resource"), word("state", "state"), figure("time", "time_s", (value) => si(value, "s")), figure("of the period", "share", percent),
      ]),
      layers: table("layers", "Work of each layer", [
        word("layer", "layer"), word("kind", "kind"),
        figure("MACs", "n_macs_dense", (value) => si(value, "")), figure("nonzero", "n_macs_nonzero", (value) => si(value, "")),
        figure("weights", "n_weights", (value) => si(value, "")), figure("stored", "stored_bytes", (value) => si(value, "B")),
        figure("DRAM read", "dram_read_bytes", (value) => si(value, "B")), figure("DRAM written", "dram_write_bytes", (value) => si(value, "B")),
        figure("takes", "takes_s", (value) => si(value, "s")),
      ]),
      placement: table("placement", "Where the data of each layer lies, and why", [
        word("layer", "layer"), word("weights", "where_weights"), word("because", "why_weights", { long: true }),
        word("output", "where_output"), word("because", "why_output", { long: true }),
      ]),
      ledger: table("ledger", "Energy ledger of one frame", [
        word("layer", "layer"), { label: "component", csv: "component", text: ({ component }) => COMPONENT[component].label, value: ({ component }) => component }, word("action", "action"),
        { label: "count", csv: "count", number: true, text: ({ count, unit }) => unit === "ps" ? si(count / PS_PER_S, "s") : grouped(count), value: ({ count }) => count },
        word("of", "unit", { text: ({ unit }) => unit === "ps" ? "time" : unit }),
        { label: "each", csv: "pj_each", number: true, text: ({ pj_each, unit }) => unit === "ps" ? si(pj_each, "W") : si(pj_each / PJ_PER_J, "J"), value: ({ pj_each }) => pj_each },
        { label: "energy", csv: "energy_pj", number: true, text: ({ energy_pj }) => si(energy_pj / PJ_PER_J, "J"), value: ({ energy_pj }) => energy_pj },
      ]),
    };
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
    const [{ file_bytes }] = this.run.variants;
    this.live("stages", ...this.run.variants.map((variant) => element("li", {},
      element("h4", {}, variant.name),
      element("p", { class: "big" }, si(variant.file_bytes, "B")),
      element("div", { class: "meter", style: `--used:${100 * variant.file_bytes / Math.max(...this.run.variants.map((each) => each.file_bytes))}%` }),
      element("p", {}, Math.abs(variant.compression_ratio - 1) < 0.01 ? "as large as fp32" : `${significant(variant.compression_ratio)}× smaller than fp32`),
      element("p", {}, variant.test_error === null ? "error not measured" : `test error ${(100 * variant.test_error).toFixed(2)} %`))));
  },

  /** Latency, stalls and the roofline of the chosen variant. */
  showTimes() {
    const { chosen } = this, frame_s = chosen.service_ps / PS_PER_S, period_s = chosen.period_ps / PS_PER_S;
    this.live("latency", `A frame takes ${si(frame_s, "s")} of every ${si(period_s, "s")} (${percent(frame_s / period_s)}); the first, which loads resident weights, ${si(chosen.cold_ps / PS_PER_S, "s")}.`);
    const rows = chosen.resources.flatMap(({ resource, busy_ps, stall_ps, idle_ps }) => [
      ["works", busy_ps, DATA.resources[resource], 1], ...Object.entries(stall_ps).map(([cause, ps]) => [DATA.causes[cause].label, ps, DATA.causes[cause].colour, DATA.causes[cause].opacity]),
      ["between frames", idle_ps, null, 0]]
      .map(([state, ps, colour, opacity], order) => ({ resource: resourceName(resource), state, time_s: ps / PS_PER_S, share: ps / chosen.period_ps, colour, opacity, order }))).filter(({ time_s }) => time_s > 0);
    this.tableOf.resources.show(rows);
    const within = rows.filter(({ colour }) => colour).map((row) => ({ ...row, time: si(row.time_s, "s"), share: `${percent(row.time_s / frame_s)} of the frame` }));
    const seen = new Map(within.filter(({ state }) => state !== "works").map(({ state, colour, opacity }) => [state, { label: state, colour, opacity }]));
    legend(this.part("legend", "stalls"), [{ label: "works (in its own colour)", colour: DATA.grey }, ...seen.values()]);
    this.charts.stalls.show({ rows: within });
    this.charts.roofline.show(this.roofRows());
  },

  roofRows() {
    const { macs_per_s, dram_bytes_per_s } = this.chosen.roof;
    const points = this.chosen.layers.filter(({ point }) => point);
    const corner = dram_bytes_per_s ? macs_per_s / dram_bytes_per_s : null;
    const reached = [...points.map(({ point: [x] }) => x).filter((x) => x !== null), ...(corner ? [corner] : [])];
    const left = Math.min(1, ...reached) / 2, right = Math.max(10, ...reached) * 8; // room for what moves nothing
    const named = apart([...points].sort((a, b) => b.point[2] - a.point[2]).slice(0, 8), right,
      60 * Math.log10(right / left) / this.width("roofline"));
    const rows = points.map(({ layer, point: [x, y, share] }) => ({
      layer, intensity: x ?? right / 1.6, macs_per_s: y, area: 30 + 700 * share, shape: x === null ? RIGHT : CIRCLE,
      colour: x === null ? DATA.grey : corner && x < corner ? DATA.resources.dram : DATA.resources.array,
      label: named.has(layer) ? layer : "", speed: si(y, "MAC/s"), intensity_text: x === null ? "no DRAM traffic" : `${significant(x)} MAC/B`,
      share: `${percent(share)} of the frame`, bound: x !== null && corner && x < corner ? "under the DRAM's roof" : "under the array's roof" }));
    const roof = [[corner ?? left, macs_per_s], [right, macs_per_s]];
    if (corner) roof.unshift([left, left * dram_bytes_per_s]); // left of the corner the DRAM is the roof
    const speeds = points.map(({ point: [, y] }) => y);
    const bounds = [[left, Math.min(macs_per_s / 10, ...speeds) / 3], [right, 2.5 * Math.max(macs_per_s, ...speeds)]];
    const placed = (corners) => corners.map(([intensity, macs_per_s]) => ({ intensity, macs_per_s }));
    return { rows, roof: placed(roof), bounds: placed(bounds) };
  },

  /** What lies where, and why. */
  showSram() {
    const { chosen } = this, n_resident = chosen.placement.weights.length;
    this.live("sram", `At most ${si(chosen.peak_sram_bytes, "B")} held. Weights of ${n_resident} of ${chosen.layers.filter(({ stored_bytes }) => stored_bytes).length} layers stay from frame to frame, ${si(chosen.resident_bytes, "B")}; ${si(chosen.dram_bytes, "B")} pass the DRAM in every frame.`);
    const largest = [...chosen.sram].sort((a, b) => b.n_bytes - a.n_bytes).slice(0, MOST_LAYERS);
    const order = ["(soc)", "(input)", ...chosen.layers.map(({ layer }) => layer)];
    const shown = largest.filter(({ n_bytes }) => n_bytes).sort((a, b) => order.indexOf(a.layer) - order.indexOf(b.layer));
    const rows = shown.map(({ layer, kind, n_bytes }) => ({
      name: layer === "(soc)" ? "working buffers" : layer, kind, n_bytes, size: si(n_bytes, "B"), colour: DATA.kinds[kind] }));
    this.charts.sram.show({ rows });
    let before_s = 0;
    const layers = chosen.layers.map((layer) => {
      const takes_s = layer.end_s - before_s;
      before_s = layer.end_s;
      return { ...layer, takes_s, where_weights: layer.why_weights ? (layer.weights_resident ? "in SRAM" : "in DRAM") : "–", where_output: layer.output_spilled ? "in DRAM" : "in SRAM" };
    });
    this.tableOf.layers.show(layers);
    this.tableOf.placement.show(layers);
  },

  showFrame() {
    const { frame, service_ps, peak_sram_bytes } = this.chosen;
    this.live("frame", frame ? "Tiles of a layer that follow each other are one slice; the paler, the more of it is waiting." : "The analytic engine follows no tiles, so there is no timeline; replay with --engine event.");
    for (const place of this.article.querySelectorAll('[data-if="frame"]')) place.hidden = !frame;
    if (!frame) return; // one engine ran them all
    const rows = frame.slices.map(({ resource, layer, start_ps, end_ps, busy_ps, n_bytes, energy_pj }) => ({
      resource: resourceName(resource), layer, start_s: start_ps / PS_PER_S, end_s: end_ps / PS_PER_S, colour: DATA.resources[resource],
      opacity: 0.3 + 0.7 * busy_ps / (end_ps - start_ps), start: si(start_ps / PS_PER_S, "s"), lasts: si((end_ps - start_ps) / PS_PER_S, "s"),
      busy: percent(busy_ps / (end_ps - start_ps)), moved: n_bytes ? si(n_bytes, "B") : "–", energy: si(energy_pj / PJ_PER_J, "J") }));
    let before_s = 0;
    const spans = this.chosen.layers.map(({ layer, end_s }) => {
      const start_s = before_s;
      before_s = Math.max(before_s, end_s);
      return { resource: "layer", layer, start_s, end_s: before_s, colour: "currentColor", lasts: si(end_s - start_s, "s"), start: si(start_s, "s") };
    });
    const shaded = spans.map((span, place) => ({ ...span, opacity: place % 2 ? 0.06 : 0.14 }));
    const wide = ({ start_s, end_s, layer }) => (end_s - start_s) * PS_PER_S > service_ps * (0.01 + 0.013 * layer.length);
    const named = spans.map((span) => ({ ...span, layer: wide(span) ? span.layer : "" }));
    this.charts.timeline.show({ rows: [...shaded, ...rows], names: named });
    const held = frame.sram.map(({ start_ps, held_bytes }) => ({ start_s: start_ps / PS_PER_S, held_bytes, colour: DATA.resources.sram }));
    if (held.length) held.push({ ...held.at(-1), start_s: service_ps / PS_PER_S });
    this.charts.occupancy.show({ rows: held, capacity: [{ held_bytes: this.run.sram_capacity_bytes }] });
  },
});

/** Names of points of a roofline, the largest first, whose names would not lie on another: so many decades apart. */
function apart(points, right, decades) {
  const taken = [];
  for (const { layer, point: [x, y] } of points) {
    const [across, up] = [Math.log10(x ?? right), Math.log10(y)];
    if (taken.every((other) => Math.abs(other.across - across) > decades || Math.abs(other.up - up) > 0.2)) taken.push({ layer, across, up });
  }
  return new Set(taken.map(({ layer }) => layer));
}

/** Runs beside each other, by the variant that decides in each. */
function compare(runs) {
  const decided = runs.map(({ run, whatif }) => {
    const variant = run.variants.find(({ name }) => name === run.gate);
    return { run, variant, ...whatif.result(variant) };
  });
  legend(document.querySelector('[data-legend="compared"]'), DATA.components.filter(({ name }) => decided.some(({ byComponent }) => byComponent[name] > 0)));
  new Chart(document.querySelector('[data-chart="compared"]'), "energy").show(
    energyRows(decided.map((each) => [each.run.folder, each.byComponent, si(each.average_power_watts, "W")]), "variant", document.querySelector('[data-chart="compared"]').clientWidth));
  const worst = ({ checks }) => ["missing", "over", "warn", "ok"].find((status) => checks.some((check) => check.status === status));
  new Table(document.querySelector('[data-table="compared"]'), "Runs", [
    { label: "run", csv: "run", text: ({ run }) => run.folder, value: ({ run }) => run.folder },
    { label: "network", csv: "network", text: ({ run, variant }) => `${run.network}, ${variant.name}`, value: ({ run }) => run.network },
    { label: "chip", csv: "soc", text: ({ run }) => run.soc, value: ({ run }) => run.soc },
    { label: "fps", csv: "fps", number: true, text: ({ run }) => `${run.fps} /s`, value: ({ run }) => run.fps },
    { label: "file", csv: "file_bytes", number: true, text: ({ variant }) => si(variant.file_bytes, "B"), value: ({ variant }) => variant.file_bytes },
    { label: "energy", csv: "energy_j_per_frame", number: true, text: (each) => si(each.energy_pj_per_frame / PJ_PER_J, "J"), value: (each) => each.energy_pj_per_frame / PJ_PER_J },
    figure("power", "average_power_watts", (value) => si(value, "W")),
    figure("latency", "latency_s", (value) => si(value, "s")),
    { label: "verdict", csv: "status", text: (each) => each.run.budget ? `${SIGN_OF[worst(each)]} ${each.run.budget.name}` : "no budget", value: worst },
  ]).show(decided);
}

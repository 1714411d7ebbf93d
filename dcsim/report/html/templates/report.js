"use strict";
// The page: one Run for each part of it, which draws what was simulated and what people ask.

let DATA, COMPONENT; // what the page holds, and its components by name
const WORD_OF = { ok: "fits", warn: "fits, with a warning", over: "over", missing: "evidence is missing" };
const SIGN_OF = { ok: "✓", warn: "!", over: "✗", missing: "?" };
const MOST_LAYERS = 18;

/** A chart in its container, drawn when it gets its first rows; later ones change what is drawn. */
class Chart {
  constructor(container, name) {
    Object.assign(this, { container, spec: DATA.charts[name] });
  }

  async show(data) {
    const { step, rows } = this.spec.usermeta ?? {};
    const height = step ? step * new Set(data.rows.map((row) => row[rows])).size : this.spec.height;
    if (!this.ready) {
      this.ready = vegaEmbed(this.container, { ...this.spec, height, datasets: data }, { actions: false, renderer: "svg" });
      return this.ready;
    }
    const { view } = await this.ready;
    view.height(height);
    for (const [name, rows] of Object.entries(data)) view.data(name, rows);
    return view.runAsync();
  }
}

function legend(container, entries) {
  container.replaceChildren(...entries.map(({ label, colour, opacity = 1 }) =>
    element("span", {}, element("i", { style: `background:${colour};opacity:${opacity}` }), label)));
}

/** Rows of a stacked bar for each of `bars`: [name, energy by component, label at the end]; labels fit a chart so wide. */
function energyRows(bars, key, width) {
  const totals = bars.map(([, byComponent]) => Object.values(byComponent).reduce((sum, pj) => sum + pj, 0));
  const most_j = Math.max(...totals) / PJ_PER_J;
  const label_px = 7 * Math.max(...bars.map(([, , label]) => label.length)) + 8, plot_px = Math.max(width - 80, 2 * label_px);
  const rows = bars.flatMap(([name, byComponent], bar) => DATA.components
    .map(({ name: component, label, colour }, order) => ({
      [key]: name, component: label, colour, order, energy_j: byComponent[component] / PJ_PER_J,
      energy: si(byComponent[component] / PJ_PER_J, "J"), share: percent(byComponent[component] / totals[bar]) }))
    .filter(({ energy_j }) => energy_j > 0));
  const room_j = most_j * plot_px / (plot_px - label_px);
  const sums = bars.map(([name, , label], bar) => ({ [key]: name, energy_j: totals[bar] / PJ_PER_J, label, room_j }));
  return { rows, sums };
}

/** Energy by component of the largest layers in their order, of the others together, and of what time takes. */
function layerBars(rows, layers) {
  const zero = () => Object.fromEntries(DATA.components.map(({ name }) => [name, 0]));
  const spent = new Map([...layers.map(({ layer }) => [layer, zero()]), ["(soc)", zero()]]);
  for (const row of rows) spent.get(row.layer)[row.component] += row.energy_pj;
  const fixed = spent.get("(soc)");
  spent.delete("(soc)");
  const total = (byComponent) => Object.values(byComponent).reduce((sum, pj) => sum + pj, 0);
  const largest = new Set([...spent.keys()].sort((a, b) => total(spent.get(b)) - total(spent.get(a))).slice(0, MOST_LAYERS));
  const shown = [...spent].filter(([layer]) => largest.has(layer));
  const rest = [...spent].filter(([layer]) => !largest.has(layer));
  if (rest.length) {
    const sums = zero();
    for (const [, byComponent] of rest) for (const name in sums) sums[name] += byComponent[name];
    shown.push([`${rest.length} others`, sums]);
  }
  shown.push(["paid by time", fixed]);
  return shown.map(([name, byComponent]) => [name, byComponent, si(total(byComponent) / PJ_PER_J, "J")]);
}

class Run {
  constructor(article) {
    this.article = article;
    this.run = DATA.runs[Number(article.dataset.run)];
    this.whatif = new WhatIf(this.run);
    this.chosen = this.run.variants.find(({ name }) => name === this.run.gate);
    for (const input of article.querySelectorAll(".variants input")) {
      input.addEventListener("change", () => { this.chosen = this.run.variants[Number(input.value)]; this.choose(); });
    }
    for (const button of article.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => copyText(this.offered()[button.dataset.copy], button));
    }
    this.tableOf = this.tables();
    this.legends();
    this.charts = this.draw();
    this.panel = new Panel(article.querySelector("[data-panel]"), this.whatif, article.id, () => this.later());
    const short = this.run.variants[0].layers.length <= MOST_LAYERS;
    for (const folded of article.querySelectorAll("[data-long]")) folded.open = short;
    article.querySelector(".turn").open = matchMedia("(min-width: 961px)").matches;
    this.stages();
    this.choose();
  }

  part(kind, name) { return this.article.querySelector(`[data-${kind}="${name}"]`); }

  width(chart) { return this.part("chart", chart).clientWidth; }

  live(name, ...children) {
    for (const place of this.article.querySelectorAll(`[data-live="${name}"]`)) place.replaceChildren(...children);
  }

  /** Once a frame, however fast a slider moves. */
  later() {
    this.asked ??= requestAnimationFrame(() => { this.asked = null; this.update(); });
  }

  /** Another variant: all that is about one. */
  choose() {
    for (const place of this.article.querySelectorAll('[data-live="variant"]')) place.textContent = this.chosen.name;
    this.update();
    this.showTimes();
    this.showSram();
    this.showFrame();
  }

  /** Other numbers: what depends on energies, rate, clock and idle policy. */
  update() {
    const { whatif, chosen } = this;
    const results = this.run.variants.map((variant) => ({ variant, ...whatif.result(variant) }));
    const now = results[this.run.variants.indexOf(chosen)];
    this.results = results;
    this.showVerdict(now);
    this.showAnswer(now);
    this.tableOf.checks.show(now.checks, ({ status }) => status);
    this.tableOf.variants.show(results, ({ variant }) => variant === chosen ? "chosen" : "");
    this.tableOf.ledger.show(now.rows);
    this.drawn = Promise.all([this.charts.energy.show(this.variantRows()), this.charts.layers.show(this.layerRows())]);
  }

  variantRows() {
    const label = (result) => `${si(result.energy_pj_per_frame / PJ_PER_J, "J")}, ${si(result.average_power_watts, "W")}`;
    const bars = this.results.map((result) => [result.variant.name, result.byComponent, label(result)]);
    return energyRows(bars, "variant", this.width("energy"));
  }

  layerRows() {
    const { rows } = this.results[this.run.variants.indexOf(this.chosen)];
    return energyRows(layerBars(rows, this.chosen.layers), "layer", this.width("layers"));
  }

  showVerdict(now) {
    const { budget } = this.run, tight = tightest(now.checks);
    const status = worst(now.checks), idle = !budget && status !== "over";
    const verdict = this.part("live", "verdict");
    verdict.dataset.status = idle ? "none" : status;
    const words = budget
      ? { ok: `Fits ${budget.name}`, warn: `Fits ${budget.name}, with a warning`, over: `Over ${budget.name}`, missing: "Evidence is missing" }
      : { over: "Does not keep up" };
    const sign = element("span", { class: "sign", "aria-hidden": "true" }, idle ? "–" : SIGN_OF[status]);
    verdict.replaceChildren(sign, words[status] ?? "No budget to hold it against");
    const asked = this.whatif.changed ? [" ", element("span", { class: "tag" }, "what if, not what was simulated")] : [];
    this.live("because", this.because(now, tight), ...asked);
    const tiles = [
      ["power", si(now.average_power_watts, "W")], ["energy per frame", si(now.energy_pj_per_frame / PJ_PER_J, "J")],
      ["battery", hours(now.battery_hours)], ["latency", now.latency_s === null ? "unbounded" : si(now.latency_s, "s")],
      ["sustains", figureText("sustainable_fps", now.sustainable_fps)], ["file", si(now.variant.file_bytes, "B")]];
    this.live("tiles", ...tiles.map(([label, value]) => element("div", {}, element("dt", {}, label), element("dd", {}, value))));
  }

  because(now, tight) {
    const who = `${now.variant.name}${now.variant.name === this.run.gate ? "" : ` (${this.run.gate} decides)`}`;
    const what = DATA.figures[tight.name].word;
    if (tight.status === "missing") return `${who}: ${tight.why || `no figure for ${what}`}.`;
    if (tight.found === null && tight.name !== "sustainable_fps") return `${who}: ${what} has no bound, frames queue up.`;
    const limit = tight.limit ?? tight.warning;
    const least = DATA.figures[tight.name].at_least;
    const left = tight.headroom >= 1 ? `${significant(tight.headroom + 1)} times as much`
      : tight.headroom >= 0 ? `${percent(tight.headroom)} ${least ? "above it" : "of it left"}`
      : `${percent(-tight.headroom)} beyond it`;
    const [found, level] = [tight.found, limit].map((value) => figureText(tight.name, value));
    return `${who}: ${what} is nearest its limit, ${found} ${least ? "of at least" : "of"} ${level}, ${left}.`;
  }

  showAnswer(now) {
    const { whatif, chosen } = this;
    const status = worst(now.checks);
    const before = chosen.energy_pj / PJ_PER_J * this.run.fps / chosen.batch;
    const ratio = now.average_power_watts / before;
    const change = !before || !whatif.changed ? ""
      : ratio >= 2 ? ` ×${significant(ratio)}` : ` ${ratio >= 1 ? "+" : "−"}${percent(Math.abs(ratio - 1))}`;
    const verdict = element("span", { class: "status", "data-status": status }, `${SIGN_OF[status]} ${WORD_OF[status]}`);
    this.live("answer",
      element("strong", {}, si(now.average_power_watts, "W"), element("small", {}, change)),
      `${si(now.energy_pj_per_frame / PJ_PER_J, "J")} a frame · battery ${hours(now.battery_hours)}`,
      ...(this.run.budget ? [verdict] : []));
    const marks = whatif.marks(chosen), faults = whatif.faults(chosen);
    const lines = (texts, kind) => texts.map((text) => element("li", { class: kind }, text));
    const exact = whatif.changed ? "Exact: a new simulation would find the same." : "As simulated. Turn something.";
    this.live("marks",
      ...lines(faults, "fault"),
      ...lines(marks.map((text) => `≈ ${text}`), "estimated"),
      ...lines(marks.length || whatif.refused().length ? [] : [exact], "exact"),
      ...lines(whatif.changed ? whatif.notes(chosen) : [], "note"));
    this.article.querySelector(".whatif").dataset.exact = String(marks.length === 0);
    if (whatif.changed) {
      const { command, diff } = this.offered();
      this.live("command", command);
      this.live("diff", diff);
    } else {
      this.live("command", "");
      this.live("diff", "");
    }
  }

  offered() {
    const asked = [this.whatif, this.chosen];
    return { yaml: editedYaml(...asked), diff: yamlDiff(...asked), command: command(...asked) };
  }
}

/** JSON that is embedded compressed. */
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

document.addEventListener("DOMContentLoaded", async () => {
  DATA = await unpacked("data");
  COMPONENT = Object.fromEntries(DATA.components.map((component) => [component.name, component]));
  const runs = [...document.querySelectorAll("[data-run]")].map((article) => new Run(article));
  if (runs.length > 1) compare(runs);
  window.dcsim = { runs };
  await Promise.all(runs.flatMap((run) => Object.values(run.charts).map((chart) => chart.ready)));
  document.body.dataset.drawn = "true";
});

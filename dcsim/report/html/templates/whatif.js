"use strict";
// Energy again, from the ledger: counts x energies. There is no physics in here: how an energy follows from the numbers
// of the chip's file was worked out by the simulator's own functions, and is a polynomial in DATA.

const PS_PER_S = 1e12, PJ_PER_J = 1e12, MW_PER_W = 1e3;
const USUAL_BATTERY = { capacity_mah: 4000, volts: 3.85 }; // assumption: a phone's, where the budget names none

class WhatIf {
  constructor(run) {
    this.run = run;
    this.model = run.whatif;
    this.reset();
  }

  reset() {
    this.numbers = Object.fromEntries(this.model.numbers.map(({ path, value }) => [path, value]));
    this.fps = this.run.fps;
    this.idle = { ...this.model.idle };
    this.clock_hz = this.volts = null; // as each variant ran
    this.battery = { ...(this.run.budget?.battery ?? USUAL_BATTERY) };
  }

  /** Numbers that are not those of the file. */
  turned() {
    return this.model.numbers.filter(({ path, value }) => this.numbers[path] !== value);
  }

  point(variant) {
    return { clock_hz: this.clock_hz ?? variant.point.clock_hz, volts: this.volts ?? variant.point.volts };
  }

  get pointMoved() { return this.clock_hz !== null || this.volts !== null; }

  get changed() {
    const idle = Object.keys(this.idle).some((part) => this.idle[part] !== this.model.idle[part]);
    return this.turned().length > 0 || idle || this.pointMoved || this.fps !== this.run.fps;
  }

  /** Energy of one event [pJ], or power [W]. */
  cost(name, point) {
    const { base, slopes, crosses, volts_power, clock_power } = this.model.polynomials[name];
    const moved = (path) => this.numbers[path] - this.start[path];
    let value = base;
    for (const path in slopes) value += slopes[path] * moved(path);
    for (const [x, y, cross] of crosses) value += cross * moved(x) * moved(y);
    const { volts, clock_hz } = this.model.nominal;
    return value * (point.volts / volts) ** volts_power * (point.clock_hz / clock_hz) ** clock_power;
  }

  get start() {
    return this.started ??= Object.fromEntries(this.model.numbers.map(({ path, value }) => [path, value]));
  }

  /** Times of a frame [ps]. At another clock they are estimated: waiting for DRAM stays, the rest goes with 1 / clock. */
  times(variant) {
    const slower = variant.point.clock_hz / this.point(variant).clock_hz;
    const waits_ps = Math.min(variant.waits_dram_ps, variant.service_ps);
    const scaled = (time_ps, kept_ps) => slower === 1 ? time_ps : Math.round(kept_ps + (time_ps - kept_ps) * slower);
    const service_ps = scaled(variant.service_ps, waits_ps);
    const { active_ps, awake_ps } = variant.static_ps;
    const period_ps = Math.max(Math.round(variant.batch / this.fps * PS_PER_S), service_ps);
    const dram_awake_ps = Math.min(scaled(awake_ps, Math.min(active_ps, awake_ps)), period_ps);
    return { period_ps, service_ps, dram_awake_ps, dram_active_ps: active_ps };
  }

  /** Every row of the ledger of one frame. */
  ledger(variant) {
    const point = this.point(variant), times = this.times(variant), costs = {};
    const row = (layer, name, unit, count) => {
      const [component, action] = name.split("/");
      const pj_each = costs[name] ??= this.cost(name, point);
      return { layer, component, action, unit, count, pj_each, energy_pj: count * pj_each };
    };
    const dynamic = variant.rows.map(([layer, name, unit, count]) => row(layer, name, unit, count));
    const ruling = { dram_background: this.idle.dram, sram_leakage: this.idle.sram, logic: this.idle.logic, always_on: "" };
    const fixed = Object.entries(this.model.times)
      .filter(([name]) => { // the second of two rows of one name ends in +
        const [component, , option] = name.split("/");
        return option.replace("+", "") === ruling[component];
      })
      .map(([name, counts]) => {
        const lasts_ps = Object.entries(counts).reduce((sum, [time, n]) => sum + n * times[time], 0);
        return row("(soc)", name, "ps", lasts_ps);
      })
      .filter(({ energy_pj }) => energy_pj !== 0);
    return [...dynamic, ...fixed];
  }

  /** Everything about one variant that numbers, rate, clock and idle policy decide. */
  result(variant) {
    const rows = this.ledger(variant), times = this.times(variant);
    let energy_pj = 0;
    const byComponent = Object.fromEntries(DATA.components.map(({ name }) => [name, 0]));
    for (const row of rows) {
      energy_pj += row.energy_pj;
      byComponent[row.component] += row.energy_pj;
    }
    const watts = energy_pj / PJ_PER_J * this.fps / variant.batch;
    const sustainable_fps = times.service_ps ? variant.batch * PS_PER_S / times.service_ps : Infinity;
    const queue = this.queue(variant, times);
    const battery_hours = watts ? this.battery.capacity_mah * this.battery.volts / (watts * MW_PER_W) : null;
    const found = { average_power_watts: watts, energy_pj_per_frame: energy_pj, battery_hours, sustainable_fps, ...queue };
    return { ...found, rows, byComponent, times, checks: this.checks(variant, found) };
  }

  /** Latency and missed deadlines. Frames that come evenly wait for nobody; of others only a simulation knows. */
  queue(variant, times) {
    const arrival_ps = Math.round(variant.batch / this.fps * PS_PER_S);
    if (times.service_ps > arrival_ps) return { latency_s: null, latency_p99_s: null, deadline_misses: 1 };
    if (this.run.arrivals.kind !== "periodic" && variant.queue) {
      const { latency_p50_ps, latency_p99_ps, n_misses, arrivals } = variant.queue;
      const [latency_s, latency_p99_s] = [latency_p50_ps, latency_p99_ps].map((ps) => ps / PS_PER_S);
      return { latency_s, latency_p99_s, deadline_misses: n_misses / arrivals.n_frames };
    }
    const deadline_s = this.run.deadline_s ?? this.run.budget?.deadline_s;
    const deadline_ps = deadline_s ? Math.round(deadline_s * PS_PER_S) : arrival_ps;
    const latency_s = times.service_ps / PS_PER_S;
    return { latency_s, latency_p99_s: latency_s, deadline_misses: times.service_ps > deadline_ps ? 1 : 0 };
  }

  /** Every figure against its limit, as `dcsim check` does it. */
  checks(variant, found) {
    const { limits = {}, warnings = {} } = this.run.budget ?? {};
    const recorded = Object.fromEntries(variant.checks.map((check) => [check.name, check]));
    const levels = { ...limits, sustainable_fps: Math.max(limits.sustainable_fps ?? 0, this.fps) };
    return Object.keys(DATA.figures).filter((name) => name in levels || name in warnings).map((name) => {
      const before = recorded[name];
      const live = DATA.energies.includes(name) || DATA.times.includes(name);
      const value = live ? found[name] : before.found;
      const known = live ? !(name === "battery_hours" && value === null) : before.status !== "missing";
      const check = weigh(name, value, levels[name] ?? null, warnings[name] ?? null, known);
      if (live && variant.uncounted && check.status === "ok") check.status = "warn";
      return { ...check, blame: before?.blame ?? null, why: before?.why ?? "" };
    });
  }

  /** Why a figure is not what a new simulation would find, one sentence each. */
  marks(variant) {
    const { idle, wakes } = this.model, found = [];
    if (this.point(variant).clock_hz !== variant.point.clock_hz) {
      found.push("Times at another clock are estimated: waiting for DRAM is kept, the rest goes with one over the clock.");
    }
    if (wakes && this.idle.dram !== idle.dram) {
      const [now, before] = [this.idle.dram, idle.dram].map((state) => state.replace("_", " "));
      found.push(`Waking the DRAM from ${now} takes another time than from ${before}: the service time may move a little.`);
    }
    if (this.idle.sram === "off" && idle.sram !== "off" && variant.placement.weights.length) {
      found.push("An SRAM that is off loses the weights that stay in it; fetching them in every frame is not counted here.");
    }
    if (this.run.arrivals.kind !== "periodic" && (this.fps !== this.run.fps || this.clock_hz !== null)) {
      found.push("Latencies and missed deadlines are those of the run: with such arrivals only a simulation knows them.");
    }
    const { awake_ps } = variant.static_ps;
    const sleepless = awake_ps >= variant.period_ps && variant.period_ps > variant.service_ps;
    if (wakes && sleepless && this.fps < this.run.fps) {
      found.push("In the run the DRAM never slept; how long it stays awake in longer pauses is not known here.");
    }
    return found;
  }

  /** What is kept that a chip might choose anew. */
  notes(variant) {
    const { clock_hz, volts } = this.point(variant);
    const kept = `The operating point stays at ${si(clock_hz, "Hz")} and ${volts} V; auto might choose another now.`;
    return this.model.operating_point === "auto" ? [kept] : [];
  }

  /** Why the chip would not work so, one sentence each. */
  faults(variant) {
    const { sustainable_fps } = this.result(variant), found = [];
    if (this.fps > sustainable_fps) {
      const sustained = figureText("sustainable_fps", sustainable_fps);
      found.push(`The chip sustains ${sustained}: frames queue without bound, and the power is that demanded.`);
    }
    return [...found, ...this.refused()];
  }

  /** What a chip's file may not say, one sentence each. */
  refused() {
    const key = (path) => path.split(".").at(-1);
    return this.model.refusals.filter(([low, high]) => this.numbers[low] < this.numbers[high])
      .map(([low, high]) => `The file would be refused: ${key(low)} must not be below ${key(high)}.`);
  }
}

/** One figure against its limit and its warning: dcsim's `weigh`. */
function weigh(name, found, limit, warning, known) {
  const { at_least } = DATA.figures[name];
  const beyond = (level) => level !== null && (found === null || (at_least ? found < level : found > level));
  const status = !known ? "missing" : beyond(limit) ? "over" : beyond(warning) ? "warn" : "ok";
  const level = limit ?? warning;
  const headroom = found !== null && level ? (at_least ? found / level - 1 : 1 - found / level) : null;
  const [over, under] = at_least ? [level, found] : [found, level];
  const used = found === null ? Infinity : under === 0 ? (over > 0 ? Infinity : 0) : over / under;
  return { name, found, limit, warning, status, headroom, used };
}

/** The status of the worst check. */
function worst(checks) {
  return ["missing", "over", "warn", "ok"].find((status) => checks.some((check) => check.status === status));
}

/** The check that uses most of its limit, among the failed ones if there are any. */
function tightest(checks) {
  const failed = checks.filter(({ status }) => status === "over" || status === "missing");
  const named = checks.filter(({ name }) => name !== "sustainable_fps");
  const among = failed.length ? failed : named.length ? named : checks;
  return among.reduce((most, check) => check.used > most.used ? check : most);
}

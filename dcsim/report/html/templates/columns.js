"use strict";
// Columns of the tables, by table.

const as = (unit) => (value) => si(value, unit);
const seconds = (label, key) => figure(label, key, as("s"));
const bytes = (label, key) => figure(label, key, as("B"));
const number = (label, key) => figure(label, key, as(""));
/** A column of what belongs to the variant of a row. */
const ofVariant = (column) => ({
  ...column, text: ({ variant }) => column.text(variant), value: ({ variant }) => column.value(variant),
});
const joules = {
  label: "energy", csv: "energy_j_per_frame", number: true,
  text: (row) => si(row.energy_pj_per_frame / PJ_PER_J, "J"), value: (row) => row.energy_pj_per_frame / PJ_PER_J,
};
const power = figure("power", "average_power_watts", as("W"));
const componentLabel = (name) => COMPONENT[name]?.label ?? name;

/** Layer and component that have most of a figure. */
function blamed({ blame }) {
  if (!blame) return "–";
  const layer = blame.layer === "(soc)" ? "" : `${blame.layer}, `;
  return `${percent(blame.share)} ${layer}${componentLabel(blame.component)}`;
}

function usedText({ status, used }) {
  if (status === "missing") return "–";
  const meter = element("span", { class: "meter", style: `--used:${Math.min(100, 100 * used)}%` });
  return element("span", {}, percent(used), meter);
}

const COLUMNS = {
  checks: [
    { label: "figure", csv: "figure", text: ({ name }) => DATA.figures[name].word, value: ({ name }) => name },
    {
      label: "found", csv: "found", number: true, value: ({ found }) => found,
      text: ({ name, found, status }) => found === null && status === "over" ? "unbounded" : figureText(name, found),
    },
    {
      label: "limit", csv: "limit", number: true, value: ({ limit, warning }) => limit ?? warning,
      text: ({ name, limit, warning }) =>
        `${DATA.figures[name].at_least ? "≥" : "≤"} ${figureText(name, limit ?? warning)}`,
    },
    {
      label: "used", csv: "used", number: true, text: usedText,
      value: ({ used }) => Number.isFinite(used) ? used : null,
    },
    {
      label: "verdict", csv: "status", text: ({ status }) => `${SIGN_OF[status]} ${status}`,
      value: ({ status }) => status,
    },
    { label: "most of it, as simulated", csv: "blame", text: blamed, value: blamed },
  ],
  variants: [
    ofVariant(word("variant", "name")), ofVariant(bytes("file", "file_bytes")),
    ofVariant(bytes("from DRAM", "dram_bytes")), joules, power, figure("battery", "battery_hours", hours),
    seconds("latency", "latency_s"),
    figure("max fps", "sustainable_fps", (value) => figureText("sustainable_fps", value)),
  ],
  resources: [
    word("resource", "resource"), word("state", "state"), seconds("time", "time_s"),
    figure("of the period", "share", percent),
  ],
  layers: [
    word("layer", "layer"), word("kind", "kind"), number("MACs", "n_macs_dense"), number("nonzero", "n_macs_nonzero"),
    number("weights", "n_weights"), bytes("stored", "stored_bytes"), bytes("DRAM read", "dram_read_bytes"),
    bytes("DRAM written", "dram_write_bytes"), seconds("takes", "takes_s"),
  ],
  placement: [
    word("layer", "layer"), word("weights", "where_weights"), word("because", "why_weights", { long: true }),
    word("output", "where_output"), word("because", "why_output", { long: true }),
  ],
  ledger: [
    word("layer", "layer"),
    word("component", "component", { text: ({ component }) => componentLabel(component) }),
    word("action", "action"),
    {
      label: "count", csv: "count", number: true, value: ({ count }) => count,
      text: ({ count, unit }) => unit === "ps" ? si(count / PS_PER_S, "s") : grouped(count),
    },
    word("of", "unit", { text: ({ unit }) => unit === "ps" ? "time" : unit }),
    {
      label: "each", csv: "pj_each", number: true, value: ({ pj_each }) => pj_each, // one pJ per ps is one watt
      text: ({ pj_each, unit }) => unit === "ps" ? si(pj_each, "W") : si(pj_each / PJ_PER_J, "J"),
    },
    figure("energy", "energy_pj", (pj) => si(pj / PJ_PER_J, "J")),
  ],
  compared: [
    word("run", "folder"), word("network", "network"), word("variant", "name"), word("chip", "soc"),
    figure("fps", "fps", (fps) => `${fps} /s`), bytes("file", "file_bytes"), joules, power,
    seconds("latency", "latency_s"),
    {
      label: "verdict", csv: "status", value: ({ status }) => status,
      text: ({ status, budget }) => budget ? `${SIGN_OF[status]} ${budget.name}` : "no budget",
    },
  ],
};
const CAPTIONS = {
  checks: "Figures against their limits",
  variants: "Storage variants",
  resources: "Where the time of each resource goes",
  layers: "Work of each layer",
  placement: "Where the data of each layer lies, and why",
  ledger: "Energy ledger of one frame",
};

"use strict";
// What to simulate: the chip's file with other numbers and the placement of the run, and the command.

/** Changes to the lines of the chip's file: [first line, line after the last, new lines], from 0 and in order. */
function edits(whatif, variant) {
  const { lines, places, ends } = whatif.run.yaml;
  const found = [];
  const set = (path, value) => {
    const place = places[path];
    found.push([place, place + 1, [`${lines[place].match(/^[\s-]*/)[0]}${path.split(".").at(-1)}: ${value}`]]);
  };
  const top = (key, value) => found.push([places[key], ends[key], [`${key}: ${value}`]]);
  for (const { path } of whatif.turned()) set(path, whatif.numbers[path]);
  for (const part in whatif.idle) if (whatif.idle[part] !== whatif.model.idle[part]) set(`idle.${part}`, whatif.idle[part]);
  if (whatif.pointMoved || whatif.model.operating_point === "auto") {
    const { clock_hz, volts } = whatif.point(variant);
    top("operating_points", `[{clock_hz: ${clock_hz}, volts: ${volts}}]`);
    top("operating_point", 0);
  }
  const listed = (names) => `[${names.map((name) => JSON.stringify(name)).join(", ")}]`;
  const { weights, activations } = variant.placement;
  top("placement", `{weights: ${listed(whatif.idle.sram === "off" ? [] : weights)}, activations: ${listed(activations)}}`);
  return found.sort(([a], [b]) => a - b);
}

function editedYaml(whatif, variant) {
  const { lines } = whatif.run.yaml;
  let at = 0, text = [];
  for (const [first, after, replaced] of edits(whatif, variant)) {
    text = text.concat(lines.slice(at, first), replaced);
    at = after;
  }
  return text.concat(lines.slice(at)).join("\n") + "\n";
}

/** A unified diff without context, for `patch`. */
function yamlDiff(whatif, variant) {
  const { lines } = whatif.run.yaml;
  let shift = 0;
  const hunks = edits(whatif, variant).map(([first, after, replaced]) => {
    const [n_old, n_new] = [after - first, replaced.length];
    const head = `@@ -${first + 1},${n_old} +${first + 1 + shift},${n_new} @@`;
    shift += n_new - n_old;
    return [head, ...lines.slice(first, after).map((line) => `-${line}`), ...replaced.map((line) => `+${line}`)].join("\n");
  });
  return [`--- ${whatif.run.folder}/soc.yaml`, "+++ edited.yaml", ...hunks].join("\n") + "\n";
}

function command(whatif, variant) {
  const { run } = whatif, { arrivals } = run;
  const quoted = (path) => /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
  const options = [`--fps ${whatif.fps}`];
  if (arrivals.kind !== "periodic") options.push(`--arrivals ${arrivals.kind}`, `--seed ${arrivals.seed}`);
  if (arrivals.kind === "jittered") options.push(`--jitter ${arrivals.jitter}`);
  if (arrivals.n_frames !== 1000) options.push(`--frames ${arrivals.n_frames}`);
  const deadline_s = run.deadline_s ?? run.budget?.deadline_s;
  if (deadline_s) options.push(`--deadline ${deadline_s}`);
  if (run.engine !== "event") options.push(`--engine ${run.engine}`);
  return `dcsim simulate ${quoted(`${run.folder}/${variant.name}.parquet`)} --soc edited.yaml ${options.join(" ")}`;
}

"use strict";
// Numbers as people read them: three digits, and the SI prefix that suits.

const PREFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"], [1e-12, "p"]];

function significant(value, digits = 3) {
  const whole = String(Math.trunc(Math.abs(value))).length;
  return value.toFixed(Math.max(0, digits - whole));
}

/** `12.8 mW`; a dash when there is none. */
function si(value, unit) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return "∞";
  if (value === 0) return `0 ${unit}`;
  const rounded = Number(value.toPrecision(3)); // first, so that 999.96 W is 1.00 kW
  const [scale, prefix] = PREFIXES.find(([scale]) => Math.abs(rounded) >= scale) ?? PREFIXES.at(-1);
  return `${significant(rounded / scale)} ${prefix}${unit}`;
}

function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  const hundredths = 100 * share;
  return `${Math.abs(hundredths) >= 1 ? significant(hundredths) : hundredths.toFixed(2)} %`;
}

/** Whole numbers in groups of three. */
function grouped(count) {
  return count === null || count === undefined ? "–" : Math.round(count).toLocaleString("en-US");
}

/** A figure that a budget can limit, in its unit. */
function figureText(name, value) {
  if (value === null || value === undefined) return "–";
  const { unit } = DATA.figures[name];
  if (name === "energy_pj_per_frame") return si(value * 1e-12, "J");
  if (name === "battery_hours") return hours(value);
  if (name === "sustainable_fps") return `${value >= 1000 ? grouped(value) : significant(value)} /s`;
  if (unit === "bytes") return si(value, "B");
  return unit ? si(value, unit) : percent(value);
}

function hours(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value >= 8766) return `${significant(value / 8766)} years`;
  if (value >= 72) return `${significant(value / 24)} days`;
  return `${significant(value)} h`;
}

/** An element with attributes, and children that are elements or text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Puts text on the clipboard, and says so on the button. */
async function copyText(text, button) {
  const label = button.dataset.label ?? (button.dataset.label = button.textContent);
  try {
    await navigator.clipboard.writeText(text);
  } catch { // pages from disk may not, in some browsers
    const area = element("textarea", { class: "offscreen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
}

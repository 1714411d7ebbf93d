"use strict";
// Tables that sort by any column, and copy as CSV in plain SI numbers.

/**
 * A table in a container. `columns` are {label, text(row), value(row), csv}: what is shown, what it is sorted by and
 * copied as, and the name of the column in CSV, with its unit. Columns without `number: true` hold words.
 */
class Table {
  constructor(container, caption, columns) {
    Object.assign(this, { columns, rows: [], sorted: null });
    this.heads = columns.map((column, place) => element("th", { scope: "col", class: column.number ? "number" : "" },
      element("button", { type: "button", onclick: () => this.sortBy(place) }, column.label)));
    this.body = element("tbody");
    const copy = element("button", { type: "button", class: "copy", onclick: () => copyText(this.csv(), copy) }, "Copy CSV");
    container.replaceChildren(
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
        element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...this.heads)), this.body)),
      copy);
    this.folded = container.closest("details");
    this.folded?.addEventListener("toggle", () => this.draw());
  }

  show(rows, mark = () => "") {
    Object.assign(this, { rows, mark });
    this.draw();
  }

  sortBy(place) {
    const down = this.sorted?.place === place && !this.sorted.down;
    this.sorted = { place, down };
    this.heads.forEach((head, other) => {
      if (other === place) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.draw();
  }

  ordered() {
    if (!this.sorted) return this.rows;
    const { place, down } = this.sorted;
    const value = this.columns[place].value;
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || x === undefined) return 1; // what is not known comes last
      if (y === null || y === undefined) return -1;
      const less = typeof x === "string" ? x.localeCompare(y) : x - y;
      return down ? -less : less;
    };
    return [...this.rows].sort(order);
  }

  draw() {
    if (this.folded && !this.folded.open) return; // thousands of rows that nobody sees would slow the sliders
    this.body.replaceChildren(...this.ordered().map((row) => element("tr", { class: this.mark(row) },
      ...this.columns.map((column, place) => {
        const shown = column.text(row);
        const attributes = { class: column.number ? "number" : column.long ? "long" : "" };
        return place ? element("td", attributes, shown) : element("th", { scope: "row" }, shown);
      }))));
  }

  csv() {
    const quoted = (value) => {
      const text = value === null || value === undefined ? "" : String(value);
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const names = this.columns.map((column) => column.csv);
    const lines = [names, ...this.ordered().map((row) => this.columns.map((column) => column.value(row)))];
    return lines.map((line) => line.map(quoted).join(",") + "\n").join("");
  }
}

/** A column of words, and one of numbers that `text` makes readable. */
const word = (label, key, more = {}) => ({
  label, csv: key, text: (row) => row[key] ?? "–", value: (row) => row[key], ...more,
});
const figure = (label, key, text) => ({
  label, csv: key, number: true, text: (row) => text(row[key]), value: (row) => row[key],
});

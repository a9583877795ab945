// A list of any length: only the rows in sight are elements, and they are used again.

import { h } from "/dom.js";

const SPARE = 6;

let count = 0;

/**
 * columns: [{title, width, wide: hidden on a phone, class}], render(row): a text or node for each column,
 * open(row): called by click and Enter. Arrows, Page, Home and End move the selection. A steady list keeps its height.
 */
export class List {
  constructor({ label, columns, narrow, render, open, select, height = 38, visible = 16, steady = false }) {
    this.rows = [];
    this.selected = -1;
    this.lines = [];
    Object.assign(this, { columns, render, open, select, height, visible, least: steady ? visible : 4, id: `list${++count}` });
    this.space = h("div", { class: "space", role: "rowgroup" });
    this.body = h("div", { class: "body", role: "presentation" }, this.space);
    const heads = columns.map((c) => h("div", { role: "columnheader", class: `${c.wide ? "wide" : ""} ${c.class ?? ""}` }, c.title));
    const head = h("div", { role: "rowgroup" }, h("div", { class: "head", role: "row" }, heads));
    this.element = h("div", { class: "list", role: "grid", tabindex: 0, "aria-label": label }, head, this.body);
    this.body.style.height = `${this.least * height}px`;
    this.element.style.setProperty("--columns", columns.map((c) => c.width).join(" "));
    const kept = columns.filter((c) => !c.wide).map((c) => c.narrow ?? c.width);
    this.element.style.setProperty("--narrow", narrow ?? kept.join(" "));
    this.body.addEventListener("scroll", () => this.draw(), { passive: true });
    this.space.addEventListener("click", (event) => this.clicked(event));
    this.element.addEventListener("keydown", (event) => this.pressed(event));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.body);
  }

  /** Show other rows. `added` rows in front keep what is in sight where it is, unless the top is in sight. */
  set(rows, added = 0) {
    this.rows = rows;
    if (added && this.selected >= 0) this.selected += added;
    if (this.selected >= rows.length) this.selected = rows.length - 1;
    this.space.style.height = `${rows.length * this.height}px`;
    this.body.style.height = `${Math.max(this.least, Math.min(this.visible, rows.length)) * this.height}px`;
    if (added && this.body.scrollTop > this.height / 2) this.body.scrollTop += added * this.height;
    this.element.setAttribute("aria-rowcount", rows.length + 1);
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.body.scrollTop / this.height) - SPARE);
    const fitting = Math.ceil(this.body.clientHeight / this.height) + 2 * SPARE;
    const last = Math.min(this.rows.length, first + fitting);
    while (this.lines.length < last - first) this.lines.push(this.line());
    this.lines.forEach((line, index) => {
      const number = first + index;
      line.hidden = number >= last;
      if (!line.hidden) this.fill(line, number);
    });
    const active = this.selected >= first && this.selected < last ? `${this.id}-${this.selected}` : null;
    if (active) this.element.setAttribute("aria-activedescendant", active);
    else this.element.removeAttribute("aria-activedescendant");
  }

  line() {
    const cells = this.columns.map((c) => h("div", { role: "gridcell", class: `${c.wide ? "wide" : ""} ${c.class ?? ""}` }));
    const line = h("div", { class: "line", role: "row" }, cells);
    line.style.height = `${this.height}px`;
    this.space.append(line);
    return line;
  }

  fill(line, number) {
    line.style.transform = `translateY(${number * this.height}px)`;
    line.id = `${this.id}-${number}`;
    line.number = number;
    line.setAttribute("aria-rowindex", number + 2);
    line.setAttribute("aria-selected", number === this.selected);
    const cells = this.render(this.rows[number]);
    [...line.children].forEach((cell, index) => {
      const content = cells[index];
      if (typeof content !== "string") cell.replaceChildren(content ?? "");
      else if (cell.textContent !== content || cell.firstElementChild) cell.textContent = content;
    });
  }

  clicked(event) {
    const line = event.target.closest(".line");
    if (!line) return;
    event.preventDefault();
    this.choose(line.number);
    this.open?.(this.rows[line.number]);
  }

  choose(number) {
    if (!this.rows.length) return;
    this.selected = Math.max(0, Math.min(this.rows.length - 1, number));
    const top = this.selected * this.height;
    if (top < this.body.scrollTop) this.body.scrollTop = top;
    const bottom = top + this.height - this.body.clientHeight;
    if (bottom > this.body.scrollTop) this.body.scrollTop = bottom;
    this.draw();
    this.select?.(this.rows[this.selected]);
  }

  pressed(event) {
    if (event.target !== this.element) return;
    const page = Math.max(1, Math.floor(this.body.clientHeight / this.height) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 };
    if (event.key in steps) this.choose(this.selected + steps[event.key]);
    else if (event.key === "Enter" && this.selected >= 0) this.open?.(this.rows[this.selected]);
    else return;
    event.preventDefault();
  }
}

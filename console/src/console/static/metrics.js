// Sparkplug metrics of one edge node and its devices: values with live plots, and writes.

import { enc, send } from "/api.js";
import { brief, h, notice, say } from "/dom.js";
import { History, sparkline } from "/spark.js";

const FIXED = new Set(["bdSeq", "Ledger/Sequence"]);
const BOOLEAN = "Boolean";
const NUMBER = /^(U?Int\d+|Float|Double|DateTime)$/;

/** Returns `show(units, problem)`; units are [{device: null or name, metrics}]. */
export function metrics(parent, id) {
  const history = new History(240);
  const rows = new Map();
  const problem = h("div", {});
  const list = h("div", {});
  parent.append(problem, list);
  return (units, text) => {
    problem.replaceChildren(...(text ? [notice(text)] : []));
    if (!units) return;
    const wanted = new Set();
    for (const unit of units) {
      for (const metric of unit.metrics) {
        const key = `${unit.device ?? ""}/${metric.name}`;
        wanted.add(key);
        if (!rows.has(key)) {
          const row = makeRow(id, unit.device, metric);
          rows.set(key, row);
          list.append(row.element);
        }
        const value = typeof metric.value === "boolean" ? Number(metric.value) : metric.value;
        const points = typeof value === "number" ? history.add(key, Date.now(), value) : [];
        rows.get(key).update(metric, points);
      }
    }
    for (const [key, row] of rows) if (!wanted.has(key)) { row.element.remove(); rows.delete(key); }
  };
}

/** Names are paths: a line may end after each step. */
const breakable = (name) => name.split(/(?<=\/)/).flatMap((step, index) => (index ? [h("wbr", {}), step] : [step]));

function makeRow(id, device, metric) {
  const name = device ? `${device}: ${metric.name}` : metric.name;
  const value = h("span", { class: "value" });
  const plot = NUMBER.test(metric.type) && !FIXED.has(metric.name) ? sparkline(metric.name, { kind: "sparkplug" }) : null;
  const writable = !FIXED.has(metric.name) && metric.name !== "Node Control/Rebirth";
  const button = writable ? h("button", { type: "button", class: "small", "aria-label": `Write ${name}` }, "Write") : h("span", {});
  const element = h("div", { class: "metric" }, h("span", { title: `${metric.type}` }, breakable(name)), value, plot?.element ?? h("span", { class: "spark" }), button);
  button.addEventListener("click", () => editor(element, id, device, metric));
  return {
    element,
    update: (now, points) => {
      value.textContent = now.value === null ? "null" : brief(now.value);
      value.className = `value ${now.quality === "good" ? "" : "stale"}`;
      value.title = `${now.type}, ${now.quality}, ${new Date(now.timestamp).toLocaleString()}`;
      plot?.draw(points);
    },
  };
}

function editor(element, id, device, metric) {
  const open = element.querySelector("form");
  if (open) return open.remove();
  const input = metric.type === BOOLEAN
    ? h("select", { "aria-label": `New value of ${metric.name}` }, h("option", {}, "true"), h("option", {}, "false"))
    : h("input", { type: "text", value: brief(metric.value ?? ""), "aria-label": `New value of ${metric.name}` });
  const answer = h("span", { role: "status" });
  const form = h("form", {}, input, h("button", { type: "submit", class: "small primary" }, "Send"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const unit = device === null ? "" : `/devices/${enc(device)}`;
    try {
      const value = metric.type === BOOLEAN ? input.value === "true" : NUMBER.test(metric.type) ? Number(input.value) : input.value;
      if (Number.isNaN(value)) throw new Error("not a number");
      await send("PUT", `/api/sparkplug/nodes/${enc(id)}${unit}/metrics/${metric.name.split("/").map(enc).join("/")}`, { value });
      answer.className = "answer good";
      answer.textContent = "sent; the next data message tells whether it was taken";
      say("sent");
    } catch (error) {
      answer.className = "answer bad";
      answer.textContent = error.message;
    }
  });
  element.append(form);
  input.focus();
}

// Kafka topics: how many records, how fast, and the newest of one.

import { enc, get, poll } from "/api.js";
import { brief, card, clock, h, notice, rate, whole } from "/dom.js";
import { History, sparkline } from "/spark.js";

export function topics(main, signal) {
  const history = new History(120);
  const rows = new Map();
  const problem = h("div", {});
  const detail = h("div", {});
  const body = h("tbody", {});
  const heads = ["Topic", "Records", "Rate", "Course"].map((text, i) => h("th", { scope: "col", class: i === 1 || i === 2 ? "num" : i === 3 ? "wide" : "" }, text));
  const table = h("div", { class: "card scroll-x" }, h("table", {}, h("caption", { class: "visually-hidden" }, "Kafka topics"), h("thead", {}, h("tr", {}, heads)), body));
  main.append(h("h1", {}, "Topics"), problem, table, detail);
  let closing = new AbortController();
  const choose = (name) => {
    closing.abort();
    closing = new AbortController();
    for (const [topic, row] of rows) row.button.setAttribute("aria-pressed", topic === name);
    records(detail, name, AbortSignal.any([signal, closing.signal]));
  };
  poll(2000, signal, async () => {
    const found = await get("/api/topics", signal);
    problem.replaceChildren();
    table.hidden = !found.topics.length;
    const now = Date.now();
    for (const topic of found.topics) {
      if (!rows.has(topic.name)) { const row = makeRow(topic.name, choose); rows.set(topic.name, row); body.append(row.element); }
      const row = rows.get(topic.name);
      row.count.textContent = whole(topic.records);
      row.rate.textContent = rate(topic.rate);
      row.element.classList.toggle("soft", !topic.records);
      row.plot.draw(history.add(topic.name, now, topic.rate));
    }
    if (!found.topics.length) problem.replaceChildren(notice("There are no topics yet."));
  }, (error) => {
    problem.replaceChildren(notice(error.message, "bad"));
    table.hidden = !rows.size;
    for (const row of rows.values()) row.rate.textContent = "–";
  });
}

function makeRow(name, choose) {
  const plot = sparkline(`records per second of ${name}`, { least: 0 });
  const count = h("td", { class: "num" });
  const speed = h("td", { class: "num" });
  const button = h("button", { type: "button", class: "small quiet mono", "aria-pressed": "false", onclick: () => choose(name) }, name);
  return { plot, count, rate: speed, button, element: h("tr", {}, h("td", {}, button), count, speed, h("td", { class: "wide" }, plot.element)) };
}

function records(parent, topic, signal) {
  const list = h("div", {}, h("p", { class: "soft" }, "reading…"));
  let paused = false;
  const pause = h("button", { type: "button", class: "small", "aria-pressed": "false", onclick: () => { paused = !paused; pause.setAttribute("aria-pressed", paused); pause.textContent = paused ? "Go on" : "Pause"; } }, "Pause");
  parent.replaceChildren(card(`Newest records of ${topic}`, pause, list));
  poll(3000, signal, async () => {
    if (paused || list.querySelector("details[open]")) return;
    const found = await get(`/api/topics/${enc(topic)}/records?limit=15`, signal);
    if (!found.records.length) return list.replaceChildren(h("p", { class: "empty" }, "This topic is empty."));
    list.replaceChildren(...found.records.map(recordNode));
  }, (error) => list.replaceChildren(notice(error.message, "bad")));
}

function recordNode(record) {
  const line = h("summary", {}, clock(record.time), " ", h("b", {}, record.key), " ", h("span", { class: "soft" }, shorten(brief(record.value), 150)));
  const content = JSON.stringify({ partition: record.partition, offset: record.offset, size: record.size, headers: record.headers, value: record.value }, null, 2);
  return h("details", { class: "object" }, line, h("pre", { tabindex: 0, "aria-label": "Record" }, content));
}

const shorten = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

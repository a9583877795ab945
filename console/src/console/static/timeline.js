// Every message of one device's connection, both protocols interleaved, decoded, as they come.

import { enc, stream } from "/api.js";
import { card, clock, h, notice, tag } from "/dom.js";
import { List } from "/list.js";

const KEEP = 2000;
const ARROWS = { up: "↑ up", down: "↓ down", both: "↕" };

export function timeline(id, signal) {
  const state = { rows: [], paused: false, waiting: [] };
  const problem = h("div", {});
  const detail = h("div", {});
  const shown = { lwm2m: true, sparkplug: true, grouped: true };
  const list = new List({
    label: "Messages of both protocols, the newest first",
    columns: [
      { title: "Time", width: "6.8rem", wide: true },
      { title: "Way", width: "4rem", wide: true },
      { title: "Protocol", width: "5.8rem", narrow: "5.4rem" },
      { title: "Message", width: "8rem", narrow: "6.6rem" },
      { title: "Content", width: "minmax(0, 1fr)" },
    ],
    render: (row) => [clock(row.last.at), ARROWS[row.last.direction], tag(row.last.protocol === "lwm2m" ? "LwM2M" : "Sparkplug", row.last.protocol), row.count > 1 ? `${row.last.kind} × ${row.count}` : row.last.kind, `${row.last.summary}`],
    select: (row) => showDetail(detail, row),
    open: (row) => showDetail(detail, row),
    height: 30,
    visible: 15,
    steady: true,
  });
  const rebuild = () => {
    const all = state.all.filter((message) => shown[message.protocol]);
    state.rows = [];
    for (const message of all) put(state.rows, message, shown.grouped);
    list.set(state.rows.slice().reverse());
  };
  state.all = [];
  const add = (messages) => {
    if (state.paused) {
      state.waiting = state.waiting.concat(messages).slice(-KEEP);
      pause.textContent = `Go on (${state.waiting.length})`;
      return;
    }
    state.all = state.all.concat(messages).slice(-KEEP);
    const before = state.rows.length;
    for (const message of messages) if (shown[message.protocol]) put(state.rows, message, shown.grouped);
    const added = state.rows.length - before;
    if (state.rows.length > KEEP) state.rows.splice(0, state.rows.length - KEEP);
    list.set(state.rows.slice().reverse(), added);
  };
  const pause = h("button", { type: "button", class: "small", "aria-pressed": "false", onclick: () => {
    state.paused = !state.paused;
    pause.setAttribute("aria-pressed", state.paused);
    pause.textContent = state.paused ? "Go on" : "Pause";
    if (!state.paused) add(state.waiting.splice(0));
  } }, "Pause");
  const box = (text, key) => {
    const input = h("input", { type: "checkbox", checked: true, onchange: () => { shown[key] = input.checked; rebuild(); } });
    return h("label", { class: "check" }, input, text);
  };
  stream(`/api/devices/${enc(id)}/messages`, signal, (name, data) => {
    if (name === "messages") add(data);
    else if (name === "skipped") problem.replaceChildren(notice(`${data.count} messages came faster than this page takes them and are left out.`));
    else if (name === "state") problem.replaceChildren(...(data.connected === false ? [notice(`No messages: ${data.detail}`, "bad")] : []));
  });
  return card("One connection, two protocols", h("span", { class: "row" }, box("LwM2M", "lwm2m"), box("Sparkplug", "sparkplug"), box("Group repeats", "grouped"), pause), problem, list.element, detail);
}

/** Append a message; one of the same topic as the last joins it, so that the other protocol stays in sight. */
function put(rows, message, grouped) {
  const last = rows[rows.length - 1];
  if (grouped && last && last.last.topic === message.topic && last.last.kind === message.kind) {
    last.count += 1;
    last.last = message;
  } else rows.push({ count: 1, last: message });
}

function showDetail(parent, row) {
  const { last } = row;
  parent.replaceChildren(
    h("h3", {}, `${last.kind}, ${clock(last.at)}, ${last.size} bytes`),
    h("code", {}, last.topic),
    h("pre", { tabindex: 0, "aria-label": "Decoded content" }, JSON.stringify(last.content, null, 2)));
}

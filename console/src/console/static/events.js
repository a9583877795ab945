// What happens, live: the events of the LwM2M server and of the Sparkplug host.

import { stream } from "/api.js";
import { brief, clock, h, notice, tag } from "/dom.js";
import { List } from "/list.js";

const KEEP = 5000;
const KINDS = {
  registered: "good", online: "good", deregistered: "warn", offline: "bad", expired: "bad", refused: "bad",
  node_born: "good", device_born: "good", node_died: "bad", device_died: "bad", node_stale: "warn", device_stale: "warn",
  node_forgotten: "warn",
};
const PROTOCOLS = { "lwm2m-server": ["LwM2M", "lwm2m"], "sparkplug-host": ["Sparkplug", "sparkplug"] };

export function events(main, signal) {
  const state = { all: [], paused: false, waiting: [] };
  const problem = h("div", {});
  const detail = h("div", {});
  const count = h("span", { class: "soft" }, "…");
  const search = h("input", { type: "search", class: "grow", placeholder: "Filter by device or content", "aria-label": "Filter events by device or content" });
  const types = ["send", "updated", "notification", "response", "rebirth_requested", "written", ...Object.keys(KINDS)];
  const type = h("select", { "aria-label": "Type" }, h("option", { value: "" }, "All types"), types.map((t) => h("option", { value: t }, t)));
  const list = new List({
    label: "Events, the newest first",
    columns: [
      { title: "Time", width: "6.8rem" },
      { title: "Protocol", width: "5.8rem", wide: true },
      { title: "Type", width: "8.5rem", narrow: "6.2rem" },
      { title: "Device", width: "minmax(9rem, 1fr)", narrow: "minmax(0, 1fr)" },
      { title: "Content", width: "minmax(0, 2.2fr)", wide: true },
    ],
    render: (event) => [clock(Date.parse(event.timestamp)), tag(...PROTOCOLS[event.part]), tag(event.type, KINDS[event.type] ?? ""), event.endpoint ?? "", content(event)],
    select: (event) => show(event),
    open: (event) => show(event),
    height: 32,
    steady: true,
    visible: Math.max(8, Math.min(18, Math.floor((innerHeight - 300) / 32))),
  });
  let shown = null;
  const show = (event) => {
    shown = event;
    detail.replaceChildren(...(event ? [card(event)] : []));
  };
  const card = (event) => h("section", { class: "card", "aria-label": "Event" }, h("header", {}, h("h2", {}, `${event.type} of ${event.endpoint}`), h("a", { href: `#/devices/${encodeURIComponent(event.endpoint)}` }, "Open device")), h("pre", { tabindex: 0, "aria-label": "Event as JSON" }, JSON.stringify({ ...event, part: undefined }, null, 2)));
  const matches = (event) => (!type.value || event.type === type.value) && (!search.value || JSON.stringify(event).toLowerCase().includes(search.value.toLowerCase()));
  const problems = new Map();
  const tellProblem = (part, text) => {
    problems.set(part, text);
    if (part !== "console") problems.delete("console");
    problem.replaceChildren(...[...problems.values()].filter(Boolean).map((one) => notice(one, "bad")));
  };
  let rows = [];
  const tell = () => { count.textContent = `${rows.length} of ${state.all.length} events`; };
  const rebuild = () => {
    rows = state.all.filter(matches).reverse();
    list.set(rows);
    // An event that the filter leaves out is not in the list any more: nor is what it was.
    if (shown && !matches(shown)) show(null);
    tell();
  };
  const newest = {};
  /** The stream starts with events from before, so after an interruption some come again. */
  const fresh = ({ part, events: found }) => {
    const unseen = found.filter((event) => event.id > (newest[part] ?? 0));
    if (unseen.length) newest[part] = unseen[unseen.length - 1].id;
    return unseen.map((event) => ({ ...event, part }));
  };
  const add = (found) => {
    if (state.paused) {
      state.waiting = state.waiting.concat(found).slice(-KEEP);
      pause.textContent = `Go on (${state.waiting.length})`;
      return;
    }
    const last = state.all[state.all.length - 1]?.timestamp ?? "";
    state.all = state.all.concat(found).slice(-KEEP);
    if (found.some((event) => event.timestamp < last)) {
      state.all.sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0));
      return rebuild();
    }
    const shown = found.filter(matches).reverse();
    rows = shown.concat(rows).slice(0, KEEP);
    list.set(rows, shown.length);
    tell();
  };
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    state.paused = !state.paused;
    pause.setAttribute("aria-pressed", state.paused);
    pause.textContent = state.paused ? "Go on" : "Pause";
    if (!state.paused) add(state.waiting.splice(0));
  } }, "Pause");
  search.addEventListener("input", rebuild);
  type.addEventListener("change", rebuild);
  main.append(h("h1", {}, "Events"), problem, h("div", { class: "row" }, search, type, pause, count), list.element, detail);
  stream("/api/events", signal, (name, data) => {
    if (name === "events") add(fresh(data));
    else if (name === "gap") tellProblem("gap", `${data.count} events came faster than this page takes them and are left out.`);
    else if (name === "state") tellProblem(data.part ?? "console", data.connected ? "" : `No events: ${data.detail}`);
  });
}

function content(event) {
  const values = event.data?.values;
  if (values) return Object.entries(values).map(([path, value]) => `${path} = ${brief(value)}`).join(", ");
  const { seq, timestamp, ...rest } = event.data ?? {};
  return JSON.stringify(rest);
}

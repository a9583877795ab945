// Devices: both protocols' view of each device side by side.

import { get, poll } from "/api.js";
import { ago, h, notice, number, tag } from "/dom.js";
import { List } from "/list.js";

const FILTERS = {
  all: ["All devices", () => true],
  online: ["Online in both", (d) => d.lwm2m?.online && d.sparkplug?.online],
  trouble: ["Differ or have gaps", (d) => !d.lwm2m !== !d.sparkplug || d.lwm2m?.online !== d.sparkplug?.online || d.sparkplug?.gaps > 0 || d.sparkplug?.duplicate_id],
  offline: ["Offline somewhere", (d) => d.lwm2m?.online === false || d.sparkplug?.online === false],
};
const ORDERS = {
  id: ["Name", (a, b) => (a.id < b.id ? -1 : 1)],
  seen: ["Last seen", (a, b) => seen(b) - seen(a)],
  gaps: ["Sequence gaps", (a, b) => (b.sparkplug?.gaps ?? 0) - (a.sparkplug?.gaps ?? 0)],
};

/** A device of an experiment that has ended: the Sparkplug host remembers it, and there may be hundreds. */
const isLeftBehind = (d) => d.id.startsWith("experiment-") && !d.lwm2m && d.sparkplug?.online === false;

const seen = (device) => Math.max(Date.parse(device.lwm2m?.lastUpdate ?? "") || 0, device.sparkplug?.seen_at ?? 0);

export function devices(main, signal) {
  let all = [];
  const problem = h("div", {});
  const shown = h("span", { class: "soft" }, "…");
  const search = h("input", { type: "search", class: "grow", placeholder: "Search by name", "aria-label": "Search devices by name" });
  const options = (choices) => Object.entries(choices).map(([value, [text]]) => h("option", { value }, text));
  const filter = h("select", { "aria-label": "Filter" }, options(FILTERS));
  const order = h("select", { "aria-label": "Order" }, options(ORDERS));
  const old = h("input", { type: "checkbox" });
  const oldLabel = h("label", { class: "check", hidden: true }, old, h("span", {}));
  const list = new List({
    label: "Devices",
    columns: [
      { title: "Device", width: "minmax(12rem, 2fr)", narrow: "minmax(0, 1.6fr)" },
      { title: "LwM2M", width: "6.5rem", narrow: "5.2rem" },
      { title: "Lifetime", width: "5.5rem", wide: true, class: "num" },
      { title: "Last update", width: "7rem", wide: true },
      { title: "Sparkplug", width: "6.5rem", narrow: "5.2rem" },
      { title: "Last message", width: "7rem", wide: true },
      { title: "Births", width: "4rem", wide: true, class: "num" },
      { title: "Gaps", width: "4rem", wide: true, class: "num" },
    ],
    render,
    open: (device) => { location.hash = `#/devices/${encodeURIComponent(device.id)}`; },
    visible: Math.max(8, Math.min(20, Math.floor((innerHeight - 260) / 38))),
  });
  const refresh = () => {
    const word = search.value.trim().toLowerCase();
    const kept = old.checked ? all : all.filter((d) => !isLeftBehind(d));
    const left = all.filter(isLeftBehind).length;
    oldLabel.hidden = !left;
    oldLabel.lastChild.textContent = `${number(left)} of ended experiments`;
    const rows = kept.filter((d) => d.id.toLowerCase().includes(word) && FILTERS[filter.value][1](d)).sort(ORDERS[order.value][1]);
    list.set(rows);
    shown.textContent = rows.length === kept.length ? `${number(kept.length)} device${kept.length === 1 ? "" : "s"}` : `${number(rows.length)} of ${number(kept.length)} devices`;
  };
  search.addEventListener("input", refresh);
  for (const choice of [filter, order, old]) choice.addEventListener("change", refresh);
  main.append(h("h1", {}, "Devices"), problem, h("div", { class: "row" }, search, filter, order, oldLabel, shown), list.element);
  poll(3000, signal, async () => {
    const found = await get("/api/devices", signal);
    all = found.devices;
    problem.replaceChildren(...Object.values(found.unavailable).map((text) => notice(text, "bad")));
    refresh();
  }, (error) => problem.replaceChildren(notice(`No devices: ${error.message}`, "bad")));
}

function render(device) {
  const { lwm2m, sparkplug } = device;
  return [
    h("a", { href: `#/devices/${encodeURIComponent(device.id)}`, tabindex: -1 }, device.id),
    lwm2m ? tag(lwm2m.online ? "online" : "offline", lwm2m.online ? "good" : "bad") : tag("unknown"),
    lwm2m ? `${lwm2m.lifetime} s` : "",
    lwm2m ? ago(Date.parse(lwm2m.lastUpdate)) : "",
    sparkplug ? tag(sparkplug.online ? (sparkplug.stale ? "stale" : "online") : "offline", sparkplug.online ? (sparkplug.stale ? "warn" : "good") : "bad") : tag("unknown"),
    sparkplug ? ago(sparkplug.seen_at) : "",
    sparkplug ? String(sparkplug.births ?? "") : "",
    sparkplug ? String(sparkplug.gaps ?? "") : "",
  ];
}

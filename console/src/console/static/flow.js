// Flow: the architecture, with live rates on the arrows and health on the boxes.

import { enc, get, poll } from "/api.js";
import { card, h, notice, number, rate, s, tag, whole } from "/dom.js";
import { History, sparkline } from "/spark.js";

const PERIOD = 2000;
const PARTS = {
  "device-simulator": { name: "Devices", sub: (f) => `${number(f.connected)} of ${number(f.devices)} connected` },
  mosquitto: { name: "Mosquitto", sub: (f) => `${number(f.clients)} clients` },
  "lwm2m-server": { name: "LwM2M server", sub: (f) => `${number(f.active_devices)} devices active` },
  "sparkplug-host": { name: "Sparkplug host", sub: (f) => `${number(f.devices_online)} devices online` },
  "mqtt-redpanda-bridge": { name: "Bridge", sub: (f) => `${number(f.in_flight)} in flight` },
  "redpanda-connect": { name: "Redpanda Connect", sub: () => "HTTP and WebSocket" },
  kafka: { name: "Kafka topics", sub: (f) => `${number(f.records)} records` },
  prometheus: { name: "Prometheus", sub: () => "scrapes every part" },
};
// Figures that are numbers of something; all others are growth per second.
const GAUGES = new Set(["devices", "connected", "registered", "active_devices", "devices_online", "nodes_online", "in_flight", "records", "topics", "dead_letters", "clients", "dropped_total", "stored", "uptime"]);
const WIDE = {
  size: [184, 78],
  box: [1190, 400],
  at: { "device-simulator": [4, 160], mosquitto: [274, 160], "lwm2m-server": [532, 12], "sparkplug-host": [532, 160], "mqtt-redpanda-bridge": [532, 308], "redpanda-connect": [786, 12], kafka: [1002, 160], prometheus: [786, 160] },
};
const TALL = {
  size: [166, 78],
  box: [400, 828],
  at: { "device-simulator": [117, 6], mosquitto: [117, 144], "lwm2m-server": [4, 290], "sparkplug-host": [230, 290], "redpanda-connect": [4, 436], "mqtt-redpanda-bridge": [230, 436], kafka: [117, 590], prometheus: [117, 736] },
};
// from, to, protocol, which figure, where it leaves and arrives: sides as fractions of the boxes, by layout.
const WIRES = [
  { key: "devices-lwm2m", from: "device-simulator", to: "mosquitto", kind: "lwm2m", figure: ["device-simulator", "lwm2m_sent"], wide: [1, 0.4, 0, 0.4, -9], tall: [0.42, 1, 0.42, 0, 0, "end"] },
  { key: "devices-spark", from: "device-simulator", to: "mosquitto", kind: "sparkplug", figure: ["device-simulator", "sparkplug_sent"], wide: [1, 0.6, 0, 0.6, 19], tall: [0.58, 1, 0.58, 0, 0, "start"] },
  { key: "lwm2m-up", from: "mosquitto", to: "lwm2m-server", kind: "lwm2m", figure: ["lwm2m-server", "messages"], wide: [1, 0.22, 0, 0.6], tall: [0.2, 1, 0.5, 0] },
  { key: "spark-up", from: "mosquitto", to: "sparkplug-host", kind: "sparkplug", figure: ["sparkplug-host", "messages"], wide: [1, 0.5, 0, 0.5, -8], tall: [0.8, 1, 0.6, 0] },
  { key: "bridge-up", from: "mosquitto", to: "mqtt-redpanda-bridge", kind: "both", figure: ["mqtt-redpanda-bridge", "received"], wide: [1, 0.78, 0, 0.4], tall: [0.5, 1, 0, 0.5, 0, "middle", -14] },
  { key: "events", from: "lwm2m-server", to: "redpanda-connect", kind: "lwm2m", figure: ["redpanda-connect", "received"], wide: [1, 0.5, 0, 0.5, -8], tall: [0.5, 1, 0.5, 0] },
  { key: "connect-kafka", from: "redpanda-connect", to: "kafka", kind: "lwm2m", figure: ["redpanda-connect", "delivered"], wide: [1, 0.5, 0.3, 0], tall: [0.5, 1, 0.25, 0] },
  { key: "bridge-kafka", from: "mqtt-redpanda-bridge", to: "kafka", kind: "both", figure: ["mqtt-redpanda-bridge", "delivered"], wide: [1, 0.5, 0.3, 1], tall: [0.5, 1, 0.75, 0] },
];
const QUERIES = {
  "device-simulator": [["messages sent /s", "sum(rate(simulator_messages_sent_total[1m]))"], ["devices connected", "sum(simulator_devices_connected)"]],
  "lwm2m-server": [["messages /s", "sum(rate(lwm2m_messages_total[1m]))"], ["active devices", "sum(lwm2m_active_devices)"], ["REST p95, ms", "1000 * histogram_quantile(0.95, sum by (le) (rate(lwm2m_http_request_duration_seconds_bucket[1m])))"]],
  "sparkplug-host": [["messages /s", "sum(rate(sparkplug_messages_total[1m]))"], ["devices online", "sum(sparkplug_devices_online)"], ["sequence gaps /s", "sum(rate(sparkplug_sequence_gaps_total[1m]))"]],
  "mqtt-redpanda-bridge": [["delivered /s", "sum(rate(bridge_delivered_total[1m]))"], ["in flight", "sum(bridge_in_flight)"], ["MQTT to Kafka p99, ms", "1000 * histogram_quantile(0.99, sum by (le) (rate(bridge_delivery_seconds_bucket[1m])))"]],
  "redpanda-connect": [["delivered /s", "sum(rate(output_sent[1m]))"], ["errors /s", "sum(rate(output_error[1m]))"]],
  prometheus: [["targets up", "sum(up)"], ["samples /s", "sum(rate(prometheus_tsdb_head_samples_appended_total[1m]))"]],
};

export function flow(main, signal) {
  const history = new History(180);
  const state = { parts: {}, chosen: null };
  const problem = h("div", {});
  const tiles = h("div", { class: "tiles" });
  const diagram = h("div", { class: "flow card" });
  const detail = h("div", {});
  main.append(h("h1", {}, "Flow"), problem, tiles, diagram, detail);
  const narrow = matchMedia("(max-width: 760px)");
  const choose = (part) => {
    state.chosen = state.chosen === part ? null : part;
    drawing.mark(state.chosen);
    showDetail();
  };
  let drawing;
  let closing = new AbortController();
  const layOut = () => {
    drawing = draw(narrow.matches ? TALL : WIDE, narrow.matches ? "tall" : "wide", choose);
    diagram.replaceChildren(drawing.svg);
    drawing.update(state.parts);
    drawing.mark(state.chosen);
  };
  const showDetail = () => {
    closing.abort();
    closing = new AbortController();
    detail.replaceChildren();
    if (state.chosen) state.redraw = partDetail(detail, AbortSignal.any([signal, closing.signal]), state, history);
    else state.redraw = null;
  };
  narrow.addEventListener("change", layOut, { signal });
  layOut();
  poll(PERIOD, signal, async () => {
    const found = await get("/api/overview", signal);
    state.parts = found.parts;
    for (const [part, { figures }] of Object.entries(found.parts)) {
      for (const [name, value] of Object.entries(figures ?? {})) history.add(`${part} ${name}`, found.time, value);
    }
    problem.replaceChildren();
    drawing.update(state.parts);
    tiles.replaceChildren(...summary(state.parts));
    state.redraw?.();
  }, (error) => {
    problem.replaceChildren(notice(`No figures: ${error.message}`, "bad"));
    state.parts = {};
    drawing.update(state.parts);
    tiles.replaceChildren();
    state.redraw?.();
  });
}

const isDown = (part) => part?.status === "unhealthy" || part?.status === "unreachable";

function summary(parts) {
  const f = (part) => parts[part]?.figures ?? {};
  const add = (...values) => (values.every((v) => v === null || v === undefined) ? null : values.reduce((a, b) => a + (b ?? 0), 0));
  const down = Object.keys(parts).filter((part) => isDown(parts[part]));
  const sent = add(f("device-simulator").sparkplug_sent, f("device-simulator").lwm2m_sent);
  const tile = (value, text, view, bad) => h(view ? "a" : "div", { class: `tile ${bad ? "bad" : ""}`, href: view && `#/${view}` }, h("b", {}, value), h("span", {}, text));
  return [
    down.length ? tile(`${down.length} down`, down.map((part) => PARTS[part]?.name ?? part).join(", "), "alerts", true) : tile("all healthy", "parts"),
    tile(number(f("device-simulator").connected), "devices connected", "devices"),
    tile(rate(sent), "sent by devices"),
    tile(rate(f("kafka").rate), "into Kafka topics", "topics"),
    tile(number(f("kafka").dead_letters), "dead letters kept", "topics", f("kafka").dead_letters > 0),
  ];
}

function draw(layout, form, choose) {
  const [width, height] = layout.size;
  const boxes = {};
  const rates = {};
  const wires = s("g", { "aria-hidden": "true" });
  const nodes = s("g", {});
  const [ax, ay] = layout.at["device-simulator"];
  const [bx, by] = layout.at.mosquitto;
  const tube = form === "wide" ? [ax + width, ay + height / 2, bx, by + height / 2] : [ax + width / 2, ay + height, bx + width / 2, by];
  wires.append(s("line", { class: "pipe", x1: tube[0], y1: tube[1], x2: tube[2], y2: tube[3] }));
  if (form === "wide") wires.append(s("text", { class: "sub", x: (tube[0] + tube[2]) / 2, y: tube[1] + 58, "text-anchor": "middle" }, "one TLS connection"));
  for (const wire of WIRES) rates[wire.key] = drawWire(wires, wire, layout, form);
  for (const [part, [x, y]] of Object.entries(layout.at)) {
    const state = s("text", { class: "state sub", x: x + 14, y: y + 66 }, "…");
    const sub = s("text", { class: "sub", x: x + 14, y: y + 46 });
    const act = () => choose(part);
    const group = s("g", { class: "box", role: "button", tabindex: 0, "aria-pressed": "false", onclick: act, onkeydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); act(); } } },
      s("rect", { class: "body", x, y, width, height, rx: 10 }), s("circle", { class: "lamp", cx: x + width - 16, cy: y + 60, r: 6 }),
      s("text", { class: "title", x: x + 14, y: y + 25 }, PARTS[part].name), sub, state);
    nodes.append(group);
    boxes[part] = { group, sub, state };
  }
  const svg = s("svg", { viewBox: `0 0 ${layout.box.join(" ")}`, class: form, role: "group", "aria-label": "Architecture with live rates" }, wires, nodes);
  return {
    svg,
    mark: (chosen) => { for (const [part, { group }] of Object.entries(boxes)) group.setAttribute("aria-pressed", part === chosen); },
    update: (parts) => {
      for (const [part, box] of Object.entries(boxes)) updateBox(part, box, parts[part]);
      for (const wire of WIRES) {
        const value = parts[wire.figure[0]]?.figures?.[wire.figure[1]];
        rates[wire.key].label.textContent = rate(value);
        rates[wire.key].line.classList.toggle("moving", value > 0);
        rates[wire.key].line.classList.toggle("cut", !(value > 0) && (isDown(parts[wire.from]) || isDown(parts[wire.to])));
      }
    },
  };
}

function updateBox(part, box, found) {
  const status = found?.status ?? "unknown";
  const figures = found?.figures ?? {};
  const several = found?.instances > 1 ? ` × ${found.instances}` : "";
  box.group.setAttribute("class", `box ${status} ${part}`);
  box.sub.textContent = PARTS[part].sub(figures);
  box.state.textContent = status + several;
  box.group.setAttribute("aria-label", `${PARTS[part].name}: ${status}${several}, ${box.sub.textContent}`);
}

function drawWire(parent, wire, layout, form) {
  const [width, height] = layout.size;
  const [fx, fy] = layout.at[wire.from];
  const [tx, ty] = layout.at[wire.to];
  const [a, b, c, d, lift = -6, anchor = "middle", shift = { end: -12, start: 12 }[anchor] ?? 0] = wire[form];
  const from = [fx + a * width, fy + b * height];
  const to = [tx + c * width, ty + d * height];
  const line = s("path", { class: `wire ${wire.kind}`, d: `M${from}L${to}` });
  const angle = (Math.atan2(to[1] - from[1], to[0] - from[0]) * 180) / Math.PI;
  const head = s("path", { class: `head ${wire.kind}`, d: "M-9 -5L0 0L-9 5", transform: `translate(${to}) rotate(${angle})` });
  const middle = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
  const label = s("text", { class: `rate ${wire.kind}`, x: middle[0] + shift, y: middle[1] + lift, "text-anchor": anchor }, "–");
  parent.append(line, head, label);
  return { line, label };
}

const HIDDEN = new Set(["timestamp", "status", "latest_event"]);
function figureText(name, value) {
  if (name.endsWith("_connected")) return value === null ? "–" : value ? "yes" : "no";
  return GAUGES.has(name) ? number(value) : rate(value);
}

const words = (name) => name.replaceAll("_", " ");

function partDetail(parent, signal, state, history) {
  const part = state.chosen;
  const status = h("span", {});
  const figures = h("dl", { class: "figures" });
  const said = h("div", {});
  const plots = h("div", { class: "plots" });
  const lines = new Map();
  parent.append(card(PARTS[part].name, status, said, figures, plots));
  const redraw = () => {
    const found = state.parts[part];
    if (!found) return said.replaceChildren(notice("nothing is known of it yet"));
    const kind = { healthy: "good", unknown: "" }[found.status] ?? "bad";
    status.replaceChildren(tag(found.status, kind));
    said.replaceChildren(...(found.detail ? [notice(found.detail, kind === "bad" ? "bad" : "")] : []));
    const shown = Object.entries(found.figures ?? {}).map(([name, value]) => [words(name), figureText(name, value)]);
    for (const [name, value] of Object.entries(found.health ?? {})) {
      if (name in (found.figures ?? {}) || HIDDEN.has(name) || typeof value === "object") continue;
      shown.push([words(name), typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? whole(value) : value]);
    }
    figures.replaceChildren(...shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    for (const [name, line] of lines) line(history.get(`${part} ${name}`));
  };
  const plot = (title, line) => { plots.append(h("figure", {}, h("figcaption", {}, title, line.said), line.element)); };
  const queries = QUERIES[part];
  if (queries) pollQueries(queries, signal, plot, said);
  else for (const name of Object.keys(state.parts[part]?.figures ?? {})) {
    const line = sparkline(words(name), { least: 0 });
    lines.set(name, line.draw);
    plot(`${words(name)}, since this view is open`, line);
  }
  redraw();
  return redraw;
}

function pollQueries(queries, signal, plot, said) {
  const lines = queries.map(([title, query]) => {
    const line = sparkline(`${title}, last 30 minutes`, { least: 0 });
    plot(`${title}, last 30 min`, line);
    return { query, draw: line.draw };
  });
  poll(10000, signal, async () => {
    const end = Date.now() / 1000;
    for (const { query, draw: redraw } of lines) {
      const answer = await get(`/api/prometheus/query_range?query=${enc(query)}&start=${end - 1800}&end=${end}&step=15`, signal);
      redraw((answer.data.result[0]?.values ?? []).map(([time, value]) => [time, Number(value)]));
    }
  }, (error) => said.append(notice(`No history: ${error.message}`)));
}

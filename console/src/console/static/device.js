// One device: both protocols' state, its objects, its metrics, and every message of its one connection.

import { enc, get, poll, send } from "/api.js";
import { ago, card, h, notice, say, tag } from "/dom.js";
import { metrics } from "/metrics.js";
import { timeline } from "/timeline.js";
import { tree } from "/tree.js";

export function device(main, signal, id) {
  const badges = h("span", { class: "row" });
  const facts = h("p", { class: "soft" });
  const objects = h("div", {});
  const units = h("div", {});
  const rebirth = h("button", { type: "button", onclick: () => askRebirth(id, rebirth) }, "Ask for rebirth");
  main.append(
    h("div", {}, h("a", { href: "#/devices" }, "All devices"), h("div", { class: "row" }, h("h1", {}, id), badges), facts),
    timeline(id, signal),
    h("div", { class: "device" }, card("LwM2M objects", null, objects), card("Sparkplug metrics", rebirth, units)));
  const state = { lwm2m: null, sparkplug: null, away: {} };
  const badge = (protocol, found, unknown, away) =>
    found ? tag(`${protocol} ${found.online ? "online" : "offline"}`, found.online ? "good" : "bad") : tag(`${protocol} ${away ? "unavailable" : unknown}`, away ? "bad" : "");
  const showFacts = () => {
    const { lwm2m, sparkplug } = state;
    badges.replaceChildren(
      badge("LwM2M", lwm2m, "not registered", state.away.lwm2m),
      badge("Sparkplug", sparkplug, "not known", state.away.sparkplug));
    const words = [];
    if (lwm2m) words.push(`LwM2M ${lwm2m.lwM2mVersion}, profile ${lwm2m.profile ?? "json"}, lifetime ${lwm2m.lifetime} s, last update ${ago(Date.parse(lwm2m.lastUpdate))}`);
    if (sparkplug) words.push(`born ${ago(sparkplug.born_at)}, bdSeq ${sparkplug.bd_seq}, ${sparkplug.gaps} gap${sparkplug.gaps === 1 ? "" : "s"}, ${sparkplug.births} birth${sparkplug.births === 1 ? "" : "s"}`);
    facts.textContent = words.join(" · ");
  };
  const showObjects = tree(objects, id, signal);
  poll(4000, signal, async () => {
    state.lwm2m = await get(`/api/lwm2m/clients/${enc(id)}`, signal);
    showObjects(state.lwm2m);
    showFacts();
  }, (error) => {
    state.lwm2m = null;
    state.away.lwm2m = error.status !== 404;
    showObjects(null, error.status === 404 ? "This device is not registered at the LwM2M server." : `No LwM2M state: ${error.message}`);
    showFacts();
  });
  const showMetrics = metrics(units, id);
  poll(1000, signal, async () => {
    const node = await get(`/api/sparkplug/nodes/${enc(id)}`, signal);
    const found = await Promise.all(node.devices.map((unit) => get(`/api/sparkplug/nodes/${enc(id)}/devices/${enc(unit.device)}`, signal)));
    state.sparkplug = node;
    showMetrics([{ device: null, metrics: node.metrics }, ...found]);
    showFacts();
  }, (error) => {
    state.sparkplug = null;
    state.away.sparkplug = error.status !== 404;
    showMetrics(null, error.status === 404 ? "The Sparkplug host has not seen this edge node." : `No Sparkplug state: ${error.message}`);
    showFacts();
  });
}

async function askRebirth(id, button) {
  button.disabled = true;
  try {
    await send("POST", `/api/sparkplug/nodes/${enc(id)}/rebirth`);
    say("rebirth requested");
    button.after(notice("Requested: the births appear in the timeline."));
  } catch (error) {
    button.after(notice(`Not requested: ${error.message}`, "bad"));
  }
  setTimeout(() => { button.disabled = false; button.parentElement?.querySelectorAll(".notice").forEach((n) => n.remove()); }, 4000);
}

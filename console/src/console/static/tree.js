// LwM2M objects of one device: object, instance, resource, each with what can be done to it.

import { enc, get, poll, send } from "/api.js";
import { act, attributesForm, valueText, writeForm } from "/operations.js";
import { h, notice } from "/dom.js";
import { definitions } from "/objects.js";

const known = { definitions: null, extended: null };

/** What the objects mean, and whether this LwM2M server can observe, discover and write attributes. */
async function learn(signal) {
  known.definitions ??= await definitions(signal);
  known.extended ??= await get("/api/lwm2m/openapi.json", signal)
    .then((document) => Object.keys(document.paths).some((path) => path.endsWith("/{resource}/observe")))
    .catch((error) => (error.status === 404 ? false : null));
}

/** Returns `show(registration, problem)`. */
export function tree(parent, id, signal) {
  const device = { id, url: (path) => `/api/lwm2m/clients/${enc(id)}/${path}`, rows: new Map(), observed: new Set(), changed: () => follow() };
  const problem = h("div", {});
  const list = h("div", {});
  parent.append(problem, list);
  let shown = "";
  const follow = async () => {
    if (!known.extended || !shown) return;
    const [values, observations] = await Promise.all([get(device.url("values"), signal), get(device.url("observations"), signal)]);
    device.observed = new Set(observations.filter((o) => o.path).map((o) => o.path));
    for (const { path, value, timestamp } of values) device.rows.get(path)?.come(value, timestamp);
    for (const [path, row] of device.rows) row.observe(device.observed.has(path));
  };
  poll(2000, signal, follow, () => {});
  return async (registration, text) => {
    problem.replaceChildren(...(text ? [notice(text)] : []));
    if (!registration) return;
    await learn(signal);
    const links = JSON.stringify(registration.availableInstances);
    if (links === shown) return;
    shown = links;
    device.rows.clear();
    list.replaceChildren(...Object.entries(registration.availableInstances).map(([number, instances]) => objectNode(device, number, instances)));
  };
}

function objectNode(device, number, instances) {
  const definition = known.definitions?.[number];
  const summary = h("summary", {}, definition?.name ?? `Object ${number}`, h("span", { class: "mono" }, `/${number}`));
  const nodes = instances.map((instance) => instanceNode(device, `${number}/${instance}`, definition));
  return h("details", { class: "object" }, summary, nodes, instances.length ? null : h("p", { class: "soft" }, "no instances"));
}

function instanceNode(device, path, definition) {
  const answer = h("div", { class: "answer", role: "status" });
  const rows = h("div", {});
  const acts = h("div", { class: "row" });
  const node = h("details", { class: "instance" }, h("summary", {}, `Instance ${path.split("/")[1]}`, h("span", { class: "mono" }, `/${path}`)), acts, answer, rows);
  const read = async () => {
    const found = await act(answer, () => get(device.url(path)));
    if (!found?.content) return;
    answer.textContent = "";
    const resources = new Map(found.content.resources.map((resource) => [resource.id, resource]));
    for (const [number, { operations }] of Object.entries(definition?.resources ?? {})) {
      if (operations.includes("E") && !resources.has(Number(number))) resources.set(Number(number), { id: Number(number) });
    }
    const sorted = [...resources.values()].sort((a, b) => a.id - b.id);
    rows.replaceChildren(...sorted.map((resource) => resourceRow(device, path, resource, definition?.resources[resource.id], read)));
  };
  const discover = async () => {
    const found = await act(answer, () => get(device.url(`${path}/discover`)));
    for (const { url, attributes } of found?.objectLinks ?? []) device.rows.get(url)?.note(attributes);
    if (found?.objectLinks) answer.textContent = `${found.objectLinks.length} links; attributes stand beside the names`;
  };
  acts.append(h("button", { type: "button", class: "small", "aria-label": `Read /${path}`, onclick: read }, "Read"));
  if (known.extended) acts.append(h("button", { type: "button", class: "small", "aria-label": `Discover /${path}`, onclick: discover }, "Discover"));
  node.addEventListener("toggle", () => { if (node.open && !rows.children.length) read(); });
  return node;
}

function resourceRow(device, path, resource, definition, refresh) {
  const full = `${path}/${resource.id}`;
  const url = device.url(full);
  const name = definition?.name ?? `Resource ${resource.id}`;
  const value = h("span", { class: "value" }, valueText(resource, definition?.unit));
  const attributes = h("span", { class: "soft mono" });
  const answer = h("div", { class: "answer", role: "status" });
  const acts = h("span", { class: "acts" });
  const row = h("div", { class: "resource" }, h("span", {}, name, " ", h("span", { class: "mono soft" }, `/${full}`), " ", attributes), value, acts, answer);
  const button = (text, handler) => {
    const made = h("button", { type: "button", class: "small", "aria-label": `${text} ${name}`, onclick: handler }, text);
    acts.append(made);
    return made;
  };
  const operations = definition?.operations ?? "RW";
  let watch;
  if (operations.includes("R")) {
    button("Read", async () => {
      const found = await act(answer, () => get(url));
      if (found?.content) value.textContent = valueText(found.content, definition?.unit);
    });
    if (known.extended) {
      watch = button("Observe", async () => {
        const isObserved = device.observed.has(`/${full}`);
        await act(answer, () => send(isObserved ? "DELETE" : "POST", `${url}/observe${isObserved ? "?active=true" : ""}`));
        device.changed();
      });
    }
  }
  if (operations.includes("W") && resource.kind !== "multiResource") button("Write", () => writeForm(row, url, resource, definition, answer, refresh));
  if (operations.includes("E")) button("Execute", () => act(answer, () => send("POST", url)));
  if (known.extended && operations.includes("R")) button("Attributes", () => attributesForm(row, url, name, answer, note));
  const note = (found) => { attributes.textContent = Object.entries(found).map(([key, set]) => `${key}=${set}`).join(" "); };
  let newest = 0;
  device.rows.set(`/${full}`, {
    note,
    come: (latest, at) => {
      if (at <= newest) return;
      newest = at;
      value.textContent = valueText({ value: latest }, definition?.unit);
    },
    observe: (isObserved) => {
      if (!watch) return;
      watch.textContent = isObserved ? "Stop observing" : "Observe";
      watch.setAttribute("aria-label", `${watch.textContent} ${name}`);
      watch.setAttribute("aria-pressed", isObserved);
    },
  });
  return row;
}

"use strict";
// Renders openapi.json: text only ever enters the page as text nodes.

const STREAM_LIMIT = 200000; // characters of an endless answer that are kept on the page
const byId = (id) => document.getElementById(id);
let api;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

// Code and paragraphs are all the Markdown that the descriptions use.
function inline(text) {
  return (text || "").split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

function prose(text) {
  return (text || "").split(/\n\n+/).map((paragraph) => element("p", {}, ...inline(paragraph)));
}

function resolve(schema) {
  return schema && schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema || {};
}

function typeText(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeText).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${typeText(schema.items) || "anything"}`;
  const low = schema.minimum ?? (schema.exclusiveMinimum !== undefined ? `>${schema.exclusiveMinimum}` : "");
  const high = schema.maximum ?? (schema.exclusiveMaximum !== undefined ? `<${schema.exclusiveMaximum}` : "");
  const range = low !== "" || high !== "" ? ` ${low}…${high}` : "";
  const length = schema.maxLength !== undefined ? ` up to ${schema.maxLength} characters` : "";
  return (schema.type || "any") + range + length + (schema.pattern ? ` ${schema.pattern}` : "");
}

// An example to start from; `depth` ends recursive schemas.
function example(schema, depth = 0) {
  if (!schema) return null;
  if (schema.examples) return schema.examples[0];
  if ("default" in schema) return schema.default;
  const found = resolve(schema);
  if (found !== schema) return depth > 4 ? null : example(found, depth + 1);
  if (found.anyOf) return example(found.anyOf[0], depth + 1);
  if (found.enum) return found.enum[0];
  if ("const" in found) return found.const;
  if (found.type === "array") return depth > 4 ? [] : [example(found.items, depth + 1)];
  if (found.type === "object") {
    return Object.fromEntries(Object.entries(found.properties || {}).map(([name, of]) => [name, example(of, depth + 1)]));
  }
  return { string: "", integer: found.minimum ?? 0, number: found.minimum ?? 0, boolean: false }[found.type] ?? null;
}

function table(headings, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows.map(([first, ...rest]) => element("tr", {},
      element("th", { scope: "row" }, first), ...rest.map((cell) => element("td", {}, ...[cell].flat()))))));
}

function members(schema) {
  const found = resolve(schema);
  if (!found.properties) return element("p", {}, element("code", {}, typeText(schema)));
  const required = found.required || [];
  return table(["Member", "Type", "Meaning"], Object.entries(found.properties).map(([name, of]) => [
    element("code", {}, name), element("code", {}, typeText(of)),
    inline((required.includes(name) ? "" : "Optional. ") + (of.description || ""))]));
}

function parameters(operation) {
  if (!operation.parameters) return [];
  return [element("h3", {}, "Parameters"), table(["Name", "In", "Type", "Meaning"], operation.parameters.map((p) => [
    element("code", {}, p.name), p.in + (p.required ? ", required" : ""), element("code", {}, typeText(p.schema)),
    inline((p.description || "") + (p.schema.default !== undefined ? ` Default: ${JSON.stringify(p.schema.default)}.` : ""))]))];
}

function responses(operation) {
  return [element("h3", {}, "Answers"), table(["Status", "Body", "Meaning"],
    Object.entries(operation.responses).map(([status, answer]) => {
      const [[kind, content] = []] = Object.entries(answer.content || {});
      return [status, kind ? element("code", {}, `${typeText(content.schema)} (${kind})`) : "none", inline(answer.description)];
    }))];
}

function requestOf(method, path, operation, inputs, body) {
  let url = path;
  const query = new URLSearchParams();
  for (const parameter of operation.parameters || []) {
    const value = inputs[parameter.name].value;
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, value.split("/").map(encodeURIComponent).join("/"));
    else if (parameter.schema.type === "array") value.split("\n").filter(Boolean).forEach((one) => query.append(parameter.name, one));
    else if (value !== "") query.set(parameter.name, value);
  }
  const headers = {};
  const token = byId("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body && body.text.value !== "") headers["Content-Type"] = body.kind.value;
  return { url: url + (query.size ? `?${query}` : ""), options: { method, headers, body: body && body.text.value !== "" ? body.text.value : undefined } };
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl({ url, options }) {
  const headers = Object.entries(options.headers).map(([name, value]) =>
    ` -H ${name === "Authorization" ? '"Authorization: Bearer $TOKEN"' : quoted(`${name}: ${value}`)}`);
  const data = options.body === undefined ? "" : ` -d ${quoted(options.body)}`;
  return `curl -s${options.method === "GET" ? "" : ` -X ${options.method}`} ${quoted(location.origin + url)}${headers.join("")}${data}`;
}

async function show(response, output) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text = (text + value).slice(-STREAM_LIMIT);
    output.textContent = text;
  }
  try { output.textContent = JSON.stringify(JSON.parse(text), null, 2); } catch { output.textContent = text; }
}

function tryIt(method, path, operation) {
  const inputs = {};
  const fields = (operation.parameters || []).map((parameter) => {
    const several = parameter.schema.type === "array";
    const input = element(several ? "textarea" : "input", several ? { rows: 1 } : { type: "text" });
    if (parameter.required) input.required = true;
    inputs[parameter.name] = input;
    return element("label", {}, parameter.name + (several ? " (one a line) " : " "), input);
  });
  const content = operation.requestBody && operation.requestBody.content;
  const body = content && {
    kind: element("select", { "aria-label": "Content type" }, ...Object.keys(content).map((kind) => element("option", {}, kind))),
    text: element("textarea", { "aria-label": "Body", spellcheck: "false" }),
  };
  if (body) {
    const fill = () => {
      const start = example(content[body.kind.value].schema);
      body.text.value = typeof start === "string" ? start : JSON.stringify(start, null, 2);
    };
    body.kind.addEventListener("change", fill);
    fill();
  }
  const command = element("pre", { hidden: true }), status = element("p", { role: "status" }), output = element("pre", { hidden: true });
  const stop = element("button", { type: "button", hidden: true }, "Stop");
  const send = async (event) => {
    event.preventDefault();
    stop.click();
    const request = requestOf(method, path, operation, inputs, body), abort = new AbortController(), started = performance.now();
    stop.hidden = false;
    stop.onclick = () => abort.abort();
    Object.assign(command, { textContent: curl(request), hidden: false });
    Object.assign(output, { textContent: "", hidden: false });
    status.textContent = "waiting";
    try {
      const response = await fetch(request.url, { ...request.options, signal: abort.signal });
      status.textContent = `${response.status} ${response.statusText}, ${Math.round(performance.now() - started)} ms`;
      await show(response, output);
    } catch (error) {
      status.textContent += `, ended: ${error.message}`;
    }
    stop.hidden = true;
  };
  return [element("h3", {}, "Try it"), element("form", { submit: send },
    element("div", { class: "row" }, ...fields), ...(body ? [body.kind, body.text] : []),
    element("div", { class: "row" }, element("button", {}, "Send"), stop)), command, status, output];
}

function operationView(method, path, operation) {
  const details = element("details", { "data-text": `${method} ${path} ${operation.summary}`.toLowerCase(), id: operation.operationId },
    element("summary", {},
      element("span", { class: `method ${method}` }, method.toUpperCase()), element("span", { class: "path" }, path),
      element("span", { class: "note" }, operation.summary + (operation.security ? " (token)" : ""))));
  // The inside is built when it is first opened: an API has many operations.
  details.addEventListener("toggle", () => {
    const content = operation.requestBody && Object.entries(operation.requestBody.content);
    details.append(element("div", {}, ...prose(operation.description), ...parameters(operation),
      ...(content ? [element("h3", {}, "Body"), ...prose(operation.requestBody.description),
        ...content.flatMap(([kind, of]) => [element("p", { class: "note" }, kind), members(of.schema)])] : []),
      ...responses(operation), ...tryIt(method.toUpperCase(), path, operation)));
  }, { once: true });
  return details;
}

function render() {
  document.title = api.info.title;
  byId("title").textContent = api.info.title;
  byId("about").append(...prose(api.info.description));
  const sections = new Map(api.tags.map(({ name }) => [name, element("section", {}, element("h2", {}, name))]));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const name = (operation.tags || ["Other"])[0];
      if (!sections.has(name)) sections.set(name, element("section", {}, element("h2", {}, name)));
      sections.get(name).append(operationView(method, path, operation));
    }
  }
  byId("operations").append(...sections.values());
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    byId("schemas").append(element("details", {}, element("summary", {}, element("code", {}, name)),
      element("div", {}, ...prose(schema.description), members(schema))));
  }
}

function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("#operations section")) {
    const all = [...section.querySelectorAll("details")];
    for (const details of all) details.hidden = !words.every((word) => details.dataset.text.includes(word));
    section.hidden = all.every((details) => details.hidden);
  }
}

async function start() {
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", filter);
  byId("token").value = sessionStorage.getItem("token") || "";
  byId("token").addEventListener("change", (event) => sessionStorage.setItem("token", event.target.value.trim()));
  const response = await fetch("openapi.json");
  api = await response.json();
  render();
  const wanted = byId(decodeURIComponent(location.hash.slice(1)));
  if (wanted instanceof HTMLDetailsElement) { wanted.open = true; wanted.scrollIntoView(); }
}

start().catch((error) => { byId("operations").textContent = `The API document could not be shown: ${error.message}`; });

// Experiments: what there is, what runs, what came of it.

import { enc, get, poll, send } from "/api.js";
import { ago, card, h, notice, say, tag } from "/dom.js";

const KINDS = { load: "Loads", fault: "Faults", comparison: "Comparisons" };
export const VERDICTS = { passed: "good", failed: "bad", error: "bad", aborted: "warn" };

export function experiments(main, signal) {
  const problem = h("div", {});
  const running = h("div", {});
  const catalog = h("div", { class: "stack" });
  const past = h("div", {});
  main.append(h("h1", {}, "Experiments"), h("p", { class: "soft" }, "Each measures some seconds of undisturbed traffic, does something to it, and watches until all is as before. The ledger accounts for every message meanwhile. One runs at a time."), problem, running, catalog, card("Reports", null, past));
  const starts = [];
  let shown = "";
  poll(3000, signal, async () => {
    const [found, { runs }] = await Promise.all([get("/api/experiments", signal), get("/api/experiments/runs", signal)]);
    problem.replaceChildren();
    const names = JSON.stringify(found.experiments.map((one) => [one.name, one.runnable]));
    if (names !== shown) {
      shown = names;
      starts.length = 0;
      catalog.replaceChildren(...Object.keys(KINDS).map((kind) => group(kind, found.experiments, starts)));
    }
    for (const start of starts) start.disabled = found.running !== null;
    running.replaceChildren(...(found.running ? [runningNote(found.running)] : []));
    showPast(past, runs);
  }, (error) => problem.replaceChildren(notice(`No experiments: ${error.message}`, "bad")));
}

function runningNote(run) {
  return h("p", { class: "notice" }, h("b", {}, run.title), run.aborted ? " is being ended. " : ` is running (${run.phase}). `, h("a", { href: `#/experiments/${enc(run.id)}` }, "Watch it"));
}

function group(kind, found, starts) {
  const chosen = found.filter((one) => one.kind === kind);
  return card(KINDS[kind], null, ...chosen.map((one) => experimentNode(one, starts)));
}

function experimentNode(one, starts) {
  const form = h("form", { class: "parameters" }, one.parameters.map(field));
  const answer = h("div", { class: "answer", role: "status" });
  const node = h("details", { class: "object experiment" }, h("summary", {}, h("b", {}, one.title), h("span", { class: "mono" }, one.name)), h("p", {}, one.does), h("p", { class: "soft" }, `Expected: ${one.expects}`), form);
  if (one.runnable) {
    const start = h("button", { type: "submit", class: "primary" }, "Start");
    starts.push(start);
    form.append(h("div", { class: "row" }, start));
    form.addEventListener("submit", (event) => { event.preventDefault(); begin(one, form, start, answer); });
  } else {
    const command = h("code", { tabindex: 0, "aria-label": "Command" });
    const tell = () => { command.textContent = `./testbed experiment run ${one.name}${Object.entries(values(one, form)).map(([name, value]) => ` --set ${name}=${value}`).join("")}`; };
    tell();
    form.addEventListener("change", tell);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.append(h("p", { class: "notice" }, "Only the host may stop containers. Run there: ", command, " It can be watched here."));
  }
  node.append(answer);
  return node;
}

function field(parameter) {
  const id = { name: parameter.name, "aria-label": parameter.text };
  const input = parameter.choices
    ? h("select", id, parameter.choices.map((choice) => h("option", { selected: choice === parameter.default }, choice)))
    : h("input", { ...id, type: "number", value: parameter.default, min: parameter.low, max: parameter.high, required: true });
  const bounds = parameter.choices ? "" : ` ${parameter.low}–${parameter.high}${parameter.unit ? ` ${parameter.unit}` : ""}`;
  return h("label", {}, h("span", {}, parameter.text, h("span", { class: "soft" }, bounds)), input);
}

function values(one, form) {
  return Object.fromEntries(one.parameters.map(({ name, choices }) => [name, choices ? form.elements[name].value : Number(form.elements[name].value)]));
}

async function begin(one, form, start, answer) {
  start.disabled = true;
  answer.className = "answer";
  answer.textContent = "starting…";
  try {
    const run = await send("POST", "/api/experiments/runs", { name: one.name, parameters: values(one, form) });
    say(`${one.title} was started`);
    location.hash = `#/experiments/${enc(run.id)}`;
  } catch (error) {
    answer.className = "answer bad";
    answer.textContent = error.message;
    start.disabled = false;
  }
}

function showPast(parent, runs) {
  if (!runs.length) return parent.replaceChildren(h("p", { class: "empty" }, "None yet."));
  if (parent.dataset.newest === runs[0].id && parent.querySelector("table")) return;
  parent.dataset.newest = runs[0].id;
  const heads = ["Verdict", "Experiment", "With", "When"];
  const rows = runs.slice(0, 50).map((run) => h("tr", {},
    h("td", {}, tag(run.verdict, VERDICTS[run.verdict])),
    h("td", {}, h("a", { href: `#/experiments/${enc(run.id)}` }, run.title)),
    h("td", { class: "soft wide" }, Object.entries(run.parameters ?? {}).map(([name, value]) => `${name} ${value}`).join(", ")),
    h("td", { title: new Date(run.started).toLocaleString() }, ago(run.started))));
  parent.replaceChildren(h("table", {}, h("caption", { class: "visually-hidden" }, "Reports"), h("thead", {}, h("tr", {}, heads.map((text, index) => h("th", { scope: "col", class: index === 2 ? "wide" : "" }, text)))), h("tbody", {}, rows)));
}

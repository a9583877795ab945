// One run of an experiment: its course while it goes on, its report afterwards.

import { download, enc, get, send, stream } from "/api.js";
import { chart } from "/chart.js";
import { VERDICTS } from "/experiments.js";
import { card, h, notice, number, say, tag, whole } from "/dom.js";

const PHASES = ["before", "during", "after"];
const KEEP = 3600;

export function run(main, signal, id) {
  const head = h("div", {});
  const problem = h("div", {});
  const verdict = h("div", {});
  const body = h("div", { class: "stack" });
  const course = makeCourse();
  main.append(head, problem, verdict, course.element, body);
  const load = async () => {
    const found = await get(`/api/experiments/runs/${enc(id)}`, signal);
    head.replaceChildren(...heading(found, problem));
    if (found.verdict === null) return follow(found, course, problem, signal, load);
    problem.replaceChildren();
    course.finish(found);
    const [first, ...rest] = reportNodes(found);
    verdict.replaceChildren(...(first ? [first] : []));
    body.replaceChildren(...rest);
  };
  load().catch((error) => signal.aborted || problem.replaceChildren(notice(error.status === 404 ? `There is no run ${id}.` : `No report: ${error.message}`, "bad")));
}

function heading(found, problem) {
  const parameters = Object.entries(found.parameters ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  const controls = [];
  if (found.verdict === null) controls.push(h("button", { type: "button", onclick: (event) => abort(found.id, event.target, problem) }, "End it early"));
  else {
    controls.push(h("button", { type: "button", class: "small", onclick: () => download(`/api/experiments/runs/${enc(found.id)}/report.md`, `${found.id}.md`) }, "Report as Markdown"));
    controls.push(h("button", { type: "button", class: "small", onclick: () => download(`/api/experiments/runs/${enc(found.id)}`, `${found.id}.json`) }, "As JSON"));
  }
  const state = found.verdict === null ? tag("running", "warn") : tag(found.verdict, VERDICTS[found.verdict]);
  return [h("a", { href: "#/experiments" }, "All experiments"), h("div", { class: "row" }, h("h1", {}, found.title ?? found.name), state, controls), h("p", {}, found.does), h("p", { class: "soft" }, `Expected: ${found.expects}${parameters ? ` · with ${parameters}` : ""}`), found.reason ? notice(found.reason, found.verdict === "aborted" ? "" : "bad") : ""];
}

async function abort(id, button, problem) {
  button.disabled = true;
  try {
    await send("POST", `/api/experiments/runs/${enc(id)}/abort`);
    problem.replaceChildren(notice("It is being ended, and cleans up."));
  } catch (error) {
    problem.replaceChildren(notice(error.message, "bad"));
    button.disabled = false;
  }
}

/** Follow a run from its first event; the stream remembers, so nothing is missing. */
function follow(found, course, problem, signal, ended) {
  const done = new AbortController();
  course.reset();
  stream(`/api/experiments/stream?endpoint=${enc(found.id)}&after=${found.after}`, AbortSignal.any([signal, done.signal]), (name, data) => {
    if (name === "state") return problem.replaceChildren(notice(`No course: ${data.detail}`, "bad"));
    const { type, data: event } = data;
    if (type === "started") { course.reset(); problem.replaceChildren(); }
    else if (type === "phase") course.phase(event);
    else if (type === "sample") course.sample(event);
    else if (type === "note") course.note(event);
    else if (type === "ended") { done.abort(); say(`ended: ${event.verdict}`); ended(); }
  });
}

function makeCourse() {
  const charts = [
    chart("Messages", "per second", [{ name: "in Kafka (LwM2M comes three ways)", key: "records", kind: "accent" }, { name: "sent by devices", key: "sent", kind: "spark" }]),
    chart("Device to Kafka", "ms", [{ name: "p50", key: "p50", kind: "accent" }, { name: "p99", key: "p99", kind: "spark" }]),
    chart("On their way", "messages", [{ name: "sent and not in Kafka yet", key: "outstanding", kind: "accent" }]),
    chart("REST", "ms", [{ name: "slowest answer of the LwM2M server", key: "rest_ms", kind: "accent" }]),
  ];
  const figures = h("div", { class: "tiles" });
  const notes = h("ol", { class: "notes" });
  const element = card("Course", null, figures, h("div", { class: "courses" }, charts.map((one) => one.element)), notes);
  let samples = [];
  let phases = [];
  let until = 0;
  const draw = () => charts.forEach((one) => one.draw(samples, phases, until));
  return {
    element,
    reset: () => { samples = []; phases = []; notes.replaceChildren(); figures.replaceChildren(); draw(); },
    phase: (event) => { phases.push(event); draw(); },
    sample: (event) => { samples = samples.concat(event).slice(-KEEP); figures.replaceChildren(...tiles(event)); draw(); },
    note: (event) => notes.append(noteNode(event)),
    finish: (found) => {
      samples = found.samples ?? [];
      phases = PHASES.flatMap((phase) => (found.began?.[phase] ? [{ phase, at: found.began[phase] }] : []));
      until = found.disturbed_until ?? 0;
      figures.replaceChildren();
      notes.replaceChildren(...(found.notes ?? []).map(noteNode));
      element.hidden = !samples.length;
      draw();
    },
  };
}

function tiles(sample) {
  const tile = (value, text) => h("div", { class: "tile" }, h("b", {}, value), h("span", {}, text));
  return [tile(sample.phase, "phase"), tile(`${number(sample.records)}/s`, "into Kafka"), tile(sample.p99 === null ? "–" : `${number(sample.p99)} ms`, "device to Kafka, p99"), tile(number(sample.outstanding), "on their way")];
}

const noteNode = ({ seconds, text }) => h("li", {}, h("span", { class: "soft mono" }, `${seconds.toFixed(1)} s `), text);

function reportNodes(found) {
  if (!found.checks) return [];
  const nodes = [card("Verdict", tag(found.verdict, VERDICTS[found.verdict]), table(["", "Checked", "Expected", "Found"], found.checks.map((check) => [tag(check.good ? "ok" : "no", check.good ? "good" : "bad"), check.name, check.expected, check.found])))];
  const ledger = ["sent", "delivered", "lost", "duplicated", "reordered"];
  const paths = [...Object.entries(found.paths), ["messages", found.ledger]];
  nodes.push(card("Ledger", null, table(["Path", ...ledger], paths.map(([name, totals]) => [name, ...ledger.map((key) => totals[key])]), 1)));
  nodes.push(card("Before, during, after", null, table(["", ...PHASES], phaseRows(found), 1), h("p", { class: "soft" }, `Recovered ${found.recovery_seconds === null ? "not while it was watched" : `after ${found.recovery_seconds} s`}; longest silence of a path ${found.longest_silence_seconds} s. Latencies are those of messages sent in the phase.`), prometheusNode(found.prometheus ?? {})));
  for (const [name, rows] of Object.entries(found.tables ?? {})) {
    if (rows.length) nodes.push(card(name, null, table(Object.keys(rows[0]).map((key) => key.replaceAll("_", " ")), rows.map(Object.values), 1)));
  }
  const figures = Object.entries(found.figures ?? {});
  if (figures.length) nodes.push(card("Figures", null, h("dl", { class: "figures" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, String(value)))))));
  for (const text of found.problems ?? []) nodes.push(notice(text));
  return nodes;
}

function prometheusNode(figures) {
  const rows = Object.entries(figures).map(([name, values]) => [name, ...PHASES.map((phase) => show(values[phase]))]);
  return rows.length ? h("details", { class: "object" }, h("summary", {}, "From Prometheus, over 15 s at least"), table(["", ...PHASES], rows, 1)) : null;
}

function phaseRows(found) {
  const pair = (quantiles) => `${show(quantiles.p50)} / ${show(quantiles.p99)}`;
  const row = (name, of) => [name, ...PHASES.map((phase) => of(found.phases[phase]))];
  const rows = [row("seconds", (p) => show(p.seconds)), row("records per second", (p) => show(p.records_per_second)), row("device to Kafka p50 / p99, ms", (p) => pair(p.latency_ms)), row("REST p50 / p99, ms", (p) => pair(p.rest_ms)), row("on their way, at most", (p) => show(p.outstanding_at_most))];
  return rows;
}

const show = (value) => (value === null || value === undefined ? "–" : Number.isInteger(value) ? whole(value) : typeof value === "number" ? number(value) : String(value));

function table(heads, rows, numbersFrom = 9) {
  const kind = (index) => (index >= numbersFrom ? "num" : "");
  return h("div", { class: "scroll-x", tabindex: 0, role: "region", "aria-label": heads.filter(Boolean).join(", ") }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((text, index) => (text ? h("th", { scope: "col", class: kind(index) }, text) : h("td", {}))))), h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, index) => h("td", { class: kind(index) }, cell instanceof Node ? cell : show(cell))))))));
}

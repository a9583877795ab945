// Alerts: what Prometheus evaluates, and what Alertmanager has sent.

import { get, poll } from "/api.js";
import { ago, card, h, notice, tag } from "/dom.js";

export function alerts(main, signal) {
  const problem = h("div", {});
  const evaluated = h("div", {});
  const received = h("div", {});
  main.append(h("h1", {}, "Alerts"), problem, card("Pending and firing in Prometheus", null, evaluated), card("Received from Alertmanager", null, received));
  poll(4000, signal, async () => {
    const found = await get("/api/alerts", signal);
    problem.replaceChildren(...Object.values(found.unavailable).map((text) => notice(text, "bad")));
    const away = found.unavailable.prometheus !== undefined;
    show(evaluated, found.prometheus.map((a) => ({ ...a, status: a.state, startsAt: a.activeAt })), away ? "Prometheus does not answer, so nothing is known." : "Nothing is pending or firing.");
    show(received, found.webhook, "None was received since the console started.");
  }, (error) => problem.replaceChildren(notice(`No alerts: ${error.message}`, "bad")));
}

function show(parent, found, empty) {
  if (!found.length) return parent.replaceChildren(h("p", { class: "empty" }, empty));
  parent.replaceChildren(...found.toSorted((a, b) => urgency(b) - urgency(a)).map(alertNode));
}

/** What fires stands before what may, and the critical before the rest. */
const urgency = ({ status, labels }) => 4 * (status === "firing") + 2 * (status === "pending") + (labels.severity === "critical");

function when({ status, startsAt, endsAt }) {
  return status === "resolved" && endsAt ? `began ${ago(Date.parse(startsAt))}, ended ${ago(Date.parse(endsAt))}` : `began ${ago(Date.parse(startsAt))}`;
}

function alertNode(alert) {
  const { alertname, severity, ...labels } = alert.labels;
  const { summary, description, runbook_url: runbook } = alert.annotations ?? {};
  const isBad = alert.status === "firing";
  const link = runbook && /^https?:/.test(runbook) ? h("a", { href: runbook, rel: "noreferrer" }, "Runbook") : runbook ? h("span", { class: "soft" }, `Runbook: ${runbook}`) : null;
  return h("article", { class: "object" },
    h("p", { class: "row" }, tag(alert.status, isBad ? "bad" : alert.status === "resolved" ? "good" : "warn"), h("b", {}, alertname ?? "alert"), severity ? tag(severity) : null, h("span", { class: "soft" }, when(alert)), link),
    summary ? h("p", {}, summary) : null,
    description ? h("p", { class: "soft" }, description) : null,
    h("p", { class: "mono soft" }, Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(" ")));
}

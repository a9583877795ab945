// The frame of the page: navigation by the address's fragment, theme, token.

import { get, poll, token } from "/api.js";
import { h, notice, say } from "/dom.js";
import { alerts } from "/alerts.js";
import { device } from "/device.js";
import { devices } from "/devices.js";
import { events } from "/events.js";
import { experiments } from "/experiments.js";
import { flow } from "/flow.js";
import { run } from "/run.js";
import { topics } from "/topics.js";

const VIEWS = { flow: ["Flow", flow], devices: ["Devices", devices], events: ["Events", events], topics: ["Topics", topics], alerts: ["Alerts", alerts], experiments: ["Experiments", experiments] };
// Views of one thing, by the view of all of them.
const DETAILS = { devices: device, experiments: run };
const main = document.getElementById("main");
const nav = document.getElementById("nav");
let leave = new AbortController();

/** A view is `(main, signal, argument)`: it fills `main` and stops what it started at the signal. */
function show() {
  const [name = "flow", argument = ""] = location.hash.replace(/^#\/?/, "").split("/").map(decode);
  leave.abort();
  leave = new AbortController();
  main.replaceChildren();
  const [title, view] = argument && name in DETAILS ? [argument, DETAILS[name]] : VIEWS[name || "flow"] ?? [];
  for (const link of nav.children) {
    if (link.dataset.view === (name || "flow")) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  document.title = `${view ? title : "No such view"} – IoT testbed`;
  if (!view) return main.append(h("h1", {}, "No such view"), notice(`There is no view “${name}”.`));
  try {
    view(main, leave.signal, argument);
  } catch (error) {
    main.append(notice(`This view failed: ${error.message}`, "bad"));
    throw error;
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function setUpNavigation() {
  for (const [name, [title]] of Object.entries(VIEWS)) nav.append(h("a", { href: `#/${name}`, "data-view": name }, title));
  addEventListener("hashchange", () => { show(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
  document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  const badge = h("span", { class: "count" });
  poll(10000, new AbortController().signal, async (signal) => {
    const found = await get("/api/alerts", signal);
    const firing = new Set([...found.prometheus.filter((a) => a.state === "firing"), ...found.webhook.filter((a) => a.status === "firing")].map((a) => JSON.stringify(a.labels)));
    badge.textContent = firing.size;
    badge.setAttribute("aria-label", `, ${firing.size} firing`);
    if (firing.size) nav.querySelector("[data-view=alerts]").append(badge);
    else badge.remove();
  }, () => badge.remove());
}

function setUpTheme() {
  const button = document.getElementById("theme");
  const apply = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = `Theme: ${theme || "auto"}`;
  };
  apply(localStorage.getItem("theme"));
  button.addEventListener("click", () => {
    const next = { light: "dark", dark: "" }[localStorage.getItem("theme")] ?? "light";
    localStorage.setItem("theme", next);
    apply(next);
  });
}

function setUpToken() {
  const dialog = document.getElementById("token-dialog");
  const text = document.getElementById("token-text");
  const open = () => { if (!dialog.open) { text.value = token.get(); dialog.showModal(); } };
  document.getElementById("token").addEventListener("click", open);
  let asked = false;
  document.addEventListener("token-needed", () => { if (!asked) { asked = true; open(); } });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); dialog.close("use"); }
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "use") token.set(text.value.trim());
    else if (dialog.returnValue === "clear") token.set("");
    else return;
    asked = false;
    say(token.get() ? "token is set" : "token is forgotten");
    show();
  });
}

setUpNavigation();
setUpTheme();
setUpToken();
show();

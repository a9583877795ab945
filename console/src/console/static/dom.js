// Elements, numbers and times. Text only ever becomes text nodes, so nothing of a device becomes markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: `h("button", {class: "small", onclick: act}, "Read")`. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** An SVG element. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** Tell screen readers. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** A number per second, short. */
export function rate(value) {
  return value === null || value === undefined ? "–" : `${number(value)}/s`;
}

const short = (value, digits) => value.toFixed(digits).replace(/\.0$/, "");

/** A number for people: at most four digits, k and M beyond. */
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return `${short(value / 1e6, size >= 1e8 ? 0 : 1)} M`;
  if (size >= 1e4) return `${short(value / 1e3, size >= 1e5 ? 0 : 1)} k`;
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(size < 10 ? 1 : 0);
}

/** Whole numbers in full, with thin spaces. */
export const whole = (value) => (value ?? "–").toString().replace(/\B(?=(\d{3})+(?!\d))/g, "\u2009");

/** Time of day with ms, of ms since 1970. */
export function clock(ms) {
  const at = new Date(ms);
  const two = (part) => String(part).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** How long ago, in words. */
export function ago(ms) {
  if (!ms) return "never";
  const seconds = Math.max(0, (Date.now() - ms) / 1000);
  if (seconds < 5) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

/** A value of any kind in one line. */
export function brief(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(7)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A small coloured word. */
export const tag = (text, kind = "") => h("span", { class: `tag ${kind}` }, text);

/** A message in the place of what is not there. */
export const notice = (text, kind = "") => h("p", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "note" }, text);

/** A card with a heading and, beside it, controls. */
export function card(title, controls, ...content) {
  const heading = h("h2", {}, title);
  return h("section", { class: "card", "aria-label": title }, h("header", {}, heading, controls), content);
}

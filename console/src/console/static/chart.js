// The course of a run: lines over time with axes, and the phases as bands behind them.

import { h, number, s } from "/dom.js";

const HEIGHT = 150;
const LEFT = 44;
const BOTTOM = 20;
const TOP = 18;

/**
 * series: [{name, key, kind}]; the key names a member of the samples, the kind a colour.
 * Returns `element` and `draw(samples, phases)`; samples have `at` (ms), phases are [{phase, at}].
 */
export function chart(title, unit, series) {
  const svg = s("svg", { class: "chart", role: "img", "aria-label": title });
  const legend = h("span", { class: "legend" }, series.map((one) => h("span", { class: `key ${one.kind}` }, one.name)));
  const element = h("figure", { class: "course" }, h("figcaption", {}, h("b", {}, `${title}, ${unit}`), legend), svg);
  let shown = [[], [], 0];
  const redraw = () => draw(svg, title, unit, series, ...shown);
  new ResizeObserver(redraw).observe(element);
  return { element, draw: (samples, phases, until = 0) => { shown = [samples, phases, until]; redraw(); } };
}

function draw(svg, title, unit, series, samples, phases, until) {
  const width = Math.max(200, svg.clientWidth || 600);
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  svg.replaceChildren();
  if (!samples.length) return;
  const start = phases[0]?.at ?? samples[0].at;
  const end = Math.max(samples[samples.length - 1].at, start + 10000);
  const values = samples.flatMap((sample) => series.map((one) => sample[one.key])).filter(Number.isFinite);
  const top = nice(Math.max(1, ...values));
  const x = (at) => LEFT + ((at - start) / (end - start)) * (width - LEFT - 6);
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  svg.append(...bands(phases, end, x, until), ...grid(top, y, width), ...times(start, end, x));
  for (const one of series) svg.append(s("path", { class: `line ${one.kind}`, d: line(samples, one.key, x, y) }));
  const now = series.map((one) => `${one.name} ${number(samples[samples.length - 1][one.key])}`).join(", ");
  svg.setAttribute("aria-label", `${title}: at most ${number(Math.max(0, ...values))} ${unit}, now ${now}`);
}

/** A gap in the values is a gap in the line: nothing is drawn where nothing was measured. */
function line(samples, key, x, y) {
  let path = "";
  let pen = "M";
  for (const sample of samples) {
    if (!Number.isFinite(sample[key])) { pen = "M"; continue; }
    path += `${pen}${x(sample.at).toFixed(1)} ${y(sample[key]).toFixed(1)}`;
    pen = "L";
  }
  return path;
}

function bands(phases, end, x, until) {
  return phases.flatMap(({ phase, at }, index) => {
    const to = phases[index + 1]?.at ?? end;
    const box = s("rect", { class: `band ${phase}`, x: x(at), y: 0, width: Math.max(0, x(to) - x(at)), height: HEIGHT - BOTTOM });
    const wide = x(to) - x(at) > 42;
    return [box, wide ? s("text", { class: "band", x: x(at) + 5, y: 12 }, phase) : null];
  }).concat(until && until < end ? [s("line", { class: "until", x1: x(until), x2: x(until), y1: 0, y2: HEIGHT - BOTTOM })] : []).filter(Boolean);
}

function grid(top, y, width) {
  return [0, top / 2, top].flatMap((value) => [
    s("line", { class: "grid", x1: LEFT, x2: width - 6, y1: y(value), y2: y(value) }),
    s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
  ]);
}

function times(start, end, x) {
  const seconds = (end - start) / 1000;
  const step = [5, 10, 15, 30, 60, 120, 300].find((one) => seconds / one <= 8) ?? 600;
  const marks = [];
  for (let at = 0; at <= seconds; at += step) marks.push(s("text", { x: x(start + at * 1000), y: HEIGHT - 5, "text-anchor": at ? "middle" : "start" }, `${at} s`));
  return marks;
}

/** The next number above that reads well. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 4, 5, 10].find((one) => one * power >= value);
}

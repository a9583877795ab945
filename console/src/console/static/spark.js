// The course of a number, as a line without axes; its extremes are words beside it.

import { h, number, s } from "/dom.js";

const WIDTH = 200;
const HEIGHT = 32;

/**
 * An empty sparkline; `label` names it for screen readers. With `least` the line begins there, so that a rate that
 * hardly changes looks like one; without, small changes fill its height. `said` tells the newest and the highest value.
 */
export function sparkline(label, { kind = "", least = Infinity } = {}) {
  const path = s("path", {});
  const svg = s("svg", { class: `spark ${kind}`, viewBox: `0 0 ${WIDTH} ${HEIGHT + 2}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, path);
  const said = h("span", {});
  return { element: svg, said, draw: (points) => draw(svg, path, said, label, least, points) };
}

/** points: [[time, value], …] in order of time. */
function draw(svg, path, said, label, least, points) {
  const known = points.filter(([, value]) => Number.isFinite(value));
  said.textContent = known.length ? `now ${number(known[known.length - 1][1])}` : "";
  if (known.length < 2) return path.setAttribute("d", "");
  const values = known.map(([, value]) => value);
  const low = Math.min(least, ...values);
  const high = Math.max(...values);
  const start = known[0][0];
  const span = known[known.length - 1][0] - start || 1;
  const place = ([time, value]) => {
    const y = high === low ? (low === least ? HEIGHT : HEIGHT / 2) : HEIGHT - ((value - low) / (high - low)) * HEIGHT;
    return `${(((time - start) / span) * WIDTH).toFixed(1)} ${(y + 1).toFixed(1)}`;
  };
  said.textContent += `, highest ${number(high)}`;
  path.setAttribute("d", `M${known.map(place).join("L")}`);
  svg.setAttribute("aria-label", `${label}: from ${number(Math.min(...values))} to ${number(high)}, now ${number(values[values.length - 1])}`);
}

/** The newest points of many series. */
export class History {
  constructor(size) {
    this.size = size;
    this.series = new Map();
  }

  add(name, time, value) {
    const points = this.series.get(name) ?? [];
    if (points.length && points[points.length - 1][0] >= time) return points;
    points.push([time, value]);
    if (points.length > this.size) points.shift();
    this.series.set(name, points);
    return points;
  }

  get = (name) => this.series.get(name) ?? [];
}

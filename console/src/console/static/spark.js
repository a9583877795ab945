// The course of a number, as a line without axes; its extremes stand in the label.

import { number, s } from "/dom.js";

const WIDTH = 200;
const HEIGHT = 32;

/** An empty sparkline; `label` names it for screen readers. */
export function sparkline(label, kind = "") {
  const path = s("path", {});
  const svg = s("svg", { class: `spark ${kind}`, viewBox: `0 0 ${WIDTH} ${HEIGHT + 2}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, path);
  return { element: svg, draw: (points) => draw(svg, path, label, points) };
}

/** points: [[time, value], …] in order of time. */
function draw(svg, path, label, points) {
  const known = points.filter(([, value]) => Number.isFinite(value));
  if (known.length < 2) return path.setAttribute("d", "");
  const values = known.map(([, value]) => value);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const start = known[0][0];
  const span = known[known.length - 1][0] - start || 1;
  const place = ([time, value]) => {
    const y = high === low ? HEIGHT / 2 : HEIGHT - ((value - low) / (high - low)) * HEIGHT;
    return `${(((time - start) / span) * WIDTH).toFixed(1)} ${(y + 1).toFixed(1)}`;
  };
  path.setAttribute("d", `M${known.map(place).join("L")}`);
  svg.setAttribute("aria-label", `${label}: from ${number(low)} to ${number(high)}, now ${number(values[values.length - 1])}`);
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

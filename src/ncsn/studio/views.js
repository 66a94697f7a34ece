// What is drawn: the data, the training's curves, the score fields, the particles.

import { COLOURS, Plane, cividis } from "./canvas.js";
import { curves, shareBars, short } from "./charts.js";
import { element } from "./controls.js";

const SCORE_COLOURS = { learned: COLOURS[0], printed: COLOURS[1] };

// A picture with its title; `square` ones show the plane.
export function figure(title, { square = true, tall = false, hint = "" } = {}) {
  const canvas = element("canvas", { role: "img", "aria-label": title, class: square ? "square" : tall ? "chart tall" : "chart" });
  const caption = element("figcaption", {}, title);
  const made = element("figure", {}, caption, canvas, element("p", { class: "hint" }, hint));
  return Object.assign(made, { canvas, caption, hint: made.lastChild, title });
}

// Keep as many figures in a row as there are titles, so that canvases are not made anew at each picture.
export function keepFigures(row, titles, options) {
  const have = [...row.children];
  titles.forEach((title, k) => {
    if (!have[k]) row.append((have[k] = figure(title, options)));
    have[k].caption.textContent = have[k].title = title;
  });
  have.slice(titles.length).forEach((each) => each.remove());
  row.dataset.count = String(titles.length);
  return have.slice(0, titles.length);
}

export function drawData(canvas, studio) {
  const plane = new Plane(canvas, studio.extent);
  const { settings } = studio;
  // a drawing is there before anyone has answered
  const drawn = settings.data === "drawing" && settings.strokes.length;
  const points = drawn ? settings.strokes.flat(2) : studio.points;
  const labels = drawn ? settings.strokes.flatMap((stroke, k) => stroke.map(() => k)) : studio.labels;
  if (points) plane.points(points, { labels, size: points.length > 3000 ? 1.6 : 2.4 });
  if (settings.data === "mixture") {
    const { ctx } = plane;
    settings.mixture.forEach(([, x, y, deviation], k) => {
      const [px, py] = plane.at(x, y);
      const radius = (deviation * plane.width) / plane.extent;
      ctx.lineWidth = k === studio.mode ? 3 : 1.5;
      ctx.strokeStyle = plane.theme.ink;
      ctx.beginPath();
      ctx.arc(px, py, Math.max(8, radius), 0, 2 * Math.PI);
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(px, py, 3, 0, 2 * Math.PI);
      ctx.stroke();
    });
  }
  if (settings.measured) plane.measured(settings.angle, settings.offset, settings.noise);
  if (!points && settings.data === "drawing") plane.note("draw here: press and move; lift, and draw another stroke");
  if (!points && settings.data === "table") plane.note("choose a CSV file");
}

export function drawLosses(chart, curve, studio) {
  const losses = studio.losses;
  const floor = losses && Array.from(losses["loss:exact"]);
  const series = [];
  const told = [];
  if (losses) {
    const x = Array.from(losses["loss:sigmas"]);
    series.push({ x, y: floor, colour: "#888888", dash: [6, 4] });
    told.push(["floor: the exact score's loss", "#888888", "dashed"]);
    for (const name of ["learned", "printed"]) {
      const loss = losses[`loss:${name}`];
      if (!loss) continue;
      const label = name === "learned" ? "network" : "as printed";
      series.push({ x, y: Array.from(loss), colour: SCORE_COLOURS[name] });
      told.push([`${label}: loss`, SCORE_COLOURS[name], ""]);
      series.push({ x, y: Array.from(loss, (value, k) => value - floor[k]), colour: SCORE_COLOURS[name], width: 1.2, dash: [2, 3] });
      told.push([`${label}: above the floor`, SCORE_COLOURS[name], "dotted"]);
    }
  }
  curves(chart.canvas, series, { logX: true, logY: true, xLabel: "σ", yLabel: "loss", yRange: [1e-4, 10] });
  legend(chart, told);
  const [x, y] = [studio.curve.map((each) => each[0]), studio.curve.map((each) => each[1])];
  curves(curve.canvas, [{ x, y: smooth(y), colour: COLOURS[0] }], { logY: true, xLabel: "step", yLabel: "loss", xRange: [0, studio.settings.steps] });
}

export function legend(shown, told) {
  const text = JSON.stringify(told);
  if (shown.legendText === text) return;
  shown.legendText = text;
  shown.hint.replaceChildren(
    ...told.map(([label, colour, kind]) => element("span", { class: `key ${kind}`, style: `--key:${colour}` }, label)),
  );
}

function smooth(values) {
  let mean = values[0];
  return values.map((value) => (mean = 0.9 * mean + 0.1 * value));
}

export function drawFields(row, studio) {
  const { field, settings } = studio;
  if (!field) return;
  const n = Math.round(Math.sqrt(field.density.length));
  const names = ["exact", "learned", "printed"].filter((name) => field[name]);
  const words = { exact: "exact score", learned: "learned", printed: "as printed" };
  const errors = names.filter((name) => name !== "exact");
  const titles = [...names.map((name) => words[name]), ...errors.map((name) => (errors.length > 1 ? `error, ${words[name]}` : "error"))];
  const figures = keepFigures(row, titles);
  names.forEach((name, k) => {
    const plane = new Plane(figures[k].canvas, studio.extent);
    plane.density(field.density, n);
    plane.arrows(field[name], n, settings.sigma, plane.theme.ink);
    figures[k].hint.textContent = k ? "" : `of ${studio.state.of}; arrows: σ × score, long ones shortened; shade: density`;
  });
  errors.forEach((name, k) => {
    const shown = figures[names.length + k];
    const gaps = gapsOf(field.exact, field[name], settings.sigma);
    const plane = new Plane(shown.canvas, studio.extent);
    plane.image(gaps, n, cividis);
    shown.hint.textContent = `σ × difference, 0 dark to 1 yellow; mean square where points are: ${short(meanOver(gaps, field.density))}`;
  });
  if (names.length === 1 && studio.can.train) figures[0].hint.textContent += "; train the network to see its own beside";
}

function gapsOf(exact, other, sigma) {
  const gaps = new Float32Array(exact.length / 2);
  for (let i = 0; i < gaps.length; i += 1) {
    gaps[i] = sigma * Math.hypot(other[2 * i] - exact[2 * i], other[2 * i + 1] - exact[2 * i + 1]);
  }
  return gaps;
}

function meanOver(gaps, logDensity) {
  let top = -Infinity;
  for (const value of logDensity) top = Math.max(top, value);
  let [sum, weight] = [0, 0];
  gaps.forEach((gap, i) => {
    const w = Math.exp(logDensity[i] - top);
    sum += (w * gap * gap) / 2;
    weight += w;
  });
  return sum / weight;
}

export function drawDensities(row, arrays, studio) {
  const [exact, learned] = [arrays["log:exact"], arrays["log:learned"]];
  const n = Math.round(Math.sqrt(exact.length));
  let top = -Infinity;
  for (const value of exact) top = Math.max(top, value);
  const figures = keepFigures(row, ["exact log-density", "learned log-density", "difference"]);
  [exact, learned].forEach((values, k) => {
    new Plane(figures[k].canvas, studio.extent).image(values, n, (value) => cividis(1 + (value - top) / 8));
    figures[k].hint.textContent = k ? "" : `nats, from ${short(top - 8)} or less (dark) to ${short(top)} (yellow)`;
  });
  const gaps = exact.map((value, k) => Math.abs(value - learned[k]));
  new Plane(figures[2].canvas, studio.extent).image(gaps, n, (value) => cividis(value / 2));
  figures[2].hint.textContent = "from 0 (dark) to 2 nats or more (yellow)";
}

// The state of a walk at a place of its history: after its end the last one.
export function stateAt(walk, place) {
  const count = walk.steps.length;
  const k = Math.min(place, count - 1);
  return { k, step: walk.steps[k], sigma: walk.sigmas[k], evaluations: walk.evaluations[k], x: walk.x[k], shares: walk.shares[k] };
}

export function drawParticles(row, studio) {
  const walks = Object.values(studio.walks).filter((walk) => walk.steps.length);
  if (!walks.length) {
    const [shown] = keepFigures(row, ["particles"]);
    removeShares(shown);
    const plane = new Plane(shown.canvas, studio.extent);
    if (studio.points) plane.points(studio.points, { colour: plane.theme.line, size: 2 });
    shown.hint.textContent = "press start: all samplers set out from the same noise";
    return;
  }
  const figures = keepFigures(row, walks.map((walk) => walk.name.replaceAll("_", " ")));
  walks.forEach((walk, k) => {
    const shown = figures[k];
    const at = stateAt(walk, studio.place);
    const plane = new Plane(shown.canvas, studio.extent);
    if (studio.points) plane.points(studio.points, { colour: plane.theme.line, size: 2, alpha: 1 });
    if (studio.settings.measured) plane.measured(studio.settings.angle, studio.settings.offset, studio.settings.noise);
    plane.points(at.x, { colour: COLOURS[1], size: at.x.length > 3000 ? 2 : 2.6, alpha: 0.85 });
    shown.hint.textContent = `step ${at.step}, σ ${short(at.sigma)}, ${at.evaluations} evaluations${walk.done && at.k === walk.steps.length - 1 ? ", at its end" : ""}`;
    if (!studio.truth?.length || !at.shares) return removeShares(shown);
    if (!shown.bars?.isConnected) {
      shown.bars = element("canvas", { class: "bars", role: "img" });
      shown.drift = element("canvas", { class: "bars", role: "img" });
      shown.append(shown.bars, shown.drift);
    }
    const words = Array.from(at.shares, (share, m) => `${Math.round(100 * share)}% (truth ${Math.round(100 * studio.truth[m])}%)`);
    shown.bars.setAttribute("aria-label", `shares of the modes: ${words.join(", ")}`);
    shown.bars.title = "shares of the modes; the mark is the truth, its whisker what chance allows";
    shareBars(shown.bars, Array.from(at.shares), Array.from(studio.truth), at.x.length / 2);
    shown.drift.setAttribute("aria-label", "shares of the modes by step");
    drift(shown.drift, walk, studio.truth, at.k);
  });
}

function removeShares({ bars, drift: chart }) {
  bars?.remove();
  chart?.remove();
}

function drift(canvas, walk, truth, until) {
  const stride = Math.max(1, Math.floor(until / 300));
  const places = [];
  for (let k = 0; k <= until; k += stride) places.push(k);
  const steps = places.map((k) => walk.steps[k]);
  const series = [...truth].slice(0, 8).flatMap((share, mode) => [
    { x: steps, y: places.map((k) => walk.shares[k][mode]), colour: COLOURS[mode], width: 1.5 },
    { x: [0, steps[steps.length - 1] || 1], y: [share, share], colour: COLOURS[mode], dash: [3, 3], width: 1 },
  ]);
  const top = Math.min(1, 1.3 * Math.max(...truth, ...places.map((k) => Math.max(...walk.shares[k]))));
  curves(canvas, series, { xLabel: "step", yLabel: "share", yRange: [0, top] });
}

// All pictures of a row beside each other on one canvas, with their titles.
export function composed(row, background, text) {
  const figures = [...row.children].filter((each) => each.canvas);
  const [first] = figures;
  const [wide, high] = [first.canvas.width, Math.max(...figures.map((each) => each.canvas.height))];
  const canvas = document.createElement("canvas");
  const bar = Math.round(wide * 0.08);
  canvas.width = figures.length * (wide + 8) - 8;
  canvas.height = high + bar;
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = background;
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.font = `${Math.round(bar * 0.6)}px system-ui, sans-serif`;
  figures.forEach((each, k) => {
    ctx.fillStyle = text;
    ctx.fillText(each.title, k * (wide + 8) + 4, bar * 0.75, wide - 8);
    ctx.drawImage(each.canvas, k * (wide + 8), bar);
  });
  return canvas;
}

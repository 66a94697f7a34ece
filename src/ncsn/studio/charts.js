// Small charts: curves with their axes, and shares of modes beside the truth.

import { COLOURS, context, theme } from "./canvas.js";

const LEFT = 46, BOTTOM = 32, TOP = 8, RIGHT = 10;

export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-3) return value.toExponential(0).replace("e+", "e");
  return String(Number(value.toPrecision(2)));
}

function ticks(low, high, log) {
  if (log) {
    const found = [];
    for (let k = Math.ceil(Math.log10(low) - 1e-9); k <= Math.log10(high) + 1e-9; k += 1) found.push(10 ** k);
    if (found.length >= 2) return found;
    return [low, Math.sqrt(low * high), high];
  }
  const step = 10 ** Math.floor(Math.log10(high - low || 1));
  const size = (high - low) / step > 5 ? 2 * step : (high - low) / step > 2 ? step : step / 2;
  const found = [];
  for (let value = Math.ceil(low / size) * size; value <= high + 1e-9; value += size) found.push(Number(value.toPrecision(6)));
  return found;
}

// Each series is {x, y, colour, dash, width}; values that an axis cannot hold are left out.
export function curves(canvas, series, { logX = false, logY = false, xLabel = "", yLabel = "", xRange, yRange } = {}) {
  const { ctx, width, height } = context(canvas);
  const colours = theme(canvas);
  const every = (key, log) => series.flatMap((each) => Array.from(each[key])).filter((v) => Number.isFinite(v) && (!log || v > 0));
  const range = (values, log) => {
    if (!values.length) return log ? [0.1, 1] : [0, 1];
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
    return log ? [low / 1.15, high * 1.15] : [low, high];
  };
  const [x0, x1] = xRange || range(every("x", logX), logX);
  const [y0, y1] = yRange || range(every("y", logY), logY);
  const share = (value, low, high, log) => (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
  const px = (value) => LEFT + share(value, x0, x1, logX) * (width - LEFT - RIGHT);
  const py = (value) => height - BOTTOM - share(value, y0, y1, logY) * (height - BOTTOM - TOP);
  ctx.font = "11px system-ui, sans-serif";
  ctx.lineWidth = 1;
  ctx.strokeStyle = colours.line;
  ctx.fillStyle = colours.soft;
  ctx.textAlign = "center";
  let free = 0;
  for (const value of ticks(x0, x1, logX)) {
    line(ctx, px(value), TOP, px(value), height - BOTTOM);
    const [at, room] = [Math.min(px(value), width - RIGHT - 8), ctx.measureText(short(value)).width / 2 + 4];
    if (at - room < free) continue;
    ctx.fillText(short(value), at, height - BOTTOM + 13);
    free = at + room;
  }
  ctx.textAlign = "right";
  for (const value of ticks(y0, y1, logY)) {
    line(ctx, LEFT, py(value), width - RIGHT, py(value));
    ctx.fillText(short(value), LEFT - 5, py(value) + 4);
  }
  ctx.textAlign = "center";
  ctx.fillText(xLabel, (LEFT + width - RIGHT) / 2, height - 4);
  ctx.save();
  ctx.translate(10, (height - BOTTOM + TOP) / 2);
  ctx.rotate(-Math.PI / 2);
  ctx.fillText(yLabel, 0, 0);
  ctx.restore();
  ctx.save();
  ctx.beginPath();
  ctx.rect(LEFT, TOP - 2, width - LEFT - RIGHT + 2, height - TOP - BOTTOM + 4);
  ctx.clip();
  for (const { x, y, colour, dash = [], width: thick = 2 } of series) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = thick;
    ctx.setLineDash(dash);
    ctx.beginPath();
    let open = false;
    for (let i = 0; i < x.length; i += 1) {
      const fits = Number.isFinite(y[i]) && (!logY || y[i] > 0) && (!logX || x[i] > 0);
      if (fits) ctx[open ? "lineTo" : "moveTo"](px(x[i]), py(y[i]));
      open = fits;
    }
    ctx.stroke();
  }
  ctx.restore();
}

function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

// Shares as bars, the truth as a mark with the two standard errors that n draws have by chance.
export function shareBars(canvas, shares, truth, n) {
  const { ctx, width, height } = context(canvas);
  const colours = theme(canvas);
  const top = Math.max(0.3, ...shares, ...truth) * 1.25;
  const room = (width - 8) / truth.length;
  const y = (value) => height - 16 - (value / top) * (height - 22);
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "center";
  truth.forEach((true_, k) => {
    const [x, wide] = [4 + k * room + room * 0.15, room * 0.7];
    ctx.fillStyle = COLOURS[k % COLOURS.length];
    ctx.fillRect(x, y(shares[k] || 0), wide, height - 16 - y(shares[k] || 0));
    const error = 2 * Math.sqrt((true_ * (1 - true_)) / n);
    ctx.strokeStyle = colours.text;
    ctx.lineWidth = 2;
    line(ctx, x - 3, y(true_), x + wide + 3, y(true_));
    ctx.lineWidth = 1;
    line(ctx, x + wide / 2, y(true_ - error), x + wide / 2, y(true_ + error));
    ctx.fillStyle = colours.soft;
    if (room > 26) ctx.fillText(`${Math.round(100 * (shares[k] || 0))}%`, x + wide / 2, height - 4);
  });
  ctx.strokeStyle = colours.line;
  line(ctx, 0, height - 15.5, width, height - 15.5);
}

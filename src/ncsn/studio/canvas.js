// The plane on a canvas: densities, arrows, points, and the colours that they have.

// Okabe and Ito's colours, which colour-blind eyes tell apart; yellow is darker and black grey, to be seen on light and dark.
export const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B59F00", "#888888"];

// cividis at nine places (Nuñez, Anderton & Renslow 2018)
const CIVIDIS = [
  [0, 32, 77], [0, 52, 110], [57, 72, 107], [87, 93, 109], [112, 113, 115],
  [138, 134, 120], [165, 156, 116], [195, 179, 105], [253, 231, 55],
];

export function cividis(share) {
  const at = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(at));
  return [0, 1, 2].map((k) => CIVIDIS[low][k] + (at - low) * (CIVIDIS[low + 1][k] - CIVIDIS[low][k]));
}

export function theme(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(`--ncsn-${name}`).trim();
  return {
    text: colour("text"), soft: colour("soft"), line: colour("line"), plane: colour("plane"),
    data: colour("data"), ink: colour("ink"), density: colour("density").split(" ").map(Number),
  };
}

// Give a canvas as many pixels as it has on the screen, and return its context in units of the page.
export function context(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 300;
  const height = canvas.clientHeight || 300;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { ctx, width, height };
}

export class Plane {
  constructor(canvas, extent) {
    this.canvas = canvas;
    this.extent = extent;
    this.begin();
  }

  begin() {
    Object.assign(this, context(this.canvas));
    this.theme = theme(this.canvas);
    this.ctx.fillStyle = this.theme.plane;
    this.ctx.fillRect(0, 0, this.width, this.height);
  }

  at(x, y) {
    const scale = this.width / (2 * this.extent);
    return [(x + this.extent) * scale, this.height - (y + this.extent) * scale];
  }

  // the point of the plane below the pointer
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = (2 * this.extent) / box.width;
    return [(event.clientX - box.left) * scale - this.extent, this.extent - (event.clientY - box.top) * scale];
  }

  // values on a grid of n x n points as a smooth picture; colour(value) is [r, g, b]
  image(values, n, colour) {
    const small = document.createElement("canvas");
    small.width = small.height = n;
    const picture = small.getContext("2d").createImageData(n, n);
    for (let row = 0; row < n; row += 1) {
      for (let column = 0; column < n; column += 1) {
        const [r, g, b] = colour(values[(n - 1 - row) * n + column]);
        picture.data.set([r, g, b, 255], 4 * (row * n + column));
      }
    }
    small.getContext("2d").putImageData(picture, 0, 0);
    this.ctx.imageSmoothingEnabled = true;
    // the first and the last points of the grid lie on the edges
    const cell = this.width / (n - 1);
    this.ctx.drawImage(small, -cell / 2, -cell / 2, this.width + cell, this.height + cell);
  }

  // log-densities as shades from the plane's own colour
  density(logDensities, n) {
    let top = -Infinity;
    for (const value of logDensities) top = Math.max(top, value);
    const back = rgb(this.theme.plane);
    const full = this.theme.density;
    this.image(logDensities, n, (value) => {
      const share = Math.sqrt(Math.exp(value - top));
      return back.map((each, k) => each + share * (full[k] - each));
    });
  }

  // sigma times the score at every second point of the grid; long arrows are shortened
  arrows(scores, n, sigma, colour) {
    const { ctx } = this;
    const every = 2;
    const room = (this.width / n) * every * 0.95;
    ctx.strokeStyle = ctx.fillStyle = colour;
    ctx.lineWidth = 1.1;
    for (let row = 1; row < n; row += every) {
      for (let column = 1; column < n; column += every) {
        const place = row * n + column;
        const dx = sigma * scores[2 * place];
        const dy = sigma * scores[2 * place + 1];
        const size = Math.hypot(dx, dy);
        if (!(size > 1e-3)) continue;
        const length = room * Math.tanh(size / 1.5);
        const step = (2 * this.extent) / (n - 1);
        const [x, y] = this.at(column * step - this.extent, row * step - this.extent);
        const [ux, uy] = [dx / size, -dy / size];
        const [tx, ty] = [x + length * ux, y + length * uy];
        const head = Math.min(4, length * 0.45);
        ctx.beginPath();
        ctx.moveTo(x, y);
        ctx.lineTo(tx, ty);
        ctx.moveTo(tx - head * (ux + 0.6 * uy), ty - head * (uy - 0.6 * ux));
        ctx.lineTo(tx, ty);
        ctx.lineTo(tx - head * (ux - 0.6 * uy), ty - head * (uy + 0.6 * ux));
        ctx.stroke();
      }
    }
  }

  points(x, { labels = null, colour = this.theme.data, size = 2, alpha = 0.8, from = 0, count = x.length / 2 } = {}) {
    const { ctx } = this;
    ctx.globalAlpha = alpha;
    ctx.fillStyle = colour;
    for (let i = 0; i < count; i += 1) {
      const [px, py] = this.at(x[from + 2 * i], x[from + 2 * i + 1]);
      if (labels) ctx.fillStyle = COLOURS[labels[i] % COLOURS.length];
      ctx.fillRect(px - size / 2, py - size / 2, size, size);
    }
    ctx.globalAlpha = 1;
  }

  // the points whose coordinate along a direction is the offset, and the band of one deviation
  measured(angle, offset, noise) {
    const { ctx } = this;
    const radians = (angle * Math.PI) / 180;
    const [a, b] = [Math.cos(radians), Math.sin(radians)];
    const line = (c) => {
      const far = 4 * this.extent;
      ctx.beginPath();
      ctx.moveTo(...this.at(a * c - far * b, b * c + far * a));
      ctx.lineTo(...this.at(a * c + far * b, b * c - far * a));
      ctx.stroke();
    };
    ctx.strokeStyle = this.theme.ink;
    ctx.lineWidth = 2;
    line(offset);
    ctx.lineWidth = 1;
    ctx.setLineDash([5, 4]);
    line(offset - noise);
    line(offset + noise);
    ctx.setLineDash([]);
  }

  note(text) {
    const { ctx } = this;
    ctx.font = "12px system-ui, sans-serif";
    ctx.fillStyle = this.theme.text;
    ctx.textAlign = "center";
    const words = text.split(" ");
    const lines = [""];
    for (const word of words) {
      const longer = `${lines[lines.length - 1]} ${word}`.trim();
      if (ctx.measureText(longer).width > this.width - 20 && lines[lines.length - 1]) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    lines.forEach((each, k) => ctx.fillText(each, this.width / 2, this.height / 2 + 16 * (k - (lines.length - 1) / 2)));
  }
}

export function rgb(colour) {
  const hex = colour.replace("#", "");
  return [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16));
}

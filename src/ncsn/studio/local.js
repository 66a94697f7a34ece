// The studio without Python, for pages of a site: what the library computed beforehand, and the exact score of what is drawn.

import { unpack } from "./messages.js";

const PARTICLES = 200, MOST_STATES = 50;

// A small generator of its own (Mulberry32), and normal numbers from it by Box and Muller.
export function normals(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

// Score and log-density of p_sigma at points x, of Gaussians [weight, x, y, variance]; a drawn point has no variance.
export function exactScore(components, x, sigma) {
  const n = x.length / 2;
  const [score, density] = [new Float32Array(2 * n), new Float32Array(n)];
  const variances = components.map((each) => each[3] + sigma * sigma);
  const constants = components.map((each, k) => Math.log(each[0] / (2 * Math.PI * variances[k])));
  const logs = new Float64Array(components.length);
  for (let i = 0; i < n; i += 1) {
    let top = -Infinity;
    components.forEach(([, cx, cy], k) => {
      const [dx, dy] = [x[2 * i] - cx, x[2 * i + 1] - cy];
      logs[k] = constants[k] - (dx * dx + dy * dy) / (2 * variances[k]);
      if (logs[k] > top) top = logs[k];
    });
    let [total, sx, sy] = [0, 0, 0];
    components.forEach(([, cx, cy], k) => {
      const share = Math.exp(logs[k] - top);
      total += share;
      sx += (share * (cx - x[2 * i])) / variances[k];
      sy += (share * (cy - x[2 * i + 1])) / variances[k];
    });
    score[2 * i] = sx / total;
    score[2 * i + 1] = sy / total;
    density[i] = top + Math.log(total);
  }
  return { score, density };
}

function grid(n, extent) {
  const at = (k) => -extent + (2 * extent * k) / (n - 1);
  return Float32Array.from({ length: 2 * n * n }, (_, k) => at(k % 2 ? Math.floor(k / 2 / n) : (k / 2) % n));
}

function geometric(high, low, n) {
  return Array.from({ length: n }, (_, k) => high * (low / high) ** (k / (n - 1)));
}

// Samplers as generators of states: the formulas of ncsn.samplers, with noise of this page's own.
const WALKS = {
  *langevin({ x, score, settings, normal }) {
    for (let k = 0; k < settings.langevin_steps; k += 1) {
      x = langevinStep(x, score(x, settings.sigma), settings.step * settings.sigma ** 2, normal);
      yield { x, sigma: settings.sigma, evaluations: k + 1 };
    }
  },
  *annealed_langevin({ x, score, settings, sigmas, normal }) {
    let count = 0;
    for (const sigma of sigmas) {
      for (let k = 0; k < settings.per_level; k += 1) {
        x = langevinStep(x, score(x, sigma), settings.step * sigma ** 2, normal);
        yield { x, sigma, evaluations: (count += 1) };
      }
    }
    yield denoised(x, score, sigmas[sigmas.length - 1], count + 1);
  },
  *ancestral(how) {
    yield* down(how, (r) => r * r, (sigma, r) => r * sigma * Math.sqrt(1 - r * r));
  },
  *ddim(how) {
    yield* down(how, (r) => r, () => 0);
  },
};

function* down({ x, score, sigmas, normal }, kept, fresh) {
  for (let k = 0; k + 1 < sigmas.length; k += 1) {
    const [sigma, following] = [sigmas[k], sigmas[k + 1]];
    const r = following / sigma;
    const s = score(x, sigma);
    const f = fresh(sigma, r);
    x = x.map((value, i) => value + (1 - kept(r)) * sigma ** 2 * s[i] + (f ? f * normal() : 0));
    yield { x, sigma: following, evaluations: k + 1 };
  }
  yield denoised(x, score, sigmas[sigmas.length - 1], sigmas.length);
}

function langevinStep(x, s, alpha, normal) {
  return x.map((value, i) => value + (alpha / 2) * s[i] + Math.sqrt(alpha) * normal());
}

function denoised(x, score, sigma, evaluations) {
  const s = score(x, sigma);
  return { x: x.map((value, i) => value + sigma ** 2 * s[i]), sigma: 0, evaluations };
}

// Answers questions as Python does, from files in a folder.
export class Files {
  constructor(folder, guide) {
    Object.assign(this, { folder, guide, hasAddress: true, can: { code: false, gif: false, train: false }, sets: {} });
  }

  async file(name) {
    this.sets[name] ??= fetch(`${this.folder}${name}.bin`).then(async (answer) => {
      if (!answer.ok) throw new Error(`${name}.bin is missing: build the site anew`);
      return unpack(await answer.arrayBuffer());
    });
    return this.sets[name];
  }

  async ask(question) {
    if (question.do.hello) {
      const { head } = await this.file("index");
      this.extent = head.extent;
      return { head, arrays: {} };
    }
    const { settings } = question;
    const recorded = ["mixture", "drawing"].includes(settings.data) ? null : await this.file(settings.data);
    const source = recorded ? { ...recorded.arrays, ends: recorded.head.ends, of: recorded.head.of } : this.made(settings);
    const [head, arrays] = [{ state: { labels: source.count ?? recorded?.head.labels ?? 0, of: source.of } }, {}];
    if (!source.points.length) return { head: { ...head, error: "draw something first: press, and move over the plane" }, arrays };
    if (question.do.points) {
      Object.assign(arrays, { points: source.points, labels: source.labels });
      head.ends = source.ends;
    }
    if (question.do.field) Object.assign(arrays, recorded ? this.recordedField(recorded, settings) : this.madeField(source, settings, question.do.field.n));
    if (question.do.walk) this.walk(question.do.walk, head, arrays, recorded, source, settings);
    return { head, arrays };
  }

  // the points of a mixture or a drawing, and the Gaussians that they are
  made(settings) {
    const { uniform, normal } = normals(settings.seed + 1);
    const drawn = settings.data === "drawing";
    const parts = drawn ? settings.strokes : settings.mixture;
    const components = drawn ? parts.flat().map(([x, y]) => [1, x, y, 0]) : parts.map(([w, x, y, s]) => [w, x, y, s * s]);
    const whole = components.reduce((sum, each) => sum + each[0], 0);
    for (const each of components) each[0] /= whole;
    let [points, labels] = [parts.flat(2), drawn ? parts.flatMap((stroke, k) => stroke.map(() => k)) : []];
    if (!drawn) {
      points = [];
      for (let i = 0; i < settings.points; i += 1) {
        let [k, left] = [0, uniform()];
        while (k < components.length - 1 && (left -= components[k][0]) > 0) k += 1;
        const [, x, y, variance] = components[k];
        points.push(x + Math.sqrt(variance) * normal(), y + Math.sqrt(variance) * normal());
        labels.push(k);
      }
    }
    const truth = parts.map((each, k) => (drawn ? each.length / labels.length : components[k][0]));
    return { components, points: Float32Array.from(points), labels, truth: Float32Array.from(truth), count: parts.length, ends: [0.02, 5], of: drawn ? "the points" : "the distribution" };
  }

  madeField(source, settings, n) {
    const { score, density } = exactScore(source.components, grid(n, this.extent), settings.sigma);
    return { exact: score, density };
  }

  // between two recorded levels sigma times the score lies between theirs
  recordedField({ head, arrays }, settings) {
    const { sigmas } = head;
    const { sigma } = settings;
    let k = 0;
    while (k < sigmas.length - 2 && sigmas[k + 1] > sigma) k += 1;
    const share = Math.max(0, Math.min(1, Math.log(sigmas[k] / sigma) / Math.log(sigmas[k] / sigmas[k + 1])));
    const between = (values, scaled) => {
      const size = values.length / sigmas.length;
      const [a, b] = scaled ? [sigmas[k] / sigma, sigmas[k + 1] / sigma] : [1, 1];
      return Float32Array.from({ length: size }, (_, i) => (1 - share) * a * values[k * size + i] + share * b * values[(k + 1) * size + i]);
    };
    return { exact: between(arrays.exact, true), learned: between(arrays.learned, true), density: between(arrays.density, false) };
  }

  walk(wanted, head, arrays, recorded, source, settings) {
    if (wanted.again || !this.walks) this.walks = recorded ? this.replayed(recorded, settings) : this.begun(source, settings);
    head.walks = [];
    for (const [name, walk] of Object.entries(this.walks)) {
      const states = [];
      while (states.length < Math.min(MOST_STATES, wanted.steps) && !walk.done) {
        const { value, done } = walk.states.next();
        if (done) walk.done = true;
        else states.push({ step: (walk.count = (walk.count ?? -1) + 1), ...value });
      }
      head.walks.push({
        name, done: Boolean(walk.done), steps: states.map((each) => each.step),
        sigmas: states.map((each) => each.sigma), evaluations: states.map((each) => each.evaluations),
      });
      if (!states.length) continue;
      const shares = states.map((each) => sharesOf(each.x, source, source.truth.length));
      const joined = (parts) => Float32Array.from(parts.flatMap((part) => Array.from(part)));
      arrays[`walk:${name}`] = joined(states.map((each) => each.x));
      if (source.truth.length) arrays[`shares:${name}`] = joined(shares);
    }
    arrays.truth = source.truth;
  }

  begun(source, settings) {
    const { normal } = normals(settings.seed);
    const start = Float64Array.from({ length: 2 * PARTICLES }, () => source.ends[1] * normal());
    const sigmas = geometric(source.ends[1], source.ends[0], settings.levels);
    const score = (x, sigma) => exactScore(source.components, x, sigma).score;
    const begin = function* (name) {
      yield { x: start, sigma: sigmas[0], evaluations: 0 };
      yield* WALKS[name]({ x: start, score, settings, sigmas, normal });
    };
    return Object.fromEntries(settings.samplers.filter((name) => name in WALKS).map((name) => [name, { states: begin(name) }]));
  }

  replayed({ head, arrays }, settings) {
    const names = head.walks.filter((each) => settings.samplers.includes(each.name));
    return Object.fromEntries(names.map((each) => [each.name, { states: replay(each, arrays[`walk:${each.name}`]) }]));
  }
}

function* replay({ steps, sigmas, evaluations }, x) {
  const size = x.length / sigmas.length;
  for (let k = 0; k < sigmas.length; k += 1) yield { x: x.subarray(k * size, (k + 1) * size), step: steps[k], sigma: sigmas[k], evaluations: evaluations[k] };
}

// The share of each mode: a particle is of the mode of the nearest of some labelled points.
function sharesOf(x, { points, labels }, modes) {
  const shares = new Float32Array(modes);
  const stride = 2 * Math.max(1, Math.floor(points.length / 2 / 300));
  for (let i = 0; modes && i < x.length; i += 2) {
    let [least, mode] = [Infinity, 0];
    for (let j = 0; j < points.length; j += stride) {
      const far = (points[j] - x[i]) ** 2 + (points[j + 1] - x[i + 1]) ** 2;
      if (far < least) [least, mode] = [far, labels[j / 2]];
    }
    shares[mode] += 2 / x.length;
  }
  return shares;
}

export function overFiles(folder, guide = (page) => `guide/${page}.html`) {
  return new Files(folder, guide);
}

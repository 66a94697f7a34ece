// The studio: what is set and shown, the questions that it asks a frame at a time, and what people do with it.

import { element } from "./controls.js";
import { findTheme, listen } from "./hands.js";
import { layout } from "./layout.js";
import { overFiles } from "./local.js";
import { overHttp, overWidget } from "./messages.js";
import { afterChange, fromAddress, toAddress } from "./settings.js";
import { lookAt } from "./touring.js";
import { drawData, drawDensities, drawFields, drawLosses, drawParticles } from "./views.js";

// what is asked for once, and has to be answered
const AGAIN = ["reset", "table", "points", "field", "losses", "density", "code", "gif", "guide"];
const FIELD = 40, DENSITY = 32, MOST_VALUES = 3e7;

class Page {
  constructor(root, link, only = null) {
    Object.assign(this, { root, link, only, can: { code: true, gif: true, train: true, ...link.can } });
    this.wants = { hello: 1 };
    Object.assign(this, { training: false, walking: false, busy: false, frames: 0, speed: 5, mode: 0, place: 0 });
    Object.assign(this, { points: null, labels: null, field: null, losses: null, walks: {}, truth: null, curve: [], state: {} });
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    root.classList.add("ncsn");
    findTheme(this);
    this.start();
  }

  async start() {
    const { head } = await this.link.ask({ do: { hello: 1 } });
    Object.assign(this, { defaults: head.defaults, groups: head.groups, extent: head.extent, wants: {} });
    const told = this.link.hasAddress ? fromAddress(location.hash, this.defaults) : {};
    this.settings = { ...head.settings, ...told.settings };
    this.parts = layout(this, head.names);
    this.root.append(...this.parts.all);
    this.say(told.wrong || "");
    this.showColumns(head.columns);
    this.show();
    this.begin("data");
    listen(this);
    this.tick();
  }

  // what is set

  set(name, value) {
    if (name === "speed") return void (this.speed = value);
    this.settings = afterChange(name, { ...this.settings, [name]: value });
    this.show();
    for (const group of ["data", "training", "view", "walk"]) if (this.groups[group].includes(name)) this.begin(group);
    if (this.settings.measured && ["measured", "angle", "offset", "noise"].includes(name)) this.walking = true;
  }

  setAll(settings) {
    const before = this.settings;
    this.settings = { ...this.settings, ...settings };
    this.show();
    const changed = (group) => this.groups[group].some((name) => JSON.stringify(before[name]) !== JSON.stringify(this.settings[name]));
    for (const group of ["data", "training", "view", "walk"]) if (changed(group)) this.begin(group);
  }

  // forget what a change of these settings makes anew, and ask for it
  begin(group) {
    if (group === "data" || group === "training") {
      Object.assign(this, { curve: [], losses: null, training: false });
      this.wants.losses = 1;
    }
    if (group === "data") this.wants.points = 1;
    this.wants.field = { n: FIELD };
    this.hideDensity();
    Object.assign(this, { walks: {}, walking: false, place: 0, dirty: true });
    this.wants.walkAgain = 1;
    clearTimeout(this.writing);
    if (this.link.hasAddress) this.writing = setTimeout(() => this.writeAddress(), 200);
  }

  writeAddress() {
    const text = toAddress(this.settings, this.defaults);
    // a place of the page around stays while nothing is set
    if (text || fromAddress(location.hash, this.defaults).ours) history.replaceState(null, "", `#${text}`);
  }

  readAddress() {
    const { settings, ours, wrong } = fromAddress(location.hash, this.defaults);
    if (ours) this.setAll({ ...this.defaults, ...settings });
    this.say(wrong);
  }

  show() {
    const { parts, settings } = this;
    parts.controls.show({ ...settings, speed: this.speed });
    const of = settings.data;
    parts.modes.hidden = of !== "mixture";
    parts.clear.hidden = of !== "drawing";
    parts.file.hidden = of !== "table";
    parts.columns.forEach((each) => (each.hidden = of !== "table" || !each.options.length));
    parts.measure.hidden = !settings.measured;
    parts.samplers.hidden = settings.measured;
    this.showClasses();
    // what was recorded has its own steps
    const recorded = !this.can.train && !["mixture", "drawing"].includes(of);
    for (const each of parts.steps) each.hidden = recorded;
    const mode = settings.mixture[this.mode] || settings.mixture[(this.mode = 0)];
    if (mode) [parts.weight.value, parts.spread.value] = [mode[0], mode[3]];
    this.dirty = true;
  }

  showClasses(known = this.classes) {
    this.classes = known;
    this.parts.label.hidden = this.parts.labels.hidden = !known;
    this.parts.guidance.hidden = !known || this.settings.label < 0;
  }

  showColumns(columns) {
    this.parts.columns.forEach((each, k) => {
      each.replaceChildren(...columns.map((name) => element("option", { value: name }, name)));
      each.value = this.settings.columns[k] ?? columns[k] ?? "";
    });
  }

  // one question a frame

  question() {
    const wanted = {};
    const { wants } = this;
    for (const name of ["reset", "table", "points"]) if (wants[name]) wanted[name] = wants[name];
    if (wants.train || this.training) wanted.train = wants.train || {};
    if (this.training) {
      this.frames += 1;
      if (this.frames % 3 === 0) wants.field = { n: FIELD };
      if (this.frames % 30 === 0) wants.losses = 1;
    }
    if (wants.field && !this.density) wanted.field = wants.field;
    for (const name of ["losses", "density"]) if (wants[name]) wanted[name] = wants[name];
    if (wants.walk || this.walking) {
      if (this.settings.measured && wants.walkAgain) this.say("drawing given the measurement …");
      wanted.walk = { steps: wants.walk || this.speed * (this.calm.matches ? 10 : 1), again: Boolean(wants.walkAgain) };
      delete wants.walkAgain;
    }
    for (const name of ["code", "gif", "guide"]) if (wants[name]) wanted[name] = wants[name];
    if (!Object.keys(wanted).length) return null;
    this.wants = wants.walkAgain ? { walkAgain: 1 } : {};
    return { settings: this.settings, do: wanted };
  }

  async tick() {
    if (!this.root.isConnected && this.seen) return this.link.close?.();
    this.seen = this.root.isConnected;
    const question = this.busy ? null : this.question();
    if (question) {
      this.busy = true;
      this.link.ask(question).then((answer) => this.take(answer, question)).catch((error) => this.stop(error.message)).finally(() => (this.busy = false));
    }
    // with reduced motion the pictures of what runs change twice a second
    const due = !this.calm.matches || !(this.training || this.walking) || performance.now() - (this.drawn || 0) > 500;
    if (this.dirty && due) this.draw();
    requestAnimationFrame(() => this.tick());
  }

  stop(message) {
    Object.assign(this, { training: false, walking: false, dirty: true });
    this.say(message, true);
  }

  say(message, wrong = false) {
    this.parts.status.textContent = message;
    this.parts.status.classList.toggle("wrong", wrong);
  }

  take({ head, arrays }, question) {
    const asked = JSON.stringify(question.settings) === JSON.stringify(this.settings);
    this.state = head.state;
    this.dirty = true;
    // what answers an earlier setting is asked for again, and but for pictures not shown
    if (!asked) for (const name of AGAIN) if (question.do[name]) this.wants[name] ??= question.do[name];
    if (head.error) {
      this.resolve?.(null);
      if (!asked) return;
      if (question.do.points) Object.assign(this, { points: null, field: null });
      return this.stop(head.error);
    }
    if (this.parts.status.classList.contains("wrong")) this.say("");
    if (head.columns && question.do.table) {
      this.settings = { ...this.settings, ...head.settings };
      this.showColumns(head.columns);
      this.show();
      this.begin("data");
    }
    if (arrays.points) this.takePoints(arrays, head);
    if (arrays.density) this.field = arrays;
    if (!asked) return;
    if (head.state.curve?.length && question.do.train) this.curve.push(head.state.curve[0]);
    if (this.training && head.state.done) {
      this.training = false;
      this.wants.losses = 1;
      this.wants.field = { n: FIELD };
    }
    if (arrays["loss:sigmas"]) this.losses = arrays;
    if (arrays["log:exact"]) {
      this.density = arrays;
      this.say("the log-density, until sigma or the points change");
    }
    if (head.walks) this.takeWalks(head, arrays);
    if (head.code || arrays.gif || head.guide) this.resolve?.(head.code || arrays.gif || head.guide);
  }

  takePoints(arrays, head) {
    this.points = arrays.points;
    this.labels = arrays.labels ? Array.from(arrays.labels) : null;
    const [low, high] = head.ends;
    this.parts.sigma.range(low, high, this.settings.sigma);
    const count = head.state.labels;
    this.parts.label.fill([-1, ...Array(count).keys()]);
    // and nothing else, which may be in the midst of being typed
    this.parts.controls.show({ label: this.settings.label });
    this.showClasses(this.can.train && count > 1);
  }

  takeWalks(head, arrays) {
    const first = !this.longest;
    for (const { name, steps, sigmas, evaluations, done } of head.walks) {
      const walk = (this.walks[name] ||= { name, steps: [], sigmas: [], evaluations: [], x: [], shares: [] });
      walk.done = done;
      steps.forEach((step, k) => {
        const size = arrays[`walk:${name}`].length / steps.length;
        walk.steps.push(step);
        walk.sigmas.push(sigmas[k]);
        walk.evaluations.push(evaluations[k]);
        walk.x.push(arrays[`walk:${name}`].subarray(k * size, (k + 1) * size));
        const shares = arrays[`shares:${name}`];
        const modes = shares ? shares.length / steps.length : 0;
        walk.shares.push(shares ? shares.subarray(k * modes, (k + 1) * modes) : null);
        if (walk.x.length * size > MOST_VALUES) for (const key of ["steps", "sigmas", "evaluations", "x", "shares"]) walk[key] = walk[key].filter((_, i) => i % 2);
      });
    }
    if (this.settings.measured) this.say("");
    this.truth = arrays.truth;
    this.place = this.longest - 1;
    if (head.walks.every((walk) => walk.done)) this.walking = false;
    if (!first || this.parts.tour.hidden) return;
    // what a tour speaks of has its size now
    this.draw();
    lookAt(this, this.parts.particles);
  }

  get longest() {
    return Math.max(0, ...Object.values(this.walks).map((walk) => walk.steps.length));
  }

  // what is shown

  draw() {
    this.dirty = false;
    this.drawn = performance.now();
    const { parts, state } = this;
    drawData(parts.data.canvas, this);
    drawLosses(parts.loss, parts.curve, this);
    if (this.density) drawDensities(parts.fields, this.density, this);
    else drawFields(parts.fields, this);
    drawParticles(parts.particles, this);
    parts.train.textContent = this.training ? "pause training" : state.done ? "training is done" : state.step ? "go on" : "start training";
    parts.train.disabled = Boolean(state.done);
    parts.progress.value = (state.step || 0) / this.settings.steps;
    parts.told.textContent = state.weights ? `step ${state.step.toLocaleString("en")} of ${this.settings.steps.toLocaleString("en")}, ${state.weights.toLocaleString("en")} weights` : "";
    parts.walk.textContent = this.walking ? "pause" : this.longest ? "go on" : "start";
    parts.density.textContent = this.density ? "score field" : "log-density";
    parts.scrub.max = String(Math.max(0, this.longest - 1));
    parts.scrub.value = String(this.place);
  }

  // what people do

  toggle(what) {
    this[what] = !this[what];
    if (this[what] && what === "walking") this.place = this.longest - 1;
    if (!this.training) this.wants.losses = 1;
    this.dirty = true;
  }

  trainOnce() {
    this.training = false;
    this.wants.train = { steps: 1 };
    this.wants.losses = 1;
    this.wants.field = { n: FIELD };
    this.hideDensity();
  }

  resetTraining() {
    this.begin("training");
    this.wants.reset = 1;
  }

  walkOnce() {
    this.walking = false;
    if (this.place < this.longest - 1) this.scrub(this.place + 1);
    else this.wants.walk = 1;
  }

  walkAgain() {
    Object.assign(this, { walks: {}, place: 0, walking: true });
    this.wants.walkAgain = 1;
  }

  scrub(place) {
    Object.assign(this, { walking: false, place, dirty: true });
  }

  hideDensity() {
    if (this.density) this.say("");
    Object.assign(this, { density: null, dirty: true });
  }

  showDensity() {
    if (this.density) return this.hideDensity();
    this.say("computing the log-density …");
    this.wants.density = { n: DENSITY };
    this.ask("density");
  }

  ask(name, value = 1) {
    this.wants[name] = name === "density" ? this.wants.density : value;
    return new Promise((resolve) => {
      this.resolve = (answer) => {
        this.resolve = null;
        resolve(answer);
      };
    });
  }

  addMode() {
    this.mode = this.settings.mixture.length;
    this.set("mixture", [...this.settings.mixture, [0.5, 0, 0, 0.3]]);
  }

  removeMode() {
    if (this.settings.mixture.length > 1) this.set("mixture", this.settings.mixture.filter((_, k) => k !== this.mode));
  }

  reshape(place, input) {
    const value = Math.max(0.05, Number(input.value) || 0.05);
    this.moveMode((mode) => mode.map((each, k) => (k === place ? value : each)));
  }

  moveMode(change) {
    this.set("mixture", this.settings.mixture.map((mode, k) => (k === this.mode ? change(mode) : mode)));
  }

  readFile(file) {
    if (!file) return;
    file.text().then((text) => (this.wants.table = { name: file.name, text }));
  }
}

// Show the studio, or one section of it alone, which then leaves the address to the page around.
export function mount(root, link = overHttp(), only = null) {
  return new Page(root, only ? Object.assign(link, { hasAddress: false }) : link, only);
}

// Show it in a place of a site's page, over files in a folder, apart from the page's own style.
export function show(place, folder, only) {
  const [root, style] = [element("div"), element("link", { rel: "stylesheet", href: `${folder}studio.css` })];
  style.addEventListener("load", () => mount(root, overFiles(folder), only));
  place.attachShadow({ mode: "open" }).append(style, root);
}

// anywidget's way in
function render({ model, el }) {
  const root = document.createElement("div");
  // a notebook has shortcuts of its own
  root.dataset.lmSuppressShortcuts = "true";
  el.append(root);
  mount(root, overWidget(model));
  return () => root.remove();
}

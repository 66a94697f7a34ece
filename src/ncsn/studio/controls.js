// Controls: each sets one setting, and says in a sentence what it does.

import { EXPLANATIONS } from "./explanations.js";

export function element(kind, attributes = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list" && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((each) => each !== null));
  return made;
}

const WORDS = {
  data: "data", points: "points", seed: "seed", method: "method", network: "network", width: "width", steps: "steps",
  learning_rate: "learning rate", batch_size: "batch", train_on: "training levels", weighting: "weighting",
  labels: "tell it classes", printed: "the page's network as printed, beside", sigma: "σ", label: "class", guidance: "guidance",
  samplers: "samplers", score: "they follow", particles: "particles", step: "step α/σ²", langevin_steps: "plain Langevin's steps",
  grid: "levels lie", levels: "levels", per_level: "steps a level", measured: "given a measurement", angle: "direction (°)",
  offset: "measured", noise: "its noise", speed: "speed", density: "log-density",
};

// The sentence behind a question mark, with the way to a page of the guide.
function why(name, guide) {
  const [sentence, page] = EXPLANATIONS[name];
  const mark = element("summary", { "aria-label": `what is ${WORDS[name]}?`, title: sentence }, "?");
  const told = element("p", {}, sentence, " ", guide(page));
  const made = element("details", { class: "why" }, mark, told);
  // what would reach over the edge moves back
  made.addEventListener("toggle", () => {
    told.style.left = "";
    const over = told.getBoundingClientRect().right - made.closest(".ncsn").getBoundingClientRect().right + 8;
    if (made.open && over > 0) told.style.left = `${-over}px`;
  });
  return made;
}

// Turn a slider's place, from 0 to 1000, into its value and back.
const scales = {
  linear: { value: (at, low, high) => low + (at / 1000) * (high - low), at: (v, low, high) => ((v - low) / (high - low)) * 1000 },
  log: {
    value: (at, low, high) => low * (high / low) ** (at / 1000),
    at: (v, low, high) => (Math.log(v / low) / Math.log(high / low)) * 1000,
  },
};

export class Controls {
  constructor(guide, changed) {
    this.guide = guide;
    this.changed = changed;
    this.shown = {};
  }

  wrap(name, input, { inline = false } = {}) {
    const id = `ncsn-${name}-${Math.random().toString(36).slice(2, 7)}`;
    input.id = id;
    input.dataset.setting = name;
    const label = element("label", { for: id }, WORDS[name]);
    return element("div", { class: inline ? "control inline" : "control" }, ...(inline ? [input, label] : [label, input]), why(name, this.guide));
  }

  select(name, values, words = {}) {
    const input = element("select", {
      onchange: () => this.changed(name, JSON.parse(input.value)),
    });
    const fill = (list) =>
      input.replaceChildren(...list.map((v) => element("option", { value: JSON.stringify(v) }, words[v] ?? String(v).replaceAll("_", " "))));
    fill(values);
    this.shown[name] = (value) => (input.value = JSON.stringify(value));
    const made = this.wrap(name, input);
    made.fill = fill;
    return made;
  }

  number(name, { min, max, step = 1, empty = false } = {}) {
    const input = element("input", {
      type: "number", min: String(min), max: String(max), step: String(step), placeholder: empty ? "auto" : "",
      onchange: () => {
        if (input.value === "" && !empty) return;
        this.changed(name, input.value === "" ? null : Math.min(max, Math.max(min, Number(input.value))));
      },
    });
    this.shown[name] = (value) => (input.value = value ?? "");
    return this.wrap(name, input);
  }

  slider(name, { low, high, scale = "linear", digits = 3, stable = null }) {
    const range = { low, high };
    const told = element("output", {});
    const input = element("input", { type: "range", min: "0", max: "1000", step: "1" });
    const say = (value) => {
      told.value = String(Number(value.toPrecision(digits)));
      input.setAttribute("aria-valuetext", told.value);
    };
    input.addEventListener("input", () => {
      const value = Number(scales[scale].value(Number(input.value), range.low, range.high).toPrecision(digits));
      say(value);
      this.changed(name, value);
    });
    this.shown[name] = (value) => {
      input.value = scales[scale].at(value, range.low, range.high);
      say(value);
    };
    const made = this.wrap(name, input);
    made.insertBefore(told, made.querySelector(".why"));
    made.classList.add("slider");
    if (stable) {
      const share = scales[scale].at(stable, low, high) / 10;
      const words = [element("span", {}, `stable below ${stable}`), element("span", {}, "runs away")];
      made.append(element("div", { class: "stable", style: `--share:${share}%` }, ...words));
    }
    made.range = (newLow, newHigh, value) => {
      Object.assign(range, { low: newLow, high: newHigh });
      this.shown[name](value);
    };
    return made;
  }

  check(name) {
    const input = element("input", { type: "checkbox", onchange: () => this.changed(name, input.checked) });
    this.shown[name] = (value) => (input.checked = value);
    return this.wrap(name, input, { inline: true });
  }

  several(name, values) {
    const boxes = values.map((value) => element("input", { type: "checkbox", value }));
    const tell = () => {
      const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
      if (chosen.length) this.changed(name, chosen);
      else this.shown[name](this.last);
    };
    boxes.forEach((box) => box.addEventListener("change", tell));
    this.shown[name] = (chosen) => {
      this.last = chosen;
      boxes.forEach((box) => (box.checked = chosen.includes(box.value)));
    };
    const made = element(
      "fieldset", { class: "control several" },
      element("legend", {}, WORDS[name]),
      ...boxes.map((box) => element("label", {}, box, box.value.replaceAll("_", " "))),
    );
    made.append(why(name, this.guide));
    return made;
  }

  // a button with its sentence
  action(name, made, hidden) {
    return element("span", { class: "control inline", hidden }, made, why(name, this.guide));
  }

  show(settings) {
    for (const [name, show] of Object.entries(this.shown)) if (name in settings) show(settings[name]);
  }
}

export function button(text, act, attributes = {}) {
  return element("button", { type: "button", onclick: act, ...attributes }, text);
}

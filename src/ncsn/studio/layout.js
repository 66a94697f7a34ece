// The page: its sections, and what stands in each.

import { Controls, button, element } from "./controls.js";
import { readGuide } from "./dialog.js";
import { copyCode, copyLink, saveGif, savePng } from "./saving.js";
import { showTour } from "./touring.js";
import { TOURS } from "./tours.js";
import { figure } from "./views.js";

function section(name, title, ...children) {
  return element("section", { class: name, "aria-label": title }, element("h2", {}, title), ...children);
}

export function layout(studio, names) {
  const guide = (page) => {
    const address = studio.link.guide(page);
    return address ? element("a", { href: address, target: "_blank", rel: "noopener" }, "guide") : button("guide", () => readGuide(studio, page));
  };
  const controls = new Controls(guide, (name, value) => studio.set(name, value));
  const parts = { controls };
  const row = (...children) => element("div", { class: "controls" }, ...children);

  parts.status = element("p", { class: "status", role: "status" });
  parts.tours = element(
    "select", { "aria-label": "guided tours", onchange: () => showTour(studio, Number(parts.tours.value)) },
    element("option", { value: "-1" }, "guided tours …"),
    ...TOURS.flatMap((tour, k) => (studio.can.train || tour.anywhere ? [element("option", { value: String(k) }, tour.title)] : [])),
  );
  parts.tour = element("aside", { class: "tour", hidden: true, "aria-live": "polite" });
  const tools = [parts.tours];
  if (studio.link.hasAddress) tools.push(button("copy link", () => copyLink(studio)));
  if (studio.can.code) tools.push(button("copy as Python", () => copyCode(studio)));
  const header = element("header", {}, element("h1", {}, "ncsn studio"), element("div", { class: "tools" }, ...tools));

  // data
  parts.data = figure("points");
  parts.data.canvas.tabIndex = 0;
  parts.modes = element(
    "div", { class: "controls modes", hidden: true },
    button("add a mode", () => studio.addMode()), button("remove it", () => studio.removeMode()),
    element("label", {}, "weight ", (parts.weight = element("input", { type: "range", min: "0.05", max: "1", step: "0.05", "aria-label": "weight of the mode", oninput: () => studio.reshape(0, parts.weight) }))),
    element("label", {}, "deviation ", (parts.spread = element("input", { type: "range", min: "0.05", max: "1", step: "0.05", "aria-label": "standard deviation of the mode", oninput: () => studio.reshape(3, parts.spread) }))),
  );
  parts.clear = button("clear the drawing", () => studio.set("strokes", []), { hidden: true });
  parts.file = element("input", { type: "file", accept: ".csv,.tsv,.txt", "aria-label": "a CSV file", hidden: true, onchange: () => studio.readFile(parts.file.files[0]) });
  parts.columns = [0, 1].map((k) =>
    element("select", { "aria-label": k ? "column across" : "column upward", hidden: true, onchange: () => studio.set("columns", parts.columns.map((each) => each.value)) }));
  const words = { eight_gaussians: "eight Gaussians", mixture: "a mixture to drag", drawing: "your drawing", table: "a CSV file" };
  const data = section(
    "data", "Data",
    row(controls.select("data", names.data, words), controls.number("points", { min: 2, max: 5000 }), controls.number("seed", { min: 0, max: 2 ** 31 })),
    parts.modes, parts.clear, parts.file, ...parts.columns, parts.data,
  );

  // training
  parts.train = button("start training", () => studio.toggle("training"), { class: "main", title: "t" });
  parts.progress = element("progress", { max: "1", value: "0", "aria-label": "training steps taken" });
  parts.told = element("span", { class: "told" });
  parts.loss = figure("loss by noise level, and its floor", { square: false, tall: true });
  parts.curve = figure("loss by step", { square: false });
  const training = section(
    "training", "Training",
    element("div", { class: "buttons" }, parts.train, button("one step", () => studio.trainOnce()), button("reset", () => studio.resetTraining()), parts.progress, parts.told),
    row(
      controls.select("method", names.method), controls.number("width", { min: 4, max: 512 }), controls.number("steps", { min: 1, max: 50000 }),
      controls.number("learning_rate", { min: 0.00001, max: 1, step: "any", empty: true }),
    ),
    element(
      "details", { class: "more" }, element("summary", {}, "more settings"),
      row(
        controls.select("network", names.network, { method: "the method's", page: "the page's, made sound" }),
        controls.number("batch_size", { min: 1, max: 4096 }),
        controls.select("train_on", [null, ...names.levels], { null: "the method's" }),
        controls.select("weighting", [null, ...names.weighting], { null: "the method's" }),
        (parts.labels = controls.check("labels")), controls.check("printed"),
      ),
    ),
    parts.loss, parts.curve,
  );

  // field
  parts.sigma = controls.slider("sigma", { low: 0.01, high: 4, scale: "log" });
  parts.label = controls.select("label", [-1], { "-1": "all" });
  parts.guidance = controls.slider("guidance", { low: 0, high: 6 });
  parts.fields = element("div", { class: "figures" });
  parts.density = button("log-density", () => studio.showDensity());
  const field = section(
    "field", "Score field",
    row(parts.sigma, parts.label, parts.guidance),
    element("div", { class: "buttons" }, controls.action("density", parts.density, !studio.can.train), button("save PNG", () => savePng(studio, parts.fields, "field"))),
    parts.fields,
  );

  // particles
  parts.walk = button("start", () => studio.toggle("walking"), { class: "main", title: "p" });
  parts.scrub = element("input", { type: "range", min: "0", max: "0", value: "0", "aria-label": "step that is shown", oninput: () => studio.scrub(Number(parts.scrub.value)) });
  parts.particles = element("div", { class: "figures" });
  parts.measure = row(
    controls.slider("angle", { low: 0, high: 180 }), controls.slider("offset", { low: -3, high: 3 }), controls.slider("noise", { low: 0.02, high: 2, scale: "log" }),
  );
  const particles = section(
    "particles", "Particles",
    element(
      "div", { class: "buttons" }, parts.walk, button("one step", () => studio.walkOnce(), { title: "s" }), button("again", () => studio.walkAgain()),
      button("save PNG", () => savePng(studio, parts.particles, "particles")),
      studio.can.gif ? button("save GIF", () => saveGif(studio)) : null, parts.scrub,
    ),
    row(
      (parts.samplers = controls.several("samplers", names.samplers)),
      controls.select("score", ["exact", "learned", "printed"], { exact: "the exact score", learned: "the network's", printed: "the printed one's" }),
      (parts.step = controls.slider("step", { low: 0.01, high: 16, scale: "log", stable: 4 })),
      controls.select("speed", [1, 2, 5, 20]),
    ),
    (parts.walkSettings = element(
      "details", { class: "more" }, element("summary", {}, "more settings"),
      row(
        controls.number("particles", { min: 1, max: 5000 }), controls.select("grid", names.levels), controls.number("levels", { min: 2, max: 500 }),
        controls.number("per_level", { min: 1, max: 1000 }), controls.number("langevin_steps", { min: 1, max: 100000 }),
      ),
    )),
    row(controls.check("measured")), parts.measure, parts.particles,
  );
  parts.steps = [parts.step, parts.walkSettings];
  // without Python there is nothing to train, and nothing to measure
  training.hidden = !studio.can.train;
  if (!studio.can.train) {
    for (const name of ["points", "seed", "score", "label", "guidance", "grid", "particles", "measured"]) {
      for (const input of [data, field, particles].flatMap((each) => [...each.querySelectorAll(`[data-setting=${name}]`)])) input.closest(".control").hidden = true;
    }
  }
  parts.sections = { data, training, field, particles };
  if (studio.only) for (const [name, each] of Object.entries(parts.sections)) each.hidden = name !== studio.only;
  header.hidden = Boolean(studio.only);
  parts.all = [header, parts.tour, parts.status, element("main", {}, element("div", {}, data, training), element("div", {}, field, particles))];
  return parts;
}

// Guided tours on the page: what a step says, sets and starts, and where to look.

import { button, element } from "./controls.js";
import { TOURS } from "./tours.js";

export function showTour(studio, number, step = 0) {
  const { parts } = studio;
  parts.tours.value = String(number);
  parts.tour.hidden = number < 0;
  const { title, steps } = TOURS[number] ?? { steps: [] };
  const { text, settings = {}, run = [], section } = steps[step] ?? {};
  const shown = section || (run.includes("walk") ? "particles" : "training");
  for (const [name, each] of Object.entries(parts.sections)) each.classList.toggle("pointed", number >= 0 && name === shown);
  if (number < 0) return;
  const go = (to) => button(to < step ? "back" : "next", () => showTour(studio, number, to), { class: to > step ? "main" : "" });
  parts.tour.replaceChildren(
    element("h2", {}, `${title} (${step + 1} of ${steps.length})`), element("p", {}, text),
    element("div", { class: "buttons" }, ...(step ? [go(step - 1)] : []), ...(step < steps.length - 1 ? [go(step + 1)] : []), button("end", () => showTour(studio, -1))),
  );
  if (Object.keys(settings).length) studio.setAll({ ...studio.defaults, ...settings });
  // what learns goes on while the next step is read
  studio.training ||= run.includes("train");
  if (run.includes("walk")) studio.walkAgain();
  lookAt(studio, parts.sections[shown]);
}

// Bring what is spoken of into sight, below the tour's own words.
export function lookAt(studio, part) {
  const { tour } = studio.parts;
  part.style.scrollMarginTop = `${tour.offsetHeight + (parseFloat(getComputedStyle(tour).top) || 0) + 8}px`;
  part.scrollIntoView({ behavior: studio.calm.matches ? "auto" : "smooth", block: "nearest" });
}

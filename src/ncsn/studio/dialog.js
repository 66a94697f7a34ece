// Windows over the page: what was copied, and the guide where no page of its own can be opened.

import { button, element } from "./controls.js";

// Show something with a button to close it, and return what closes it.
export function dialog(root, title, content) {
  const shown = element(
    "dialog", { "aria-label": title }, element("h2", {}, title), content,
    button("close", () => shown.close(), { class: "main" }),
  );
  shown.addEventListener("close", () => shown.remove());
  root.append(shown);
  shown.showModal();
  return () => shown.close();
}

// A page of the guide; its links lead to others in the same window.
export async function readGuide(studio, page) {
  const text = await studio.ask("guide", { page });
  if (!text) return;
  const shown = element("div", { class: "guide", tabindex: "0" });
  shown.innerHTML = text;
  const close = dialog(studio.root, "the guide", shown);
  shown.addEventListener("click", (event) => {
    const name = event.target.closest("a")?.getAttribute("href").split("#")[0];
    if (name === undefined || name.includes(":")) return;
    event.preventDefault();
    close();
    if (name) readGuide(studio, name);
  });
}

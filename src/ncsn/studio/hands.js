// What pointer and keyboard do: drawing, dragging modes, starting and pausing.

const STROKE = 0.05, MOST_DRAWN = 600;

// dark where the notebook or the site is, elsewhere where the system is
export function findTheme(studio) {
  const { jpThemeLight, mdColorScheme, vscodeThemeKind } = document.body.dataset;
  const said = jpThemeLight ? jpThemeLight === "false" : mdColorScheme ? mdColorScheme === "slate" : vscodeThemeKind?.includes("dark");
  studio.root.classList.toggle("dark", said ?? window.matchMedia("(prefers-color-scheme: dark)").matches);
  studio.dirty = true;
}

// Close the explanations that are open, but for the one that holds an element.
function closeWhys(root, kept = null) {
  for (const each of root.querySelectorAll(".why[open]")) if (!each.contains(kept)) each.open = false;
}

export function listen(studio) {
  const { canvas } = studio.parts.data;
  const at = (event) => {
    const scale = (2 * studio.extent) / canvas.clientWidth;
    const box = canvas.getBoundingClientRect();
    const round = (value) => Math.round(100 * Math.max(-studio.extent, Math.min(studio.extent, value))) / 100;
    return [round((event.clientX - box.left) * scale - studio.extent), round(studio.extent - (event.clientY - box.top) * scale)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = at(event);
    if (studio.settings.data === "mixture") {
      const far = studio.settings.mixture.map((mode) => Math.hypot(mode[1] - x, mode[2] - y));
      studio.mode = far.indexOf(Math.min(...far));
      studio.show();
    } else if (studio.settings.data === "drawing") studio.set("strokes", [...studio.settings.strokes, [[x, y]]]);
    else return;
    canvas.setPointerCapture(event.pointerId);
    studio.held = event.pointerId;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (studio.held !== event.pointerId) return;
    const [x, y] = at(event);
    if (studio.settings.data === "mixture") return studio.moveMode(([w, , , s]) => [w, x, y, s]);
    const strokes = studio.settings.strokes.slice();
    const last = strokes.pop();
    const [lx, ly] = last[last.length - 1];
    const count = strokes.reduce((sum, each) => sum + each.length, last.length);
    // a point for each bit of the way, a little to the side as a pencil's are
    const parts = Math.floor(Math.hypot(x - lx, y - ly) / STROKE);
    if (!parts || count + parts > MOST_DRAWN) return;
    const aside = (place) => Math.round(100 * (place + 0.04 * (Math.random() + Math.random() - 1))) / 100;
    const added = Array.from({ length: parts }, (_, k) => [aside(lx + ((k + 1) / parts) * (x - lx)), aside(ly + ((k + 1) / parts) * (y - ly))]);
    studio.set("strokes", [...strokes, [...last, ...added.slice(0, -1), [x, y]]]);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (studio.held = null));
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (studio.settings.data !== "mixture") return;
    if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      event.preventDefault();
      studio.moveMode(([w, x, y, s]) => [w, Math.round(100 * (x + dx)) / 100, Math.round(100 * (y + dy)) / 100, s]);
    } else if (event.key === "m") {
      studio.mode = (studio.mode + 1) % studio.settings.mixture.length;
      studio.show();
    }
  });
  // where the page is the studio's it hears keys wherever the focus is
  const ear = studio.link.hasAddress ? document : studio.root;
  ear.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeWhys(studio.root);
    if (studio.only || event.composedPath()[0].closest("input, select, textarea, dialog, summary") || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { t: () => studio.parts.train.click(), p: () => studio.parts.walk.click(), s: () => studio.walkOnce() };
    if (!(event.key in keys)) return;
    // the page around may have its own use for the key
    event.stopPropagation();
    keys[event.key]();
  });
  studio.root.addEventListener("pointerdown", (event) => closeWhys(studio.root, event.target));
  new ResizeObserver(() => (studio.dirty = true)).observe(studio.root);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => findTheme(studio));
  new MutationObserver(() => findTheme(studio)).observe(document.body, { attributes: true });
  if (studio.link.hasAddress) window.addEventListener("hashchange", () => studio.readAddress());
}

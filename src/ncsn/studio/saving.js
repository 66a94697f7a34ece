// Pictures and animations as files.

import { theme } from "./canvas.js";
import { composed } from "./views.js";

const FRAMES = 50;

function save(name, address) {
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
}

export function savePng(studio, row, name) {
  const { plane, text } = theme(studio.root);
  save(`ncsn-${name}.png`, composed(row, plane, text).toDataURL("image/png"));
}

export async function saveGif(studio) {
  const [{ plane, text }, end, pictures] = [theme(studio.root), studio.longest, []];
  studio.walking = false;
  const every = Math.max(1, Math.ceil(end / FRAMES));
  for (let place = 0; place < end; place += place + every >= end && place < end - 1 ? end - 1 - place : every) {
    studio.place = place;
    studio.draw();
    pictures.push(composed(studio.parts.particles, plane, text).toDataURL("image/png"));
  }
  studio.say("making the animation …");
  const gif = await studio.ask("gif", { pictures });
  if (!gif) return;
  save("ncsn-particles.gif", URL.createObjectURL(new Blob([gif], { type: "image/gif" })));
  studio.say("saved");
}

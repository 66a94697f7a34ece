// What people take with them: the address, the code, pictures and animations.

import { theme } from "./canvas.js";
import { element } from "./controls.js";
import { dialog } from "./dialog.js";
import { composed } from "./views.js";

const FRAMES = 50;

async function copy(studio, text, said) {
  try {
    await navigator.clipboard.writeText(text);
    studio.say(said);
  } catch {
    studio.say("the clipboard is closed to this page: copy from the window");
  }
}

export function copyLink(studio) {
  studio.writeAddress();
  copy(studio, location.href, "copied: the address holds the seed and all settings");
}

export async function copyCode(studio) {
  const code = await studio.ask("code");
  if (!code) return;
  copy(studio, code, "copied as Python");
  dialog(studio.root, "the same as Python", element("pre", { tabindex: "0" }, code));
}

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

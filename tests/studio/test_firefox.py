"""The studio of the site in Firefox, where there is one: a page uses it and posts what it saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

USING = """<!doctype html><meta charset="utf-8"><iframe width="390" height="800"></iframe><script type="module">
const frame = document.querySelector("iframe"), seen = { wrong: [] };
const pause = time => new Promise(done => setTimeout(done, time));
async function until(holds) {
  for (let tries = 0; tries < 600; tries += 1) { if (holds()) return; await pause(100); }
  seen.wrong.push(`never: ${holds}`);
}
function pixels(canvas) {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return Array.from({ length: data.length / 4 }, (_, at) => data.slice(4 * at, 4 * at + 3).join());
}
await new Promise(done => { frame.onload = done; frame.src = "studio.html"; });
frame.contentWindow.addEventListener("error", event => seen.wrong.push(event.message));
const place = frame.contentDocument.getElementById("studio").shadowRoot;
const texts = selector => [...place.querySelectorAll(selector)].map(each => each.textContent);
await until(() => texts(".field figcaption")[0] === "exact score");
await pause(1000);
seen.captions = texts(".field figcaption");
const exact = place.querySelector(".field canvas"), wide = pixels(exact), sigma = place.querySelector("[data-setting=sigma]");
sigma.value = sigma.min;
sigma.dispatchEvent(new Event("input", { bubbles: true }));
await pause(1000);
const narrow = pixels(exact);
seen.colours = new Set(narrow).size;
seen.changed = narrow.filter((pixel, at) => pixel !== wide[at]).length / narrow.length;
[...place.querySelectorAll(".particles button")].find(button => button.textContent === "start").click();
await until(() => texts(".particles .hint").filter(text => text.endsWith("at its end")).length === 2);
seen.ends = texts(".particles .hint");
seen.needed = frame.contentDocument.documentElement.scrollWidth;
await fetch("measured", { method: "POST", body: JSON.stringify(seen) });
</script>"""


def test_the_studio_of_the_site_draws_and_reacts(site_folder: Path, in_firefox: Callable[[Path, str], Any]) -> None:
    seen = in_firefox(site_folder, USING)
    assert seen["wrong"] == []
    assert seen["captions"] == ["exact score", "learned", "error"]
    # arrows over a shaded density, another at another sigma
    assert seen["colours"] > 20
    assert seen["changed"] > 0.05
    # 20 steps of plain Langevin dynamics, and the walk down six levels, denoised at its end
    assert seen["ends"][0].startswith("step 20,")
    assert "19 evaluations" in seen["ends"][1]
    assert seen["needed"] <= 390

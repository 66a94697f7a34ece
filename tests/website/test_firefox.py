"""The site's formulas in Firefox, where there is one: its pages measure themselves and post what they find to the server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("latex2mathml")

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
sys.path.insert(0, str(ROOT / "docs"))

pytestmark = pytest.mark.browser

FORMULAS = {
    "integral": r"\int_0^1 f(x)\, \mathrm{d}x",
    "box": r"\boxed{\; \nabla_x \log p_\sigma(x) = -\frac{z}{\sigma} \;}",
    "letters": r"\mathbb E\, \mathcal N",
    "wide": r" + ".join(rf"\frac{{x_{{{n}}}}}{{\sigma_{{{n}}}}}" for n in range(40)),
    "flat": r"\sigma \lVert x \rVert^2",
    "tall": r"\sigma \Big\lVert \frac{x}{\sigma} \Big\rVert^2",
}

MEASURING = """<!doctype html><meta charset="utf-8"><iframe height="800"></iframe><script type="module">
const frame = document.querySelector("iframe"), found = { pages: [], formulas: {} };
async function shown(name) {
  await new Promise(done => { frame.onload = done; frame.src = name; });
  await frame.contentDocument.fonts.ready;
  return frame.contentDocument;
}
for (const width of [390, 1280]) {
  frame.width = width;
  for (const name of NAMES) {
    const root = (await shown(name)).documentElement, fonts = [...root.ownerDocument.fonts];
    const loaded = fonts.some(font => font.family.includes("STIX") && font.status === "loaded");
    found.pages.push({ name, width: root.clientWidth, needed: root.scrollWidth, loaded });
  }
}
frame.width = 390;
const inside = await shown(NAMES[0]);
inside.querySelector("article").innerHTML = CONTENT;
await inside.fonts.ready;
await new Promise(done => setTimeout(done, 500));
for (const part of inside.querySelectorAll("article > div")) {
  const size = parseFloat(getComputedStyle(part.querySelector("math")).fontSize), scrolls = part.querySelector(".formula");
  const boxes = selector => [...part.querySelectorAll(selector)].map(each => {
    const { left, right, top, bottom, width, height } = each.getBoundingClientRect();
    const border = parseFloat(getComputedStyle(each).borderTopWidth);
    return { text: each.textContent, left, right, top, bottom, border, width: width / size, height: height / size };
  });
  found.formulas[part.id] = { signs: boxes("mo"), letters: boxes("mi"), boxed: boxes(".boxed, .boxed > mrow"),
    wide: scrolls.scrollWidth / scrolls.clientWidth };
}
found.needed = inside.documentElement.scrollWidth;
await fetch("measured", { method: "POST", body: JSON.stringify(found) });
</script>"""


def measuring() -> str:
    """Return the page that measures the others."""
    from formulas import page_with_formulas

    pages = [path for path in sorted(SITE.rglob("*.html")) if "<math" in path.read_text(encoding="utf-8")]
    assert len(pages) > 15
    blocks = [f'<div id="{name}"><div class="arithmatex">\\[{tex}\\]</div></div>' for name, tex in FORMULAS.items()]
    names = json.dumps([path.relative_to(SITE).as_posix() for path in pages])
    content = json.dumps(page_with_formulas("".join(blocks))).replace("</", "<\\/")
    return MEASURING.replace("NAMES", names).replace("CONTENT", content)


@pytest.fixture(scope="module")
def found(in_firefox: Callable[[Path, str], Any]) -> Any:
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no site/: build it with docs/build_site.py")
    return in_firefox(SITE, measuring())


def test_pages_with_formulas_keep_to_their_window_and_have_the_sites_font(found: dict[str, Any]) -> None:
    assert len(found["pages"]) > 30
    assert {page["width"] > 1000 for page in found["pages"]} == {False, True}
    assert [page for page in found["pages"] if page["needed"] > page["width"] or not page["loaded"]] == []


def test_signs_grow_and_boxes_have_borders(found: dict[str, Any]) -> None:
    formulas = found["formulas"]
    # a display's integral is about 2.2 times as high as the letters' size in this font
    assert formulas["integral"]["signs"][0]["height"] > 1.8
    outer, inner = formulas["box"]["boxed"]
    assert outer["border"] > 0
    assert outer["left"] + 3 < inner["left"] < inner["right"] < outer["right"] - 3
    assert outer["top"] + 3 < inner["top"] < inner["bottom"] < outer["bottom"] - 3
    assert [letter["text"] for letter in formulas["letters"]["letters"]] == ["𝔼", "𝒩"]


def test_bars_of_a_pair_are_alike(found: dict[str, Any]) -> None:
    for name, least, most in (("flat", 0.5, 1.2), ("tall", 1.5, 4)):
        opening, closing = found["formulas"][name]["signs"]
        assert opening["text"] == closing["text"] == "‖"
        # their box has the space beside them, which a sign between two things has and a bar has not
        assert opening["width"] == pytest.approx(closing["width"], abs=0.02)
        assert opening["width"] < 0.6
        assert opening["height"] == pytest.approx(closing["height"], abs=0.02)
        assert opening["top"] == pytest.approx(closing["top"], abs=1)
        assert least < opening["height"] < most, name


def test_a_wide_formula_scrolls_in_itself(found: dict[str, Any]) -> None:
    assert found["formulas"]["wide"]["wide"] > 2
    assert found["needed"] <= 390

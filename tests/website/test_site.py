"""The built site in a browser, page by page: `make test-site`."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

pytest.importorskip("playwright")
pytest.importorskip("latex2mathml")
from playwright.sync_api import Browser, Page, TimeoutError, expect

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
sys.path.insert(0, str(ROOT / "docs"))

pytestmark = pytest.mark.browser

PATIENCE = 20_000
"""Milliseconds that a machine with much else to do may take."""

PHONE: Any = {"width": 390, "height": 844}
SCREEN: Any = {"width": 1280, "height": 900}

ASKS = """() => ({
    links: [...document.querySelectorAll("[href], [src]")].map(element => element.href || element.src),
    names: [...document.querySelectorAll("[id], a[name]")].map(element => element.id || element.name),
})"""

WIDE = """() => {
    const root = document.documentElement, width = root.clientWidth;
    if (root.scrollWidth <= width) return "";
    const out = [...document.querySelectorAll("main *")].filter(element => element.getBoundingClientRect().right > width + 1);
    return `${root.scrollWidth} of ${width}: ${out.slice(0, 2).map(element => element.outerHTML.slice(0, 120)).join(" | ")}`;
}"""


def leave_search_out(page: Page) -> None:
    """Let pages find nothing but the first: indexing takes most of a page's time, and is another test's."""
    known = json.loads((SITE / "search" / "search_index.json").read_text(encoding="utf-8"))
    first = known | {"docs": known["docs"][:1]}
    page.route("**/search_index.json", lambda route: route.fulfill(json=first))


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no site/: build it with docs/build_site.py")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def test_pages_keep_to_their_window_and_links_lead_somewhere(page: Page, address: str) -> None:
    pages = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html"))]
    assert len(pages) > 70
    links: dict[str, set[str]] = {}
    names: dict[str, set[str]] = {}
    wrong: list[str] = []
    sizes = [PHONE, SCREEN]
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:", "blob:")) else wrong.append(request.url),
    )
    leave_search_out(page)
    for name in pages:
        # without what is recorded, which may not be there, the studio stays empty
        page.goto(address + name, wait_until="load")
        asked = page.evaluate(ASKS)
        names[name] = set(asked["names"])
        for link in asked["links"]:
            if link.startswith(address):
                links.setdefault(link.removeprefix(address), set()).add(name)
        # each page begins at the width at which the one before ended
        sizes.reverse()
        for size in sizes:
            page.set_viewport_size(size)
            for scheme in ("default", "slate"):
                page.evaluate("scheme => document.body.setAttribute('data-md-color-scheme', scheme)", scheme)
                wide = page.evaluate(WIDE)
                if wide:
                    # what slides to its place may be on its way
                    page.wait_for_timeout(500)
                    wide = page.evaluate(WIDE)
                if wide:
                    wrong.append(f"{name} at {size['width']} px, {scheme}: {wide}")
    for link, places in links.items():
        target, part = urldefrag(link)
        file = unquote(target) or "index.html"
        file += "index.html" if file.endswith("/") else ""
        # recorded where the site is built in full
        if not (SITE / file).is_file() and not file.startswith("studio/"):
            wrong.append(f"{sorted(places)[0]}: no {file}")
        elif part and file in names and unquote(part) not in names[file]:
            wrong.append(f"{sorted(places)[0]}: no #{part} in {file}")
    assert wrong == []


@pytest.mark.parametrize(("asked", "shown"), [("light", "default"), ("dark", "slate")])
def test_colours_are_those_that_a_reader_asks_for(page: Page, address: str, asked: Any, shown: str) -> None:
    page.emulate_media(color_scheme=asked)
    page.goto(address + "help/cheat_sheet.html", wait_until="load")
    assert page.locator("body").get_attribute("data-md-color-scheme") == shown
    lightness = "element => getComputedStyle(element).%s.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)"
    ground = page.locator("body").evaluate(lightness % "backgroundColor")
    for letters in ("h1", "math", "td code", "pre code"):
        # of 765 for white on black
        assert abs(page.locator(f"article {letters}").first.evaluate(lightness % "color") - ground) > 250, letters


def test_every_formula_is_in_the_sites_own_font(page: Page, address: str) -> None:
    """What a browser took for each glyph, as it tells its own developer tools."""
    pages = [path for path in sorted(SITE.rglob("*.html")) if "<math" in path.read_text(encoding="utf-8")]
    assert len(pages) > 15
    leave_search_out(page)
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    taken: dict[str, str] = {}
    for path in pages:
        text = path.read_text(encoding="utf-8")
        # neither a script nor a variant that browsers do not know is left to show letters
        assert not re.search(r'mathvariant="(?!normal)|<menclose|class="arithmatex"', text), path
        page.goto(address + path.relative_to(SITE).as_posix(), wait_until="load")
        page.evaluate("document.fonts.ready")
        root = session.send("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
        for node in session.send("DOM.querySelectorAll", {"nodeId": root, "selector": "math"})["nodeIds"]:
            for font in session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]:
                if not (font["isCustomFont"] and font["familyName"] == "STIX Two Math"):
                    taken[font["familyName"]] = path.name
    assert taken == {}


FORMULAS = {
    "integral": r"\int_0^1 f(x)\, \mathrm{d}x",
    "box": r"\boxed{\; \nabla_x \log p_\sigma(x) = -\frac{z}{\sigma} \;}",
    "letters": r"\mathbb E\, \mathcal N",
    "wide": r" + ".join(rf"\frac{{x_{{{n}}}}}{{\sigma_{{{n}}}}}" for n in range(40)),
    "name": r"\log p",
    "brackets": r"\log(p)",
    "signs": r"z \sim p * q = -\sigma \big\|x\big\|",
    "minus": r"a -\sigma",
}


@pytest.fixture
def shown(page: Page, address: str) -> Page:
    """Formulas on one of the site's pages, as a phone shows it."""
    from formulas import page_with_formulas

    page.goto(address + "help/cite.html", wait_until="load")
    page.set_viewport_size(PHONE)
    blocks = [f'<div id="{name}"><div class="arithmatex">\\[{tex}\\]</div></div>' for name, tex in FORMULAS.items()]
    inline = f'<p id="inline"><span class="arithmatex">\\({FORMULAS["integral"]}\\)</span></p>'
    content = page_with_formulas("".join([*blocks, inline]))
    page.locator("article").evaluate("(article, content) => { article.innerHTML = content; }", content)
    page.evaluate("document.fonts.ready")
    page.wait_for_function("document.fonts.check('20px \"STIX Two Math\"')")
    return page


def box(page: Page, selector: str) -> dict[str, float]:
    found: dict[str, float] = page.locator(selector).first.evaluate(
        "element => { const {left, right, top, bottom, width, height} = element.getBoundingClientRect();"
        " return {left, right, top, bottom, width, height}; }"
    )
    return found


def test_signs_grow_and_boxes_have_borders(shown: Page) -> None:
    size = float(shown.locator("#integral math").evaluate("element => parseFloat(getComputedStyle(element).fontSize)"))
    # a display's integral is about 2.2 times as high as the letters' size in this font, that of a line about 1.1 times
    assert box(shown, "#integral mo")["height"] > 1.8 * size
    assert box(shown, "#inline mo")["height"] < 1.5 * size
    outer, inner = box(shown, "#box .boxed"), box(shown, "#box .boxed > mrow")
    assert outer["left"] + 3 < inner["left"] < inner["right"] < outer["right"] - 3
    assert outer["top"] + 3 < inner["top"] < inner["bottom"] < outer["bottom"] - 3
    border = "element => parseFloat(getComputedStyle(element).borderTopWidth)"
    assert shown.locator("#box .boxed").evaluate(border) > 0
    assert shown.locator("#letters mi").all_text_contents() == ["𝔼", "𝒩"]


def test_names_stand_off_as_in_tex(shown: Page) -> None:
    size = float(shown.locator("#name math").evaluate("element => parseFloat(getComputedStyle(element).fontSize)"))
    gap = box(shown, "#name mi:last-of-type")["left"] - box(shown, "#name mi")["right"]
    assert gap == pytest.approx(size / 6, rel=0.05)
    assert box(shown, "#brackets mo")["left"] - box(shown, "#brackets mi")["right"] < 0.1 * size


def test_signs_are_mathematics(shown: Page) -> None:
    assert shown.locator("#signs mo").all_text_contents() == ["∼", "∗", "=", "−", "‖", "‖"]
    of_one = box(shown, "#signs mo[form=prefix] + mi")["left"] - box(shown, "#signs mo[form=prefix]")["right"]
    of_two = box(shown, "#minus mo + mi")["left"] - box(shown, "#minus mo")["right"]
    assert of_one < 0.5 * of_two
    assert shown.locator("#signs mo[form=prefix]").all_text_contents() == ["−", "‖"]


def test_a_wide_formula_scrolls_in_itself(shown: Page) -> None:
    inside = shown.locator("#wide .formula")
    assert inside.evaluate("element => element.scrollWidth > 2 * element.clientWidth")
    assert inside.evaluate("element => { element.scrollLeft = 200; return element.scrollLeft; }") == 200
    assert shown.evaluate(WIDE) == ""


FOUND = {
    "install": "install.html",
    "colab": "install.html",
    "glossary": "help/glossary.html",
    "troubleshooting": "help/troubleshooting.html",
    "cite": "help/cite.html",
    "faq": "help/faq.html",
    "questions": "help/faq.html",
    "tutorial": "learning.html",
    "changelog": "changelog.html",
    "which sampler": "help/which.html",
    "unknown method did you mean": "help/messages.html",
    "must be a positive finite number": "help/messages.html",
    "negative variances": "help/messages.html",
    "too few to compare methods on": "help/messages.html",
    "distils no teacher": "help/messages.html",
}


def test_the_search_finds(page: Page, address: str) -> None:
    page.goto(address + "index.html", wait_until="load")
    for words, where in FOUND.items():
        page.locator(".md-search__input").first.fill(words)
        # it listens to keys
        page.locator(".md-search__input").first.press("End")
        try:
            page.wait_for_function(
                "where => [...document.querySelectorAll('.md-search-result__item > a')].slice(0, 4)"
                ".some(link => link.href.includes(where))",
                arg=f"/{where}",
                timeout=PATIENCE / 2,
            )
        except TimeoutError as error:
            pytest.fail(f"{words}: {where} is not among the first four: {error}")


@pytest.mark.parametrize(
    "where",
    ["install", "help/which", "help/cheat_sheet", "help/troubleshooting", "help/glossary", "howto/table", "help/cite"],
)
def test_the_start_page_leads_there_in_one_step(page: Page, address: str, where: str) -> None:
    page.goto(address + "index.html", wait_until="load")
    expect(page.locator(f"article a[href^='{where}.html']").first).to_be_visible()

"""Formulas of the built site: TeX in its pages becomes MathML, and wide formulas scroll in themselves."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from xml.etree import ElementTree

from ncsn.studio.formulas import mathml

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\s*(?:\\\((?P<inline>.*?)\\\)|\\\[(?P<block>.*?)\\\])\s*</(?P=tag)>',
    re.DOTALL,
)

_CODE = re.compile(r"<(pre|code|script|style)\b.*?</\1>", re.DOTALL)

_LEFT_OVER = re.compile(r"\$\$.{,60}", re.DOTALL)

_BARE = re.compile(r"\\\((?P<inline>[^\n]+?)\\\)|\\\[(?P<block>.+?)\\\]", re.DOTALL)

LONG = 30
"""So many signs in a line of text may be wider than a phone, and scroll there."""


def page_with_formulas(text: str) -> str:
    """Return a page's HTML with its formulas as MathML, those of a line of their own in a part that scrolls.

    Raises:
        ValueError: One cannot be shown, or is not marked as a formula.
    """

    def formula(found: re.Match[str]) -> str:
        if found["block"] is None:
            shown = mathml(html.unescape(found["inline"]).strip())
            length = len("".join(ElementTree.fromstring(shown).itertext()))
            return shown if length < LONG else f'<span class="formula long">{shown}</span>'
        return f'<div class="formula">{mathml(html.unescape(found["block"]).strip(), block=True)}</div>'

    left = _LEFT_OVER.search(_CODE.sub("", text))
    if left:
        raise ValueError(f"the generator saw none in {left[0]!r}")
    return _FORMULA.sub(formula, text)


def plain(text: str) -> str:
    r"""Return a text with its formulas as characters, for the search.

    >>> plain(r"the score \(\nabla \log p_\sigma\)")
    'the score ∇logpσ'
    """

    def characters(found: re.Match[str]) -> str:
        tex = html.unescape(found["inline"] or found["block"]).strip()
        return html.escape("".join(ElementTree.fromstring(mathml(tex)).itertext()), quote=False)

    return _BARE.sub(characters, text)


def show_formulas(site: Path) -> None:
    """Rewrite the pages of a site, and what its search knows of them.

    Raises:
        SystemExit: A formula cannot be shown; the message names its page.
    """
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        try:
            new = page_with_formulas(text)
        except (ValueError, ElementTree.ParseError) as error:
            raise SystemExit(f"{page.relative_to(site)}: no formula: {error}") from error
        if new != text:
            page.write_text(new, encoding="utf-8")
    for index in site.rglob("search_index.json"):
        known = json.loads(index.read_text(encoding="utf-8"))
        for entry in known["docs"]:
            entry |= {key: plain(entry[key]) for key in ("title", "text")}
        index.write_text(json.dumps(known, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")

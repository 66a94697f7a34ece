"""Formulas from TeX to the MathML that browsers show without any script: of the studio's guide, and of the site.

Browsers keep MathML Core, which knows no letters by `mathvariant` and no `menclose`: letters become the characters that
Unicode has for them, and boxes get a border by the style sheet's ``.boxed``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from xml.etree import ElementTree

from latex2mathml.converter import convert

_UPRIGHT = re.compile(r"\\mathrm\s*(?:\{(?P<word>[A-Za-z]+)\}|(?P<letter>[A-Za-z]))")

_DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")

_OPENING = tuple("([{|‖⟨⌈⌊")

_SPACE = "0.1667em"

_CLOSING = tuple(")]}⟩⌉⌋")

_BARS = ("|", "‖")

_TALL = {"mfrac", "munder", "munderover", "mtable"}

_SIGNS = {"~": "∼", "*": "∗", r"\|": "‖", r"\lVert": "‖", r"\rVert": "‖", r"\lvert": "|", r"\rvert": "|"}
"""Operators by what the keyboard has for them."""

_SPACED = {"…", "⋯"}
"""Dots, which TeX sets off a little."""

_ACCENTS = {"^": "ˆ", "~": "˜"}


def mathml(tex: str, block: bool = False) -> str:
    r"""Return a formula as MathML Core.

    Raises:
        ValueError: It holds what a browser would not show.

    >>> mathml(r"\mathbb E")
    '<math><mrow><mi>𝔼</mi></mrow></math>'
    """
    # a letter alone in \mathrm would be italic
    upright = _UPRIGHT.sub(lambda found: rf"\text{{{found['word'] or found['letter']}}}", tex)
    root = ElementTree.fromstring(convert(upright, display="block" if block else "inline"))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        _spell_out(element)
    for step in (_pair_bars, _tell_prefixes, _space_names):
        for row in [element for element in root.iter() if element.tag == "mrow"]:
            step(row)
    if "\\" in "".join(root.itertext()):
        raise ValueError(f"a command is not known: {tex}")
    if not block:
        root.attrib.pop("display", None)
    return ElementTree.tostring(root, encoding="unicode")


def _spell_out(element: ElementTree.Element) -> None:
    """Say by characters and borders what MathML Core cannot say by attributes."""
    variant = element.attrib.get("mathvariant", "normal")
    if variant != "normal":
        element.text = "".join(_letter(letter, variant) for letter in element.text or "")
        del element.attrib["mathvariant"]
    if element.tag == "menclose":
        if element.attrib.pop("notation") != "box":
            raise ValueError("of what encloses a formula only boxes are shown")
        element.tag, element.attrib["class"] = "mrow", "boxed"
    signs = _ACCENTS if element.tag in ("mover", "munder") else _SIGNS
    for child in element:
        if child.text in signs:
            child.tag, child.text = "mo", signs[child.text]
    if "minsize" in element.attrib and element.text in (*_OPENING, *_CLOSING) and element.text not in _BARS:
        _fence(element, closing=element.text in _CLOSING)
    if element.get("width") == "negativethinmathspace":
        element.set("width", f"-{_SPACE}")
    if element.text in _SPACED:
        element.attrib |= {"lspace": _SPACE, "rspace": _SPACE}
    if element.tag == "mo" and (element.text or "").isalpha() and len(element.text or "") > 1:
        element.tag = "mi"


def _fence(element: ElementTree.Element, *, closing: bool) -> None:
    """Make an operator a bracket, which browsers set differently unless they are told everything."""
    element.attrib |= {"form": "postfix" if closing else "prefix", "lspace": "0", "rspace": "0"}


def _pair_bars(row: ElementTree.Element) -> None:
    r"""Tell bars that open from bars that close, and let only those grow that stand by something tall.

    Raises:
        ValueError: One is alone. (The bar of a condition, ``\mid``, is another character.)
    """
    for child in row:
        if child.tag == "mo" and child.text in _BARS and "lspace" in child.attrib:
            # that of \middle
            child.set("stretchy", str(_is_tall(row)).lower())
    holders = [child for child in row if _is_bar(_core(child))]
    if len(holders) % 2:
        raise ValueError(r"a bar has no partner; a condition is written with \mid")
    for first, last in zip(holders[::2], holders[1::2], strict=True):
        children = list(row)
        begin, end = children.index(first), children.index(last)
        for bar, closing in ((_core(first), False), (_core(last), True)):
            grows = (bar.get("stretchy") == "true" or "minsize" in bar.attrib) and _is_tall(children[begin:end])
            bar.attrib.clear()
            bar.set("stretchy", str(grows).lower())
            _fence(bar, closing=closing)
        if last.tag != "mo":
            # scripts of a bar are those of all that it closes, or it would not grow with that
            held = ElementTree.Element("mrow")
            held.extend([*children[begin:end], last[0]])
            last[0] = held
            row[:] = [*children[:begin], *children[end:]]


def _is_bar(element: ElementTree.Element) -> bool:
    return element.tag == "mo" and element.text in _BARS and "lspace" not in element.attrib


def _is_tall(elements: Iterable[ElementTree.Element]) -> bool:
    return any(part.tag in _TALL for element in elements for part in element.iter())


def _letter(letter: str, variant: str) -> str:
    kind = "DIGIT" if letter.isdigit() else "CAPITAL" if letter.isupper() else "SMALL"
    name = f"{variant.upper()} {kind} {_DIGITS[int(letter)] if letter.isdigit() else letter.upper()}"
    for known in (f"MATHEMATICAL {name}", name):
        try:
            return unicodedata.lookup(known)
        except KeyError:
            continue
    raise ValueError(f"there is no character for {letter!r} in {variant}")


def _tell_prefixes(row: ElementTree.Element) -> None:
    """Tell signs of one thing from signs between two, and join the two signs of a definition."""
    for before, child in pairwise(list(row)):
        if (before.text, child.text) in (("=", ":"), (":", "=")):
            before.tag, before.text = "mo", f"{before.text}{child.text}"
            row.remove(child)
        if before.get("width", "").startswith("-") and _opens(child):
            # TeX sets a pair of brackets off, which this takes back; browsers do not
            row.remove(before)
    for before, child in pairwise(row):
        ends = before.tag != "mo" or before.get("form") == "postfix" or before.text in (*_CLOSING, "!")
        if child.tag == "mo" and child.text in ("−", "+", "±") and not ends:
            child.set("form", "prefix")


def _space_names(row: ElementTree.Element) -> None:
    """Set names of functions off from what stands beside them, as TeX does."""
    children = list(row)
    row[:] = []
    for position, child in enumerate(children):
        before = children[position - 1] if position else None
        after = children[position + 1] if position + 1 < len(children) else None
        named = _is_name(child)
        if named and before is not None and before.tag not in ("mo", "mspace") and not _is_name(before):
            row.append(_space())
        row.append(child)
        if named and after is not None and after.tag != "mspace" and not _opens(after):
            row.append(_space())


def _space() -> ElementTree.Element:
    return ElementTree.Element("mspace", {"width": _SPACE})


def _is_name(element: ElementTree.Element) -> bool:
    core = _core(element)
    return core.tag == "mi" and len(core.text or "") > 1


def _core(element: ElementTree.Element) -> ElementTree.Element:
    """Return what an element's scripts stand at."""
    return element[0] if element.tag in ("msub", "msup", "msubsup", "munder", "munderover") else element


def _opens(element: ElementTree.Element) -> bool:
    first = element[0] if element.tag == "mrow" and len(element) else element
    return first.tag == "mo" and (first.text or "") in (*_OPENING, ",", ")", "]", ".")

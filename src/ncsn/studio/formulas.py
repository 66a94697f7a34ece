"""Formulas from TeX to the MathML that browsers show without any script: of the studio's guide, and of the site.

Browsers keep MathML Core, which knows no letters by `mathvariant` and no `menclose`: letters become the characters that
Unicode has for them, and boxes get a border by the style sheet's ``.boxed``.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from xml.etree import ElementTree

from latex2mathml.converter import convert

_UPRIGHT = re.compile(r"\\mathrm\s*(?:\{(?P<word>[A-Za-z]+)\}|(?P<letter>[A-Za-z]))")

_DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")

_OPENING = tuple("([{|‖⟨")

_SPACE = "0.1667em"

_SIGNS = {"~": "∼", "*": "∗", r"\|": "‖"}
"""Operators by what the keyboard has for them."""

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
    for element in list(root.iter()):
        if element.tag == "mrow":
            _tell_prefixes(element)
            _space_names(element)
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
    if "minsize" in element.attrib and element.text in ("|", "‖"):
        # without a left and a right of their own browsers differ on them
        element.attrib.clear()
        element.attrib |= {"stretchy": "false", "lspace": "0", "rspace": "0"}
    if element.tag == "mo" and (element.text or "").isalpha() and len(element.text or "") > 1:
        element.tag = "mi"


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
    """Tell signs of one thing from signs between two."""
    for before, child in pairwise(row):
        ends = before.tag != "mo" or before.text in (")", "]", "}", "|", "‖", "!")
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
    core = element[0] if element.tag in ("msub", "msup", "msubsup", "munder", "munderover") else element
    return core.tag == "mi" and len(core.text or "") > 1


def _opens(element: ElementTree.Element) -> bool:
    first = element[0] if element.tag == "mrow" and len(element) else element
    return first.tag == "mo" and (first.text or "") in (*_OPENING, ",", ")", "]", ".")

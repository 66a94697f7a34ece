"""Formulas as MathML Core: what of TeX has to be spelt out for browsers, told from what the characters mean."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("latex2mathml")
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from formulas import page_with_formulas

from ncsn.studio.formulas import mathml


def parts(tex: str, tag: str = "mo") -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(mathml(tex)).iter(tag))


@pytest.mark.parametrize(
    "tex",
    [
        r"\lVert x \rVert",
        r"\|x\|",
        r"\big\lVert x \big\rVert",
        r"\Bigl\| x \Bigr\|",
        r"\left\lVert x \right\rVert",
        r"\lVert x \rVert^2",
    ],
)
def test_bars_open_and_close_however_they_are_written(tex: str) -> None:
    bars = parts(tex)
    assert [bar.text for bar in bars] == ["‖", "‖"]
    assert [bar.get("form") for bar in bars] == ["prefix", "postfix"]
    assert [(bar.get("stretchy"), bar.get("lspace"), bar.get("rspace")) for bar in bars] == [("false", "0", "0")] * 2


def test_bars_of_a_pair_grow_together_and_only_by_something_tall() -> None:
    tall, flat = r"\Big\lVert \frac{z}{\sigma} \Big\rVert^2", r"\big\lVert z \big\rVert^2"
    bars = [part for part in parts(f"{tall} = {flat}") if part.text == "‖"]
    assert [bar.get("stretchy") for bar in bars] == ["true", "true", "false", "false"]
    # the square is that of what is between the bars
    squared = parts(f"{tall} = {flat}", "msup")
    assert ["".join(each[0].itertext()) for each in squared] == ["‖zσ‖", "‖z‖"]


def test_a_condition_is_no_bar_of_a_pair() -> None:
    assert [part.text for part in parts(r"p(x \mid y)")] == ["(", "∣", ")"]
    assert parts(r"\left[ x \,\middle|\, y \right]")[1].get("stretchy") == "false"
    assert parts(r"\left[ \frac{x}{2} \,\middle|\, y \right]")[1].get("stretchy") == "true"
    with pytest.raises(ValueError, match=r"a bar has no partner; a condition is written with \\mid"):
        mathml("p(x | y)")


def test_a_sign_after_what_opens_belongs_to_one_thing() -> None:
    assert [part.get("form") for part in parts(r"|-x| - y")] == ["prefix", "prefix", "postfix", None]


def test_brackets_of_a_size_stand_close_to_what_they_hold() -> None:
    brackets = [
        (part.text, part.get("form"), part.get("lspace"), part.get("rspace")) for part in parts(r"\big[ x \big]")
    ]
    assert brackets == [("[", "prefix", "0", "0"), ("]", "postfix", "0", "0")]


def test_definitions_and_dots() -> None:
    assert [part.text for part in parts("x := y =: z")] == [":=", "=:"]
    assert all(part.get("lspace") == part.get("rspace") == "0.1667em" for part in parts(r"\dots") + parts(r"\cdots"))


def test_negative_space_is_a_length_and_goes_before_brackets() -> None:
    assert [space.get("width") for space in parts(r"x \! y", "mspace")] == ["-0.1667em"]
    assert parts(r"s \!\left( \frac{x}{2} \right)", "mspace") == []


def test_names_inside_of_bars_are_set_off_too() -> None:
    assert len(parts(r"\lVert x \log y \rVert^2", "mspace")) == 2


def test_a_command_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="a command is not known"):
        mathml(r"\nosuchcommand x")


def test_a_formula_that_was_not_seen_as_one_is_an_error() -> None:
    assert page_with_formulas("<pre>$$ x $$</pre> <code>$$</code>").startswith("<pre>")
    with pytest.raises(ValueError, match="the generator saw none in"):
        page_with_formulas("<p>$$ a = b</p><ul><li>c $$</li></ul>")

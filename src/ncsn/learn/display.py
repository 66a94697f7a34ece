"""Showing a result: as HTML in a notebook, as text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from typing import Any

__all__ = ["Shown", "as_text", "box", "show"]

# shape and word say the same as the colour (Okabe & Ito 2008), which is as bright as can be read on white and on black
_MARKS = {"good": ("✔", "#009E73"), "bad": ("✘", "#D55E00"), "open": ("○", "#888888"), "note": ("▸", "#2A8BD1")}


def as_text(title: str, paragraphs: Sequence[str]) -> str:
    """Return a title with what follows indented below it."""
    return "\n".join([title, *paragraphs]).replace("\n", "\n    ")


def box(kind: str, title: str, paragraphs: Sequence[str]) -> str:
    """Return a framed box as HTML.

    Args:
        kind: ``good``, ``bad``, ``open`` or ``note``.
        title: Its first line, as plain text.
        paragraphs: What follows, as plain text; line breaks are kept.
    """
    mark, colour = _MARKS[kind]
    body = "".join(f'<div style="margin-top:.4em;white-space:pre-wrap">{escape(text)}</div>' for text in paragraphs)
    # text and background are the theme's own, light or dark; the tint lies over either
    style = f"border-left:5px solid {colour};background:{colour}1a;padding:.4em .9em;margin:.3em 0;max-width:60em"
    head = f'<span style="color:{colour}" aria-hidden="true">{mark}</span> {escape(title)}'
    return f'<div style="{style}"><strong>{head}</strong>{body}</div>'


class Shown:
    """A result that is shown at once when it is made, and not a second time as the last line of the same cell."""

    _shown_in: int | None = None

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        if self._shown_in is None or self._shown_in != _cell():
            show(self)


def show(result: Shown) -> None:
    """Show a result: as HTML where a notebook runs this, else print its text."""
    shell = _shell()
    if shell is None or not hasattr(shell, "kernel"):
        # what a terminal cannot encode is replaced, rather than an error in place of the answer
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(f"{result}\n".encode(encoding, "replace").decode(encoding))
        return
    _show_figures()
    from IPython.display import publish_display_data

    publish_display_data({"text/plain": str(result), "text/html": result._repr_html_()})
    # results are frozen
    object.__setattr__(result, "_shown_in", _cell())


def _show_figures() -> None:
    """Show the figures that the cell has drawn so far, which a notebook keeps back until its end: look first, then read."""
    inline = sys.modules.get("matplotlib_inline.backend_inline")
    if inline is not None and "inline" in sys.modules["matplotlib"].get_backend():
        inline.flush_figures()


def _shell() -> Any:
    """Return IPython's shell, if this runs in one."""
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def _cell() -> int | None:
    """Return the number of the cell that runs."""
    shell = _shell()
    return None if shell is None else int(shell.execution_count)

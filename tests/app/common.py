"""What several tests of the commands and pages need."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

Command = Callable[..., int]

TABLE = pd.DataFrame(
    {
        "length": np.random.default_rng(0).normal(100.0, 5.0, 60),
        "count": np.random.default_rng(1).integers(0, 9, 60),
        "constant": 7.0,
    }
)


class Page(HTMLParser):
    """The text, headings, tables and images of a page; unclosed tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.numeric: list[list[bool]] = []
        self.images: list[dict[str, Any]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in ("img", "meta"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.numeric.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.numeric[-1].append(("class", "number") in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def drawing() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, 2])
    return figure

"""A page of prose, tables and figures: one HTML file that needs nothing beside it, and each figure as PNG."""

import base64
import html
import io
import math
import numbers
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ncsn.errors import RunError, SettingError
from ncsn.files import write_bytes

Rows = pd.DataFrame | Iterable[Mapping[str, Any]]

_PNG_DPI = 160
# CSS pixels of an inch
_CSS_DPI = 96


class Report:
    """A page of sections with prose, tables and figures, in the order in which they are added.

    Text is plain: whatever HTML would read as markup is escaped.

    Args:
        title: The page's title.
        introduction: Paragraphs below it, parted by blank lines.

    >>> report = Report("Two runs")
    >>> report.section("Distances")
    >>> report.table([{"run": "first", "distance": 0.51234}, {"run": "second", "distance": None}])
    >>> '<td>first</td><td class="number">0.5123</td>' in report.to_html()
    True
    """

    def __init__(self, title: str, introduction: str = "") -> None:
        self.title = title
        self._blocks: list[str] = []
        self._sections: list[str] = []
        self._figures: dict[str, bytes] = {}
        self.prose(introduction)

    def section(self, heading: str, *, level: int = 1) -> None:
        """Begin a section, at level 1 one that the contents name, or at level 2 a part of it."""
        if level == 1:
            self._sections.append(heading)
            self._blocks.append(f'<h2 id="section-{len(self._sections)}">{html.escape(heading)}</h2>')
        else:
            self._blocks.append(f"<h3>{html.escape(heading)}</h3>")

    def prose(self, text: str) -> None:
        """Add paragraphs, parted by blank lines."""
        self._blocks += [f"<p>{html.escape(part.strip())}</p>" for part in re.split(r"\n\s*\n", text) if part.strip()]

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Add a list of names and values."""
        items = [f"<div><dt>{html.escape(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items()]
        self._blocks.append(f"<dl>{''.join(items)}</dl>")

    def table(self, rows: Rows, caption: str = "", *, formats: Mapping[str, str] | None = None) -> None:
        """Add a table; numbers are aligned to the right, missing ones shown as a dash.

        Args:
            rows: A data frame, or mappings from column to value.
            caption: What the table shows.
            formats: Format specifications of columns of numbers, such as ``{"ratio": ".2f"}``; four digits by default.

        Raises:
            SettingError: There are no rows.
        """
        records: list[Mapping[Any, Any]] = list(rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows)
        columns = list(dict.fromkeys(column for record in records for column in record))
        if not columns:
            raise SettingError("a table needs at least one row of at least one column")
        formats = formats or {}
        numeric = [all(_is_number(record.get(column)) for record in records) for column in columns]
        heads = [
            f"<th{_NUMBER if right else ''}>{html.escape(str(column))}</th>"
            for column, right in zip(columns, numeric, strict=True)
        ]
        lines = []
        for record in records:
            values = [(record.get(column), formats.get(str(column), "")) for column in columns]
            cells = [f"<td{_NUMBER if _is_number(value) else ''}>{_text(value, spec)}</td>" for value, spec in values]
            lines.append(f"<tr>{''.join(cells)}</tr>")
        title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
        body = f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(lines)}</tbody>"
        self._blocks.append(f'<div class="table"><table>{title}{body}</table></div>')

    def figure(self, figure: Figure, name: str, caption: str, *, alternative: str | None = None) -> None:
        """Add a figure; it is drawn at once, and closed if pyplot holds it.

        Args:
            figure: The figure.
            name: Name of its PNG file, without the ending: letters, digits, ``_`` and ``-``.
            caption: What stands below it.
            alternative: What it shows, for those who cannot see it; the caption when None.

        Raises:
            SettingError: The name is taken or cannot name a file.
        """
        if not re.fullmatch(r"[\w-]+", name) or name in self._figures:
            raise SettingError(f"figure name {name!r} is taken, or has other characters than letters, digits, _ and -")
        content = io.BytesIO()
        width = round(figure.get_size_inches()[0] * _CSS_DPI)
        try:
            with warnings.catch_warnings():
                # what a font lacks is drawn as a box
                warnings.filterwarnings("ignore", message="Glyph .* missing from")
                figure.savefig(content, format="png", dpi=_PNG_DPI, facecolor=figure.get_facecolor())
        finally:
            plt.close(figure)
        self._figures[name] = content.getvalue()
        data = base64.b64encode(content.getvalue()).decode()
        alt = html.escape(caption if alternative is None else alternative)
        self._blocks.append(
            f'<figure><img src="data:image/png;base64,{data}" width="{width}" alt="{alt}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def to_html(self) -> str:
        """Return the page."""
        title = html.escape(self.title)
        links = [
            f'<a href="#section-{i}">{html.escape(heading)}</a>' for i, heading in enumerate(self._sections, start=1)
        ]
        contents = [f"<nav>{''.join(links)}</nav>"] if len(links) > 1 else []
        body = "\n".join([f"<h1>{title}</h1>", *contents, *self._blocks])
        return _PAGE.format(title=title, style=_STYLE, body=body)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``report.html``, and each figure into ``figures/``; every file appears whole or not at all.

        Args:
            folder: Where to; it is made if it is not there.

        Returns:
            The path of the page.

        Raises:
            RunError: The folder cannot be made or written, or the disk is full.
        """
        page = Path(folder) / "report.html"
        figures = page.parent / "figures"
        try:
            figures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make {figures}: {error.strerror or error}; choose another folder") from error
        for name, content in self._figures.items():
            write_bytes(figures / f"{name}.png", content)
        write_bytes(page, self.to_html().encode())
        return page


_NUMBER = ' class="number"'


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, numbers.Real) and not isinstance(value, bool))


def _text(value: Any, spec: str = "") -> str:
    """Show a value as escaped text: whole numbers in full, others to four digits unless ``spec`` says otherwise."""
    if not _is_number(value):
        return html.escape(str(value))
    if value is None or math.isnan(value):
        return "–"
    if isinstance(value, numbers.Integral):
        return format(int(value), spec or ",")
    return format(float(value), spec or (".4g" if abs(value) < 10_000 else ",.0f"))


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --muted: #5d646d; --line: #dde0e4; --page: #fff; --soft: #f5f6f8;
  --link: #0060a0; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6e9; --muted: #a2a9b2; --line: #3a3f46; --page: #16181b;
  --soft: #202327; --link: #7cc0f5; } }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.45rem; margin: 3rem 0 1rem; padding-top: 1rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
p { max-width: 44rem; margin: .6rem 0; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0 0 1.25rem; }
a { color: var(--link); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem 1.5rem; margin: 1rem 0;
  padding: 1rem 1.25rem; background: var(--soft); border-radius: 8px; }
dt { color: var(--muted); font-size: .82rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; white-space: nowrap; color: var(--muted); padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: baseline; padding: .32rem 1.1rem .32rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 600; border-bottom-width: 2px; }
td:last-child:not(.number) { min-width: 12rem; }
.number { text-align: right; white-space: nowrap; }
figure { margin: 1rem 0 1.5rem; }
img { display: block; max-width: 100%; height: auto; box-sizing: border-box; padding: .6rem; background: #fff;
  border: 1px solid var(--line); border-radius: 8px; }
figcaption { max-width: 44rem; margin-top: .5rem; color: var(--muted); font-size: .9rem; }
@media print { :root { color-scheme: light; --text: #000; --muted: #444; --line: #bbb; --page: #fff; --soft: #fff; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } nav { display: none; }
  h2, h3 { break-after: avoid; } figure, tr, dl { break-inside: avoid; } img { border: 0; padding: 0; } }
"""

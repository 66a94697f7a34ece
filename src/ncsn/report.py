"""Reports: one HTML file that needs nothing beside it, and each figure as PNG.

`write_run_report` composes the report of any run from what there is of it; `Report` is what it is made with.
"""

from __future__ import annotations

import base64
import html
import io
import math
import numbers
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from ncsn.errors import RunError, unknown_name
from ncsn.files import VERSION, write_bytes
from ncsn.metrics import Comparison
from ncsn.plots import plot_training_curve
from ncsn.tuning import Plan

__all__ = ["RUN_FIGURES", "Report", "RunSummary", "environment", "write_run_report"]

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
            ValueError: There are no rows.
        """
        records: list[Mapping[Any, Any]] = list(rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows)
        columns = list(dict.fromkeys(column for record in records for column in record))
        if not columns:
            raise ValueError("a table needs at least one row of at least one column")
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
            ValueError: The name is taken or cannot name a file.
        """
        if not re.fullmatch(r"[\w-]+", name) or name in self._figures:
            raise ValueError(f"figure name {name!r} is taken, or has other characters than letters, digits, _ and -")
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=_PNG_DPI, facecolor=figure.get_facecolor())
        width = round(figure.get_size_inches()[0] * _CSS_DPI)
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


# Runs -----------------------------------------------------------------------------------------------------------------

RUN_FIGURES: dict[str, tuple[str, str]] = {
    "samples": ("Data and samples", "Data beside samples of the model, drawn alike."),
    "image_grid": ("Samples", "Samples of the model, not selected."),
    "annealing": (
        "Along the annealing",
        "The same samples on their way from noise to data; σ is the noise level that they have reached.",
    ),
    "score_fields": (
        "Score fields",
        "The score, which points to denser data, at four noise levels. Arrows show its direction, colour how many σ away "
        "the denoised point lies.",
    ),
    "learned_and_exact": (
        "Learned and exact score",
        "The learned score, the exact one, and where they differ, over data with noise of each level (grey). The relative "
        "error is the mean squared difference times σ² / D: 0 is exact, and a score of zero has about 1 where σ is small.",
    ),
    "loss_by_level": (
        "Loss by noise level",
        "The closer to the floor, the better the network. Where the loss on held-out data is well above that on the "
        "training set, the network has learned its training rows by heart.",
    ),
}
"""The figures that a run can have, by name in the order of the report: heading and caption."""

_MEASURES: dict[str, tuple[str, str]] = {
    "sliced_wasserstein2": ("Sliced Wasserstein-2", "distance along random directions"),
    "wasserstein2": ("Wasserstein-2", "distance by the best matching of points"),
    "energy_distance": ("Energy distance", "distance by all pairs of points"),
    "mmd": ("MMD²", "distance by Gaussian kernels"),
    "frechet_distance": ("Fréchet distance", "distance of means and covariances"),
    "c2st": ("C2ST accuracy", "how often a classifier tells them apart; 0.5: it cannot"),
    "precision": ("Precision", "share of samples that look real"),
    "recall": ("Recall", "share of the real data that samples reach"),
    "density": ("Density", "how densely real data surround the samples; about 1 is right"),
    "coverage": ("Coverage", "share of the real data with a sample nearby"),
    "copied_fraction": ("Copied", "share of samples that repeat a training row"),
    "stray_fraction": ("Stray", "share of samples far from every training row"),
}


@dataclass(frozen=True)
class RunSummary:
    """What a report tells of one run; what is empty or None is left out.

    Args:
        name: What the run is called, such as its data set.
        facts: Short facts, by name: rows, method, time, sampler, held-out log-density.
        comparison: The samples held against held-out data.
        figures: Figures by their names in `RUN_FIGURES`; the report closes them.
        loss_history: Pairs of step and loss.
        plan: The settings and their reasons.
        tables: Further tables, rows by heading.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    comparison: Comparison | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    loss_history: Sequence[tuple[int, float]] = ()
    plan: Plan | None = None
    tables: Mapping[str, Rows] = field(default_factory=dict)


def write_run_report(
    folder: str | os.PathLike[str],
    title: str,
    runs: Sequence[RunSummary],
    *,
    introduction: str = "",
    device: torch.device | str | None = None,
) -> Path:
    """Write the report of one run, or of several on one page, and their figures.

    Args:
        folder: Where to; ``report.html`` and ``figures/`` are put there.
        title: The page's title.
        runs: The runs.
        introduction: Paragraphs at the top, parted by blank lines.
        device: Where the runs were computed; the one that training takes by default when None.

    Returns:
        The path of the page.

    Raises:
        ValueError: A run has a figure of an unknown name, or two runs are called alike.
        RunError: The folder cannot be made or written, or the disk is full.
    """
    report = Report(title, introduction)
    for run in runs:
        prefix = "_".join([*re.findall(r"\w+", run.name.lower()), ""]) if len(runs) > 1 else ""
        _add_run(report, run, prefix)
    report.section("Environment")
    report.facts(environment(device))
    return report.write(folder)


def _add_run(report: Report, run: RunSummary, prefix: str) -> None:
    for name in run.figures:
        if name not in RUN_FIGURES:
            raise unknown_name("figure of a run", name, RUN_FIGURES)
    report.section(run.name)
    if run.facts:
        report.facts(run.facts)
    for name, (heading, caption) in RUN_FIGURES.items():
        if name in run.figures:
            report.section(heading, level=2)
            report.figure(run.figures[name], f"{prefix}{name}", caption, alternative=f"{run.name}: {caption}")
        if name == "samples" and run.comparison is not None:
            _add_comparison(report, run.comparison)
    if run.loss_history:
        report.section("Training", level=2)
        caption = "The training loss, averaged over noise levels. It levels off at its floor, which is not zero."
        curve = plot_training_curve(*zip(*run.loss_history, strict=True))
        report.figure(curve, f"{prefix}training_curve", caption, alternative=f"{run.name}: {caption}")
    for heading, rows in run.tables.items():
        report.section(heading, level=2)
        report.table(rows)
    if run.plan is not None:
        report.section("Settings, and why", level=2)
        report.prose(
            "Noise levels are in standardised units, in which the data have mean 0 and standard deviation 1. Langevin steps "
            "are x + (α/2) s + √α z with α = step_size (σ/sigma_min)²: twice the α of Song & Ermon 2020."
        )
        columns = ("setting", "value", "rule", "reason")
        choices = [(choice.name, choice.value, choice.rule, choice.reason) for choice in run.plan.choices]
        report.table([dict(zip(columns, choice, strict=True)) for choice in choices])


def _add_comparison(report: Report, comparison: Comparison) -> None:
    rows = []
    for measure in comparison.measures:
        label, meaning = _MEASURES.get(measure.name, (measure.name.replace("_", " "), ""))
        rows.append(
            {
                "measure": label,
                "samples": measure.value,
                "real data": measure.floor,
                "ratio": measure.ratio,
                "": meaning,
            }
        )
    report.section("How good the samples are", level=2)
    report.prose(
        f"{comparison.n_rows:,} samples are held against {comparison.n_held_out:,} rows that training never saw. No "
        "distance between finite sets is zero: the column of real data says what as many training rows reach against the "
        "same held-out rows (for copied and stray, what the held-out rows reach), and a ratio of 1.00 means as good as "
        "real data."
    )
    if comparison.n_non_finite:
        report.prose(f"{comparison.n_non_finite:,} samples are not finite and are left out.")
    report.table(rows, formats={"ratio": ".2f"})


def environment(device: torch.device | str | None = None) -> dict[str, str | int]:
    """Return what a run's figures depend on beside its settings: versions and hardware.

    Args:
        device: Where the run was computed; the one that training takes by default when None.

    Returns:
        Names and values: Python, PyTorch, ncsn, platform, processor cores, threads, device.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(device)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ncsn": VERSION,
        "platform": platform.platform(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device),
    }


# The page -------------------------------------------------------------------------------------------------------------

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

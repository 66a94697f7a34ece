"""Columns of a table, and pairs of columns: real rows beside samples, what is kept worst first."""

from __future__ import annotations

import math
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.dates
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ncsn.errors import DataError
from ncsn.evaluation import ColumnFit, Comparison, Kinds, PairFit
from ncsn.plots.style import DATA, SAMPLES, Array, evenly, panels, style_ticks, styled, window_of

_REAL, _MADE = ("real", DATA), ("samples", SAMPLES)
# text of other people's tables is not mathematics, whatever dollars it has
_PLAIN: Any = {"parse_math": False}
# which has no types
_DATES: Any = mpl.dates

_MOST_BINS = 30


@styled
def plot_columns(real: pd.DataFrame, synthetic: pd.DataFrame, comparison: Comparison, *, most: int = 12) -> Figure:
    """Draw the distributions of columns, real rows beside samples, the columns that are kept worst first.

    Numbers become histograms over shared bins, in which the outermost hold all beyond them; categories become bars, the ten
    most frequent of the real rows and the rest. All are shares of all rows; the missing cells have bars of their own.

    Args:
        real: Real rows, such as the held-out ones.
        synthetic: Samples.
        comparison: What `compare` says of them; the titles tell its distances, and those of training rows in brackets.
        most: Most columns drawn.

    Returns:
        The figure.

    Raises:
        DataError: The comparison is not of data frames, or the tables lack its columns.
    """
    rows = comparison.columns[:most]
    tables = _tables(real, synthetic, comparison)
    n_columns = min(3, len(rows))
    figure, axes = panels(math.ceil(len(rows) / n_columns), n_columns, width=2.9, height=1.95, gap=0.16)
    for ax, row in zip(axes.flat, rows, strict=False):
        cells = [table[row.column].to_numpy() for table in tables]
        if row.measure == "KS":
            _draw_numbers(ax, cells, _is_date(real[row.column]))
        else:
            _draw_categories(ax, cells, _order(real[row.column]))
        ax.set_title(_column_title(row), fontsize=8.5, **_PLAIN)
    for ax in axes.flat[len(rows) :]:
        ax.remove()
    handles = [mpl.patches.Patch(facecolor=color, alpha=0.75, label=name) for name, color in (_REAL, _MADE)]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@styled
def plot_pairs(
    real: pd.DataFrame, synthetic: pd.DataFrame, comparison: Comparison, *, most: int = 6, n_points: int = 1000
) -> Figure:
    """Draw pairs of columns, real rows beside samples, the pairs that are kept worst first.

    Two numbers become scatter plots over the window of the real rows, in which rows that are alike are one larger dot; a
    number and a category boxes (quartiles, and whiskers to at most 1.5 times their distance; the wider, the more rows); two
    categories shares of all rows in per cent.

    Args:
        real: Real rows, such as the held-out ones.
        synthetic: Samples.
        comparison: What `compare` says of them; the titles tell its trend errors, and those of training rows in brackets.
        most: Most pairs drawn.
        n_points: Most points drawn of each table, evenly spaced among its rows.

    Returns:
        The figure.

    Raises:
        DataError: The comparison is not of data frames or of one column, or the tables lack its columns.
    """
    tables = _tables(real, synthetic, comparison)
    pairs = comparison.pairs[:most]
    if not pairs:
        raise DataError("a table of one column has no pairs to draw")
    n_columns = min(2, len(pairs))
    n_rows = math.ceil(len(pairs) / n_columns)
    figure = plt.figure(figsize=(4.6 * n_columns, 2.45 * n_rows), layout="constrained")
    parts = figure.subfigures(n_rows, n_columns, squeeze=False, wspace=0.03, hspace=0.03)
    for part, pair in zip(parts.flat, pairs, strict=False):
        axes = part.subplots(1, 2, sharex=True, sharey=True)
        for ax, (name, _) in zip(axes, (_REAL, _MADE), strict=True):
            style_ticks(ax)
            ax.set_title(name, fontsize=8.5)
        if pair.association == "correlation":
            _draw_points(axes, tables, pair, n_points)
            _number_axis(axes[0], "x", _is_date(real[pair.first]))
            _number_axis(axes[0], "y", _is_date(real[pair.second]))
        elif pair.association == "correlation ratio":
            _draw_boxes(axes, tables, pair, _order(real[pair.second]))
            _number_axis(axes[0], "y", _is_date(real[pair.first]))
        else:
            _draw_shares(axes, tables, pair, _order(real[pair.first]), _order(real[pair.second]))
        part.suptitle(_pair_title(pair), fontsize=9.5, **_PLAIN)
    return figure


def _tables(real: pd.DataFrame, synthetic: pd.DataFrame, comparison: Comparison) -> list[pd.DataFrame]:
    if not comparison.columns:
        raise DataError("the comparison is not of data frames, so it has no columns to draw")
    numbers = tuple(row.column for row in comparison.columns if row.measure == "KS")
    kinds = Kinds(numbers, tuple(row.column for row in comparison.columns if row.measure == "TV"))
    return [kinds.plain(table) for table in (real, synthetic)]


def _column_title(row: ColumnFit) -> str:
    title = f"{_short(row.column, 34)}\n{row.measure} {row.value:.3f} ({row.floor:.3f})"
    # differences of a few cells in a thousand are no news
    seen = max(row.missing, row.missing_floor) >= 0.005
    return title + (f", missing {row.missing:.3f} ({row.missing_floor:.3f})" if seen else "")


def _pair_title(pair: PairFit) -> str:
    return (
        f"{_short(pair.first, 24)} and {_short(pair.second, 24)}: trend {pair.value:.3f} ({pair.floor:.3f})\n"
        f"{pair.association} {pair.real:.2f} real, {pair.synthetic:.2f} samples"
    )


def _short(text: Any, most: int = 16) -> str:
    return str(text) if len(str(text)) <= most else f"{str(text)[: most - 1]}…"


def _bins(real: Array) -> Array:
    """Return the edges of bins; those of whole numbers hold as many of them each."""
    if not len(real):
        return np.array([-0.5, 0.5])
    ((low, high),) = window_of(real[:, None], margin=0, outside=0.005)
    if (real == np.rint(real)).all():
        low, high = math.floor(low), math.ceil(high)
        width = max(1, math.ceil((high - low + 1) / _MOST_BINS))
        return low - 0.5 + width * np.arange(math.ceil((high - low + 1) / width) + 1)
    room = 0.02 * (high - low or 1.0)
    return np.linspace(low - room, high + room, _MOST_BINS + 1)


def _draw_numbers(ax: Axes, cells: list[Array], dates: bool) -> None:
    known = [values[~np.isnan(values)] for values in cells]
    edges = _bins(known[0])
    # beyond the last bin, a gap and as much room as the bar of missing cells takes
    span = edges[-1] - edges[0]
    gaps = [1 - len(values) / len(every) for values, every in zip(known, cells, strict=True)]
    for k, (values, every, (_, color)) in enumerate(zip(known, cells, (_REAL, _MADE), strict=True)):
        counts = np.histogram(values.clip(*edges[[0, -1]]), edges)[0]
        shares = counts / len(every)
        if len(edges) <= 13:
            width = 0.4 * np.diff(edges)
            ax.bar(
                (edges[1:] + edges[:-1]) / 2 + (k - 0.5) * width, shares, width, color=color, alpha=0.75, linewidth=0
            )
        else:
            ax.stairs(shares, edges, color=color, alpha=0.15, fill=True)
            ax.stairs(shares, edges, color=color, linewidth=1.3)
        if any(gaps):
            ax.bar(edges[-1] + span * (0.09 + 0.04 * k), gaps[k], span * 0.04, color=color, alpha=0.75, linewidth=0)
    if any(gaps):
        ax.text(edges[-1] + span * 0.11, max(gaps), "missing", ha="center", va="bottom", fontsize=7.5, clip_on=False)
    _number_axis(ax, "x", dates)
    _share_axis(ax.yaxis)


def _number_axis(ax: Axes, which: Literal["x", "y"], dates: bool) -> None:
    """Set few ticks, which of dates are dates: they are in days since 1970, as matplotlib's own."""
    if dates:
        axis = ax.xaxis if which == "x" else ax.yaxis
        locator = _DATES.AutoDateLocator(minticks=3, maxticks=8)
        axis.set_major_locator(locator)
        axis.set_major_formatter(_DATES.ConciseDateFormatter(locator))
    else:
        ax.locator_params(axis=which, nbins=5)
        ax.ticklabel_format(axis=which, scilimits=(-4, 6))


def _is_date(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_datetime64_any_dtype(column)


def _share_axis(axis: Any) -> None:
    axis.set_major_locator(mpl.ticker.MaxNLocator(4))
    axis.set_major_formatter(lambda share, _: f"{100 * share:g}%")


def _order(column: pd.Series[Any]) -> list[Any] | None:
    """Return the categories in their own order, where they have one."""
    dtype = column.dtype
    return list(dtype.categories) if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered else None


def _grouped(
    cells: list[NDArray[Any]], order: list[Any] | None, most: int
) -> tuple[list[str], list[NDArray[np.int64]]]:
    """Return labels and codes of the most frequent categories of the first cells, of the rest and of missing ones."""
    real, made = (pd.Series(values, dtype=object) for values in cells)
    counts = real.value_counts()
    every = list(dict.fromkeys([*counts.index, *made.dropna()]))
    shown = every if len(every) <= most + 1 else every[:most]
    if order is not None:
        shown = [value for value in order if value in set(shown)] + [
            value for value in shown if value not in set(order)
        ]
    position = {value: i for i, value in enumerate(shown)}
    labels = [_short(value) for value in shown]
    rest = len(labels)
    if len(every) > len(shown):
        labels.append(f"{len(every) - len(shown)} others")
    if real.isna().any() or made.isna().any():
        labels.append("missing")
    codes = [
        np.array([len(labels) - 1 if value is None else position.get(value, rest) for value in values], dtype=np.int64)
        for values in cells
    ]
    return labels, codes


def _draw_categories(ax: Axes, cells: list[NDArray[Any]], order: list[Any] | None) -> None:
    labels, codes = _grouped(cells, order, 10)
    at = np.arange(len(labels))
    for k, (some, (_, color)) in enumerate(zip(codes, (_REAL, _MADE), strict=True)):
        shares = np.bincount(some, minlength=len(labels)) / len(some)
        ax.barh(at + (k - 0.5) * 0.4, shares, 0.4, color=color, alpha=0.75, linewidth=0)
    ax.set_yticks(at, labels, fontsize=8 if len(labels) < 8 else 6.5, **_PLAIN)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    _share_axis(ax.xaxis)


def _draw_points(axes: Any, tables: list[pd.DataFrame], pair: PairFit, n_points: int) -> None:
    both = [table[[pair.first, pair.second]].dropna().to_numpy(np.float64) for table in tables]
    for ax, points, (_, color) in zip(axes, both, (_REAL, _MADE), strict=True):
        if len(points):
            some, counts = np.unique(points[evenly(len(points), n_points)], axis=0, return_counts=True)
            sizes = np.minimum(np.clip(3000 / counts.sum(), 2.5, 12) * counts, 120)
            ax.scatter(*some.T, s=sizes, alpha=0.45, color=color, linewidths=0)
        ax.set_xlabel(_short(pair.first, 28), **_PLAIN)
    if len(both[0]):
        xlim, ylim = window_of(both[0], margin=0.08, outside=0.002)
        axes[0].set(xlim=xlim, ylim=ylim)
    axes[0].set_ylabel(_short(pair.second, 28), **_PLAIN)


def _draw_boxes(axes: Any, tables: list[pd.DataFrame], pair: PairFit, order: list[Any] | None) -> None:
    labels, codes = _grouped([table[pair.second].to_numpy() for table in tables], order, 6)
    for ax, table, some, (_, color) in zip(axes, tables, codes, (_REAL, _MADE), strict=True):
        numbers = table[pair.first].to_numpy(np.float64)
        groups = [numbers[(some == k) & ~np.isnan(numbers)] for k in range(len(labels))]
        counts = np.array([max(len(group), 1) for group in groups])
        widths = 0.8 * np.sqrt(counts / counts.max())
        boxes = ax.boxplot(
            groups,
            positions=range(len(labels)),
            widths=widths,
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            medianprops={"color": "black", "linewidth": 1.2},
        )
        for box in boxes["boxes"]:
            box.set(facecolor=color, alpha=0.6, linewidth=0.7)
        _name_ticks(ax.xaxis, labels)
        ax.set_xlabel(_short(pair.second, 28), **_PLAIN)
        ax.set_xlim(-0.6, len(labels) - 0.4)
    axes[0].set_ylabel(_short(pair.first, 28), **_PLAIN)


def _name_ticks(axis: Any, labels: list[str]) -> None:
    long = sum(map(len, labels)) > 24 and axis.axis_name == "x"
    turned: Any = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axis.set_ticks(range(len(labels)), [_short(label, 12) for label in labels], fontsize=7.5, **turned, **_PLAIN)


def _draw_shares(
    axes: Any, tables: list[pd.DataFrame], pair: PairFit, first: list[Any] | None, second: list[Any] | None
) -> None:
    rows, row_codes = _grouped([table[pair.first].to_numpy() for table in tables], first, 5)
    columns, column_codes = _grouped([table[pair.second].to_numpy() for table in tables], second, 5)
    size = len(rows) * len(columns)
    shares = [
        np.bincount(one * len(columns) + two, minlength=size).reshape(len(rows), -1) / len(one)
        for one, two in zip(row_codes, column_codes, strict=True)
    ]
    top = max(share.max() for share in shares)
    for ax, share in zip(axes, shares, strict=True):
        ax.imshow(share, vmin=0, vmax=top, cmap="viridis", aspect="auto")
        for (i, j), value in np.ndenumerate(share):
            dark = value < 0.6 * top
            text = f"{100 * value:.0f}" if value >= 0.095 or value == 0 else f"{100 * value:.1f}"
            ax.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        _name_ticks(ax.xaxis, columns)
        _name_ticks(ax.yaxis, rows)
        ax.set_xlabel(_short(pair.second, 28), **_PLAIN)
    axes[0].set_ylabel(_short(pair.first, 28), **_PLAIN)

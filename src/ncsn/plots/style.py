"""What all figures share: style, colours, panels, and what a figure can be drawn of."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ncsn.data import Values, as_float64
from ncsn.errors import DataError

Array = NDArray[np.float64]
Limits = tuple[float, float]
Arguments = ParamSpec("Arguments")

DATA, SAMPLES, FLOOR = "#0072B2", "#D55E00", "#555555"

_STYLE: Any = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": "black",
    "axes.labelcolor": "black",
    "axes.grid": False,
    "figure.titlesize": 11,
    "font.family": ["sans-serif"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Give the figure that a function draws the style of every figure, and leave matplotlib's own as it was."""

    @wraps(draw)
    def in_style(*arguments: Arguments.args, **options: Arguments.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            figure = draw(*arguments, **options)
            interactive = mpl.is_interactive()
        # a notebook becomes interactive as its first figure is made; put back, it would show none after it
        mpl.interactive(interactive)
        return figure

    return in_style


def panels(
    n_rows: int,
    n_columns: int,
    *,
    width: float,
    height: float,
    gap: float = 0.08,
    width_ratios: Sequence[float] | None = None,
    **shared: Any,
) -> tuple[Figure, NDArray[Any]]:
    """Make a pyplot figure of panels, in inches each, a gap apart; the axes are ``(n_rows, n_columns)``."""
    size = (width * sum(width_ratios or [1] * n_columns) + 0.6, height * n_rows + 0.5)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, width_ratios=width_ratios, **shared)
    figure.set_layout_engine("constrained", w_pad=gap / 2, h_pad=0.05)
    for ax in axes.flat:
        style_ticks(ax)
    return figure, axes


def style_ticks(ax: Axes) -> None:
    """Set the style of ticks, which are made when the figure is drawn and the style no longer holds."""
    ax.tick_params(which="both", color="#888888", width=0.7, labelcolor="black", labelsize=8)
    ax.tick_params(which="major", length=3)
    ax.tick_params(which="minor", length=1.5)


def evenly(n: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` evenly spaced positions among ``n``, both ends included."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)


def as_points(values: Values, n_columns: int | None = None) -> Array:
    """Return rows or images as an array; a single axis becomes one column.

    Raises:
        DataError: There are none, or they have not ``n_columns`` columns.
    """
    points = as_float64(values).cpu().numpy()
    if points.ndim == 1:
        points = points[:, None]
    if points.size == 0 or points.ndim not in (2, 3, 4):
        raise DataError(f"nothing to draw in values of shape {points.shape}; give rows (N, D) or images (N, H, W)")
    if n_columns is not None and points.shape[1:] != (n_columns,):
        raise DataError(f"this figure needs points of {n_columns} columns, not of shape {points.shape[1:]}")
    return points


def window_of(points: Array, *, margin: float, outside: float = 0.0) -> Array:
    """Return each column's limits ``(D, 2)``, which leave out at most the share ``outside`` at each end, and a margin."""
    low, high = np.quantile(points, [outside, 1 - outside], axis=0)
    room = margin * np.where(high > low, high - low, 1.0)
    return np.stack([low - room, high + room], axis=1)


def square_window_of(points: Array) -> Array:
    """Return limits of equal length that hold all but a few points."""
    limits = window_of(points, margin=0.08, outside=0.002)
    half = np.ptp(limits, axis=1).max() / 2
    return limits.mean(axis=1, keepdims=True) + np.array([-half, half])

"""Losses by noise level and in the course of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import ArrayLike
from torch import Tensor

from ncsn.data import as_float64
from ncsn.errors import DataError
from ncsn.plots.style import DATA, FLOOR, SAMPLES, Array, panels, styled

if TYPE_CHECKING:
    # figures do not wait for what trains
    from ncsn.training import Validation


@styled
def plot_loss_by_level(
    sigmas: ArrayLike | Tensor,
    training: ArrayLike | Tensor,
    held_out: ArrayLike | Tensor | None = None,
    floor: ArrayLike | Tensor | None = None,
    *,
    floor_name: str = "floor: exact score of the training set",
) -> Figure:
    """Draw the denoising loss by noise level, on the training set and on held-out data, and the floor below them.

    Args:
        sigmas: Noise levels, ``(L,)``.
        training: `diagnostics.loss_by_level` of the training set, ``(L,)``.
        held_out: The same of held-out data.
        floor: The same of the training set under an exact score, which no network can go below.
        floor_name: What the legend calls the floor.

    Returns:
        The figure.

    Raises:
        DataError: There is not one loss for each level.
    """
    levels = _curve("sigmas", sigmas, None)
    order = np.argsort(levels)
    figure, ((ax,),) = panels(1, 1, width=5.6, height=3.4)
    x = levels[order]
    if floor is not None:
        y = _curve("floor", floor, len(levels))[order]
        ax.plot(x, y, color=FLOOR, linestyle="--", linewidth=1.2, label=floor_name)
        ax.fill_between(x, y, 0, color="#EDEDED", linewidth=0)
    y = _curve("training", training, len(levels))[order]
    least = float(y.min())
    ax.plot(x, y, color=DATA, marker="o", markersize=4, label="training")
    if held_out is not None:
        y = _curve("held_out", held_out, len(levels))[order]
        ax.plot(x, y, color=SAMPLES, marker="s", markersize=4, label="held out")
    ax.set(xlabel="noise level σ", ylabel="denoising loss (of a zero score: 1)", title="Loss by noise level")
    ax.set(xscale="log", yscale="log")
    # few rows in many dimensions have a floor of about zero, which would flatten the rest
    ax.set_ylim(bottom=least / 3)
    label_decades(ax.xaxis)
    label_decades(ax.yaxis)
    ax.grid(axis="y")
    ax.legend()
    return figure


@styled
def plot_training_curve(
    steps: ArrayLike | Tensor, losses: ArrayLike | Tensor, validation: Validation | None = None
) -> Figure:
    """Draw the loss in the course of training, with its running median over a twentieth of the run.

    Args:
        steps: Steps done at each report, ``(K,)``.
        losses: The loss at each, ``(K,)``.
        validation: What was seen by rows that training does not see, which a second panel shows; none when None.

    Returns:
        The figure.

    Raises:
        DataError: There is nothing to draw, or not one loss for each step.
    """
    x = _curve("steps", steps, None)
    y = pd.Series(_curve("losses", losses, len(x)))
    figure, (axes,) = panels(1, 1 if validation is None else 2, width=5.6, height=3.0)
    ax = axes[0]
    ax.plot(x, y, color=DATA, alpha=0.35, linewidth=0.9, label="mean since the last report")
    median = y.rolling(max(1, len(y) // 20), center=True, min_periods=1).median()
    ax.plot(x, median, color=DATA, label="running median")
    ax.set(ylabel="training loss", title="Training")
    if validation is not None:
        _add_looks(axes[1], validation)
    for ax in axes:
        ax.set(yscale="log", xlabel="step")
        label_decades(ax.yaxis)
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.grid(axis="y")
        ax.legend()
    return figure


def _add_looks(ax: Axes, validation: Validation) -> None:
    """Draw the loss of the averaged weights on training and on held-out rows, its floor, and which weights are kept."""
    steps, training, held_out = zip(*validation.looks, strict=True)
    kept = validation.kept
    ax.plot(steps, training, color=DATA, marker="o", markersize=3, label="training rows")
    ax.plot(steps, held_out, color=SAMPLES, marker="s", markersize=3, label="held-out rows")
    ax.axvline(kept.step, color=SAMPLES, linewidth=0.9, label=f"kept: step {kept.step:,}")
    # a floor of about zero, as of few rows, would flatten the rest
    if validation.floor is not None and validation.floor > min(*training, *held_out) / 3:
        ax.axhline(validation.floor, color=FLOOR, linestyle="--", linewidth=1.2, label="floor: exact score of all rows")
    ax.set(ylabel="loss of the averaged weights", title="What is kept")


def _curve(name: str, values: ArrayLike | Tensor, length: int | None) -> Array:
    """Return a curve as a 1-D array.

    Raises:
        DataError: It is not one, or not of this length.
    """
    curve = as_float64(values if isinstance(values, Tensor) else np.asarray(values)).cpu().numpy()
    if curve.ndim != 1 or len(curve) == 0 or (length is not None and len(curve) != length):
        wanted = "one or more numbers" if length is None else f"{length} numbers, one for each point of the axis"
        raise DataError(f"{name} must be {wanted}, not values of shape {curve.shape}")
    return curve


def label_decades(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, at 1, 2 and 5 of each decade if it spans few."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())

"""Figures of score fields, samples and training; each function returns a matplotlib figure, and shows or saves none.

Figures belong to pyplot, so that ``plt.show()`` shows them in a script and a notebook shows them below the cell; there,
end the line with a semicolon, or the figure appears twice. All share one style, which leaves matplotlib's own untouched.
Data are blue and samples orange-red throughout (Okabe & Ito 2008), magnitudes viridis, errors cividis: colours that
colour-blind readers tell apart, and that keep their order in grey.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from torch import Tensor

from ncsn.data import Standardizer, Values, as_float64
from ncsn.diagnostics import checked_levels, score_error
from ncsn.errors import DataError
from ncsn.samplers import State
from ncsn.score import ScoreModel

__all__ = [
    "plot_annealing",
    "plot_image_grid",
    "plot_learned_and_exact",
    "plot_loss_by_level",
    "plot_multiscale_scores",
    "plot_samples",
    "plot_training_curve",
]

Array = NDArray[np.float64]

DATA, SAMPLES, FLOOR = "#0072B2", "#D55E00", "#555555"
_PALETTE = [DATA, SAMPLES, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442"]
_STYLE: dict[str, Any] = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.titlesize": 11,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=_PALETTE),
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
_TICKS: dict[str, Any] = {"labelsize": 8, "color": "#888888", "width": 0.7, "length": 3}

_MAGNITUDES = LogNorm(0.1, 100)
_ERRORS = LogNorm(1e-4, 1)


# Score fields ---------------------------------------------------------------------------------------------------------


@mpl.rc_context(_STYLE)
def plot_multiscale_scores(
    model: ScoreModel,
    sigmas: Tensor,
    xlim: tuple[float, float] = (-3, 3),
    ylim: tuple[float, float] = (-3, 3),
    *,
    data: Values | None = None,
    n_arrows: int = 15,
) -> Figure:
    """Draw a two-dimensional score field at up to four of the noise levels.

    |s| falls as 1/sigma, over orders of magnitude, so arrows give the direction alone and colour the magnitude sigma |s|:
    how many sigma away the denoised point x + sigma^2 s lies.

    Args:
        model: A score model on ``(N, 2)``.
        sigmas: Noise levels, ``(L,)``; four evenly spaced among them are shown.
        xlim: Ends of the first axis, in the units of the model.
        ylim: Ends of the second axis.
        data: Points ``(N, 2)`` to draw behind the arrows, in the units of the model.
        n_arrows: Arrows along each axis.

    Returns:
        The figure.

    Raises:
        ValueError: The levels are not positive, or the score has not the shape of its input.
    """
    shown = _spread(checked_levels(sigmas), 4)
    figure, row = _panels(1, len(shown), width=2.5, height=2.5)
    points = None if data is None else _thinned(_points(data, 2), 2000)
    for ax, sigma in zip(row[0], shown, strict=True):
        if points is not None:
            ax.scatter(*points.T, s=2, color="#BBBBBB", linewidths=0)
        _draw_field(ax, model, sigma, xlim, ylim, n_arrows)
        ax.set(xlim=xlim, ylim=ylim, aspect="equal", title=f"σ = {float(sigma):.3g}")
    figure.suptitle("Score fields at different noise levels")
    _magnitude_bar(figure, row)
    return figure


@mpl.rc_context(_STYLE)
def plot_learned_and_exact(
    model: ScoreModel,
    exact: ScoreModel,
    sigmas: Tensor,
    data: Values,
    *,
    generator: torch.Generator | None = None,
    n_arrows: int = 17,
) -> Figure:
    """Draw a learned and the exact score field at up to four noise levels, and where the learned one is wrong.

    The error is |s - s_exact|^2 sigma^2 / D at the noisy data, averaged in cells; each column gives its mean over p_sigma,
    the relative score error of the level. A column shows the region that p_sigma covers.

    Args:
        model: The learned score model, on ``(N, 2)``.
        exact: The exact one, of the distribution of ``data``.
        sigmas: Noise levels, ``(L,)``; four evenly spaced among them are shown.
        data: Clean points ``(N, 2)`` in the units of the models.
        generator: Source of the noise; torch's default when None.
        n_arrows: Arrows along each axis.

    Returns:
        The figure.

    Raises:
        DataError: The data have not two columns, or are not finite.
        ValueError: The levels are not positive, or a score has not the shape of its input.
    """
    shown = _spread(checked_levels(sigmas), 4)
    clean = torch.from_numpy(_finite(_points(data, 2), "data")).to(shown)
    figure, rows = _panels(3, len(shown), width=2.3, height=2.3)
    for column, sigma in zip(rows.T, shown, strict=True):
        noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
        noisy = clean + sigma * noise
        with torch.no_grad():
            errors = score_error(model, exact, noisy, sigma).cpu().numpy()
        points = noisy.cpu().double().numpy()
        xlim, ylim = _window(points)
        for ax, field in zip(column, (model, exact), strict=False):
            _draw_field(ax, field, sigma, xlim, ylim, n_arrows)
        extent = (*xlim, *ylim)
        column[2].hexbin(*points.T, errors, gridsize=36, extent=extent, norm=_ERRORS, cmap="cividis", linewidths=0.1)
        for ax in column:
            ax.set(xlim=xlim, ylim=ylim, aspect="equal")
        column[0].set_title(f"σ = {float(sigma):.3g}")
        column[2].set_title(f"relative error {errors.mean():.2g}")
    for ax, name in zip(rows[:, 0], ("learned", "exact", "error"), strict=True):
        ax.set_ylabel(name, fontsize=10.5)
    figure.suptitle("Learned and exact score by noise level")
    _magnitude_bar(figure, rows[:2])
    bar = figure.colorbar(ScalarMappable(_ERRORS, "cividis"), ax=rows[2:], extend="both", aspect=12)
    bar.set_label("|s − s$_{exact}$|² σ² / D")
    return figure


def _draw_field(
    ax: Axes, model: ScoreModel, sigma: Tensor, xlim: tuple[float, float], ylim: tuple[float, float], n_arrows: int
) -> None:
    """Draw unit arrows along the score, coloured by sigma |s|."""
    # centres of cells, so that no arrow is cut off at the frame
    share = (torch.arange(n_arrows, dtype=sigma.dtype, device=sigma.device) + 0.5) / n_arrows
    x, y = (low + (high - low) * share for low, high in (xlim, ylim))
    grid = torch.cartesian_prod(x, y)
    with torch.no_grad():
        score = sigma * model(grid, sigma)
    if score.shape != grid.shape:
        raise ValueError(f"a score field needs a model on two columns; this one returned the shape {tuple(score.shape)}")
    length = score.norm(dim=1)
    direction = (score / length.clamp(min=1e-12).unsqueeze(1)).cpu().numpy()
    ax.quiver(
        *grid.cpu().numpy().T,
        *direction.T,
        length.cpu().numpy(),
        norm=_MAGNITUDES,
        cmap="viridis",
        pivot="mid",
        angles="xy",
        scale_units="width",
        scale=n_arrows * 1.15,
        width=0.008,
        headwidth=3.6,
        headlength=4,
        headaxislength=3.6,
    )


def _magnitude_bar(figure: Figure, axes: NDArray[Any]) -> None:
    bar = figure.colorbar(ScalarMappable(_MAGNITUDES, "viridis"), ax=axes, extend="both", aspect=12 * len(axes))
    bar.set_label("σ|s|, colour only\n(arrows: direction)")


# Samples --------------------------------------------------------------------------------------------------------------


class _View(NamedTuple):
    """Two or more columns to look at points by, and what the axes are called."""

    project: Callable[[Array], Array]
    names: list[str]


@mpl.rc_context(_STYLE)
def plot_samples(training: Values, samples: Values, *, n_points: int = 5000, n_images: int = 64) -> Figure:
    """Draw data beside samples.

    Images become two grids, one column two histograms, two columns two scatter plots over one window. Of more columns a
    pair plot shows up to four: a data frame's first ones, or the first principal components (of the standardised data).

    Args:
        training: Data, ``(N, *shape)``: a data frame, array or tensor.
        samples: Generated points of the same shape.
        n_points: Most points drawn of each set, evenly spaced among its rows.
        n_images: Most images drawn of each set.

    Returns:
        The figure; its titles say how many points were left out or lie outside the window.

    Raises:
        DataError: The shapes differ, or are not rows or images.
    """
    real, made = _points(training), _points(samples)
    if real.shape[1:] != made.shape[1:]:
        raise DataError(f"training has points of shape {real.shape[1:]}, samples of {made.shape[1:]}; give them alike")
    if real.ndim > 2:
        return _image_pair(real, made, n_images)
    view = _view(training, real, 4)
    real, made = (view.project(_finite_rows(x)) for x in (real, made))
    if real.shape[1] == 1:
        return _histograms(view.names[0], real, made)
    if real.shape[1] == 2:
        return _scatter_pair(view.names, real, made, n_points)
    return _pair_plot(view.names, _thinned(real, n_points // 4), _thinned(made, n_points // 4))


@mpl.rc_context(_STYLE)
def plot_annealing(
    states: Sequence[State], *, n_panels: int = 6, n_points: int = 2000, n_images: int = 16
) -> Figure:
    """Draw samples along the annealing, from noise to data.

    Points of two columns are drawn as they are, of more in the first two principal components of the last state; images
    as grids, each with its own grey scale. Each panel has its own window: the scale shrinks with sigma.

    Args:
        states: States of `ncsn.samplers.trajectory`, in order, all of the same samples.
        n_panels: Number of panels, evenly spaced among the states.
        n_points: Most points drawn in each panel.
        n_images: Most images drawn in each panel.

    Returns:
        The figure.

    Raises:
        DataError: There are no states, or the samples are neither rows nor images.
    """
    states = list(states)
    if not states:
        raise DataError("there are no states to draw; give list(trajectory(...))")
    shown = _spread(states, n_panels)
    arrays = [_points(state.x) for state in shown]
    figure, (row,) = _panels(1, len(shown), width=1.9, height=1.9)
    if arrays[0].ndim == 2:
        view = _view(None, arrays[-1], 2)
        for ax, points in zip(row, arrays, strict=True):
            projected = view.project(_thinned(points, n_points))
            xlim, ylim = _window(projected)
            ax.scatter(*projected.T, s=3, alpha=0.5, color=SAMPLES, linewidths=0)
            ax.set(xlim=xlim, ylim=ylim, aspect="equal", xlabel=view.names[0])
        row[0].set_ylabel(view.names[1])
    else:
        for ax, images in zip(row, arrays, strict=True):
            images = _thinned(images, n_images)
            _draw_mosaic(ax, images, math.isqrt(len(images)), None, "gray")
    for ax, state in zip(row, shown, strict=True):
        ax.set_title(f"σ = {state.sigma:.3g}\nstep {state.step}")
    figure.suptitle("Samples along the annealing")
    return figure


@mpl.rc_context(_STYLE)
def plot_image_grid(
    images: Values,
    *,
    n_columns: int | None = None,
    n_images: int = 100,
    value_range: tuple[float, float] | None = None,
    cmap: str = "gray",
    title: str | None = None,
) -> Figure:
    """Draw images in a grid.

    Args:
        images: Grey images ``(N, H, W)`` or ``(N, 1, H, W)``, or colour images ``(N, 3, H, W)``.
        n_columns: Images in a row; as many as rows when None.
        n_images: Most images drawn, the first ones.
        value_range: The values drawn as the two ends of the scale; the images' own extremes when None.
        cmap: Colour map of grey images, a name of matplotlib's.
        title: What stands above the grid.

    Returns:
        The figure.

    Raises:
        DataError: These are no images, or not finite ones.
    """
    drawn = _points(images)[:n_images]
    columns = n_columns or math.ceil(math.sqrt(len(drawn)))
    height, width = drawn.shape[-2:] if drawn.ndim > 2 else (1, 1)
    size = 5.0
    figure, ((ax,),) = _panels(1, 1, width=size, height=size * (math.ceil(len(drawn) / columns) * height) / (columns * width))
    _draw_mosaic(ax, drawn, columns, value_range, cmap)
    if title is not None:
        ax.set_title(title)
    return figure


def _image_pair(real: Array, made: Array, n_images: int) -> Figure:
    figure, (row,) = _panels(1, 2, width=3.6, height=3.6)
    value_range = (float(np.nanmin(real)), float(np.nanmax(real)))
    columns = math.isqrt(n_images)
    for ax, images, name in zip(row, (real, made), ("data", "samples"), strict=True):
        _draw_mosaic(ax, _thinned(images, n_images), columns, value_range, "gray")
        ax.set_title(_counted(name, len(images), min(len(images), n_images)))
    return figure

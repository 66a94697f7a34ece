"""Data beside samples, samples along the annealing, and images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from ncsn.data import Values
from ncsn.errors import DataError
from ncsn.plots.style import (
    DATA,
    SAMPLES,
    Array,
    Limits,
    as_points,
    evenly,
    panels,
    square_window_of,
    styled,
    window_of,
)
from ncsn.samplers import State


@styled
def plot_samples(training: Values, samples: Values, *, n_points: int = 5000, n_images: int = 64) -> Figure:
    """Draw data beside samples.

    Images become two grids, one column two histograms, two columns two scatter plots over one window. Of more columns a
    pair plot shows up to four: a data frame's first ones, or an array's first principal components once standardised.

    Args:
        training: Data, ``(N, *shape)``: a data frame, array or tensor.
        samples: Generated points of the same shape.
        n_points: Most points drawn of each set, evenly spaced among its rows.
        n_images: Most images drawn of each set.

    Returns:
        The figure; its titles say how many points are drawn, and how many lie outside the window or are not finite.

    Raises:
        DataError: The shapes differ, or are neither rows nor images.
    """
    real, made = as_points(training), as_points(samples)
    if real.shape[1:] != made.shape[1:]:
        raise DataError(
            f"data have points of shape {real.shape[1:]}, samples of {made.shape[1:]}; they must be the same"
        )
    if real.ndim > 2:
        return _image_pair(_images(real), _images(made), n_images)
    columns = list(training.columns) if isinstance(training, pd.DataFrame) else None
    sets = [_PointSet("data", DATA, real), _PointSet("samples", SAMPLES, made)]
    names, project = _coordinates(sets[0].points, 4, columns)
    sets = [each.projected(project) for each in sets]
    if len(names) == 1:
        return _histograms(names[0], sets)
    if len(names) == 2:
        return _scatter_pair(names, sets, n_points)
    # the panels are small: more points would only hide one another
    return _pair_plot(names, sets, min(n_points, 1000))


class _PointSet:
    """Finite rows ``(N, D)`` with the name and colour that they go by in a figure."""

    def __init__(self, name: str, color: str, points: Array, n_non_finite: int = 0) -> None:
        finite = np.isfinite(points).all(axis=1)
        if not finite.any():
            raise DataError(f"{name}: no row is finite; did sampling diverge?")
        self.name, self.color = name, color
        self.points = points[finite]
        self.n_non_finite = n_non_finite + int((~finite).sum())

    def projected(self, project: Callable[[Array], Array]) -> _PointSet:
        return _PointSet(self.name, self.color, project(self.points), self.n_non_finite)

    def some(self, most: int) -> Array:
        return self.points[evenly(len(self.points), most)]

    def title(self, most: int, window: Array) -> str:
        """Name the set and count its points: those drawn, outside the window and not finite."""
        n = len(self.points)
        n_outside = int(((self.points < window[:, 0]) | (self.points > window[:, 1])).any(axis=1).sum())
        notes = [f"{most:,} of {n:,}" if most < n else f"{n:,}"]
        notes += [f"{n_outside:,} outside the window"] if n_outside else []
        notes += [f"{self.n_non_finite:,} not finite"] if self.n_non_finite else []
        return f"{self.name} ({', '.join(notes)})"


def _histograms(name: str, sets: list[_PointSet]) -> Figure:
    figure, ((ax,),) = panels(1, 1, width=5, height=3)
    window = window_of(sets[0].points, margin=0.1)
    for each in sets:
        _draw_histogram(ax, each, 0, window, n_bins=60, label=each.title(len(each.points), window))
    ax.set(xlabel=name, ylabel="density")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _draw_histogram(ax: Axes, each: _PointSet, column: int, window: Array, n_bins: int, label: str = "") -> None:
    low, high = window[column]
    edges = np.linspace(low, high, n_bins + 1)
    # of all rows, so that the area says what share lies within the window
    weights = np.full(len(each.points), 1 / (len(each.points) * (edges[1] - edges[0])))
    ax.hist(
        each.points[:, column],
        edges.tolist(),
        weights=weights,
        color=each.color,
        histtype="step",
        linewidth=1.3,
        label=label,
    )


def _scatter_pair(names: list[str], sets: list[_PointSet], n_points: int) -> Figure:
    figure, (row,) = panels(1, 2, width=3.5, height=3.4, sharex=True, sharey=True)
    window = window_of(sets[0].points, margin=0.15)
    spans = np.ptp(window, axis=1)
    for ax, each in zip(row, sets, strict=True):
        points = each.some(n_points)
        ax.scatter(*points.T, s=_dot(len(points)), alpha=0.5, color=each.color, linewidths=0)
        ax.set(xlabel=names[0], title=each.title(len(points), window))
        # columns in units of their own do not compare
        if max(spans) < 4 * min(spans):
            ax.set_aspect("equal")
    row[0].set(xlim=window[0], ylim=window[1], ylabel=names[1])
    return figure


def _pair_plot(names: list[str], sets: list[_PointSet], n_points: int) -> Figure:
    k = len(names)
    figure, axes = panels(k, k, width=1.7, height=1.7)
    window = window_of(sets[0].points, margin=0.1)
    for i, j in itertools.product(range(k), repeat=2):
        ax: Axes = axes[i, j]
        if j > i:
            ax.remove()
            continue
        for each in sets:
            if i == j:
                _draw_histogram(ax, each, j, window, n_bins=30)
            else:
                points = each.some(n_points)
                ax.scatter(points[:, j], points[:, i], s=_dot(len(points)), alpha=0.45, color=each.color, linewidths=0)
        ax.set_xlim(window[j])
        if i == j:
            ax.set_yticks([])
        else:
            ax.set_ylim(window[i])
        ax.tick_params(labelbottom=i == k - 1, labelleft=j == 0)
    for i, name in enumerate(names):
        axes[-1, i].set_xlabel(name)
        axes[i, 0].set_ylabel(name if i else "density")
    figure.align_ylabels(axes[:, 0])
    handles = [
        Line2D([], [], color=each.color, marker="o", linestyle="", label=each.title(n_points, window)) for each in sets
    ]
    figure.legend(handles=handles, loc="upper right")
    return figure


def _image_pair(real: Array, made: Array, n_images: int) -> Figure:
    figure, (row,) = panels(1, 2, width=3.5, height=3.5, gap=0.25)
    value_range = (float(real.min()), float(real.max()))
    for ax, images, name in zip(row, (real, made), ("data", "samples"), strict=True):
        drawn = images[evenly(len(images), n_images)]
        _draw_mosaic(ax, drawn, math.ceil(math.sqrt(len(drawn))), value_range, "gray")
        ax.set_title(f"{name} ({len(drawn):,} of {len(images):,})")
    return figure


@styled
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
        n_columns: Images in a row; about as many as rows when None.
        n_images: Most images drawn, the first ones.
        value_range: The values drawn as the two ends of the scale; the drawn images' own extremes when None.
        cmap: Colour map of grey images, a name of matplotlib's.
        title: What stands above the grid.

    Returns:
        The figure.

    Raises:
        DataError: These are no images, or not finite ones.
    """
    drawn = _images(images)[:n_images]
    columns = n_columns or math.ceil(math.sqrt(len(drawn)))
    n_rows = math.ceil(len(drawn) / columns)
    aspect = (n_rows * drawn.shape[2]) / (columns * drawn.shape[3])
    figure, ((ax,),) = panels(1, 1, width=5, height=5 * aspect)
    _draw_mosaic(ax, drawn, columns, value_range, cmap)
    if title is not None:
        ax.set_title(title)
    return figure


@styled
def plot_annealing(states: Sequence[State], *, n_panels: int = 6, n_points: int = 2000, n_images: int = 16) -> Figure:
    """Draw samples along the annealing, from noise to data.

    Points of two columns are drawn as they are, of more in the first two principal components of the last state, of one
    as histograms; images as grids, each with its own grey scale. Each panel has its own window: the scale shrinks with
    sigma.

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
    if not states:
        raise DataError("there are no states to draw; give list(trajectory(...))")
    shown = [states[i] for i in evenly(len(states), n_panels)]
    arrays = [as_points(state.x) for state in shown]
    if arrays[0].ndim > 2:
        arrays = [_images(array[evenly(len(array), n_images)]) for array in arrays]
        height = 1.7 * arrays[0].shape[2] / arrays[0].shape[3] + 0.2
        figure, axes = panels(1, len(shown), width=1.7, height=height, gap=0.2)
        for ax, images in zip(axes[0], arrays, strict=True):
            _draw_mosaic(ax, images, math.ceil(math.sqrt(len(images))), None, "gray")
    else:
        names, project = _coordinates(arrays[-1], 2, None)
        figure, axes = panels(1, len(shown), width=1.8, height=2.2)
        for ax, array in zip(axes[0], arrays, strict=True):
            points = project(array[evenly(len(array), n_points)])
            ax.set_xlabel(names[0])
            if len(names) == 1:
                ax.hist(points[:, 0], bins=40, density=True, color=SAMPLES)
                continue
            xlim, ylim = square_window_of(points)
            ax.scatter(*points.T, s=_dot(len(points)), alpha=0.5, color=SAMPLES, linewidths=0)
            ax.set(xlim=xlim, ylim=ylim, aspect="equal")
        axes[0, 0].set_ylabel("density" if len(names) == 1 else names[1])
    for ax, state in zip(axes[0], shown, strict=True):
        ax.set_title(f"σ = {state.sigma:.3g}\nstep {state.step:,}")
    figure.suptitle("Samples along the annealing")
    return figure


def _coordinates(points: Array, most: int, columns: list[Any] | None) -> tuple[list[str], Callable[[Array], Array]]:
    """Choose what to look at rows by: names of the axes, and the map to them, fitted on ``points``."""
    dim = points.shape[1]
    if columns is not None or dim <= most:
        names = [str(column) for column in columns or [f"x{i + 1}" for i in range(dim)]]
        return names[:most], lambda x: x[:, :most]
    scaling = StandardScaler().fit(points)
    components = PCA(min(most, *points.shape), svd_solver="full").fit(scaling.transform(points))
    names = [f"PC {i + 1} ({share:.0%})" for i, share in enumerate(components.explained_variance_ratio_)]
    return names, lambda x: cast(Array, components.transform(scaling.transform(x)))


def _dot(n: int) -> float:
    """Return a marker area that keeps ``n`` dots apart."""
    return float(np.clip(6000 / n, 2.5, 16))


def _images(values: Values) -> Array:
    """Return images as ``(N, C, H, W)`` with C = 1 or 3.

    Raises:
        DataError: They are no images, or not finite.
    """
    images = as_points(values)
    images = images[:, None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(f"images are (N, H, W), (N, 1, H, W) or (N, 3, H, W), not {images.shape}")
    if not np.isfinite(images).all():
        raise DataError("images hold NaN or infinite values; leave those images out")
    return images


def _draw_mosaic(ax: Axes, images: Array, columns: int, value_range: Limits | None, cmap: str) -> None:
    """Draw ``(N, C, H, W)`` images in rows of ``columns``, a pixel apart."""
    low, high = value_range or (float(images.min()), float(images.max()))
    unit = ((images - low) / ((high - low) or 1.0)).clip(0, 1)
    n, channels, height, width = unit.shape
    rows = math.ceil(n / columns)
    tiles = np.full((rows * columns, channels, height + 1, width + 1), np.nan)
    tiles[:n, :, :height, :width] = unit
    mosaic = tiles.reshape(rows, columns, channels, height + 1, width + 1).transpose(0, 3, 1, 4, 2)
    mosaic = mosaic.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    if channels == 3:
        ax.imshow(np.where(np.isnan(mosaic), 1.0, mosaic), interpolation="nearest")
    else:
        ax.imshow(mosaic[..., 0], cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()

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
from ncsn.data.grids import as_images, mosaic, value_range_of
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
        return _image_pair(_images(real), _images(made), value_range_of(training), n_images)
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


def _image_pair(real: Array, made: Array, value_range: Limits, n_images: int) -> Figure:
    figure, (row,) = panels(1, 2, width=3.5, height=3.5, gap=0.25)
    for ax, images, name in zip(row, (real, made), ("data", "samples"), strict=True):
        drawn = images[evenly(len(images), n_images)]
        _draw_mosaic(ax, drawn, value_range)
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
        images: Images ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``, grey or of three colours.
        n_columns: Images in a row; about as many as rows when None.
        n_images: Most images drawn, the first ones.
        value_range: The values drawn as the two ends of the scale, such as `Encoding.value_range` of the model that the
            images come from; when None 0 and 255 of 8-bit images, else the extremes of these.
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
    _draw_mosaic(ax, drawn, value_range or value_range_of(images), columns, cmap)
    if title is not None:
        ax.set_title(title)
    return figure


@styled
def plot_annealing(
    states: Sequence[State],
    *,
    n_panels: int | None = None,
    n_points: int = 2000,
    n_images: int = 6,
    value_range: tuple[float, float] | None = None,
) -> Figure:
    """Draw samples along the annealing, from noise to data.

    Images become a strip, a row a sample and a column a noise level, all of one range of grey. Points of two columns are
    drawn as they are, of more in the first two principal components of the last state, of one as histograms; there each
    panel has its own window, as the scale shrinks with sigma.

    Args:
        states: States of `ncsn.samplers.trajectory`, in order, all of the same samples, such as a
            `ncsn.samplers.Recorder` keeps.
        n_panels: Number of panels, evenly spaced among the states; 6 when None, of images 8.
        n_points: Most points drawn in each panel.
        n_images: Most images drawn, the first ones.
        value_range: The values of the states that are black and white; the extremes of the last state when None.

    Returns:
        The figure.

    Raises:
        DataError: There are no states, or the samples are neither rows nor images.
    """
    if not states:
        raise DataError("there are no states to draw; give list(trajectory(...))")
    images = states[0].x.ndim > 2
    shown = [states[i] for i in evenly(len(states), n_panels or (8 if images else 6))]
    arrays = [as_points(state.x) for state in shown]
    if images:
        strips = [_images(array[:n_images]) for array in arrays]
        height = len(strips[0]) * strips[0].shape[2] / strips[0].shape[3]
        figure, axes = panels(1, len(shown), width=0.8, height=0.8 * height, gap=0.05)
        for ax, strip in zip(axes[0], strips, strict=True):
            _draw_mosaic(ax, strip, value_range or value_range_of(arrays[-1]), 1)
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
    """Return images as float64 ``(N, C, H, W)`` with C = 1 or 3; a `DataError` where they are none, or not finite."""
    return cast(Array, as_images(as_points(values)))


def _draw_mosaic(
    ax: Axes, images: Array, value_range: Limits, n_columns: int | None = None, cmap: str = "gray"
) -> None:
    """Draw images in rows, a pixel apart."""
    picture = mosaic(images, value_range, n_columns)
    if picture.shape[2] == 3:
        ax.imshow(np.where(np.isnan(picture), 1.0, picture), interpolation="nearest")
    else:
        ax.imshow(picture[..., 0], cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()

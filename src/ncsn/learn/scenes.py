"""Figures of noise levels and of samples for the notebooks, the learner's beside the reference; keep the figure they return."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ncsn.plots.style import DATA, FLOOR, SAMPLES, Array, evenly, panels, styled

__all__ = ["draw_by_level", "draw_clouds", "draw_paths", "draw_targets"]

_LINES = (
    {"color": SAMPLES, "linewidth": 3.0, "alpha": 0.75, "marker": "o", "markersize": 5},
    {"color": "black", "linewidth": 1.4, "linestyle": (0, (4, 2.5)), "marker": "x", "markersize": 5},
    {"color": DATA, "linewidth": 1.6, "linestyle": (0, (1, 1.5)), "marker": "s", "markersize": 4},
)


@styled
def draw_clouds(
    clouds: Mapping[str, Mapping[str, Tensor]],
    *,
    window: float | Sequence[float] | None = None,
    centre: tuple[float, float] = (0.0, 0.0),
    n_points: int = 1500,
    size: float = 2.1,
    n_reference: int = 0,
) -> Figure:
    """Draw point clouds in the plane: one row for each name, one panel for each of its titles.

    Args:
        clouds: Points ``(N, 2)`` by row and title; the rows have equally many, the first row is drawn in the colour of samples
            and the others in that of data. A row's name stands at its left, and may be empty.
        window: Half of each panel's side, one for all or one a column; as wide as the last row's points when None.
        centre: Middle of the panels.
        n_points: Most points drawn in each panel.
        size: Side of a panel in inches.
        n_reference: Panels at the end of the first row that show the truth, and so have the colour of data.

    Returns:
        The figure.
    """
    rows = list(clouds.items())
    n_columns = len(rows[0][1])
    if window is None:
        window = [1.05 * float((x - torch.tensor(centre).to(x)).abs().quantile(0.998)) for x in rows[-1][1].values()]
    halves = list(window) if isinstance(window, Sequence) else [window] * n_columns
    figure, axes = panels(len(rows), n_columns, width=size, height=size * 1.05)
    for i, (name, row) in enumerate(rows):
        for j, (title, points) in enumerate(row.items()):
            ax, half = axes[i, j], halves[j]
            drawn = _array(points)[evenly(len(points), n_points)]
            colour = SAMPLES if i == 0 and j < n_columns - n_reference else DATA
            ax.scatter(*drawn.T, s=3, alpha=0.5, color=colour, linewidths=0)
            ax.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half), aspect="equal")
            ax.set_title(title)
        if name:
            axes[i, 0].set_ylabel(name, fontsize=10)
    return figure


@styled
def draw_targets(
    noisy: Tensor, targets: Tensor, centres: Tensor, means: Tensor, exact: Tensor, whose: str = "yours"
) -> Figure:
    """Draw denoising targets over the noisy points of a line, their means in bins, and the exact score.

    Args:
        noisy: Noisy points, ``(N,)``.
        targets: The conditional score of each, ``(N,)``.
        centres: Places of the bins, ``(B,)``.
        means: The mean target in each bin, ``(B,)``.
        exact: The exact score at those places, ``(B,)``.
        whose: Whose the means are, for the legend.

    Returns:
        The figure.
    """
    figure, ((ax,),) = panels(1, 1, width=6.2, height=3.4)
    shown = evenly(len(noisy), 3000)
    grey = {"s": 4, "color": "#B8B8B8", "linewidths": 0}
    ax.scatter(_array(noisy)[shown], _array(targets)[shown], label="single arrows (conditional scores)", **grey)
    ax.plot(
        _array(centres),
        _array(means),
        "o",
        color=SAMPLES,
        markersize=6,
        alpha=0.85,
        label=f"their mean in each bin: {whose}",
    )
    ax.plot(
        _array(centres), _array(exact), color="black", linestyle=(0, (4, 2.5)), label="exact score of the noisy points"
    )
    ax.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    ax.set(xlabel="noisy point", ylabel="arrow (up: to the right)", xlim=(float(centres[0]), float(centres[-1])))
    ax.legend(loc="upper right")
    return figure


@styled
def draw_by_level(
    sigmas: Tensor | Sequence[float],
    panels_of_curves: Mapping[str, Mapping[str, Tensor | Sequence[float]]],
    *,
    xlabel: str = "noise level σ",
    shade_below: float | None = None,
    shade_name: str = "",
    limits: Mapping[str, float] | None = None,
    linear: Sequence[str] = (),
) -> Figure:
    """Draw curves over noise levels or step sizes on a logarithmic axis, in panels side by side.

    Args:
        sigmas: The levels, ``(L,)``.
        panels_of_curves: For each panel, by the name of its vertical axis, the curves by their labels: the learner's first
            (thick), then the reference (dashed), then one more (dotted).
        xlabel: What the levels are.
        shade_below: Levels below this are shaded.
        shade_name: What the shade stands for.
        limits: A line to draw across the panel of that name.
        linear: Names of the panels whose vertical axis is not logarithmic.

    Returns:
        The figure.
    """
    figure, axes = panels(1, len(panels_of_curves), width=3.9, height=2.9)
    x = _array(sigmas)
    for ax, (ylabel, curves) in zip(axes[0], panels_of_curves.items(), strict=True):
        if shade_below is not None:
            ax.axvspan(
                x.min() / 1.3,
                shade_below,
                facecolor="#E6E6E6",
                edgecolor="#BBBBBB",
                linewidth=0.5,
                zorder=0,
                label=shade_name,
            )
        for (label, values), line in zip(curves.items(), _LINES, strict=False):
            ax.plot(x, _array(values), label=label, **line)
        if limits is not None and ylabel in limits:
            ax.axhline(limits[ylabel], color=FLOOR, linewidth=1)
        ax.set(xscale="log", yscale="linear" if ylabel in linear else "log", xlabel=xlabel, ylabel=ylabel)
        ax.set_xlim(x.min() / 1.3, x.max() * 1.3)
        ax.grid(True)
        if len(curves) > 1 or shade_name:
            ax.legend()
    return figure


@styled
def draw_paths(
    rows: Mapping[str, Mapping[str, Tensor]],
    clouds: Sequence[Tensor],
    xlabel: str = "step",
    *,
    along: tuple[float, float] = (1.0, 1.0),
    n_paths: int = 24,
    half: float = 4.0,
    last: float = 1000,
) -> Figure:
    """Draw paths in the plane, walked back in time, as seen along a direction, over the density at each time.

    Args:
        rows: Places ``(steps + 1, walkers, 2)`` by row and title; the first row has the colour of samples, the others that of
            data.
        clouds: Points ``(N, 2)`` at each of some times, evenly from 0 to the last: their histogram, each time on its own
            scale, stands for the density.
        xlabel: What time is.
        along: The direction whose coordinate is drawn.
        n_paths: Walkers that are drawn, the first ones.
        half: Half of the vertical axis.
        last: The last time, at which the paths begin.

    Returns:
        The figure.
    """
    direction = torch.tensor(along) / math.hypot(*along)
    density = torch.stack([(x @ direction.to(x)).histc(160, -half, half) for x in clouds])
    figure, axes = panels(len(rows), len(next(iter(rows.values()))), width=4.6, height=2.6, sharex=True, sharey=True)
    image = _array(density / density.amax(dim=1, keepdim=True)).T
    for i, (name, row) in enumerate(rows.items()):
        for ax, (title, places) in zip(axes[i], row.items(), strict=True):
            extent = (0, last, -half, half)
            ax.imshow(
                image, extent=extent, origin="lower", aspect="auto", cmap="Greys", alpha=0.8, vmax=1.3 * image.max()
            )
            times = np.linspace(last, 0, len(places))
            ax.plot(
                times, _array(places[:, :n_paths] @ direction.to(places)), color=DATA if i else SAMPLES, linewidth=0.7
            )
            ax.set(xlim=(last, 0), ylim=(-half, half), title=title)
        axes[i, 0].set_ylabel(name)
    for ax in axes[-1]:
        ax.set_xlabel(xlabel)
    return figure


def _array(values: Tensor | Sequence[float]) -> Array:
    if isinstance(values, Tensor):
        return np.asarray(values.detach().cpu().double().numpy())
    return np.asarray([float(value) for value in values])

"""Figures of the notebooks, the learner's beside the reference; in a notebook, keep the figure (``figure = ...``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from ncsn.plots.style import DATA, SAMPLES, Array, panels, style_ticks, styled

__all__ = ["draw_curves", "draw_error_map", "draw_fields", "draw_walks"]

Field = Callable[[Tensor], Tensor]

# from the learner's to the reference; dashes lie over what is below, and tell the two apart without colour
_LINES: tuple[dict[str, Any], ...] = (
    {"color": SAMPLES, "linewidth": 3.2, "alpha": 0.75},
    {"color": "black", "linestyle": (0, (4, 2.5)), "linewidth": 1.5},
    {"color": DATA, "linestyle": (0, (1, 1.5)), "linewidth": 1.8},
)


@styled
def draw_curves(
    x: Tensor | Sequence[float],
    panels_of_curves: Mapping[str, Mapping[str, Tensor | Sequence[float]]],
    xlabel: str = "x",
    *,
    shade: tuple[float, float] | None = None,
    marker: str = "",
    logy: bool = False,
) -> Figure:
    """Draw curves over common places, in one panel or several side by side.

    Args:
        x: The places, ``(N,)``.
        panels_of_curves: For each panel, by the name of its vertical axis, the curves by their labels: the learner's first
            (thick), then the reference (dashed), then one more (dotted).
        xlabel: What x is.
        shade: Ends of a stretch of x to shade.
        marker: A matplotlib marker at each place, for few places.
        logy: Whether the vertical axes are logarithmic.

    Returns:
        The figure.
    """
    figure, axes = panels(1, len(panels_of_curves), width=3.9, height=2.6)
    for ax, (ylabel, curves) in zip(axes[0], panels_of_curves.items(), strict=True):
        if shade is not None:
            ax.axvspan(*shade, color="#EEEEEE", zorder=0)
        for (label, values), line in zip(curves.items(), _LINES, strict=False):
            ax.plot(_array(x), _array(values), label=label, marker=marker, **line)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.grid(True)
        if logy:
            ax.set_yscale("log")
        if len(curves) > 1:
            ax.legend()
    return figure


@styled
def draw_fields(
    fields: Mapping[str, Field], points: Tensor, window: tuple[float, float] = (-5.0, 5.0), *, n_arrows: int = 17
) -> Figure:
    """Draw score fields in the plane side by side: arrows for directions, their lengths compressed to be seen together.

    Args:
        fields: Scores by name, each called with places ``(N, 2)``.
        points: Data ``(N, 2)`` to draw behind the arrows.
        window: Ends of both axes.
        n_arrows: Arrows along each axis.

    Returns:
        The figure.
    """
    figure, axes = panels(1, len(fields), width=3.4, height=3.2)
    _draw_arrows(axes[0], list(fields.values()), points, window, n_arrows)
    for ax, name in zip(axes[0], fields, strict=True):
        ax.set_title(name)
    return figure


@styled
def draw_error_map(
    learned: Field, exact: Field, points: Tensor, window: tuple[float, float] = (-5.0, 5.0), *, n_arrows: int = 17
) -> Figure:
    """Draw a learned and the exact field and where the learned one is wrong, in the whole window, data or not.

    The error is the length of learned - exact at each place.

    Args:
        learned: The learned score, called with places ``(N, 2)``.
        exact: The exact score.
        points: Data ``(N, 2)`` that the learned one was trained on.
        window: Ends of both axes.
        n_arrows: Arrows along each axis.

    Returns:
        The figure.
    """
    figure, axes = panels(1, 3, width=3.1, height=2.9)
    _draw_arrows(axes[0, :2], [learned, exact], points, window, n_arrows)
    side = torch.linspace(*window, 121)
    places = torch.cartesian_prod(side, side)
    with torch.no_grad():
        error = (learned(places) - exact(places)).norm(dim=1)
    norm = LogNorm(0.1, 10)
    image = _array(error.clamp(0.1, 10)).reshape(len(side), -1).T
    ax = axes[0, 2]
    ax.imshow(image, origin="lower", extent=(*window, *window), norm=norm, cmap="cividis", interpolation="bilinear")
    ax.scatter(*_array(points[:1000]).T, s=1, color="white", alpha=0.35, linewidths=0)
    ax.set(xlim=window, ylim=window, aspect="equal")
    for each, title in zip(axes[0], ("learned", "exact", "length of the error"), strict=True):
        each.set_title(title)
    bar = figure.colorbar(ScalarMappable(norm, "cividis"), ax=ax, extend="both", shrink=0.9)
    bar.set_ticks([0.1, 1, 10], labels=["0.1", "1", "10"])
    style_ticks(bar.ax)
    return figure


@styled
def draw_walks(
    walks: Mapping[str, Tensor], points: Tensor, modes: Tensor, window: tuple[float, float] = (-5.0, 5.0)
) -> Figure:
    """Draw the paths of walkers in the plane over the data, coloured by the mode at which each ends.

    Args:
        walks: Places by name, ``(steps + 1, walkers, 2)``.
        points: Data ``(N, 2)``.
        modes: Centres of the modes, ``(K, 2)``, up to three.
        window: Ends of both axes.

    Returns:
        The figure.
    """
    figure, axes = panels(1, len(walks), width=3.4, height=3.2)
    colours = np.array([SAMPLES, DATA, "#CC79A7"])
    styles = np.array(["-", "--", ":"])
    for ax, (name, walk) in zip(axes[0], walks.items(), strict=True):
        ax.scatter(*_array(points[:1000]).T, s=2, color="#C4C4C4", linewidths=0)
        ends = torch.cdist(walk[-1], modes.to(walk)).argmin(dim=1)
        for path, end in zip(_array(walk).transpose(1, 2, 0), ends.tolist(), strict=True):
            ax.plot(*path, color=colours[end], linestyle=styles[end], linewidth=0.9)
            ax.plot(*path[:, 0], marker="o", markersize=3, color=colours[end])
        ax.plot(*_array(modes).T, linestyle="", marker="X", markersize=8, color="black")
        ax.set(xlim=window, ylim=window, aspect="equal", title=name)
    return figure


def _draw_arrows(
    axes: Iterable[Axes], fields: Sequence[Field], points: Tensor, window: tuple[float, float], n_arrows: int
) -> None:
    side = torch.linspace(*window, 2 * n_arrows + 1)[1::2]
    places = torch.cartesian_prod(side, side)
    with torch.no_grad():
        scores = [field(places) for field in fields]
    # log(1 + length) keeps short arrows visible beside long ones; one scale for all panels
    longest = math.log1p(min(30.0, max(float(score.norm(dim=1).max()) for score in scores)))
    horizontal, vertical = _array(points[:1500]).T
    spacing = (window[1] - window[0]) / n_arrows
    for ax, score in zip(axes, scores, strict=True):
        length = score.norm(dim=1, keepdim=True).clamp(min=1e-12)
        arrows = score / length * (torch.log1p(length) / longest).clamp(max=1)
        ax.scatter(horizontal, vertical, s=2, color=DATA, alpha=0.35, linewidths=0)
        x, y, u, v = _array(torch.cat([places, 1.15 * spacing * arrows], dim=1)).T
        ax.quiver(x, y, u, v, angles="xy", scale_units="xy", scale=1, width=0.006, color="black", pivot="mid")
        ax.set(xlim=window, ylim=window, aspect="equal")


def _array(values: Tensor | Sequence[float]) -> Array:
    if isinstance(values, Tensor):
        return np.asarray(values.detach().cpu().double().numpy())
    return np.asarray(values, dtype=np.float64)

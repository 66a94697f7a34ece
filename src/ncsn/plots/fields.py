"""Score fields in the plane."""

import math
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ncsn.data import Values
from ncsn.errors import DataError
from ncsn.evaluation.by_level import checked_levels, score_error, score_of
from ncsn.plots.style import Array, as_points, evenly, panels, square_window_of, style_ticks, styled
from ncsn.score import ScoreModel

_MAGNITUDES = LogNorm(0.1, 100)
# the palest yellows vanish on white
_ARROWS = ListedColormap(mpl.colormaps["viridis"](np.linspace(0, 0.9, 256)))
_ERRORS = LogNorm(1e-4, 1)


@styled
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
        SettingError: The levels are not positive, or the score has not the shape of its input.
    """
    levels = checked_levels(sigmas)
    shown = levels[evenly(len(levels), 4)]
    points = np.empty((0, 2)) if data is None else as_points(data, 2)
    window = np.array([xlim, ylim], dtype=np.float64)
    fields = [_field(model, sigma, window, n_arrows) for sigma in shown]
    figure, axes = _panels_and_bars(1, len(shown), width=2.4, height=2.2)
    for ax, sigma, field in zip(axes[0, :-1], shown, fields, strict=True):
        _draw_field(ax, field, points, window)
        ax.set_title(f"σ = {float(sigma):.3g}")
    figure.suptitle("Score fields at different noise levels")
    _magnitude_bar(figure, axes[:, -1])
    return figure


@styled
def plot_learned_and_exact(
    model: ScoreModel,
    exact: ScoreModel,
    sigmas: Tensor,
    data: Values,
    *,
    generator: torch.Generator | None = None,
    n_points: int = 20_000,
    n_arrows: int = 15,
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
        n_points: Most rows of the data taken, evenly spaced among them.
        n_arrows: Arrows along each axis.

    Returns:
        The figure.

    Raises:
        DataError: The data have not two columns, or are not finite.
        SettingError: The levels are not positive, or a score has not the shape of its input.
    """
    levels = checked_levels(sigmas)
    rows = as_points(data, 2)
    clean = torch.from_numpy(rows[evenly(len(rows), n_points)]).to(levels)
    if not bool(clean.isfinite().all()):
        raise DataError("data hold NaN or infinite values; leave those rows out")
    columns = []
    for sigma in levels[evenly(len(levels), 4)]:
        noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
        noisy = clean + sigma * noise
        with torch.no_grad():
            errors = score_error(model, exact, noisy, sigma).cpu().numpy()
        points = noisy.cpu().double().numpy()
        window = square_window_of(points)
        fields = [_field(each, sigma, window, n_arrows) for each in (model, exact)]
        columns.append((float(sigma), points, window, fields, errors))
    figure, axes = _panels_and_bars(3, len(columns), width=2.3, height=1.95)
    for column, (sigma, points, window, fields, errors) in zip(axes.T[:-1], columns, strict=True):
        for ax, field in zip(column, fields, strict=False):
            _draw_field(ax, field, points, window)
            ax.tick_params(labelbottom=False)
        cells = {"gridsize": 36, "extent": window.ravel().tolist(), "norm": _ERRORS, "cmap": "cividis"}
        column[2].hexbin(*points.T, errors, linewidths=0.1, **cells)
        column[2].set(xlim=window[0], ylim=window[1], aspect="equal")
        column[0].set_title(f"σ = {sigma:.3g}")
        column[2].set_title(f"relative error {errors.mean():.2g}")
    for ax, name in zip(axes[:, 0], ("learned", "exact", "error"), strict=True):
        ax.set_ylabel(name, fontsize=10.5)
    figure.suptitle("Learned and exact score by noise level")
    _magnitude_bar(figure, axes[:2, -1])
    _colour_bar(figure, axes[2:, -1], ScalarMappable(_ERRORS, "cividis"), "|s − s$_{exact}$|² σ² / D")
    return figure


class _Field(NamedTuple):
    """A score field on a grid: places ``(M, 2)``, unit vectors ``(M, 2)`` and magnitudes sigma |s| ``(M,)``."""

    places: Array
    directions: Array
    magnitudes: Array


def _field(model: ScoreModel, sigma: Tensor, window: Array, n_arrows: int) -> _Field:
    """Evaluate a score model at the centres of ``n_arrows`` cells along each axis, so that the frame cuts no arrow."""
    share = (torch.arange(n_arrows, dtype=sigma.dtype, device=sigma.device) + 0.5) / n_arrows
    places = torch.cartesian_prod(*(low + (high - low) * share for low, high in window.tolist()))
    with torch.no_grad():
        score = sigma * score_of(model, places, sigma)
    magnitudes = score.norm(dim=1, keepdim=True)
    directions = score / magnitudes.clamp(min=torch.finfo(score.dtype).tiny)
    return _Field(*(x.cpu().double().numpy() for x in (places, directions, magnitudes[:, 0])))


def _draw_field(ax: Axes, field: _Field, points: Array, window: Array) -> None:
    """Draw unit arrows along the score, coloured by magnitude, over points."""
    x, y = points[evenly(len(points), 1500)].T
    ax.scatter(x, y, s=2, color="#C4C4C4", linewidths=0)
    ax.quiver(
        *field.places.T,
        *field.directions.T,
        field.magnitudes,
        norm=_MAGNITUDES,
        cmap=_ARROWS,
        pivot="mid",
        angles="xy",
        scale_units="width",
        scale=1.15 * math.sqrt(len(field.places)),
        width=0.008,
        headwidth=3.6,
        headlength=4,
        headaxislength=3.6,
    )
    ax.set(xlim=window[0], ylim=window[1], aspect="equal")


def _panels_and_bars(n_rows: int, n_columns: int, *, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """Make panels, in inches each; the last column of the axes is a narrow one for colour bars.

    With colour bars anywhere else than in the grid, a script's ``plt.tight_layout()`` would fail.
    """
    width_ratios = [1.0] * n_columns + [0.06]
    figure, axes = panels(n_rows, n_columns + 1, width=width, height=height, width_ratios=width_ratios)
    figure.set_layout_engine("tight", w_pad=0.4, h_pad=0.4)
    return figure, axes


def _magnitude_bar(figure: Figure, places: NDArray[Any]) -> None:
    label = "σ|s|, in colour only\n(arrows: direction)"
    _colour_bar(figure, places, ScalarMappable(_MAGNITUDES, _ARROWS), label)


def _colour_bar(figure: Figure, places: NDArray[Any], values: ScalarMappable, label: str) -> None:
    """Put one colour bar in the place of these axes, which stand one below the other."""
    first, last = (place.get_subplotspec() for place in places[[0, -1]])
    place = first.get_gridspec()[first.rowspan.start : last.rowspan.stop, first.colspan.start]
    for ax in places:
        ax.remove()
    bar = figure.colorbar(values, cax=figure.add_subplot(place), extend="both")
    bar.set_label(label)
    style_ticks(bar.ax)

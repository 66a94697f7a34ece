"""Posteriors: pairs of parameters, and the checks of them with their bands."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ncsn.data import Values
from ncsn.errors import DataError, SettingError
from ncsn.plots.style import DATA, FLOOR, SAMPLES, Array, as_points, evenly, panels, styled, window_of

if TYPE_CHECKING:
    # what draws does not wait for what trains
    from ncsn.inference import Calibration, PredictiveCheck, RankCheck


@styled
def pairs(
    samples: Values,
    *,
    truth: Any = None,
    reference: Values | None = None,
    names: Sequence[str] | None = None,
    limits: Any = None,
    n_points: int = 1000,
    most: int = 8,
) -> Figure:
    """Draw each parameter's distribution, and each pair of parameters, of draws of a posterior.

    Args:
        samples: Draws, ``(N, D)``.
        truth: The true parameters, ``(D,)``, drawn as lines; None where they are not known.
        reference: Draws of another posterior to compare with, such as the exact one, ``(M, D)``.
        names: What the parameters are called.
        limits: The window of each parameter, ``(D, 2)``, such as the prior's bounds; that of all draws when None.
        n_points: Most points drawn of each set, evenly spaced among its rows.
        most: Most parameters drawn, the first ones.

    Returns:
        The figure.

    Raises:
        DataError: Draws are none, or not finite, or truth, reference or limits do not have their parameters.
        SettingError: There are not as many names as parameters.
    """
    drawn = as_points(samples)
    dim = drawn.shape[1]
    sets = [("posterior", SAMPLES, drawn)]
    if reference is not None:
        sets.insert(0, ("reference", DATA, as_points(reference, dim)))
    if drawn.ndim != 2 or not all(np.isfinite(points).all() for _, _, points in sets):
        raise DataError("draws must be finite rows of parameters, (N, D)")
    known = None if truth is None else as_points(truth).reshape(-1)
    if known is not None and known.shape != (dim,):
        raise DataError(f"truth must hold {dim} parameters, not {len(known)}")
    called = list(names) if names is not None else [f"theta {i}" for i in range(dim)]
    if len(called) != dim:
        raise SettingError(f"{len(called)} names for {dim} parameters")
    if limits is None:
        window = window_of(np.concatenate([points for _, _, points in sets]), margin=0.05)
    else:
        window = as_points(limits)
        if window.shape != (dim, 2):
            raise DataError(f"limits must be of shape {(dim, 2)}, not {window.shape}")
    shown = min(dim, most)
    figure, axes = panels(shown, shown, width=1.7, height=1.7)
    for i, j in itertools.product(range(shown), repeat=2):
        if j > i:
            axes[i, j].remove()
            continue
        _draw_pair(axes[i, j], sets, known, i, j, window, n_points)
        axes[i, j].tick_params(labelbottom=i == shown - 1, labelleft=j == 0)
    for i in range(shown):
        axes[-1, i].set_xlabel(called[i])
        axes[i, 0].set_ylabel(called[i] if i else "density")
    figure.align_ylabels(axes[:, 0])
    handles = [Line2D([], [], color=color, label=f"{name} ({len(points):,})") for name, color, points in sets]
    if known is not None:
        handles.append(Line2D([], [], color=FLOOR, linewidth=0.9, label="truth"))
    figure.legend(handles=handles, loc="upper right" if shown > 1 else "outside upper center")
    return figure


def _draw_pair(
    ax: Axes, sets: list[tuple[str, str, Array]], known: Array | None, i: int, j: int, window: Array, n_points: int
) -> None:
    """Draw parameter i over parameter j, or the distribution of i where both are the same."""
    for _, color, points in sets:
        if i == j:
            edges = np.linspace(window[i, 0], window[i, 1], 41)
            ax.hist(points[:, i], edges.tolist(), density=True, color=color, histtype="step")
        else:
            some = points[evenly(len(points), n_points)]
            ax.scatter(some[:, j], some[:, i], s=3, alpha=0.35, color=color, linewidths=0)
    if known is not None:
        ax.axvline(known[j], color=FLOOR, linewidth=0.9)
        if i != j:
            ax.axhline(known[i], color=FLOOR, linewidth=0.9)
    ax.set_xlim(window[j])
    if i == j:
        ax.set_yticks([])
    else:
        ax.set_ylim(window[i])


@styled
def plot_ranks(checks: Calibration | RankCheck) -> Figure:
    """Draw the shares of ranks up to each place, less those of uniform ranks, with the band that a right posterior keeps to.

    A posterior that is too narrow rises first and falls below then, of coverage it lies below throughout.

    Args:
        checks: One check of `ncsn.inference`, or all that `ncsn.inference.calibrate` returns.

    Returns:
        The figure, a panel for each check.
    """
    every: list[RankCheck] = list(getattr(checks, "checks", [checks]))
    figure, (row,) = panels(1, len(every), width=2.6, height=2.2)
    for ax, check in zip(row, every, strict=True):
        places, (low, high) = check.places, check.band
        ax.fill_between(places, low - places, high - places, color=FLOOR, alpha=0.2, linewidth=0)
        lines = ax.plot(places, check.shares - places[:, None], linewidth=1.2)
        for line, p_value in zip(lines, check.p_values, strict=True):
            # what leaves the band stands out
            rejected = p_value * len(check.names) <= 1 - check.confidence
            line.set(color=SAMPLES if rejected else DATA, alpha=1.0 if rejected else 0.6)
        verdict = "accepted" if check.accepted else "rejected"
        ax.set(title=f"{check.title}\n{verdict}, p = {check.p_value:.2g}", xlabel="share of the draws", xlim=(0, 1))
    row[0].set_ylabel("share of the truths, less that")
    return figure


@styled
def plot_predictive(check: PredictiveCheck) -> Figure:
    """Draw what is observed beside what a posterior foretells: the median and the band that all values keep to at once.

    Args:
        check: What `ncsn.inference.posterior_predictive` returns.

    Returns:
        The figure: values in their order, each in standard deviations of what is foretold, from its median.
    """
    middle, spread = np.median(check.replicated, axis=0), check.replicated.std(0)
    unit = np.where(spread > 0, spread, 1.0)
    low, high, observed = ((values - middle) / unit for values in (*check.band, check.observed))
    places = np.arange(len(check.names))
    figure, ((ax,),) = panels(1, 1, width=min(9.0, 4.2 + 0.35 * len(places)), height=2.6)
    ax.bar(places, high - low, bottom=low, width=0.7, color=FLOOR, alpha=0.25, label="band")
    ax.hlines(
        np.zeros(len(places)), places - 0.35, places + 0.35, color=SAMPLES, linewidth=1.2, label="median foretold"
    )
    ax.plot(places, observed, "o", color=DATA, markersize=4, label="observed")
    if len(places) <= 20:
        ax.set_xticks(places, check.names, rotation=45 if len(places) > 5 else 0)
    verdict = "accepted" if check.accepted else "rejected"
    ax.set(title=f"posterior predictive: {verdict}, p = {check.p_value:.2g}", ylabel="deviations from the median")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    return figure

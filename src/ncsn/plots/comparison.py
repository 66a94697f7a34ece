"""Methods held beside each other."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ncsn.errors import DataError
from ncsn.plots.style import FLOOR, panels, styled
from ncsn.plots.training import label_decades

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A", "#5E3C99")
_MARKERS = "osD^vP*Xh"


@styled
def plot_quality_by_evaluations(results: pd.DataFrame) -> Figure:
    """Draw each method's distance to held-out data by the number of evaluations of its network.

    A line joins the medians over the seeds, a bar spans the smallest and the largest.

    Args:
        results: One row a method, seed and number of steps, with the columns ``method``, ``evaluations`` and ``ratio`` (the
            distance as a multiple of the training set's own); with a column ``share``, rows of one share of a method's
            steps are one point, at their median number of evaluations.

    Returns:
        The figure.

    Raises:
        DataError: There are no rows, or a column is missing.
    """
    missing = [name for name in ("method", "evaluations", "ratio") if name not in results]
    if missing or results.empty:
        raise DataError(f"nothing to draw: the results have {len(results)} rows and lack the columns {missing}")
    figure, ((ax,),) = panels(1, 1, width=6.4, height=3.8)
    ax.axhline(1, color=FLOOR, linestyle="--", linewidth=1.2, label="training set")
    for index, (method, rows) in enumerate(results.groupby("method", sort=False)):
        points = rows.groupby("share" if "share" in rows else "evaluations")
        evaluations, ratio = points["evaluations"].median(), points["ratio"]
        middle, low, high = ratio.median(), ratio.min(), ratio.max()
        ax.errorbar(
            evaluations.to_numpy(),
            middle.to_numpy(),
            yerr=np.stack([middle - low, high - middle]),
            color=_COLOURS[index % len(_COLOURS)],
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=5,
            linewidth=1.4,
            capsize=2,
            label=str(method),
        )
    ax.set(xscale="log", yscale="log", xlabel="evaluations of the network", ylabel="distance / training set's own")
    label_decades(ax.xaxis)
    label_decades(ax.yaxis)
    ax.grid(axis="y")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    return figure

"""What tests of figures need; how the figures look was judged by eye."""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

SIGMAS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125])


def normal_score(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
    return -x / (1 + sigma.square())


def normal(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def offsets(ax: Axes) -> Any:
    return np.asarray(ax.collections[0].get_offsets())


def rendered(figure: Figure) -> Figure:
    """Draw the figure, which finds what only drawing finds."""
    figure.draw_without_rendering()
    return figure

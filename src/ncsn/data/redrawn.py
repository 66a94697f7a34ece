"""Data of which training sees several draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from ncsn.data.splitting import picked
from ncsn.errors import DataError


class Redrawn:
    """A table or an array whose rows are drawn anew for training, so that it learns their distribution and not one draw.

    For symmetries, such as points that may as well be their mirror images, and for noise of which one knows how it is made.
    Rows that are held out are so with all their draws. Not for images, of which `Augmentation` moves each batch.

    Args:
        X: Rows that stand for all where something is measured, such as their scale: array, tensor or data frame, ``(N, D)``.
        draw: Called with a `torch.Generator` for another draw of the same rows, in the same form and order.

    >>> points = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    >>> mirrored = Redrawn(points, lambda g: points * torch.tensor([2.0 * torch.rand(1, generator=g).round() - 1, 1.0]))
    >>> abs(mirrored.again(torch.Generator()))
    tensor([[0., 1.],
            [2., 3.]])
    """

    def __init__(self, X: Any, draw: Callable[[torch.Generator], Any]) -> None:
        self.X, self.draw = X, draw

    def again(self, generator: torch.Generator) -> Any:
        """Return another draw of the rows.

        Raises:
            DataError: It has another number of rows.
        """
        drawn = self.draw(generator)
        if len(drawn) != len(self.X):
            raise DataError(
                f"draw returned {len(drawn)} rows of {len(self.X)}: each has to be drawn once, in their order"
            )
        return drawn

    def pick(self, rows: NDArray[Any]) -> Redrawn:
        """Return some of the rows, by their positions or a mask."""
        return Redrawn(picked(self.X, rows), lambda generator: picked(self.again(generator), rows))

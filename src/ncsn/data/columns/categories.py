"""Categories: analog bits, or one value for each, with noise that makes a density of them."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ncsn.data.columns.base import Column

CODE_NOISE = 0.25
"""Standard deviation of the noise on a code of -1 and 1: enough to make a density of it, and too little to change it."""

MOST_PRODUCTS = 2**22
"""Most distances to codes that are held at a time."""


def blurred(code: Tensor, noise: Tensor) -> Tensor:
    """Return a code with noise, of which what would change it, one draw in 2,000, is cut off."""
    return code + CODE_NOISE * noise.clamp(-3.5, 3.5)


def log_normal(part: Tensor, centre: Tensor | float, spread: float) -> Tensor:
    """Return the log-density of independent normal numbers ``(N, width)``, summed to ``(N,)``."""
    scaled = (part - centre) / spread
    return (-0.5 * scaled.square() - math.log(spread) - 0.5 * math.log(2 * math.pi)).sum(1)


@dataclass(frozen=True)
class Category(Column):
    """One of a few values, as the bits of its code, -1 and 1 (analog bits, Chen, Zhang & Hinton 2023), with a little noise.

    Frequent categories have the codes 0, 1, ...; a part of a row is decoded to the nearest code that there is. What is no
    category, n and above, is encoded as some of them, and has no probability.

    Args:
        n: Number of categories.
    """

    kind: ClassVar[str] = "category"

    n: int

    @property
    def width(self) -> int:
        """The number of bits."""
        return max(1, math.ceil(math.log2(self.n)))

    @property
    def draws(self) -> bool:
        """It does."""
        return True

    def _codes(self, like: Tensor) -> Tensor:
        """Return the code of each category, ``(n, width)``."""
        shifts = torch.arange(self.width)
        bits = (torch.arange(self.n).unsqueeze(1) >> shifts) & 1
        return (2 * bits - 1).to(like)

    def _centre(self, values: Tensor) -> Tensor:
        known = torch.where(values.isnan(), 0.0, values).long().clamp(max=self.n - 1)
        return torch.where(values.isnan().unsqueeze(1), torch.nan, self._codes(values)[known])

    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return the code with noise."""
        return blurred(self._centre(values), noise)

    def decode(self, part: Tensor) -> Tensor:
        """Return the category of the nearest code."""
        places = ((part > 0).long() << torch.arange(self.width)).sum(1)
        # signs are the nearest code, but of these the last may be none
        none = (places >= self.n).nonzero()[:, 0]
        for some in none.split(max(1, MOST_PRODUCTS // self.n)):
            places[some] = (part[some] @ self._codes(part).T).argmax(1)
        return places.to(part)

    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
        """Return -log(density of the part around the category's code)."""
        gain = -log_normal(part, self._centre(values), CODE_NOISE)
        return gain.masked_fill(values >= self.n, -torch.inf)

    def slope(self, values: Tensor) -> Tensor:
        """Return 0: a category has no neighbours."""
        return values.new_zeros(len(values), self.width)

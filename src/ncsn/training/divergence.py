"""Where a loss broke: the step and the noise levels, which say what to change."""

from accelerate.utils import gather_object
from torch import Tensor


class Losses:
    """The losses of the last steps with their noise levels; nothing is computed of them before it is asked for."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, Tensor, Tensor]] = []

    def add(self, step: int, sigma: Tensor, losses: Tensor) -> None:
        """Keep the losses of a step, or of a part of it, counted from 0."""
        self._kept.append((step, sigma, losses.detach()))

    def clear(self) -> None:
        """Forget all, as they are known to be finite."""
        self._kept.clear()

    def where_not_finite(self) -> str:
        """Return at which step and levels a loss first was not finite, of any process; all of them ask at once."""
        own = []
        for step, sigma, losses in self._kept:
            broken = sigma[~losses.isfinite()]
            if len(broken):
                own.append((step, float(broken.min()), float(broken.max()), len(broken) == len(sigma)))
        found: list[tuple[int, float, float, bool]] = gather_object(own)
        if not found:
            return "by the gradient of losses that are finite"
        first = min(step for step, *_ in found)
        _, lows, highs, whole = zip(*(each for each in found if each[0] == first), strict=True)
        # what has broken the weights before, by its gradient, breaks every loss
        levels = "all noise levels" if all(whole) else f"noise levels {min(lows):.3g} to {max(highs):.3g}"
        return f"first in step {first + 1} at {levels}"

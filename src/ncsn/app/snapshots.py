"""Samples along a training of images: a row every few minutes, in a picture that grows."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ncsn.app.report import tried
from ncsn.data import save_samples
from ncsn.model import Model
from ncsn.plots import plot_image_grid
from ncsn.training import Progress, is_main_process

EVERY_SECONDS = 120.0
N_IMAGES = 10
N_STEPS = 20


class Snapshots:
    """A callback of a training that draws images every few minutes, always of the same noise, and writes them as rows.

    Args:
        path: The picture.
        then: A callback that is called besides, or None.
        seed: Seed of the noise.
        every: Seconds between two rows.
    """

    def __init__(
        self, path: Path, then: Callable[[Progress], None] | None, seed: int, every: float = EVERY_SECONDS
    ) -> None:
        self.path, self.then, self.seed, self.every = path, then, seed, every
        self.rows: list[NDArray[Any]] = []
        self.value_range: tuple[float, float] | None = None
        self.lacking: dict[str, str] = {}
        self._last = monotonic()

    def __call__(self, progress: Progress) -> None:
        """Draw a row if it is time."""
        if self.then is not None:
            self.then(progress)
        last = progress.step == progress.steps
        if progress.model is None or not is_main_process() or (monotonic() - self._last < self.every and not last):
            return
        # a training does not end for a picture of it
        with tried("samples along the training", self.lacking):
            self._add(progress.model())

    def _add(self, model: Model) -> None:
        """Draw a row of a model's images; other data have none."""
        if model.encoding.images is None:
            return
        classes = model.encoding.classes
        label = None if classes is None else np.resize(classes, N_IMAGES)
        steps: dict[str, Any] = {"steps": N_STEPS} if model.method.gives_score else {}
        generator = torch.Generator().manual_seed(self.seed)
        self.rows.append(np.asarray(model.sample(N_IMAGES, label=label, generator=generator, **steps)))
        self.value_range = model.encoding.value_range
        self.path.parent.mkdir(exist_ok=True)
        save_samples(np.concatenate(self.rows), self.path, value_range=self.value_range, n_columns=N_IMAGES)
        self._last = monotonic()

    def figures(self) -> dict[str, Figure]:
        """Return the rows as a figure of a report; nothing where there are less than two."""
        if len(self.rows) < 2:
            return {}
        grid = plot_image_grid(np.concatenate(self.rows), value_range=self.value_range, n_columns=N_IMAGES)
        return {"training_samples": grid}

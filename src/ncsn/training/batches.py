"""Where training's rows come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ncsn.exact import EmpiricalScore


@dataclass(frozen=True, eq=False)
class Batches:
    """Rows in memory, on the device where the training runs, drawn at random.

    Args:
        data: Clean rows, ``(N, *shape)``, in the units of the noise levels.
        labels: Class index of each row, ``(N,)``, or None.
    """

    data: Tensor
    labels: Tensor | None = None

    def to(self, device: torch.device, dtype: torch.dtype) -> Batches:
        """Return the same rows on a device, in a type."""
        return Batches(self.data.to(device, dtype), None if self.labels is None else self.labels.to(device))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the positions of ``n`` rows."""
        return torch.randint(len(self.data), (n,), generator=generator, device=self.data.device)

    def exact(self, positions: Tensor | slice) -> EmpiricalScore:
        """Return the exact score of some of the rows."""
        return EmpiricalScore(self.data[positions], None if self.labels is None else self.labels[positions])

    def tensors(self) -> dict[str, Tensor]:
        """Return what tells these rows from others."""
        return {"data": self.data} | ({} if self.labels is None else {"labels": self.labels})

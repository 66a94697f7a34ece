"""Columns with missing cells: one more value says whether a cell is there."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncsn.data.columns.base import Column
from ncsn.data.columns.categories import CODE_NOISE, blurred, log_normal


@dataclass(frozen=True)
class WithGaps(Column):
    """A column some of whose cells are missing: a flag, 1 where the cell is there and -1 where not, comes first.

    The part of a missing cell is standard normal noise, of which nothing can be learned but that it is noise; so one model
    knows how often, and together with what, cells are missing, and what the others hold.

    Args:
        column: How the cells that are there are encoded.
    """

    kind: ClassVar[str] = "with_gaps"

    column: Column

    @property
    def width(self) -> int:
        """One more than the column's."""
        return 1 + self.column.width

    @property
    def draws(self) -> bool:
        """It does."""
        return True

    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return the flag, with noise, and the column's part, noise alone where the cell is missing."""
        missing = values.isnan().unsqueeze(1)
        flag = blurred(torch.where(missing, -1.0, 1.0).to(values), noise[:, :1])
        return torch.cat([flag, torch.where(missing, noise[:, 1:], self.column.encode(values, noise[:, 1:]))], dim=1)

    def decode(self, part: Tensor) -> Tensor:
        """Return the column's values, NaN where the flag says so."""
        return torch.where(part[:, 0] > 0, self.column.decode(part[:, 1:]), torch.nan)

    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
        """Return the column's gain, of a missing cell that of the noise, and that of the flag."""
        missing = values.isnan()
        flag = log_normal(part[:, :1], torch.where(missing, -1.0, 1.0).to(part).unsqueeze(1), CODE_NOISE)
        held = self.column.log_gain(torch.where(missing, 0.0, values), part[:, 1:])
        return torch.where(missing, -log_normal(part[:, 1:], 0.0, 1.0), held) - flag

    def slope(self, values: Tensor) -> Tensor:
        """Return the column's slope, 0 for the flag and at missing cells."""
        held = self.column.slope(torch.where(values.isnan(), 0.0, values))
        held = torch.where(values.isnan().unsqueeze(1), 0.0, held)
        return torch.cat([values.new_zeros(len(values), 1), held], dim=1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"kind": self.kind, "column": self.column.to_dict()}

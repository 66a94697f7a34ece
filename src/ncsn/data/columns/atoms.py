"""A number with a few frequent values among others: zeros, caps, sentinels, round numbers."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncsn.data.columns.base import Column
from ncsn.data.columns.categories import CODE_NOISE, Category, blurred, log_normal


@dataclass(frozen=True)
class WithAtoms(Column):
    """A number that is often one of a few values, its atoms, and otherwise any.

    First comes a code that says which atom it is, or none; then the part that the number would have among the others, with a
    little noise where it is an atom, so that neighbours stay neighbours.

    Args:
        atoms: The frequent values, the most frequent first.
        rest: How the other values are encoded, in one value of a row.
    """

    kind: ClassVar[str] = "with_atoms"

    atoms: tuple[float, ...]
    rest: Column

    @property
    def _code(self) -> Category:
        return Category(1 + len(self.atoms))

    @property
    def width(self) -> int:
        """The code's and the number's."""
        return self._code.width + self.rest.width

    @property
    def draws(self) -> bool:
        """It does."""
        return True

    def _which(self, values: Tensor) -> Tensor:
        """Return the code of each value: 0 for none of the atoms."""
        equal = values.unsqueeze(1) == values.new_tensor(self.atoms)
        return torch.where(values.isnan(), torch.nan, (equal * torch.arange(1, 1 + len(self.atoms))).sum(1).to(values))

    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return the code and the number's part."""
        split = self._code.width
        which = self._which(values)
        centre = self.rest.encode(values, torch.zeros_like(noise[:, split:]))
        drawn = self.rest.encode(values, noise[:, split:])
        part = torch.where(which.unsqueeze(1) > 0, blurred(centre, noise[:, split:]), drawn)
        return torch.cat([self._code.encode(which, noise[:, :split]), part], dim=1)

    def decode(self, part: Tensor) -> Tensor:
        """Return the atom, or the number's value where the code says none."""
        split = self._code.width
        which = self._code.decode(part[:, :split]).long()
        atoms = part.new_tensor((0.0, *self.atoms))[which]
        return torch.where(which > 0, atoms, self.rest.decode(part[:, split:]))

    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
        """Return what the code gains, and the number or the noise."""
        split = self._code.width
        which = self._which(values)
        centre = self.rest.encode(values, torch.zeros_like(part[:, split:]))
        held = torch.where(
            which > 0, -log_normal(part[:, split:], centre, CODE_NOISE), self.rest.log_gain(values, part[:, split:])
        )
        return self._code.log_gain(which, part[:, :split]) + held

    def slope(self, values: Tensor) -> Tensor:
        """Return the number's slope, 0 for the code and at atoms."""
        held = torch.where(self._which(values).unsqueeze(1) > 0, 0.0, self.rest.slope(values))
        return torch.cat([values.new_zeros(len(values), self._code.width), held], dim=1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"kind": self.kind, "atoms": list(self.atoms), "rest": self.rest.to_dict()}

"""What a kind of column is: how the values of one column become a part of the model's rows, and back."""

import abc
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from torch import Tensor


@dataclass(frozen=True)
class Column(abc.ABC):
    """A kind of column. All values are float64; categories are their codes, 0, 1, ..., and missing values NaN.

    A value that many rows share, an atom, has no density: its part of a row is drawn from a density of its own,
    q(part | value), so that the rows have one, and the part says which value it was. A log-density then gains
    log |d part / d value| of a continuous value, and -log q of an atom, on average at most the logarithm of its
    probability (variational dequantisation, Ho et al. 2019).
    """

    kind: ClassVar[str]

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """How many values of a row it takes."""

    @property
    def draws(self) -> bool:
        """Whether parts of some values are drawn, so that they are no continuous density's."""
        return False

    @abc.abstractmethod
    def encode(self, values: Tensor, noise: Tensor) -> Tensor:
        """Return the part of the rows, ``(N, width)``, of values ``(N,)``; missing ones stay NaN.

        Args:
            values: The values.
            noise: Standard normal noise, ``(N, width)``, of which drawn parts are made; zeros for the middle of them.
        """

    @abc.abstractmethod
    def decode(self, part: Tensor) -> Tensor:
        """Return the values ``(N,)`` of a part of rows, ``(N, width)``."""

    @abc.abstractmethod
    def log_gain(self, values: Tensor, part: Tensor) -> Tensor:
        """Return what a log-density of rows gains in the data's own units, ``(N,)``, at values with this part of a row.

        It is minus infinity where the column cannot hold the value.
        """

    @abc.abstractmethod
    def slope(self, values: Tensor) -> Tensor:
        """Return d part / d value, ``(N, width)``, by which a gradient is carried back; 0 at atoms."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"kind": self.kind} | asdict(self)

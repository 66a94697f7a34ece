"""One measure of samples beside what real data reach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One measure of samples beside its floor.

    Args:
        name: What is measured, by its function's or share's name.
        value: What the samples reach.
        floor: What real data reach.
        low: Lower end of the 95% interval of ``value``, of a measure that has one.
        high: Upper end of that interval.
    """

    name: str
    value: float
    floor: float
    low: float | None = None
    high: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value over floor: 1 where samples are as good as real data; None where the floor is 0."""
        return self.value / self.floor if self.floor > 0 else None

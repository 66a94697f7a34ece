"""Gates: limits that trained and simulated results have to keep, beside what the reference reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import SupportsFloat

from torch import Tensor

from ncsn.learn.checking import stands_in
from ncsn.learn.declarations import Gate
from ncsn.learn.display import Shown, as_text, box, show
from ncsn.learn.lessons import gate_numbered
from ncsn.learn.progress import Progress

__all__ = ["GateResult", "gate"]


@dataclass(frozen=True)
class GateResult(Shown):
    """A measured value beside its limit.

    Attributes:
        gate: The gate.
        value: What was measured.
        passed: Whether it keeps the limit.
        stand_ins: Exercises among those it rests on for which the library's version stands in.
    """

    gate: Gate
    value: float
    passed: bool
    stand_ins: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The value beside its limit and the reference."""
        gate = self.gate
        low = f"at least {gate.at_least:g}" if gate.at_least > -float("inf") else ""
        high = f"at most {gate.at_most:g}" if gate.at_most < float("inf") else ""
        reference = f"; {gate.reference}" if gate.reference else ""
        verdict = "holds" if self.passed else "does not hold"
        limits = " and ".join(filter(None, (low, high)))
        return f"Gate {gate.number} {verdict}: {gate.title} {self.value:.3g} ({limits}{reference})"

    @property
    def notes(self) -> list[str]:
        """What else there is to say."""
        notes = [self.gate.advice] if self.gate.advice and not self.passed else []
        if self.stand_ins:
            numbers = " and ".join(self.stand_ins)
            notes.append(f"Measured with the library's version of {numbers}, so it does not count as yours yet.")
        return notes

    def __str__(self) -> str:
        return as_text(self.title, self.notes)

    def _repr_html_(self) -> str:
        return box("bad" if not self.passed else "note" if self.stand_ins else "good", self.title, self.notes)


def gate(number: str, value: SupportsFloat) -> GateResult:
    """Hold a measured value against the limit of a gate, show the outcome, and write it down.

    Args:
        number: The gate's number in the notebook.
        value: What was measured; a tensor of one entry will do.

    Returns:
        The outcome; a value that is not a number does not pass.

    Raises:
        ValueError: There is no gate with this number.
    """
    found = gate_numbered(number)
    # of a loss, say, that knows what it was computed from
    measured = float(value.detach() if isinstance(value, Tensor) else value)
    stand_ins = tuple(filter(stands_in, found.needs))
    result = GateResult(found, measured, found.at_least <= measured <= found.at_most, stand_ins)
    if not stand_ins:
        Progress.read().record("gates", number, result.passed)
    show(result)
    return result

"""Checking a learner's function against an independent truth, and saying what is wrong with it.

The first of these that applies is told: not attempted; raises an error; changes its input; wrong type or shape; wrong
precision; NaN or infinite; wrong value. What the answer looks like is told, too (`ncsn.learn.recognising`).
"""

from __future__ import annotations

import numbers
import traceback
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncsn.learn.comparing import (
    Trial,
    call,
    call_truth,
    difference,
    is_unwritten,
    leaves,
    parts,
    show_value,
    tell_inputs,
)
from ncsn.learn.declarations import Case, Exercise, Function, Unfit, is_missing
from ncsn.learn.display import Shown, as_text, box, show
from ncsn.learn.lessons import exercise_numbered
from ncsn.learn.progress import Progress
from ncsn.learn.recognising import likeness

__all__ = ["Result", "check", "examine", "stands_in", "whose"]

_STAND_INS: set[str] = set()


@dataclass(frozen=True)
class Result(Shown):
    """What a check found.

    Attributes:
        exercise: The exercise.
        passed: Whether every case agrees with the truth.
        attempted: Whether there was an answer to check.
        message: What was found, in a sentence.
        notes: A counterexample, the mistake that it looks like, and how the lesson goes on.
        use: The function to go on with: the learner's own if it passed, else the library's.
    """

    exercise: Exercise
    passed: bool
    attempted: bool
    message: str
    notes: tuple[str, ...]
    use: Function

    @property
    def title(self) -> str:
        """The exercise, the verdict and the message."""
        verdict = "passed" if self.passed else "not yet" if self.attempted else "not attempted"
        return f"{self.exercise.number} {verdict}: {self.message}"

    def __str__(self) -> str:
        return as_text(self.title, self.notes)

    def __repr__(self) -> str:
        return f"<Result {self.title}>"

    def _repr_html_(self) -> str:
        return box("good" if self.passed else "bad" if self.attempted else "open", self.title, self.notes)


def check(number: str, function: Any) -> Result:
    """Check a learner's function, show what was found, and write it down.

    Args:
        number: The exercise's number in the notebook.
        function: The function itself, not what it returns.

    Returns:
        The result; its ``use`` is the function to go on with, so that no later cell waits for this one.

    Raises:
        ValueError: There is no exercise with this number.
    """
    exercise = exercise_numbered(number)
    result = examine(exercise, function)
    (_STAND_INS.discard if result.passed else _STAND_INS.add)(exercise.number)
    if result.attempted:
        Progress.read().record("exercises", exercise.number, result.passed)
    show(result)
    return result


def stands_in(number: str) -> bool:
    """Return whether the library's version stands in for the learner's, as far as checked in this process."""
    return number in _STAND_INS


def whose(*numbers: str) -> str:
    """Return whose functions are in use, for the legend of a figure.

    Args:
        numbers: The exercises that the figure rests on.

    Returns:
        ``"yours"``, or ``"the library's"`` where its version stands in for one of them.

    Raises:
        ValueError: There is no exercise with such a number.
    """
    exercises = [exercise_numbered(number) for number in numbers]
    return "the library's" if any(stands_in(exercise.number) for exercise in exercises) else "yours"


@dataclass(frozen=True)
class _Finding:
    """What is wrong, where, and how it shows in numbers."""

    message: str
    example: str = ""


def examine(exercise: Exercise, function: Any) -> Result:
    """Check a function, without showing or writing down what was found.

    Args:
        exercise: The exercise.
        function: The learner's function.

    Returns:
        The result.
    """
    if function is exercise.reference:
        message = f"this is the library's {exercise.name}, which stands in for yours"
        note = "Run the cell with your own function again, then this one."
        return Result(exercise, False, False, message, (note,), exercise.reference)
    stand_in = f"Until then the cells below go on with the library's {exercise.name}."
    if not callable(function):
        message = (
            f"check takes the function {exercise.name} itself, not {_told(function)}; give its name, without (...)"
        )
        return Result(exercise, False, function is not None, message, (stand_in,), exercise.reference)
    generator = torch.Generator().manual_seed(zlib.crc32(exercise.number.encode()))
    trials = []
    for case in exercise.cases(generator):
        outcome = call(exercise, function, case)
        trials.append(Trial(case, call_truth(exercise, case), outcome, case.tolerance or exercise.tolerance))
    if all(trial.missing for trial in trials):
        if is_unwritten(function):
            message = f"{exercise.name} returns nothing yet"
            return Result(exercise, False, False, message, (stand_in,), exercise.reference)
        message = (
            f"{exercise.name} returns nothing: it works something out, and does not hand it back; a return is missing"
        )
        return Result(exercise, False, True, message, (stand_in,), exercise.reference)
    for stage in (_errors, _changes, _types, _precisions, _infinities, _values):
        finding = next(stage(exercise, trials), None)
        if finding is not None:
            hints = [finding.example, likeness(exercise, trials), stand_in]
            notes = tuple(filter(None, hints))
            return Result(exercise, False, True, finding.message, notes, exercise.reference)
    largest = max(_worst(trial) for trial in trials)
    found = f"{exercise.name} agrees with {exercise.against} on {len(trials)} inputs, to within {largest:.1g}"
    return Result(exercise, True, True, found, (), function)


def _errors(exercise: Exercise, trials: list[Trial]) -> Iterator[_Finding]:
    for trial in trials:
        error = trial.outcome.error
        if isinstance(error, NotImplementedError):
            yield _Finding(f"{exercise.name} returns nothing for {trial.case.name}: a way through it has no return")
        elif isinstance(error, Unfit):
            yield _Finding(f"{exercise.name} {error}, for {trial.case.name}")
        elif error is not None:
            place = _line_of(error, exercise.name)
            inputs = tell_inputs(exercise, trial.case, None, 0)
            text = f"{type(error).__name__}: {error}".strip().removesuffix(":")
            yield _Finding(f"{exercise.name} raises {text}, for {trial.case.name}", f"{place}With {inputs}.")


def _line_of(error: Exception, name: str) -> str:
    """Return the learner's line that raised, if it can be found."""
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.name == name and frame.line]
    return f"In the line: {lines[-1]}\n" if lines else ""


def _changes(exercise: Exercise, trials: list[Trial]) -> Iterator[_Finding]:
    for trial in trials:
        if trial.outcome.changed:
            yield _Finding(
                f"{exercise.name} changes its input in place, so that whoever called it finds other numbers than before",
                "Operations such as x += ... or x.clamp_(...) write into the tensor that was passed.",
            )


def _types(exercise: Exercise, trials: list[Trial]) -> Iterator[_Finding]:
    for trial in trials:
        yours, truth = parts(trial.outcome.value), parts(trial.truth)
        inputs = f"With {tell_inputs(exercise, trial.case, None, 0)}."
        where = f"for {trial.case.name}"
        if isinstance(trial.outcome.value, list) and isinstance(trial.truth, Tensor):
            yield _Finding(
                f"{exercise.name} should return a tensor, not {_told(trial.outcome.value)}, {where}",
                "torch.tensor makes one of a list of numbers, torch.stack one of a list of tensors.",
            )
            continue
        if yours.keys() != truth.keys():
            expected = f"{len(truth)} values" if len(truth) > 1 else "one value"
            yield _Finding(
                f"{exercise.name} should return {expected}, not {_told(trial.outcome.value)}, {where}", inputs
            )
            continue
        for name, right in truth.items():
            problem = _type_problem(yours[name], right, trial.case)
            if problem:
                yield _Finding(f"{_subject(exercise, name)} {problem}, {where}", inputs)


def _type_problem(yours: Any, truth: Any, case: Case) -> str:
    """Return what is wrong with an answer's type or shape, or nothing."""
    if is_missing(yours):
        return "is missing: a way through it ends without a return"
    if not isinstance(truth, Tensor):
        is_number = isinstance(yours, numbers.Number | Tensor | np.ndarray) and _size(yours) == 1
        return "" if is_number else f"should be a number, not {_told(yours)}"
    if not isinstance(yours, Tensor):
        return f"should be a torch.Tensor, not {_told(yours)}"
    if yours.shape == truth.shape:
        return ""
    problem = f"should have the shape {tuple(truth.shape)}, not {tuple(yours.shape)}"
    # what broadcasting makes has no axis that neither the inputs nor the answer have
    known = {size for each in (truth, *leaves(case.arguments)) for size in each.shape}
    if truth.ndim and (yours.ndim, yours.numel()) > (truth.ndim, truth.numel()) and known.issuperset(yours.shape):
        problem += " (two tensors whose axes do not line up, such as (N,) and (N, 1), broadcast to all pairs)"
    elif truth.ndim == 0:
        problem += " (one number for the whole batch is needed)"
    return problem


def _size(value: Any) -> int:
    return value.numel() if isinstance(value, Tensor) else np.size(value)


def _precisions(exercise: Exercise, trials: list[Trial]) -> Iterator[_Finding]:
    for trial in trials:
        given = next((x.dtype for x in leaves(trial.case.arguments) if x.is_floating_point()), None)
        for name, right in parts(trial.truth).items():
            yours = parts(trial.outcome.value)[name]
            if not isinstance(right, Tensor) or given is None:
                continue
            if right.is_floating_point() and yours.dtype != given:
                message = f"is {yours.dtype} where the input is {given}, for {trial.case.name}"
                yield _Finding(f"{_subject(exercise, name)} {message}", "Make new tensors of the input's dtype.")
            if not right.is_floating_point() and yours.dtype.is_floating_point:
                yield _Finding(f"{_subject(exercise, name)} is {yours.dtype}, and should be like {right.dtype}")


def _infinities(exercise: Exercise, trials: list[Trial]) -> Iterator[_Finding]:
    def broken(yours: Tensor, truth: Tensor) -> Tensor:
        return ~yours.isfinite() & truth.isfinite()

    for trial, name, row, rows in _rows_where(trials, broken):
        yours = _entry(parts(trial.outcome.value)[name], row)
        kind = "NaN" if "nan" in show_value(yours) else "infinite"
        yield _Finding(
            f"{_subject(exercise, name)} is {kind} for {trial.case.name}", _example(exercise, trial, name, row, rows)
        )


def _values(exercise: Exercise, trials: list[Trial]) -> Iterator[_Finding]:
    for trial in trials:
        for name, right in parts(trial.truth).items():
            wrong = difference(parts(trial.outcome.value)[name], right)
            if right is True and wrong.any():
                yield _Finding(f"{exercise.name} falls short of this, for {trial.case.name}: {name}")
            elif wrong.numel() and float(wrong.max()) > trial.tolerance:
                rows = len(wrong) if wrong.ndim else 0
                row = int(wrong.reshape(rows, -1).amax(1).argmax()) if rows else None
                message = f"{_subject(exercise, name)} has another value than expected, for {trial.case.name}"
                yield _Finding(message, _example(exercise, trial, name, row, rows))


def _rows_where(
    trials: list[Trial], broken: Callable[[Tensor, Tensor], Tensor]
) -> Iterator[tuple[Trial, str, int | None, int]]:
    """Yield the first row of each answer in which some entry is broken."""
    for trial in trials:
        for name, right in parts(trial.truth).items():
            yours = torch.as_tensor(parts(trial.outcome.value)[name]).detach().cpu()
            where = broken(yours, torch.as_tensor(right).cpu())
            if bool(where.any()):
                row = int(where.reshape(len(where), -1).any(1).int().argmax()) if where.ndim else None
                yield trial, name, row, len(where) if where.ndim else 0


def _entry(value: Any, row: int | None) -> Any:
    return value if row is None else torch.as_tensor(value)[row]


def _example(exercise: Exercise, trial: Trial, name: str, row: int | None, rows: int) -> str:
    inputs = tell_inputs(exercise, trial.case, row, rows)
    yours = show_value(_entry(parts(trial.outcome.value)[name], row))
    truth = show_value(_entry(parts(trial.truth)[name], row))
    return f"With {inputs}:\nyours is {yours}, it should be near {truth}."


def _worst(trial: Trial) -> float:
    yours, truth = parts(trial.outcome.value), parts(trial.truth)
    return max(
        (float(difference(yours[name], truth[name]).amax()) for name in truth if _size(truth[name]) != 0), default=0
    )


def _subject(exercise: Exercise, name: str) -> str:
    return f"{name} of {exercise.name}" if name else f"what {exercise.name} returns"


def _told(value: Any) -> str:
    """Return what a value is, shortly."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__module__}.{type(value).__name__}".replace("builtins.", "")

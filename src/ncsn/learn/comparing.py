"""Calling a function on a case, and what is wrong with its answer: type, shape, precision, NaN, value."""

from __future__ import annotations

import copy
import dis
import inspect
import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncsn.learn.declarations import Case, Exercise, Function, attempted, call_directly, is_missing
from ncsn.randomness import global_draws, seed_from

__all__ = [
    "Outcome",
    "Trial",
    "call",
    "call_truth",
    "difference",
    "equal",
    "is_unwritten",
    "leaves",
    "named_arguments",
    "parts",
    "show_value",
    "tell_inputs",
]

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Outcome:
    """What a call led to.

    Attributes:
        value: What was returned; None where it raised.
        error: What it raised, or None.
        changed: Whether it changed one of its arguments in place.
    """

    value: Any = None
    error: Exception | None = None
    changed: bool = False


@dataclass(frozen=True)
class Trial:
    """A case with the truth and what the learner's function made of it."""

    case: Case
    truth: Any
    outcome: Outcome
    tolerance: float

    @property
    def missing(self) -> bool:
        """Whether nothing was returned."""
        if self.outcome.error is not None:
            return isinstance(self.outcome.error, NotImplementedError)
        return is_missing(self.outcome.value)

    @property
    def answered(self) -> bool:
        """Whether there is a value."""
        return self.outcome.error is None and not self.missing


def is_unwritten(function: Function) -> bool:
    """Return whether a function that returns nothing has no body yet: it does not so much as look at its arguments."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    reads = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE")
    return code is None or not any(step.opname.startswith(reads) for step in dis.get_instructions(code))


def call(exercise: Exercise, function: Function, case: Case) -> Outcome:
    """Call a function on fresh copies of a case's arguments, with PyTorch's global generator seeded, and catch what it raises."""
    arguments = tuple(_copied(argument) for argument in case.arguments)
    with global_draws(_CPU, seed_from(0)):
        try:
            value = exercise.observe(_strict(exercise, function), *arguments)
        except Exception as error:  # noqa: BLE001 - whatever a learner's function raises is an answer to reply to
            return Outcome(error=error)
    before, after = list(leaves(case.arguments)), list(leaves(arguments))
    changed = len(before) != len(after) or not all(
        a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, after, strict=True)
    )
    return Outcome(value, changed=changed)


def _strict(exercise: Exercise, function: Function) -> Function:
    """Return a function whose answer may be worked on with: one that returns nothing raises NotImplementedError."""
    if exercise.observe is call_directly or isinstance(function, type):
        return function
    return lambda *arguments, **options: attempted(function(*arguments, **options))


def call_truth(exercise: Exercise, case: Case) -> Any:
    """Return the truth of a case, computed in double precision unless the exercise says otherwise."""
    arguments = [_copied(argument) for argument in case.arguments]
    if exercise.double_truth:
        arguments = [_double(argument) for argument in arguments]
    with global_draws(_CPU, seed_from(0)):
        return exercise.observe(exercise.truth, *arguments)


def parts(value: Any) -> dict[str, Any]:
    """Return the values of an answer by what they are called: of a tuple by position, of a dictionary by key."""
    if isinstance(value, dict):
        return {str(key): each for key, each in value.items()}
    if isinstance(value, tuple | list):
        return {f"value {i} of {len(value)}": each for i, each in enumerate(value, 1)}
    return {"": value}


def leaves(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a value."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))


def difference(yours: Any, truth: Any) -> Tensor:
    """Return |yours - truth| / (1 + |truth|), entry by entry; infinite where only one of them is not finite."""
    a, b = _numbers(yours), _numbers(truth)
    relative = (a - b).abs() / (1 + b.abs())
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(same, 0.0, relative.nan_to_num(nan=torch.inf))


def equal(yours: Any, wrong: Any, tolerance: float) -> bool:
    """Return whether two answers are the same in shape and value, NaN being equal to NaN."""
    a, b = parts(yours), parts(wrong)
    if a.keys() != b.keys():
        return False
    for left, right in zip(a.values(), b.values(), strict=True):
        try:
            x, y = _numbers(left), _numbers(right)
        except (TypeError, ValueError, RuntimeError):
            return False
        if x.shape != y.shape or (x.numel() and float(difference(left, right).max()) > tolerance):
            return False
    return True


def show_value(value: Any) -> str:
    """Return a short text for a number or a small tensor."""
    if isinstance(value, Tensor):
        if value.numel() > 8:
            return f"a tensor of shape {tuple(value.shape)}"
        value = value.detach().cpu().tolist()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(show_value, value))}]"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)


def named_arguments(exercise: Exercise, case: Case) -> dict[str, Any]:
    """Return a case's arguments by name: as the exercise's ``observe`` calls them where it does, else as its truth does."""
    observed = [*inspect.signature(exercise.observe).parameters.values()][1:]
    if any(each.kind is each.VAR_POSITIONAL for each in observed):
        observed = [*inspect.signature(exercise.truth).parameters.values()]
    return {each.name: argument for each, argument in zip(observed, case.arguments, strict=False)}


def tell_inputs(exercise: Exercise, case: Case, row: int | None, rows: int) -> str:
    """Return a case's arguments as text: of those with an entry a row just that row, functions and generators left out.

    Args:
        exercise: The exercise.
        case: The case.
        row: The row in question, or None for none in particular.
        rows: Number of rows of the answer.
    """
    told = []
    for name, argument in named_arguments(exercise, case).items():
        if isinstance(argument, Tensor):
            if row is not None and argument.ndim and len(argument) == rows and rows > 1:
                told.append(f"{name}[{row}] = {show_value(argument[row])}")
            else:
                told.append(f"{name} = {show_value(argument)}")
        elif isinstance(argument, numbers.Number | str | list | tuple):
            told.append(f"{name} = {show_value(argument)}")
    return ", ".join(told)


def _numbers(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu().to(torch.float64)
    return torch.as_tensor(np.asarray(value, dtype=np.float64))


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, torch.Generator):
        return torch.Generator(value.device).set_state(value.get_state())
    if isinstance(value, nn.Module):
        return copy.deepcopy(value)
    return _each(value, _copied)


def _double(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, nn.Module):
        return value.double()
    return _each(value, _double)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply a change to the members of a list, tuple or dictionary; return anything else as it is."""
    if type(value) in (list, tuple):
        return type(value)(map(change, value))
    if type(value) is dict:
        return {key: change(each) for key, each in value.items()}
    return value

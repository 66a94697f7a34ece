"""What a wrong answer looks like: found by search over the switches of the exercise, or as the right answer times powers.

Mistakes are tried one at a time, then two at a time; what equals the answer in every case that it has a value for is named.
Else the quotient of the answer and the truth is fitted to c a^p b^q, where a and b are what the cases differ in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncsn.learn.comparing import Trial, call, equal, named_arguments, parts
from ncsn.learn.declarations import Exercise, Mistake

__all__ = ["likeness"]

Array = NDArray[np.float64]

_EXACTLY = 2e-3
"""Relative deviation within which a quotient is called constant; rounding in single precision stays below."""


def likeness(exercise: Exercise, trials: list[Trial]) -> str:
    """Return what a wrong answer looks like, as a sentence, or nothing where it looks like nothing that is known.

    Args:
        exercise: The exercise.
        trials: Its cases, and what the answer made of them; those without a value are left out.
    """
    trials = [trial for trial in trials if trial.answered]
    wrong = [trial for trial in trials if not equal(trial.outcome.value, trial.truth, trial.tolerance)]
    if not wrong:
        return ""
    for mistakes in _candidates(exercise):
        if _is_made_of(exercise, mistakes, trials):
            first, *others = (mistake.message for mistake in mistakes)
            return "".join([f"This looks like {first}", *(f"\nAnd like {other}" for other in others)])
    pairs = [(trial.outcome.value, trial.truth) for trial in wrong]
    telling = (mistake.message for mistake in exercise.mistakes if mistake.sign is not None and mistake.sign(pairs))
    return _quotient(exercise, trials) or next((f"This looks like {message}" for message in telling), "")


def _candidates(exercise: Exercise) -> Iterator[tuple[Mistake, ...]]:
    """Yield each mistake, then each two that are made by different switches."""
    yield from ((mistake,) for mistake in exercise.mistakes)
    for one, other in combinations(exercise.mistakes, 2):
        apart = one.switches and other.switches and one.switches.isdisjoint(other.switches)
        if apart and one.message != other.message:
            yield one, other


def _is_made_of(exercise: Exercise, mistakes: tuple[Mistake, ...], trials: list[Trial]) -> bool:
    function = exercise.mistaken(*mistakes)
    for trial in trials:
        outcome = call(exercise, function, trial.case)
        if outcome.error is not None or not equal(trial.outcome.value, outcome.value, trial.tolerance):
            return False
    return True


def _quotient(exercise: Exercise, trials: list[Trial]) -> str:
    """Say by which factor the answer is off, if it is a constant or a product of powers of one or two of the sizes."""
    quotients, columns = [], []
    for trial in trials:
        yours, truth = parts(trial.outcome.value), parts(trial.truth)
        if yours.keys() != truth.keys():
            return ""
        for name, right in truth.items():
            try:
                a, b = _array(yours[name]), _array(right)
            except (TypeError, ValueError, RuntimeError):
                return ""
            telling = np.isfinite(b) & (np.abs(b) > 1e-3)
            if a.shape != b.shape or not np.isfinite(a[telling]).all():
                return ""
            sizes = _sizes(exercise, trial, b)
            quotients.append(a[telling] / b[telling])
            columns.append({size: np.broadcast_to(value, b.shape)[telling] for size, value in sizes.items()})
    quotient = np.concatenate(quotients) if quotients else np.ones(0)
    if len(quotient) < 3:
        return ""
    if not quotient.any():
        return "Yours is 0 everywhere."
    if (quotient * quotient[0] <= 0).any():
        return ""
    common = [size for size in columns[0] if all(size in column for column in columns)]
    table = {size: np.log(np.concatenate([column[size] for column in columns])) for size in common}
    return _fitted(quotient, table)


def _sizes(exercise: Exercise, trial: Trial, right: Array) -> dict[str, Array]:
    """Return what the answer may be off by powers of: positive numbers among the arguments, and the axes N and D."""
    found: dict[str, Array] = {}
    for name, value in named_arguments(exercise, trial.case).items():
        if isinstance(value, int | float) and value > 0:
            found[name] = np.asarray(value, dtype=np.float64)
        elif isinstance(value, Tensor) and value.is_floating_point() and value.ndim < 2 and bool((value > 0).all()):
            rows = right.ndim > 0 and value.shape == right.shape[:1]
            if value.ndim == 0 or rows:
                found[name] = _array(value).reshape(-1, *[1] * (right.ndim - 1)) if rows else _array(value)
        elif isinstance(value, Tensor) and value.ndim == 2:
            found.setdefault("N", np.asarray(value.shape[0], dtype=np.float64))
            found.setdefault("D", np.asarray(value.shape[1], dtype=np.float64))
    return found


def _fitted(quotient: Array, table: dict[str, Array]) -> str:
    """Fit log |quotient| to a constant and multiples of up to two columns, the fewest that do."""
    log = np.log(np.abs(quotient))
    for count in range(3):
        for names in combinations(table, count):
            matrix = np.stack([np.ones_like(log), *(table[name] for name in names)], axis=1)
            if len(np.unique(matrix.round(6), axis=0)) <= count:
                continue
            powers = np.round(2 * np.linalg.lstsq(matrix, log, rcond=None)[0][1:]) / 2
            rest = log - matrix[:, 1:] @ powers
            if np.ptp(rest) < _EXACTLY and (powers != 0).all():
                constant = math.copysign(float(np.exp(np.median(rest))), float(quotient[0]))
                return _sentence(constant, dict(zip(names, powers.tolist(), strict=True)))
    return ""


def _sentence(constant: float, powers: dict[str, float]) -> str:
    plain = math.isclose(abs(constant), 1, rel_tol=_EXACTLY)
    if not powers:
        if plain:
            return "Everywhere yours is the expected answer with the sign turned round." if constant < 0 else ""
        return f"Everywhere yours is {constant:.4g} times the expected answer."
    factors = {
        name: {1.0: name, 0.5: f"the root of {name}"}.get(abs(p), f"{name}^{abs(p):g}") for name, p in powers.items()
    }
    sign = ", with the sign turned round" if constant < 0 else ""
    above = ([] if plain else [f"{abs(constant):.4g}"]) + [factors[name] for name, power in powers.items() if power > 0]
    below = [factors[name] for name, power in powers.items() if power < 0]
    times = " times ".join(above)
    divided = " and by ".join(below)
    told = f"{times} times the expected answer" if times else "the expected answer"
    return f"Everywhere yours is {told}{f' divided by {divided}' if divided else ''}{sign}."


def _array(value: object) -> Array:
    return np.asarray(torch.as_tensor(value).detach().cpu().double().numpy())

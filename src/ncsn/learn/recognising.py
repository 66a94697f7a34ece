"""What a wrong answer looks like: found by search over the switches of the exercise, or as the right answer times powers.

Mistakes are tried one at a time, then two at a time; what equals the answer in every case that it has a value for is named.
Else the quotient of the answer and the truth is fitted to c a^p b^q, where a and b are what the cases differ in; and where
both are sums of what was handed in, so are the factors of its parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
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
    fitted = _quotient(exercise, trials) or part_by_part(exercise, trials)
    return fitted or next((f"This looks like {message}" for message in telling), "")


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
            sizes = sizes_of(exercise, trial, b)
            quotients.append(a[telling] / b[telling])
            columns.append({size: np.broadcast_to(value, b.shape)[telling] for size, value in sizes.items()})
    quotient = np.concatenate(quotients) if quotients else np.ones(0)
    if len(quotient) < 3:
        return ""
    if not quotient.any():
        return "Yours is 0 everywhere."
    common = [size for size in columns[0] if all(size in column for column in columns)]
    found = fitted(quotient, {size: np.concatenate([column[size] for column in columns]) for size in common})
    return "" if found in (None, "the expected answer") else f"Everywhere yours is {found}."


def sizes_of(exercise: Exercise, trial: Trial, right: Array) -> dict[str, Array]:
    """Return what an answer may be off by powers of: positive numbers handed in, of levels the last one too, and N and D."""
    found: dict[str, Array] = {}
    for name, value in named_arguments(exercise, trial.case).items():
        if isinstance(value, int | float) and value > 0:
            found[name] = np.asarray(value, dtype=np.float64)
        elif isinstance(value, Tensor) and value.is_floating_point() and value.ndim < 2 and bool((value > 0).all()):
            rows = right.ndim > 0 and value.shape == right.shape[:1]
            if value.ndim == 0 or rows:
                found[name] = _array(value).reshape(-1, *[1] * (right.ndim - 1)) if rows else _array(value)
                if right.ndim == 1 and rows:
                    found[f"{name}[-1]"] = _array(value[-1])
        elif isinstance(value, Tensor) and value.ndim == 2:
            found.setdefault("N", np.asarray(value.shape[0], dtype=np.float64))
            found.setdefault("D", np.asarray(value.shape[1], dtype=np.float64))
    return found


def fitted(quotient: Array, sizes: dict[str, Array], what: str = "the expected answer") -> str | None:
    """Return a quotient in words, as a constant times powers of up to two sizes times ``what``, the fewest that do, or None."""
    if not quotient.any() or (quotient * quotient[0] <= 0).any():
        return None
    log, table = np.log(np.abs(quotient)), {name: np.log(size) for name, size in sizes.items()}
    for count in range(3):
        for names in combinations(table, count):
            matrix = np.stack([np.ones_like(log), *(table[name] for name in names)], axis=1)
            if len(np.unique(matrix.round(6), axis=0)) <= count:
                continue
            powers = np.round(2 * np.linalg.lstsq(matrix, log, rcond=None)[0][1:]) / 2
            rest = log - matrix[:, 1:] @ powers
            if np.ptp(rest) < _EXACTLY and (powers != 0).all():
                constant = math.copysign(float(np.exp(np.median(rest))), float(quotient[0]))
                return _in_words(constant, dict(zip(names, powers.tolist(), strict=True)), what)
    return None


def _in_words(constant: float, powers: dict[str, float], what: str) -> str:
    one = math.isclose(abs(constant), 1, rel_tol=_EXACTLY)
    if not powers and not one:
        return f"{constant:.4g} times {what}"
    words = {1.0: "{}", 0.5: "the root of {}"}
    factors = {name: words.get(abs(power), f"{{}}^{abs(power):g}").format(name) for name, power in powers.items()}
    above = ([] if one else [f"{abs(constant):.4g}"]) + [factors[name] for name, power in powers.items() if power > 0]
    below = [factors[name] for name, power in powers.items() if power < 0]
    divided = f" divided by {' and by '.join(below)}" if below else ""
    turned = (", " if powers else " ") + "with the sign turned round" if constant < 0 else ""
    return f"{' times '.join([*above, what])}{divided}{turned}"


def _array(value: object) -> Array:
    return np.asarray(torch.as_tensor(value).detach().cpu().double().numpy())


# an answer that is a sum


def part_by_part(exercise: Exercise, trials: list[Trial]) -> str:
    """Say which parts of an answer are off, where it and the truth are sums of tensors that were handed in, times factors."""
    usable = [trial for trial in trials if isinstance(trial.truth, Tensor) and trial.truth.ndim == 2]
    if any(getattr(trial.outcome.value, "shape", None) != trial.truth.shape for trial in usable):
        return ""
    for by_rows in (False, True):
        factors = [found for trial in usable if (found := _factors(exercise, trial, by_rows)) is not None]
        enough = sum(trial.truth.shape[1] > 3 if by_rows else trial.truth.numel() > 3 for trial in usable)
        if factors and len(factors) >= enough:
            told = [_told_of(name, factors) for name in factors[0].yours]
            return f"Seen part by part: {'; '.join(filter(None, told))}." if any(told) else ""
    return ""


@dataclass(frozen=True)
class _Factors:
    """What stands before each tensor in a sum, of the answer and of the truth, and what the case has for sizes."""

    yours: dict[str, Array]
    truth: dict[str, Array]
    sizes: dict[str, Array]


def _factors(exercise: Exercise, trial: Trial, by_rows: bool) -> _Factors | None:
    """Return the factors of a case, or of each of its rows; None where it is no such sum, or too small to say."""
    named = named_arguments(exercise, trial.case)
    terms = {n: x for n, x in named.items() if isinstance(x, Tensor) and x.shape == trial.truth.shape}
    groups = trial.truth.shape[0] if by_rows else 1
    if len(terms) < 2 or trial.truth.numel() // groups <= len(terms):
        return None
    matrix = np.stack([_array(term).reshape(groups, -1) for term in terms.values()], axis=2)
    solved = []
    for value in (trial.outcome.value, trial.truth):
        right = _array(value).reshape(groups, -1, 1)
        factors = np.linalg.pinv(matrix) @ right
        if np.abs(matrix @ factors - right).max() > _EXACTLY * (1 + np.abs(right).max()):
            return None
        solved.append(dict(zip(terms, np.moveaxis(factors[..., 0], 1, 0), strict=True)))
    sizes = sizes_of(exercise, trial, np.ones(groups))
    yours, truth = solved
    return _Factors(
        yours, truth, {n: np.broadcast_to(size, groups) for n, size in sizes.items() if n not in ("N", "D")}
    )


def _told_of(name: str, cases: list[_Factors]) -> str:
    """Say how the factor of one of the tensors differs from what it should be, or nothing where it does not."""
    yours, truth = (np.concatenate(side) for side in zip(*((c.yours[name], c.truth[name]) for c in cases), strict=True))
    if np.allclose(yours, truth, rtol=_EXACTLY, atol=_EXACTLY):
        return ""
    if np.allclose(truth, 0, atol=_EXACTLY):
        return f"{name} does not belong there"
    if np.allclose(yours, 0, atol=_EXACTLY):
        return f"{name} is left out"
    cases = [case for case in cases if (np.abs(case.truth[name]) > _EXACTLY).all()]
    quotient = np.concatenate([case.yours[name] / case.truth[name] for case in cases])
    common = [size for size in cases[0].sizes if all(size in case.sizes for case in cases)]
    sizes = {size: np.concatenate([case.sizes[size] for case in cases]) for size in common}
    return f"the factor of {name} is {fitted(quotient, sizes, 'what it should be') or 'another than it should be'}"

"""Checks of posteriors by simulations whose parameters are known: ranks, coverage, distances, and what is observed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncsn.data import as_float64
from ncsn.errors import DataError, SettingError, check_count
from ncsn.inference.ranks import Array, RankCheck, Verdict, check_confidence, ranks_of

Draw = Callable[[int, Any], Any]
"""Called as ``draw(n, x)`` with observations ``(M, *shape)``, it returns n draws given each, ``(n, M, D)``."""


def simulation_based_calibration(
    theta: Any, draws: Any, *, names: Sequence[str] | None = None, confidence: float = 0.95, seed: int = 0
) -> RankCheck:
    """Check each parameter's rank among draws of its posterior, which is uniform where the posterior is right.

    Args:
        theta: Parameters of the prior, ``(M, D)``.
        draws: Draws of the posterior given a simulation of each, ``(n, M, D)``, independent of each other.
        names: What the parameters are called.
        confidence: How often a right posterior is accepted.
        seed: Seed of what equal numbers are ordered by.

    Raises:
        DataError: The shapes do not go together, or values are not finite.
        SettingError: There are not as many names as parameters, or the confidence is not between 0 and 1.

    References:
        Talts et al. 2018, "Validating Bayesian inference algorithms with simulation-based calibration".
    """
    truth, drawn = _checked(theta, draws)
    called = tuple(names) if names is not None else tuple(f"theta {i}" for i in range(truth.shape[1]))
    if len(called) != truth.shape[1]:
        raise SettingError(f"{len(called)} names for {truth.shape[1]} parameters")
    ranks = ranks_of(truth, drawn, seed)
    return RankCheck("simulation-based calibration", called, ranks, len(drawn), confidence)


def expected_coverage(
    theta: Any, draws: Any, *, log_prob: tuple[Any, Any] | None = None, confidence: float = 0.95, seed: int = 0
) -> RankCheck:
    """Check that regions which hold a share of the posterior hold the true parameters as often, all parameters together.

    With densities they are those of highest density (Hermans et al. 2022). Without them they are ellipsoids, by the mean and
    covariance of the draws and the true parameters together, which keeps the check exact.

    Args:
        theta: Parameters of the prior, ``(M, D)``.
        draws: Draws of the posterior given a simulation of each, ``(n, M, D)``.
        log_prob: Log-densities of the posterior at the parameters, ``(M,)``, and at the draws, ``(n, M)``; None for ellipsoids.
        confidence: How often a right posterior is accepted.
        seed: Seed of what equal numbers are ordered by.

    Raises:
        DataError: The shapes do not go together, values are not finite, or there are fewer draws than an ellipsoid needs.
        SettingError: The confidence is not between 0 and 1.
    """
    truth, drawn = _checked(theta, draws)
    if log_prob is None:
        outward = _outward(np.concatenate([truth[None], drawn]))
    else:
        of_truth, of_draws = (as_float64(each).cpu().numpy() for each in log_prob)
        if of_truth.shape != truth.shape[:1] or of_draws.shape != drawn.shape[:2]:
            raise DataError(
                f"log_prob must be of shapes {truth.shape[:1]} and {drawn.shape[:2]}, not {of_truth.shape} and {of_draws.shape}"
            )
        outward = -np.concatenate([of_truth[None], of_draws])
    ranks = ranks_of(outward[0], outward[1:], seed)[:, None]
    return RankCheck("expected coverage", ("coverage",), ranks, len(drawn), confidence, _meaning(ranks, len(drawn)))


def tarp(theta: Any, draws: Any, *, references: Any = None, confidence: float = 0.95, seed: int = 0) -> RankCheck:
    """Check that balls around random points, as far as the true parameters, hold a uniform share of the posterior.

    Unlike ranks of single parameters it needs no order, and with points that depend on the observations it finds any error.

    Args:
        theta: Parameters of the prior, ``(M, D)``.
        draws: Draws of the posterior given a simulation of each, ``(n, M, D)``.
        references: The points, ``(M, D)``, which must not depend on the parameters but by their simulation; uniform in the
            range of all draws when None.
        confidence: How often a right posterior is accepted.
        seed: Seed of the points.

    Raises:
        DataError: The shapes do not go together, or values are not finite.
        SettingError: The confidence is not between 0 and 1.

    References:
        Lemos et al. 2023, "Sampling-based accuracy testing of posterior estimators for general inference".
    """
    truth, drawn = _checked(theta, draws)
    low, high = drawn.min((0, 1)), drawn.max((0, 1))
    if references is None:
        points = np.random.default_rng(seed).uniform(low, high, size=truth.shape)
    else:
        points = as_float64(references).cpu().numpy()
        if points.shape != truth.shape:
            raise DataError(f"references must be of shape {truth.shape}, not {points.shape}")
    # in units of each parameter's range, as parameters may have different ones
    unit = np.where(high > low, high - low, 1.0)
    far, each = (np.linalg.norm((values - points) / unit, axis=-1) for values in (truth, drawn))
    return RankCheck("TARP", ("distance",), ranks_of(far, each, seed)[:, None], len(drawn), confidence)


@dataclass(frozen=True, eq=False)
class PredictiveCheck(Verdict):
    """What is observed, beside what the simulator returns for draws of the posterior.

    It asks whether the model can have brought about what is observed. A right posterior is accepted more often than the
    confidence says, as the same observation has led to the draws (Meng 1994).

    Attributes:
        observed: What is observed, ``(K,)``.
        replicated: Simulations of draws of the posterior, ``(n, K)``.
        names: What the values are called.
        confidence: How often, at least, what the posterior foretells is accepted.
    """

    observed: Array
    replicated: Array
    names: tuple[str, ...]
    confidence: float = 0.95

    @property
    def p_values(self) -> Array:
        """For each value how much of what is foretold lies as far out, on both sides, ``(K,)``."""
        n = len(self.replicated)
        up_to, from_on = ((self.replicated <= self.observed).sum(0), (self.replicated >= self.observed).sum(0))
        return np.minimum(1.0, 2 * (1 + np.minimum(up_to, from_on)) / (1 + n))

    @property
    def band(self) -> tuple[Array, Array]:
        """The interval of each value that what is foretold lies in, all together with the confidence, ``(K,)`` each."""
        tail = (1 - self.confidence) / (2 * len(self.names))
        low, high = np.quantile(self.replicated, [tail, 1 - tail], axis=0)
        return low, high

    def __str__(self) -> str:
        """Say in a line how it came out."""
        said = f"posterior predictive: {'accepted' if self.accepted else 'REJECTED'} (p = {self.p_value:.2g}"
        said += f", {len(self.replicated):,} simulations)"
        if self.accepted:
            return said
        worst, (low, high) = int(self.p_values.argmin()), self.band
        return f"{said}: {self.names[worst]} is {self.observed[worst]:.4g}, foretold are {low[worst]:.4g} to {high[worst]:.4g}"


def posterior_predictive(
    x: Any,
    replicated: Any,
    *,
    summary: Callable[[Any], Any] | None = None,
    names: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> PredictiveCheck:
    """Check that what is observed is as what the simulator returns for draws of its posterior.

    Args:
        x: What is observed, of the shape of one simulation.
        replicated: Simulations of draws of the posterior, ``(n, *shape)``.
        summary: Called with observations ``(n, *shape)``, what to compare of them, ``(n, K)``; all values when None.
        names: What the values are called.
        confidence: How often, at least, what the posterior foretells is accepted.

    Raises:
        DataError: The shapes do not go together, or too few simulations are given for the confidence.
        SettingError: There are not as many names as values, or the confidence is not between 0 and 1.
    """
    check_confidence(confidence)
    observed, made = as_float64(x).cpu(), as_float64(replicated).cpu()
    if made.ndim == 0 or made.shape[1:] != observed.shape or len(made) < 2:
        raise DataError(f"x has shape {tuple(observed.shape)}: replicated must be (n, *that), not {tuple(made.shape)}")
    one, several = observed[None], made
    if summary is not None:
        one, several = (as_float64(summary(each)).cpu() for each in (one, several))
    values, foretold = one.reshape(1, -1).numpy()[0], several.reshape(len(several), -1).numpy()
    called = tuple(names) if names is not None else tuple(f"x {i}" for i in range(len(values)))
    if len(called) != len(values):
        raise SettingError(f"{len(called)} names for {len(values)} values")
    needed = int(np.ceil(2 * len(values) / (1 - confidence)))
    if len(foretold) < needed:
        raise DataError(
            f"{len(foretold)} simulations cannot tell of {len(values)} values at confidence {confidence:g}: give {needed}"
        )
    return PredictiveCheck(values, foretold, called, confidence)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Checks of a posterior, with their acceptance bands.

    Attributes:
        checks: Simulation-based calibration, expected coverage and TARP.
    """

    checks: tuple[RankCheck, ...]

    @property
    def accepted(self) -> bool:
        """Whether every check accepts."""
        return all(check.accepted for check in self.checks)

    def __str__(self) -> str:
        """Say a line for each check."""
        return "\n".join(map(str, self.checks))


def calibrate(
    draw: Draw,
    theta: Any,
    x: Any,
    *,
    n_draws: int = 200,
    names: Sequence[str] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """Check any posterior by its draws given simulations whose parameters are known.

    Args:
        draw: Called as ``draw(n, x)`` with observations ``(M, *shape)``, returns n draws given each, ``(n, M, D)``; such as
            ``lambda n, x: posterior.sample_batched(n, x=x)``.
        theta: Parameters of the prior, ``(M, D)``.
        x: A simulation of each, ``(M, *shape)``.
        n_draws: Draws given each.
        names: What the parameters are called.
        confidence: How often a right posterior is accepted, by all checks together.
        seed: Seed of the checks' own draws.

    Raises:
        DataError: The shapes do not go together, values are not finite, or there are fewer draws than an ellipsoid needs.
        SettingError: There are not as many names as parameters, ``n_draws`` is not positive, or the confidence is not between 0
            and 1.
    """
    check_count("n_draws", n_draws)
    check_confidence(confidence)
    draws = draw(n_draws, x)
    how: dict[str, Any] = {"confidence": 1 - (1 - confidence) / 3, "seed": seed}
    return Calibration(
        (
            simulation_based_calibration(theta, draws, names=names, **how),
            expected_coverage(theta, draws, **how),
            tarp(theta, draws, **how),
        )
    )


def _checked(theta: Any, draws: Any) -> tuple[Array, Array]:
    """Return parameters ``(M, D)`` and draws ``(n, M, D)`` as arrays."""
    truth, drawn = as_float64(theta).cpu().numpy(), as_float64(draws).cpu().numpy()
    if truth.ndim != 2 or drawn.ndim != 3 or drawn.shape[1:] != truth.shape or not drawn.size:
        raise DataError(f"theta must be (M, D) and draws (n, M, D), not {truth.shape} and {drawn.shape}")
    for name, values in (("theta", truth), ("draws", drawn)):
        if not np.isfinite(values).all():
            raise DataError(f"{name} must be finite")
    return truth, drawn


def _outward(points: Array) -> Array:
    """Return each point's distance from the mean of all, by their covariance, ``(n, M)``, of points ``(n, M, D)``."""
    n, _, dim = points.shape
    if n < 2 * dim + 2:
        raise DataError(f"{n - 1} draws of {dim} parameters: {2 * dim + 1} are needed at least")
    apart = points - points.mean(0)
    spread = np.einsum("nmi,nmj->mij", apart, apart) / n
    return np.einsum("nmi,mij,nmj->nm", apart, np.linalg.pinv(spread, hermitian=True), apart)


def _meaning(ranks: NDArray[np.int64], n_draws: int) -> str:
    """Say what ranks from within outward mean, where they are not uniform."""
    middle = float(np.mean(ranks)) / n_draws
    return "; the posterior is too narrow" if middle > 0.5 else "; the posterior is too wide"

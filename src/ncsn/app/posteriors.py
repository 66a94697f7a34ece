"""The report of a posterior: whether it is right, each check with its band, and what it says of an observation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ncsn.app.page import Report
from ncsn.app.report import add_plan, add_training, environment
from ncsn.data import as_float64
from ncsn.errors import DataError, check_count
from ncsn.inference import Calibration, Posterior, PredictiveCheck, calibrate, posterior_predictive
from ncsn.inference.ranks import Verdict
from ncsn.plots import pairs, plot_predictive, plot_ranks
from ncsn.randomness import global_draws, seed_of

FORETOLD = 500
"""Simulations of draws, at least, that an observation is held against."""

ASKED = {
    "simulation-based calibration": "is each parameter's rank uniform?",
    "expected coverage": "do regions of the posterior hold the truth as often as they say?",
    "TARP": "do balls around random points?",
    "posterior predictive": "can the model have brought about what was observed?",
}
"""What each check asks."""


@dataclass(frozen=True)
class PosteriorReport:
    """What a report found.

    Attributes:
        calibration: Checks by simulations whose parameters are known.
        predictive: What is observed beside what is foretold; None without an observation or a simulator.
        path: The page.
    """

    calibration: Calibration
    predictive: PredictiveCheck | None
    path: str

    @property
    def accepted(self) -> bool:
        """Whether every check accepts."""
        return self.calibration.accepted and (self.predictive is None or self.predictive.accepted)

    def __str__(self) -> str:
        """Say a line for each check."""
        return "\n".join(map(str, (*self.calibration.checks, *([] if self.predictive is None else [self.predictive]))))


def write_posterior_report(
    posterior: Posterior,
    folder: str | os.PathLike[str],
    *,
    simulations: int | tuple[Any, Any] = 300,
    n_draws: int = 100,
    observed: Any = None,
    truth: Any = None,
    names: Sequence[str] | None = None,
    confidence: float = 0.95,
    title: str = "ncsn: a posterior",
    random_state: Any = 0,
) -> PosteriorReport:
    """Check a posterior, and write ``report.html`` and ``figures/`` with each check beside its acceptance band.

    Args:
        posterior: A fitted posterior.
        folder: Where to; it is made if it is not there.
        simulations: How many to run for the checks; or pairs of parameters of the prior and simulations of each, ``(M, D)`` and
            ``(M, *shape)``, that training has not seen, for a posterior without a simulator.
        n_draws: Draws given each.
        observed: What is observed, of which the report then shows the posterior; None to leave that out.
        truth: The parameters that led to it, where they are known.
        names: What the parameters are called.
        confidence: How often a right posterior is accepted by the checks of simulations together, and a right model, at least,
            by what it foretells.
        title: The page's title.
        random_state: Seed of simulations and draws.

    Returns:
        What was found.

    Raises:
        DataError: Observations, pairs or the truth have another shape, or are not finite.
        SettingError: There is no simulator and no pairs are given, or a count, the names or the confidence does not fit.
        NotFittedError: The posterior is not fitted.
        RunError: The folder cannot be written.
    """
    check_count("n_draws", n_draws)
    model, seed = posterior.model_, seed_of(random_state)
    report = Report(
        title,
        "Simulations have parameters that are known. Given each of them the posterior is drawn from, and where it is right, the "
        "parameters are among its draws as any draw is.",
    )
    if isinstance(simulations, tuple):
        theta, x = posterior.prior.checked(simulations[0]), as_float64(simulations[1])
    else:
        check_count("simulations", simulations, 2)
        theta, x = posterior.simulated(simulations, random_state=seed)
    if len(theta) != len(x):
        raise DataError(f"{len(theta)} rows of theta, and {len(x)} of x: one x for each is needed")
    report.facts({"parameters": posterior.prior.dim, "learned from": f"{model.plan.n_rows:,} simulations"})

    def draw(n: int, x: Any) -> torch.Tensor:
        return posterior.sample_batched(n, x=x, random_state=seed)

    calibration = calibrate(draw, theta, x, n_draws=n_draws, names=names, confidence=confidence, seed=seed)
    _add_calibration(report, calibration, len(theta), n_draws)
    predictive = None
    if observed is not None:
        predictive = _add_observation(report, posterior, observed, truth, names, confidence, seed)
    if model.loss_curve:
        report.section("Training")
        add_training(report, model.loss_curve, model.validation)
    report.section("Settings, and why")
    add_plan(report, model.plan)
    report.section("Environment")
    report.facts(environment(model.device))
    return PosteriorReport(calibration, predictive, str(report.write(folder)))


def _row(title: str, check: Verdict, band: str) -> dict[str, Any]:
    """Return a line of the table of checks."""
    verdict = "accepted" if check.accepted else "REJECTED"
    return {"check": title, "asks": ASKED[title], "verdict": verdict, "p": check.p_value, "its band": band}


def _add_calibration(report: Report, calibration: Calibration, n: int, n_draws: int) -> None:
    """Add the checks by simulations whose parameters are known."""
    report.section("Is it right?")
    report.prose(
        "Every check accepts."
        if calibration.accepted
        else "Not every check accepts: the posterior is not right as it is."
    )
    rows = []
    for check in calibration.checks:
        worst = int(check.p_values.argmin())
        low, high = check.band
        middle = int(np.abs(check.places - 0.5).argmin())
        said = f"{low[middle]:.3f} to {high[middle]:.3f} in the middle, is {check.shares[middle, worst]:.3f}"
        rows.append(_row(check.title, check, said))
    report.table(rows, f"{n:,} simulations, {n_draws:,} draws given each.", formats={"p": ".2g"})
    report.figure(
        plot_ranks(calibration),
        "ranks",
        "The share of simulations whose truth has at most that rank among its draws, less the rank itself; grey is where a right "
        "posterior stays, at all places at once. What rises first and falls below then is too narrow; of coverage, what lies "
        "below throughout.",
    )
    for check in calibration.checks:
        if not check.accepted:
            report.prose(f"{check}.")


def _add_observation(
    report: Report,
    posterior: Posterior,
    observed: Any,
    truth: Any,
    names: Sequence[str] | None,
    confidence: float,
    seed: int,
) -> PredictiveCheck | None:
    """Add the posterior given what is observed, and what it foretells."""
    report.section("Given what is observed")
    values = as_float64(observed).cpu()
    one = tuple(values.shape) == posterior.shape_
    needed = int(np.ceil(2 * values.numel() / (1 - confidence))) if one else 0
    draws = posterior.sample(max(FORETOLD, needed), x=observed, random_state=seed)
    called = list(names) if names is not None else [f"theta {i}" for i in range(posterior.prior.dim)]
    ends = np.quantile(draws.double().numpy(), [0.05, 0.5, 0.95], axis=0)
    highest = posterior.map(x=observed, random_state=seed).tolist()
    rows = [
        {"parameter": name, "5%": low, "median": middle, "95%": high, "mean": float(mean), "most probable": most}
        for name, low, middle, high, mean, most in zip(called, *ends.tolist(), draws.mean(0), highest, strict=True)
    ]
    report.table(rows, f"{len(draws):,} draws.")
    report.figure(pairs(draws, truth=truth, names=called), "draws", "Draws of the posterior, by parameter and by pair.")
    if posterior.simulate is None or not one:
        return None
    with global_draws(torch.device("cpu"), seed):
        check = posterior_predictive(observed, posterior.simulate(draws), confidence=confidence)
    low, high = check.band
    worst = int(check.p_values.argmin())
    said = f"{low[worst]:.4g} to {high[worst]:.4g} of {check.names[worst]}, is {check.observed[worst]:.4g}"
    report.section("What it foretells", level=2)
    report.table([_row("posterior predictive", check, said)], formats={"p": ".2g"})
    report.figure(
        plot_predictive(check),
        "foretold",
        "What is observed (dots) and what the simulator returns for draws of the posterior: the median, and the band that all "
        "values keep to at once. A right model is accepted more often than the confidence says.",
    )
    return check

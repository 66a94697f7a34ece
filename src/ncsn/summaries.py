"""The summary of a fitted model that a report shows: its samples, scores, losses and settings in figures and tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ncsn.data import as_float64
from ncsn.diagnostics import loss_by_level, score_error_by_level
from ncsn.estimator import NCSN
from ncsn.exact import EmpiricalScore
from ncsn.methods import method_named
from ncsn.metrics import Comparison
from ncsn.plots import (
    plot_annealing,
    plot_image_grid,
    plot_learned_and_exact,
    plot_loss_by_level,
    plot_multiscale_scores,
    plot_samples,
)
from ncsn.report import RunSummary
from ncsn.samplers import State
from ncsn.schedules import create_noise_schedule
from ncsn.score import ScoreModel

__all__ = ["standardised", "summarise"]

FIGURE_ROWS = 2000
"""Most rows that a figure or a loss is computed on."""

TRUTH_ROWS = 50_000
"""Fresh points that stand for the true distribution of a set that can be drawn from."""


def standardised(model: NCSN, values: Any) -> Tensor:
    """Return rows of data in the units of the model's noise levels, without their constant columns."""
    scaling = model.standardizer_
    rows = scaling.transform(as_float64(values))
    return (rows[:, ~scaling.constant] if rows.ndim == 2 else rows).float().to(model.moments_.means.device)


def summarise(
    model: NCSN,
    name: str,
    training: Any,
    held_out: Any,
    *,
    facts: dict[str, Any],
    comparison: Comparison,
    draw: Callable[[int, torch.Generator | None], Any] | None = None,
    tables: dict[str, Any] | None = None,
    seed: int = 0,
) -> RunSummary:
    """Collect what a report tells of a model.

    Args:
        model: A fitted model.
        name: What the run is called.
        training: The rows it was fitted on.
        held_out: Rows that it never saw.
        facts: Short facts, by name.
        comparison: The samples held against held-out data.
        draw: ``draw(n, generator)`` for fresh points of the true distribution, where there is such a thing.
        tables: Further tables, rows by heading.
        seed: Seed of the samples and of the noise.

    Returns:
        The summary, for `report.write_run_report`.
    """
    plan = model.plan_
    seen, unseen = (standardised(model, values[:FIGURE_ROWS]) for values in (training, held_out))
    figures: dict[str, Figure] = {}
    count = min(len(training), 5000)
    samples = model.sample(count, random_state=seed)
    figures["samples"] = plot_samples(training, samples)
    images = seen.ndim > 2
    if images:
        figures["image_grid"] = plot_image_grid(samples[:100])
    if not method_named(model.method).gives_score:
        # what follows is about the score, which this method has none of
        return RunSummary(name, facts, comparison, figures, model.loss_curve_, plan, dict(tables or {}))
    states: list[State] = []
    model.sample(16 if images else FIGURE_ROWS, sampler="annealed_langevin", random_state=seed, callback=states.append)
    if images or seen.shape[1] > 1:
        figures["annealing"] = plot_annealing(states)
    score_model = model.score_model_
    shown = create_noise_schedule(max(plan.sigma_min, plan.sigma_max / 100), plan.sigma_max / 2, 4).to(seen)
    tables = dict(tables or {})
    if seen.ndim == 2 and seen.shape[1] == 2:
        figures["score_fields"] = plot_multiscale_scores(score_model, shown, data=seen)
    levels = create_noise_schedule(method_named(model.method).lowest(plan), plan.sigma_max, 10).to(seen)
    if draw is not None:
        fresh = standardised(model, draw(TRUTH_ROWS, torch.Generator().manual_seed(seed + 1)))
        truth = EmpiricalScore(fresh)
        figures["learned_and_exact"] = plot_learned_and_exact(
            score_model, truth, shown, unseen, generator=torch.Generator().manual_seed(seed)
        )
        errors = score_error_by_level(score_model, truth, unseen[:1000], levels, torch.Generator().manual_seed(seed))
        tables["Relative score error by noise level"] = [
            {"sigma": float(level), "relative score error": float(error)}
            for level, error in zip(levels, errors, strict=True)
        ]

    def losses(score_model: ScoreModel, rows: Tensor) -> Tensor:
        return loss_by_level(score_model, rows, levels, torch.Generator().manual_seed(seed))

    floor = losses(EmpiricalScore(standardised(model, training)), seen)
    figures["loss_by_level"] = plot_loss_by_level(levels, losses(score_model, seen), losses(score_model, unseen), floor)
    return RunSummary(name, facts, comparison, figures, model.loss_curve_, plan, tables)

"""The summary of a fitted model that a report shows: its samples, scores, losses and settings in figures and tables."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ncsn.app.describing import columns_table
from ncsn.app.report import RunSummary, tried
from ncsn.evaluation import Comparison, Evaluation, loss_by_level, score_error_by_level
from ncsn.evaluation.judging import BOUND, jointly
from ncsn.exact import EmpiricalScore
from ncsn.model import Model
from ncsn.noise import create_noise_schedule
from ncsn.plots import (
    plot_annealing,
    plot_columns,
    plot_image_grid,
    plot_learned_and_exact,
    plot_loss_by_level,
    plot_multiscale_scores,
    plot_pairs,
    plot_samples,
)
from ncsn.samplers import Recorder

FIGURE_ROWS = 2000
"""Most rows that a figure or a loss is computed on."""

FIGURE_IMAGES = 100
"""Images that a figure shows or a loss is computed on."""

FLOOR_IMAGES = 5000
"""Most images that the floor of the loss is that of."""

TRUTH_ROWS = 50_000
"""Fresh points that stand for the true distribution of a set that can be drawn from."""


def facts_of(model: Model, evaluation: Evaluation | None, n_training: int, n_held_out: int) -> dict[str, Any]:
    """Return the short facts that a report begins with; fewer of a model that was not judged."""
    watched = {} if model.validation is None else {"weights kept": f"those of step {model.validation.kept.step:,}"}
    facts = {
        "training rows": n_training,
        "held-out rows": n_held_out,
        "method": model.name,
        "training steps": model.plan.training_steps,
        **watched,
    }
    if evaluation is None:
        return facts
    facts |= {
        f"{BOUND if model.is_bound else 'held-out log-likelihood'}, nats a row": evaluation.log_likelihood,
        "in standardised units": evaluation.standardised_log_likelihood,
    }
    return facts if evaluation.bits is None else facts | {"bits per dimension": str(evaluation.bits)}


def _shown(model: Model, images: Any) -> Tensor:
    """Return images as they are drawn: channels first, three of them or one."""
    pixels = torch.as_tensor(np.asarray(images))
    pixels = pixels if model.encoding.images is None else model.encoding.images.to_rows(pixels)
    return pixels if pixels.ndim == 3 else pixels[:, : 3 if pixels.shape[1] >= 3 else 1]


def summarise(
    model: Model,
    name: str,
    training: Any,
    held_out: Any,
    *,
    facts: dict[str, Any],
    comparison: Comparison | None,
    draw: Callable[[int, torch.Generator | None], Any] | None = None,
    tables: dict[str, Any] | None = None,
    contexts: Any = None,
    seed: int = 0,
    lacking: dict[str, str] | None = None,
) -> RunSummary:
    """Collect what a report tells of a model; what cannot be drawn is left out, and the summary says why.

    Args:
        model: A fitted model.
        name: What the run is called.
        training: The rows it was fitted on.
        held_out: Rows that it never saw.
        facts: Short facts, by name.
        comparison: The samples held against held-out data, or None where they were not.
        draw: ``draw(n, generator)`` for fresh points of the true distribution, where there is such a thing.
        tables: Further tables, rows by heading.
        contexts: Contexts of the held-out rows, of a model with contexts: samples that are shown are drawn given them.
        seed: Seed of the samples and of the noise.
        lacking: What could not be made before, and why, to which what fails here is added.

    Returns:
        The summary, for `report.write_run_report`.
    """

    def seeded(more: int = 0) -> torch.Generator:
        return torch.Generator().manual_seed(seed + more)

    images, tables, lacking = model.encoding.images is not None, dict(tables or {}), {} if lacking is None else lacking
    figures: dict[str, Figure] = {}
    with tried("samples", lacking):
        figures |= _drawn(model, training, held_out, comparison, contexts, tables, seeded)
    if not model.method.gives_score:
        return RunSummary(
            name, facts, comparison, figures, model.loss_curve, model.validation, model.plan, tables, lacking
        )
    rows = FIGURE_IMAGES if images else FIGURE_ROWS
    seen, unseen = (model.known_rows(values[:rows], seeded()) for values in (training, held_out))
    with tried("the walk from noise", lacking):
        figures |= _walked(model, seen, seeded)
    with tried("the fields of scores", lacking):
        truth = None if draw is None else EmpiricalScore(model.rows(draw(TRUTH_ROWS, seeded(1))))
        _add_scores(model, seen, unseen, truth, figures, tables, seeded)
    with tried("losses by level", lacking):
        floor = EmpiricalScore(model.known_rows(training[:FLOOR_IMAGES] if images else training, seeded()))
        levels = _levels(model, seen)
        pairs = ((model.score_model, seen), (model.score_model, unseen), (floor, seen))
        losses = [loss_by_level(score_model, rows, levels, seeded()) for score_model, rows in pairs]
        figures["loss_by_level"] = plot_loss_by_level(levels, *losses)
    return RunSummary(name, facts, comparison, figures, model.loss_curve, model.validation, model.plan, tables, lacking)


def _drawn(
    model: Model,
    training: Any,
    held_out: Any,
    comparison: Comparison | None,
    contexts: Any,
    tables: dict[str, Any],
    seeded: Callable[[], torch.Generator],
) -> dict[str, Figure]:
    """Return figures of samples, beside data or alone, and add the table of the columns."""
    images = model.encoding.images is not None
    n = FIGURE_IMAGES if images else min(len(training if contexts is None else contexts), 5000)
    given = None if contexts is None else contexts[:n]
    samples = model.sample(n, generator=seeded(), label=_labels(model, n), context=given)
    if model.encoding.table:
        tables["Columns, and how they are encoded"] = columns_table(model.encoding, model.contexts)
        if comparison is None:
            return {}
        real, drawn = jointly(model, contexts, held_out), jointly(model, given, samples)
        figures = {"columns": plot_columns(real, drawn, comparison)}
        return figures | ({"pairs": plot_pairs(real, drawn, comparison)} if comparison.pairs else {})
    if not images:
        return {"samples": plot_samples(training, samples)}
    figures = {"samples": plot_samples(_shown(model, training[:FIGURE_IMAGES]), _shown(model, samples))}
    grid = plot_image_grid(_shown(model, samples[:100]), value_range=model.encoding.value_range)
    return figures | {"image_grid": grid}


def _walked(model: Model, seen: Tensor, seeded: Callable[[], torch.Generator]) -> dict[str, Figure]:
    """Return the figure of samples on their way from noise; there is none of a single column."""
    images = model.encoding.images is not None
    walk, n = Recorder(), 6 if images else FIGURE_ROWS
    model.sample(n, sampler="annealed_langevin", generator=seeded(), callback=walk, label=_labels(model, n))
    if images:
        states = [replace(state, x=model.encoding.data_values(state.x)) for state in walk.states]
        return {"annealing": plot_annealing(states, value_range=model.encoding.value_range)}
    return {"annealing": plot_annealing(walk.states)} if seen.shape[1] > 1 else {}


def _labels(model: Model, n: int) -> Any:
    """Return the classes of images that a figure shows, one after the other; None of other data, which show any."""
    classes = model.encoding.classes
    return None if model.encoding.images is None or classes is None else np.resize(classes, n)


def _levels(model: Model, rows: Tensor) -> Tensor:
    """Return ten levels over all that the model knows."""
    return create_noise_schedule(model.lowest, model.plan.sigma_max, 10).to(rows)


def _add_scores(
    model: Model,
    seen: Tensor,
    unseen: Tensor,
    truth: EmpiricalScore | None,
    figures: dict[str, Figure],
    tables: dict[str, Any],
    seeded: Callable[[], torch.Generator],
) -> None:
    """Add the figures of the score, and where the truth is known how far it is from it."""
    plan, score_model = model.plan, model.score_model
    shown = create_noise_schedule(max(plan.sigma_min, plan.sigma_max / 100), plan.sigma_max / 2, 4).to(seen)
    if seen.ndim == 2 and seen.shape[1] == 2:
        figures["score_fields"] = plot_multiscale_scores(score_model, shown, data=seen)
    if truth is None:
        return
    figures["learned_and_exact"] = plot_learned_and_exact(score_model, truth, shown, unseen, generator=seeded())
    levels = _levels(model, seen)
    errors = score_error_by_level(score_model, truth, unseen[:1000], levels, seeded())
    tables["Relative score error by noise level"] = [
        {"sigma": float(level), "relative score error": float(error)}
        for level, error in zip(levels, errors, strict=True)
    ]

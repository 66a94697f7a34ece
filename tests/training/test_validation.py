"""Rows held out of a training: what a look at them sees, against closed forms, and which weights are kept."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ncsn.evaluation import loss_by_level
from ncsn.exact import GaussianMixtureScore
from ncsn.losses import DenoisingScoreMatching, StableTarget
from ncsn.networks import PreconditionedScore, ResidualMLP
from ncsn.noise import Geometric
from ncsn.training import Batches, Look, Progress, Recipe, Trainer, Validation, make_accelerator
from ncsn.training.validation import Watch

from .common import RECIPE, held_out_rows, same, small_model, two_clusters

LEVELS = Geometric(sigma_min=0.1, sigma_max=5.0)


class Zero(nn.Module):
    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Normal(nn.Module):
    """The exact score of standard normal data."""

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return -x / (1 + sigma.reshape(-1, 1).square())


def watch(held_out: Tensor, training: Tensor, weighting: str = "sigma2", n_points: int = 4000) -> Watch:
    objective = DenoisingScoreMatching(weighting, StableTarget(0.2))
    how: dict[str, Any] = {"n_points": n_points, "at_once": 999, "accelerator": make_accelerator("cpu"), "seed": 0}
    return Watch(Batches(held_out), Batches(training), LEVELS, objective, **how)


def normal(n: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


# What a look sees


def test_a_look_sees_the_mean_over_the_levels_of_the_training() -> None:
    # a zero score has the loss lambda(sigma) / sigma^2, whatever the rows
    seen = watch(normal(50, 40), normal(90, 40, 1), "edm").look(7, Zero())
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    expected = float((1 + LEVELS.quantile(u).square()).mean())
    assert seen.step == 7
    # the same levels and noise for both
    assert seen.training == pytest.approx(seen.held_out, rel=1e-6)
    assert seen.held_out == pytest.approx(expected, rel=5 * (2 / 40 / 4000) ** 0.5)


def test_a_look_is_of_the_rows_that_it_is_told_of() -> None:
    # the score of N(0, 1) at rows y + sigma z has the loss E (y^2 sigma^2 + 1) / (1 + sigma^2)^2 in one dimension
    seen = watch(torch.full((20, 1), 3.0), torch.zeros(30, 1)).look(1, Normal())
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    square = LEVELS.quantile(u).square()
    for loss, y in ((seen.training, 0.0), (seen.held_out, 3.0)):
        assert loss == pytest.approx(float(((y**2 * square + 1) / (1 + square) ** 2).mean()), rel=0.1)
    assert seen.held_out > 2 * seen.training


def test_two_looks_at_the_same_weights_see_the_same() -> None:
    watched = watch(normal(50, 2), normal(90, 2, 1))
    one, other = watched.look(1, Normal()), watched.look(2, Normal())
    assert one[1:] == other[1:]


def test_the_floor_is_the_loss_of_the_exact_score_of_all_rows() -> None:
    # of one point, which any number of rows are, the noise can be told
    point = watch(torch.ones(20, 2), torch.ones(30, 2))
    point.look(1, Zero())
    assert point.result is not None and point.result.floor == pytest.approx(0.0, abs=1e-6)
    # many rows of a normal distribution have its own: E 1 / (1 + sigma^2)
    many = watch(normal(2000, 1), normal(4000, 1, 1))
    loss = many.look(1, Normal()).held_out
    assert many.result is not None and many.result.floor is not None
    assert many.result.floor == pytest.approx(loss, rel=0.02)


def test_rows_that_count_differently_have_no_floor() -> None:
    # the exact score of rows that all count alike is not the best for those
    point = watch(torch.ones(20, 2), torch.ones(30, 2))
    point.training = replace(point.training, weights=torch.ones(30))
    point.look(1, Zero())
    assert point.result is not None and point.result.floor is None


# What is kept


def test_the_last_of_those_next_to_the_smallest_loss_is_kept() -> None:
    looks = [Look(1, 0.9, 0.8), Look(2, 0.5, 0.6), Look(3, 0.4, 0.6029), Look(4, 0.3, 0.6031)]
    assert Validation(looks, None).kept is looks[2]
    assert Validation(looks[:2], None).kept is looks[1]
    assert Validation([*looks, Look(5, 0.1, math.nan)], None).kept is looks[2]
    # rows that no score makes sense of decide nothing
    assert Validation([Look(1, 0.9, math.inf), Look(2, 0.5, math.nan)], None).kept.step == 2


MIXTURE = GaussianMixtureScore([0.5, 0.3, 0.2], torch.eye(3, 6) * 3 - 0.5, [1.0, 0.3, 0.3])


def test_what_was_kept_at_each_look_is_what_is_kept_of_all() -> None:
    losses = torch.rand(300, generator=torch.Generator().manual_seed(0)).mul(0.02).add(1).tolist()

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            return torch.zeros_like(x)

    model, watched = Fixed(), watch(normal(50, 2), normal(90, 2, 1), n_points=10)
    watched.objective = lambda score_model, batch: torch.full_like(batch.sigma, losses[int(model.step)])
    for step in range(300):
        nn.init.constant_(model.step, step)
        watched.look(step, model)
    assert watched.result is not None and watched.best is not None
    assert int(watched.best.get_parameter("step")) == watched.result.kept.step
    assert watched.result.kept.held_out < 1.005 * min(losses)


def test_of_a_training_that_overfits_the_kept_weights_are_within_a_percent_of_the_best_ever_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    training, held_out, fresh = (MIXTURE.sample(n, generator).float() for n in (100, 150, 2000))
    recipe = Recipe(LEVELS, steps=1000, batch_size=64, learning_rate=4e-3, warm_up=20)
    levels = LEVELS.grid(6).float()
    seen: list[float] = []

    def loss(model: nn.Module) -> float:
        noise = torch.Generator().manual_seed(1)
        return float(((1 + levels.square()) * loss_by_level(model, fresh, levels, noise)).mean())

    def callback(progress: Progress) -> None:
        if progress.step % 50 == 0:
            seen.append(loss(progress.trainer.average.model))

    torch.manual_seed(0)
    trainer = Trainer(PreconditionedScore(ResidualMLP((6,), 64, 2)), training, recipe, held_out=Batches(held_out))
    trainer.run(callback)
    assert trainer.watch is not None and trainer.watch.result is not None
    assert seen[-1] > 1.1 * min(seen)
    assert loss(trainer.averaged_model) < 1.01 * min(seen)
    looks = trainer.watch.result.looks
    assert len(looks) == 20
    # it learns its rows by heart
    assert looks[-1].training < 0.9 * looks[-1].held_out


def test_what_is_kept_are_the_averaged_weights_of_its_step_and_training_goes_on_as_without() -> None:
    averages: dict[int, nn.Module] = {}

    def callback(progress: Progress) -> None:
        averages[progress.step] = copy.deepcopy(progress.trainer.average.model)

    recipe = replace(RECIPE, learning_rate=3e-2)
    plain, watched = (Trainer(small_model(), two_clusters(), recipe, held_out=h) for h in (None, held_out_rows()))
    plain.run(callback)
    watched.run()
    assert same(plain.score_model, watched.score_model)
    assert watched.watch is not None and watched.watch.result is not None
    assert [look.step for look in watched.watch.looks] == list(range(3, 61, 3))
    assert same(watched.averaged_model, averages[watched.watch.result.kept.step])
    assert same(plain.averaged_model, averages[60])


@pytest.mark.parametrize(("steps", "batch_size"), [(5, 4000), (47, 2000), (100, 1000)])
def test_looking_costs_a_twentieth_of_the_training_at_most(steps: int, batch_size: int) -> None:
    rows = {True: 0, False: 0}

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small_model()

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            rows[self.training] += len(x)
            score: Tensor = self.inner(x, sigma)
            return score

    # batches that are large enough for the least that a look takes
    recipe = replace(RECIPE, steps=steps, batch_size=batch_size)
    Trainer(Counting(), two_clusters(), recipe, held_out=held_out_rows()).run()
    assert rows[True] == steps * batch_size
    # backwards takes twice as long as forwards
    assert 0.02 < rows[False] / (3 * rows[True]) <= 0.05

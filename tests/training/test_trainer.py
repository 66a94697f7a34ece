"""The training loop, against closed forms and exact scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ncsn.errors import DivergenceError, SettingError
from ncsn.exact import EmpiricalScore
from ncsn.losses import Batch, Consistency, DenoisingScoreMatching, StableTarget, denoising_score_matching
from ncsn.networks import ConsistencyModel, NCSNScoreNetwork, PreconditionedScore, ResidualMLP
from ncsn.randomness import seed_from
from ncsn.score import ScoreModel
from ncsn.training import Progress, Recipe, Trainer, make_accelerator

from .common import RECIPE, interrupt_at, same, small_model, two_clusters

# Learning rate and clipping


def test_learning_rate_rises_to_its_height_and_falls_to_nothing() -> None:
    recipe = replace(RECIPE, steps=1000, learning_rate=2.0, warm_up=100)
    rates = [recipe.learning_rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[500] == pytest.approx(1.0)
    assert 0 < rates[999] < 1e-5
    assert all(a < b for a, b in pairwise(rates[:100]))
    assert all(a > b for a, b in pairwise(rates[100:]))
    assert sum(replace(recipe, warm_up=0).learning_rate_at(step) for step in range(1000)) == pytest.approx(1001)


def test_first_step_moves_each_weight_by_the_learning_rate() -> None:
    # Adam's first step is the sign of the gradient, whatever its size; without a gradient there is no step
    model = small_model()
    before = [weight.detach().clone() for weight in model.parameters()]
    trainer = Trainer(model, two_clusters(), replace(RECIPE, steps=1000, learning_rate=0.04, warm_up=4))
    with pytest.raises(KeyboardInterrupt):
        trainer.run(interrupt_at(1))
    moved = torch.cat([(a.detach() - b).abs().flatten() for a, b in zip(model.parameters(), before, strict=True)])
    assert float(moved.max()) == pytest.approx(0.01, rel=1e-3)


def test_gradients_are_clipped() -> None:
    def norms(clip_norm: float) -> list[float]:
        found = []

        def callback(progress: Progress) -> None:
            gradients = [w.grad for w in progress.trainer.score_model.parameters() if w.grad is not None]
            found.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))

        Trainer(small_model(), two_clusters(), replace(RECIPE, clip_norm=clip_norm)).run(callback)
        return found

    free = norms(1e9)
    limit = float(np.median(free))
    clipped = norms(limit)
    assert max(clipped) <= limit * (1 + 1e-5) < max(free)
    assert clipped[0] == pytest.approx(min(free[0], limit), rel=1e-5)


# What training reaches


@pytest.mark.parametrize("target_from", [None, 0.2], ids=["denoising", "stable targets"])
def test_training_approaches_the_exact_score(target_from: float | None) -> None:
    data = two_clusters()
    recipe = replace(
        RECIPE,
        steps=400,
        batch_size=128,
        objective=DenoisingScoreMatching("edm", StableTarget(target_from)),
        learning_rate=1e-2,
    )
    trainer = Trainer(PreconditionedScore(ResidualMLP((2,), 32, 1)), data, recipe)
    untrained = small_model()
    trainer.run()
    exact = EmpiricalScore(data)
    for level in (0.3, 1.0, 3.0):
        sigma = torch.tensor(level)
        x = data + level * torch.randn(data.shape, generator=torch.Generator().manual_seed(2))
        truth = exact(x, sigma)

        def error(model: nn.Module, x: Tensor = x, sigma: Tensor = sigma, truth: Tensor = truth) -> float:
            with torch.no_grad():
                return float((model(x, sigma) - truth).square().mean())

        assert error(trainer.averaged_model) < 0.15 * error(untrained)


def test_curve_holds_the_mean_loss_of_the_steps_between_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    each = Trainer(small_model(), two_clusters(), RECIPE)
    each.run()
    assert [step for step, _ in each.curve] == list(range(1, 61))
    monkeypatch.setattr("ncsn.training.trainer.REPORT_EVERY", 25)
    reported: list[Progress] = []
    grouped = Trainer(small_model(), two_clusters(), RECIPE)
    grouped.run(reported.append)
    losses = np.array([loss for _, loss in each.curve])
    expected = [(25, losses[:25].mean()), (50, losses[25:50].mean()), (60, losses[50:].mean())]
    assert [step for step, _ in grouped.curve] == [25, 50, 60]
    np.testing.assert_allclose([loss for _, loss in grouped.curve], [loss for _, loss in expected], rtol=1e-5)
    assert [(p.step, p.steps, p.loss) for p in reported] == [(step, 60, loss) for step, loss in grouped.curve]


def test_labels_are_given_and_sometimes_left_out() -> None:
    seen: list[Tensor] = []

    class Recording(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
            seen.append(torch.stack([label.float(), x[:, 0]]))
            return self.weight * x

    # rows of class k lie at 100 k, so that a given label can be told from its row
    labels = torch.arange(3).repeat(50)
    data = 100.0 * labels[:, None].expand(-1, 2)
    Trainer(Recording(), data, replace(RECIPE, batch_size=100, condition_dropout=0.1), labels).run()
    label, position = torch.cat(seen, dim=1)
    given = label >= 0
    assert torch.equal(label[given], (position[given] / 100).round())
    assert float((~given).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_global_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002  # the global generator is what is looked at
    expected = torch.rand(2), np.random.rand(2)  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    Trainer(small_model(dropout=0.5), two_clusters(), RECIPE).run()
    assert torch.equal(torch.rand(2), expected[0])
    np.testing.assert_array_equal(np.random.rand(2), expected[1])  # noqa: NPY002


def test_seed_decides_the_run() -> None:
    def trained(seed: int) -> nn.Module:
        trainer = Trainer(small_model(dropout=0.3), two_clusters(), replace(RECIPE, seed=seed))
        trainer.run()
        return trainer.averaged_model

    assert same(trained(1), trained(1))
    # seeds that agree in their lower bits are different seeds
    assert not same(trained(1), trained(1 + 2**22))


# Divergence


class Spoiled(nn.Module):
    """Goes wrong at one call of its training: in its value, or in its gradient alone."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__()
        self.inner = small_model()
        # not of what tells one network from another, which a leading underscore says
        self._at, self.what, self.calls = at, what, 0

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        score: Tensor = self.inner(x, sigma)
        self.calls += self.training
        if self.training and self.calls == self._at:
            if self.what == "value":
                return score * torch.nan
            score.register_hook(lambda gradient: gradient * torch.inf)
        return score


@pytest.mark.parametrize("what", ["value", "gradient"])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path, what: str) -> None:
    path = tmp_path / "checkpoint"
    # step 15 is one of a checkpoint, which must not take the spoiled weights
    trainer = Trainer(Spoiled(15, what), two_clusters(), RECIPE)
    where = {"value": "first in step 15 at all noise levels", "gradient": "by the gradient of losses that are finite"}
    message = rf"not finite between steps 14 and 15, {where[what]}: lower the learning rate \(0.003\)"
    with pytest.raises(DivergenceError, match=message):
        trainer.run(checkpoint=path)
    resumed = Trainer(Spoiled(0, what), two_clusters(), RECIPE)
    resumed.resume(path)
    assert resumed.step == 10
    assert len(resumed.curve) == 10
    resumed.run()
    whole = Trainer(Spoiled(0, what), two_clusters(), RECIPE)
    whole.run()
    assert same(resumed.averaged_model, whole.averaged_model)


class BreaksBelow(nn.Module):
    """Answers with NaN below a noise level, from one call of its training on."""

    def __init__(self, level: float, at: int) -> None:
        super().__init__()
        self.inner, self.level, self._at, self._calls = small_model(), level, at, 0

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        self._calls += self.training
        score: Tensor = self.inner(x, sigma)
        broken = (sigma < self.level) & (self._calls >= self._at)
        return score.masked_fill(broken.expand(len(x))[:, None], torch.nan)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_divergence_names_the_step_and_the_levels_where_the_loss_broke(
    accumulation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncsn.training.trainer.REPORT_EVERY", 20)
    recipe = replace(RECIPE, accumulation=accumulation)
    trainer = Trainer(BreaksBelow(0.2, 7 * accumulation - (accumulation - 1)), two_clusters(), recipe)
    with pytest.raises(DivergenceError, match="not finite between steps 0 and 20") as caught:
        trainer.run()
    # the levels of that step are drawn from its seed
    generator = torch.Generator().manual_seed(seed_from(RECIPE.seed, 6, 0))
    trainer.batches.draw(RECIPE.batch_size, generator)
    sigma = RECIPE.levels.draw(RECIPE.batch_size, generator, torch.device("cpu"))
    low, high = float(sigma.min()), float(sigma[sigma < 0.2].max())
    assert f"first in step 7 at noise levels {low:.3g} to {high:.3g}: lower the learning rate" in str(caught.value)


def test_divergence_by_a_huge_learning_rate() -> None:
    with pytest.raises(DivergenceError):
        Trainer(small_model(), two_clusters(), replace(RECIPE, learning_rate=1e30)).run()


def test_mixed_precision_rounds_within_the_network_and_not_after_training() -> None:
    seen: set[torch.dtype] = set()

    class Recording(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            seen.add(y.dtype)
            return y

    model = small_model()
    model.network.output = Recording(16, 2)
    trainer = Trainer(model, two_clusters(), RECIPE, accelerator=make_accelerator("cpu", "bf16"))
    trainer.run()
    assert seen == {torch.bfloat16}
    assert {weight.dtype for weight in trainer.averaged_model.parameters()} == {torch.float32}
    seen.clear()
    trainer.averaged_model(torch.zeros(3, 2), torch.tensor(1.0))
    assert seen == {torch.float32}


# Objectives and weightings of one's own


def trained(objective: Any, model: nn.Module | None = None, **changes: Any) -> nn.Module:
    """Train a small model by an objective, and return its average."""
    recipe = replace(RECIPE, objective=objective, **changes)
    trainer = Trainer(model or small_model(), two_clusters(), recipe)
    trainer.run()
    assert [step for step, _ in trainer.curve] == list(range(1, recipe.steps + 1))
    return trainer.averaged_model


def plain_error(model: ScoreModel, batch: Batch) -> Tensor:
    """Return EDM's loss of each row, as a plain function."""
    return denoising_score_matching(model, batch.samples, batch.sigma, batch.noise, "edm", **batch.condition)


def edms_weight(sigma: Tensor) -> Tensor:
    return sigma.square() * (1 + sigma.square())


def test_an_objective_may_be_a_plain_function() -> None:
    expected = trained(DenoisingScoreMatching("edm"))
    assert same(trained(plain_error), expected)
    assert same(trained(lambda model, batch: plain_error(model, batch)), expected)
    assert not same(trained(lambda model, batch: plain_error(model, batch) * batch.sigma), expected)


def test_a_weighting_may_be_a_function() -> None:
    expected = trained(DenoisingScoreMatching("edm"))
    assert same(trained(DenoisingScoreMatching(edms_weight)), expected)
    assert same(trained(DenoisingScoreMatching(lambda sigma: edms_weight(sigma))), expected)
    assert not same(trained(DenoisingScoreMatching(torch.ones_like)), expected)


def test_an_objective_is_told_all_of_its_batch() -> None:
    seen: list[Batch] = []
    data = two_clusters()
    labels = (data[:, 0] > 0).long()

    class Objective:
        """An objective of one's own that wants the exact score of 50 rows."""

        target = StableTarget(0.2, 50)

        def __call__(self, model: ScoreModel, batch: Batch) -> Tensor:
            seen.append(batch)
            return plain_error(model, batch)

    Trainer(small_model(2), data, replace(RECIPE, objective=Objective()), labels).run()
    assert [batch.progress for batch in seen] == [step / 60 for step in range(60)]
    for batch in seen:
        assert batch.samples.shape == batch.noise.shape == (32, 2)
        assert batch.sigma.shape == batch.condition["label"].shape == (32,)
        assert bool(((batch.sigma >= 0.05 * (1 - 1e-6)) & (batch.sigma <= 5 * (1 + 1e-6))).all())
        assert isinstance(batch.exact, EmpiricalScore)
        assert batch.exact.components == 50
        # its first rows are those of the batch
        assert torch.equal(batch.exact.data[:32], batch.samples)
    # a plain function has no target, and is given no exact score
    trained(lambda model, batch: seen.append(batch) or plain_error(model, batch))  # type: ignore[func-returns-value]
    assert seen[-1].exact is None
    # where the data are no more than the target takes, they are all of it
    seen.clear()
    Objective.target = StableTarget(0.2)
    trained(Objective())
    assert all(isinstance(batch.exact, EmpiricalScore) and batch.exact.components == 200 for batch in seen)


def test_an_objective_that_draws_is_seeded_and_leaves_the_global_generator_alone() -> None:
    def sliced(model: ScoreModel, batch: Batch) -> Tensor:
        along = torch.randn_like(batch.samples)
        error = batch.sigma[:, None] * model(batch.noisy, batch.sigma) + batch.noise
        return (along * error).sum(dim=1).square()

    for dropout in (0.0, 0.3):
        state = torch.get_rng_state()
        first = trained(sliced, small_model(dropout=dropout))
        assert torch.equal(torch.get_rng_state(), state)
        torch.rand(7)
        assert same(trained(sliced, small_model(dropout=dropout)), first)
        assert not same(trained(sliced, small_model(dropout=dropout), seed=6), first)


# Where training is called from


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64 by default": lambda: default_dtype(torch.float64),
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=list(SURROUNDINGS))
@pytest.mark.parametrize("made_inside", [False, True])
def test_training_is_the_same_wherever_it_is_called(
    surroundings: Callable[[], AbstractContextManager[Any]], made_inside: bool
) -> None:
    def trainer() -> Trainer:
        recipe = replace(RECIPE, objective=DenoisingScoreMatching(edms_weight, StableTarget(0.2)))
        return Trainer(model, data, recipe)

    data, model = two_clusters(), small_model(dropout=0.3)
    plain = trainer()
    plain.run()
    model = small_model(dropout=0.3)
    made_before = None if made_inside else trainer()
    with surroundings():
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()
        inside = made_before or trainer()
        inside.run()
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()) == modes
    assert same(inside.averaged_model, plain.averaged_model)
    assert inside.curve == plain.curve
    # what comes out can be trained and differentiated further
    x = torch.zeros(2, 2, requires_grad=True)
    assert inside.score_model(x, torch.tensor(1.0)).square().sum().requires_grad
    assert not any(weight.is_inference() for weight in inside.averaged_model.parameters())


def test_data_of_inference_mode_can_be_trained_on() -> None:
    with torch.inference_mode():
        data = two_clusters() * 1
    assert data.is_inference()
    plain, inside = (Trainer(small_model(), rows, RECIPE) for rows in (two_clusters(), data))
    plain.run()
    inside.run()
    assert same(inside.averaged_model, plain.averaged_model)


def test_a_model_is_trained_in_its_own_precision() -> None:
    seen: set[torch.dtype] = set()

    def objective(model: ScoreModel, batch: Batch) -> Tensor:
        seen.update({batch.samples.dtype, batch.sigma.dtype, batch.noise.dtype})
        return plain_error(model, batch)

    double = trained(objective, small_model().double())
    assert seen == {torch.float64}
    assert {weight.dtype for weight in double.parameters()} == {torch.float64}
    seen.clear()
    # whatever the data are in
    trainer = Trainer(small_model(), two_clusters().double(), replace(RECIPE, objective=objective))
    trainer.run()
    assert seen == {torch.float32}


# The global generators


def consistency_model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ConsistencyModel(ResidualMLP((2,), 16, 1, dropout=0.3), "consistency", 1.0, 0.05)


def page_network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return NCSNScoreNetwork(2, [16])


@dataclass(frozen=True)
class Case:
    """A training of one of the library's networks."""

    model: Callable[[], nn.Module]
    objective: Any
    labels: bool = False


MATCHING = DenoisingScoreMatching("edm")

LIBRARY: dict[str, Case] = {
    "plain": Case(small_model, MATCHING),
    "dropout": Case(lambda: small_model(dropout=0.5), MATCHING),
    "labels": Case(lambda: small_model(2, 0.5), MATCHING, labels=True),
    "some targets": Case(small_model, DenoisingScoreMatching("edm", StableTarget(0.2, 50))),
    "the page's network": Case(page_network, MATCHING),
    "consistency": Case(consistency_model, Consistency(0.05)),
    "distilling": Case(consistency_model, Consistency(0.05, teacher=lambda x, sigma: -x / (1 + sigma[:, None] ** 2))),
}


@pytest.mark.parametrize("case", LIBRARY.values(), ids=list(LIBRARY))
def test_training_the_librarys_networks_leaves_the_global_generator_as_it_is(case: Case) -> None:
    data = two_clusters()
    labels = (data[:, 0] > 0).long() if case.labels else None
    model, state, told = case.model(), torch.get_rng_state(), []

    def callback(progress: Progress) -> None:
        told.append(torch.equal(torch.get_rng_state(), state))

    def run(seed: int = 5) -> nn.Module:
        trainer = Trainer(case.model(), data, replace(RECIPE, objective=case.objective, seed=seed), labels)
        trainer.run(callback)
        return trainer.averaged_model

    first = run()
    assert torch.equal(torch.get_rng_state(), state)
    assert told == [True] * 60
    torch.rand(7)
    state = torch.get_rng_state()
    assert same(run(), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(run(6), first)
    assert not same(model, first)


def test_the_librarys_networks_never_draw_from_the_global_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any) -> None:
        raise AssertionError("the global generators are asked")

    monkeypatch.setattr("ncsn.training.trainer.global_draws", refused)
    for case in LIBRARY.values():
        if not case.labels:
            Trainer(case.model(), two_clusters(), replace(RECIPE, objective=case.objective)).run()
    with pytest.raises(AssertionError, match="the global generators are asked"):
        Trainer(Own(), two_clusters(), RECIPE).run()


class Own(nn.Module):
    """A network of one's own, which draws as it likes and says nothing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 16), nn.Linear(16, 2)
        self.drop = nn.Dropout1d(0.3)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        hidden = self.drop(self.first(torch.cat([x, sigma[:, None].log()], dim=1)).tanh())
        return self.last(hidden + 0.1 * torch.randn_like(hidden)) / sigma[:, None]


def test_a_network_of_ones_own_is_seeded_and_leaves_the_global_generator_as_it_was() -> None:
    def made() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return Own()

    states: list[Tensor] = []

    def run(seed: int) -> nn.Module:
        trainer = Trainer(made(), two_clusters(), replace(RECIPE, seed=seed))
        trainer.run(lambda progress: states.append(torch.get_rng_state()))
        return trainer.averaged_model

    state = torch.get_rng_state()
    first = run(1)
    assert all(torch.equal(seen, state) for seen in [*states, torch.get_rng_state()])
    torch.rand(7)
    assert same(run(1), first)
    assert not same(run(2), first)


# The recipe


class Dropping(ResidualMLP):
    """The library's perceptron with a dropout more, of which it says nothing."""

    def __init__(self, shape: tuple[int, ...], **options: Any) -> None:
        super().__init__(shape, 16, 1, **options)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        return self.drop(super().forward(x, noise, label, context))


class Shaken(PreconditionedScore):
    """The library's score model with noise of its own."""

    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        return super().forward(x + 0.1 * torch.randn_like(x), sigma, **condition)


class Holding(nn.Module):
    """A network of one's own that holds one of the library's by the name that its models have for it."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.drop = ResidualMLP((2,), 16, 1), nn.Dropout(0.3)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.drop(self.network(x, sigma.log())) / sigma[:, None]


@dataclass(frozen=True, repr=False)
class Drawing(DenoisingScoreMatching):
    """The library's objective along random directions."""

    def __call__(self, model: ScoreModel, batch: Batch) -> Tensor:
        loss = super().__call__(model, batch)
        return loss * torch.rand_like(loss)


INHERITING: dict[str, Case] = {
    "a network": Case(lambda: PreconditionedScore(Dropping((2,))), MATCHING),
    "a network that says it draws": Case(lambda: PreconditionedScore(Dropping((2,), dropout=0.2)), MATCHING),
    "a score model": Case(lambda: Shaken(ResidualMLP((2,), 16, 1)), MATCHING),
    "a module with a network": Case(Holding, MATCHING),
    "an objective": Case(small_model, Drawing("edm")),
}


@pytest.mark.parametrize("case", INHERITING.values(), ids=list(INHERITING))
def test_what_inherits_or_holds_the_librarys_may_draw_more_and_is_seeded(case: Case) -> None:
    def run(seed: int = 5) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model = case.model()
        trainer = Trainer(model, two_clusters(), replace(RECIPE, objective=case.objective, seed=seed))
        trainer.run()
        return trainer.averaged_model

    state = torch.get_rng_state()
    first = run()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    assert same(run(), first)
    assert not same(run(6), first)


@dataclass(frozen=True)
class Said:
    """An objective of one's own that says that it draws nothing."""

    draws: ClassVar[bool] = False

    def __call__(self, model: ScoreModel, batch: Batch) -> Tensor:
        return plain_error(model, batch)


class SaidF(nn.Module):
    """A network of one's own that says that it draws nothing."""

    draws = False

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        answer: Tensor = self.layer(x)
        return answer


def test_what_says_that_it_draws_nothing_spares_the_global_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any) -> None:
        raise AssertionError("the global generators are asked")

    monkeypatch.setattr("ncsn.training.trainer.global_draws", refused)
    Trainer(PreconditionedScore(SaidF()), two_clusters(), replace(RECIPE, objective=Said())).run()


def test_rows_that_a_target_takes() -> None:
    for objective, rows in (
        (plain_error, 0),
        (DenoisingScoreMatching(), 0),
        (DenoisingScoreMatching(target=StableTarget(0.2)), 1024),
        (DenoisingScoreMatching(target=StableTarget(0.2, 50)), 50),
        (Consistency(0.05, target=StableTarget(0.2, 50)), 50),
        # a teacher's score takes the place of any other
        (Consistency(0.05, target=StableTarget(0.2, 50)).taught_by(lambda x, sigma: x), 0),
    ):
        assert replace(RECIPE, objective=objective).target_rows == rows


def test_a_recipe_prints_what_differs() -> None:
    text = "Recipe(levels=Geometric(sigma_min=0.05, sigma_max=5.0), steps=60, batch_size=32, learning_rate=0.003, "
    assert repr(RECIPE) == text + "warm_up=10, seed=5)"


def test_an_objective_without_a_needed_setting_says_so() -> None:
    trainer = Trainer(consistency_model(), two_clusters(), replace(RECIPE, objective=Consistency()))
    with pytest.raises(SettingError, match=r"Consistency\(\) needs sigma_min, or a plan"):
        trainer.run()


@pytest.mark.parametrize(
    ("objective", "returned"),
    [
        (lambda model, batch: plain_error(model, batch).mean(), r"\(\)"),
        (lambda model, batch: plain_error(model, batch)[:, None], r"\(32, 1\)"),
        (lambda model, batch: model(batch.noisy, batch.sigma), r"\(32, 2\)"),
        (lambda model, batch: 1.0, "float"),
        (lambda model, batch: None, "NoneType"),
    ],
)
def test_an_objective_must_return_a_loss_of_each_row(objective: Any, returned: str) -> None:
    trainer = Trainer(small_model(), two_clusters(), replace(RECIPE, objective=objective))
    with pytest.raises(SettingError, match=rf"must return a loss of each row, \(32,\), not {returned}$") as caught:
        trainer.run()
    assert "\n" not in str(caught.value)
    assert trainer.step == 0


def test_a_weighting_must_return_a_weight_of_each_level() -> None:
    recipe = replace(RECIPE, objective=DenoisingScoreMatching(lambda sigma: sigma[:, None]))
    with pytest.raises(SettingError, match=r"the weighting must return \(32,\), as the levels, not \(32, 32\)"):
        Trainer(small_model(), two_clusters(), recipe).run()


def weights_after(recipe: Recipe, steps: int = 5) -> list[Tensor]:
    trainer = Trainer(small_model(2).double(), two_clusters(), recipe, torch.arange(200) % 2)
    nn.init.normal_(
        trainer.score_model.get_parameter("network.output.weight"), generator=torch.Generator().manual_seed(0)
    )
    for _ in range(steps):
        trainer._train_step()
        trainer.step += 1
    return [weight.detach() for weight in trainer.score_model.parameters()]


@pytest.mark.parametrize("parts", [2, 3])
def test_a_batch_in_parts_is_the_batch(parts: int) -> None:
    whole = weights_after(RECIPE)
    for mine, theirs in zip(weights_after(replace(RECIPE, accumulation=parts)), whole, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


def test_a_batch_cannot_have_more_parts_than_rows() -> None:
    with pytest.raises(SettingError, match="a batch of 32 rows cannot be taken in 33 parts"):
        Trainer(small_model(), two_clusters(), replace(RECIPE, accumulation=33))

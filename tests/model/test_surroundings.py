"""What surrounds a fit does not change it: threads, modes and defaults of torch, its global generators, sampling meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from own_parts import F, make_network
from small_models import SMALL, clusters, trained, weights, white
from torch import Tensor, nn

from ncsn import NCSN, NCSNScoreNetwork, ResidualMLP
from ncsn.plan import Plan
from ncsn.samplers import sample
from ncsn.training import Progress


class Dropping(F):
    """A network of one's own that draws from torch's global generator as it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: Tensor, c_noise: Tensor, label: Tensor | None = None) -> Tensor:
        return super().forward(self.dropout(x), c_noise, label)


def fitted(seed: int = 0, network: Any = None, **how: Any) -> NCSN:
    x, side = clusters(80)
    settings: dict[str, Any] = {"training_steps": 60, "dropout": 0.3, "width": 16, "n_blocks": 1}
    return NCSN(network=network, random_state=seed, **settings).fit(x, side, **how)


@contextmanager
def double_by_default() -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


@pytest.mark.parametrize("own", [False, True], ids=["perceptron", "own network"])
@pytest.mark.parametrize("mode", MODES)
def test_a_fit_is_the_same_in_any_mode_of_torch(mode: str, own: bool) -> None:
    network = Dropping() if own else None
    plain = fitted(network=network)
    with MODES[mode]():
        within = fitted(network=network)
        samples = within.sample(5, label="left")
        density = within.score_samples(clusters()[0][:3], label="left")
        filled = within.impute(np.array([[100.0, np.nan]]), steps=3)
    assert torch.equal(weights(within), weights(plain))
    assert not any(weight.is_inference() for weight in within.score_model_.parameters())
    np.testing.assert_array_equal(samples, plain.sample(5, label="left"))
    np.testing.assert_array_equal(density, plain.score_samples(clusters()[0][:3], label="left"))
    np.testing.assert_array_equal(filled, plain.impute(np.array([[100.0, np.nan]]), steps=3))
    # what was fitted there goes on here
    assert torch.equal(weights(within.fit(*clusters(80))), weights(plain))


@pytest.mark.parametrize("mode", MODES)
def test_data_and_networks_made_in_a_mode_of_torch_can_be_fitted(mode: str) -> None:
    with MODES[mode]():
        x, network = 2 * torch.as_tensor(white(40, 2)), F()
        within = NCSN(network=network, training_steps=3, **SMALL).fit(x)
    assert torch.equal(weights(within), weights(NCSN(network=network, training_steps=3, **SMALL).fit(x)))
    assert np.isfinite(NCSN(NCSNScoreNetwork(2, [8]), random_state=0).train_step(x.float())["loss"])


@pytest.mark.parametrize("own", [False, True], ids=["perceptron", "own network"])
def test_a_model_is_of_single_precision_whatever_the_default(own: bool) -> None:
    x, side = clusters(300)
    settings: dict[str, Any] = {"training_steps": 300, "lr": 1e-2, "batch_size": 128, "width": 32, "n_blocks": 1}
    with double_by_default():
        model = NCSN(network=make_network if own else None, random_state=0, **settings).fit(x, side)
        samples = model.sample(200, label="left")
        density = model.score_samples(x[:50], label=side[:50])
        filled = model.impute(np.array([[100.0, np.nan]]), steps=3)
    kinds = {weight.dtype for weight in model.score_model_.parameters()}
    # a network of one's own keeps the type that it was made in
    assert kinds == {torch.float64 if own else torch.float32}
    assert np.mean(samples[:, 0] < 100) > 0.95 and np.isfinite(filled).all()
    # in either precision the same model
    np.testing.assert_allclose(model.score_samples(x[:50], label=side[:50]), density, atol=1e-2)
    np.testing.assert_allclose(model.sample(200, label="left"), samples, rtol=1e-2, atol=1e-4)


# Threads and generators


@pytest.mark.parametrize("own", [False, True], ids=["perceptron", "own network"])
def test_fits_in_two_threads_are_those_alone_and_global_generators_stay(own: bool) -> None:
    # the same object in both threads: each fit trains a copy
    network = Dropping() if own else None
    alone = [weights(fitted(seed, network)) for seed in range(4)]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: weights(fitted(seed, network)), range(4)))
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)


class DroppingMore(ResidualMLP):
    """The library's network with a dropout more, which draws from torch's global generator."""

    def __init__(self, shape: Sequence[int], width: int, n_classes: int, **options: Any) -> None:
        super().__init__(shape, width, 1, n_classes=n_classes, **options)
        self.more = nn.Dropout(0.3)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        return super().forward(self.more(x), noise, label, context)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_network_that_inherits_from_the_librarys_is_seeded_too(dropout: float) -> None:
    def factory(shape: Sequence[int], plan: Plan, n_classes: int) -> nn.Module:
        return DroppingMore(shape, plan.width, n_classes, dropout=dropout)

    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = weights(fitted(0, factory))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert torch.equal(weights(fitted(0, factory)), first)
    assert not torch.equal(weights(fitted(1, factory)), first)


def test_samples_in_two_threads_are_those_alone() -> None:
    model = trained(0)
    alone = [model.sample(50, random_state=seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: model.sample(50, random_state=seed), range(4)))
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("own", [False, True], ids=["perceptron", "own network"])
def test_the_global_generator_neither_counts_nor_moves(own: bool) -> None:
    network = Dropping() if own else None
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(weights(fitted(network=network)))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*found)


# Sampling while training goes on


@pytest.mark.parametrize("own", [False, True], ids=["perceptron", "own network"])
def test_sampling_in_a_callback_leaves_the_training_as_it_is(own: bool) -> None:
    earlier, drawn = trained(0), []
    sigmas = torch.tensor([8.0, 2.0, 0.5, 0.1])

    def callback(progress: Progress) -> None:
        for model in (progress.trainer.score_model, progress.trainer.averaged_model):
            drawn.append(sample(model, sigmas, 20, 2, "reverse_sde", condition={"label": torch.full((20,), -1)}))
        drawn.append(torch.as_tensor(earlier.sample(5)))
        torch.randn(3)

    network = Dropping() if own else None
    plain = fitted(network=network)
    watched = fitted(network=network, callback=callback)
    assert len(drawn) == 3 * 2
    assert torch.equal(weights(watched), weights(plain))
    assert watched.loss_curve_ == plain.loss_curve_


def test_sampling_the_estimator_while_it_is_fitted_anew_draws_from_the_first_fit() -> None:
    model = NCSN(training_steps=60, **SMALL).fit(white(50, 2))
    first, drawn = model.sample(4), []
    model.fit(white(50, 3), callback=lambda progress: drawn.append(model.sample(4)))
    for samples in drawn:
        np.testing.assert_array_equal(samples, first)
    assert model.sample(4).shape == (4, 3)
    assert torch.equal(weights(model), weights(NCSN(training_steps=60, **SMALL).fit(white(50, 3))))

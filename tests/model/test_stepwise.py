"""The page's own loop, one step at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from own_parts import LabelledNetwork
from sklearn.exceptions import NotFittedError
from small_models import clusters, flat_weights, trained, white
from torch import Tensor, nn

from ncsn import NCSN, GaussianMixtureScore, NCSNScoreNetwork, annealed_langevin_dynamics, ncsn_loss
from ncsn.errors import DataError, DivergenceError, SettingError
from ncsn.samplers import State


def page_model(**settings: Any) -> NCSN:
    torch.manual_seed(0)
    return NCSN(
        NCSNScoreNetwork(input_dim=2, hidden_dims=[32, 32]), sigma_min=0.01, sigma_max=5.0, n_sigmas=10, **settings
    )


def test_the_page_s_loop_learns_and_samples() -> None:
    ncsn = page_model(lr=1e-2)
    data = torch.tensor(clusters(500)[0], dtype=torch.float32)
    data = (data - data.mean(0)) / data.std(0)
    losses = [ncsn.train_step(data[torch.randperm(len(data))[:128]])["loss"] for _ in range(500)]
    halves = [data[data[:, 0] < 0], data[data[:, 0] > 0]]
    means, covariances = torch.stack([h.mean(0) for h in halves]), torch.stack([h.T.cov() for h in halves])
    exact = GaussianMixtureScore([len(half) for half in halves], means, covariances)
    least = ncsn_loss(exact, data.repeat(40, 1), ncsn.sigmas, weighting="edm").item()
    assert np.mean(losses[:20]) > 1.4 * least
    assert np.mean(losses[-100:]) < 1.2 * least
    generated = ncsn.sample(1000, n_steps_per_sigma=20, step_size=1e-4)
    assert isinstance(generated, Tensor)
    assert (generated.shape, generated.dtype) == ((1000, 2), torch.float32)
    distance = (generated.abs() - 1).abs()
    assert float(distance.median()) < 0.2
    assert float((distance.amax(dim=1) < 0.6).float().mean()) > 0.9


def test_the_page_s_first_argument_order_and_defaults() -> None:
    network = NCSNScoreNetwork(2, [8])
    ncsn = NCSN(network, 0.02, 4.0, 7, 1e-2)
    assert (ncsn.score_net, ncsn.sigma_min, ncsn.sigma_max, ncsn.n_sigmas, ncsn.lr) == (network, 0.02, 4.0, 7, 1e-2)
    np.testing.assert_allclose(ncsn.sigmas, np.geomspace(4.0, 0.02, 7), rtol=1e-6)
    np.testing.assert_allclose(NCSN(network).sigmas, np.geomspace(10.0, 0.01, 10), rtol=1e-6)
    before = network.get_parameter("network.output.bias").detach().clone()
    ncsn.train_step(torch.randn(16, 2))
    # Adam's first step is the learning rate, for each weight
    moved = (network.get_parameter("network.output.bias").detach() - before).abs()
    torch.testing.assert_close(moved, torch.full((2,), 1e-2), rtol=1e-3, atol=0.0)


def test_page_samples_are_annealed_langevin_of_the_averaged_network() -> None:
    ncsn = page_model(random_state=0)
    for _ in range(3):
        ncsn.train_step(torch.randn(16, 2))
    states: list[State] = []
    sampled = ncsn.sample(50, 4, 1e-4, random_state=7, callback=states.append)
    average = ncsn._stepper.average.model
    generator = torch.Generator().manual_seed(7)
    expected = annealed_langevin_dynamics(average, ncsn.sigmas, 50, 2, 4, 1e-4, generator=generator)
    assert torch.equal(sampled, expected)
    assert states[-1].evaluations == 41
    assert not torch.equal(sampled, ncsn.sample(50, 4, 1e-4, random_state=7, denoise_last=False))
    assert ncsn.sample(3).shape == (3, 2)
    assert ncsn.sample(3, sampler="heun", steps=5).shape == (3, 2)


def test_page_loop_repeats_with_a_seed() -> None:
    def weights_after() -> Tensor:
        ncsn = page_model(random_state=4)
        torch.manual_seed(torch.seed())
        for _ in range(3):
            ncsn.train_step(torch.ones(8, 2))
        return flat_weights(ncsn.score_net)

    assert torch.equal(weights_after(), weights_after())


def test_sampling_elsewhere_leaves_the_model_where_it_is() -> None:
    ncsn = page_model()
    ncsn.train_step(torch.randn(8, 2))
    fitted = trained(0)
    for model in (ncsn, fitted):
        with pytest.raises((RuntimeError, NotImplementedError)):
            # this device holds no values to sample from, but a model that is moved there loses its own
            model.sample(3, device="meta")
    ncsn.train_step(torch.randn(8, 2))
    assert ncsn.sample(3).isfinite().all()
    assert np.isfinite(fitted.sample(3)).all()


@pytest.mark.filterwarnings("ignore:score_net=")
def test_page_calls_that_cannot_work_say_why() -> None:
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        page_model().sample(10)
    with pytest.raises(SettingError, match=r"train_step needs a score_net: NCSN\(NCSNScoreNetwork\(...\)\)"):
        NCSN().train_step(torch.zeros(4, 2))
    with pytest.raises(SettingError, match="fit has trained this model; for a loop of your own, take a new NCSN"):
        NCSN(NCSNScoreNetwork(2, [8]), training_steps=1).fit(white(20, 2)).train_step(torch.zeros(4, 2))
    with pytest.raises(SettingError, match=r"must be a torch\.nn\.Module with weights to train, not function"):
        NCSN(lambda x, sigma: -x).train_step(torch.zeros(4, 2))  # type: ignore[arg-type]
    for batch in (np.zeros((4, 2)), torch.zeros(4, 2, dtype=torch.long), torch.zeros(4), torch.zeros(0, 2)):
        with pytest.raises(DataError, match=r"train_step takes a tensor of floating-point rows, \(N, D\), not"):
            page_model().train_step(batch)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="sigma_min must be below sigma_max"):
        NCSN(NCSNScoreNetwork(2, [8]), sigma_min=5.0, sigma_max=1.0).train_step(torch.zeros(4, 2))
    ncsn = page_model()
    ncsn.train_step(torch.randn(8, 2))
    with pytest.raises(NotFittedError):
        ncsn.score_samples(torch.zeros(2, 2))
    with pytest.raises(SettingError, match="fitted without labels"):
        ncsn.sample(3, label=1)
    with pytest.raises(SettingError, match="n_samples must be a whole number of at least 1, not 0"):
        ncsn.sample(0)
    shapeless = NCSN(nn.Sequential())
    shapeless.score_net = LabelledNetwork()
    del shapeless.score_net.input_dim
    shapeless.train_step(torch.randn(8, 2))
    with pytest.raises(
        SettingError, match=r"sample needs score_net.input_dim, the number of columns; or call fit\(X\)"
    ):
        shapeless.sample(3)


def test_a_loss_that_is_not_finite_leaves_the_page_s_weights() -> None:
    ncsn = page_model()
    ncsn.train_step(torch.randn(8, 2))
    before = flat_weights(ncsn.score_net)
    with pytest.raises(
        DivergenceError, match="the loss is not finite: check the batch for extreme values, or lower lr"
    ):
        ncsn.train_step(torch.full((8, 2), 1e38))
    assert torch.equal(flat_weights(ncsn.score_net), before)


def test_fit_after_a_loop_takes_over() -> None:
    ncsn = page_model(training_steps=2, random_state=0)
    ncsn.train_step(torch.randn(8, 2))
    samples = ncsn.fit(white(20, 2) * 1e6).sample(20)
    assert isinstance(samples, np.ndarray)
    assert np.abs(samples).max() > 1e5

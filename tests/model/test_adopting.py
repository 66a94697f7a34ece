"""Score models that were trained elsewhere, as models of images: against the Gaussian whose score is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from ncsn import METHODS, NCSN, Model
from ncsn.errors import DataError, RunError, SettingError
from ncsn.model import adopt
from ncsn.networks import EDM, PreconditionedScore, from_diffusers

SHAPE = (3, 4, 4)
IMAGES = np.random.default_rng(0).normal(100.0, 25.0, (200, *SHAPE))
UNITS: dict[str, Any] = {"mean": 100.0, "scale": 50.0, "sigma_min": 0.01, "sigma_max": 20.0}


class Zero(nn.Module):
    """A network that returns zero, and with it in EDM's row the score of a Gaussian."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.weight * x


def score_of_gaussian() -> PreconditionedScore:
    """The score of a standard deviation of 0.5 about 0; in the data's units 25 about 100."""
    return PreconditionedScore(Zero(), "edm", sigma_data=0.5)


@pytest.fixture(scope="module")
def model() -> Model:
    return adopt(score_of_gaussian(), IMAGES, **UNITS)


def test_samples_are_in_the_datas_units(model: Model) -> None:
    samples = model.sample(400, generator=torch.Generator().manual_seed(0))
    assert samples.shape == (400, *SHAPE)
    n = samples.size
    assert samples.mean() == pytest.approx(100.0, abs=5 * 25 / n**0.5)
    assert samples.std() == pytest.approx(25.0, abs=5 * 25 / (2 * n) ** 0.5)
    assert (model.plan.sigma_min, model.plan.sigma_max) == (0.01, 20.0)


def test_a_start_that_is_given_is_followed_along_the_flow(model: Model) -> None:
    start = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 20.0
    ended = model.sample(3, x_init=start, sampler="ode", tolerance=1e-7, denoise_last=False)
    # the flow of a Gaussian keeps each value's place in units of its spread
    expected = 100.0 + 50.0 * start.numpy() * np.hypot(0.5, 0.01) / np.hypot(0.5, 20.0)
    np.testing.assert_allclose(ended, expected, rtol=1e-5)


def test_densities_and_scores_are_the_gaussians(model: Model) -> None:
    x = IMAGES[:4]
    expected = norm.logpdf(x, 100.0, 50 * np.hypot(0.5, 0.01)).reshape(4, -1).sum(1)
    np.testing.assert_allclose(model.log_density(x).numpy(), expected, rtol=1e-4)
    score = model.score(x, 0.4).numpy()
    np.testing.assert_allclose(score, -(x - 100.0) / (25.0**2 + 20.0**2), rtol=1e-5)


def test_gaps_are_filled_and_known_values_kept(model: Model) -> None:
    x = np.repeat(IMAGES[:1], 60, 0)
    x[:, 0] = np.nan
    filled = model.impute(x, steps=20, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(filled[:, 1:], x[:, 1:])
    drawn = filled[:, 0]
    # the values are independent of each other
    assert drawn.mean() == pytest.approx(100.0, abs=5 * 25 / drawn.size**0.5)
    assert drawn.std() == pytest.approx(25.0, rel=0.15)


def test_it_is_saved_and_loaded_with_the_module(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    loaded = NCSN.load(tmp_path, score_net=score_of_gaussian())
    seeds = [torch.Generator().manual_seed(3) for _ in range(2)]
    np.testing.assert_array_equal(loaded.sample(3, generator=seeds[0]), model.sample(3, generator=seeds[1]))
    with pytest.raises(RunError, match="pass the module"):
        NCSN.load(tmp_path)


def test_a_unet_of_diffusers_with_classes_is_told_of_them() -> None:
    sizes: dict[str, Any] = {"sample_size": 4, "layers_per_block": 1, "block_out_channels": (8,), "norm_num_groups": 4}
    blocks: dict[str, Any] = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    unet = diffusers.UNet2DModel(num_class_embeds=2, **sizes | blocks)
    score_model = from_diffusers(unet, scheduler=diffusers.EDMEulerScheduler())
    assert score_model.preconditioning == EDM(sigma_data=0.5, sigma_min=0.0)
    adopted = adopt(score_model, torch.rand(50, *SHAPE), mean=0.5, scale=0.5, n_classes=2, method="ve_sde")
    assert adopted.method == METHODS["ve_sde"]
    samples = adopted.sample(3, label=[0, 1, 1], steps=4)
    assert isinstance(samples, Tensor)
    assert bool(samples.isfinite().all())
    with pytest.raises(SettingError, match="label"):
        adopted.sample(1, label=2)
    with pytest.raises(SettingError, match="has no embedding for no label"):
        adopted.sample(1, steps=4)


def test_what_cannot_be_adopted_is_refused() -> None:
    net = score_of_gaussian()
    with pytest.raises(DataError, match=r"adopt takes images, \(N, H, W\) or \(N, C, H, W\), not rows of shape \(3,\)"):
        adopt(net, np.random.default_rng(0).random((9, 3)))
    with pytest.raises(SettingError, match="a consistency model is no score model"):
        adopt(net, IMAGES, method="consistency")
    with pytest.raises(SettingError, match="scale must be a positive finite number, not 0"):
        adopt(net, IMAGES, scale=0)
    with pytest.raises(SettingError, match=r"score_model must be a torch\.nn\.Module with weights, not function"):
        adopt(lambda x, sigma: x, IMAGES)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"score_net\(x, sigma\) on rows of shape \(3, 4, 4\), .* fails"):
        adopt(PreconditionedScore(nn.Linear(3, 3), "edm"), IMAGES)

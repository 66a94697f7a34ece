"""Latents, ways between data and bits per dimension of a fitted model, against exact scores and closed forms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from small_models import gaussian, trained, white
from torch import Tensor, nn

from ncsn import NCSN, Model
from ncsn.errors import DataError, SettingError
from ncsn.exact import GaussianMixtureScore


class Exact(nn.Module):
    """The exact score of a mixture of rows of a shape; a label names one component."""

    any_dtype = True

    def __init__(self, means: Tensor, variance: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones((), dtype=torch.float64))
        flat = means.flatten(1)
        self.all = GaussianMixtureScore([1.0] * len(flat), flat, variance)
        self.means, self.variance = flat, variance

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        rows = x.flatten(1)
        if label is None:
            return self.all(rows, sigma).reshape(x.shape)
        return ((self.means[label] - rows) / (self.variance + sigma**2)).reshape(x.shape)


def images(n: int = 40) -> tuple[Any, Any]:
    """Return images around two others in units of their own, and which of them."""
    side = np.arange(n) % 2
    centres = np.stack([np.eye(3), 1 - np.eye(3)])
    return 100 + 50 * (centres[side] + 0.1 * np.random.default_rng(0).standard_normal((n, 3, 3))), side


def exact(labels: bool = False) -> tuple[Model, Any, Any]:
    x, side = images()
    model = gaussian(x, side if labels else None).model_
    rows = model.rows(x).double()
    means = torch.stack([rows[side == k].mean(0) for k in range(2)])
    return replace(model, score_model=Exact(means, float((rows - means[side]).var()))), x, side


@pytest.mark.parametrize("labels", [False, True])
def test_what_is_encoded_is_decoded_again(labels: bool) -> None:
    model, x, side = exact(labels)
    told = {"label": side} if labels else {}
    latents = model.encode(x, tolerance=1e-8, **told)
    assert latents.shape == (len(x), 3, 3)
    # at the largest level all is noise of about that spread, of its own for every image
    assert 0.7 < float(latents.std()) / model.plan.sigma_max < 1.4
    np.testing.assert_allclose(model.decode(latents, tolerance=1e-8, **told), x, atol=1e-3)
    # they are a start for the sampler of the same flow
    down = model.sample(
        len(x), sampler="ode", x_init=latents, denoise_last=False, tolerance=1e-8, dtype=torch.float64, **told
    )
    np.testing.assert_allclose(down, x, atol=1e-2)


def test_a_way_leads_from_one_image_to_the_other_by_the_angle() -> None:
    model, x, _ = exact()
    a, b = x[:3], x[1:4]
    way = model.interpolate(a, b, 5, tolerance=1e-8)
    assert way.shape == (15, 3, 3)
    np.testing.assert_allclose(way[0::5], a, atol=1e-3)
    np.testing.assert_allclose(way[4::5], b, atol=1e-3)
    # in between are images of one kind or the other, and not faint ones of both, as the mean of two is
    centres = np.stack([x[0::2].mean(0), x[1::2].mean(0)])
    distances = np.linalg.norm((way[:, None] - centres).reshape(15, 2, -1), axis=2)
    assert np.median(distances.min(1)) < 30
    assert distances.max(1).min() > 100


def test_a_gaussian_s_way_is_known() -> None:
    z = white(30, 4).reshape(30, 2, 2)
    model = gaussian(z).model_
    a, b = z[:1], z[1:2]
    middle = model.interpolate(a, b, 3)[1]
    cosine = float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))
    # there the flow is a multiple of one, so that the way of latents is that of the images
    np.testing.assert_allclose(middle, (a + b)[0] / math.sqrt(2 * (1 + cosine)), atol=2e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda model, x: model.decode(torch.zeros(2, 5)),
            DataError,
            r"latents of shape \(5,\) given; those of the model",
        ),
        (lambda model, x: model.interpolate(x[:2], x[:2], 1), SettingError, "n must be a whole number of at least 2"),
        (lambda model, x: model.interpolate(x[:2], x[:3]), SettingError, r"rows of one shape"),
        (
            lambda model, x: model.encode(x[0]),
            DataError,
            r"rows of shape \(3,\) given; the model was fitted on \(3, 3\)",
        ),
        (lambda model, x: model.encode(x, label=1), SettingError, "fitted without labels"),
        (lambda model, x: model.bits_per_dimension(x), DataError, "of whole grey levels, and X holds 15"),
        (lambda model, x: model.bits_per_dimension(x.round(), draws=0), SettingError, "draws must be a whole number"),
    ],
)
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    x, _ = images()
    with pytest.raises(error, match=message):
        call(gaussian(x).model_, x)


def test_what_has_no_score_or_no_pixels_has_none_of_it() -> None:
    with pytest.raises(SettingError, match="bits per dimension are of images; of rows ask for the log-density"):
        trained(0).model_.bits_per_dimension(white(5, 2))
    student = NCSN(method="consistency", training_steps=2, width=8, n_blocks=1, random_state=0).fit(white(20, 2)).model_
    for call in (student.encode, student.decode, student.bits_per_dimension):
        with pytest.raises(SettingError, match="a consistency model has no"):
            call(torch.zeros(2, 2))


# Bits per dimension


def grey(n: int, scale: float, shape: tuple[int, ...] = (1, 1)) -> Any:
    drawn = np.random.default_rng(0).normal(120, scale, (n, *shape))
    return drawn.round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("scale", [30.0, 1.5])
def test_bits_are_bounded_by_those_of_the_rounded_gaussian_and_close(scale: float) -> None:
    x = grey(400, scale)
    model = gaussian(x).model_
    # the density of the network at its start
    spread = x.std() * math.hypot(1, 0.01)
    levels = x.astype(float).ravel()
    low, high = (levels - 0.5 - x.mean()) / spread, (levels + 0.5 - x.mean()) / spread
    truth = -np.log2(norm.cdf(high) - norm.cdf(low))
    found = model.bits_per_dimension(x, generator=torch.Generator().manual_seed(0)).numpy()
    # the mean over u of -log2 of the normal density, in closed form
    quadratic = (high**3 - low**3) / (3 * (high - low))
    expected = (0.5 * quadratic + 0.5 * math.log(2 * math.pi) + math.log(spread)) / math.log(2)
    standard_error = (found - expected).std() / math.sqrt(len(x))
    assert abs((found - expected).mean()) < 4 * standard_error + 1e-4
    assert (expected >= truth).all()
    # the loss is 1/24 of the squared ratio of level and spread: none to speak of where the density is smooth
    assert (expected - truth).mean() == pytest.approx((1 / spread) ** 2 / 24 / math.log(2), rel=0.2)
    # of many draws it is the probability itself
    some = slice(0, 4)
    many = model.bits_per_dimension(x[some], draws=100, generator=torch.Generator().manual_seed(1)).numpy()
    np.testing.assert_allclose(many, truth[some], atol=0.2 / scale)


def test_bits_are_the_nats_by_their_definition() -> None:
    x = grey(10, 40.0, (1, 3, 4))
    model = gaussian(x).model_
    bits = model.bits_per_dimension(x, generator=torch.Generator().manual_seed(3))
    u = torch.rand(x.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    nats = model.log_density(x + u.numpy() - 0.5)
    torch.testing.assert_close(bits, -nats / (12 * math.log(2)), rtol=1e-9, atol=1e-9)
    # the mean of two draws' densities
    both = model.bits_per_dimension(x, draws=2, generator=torch.Generator().manual_seed(3))
    source = torch.Generator().manual_seed(3)
    drawn = [torch.rand(x.shape, generator=source, dtype=torch.float64).numpy() - 0.5 for _ in range(2)]
    mean = torch.stack([model.log_density(x + u) for u in drawn]).logsumexp(0) - math.log(2)
    torch.testing.assert_close(both, -mean / (12 * math.log(2)), rtol=1e-9, atol=1e-9)


def test_many_dimensions_take_probes_of_the_generator() -> None:
    data = grey(1000, 40.0, (8, 8))
    x, model = data[:4], gaussian(data).model_

    def found(seed: int) -> Tensor:
        return model.bits_per_dimension(x, n_probes=2, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(found(0), found(0))
    assert not torch.equal(found(0), found(1))
    # Hutchinson's estimate is exact here, where the Jacobian is a multiple of one
    spread = data.std() * math.hypot(1, 0.01)
    u = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    expected = norm.logpdf(x + u - 0.5, data.mean(), spread).reshape(4, -1).mean(1) / -math.log(2)
    np.testing.assert_allclose(found(0), expected, atol=3e-3)

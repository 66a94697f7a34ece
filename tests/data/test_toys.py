"""Toy sets, against their own definitions: moments, densities, exact integrals."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ive, logsumexp

from ncsn.data import (
    TOYS,
    checkerboard,
    eight_gaussians,
    moons,
    pinwheel,
    rings,
    swiss_roll,
    toy_mixture,
)
from ncsn.errors import SettingError

from .common import seeded

LABELLED = [name for name, toy in TOYS.items() if toy.n_labels]


def log_density(name: str, points: NDArray[Any]) -> NDArray[Any]:
    weights, means, covariances = (part.numpy() for part in toy_mixture(name))
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    squares = ((points[:, None] - means) ** 2 / variances).sum(-1)
    return np.asarray(
        logsumexp(np.log(weights) - 0.5 * squares - 0.5 * np.log((2 * math.pi) ** 2 * variances.prod(-1)), axis=1)
    )


@pytest.mark.parametrize("name", TOYS)
def test_toys_are_reproducible_independent_draws(name: str) -> None:
    draw = TOYS[name].draw
    first = draw(1000, seeded())
    assert first.shape == (1000, 2) and first.dtype == torch.float32 and first.isfinite().all()
    assert torch.equal(first, draw(1000, seeded()))
    assert not torch.equal(first, draw(1000, seeded(1)))
    assert first.std(0).min() > 0.4 and first.std(0).max() < 1.6
    with pytest.raises(SettingError, match="n must be at least 1, not 0"):
        draw(0)


@pytest.mark.parametrize("name", TOYS)
def test_a_generator_leaves_the_global_state_alone_and_none_uses_it(name: str) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    TOYS[name].draw(10, seeded())
    assert torch.equal(torch.get_rng_state(), state)
    first = TOYS[name].draw(10)
    torch.manual_seed(3)
    assert torch.equal(first, TOYS[name].draw(10))


@pytest.mark.parametrize("name", LABELLED)
def test_labels_choose_the_component(name: str) -> None:
    toy = TOYS[name]
    labels = torch.randint(toy.n_labels, (100,), generator=seeded())
    # Without labels, the same generator draws first the labels, then the points.
    generator = seeded()
    torch.randint(toy.n_labels, (100,), generator=generator)
    assert torch.equal(toy.draw(100, seeded()), toy.draw(100, generator, labels))
    for bad in (labels[:5], labels + toy.n_labels, labels - toy.n_labels):
        with pytest.raises(SettingError, match=f"labels must be 100 whole numbers from 0 to {toy.n_labels - 1}"):
            toy.draw(100, None, bad)


def test_the_roll_is_standardised_by_its_population_moments() -> None:
    def moment(power: int, axis: int) -> float:
        return float(quad(lambda t: raw(t)[axis] ** power, 1.5 * math.pi, 4.5 * math.pi, limit=200)[0] / (3 * math.pi))

    def raw(t: float) -> NDArray[Any]:
        return np.array([t * math.cos(t), t * math.sin(t)])

    centre = np.array([moment(1, 0), moment(1, 1)])
    square = np.array([moment(2, 0), moment(2, 1)])
    deviation = np.sqrt(square + 0.01 - centre**2)
    covariance = toy_mixture("swiss_roll").covariances[0].numpy()
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), 0.1 / deviation, rtol=1e-12)

    x = swiss_roll(20_000, seeded()).double().numpy()
    np.testing.assert_allclose(x.mean(0), 0, atol=4 / math.sqrt(20_000))
    np.testing.assert_allclose(x.std(0), 1, atol=4 / math.sqrt(20_000))
    assert np.abs(x.mean(0)).min() > 1e-5, "a draw must not be standardised by itself"

    # Thickness: the distance from the curve is the noise's component across it.
    points = x[:2000] * deviation + centre
    curve = np.array([raw(t) for t in np.linspace(1.5 * math.pi - 0.1, 4.5 * math.pi + 0.1, 20_000)])
    nearest = np.array([((curve - point) ** 2).sum(1).min() for point in points])
    assert math.sqrt(nearest.mean()) == pytest.approx(0.1, rel=0.06)


def test_moons_moments() -> None:
    x = moons(50_000, seeded()).double()
    assert x.mean(0).numpy() == pytest.approx([0, 0], abs=0.02)
    noise, upper = 0.05**2, 2 / math.pi - 0.25
    assert x.var(0).numpy() == pytest.approx([0.75 + noise, 0.5 - 4 / math.pi**2 + upper**2 + noise], rel=0.02)
    up = moons(1000, seeded(), torch.zeros(1000, dtype=torch.long)) + torch.tensor([0.5, 0.25])
    assert up.norm(dim=1).mean() == pytest.approx(1, abs=0.01) and up[:, 1].min() > -0.25


def test_eight_gaussians_are_their_mixture() -> None:
    weights, means, covariances = toy_mixture("eight_gaussians")
    assert torch.equal(weights, torch.full((8,), 0.125).double())
    labels = torch.arange(8).repeat_interleave(4000)
    x = eight_gaussians(32_000, seeded(), labels).double().reshape(8, 4000, 2)
    assert (x.mean(1) - means).abs().max() < 5 * 0.1 / math.sqrt(4000)
    for k in range(8):
        assert torch.allclose(x[k].T.cov(), covariances[k], atol=0.1**2 * 0.1)


def test_checkerboard_lies_only_in_its_squares_and_fills_them() -> None:
    labels = torch.arange(8).repeat_interleave(5000)
    x = checkerboard(40_000, seeded(), labels)
    assert torch.equal(x.floor().sum(1) % 2, torch.zeros(40_000)) and x.abs().max() <= 2
    squares = x.floor().reshape(8, 5000, 2)
    assert (squares == squares[:, :1]).all() and len(squares[:, 0].unique(dim=0)) == 8
    assert x.reshape(8, 5000, 2).frac().abs().mean((0, 1)).numpy() == pytest.approx([0.5, 0.5], abs=0.01)
    counts = checkerboard(40_000, seeded()).floor().unique(dim=0, return_counts=True)[1]
    assert len(counts) == 8 and (counts - 5000).abs().max() < 4.5 * math.sqrt(5000 * 7 / 8)


def test_pinwheel_moments_and_arms() -> None:
    x = pinwheel(50_000, seeded()).double()
    assert x.mean(0).numpy() == pytest.approx([0, 0], abs=0.025)
    assert x.T.cov().numpy() == pytest.approx(1.1 * np.eye(2), abs=0.03)
    arm = pinwheel(4000, seeded(), torch.zeros(4000, dtype=torch.long)).double() / math.sqrt(2)
    radius = arm.norm(dim=1)
    # Turned back by exp(radius) / 4, the arm is a Gaussian at (1, 0).
    back = torch.atan2(arm[:, 1], arm[:, 0]) - radius.exp() / 4
    assert (radius * back.cos()).mean() == pytest.approx(1, abs=0.03)
    assert (radius * back.sin()).std() == pytest.approx(0.1, abs=0.02)


def test_rings_have_their_radii() -> None:
    labels = torch.arange(4).repeat_interleave(5000)
    squares = rings(20_000, seeded(), labels).double().square().sum(1).reshape(4, 5000).mean(1)
    radii = np.array([0.5, 1, 1.5, 2])
    np.testing.assert_allclose(squares, radii**2 + 2 * 0.05**2, rtol=0.01)


def test_the_rings_mixture_is_the_exact_density() -> None:
    x = rings(300, seeded()).double().numpy()
    r, variance = np.linalg.norm(x, axis=1)[:, None], 0.05**2
    radii = np.array([0.5, 1, 1.5, 2])
    exact = np.exp(-((r - radii) ** 2) / (2 * variance)) * ive(0, r * radii / variance) / (2 * math.pi * variance)
    np.testing.assert_allclose(log_density("rings", x), np.log(exact.mean(1)), atol=1e-9)


def test_the_moons_mixture_is_the_exact_density() -> None:
    x = moons(20, seeded()).double().numpy()

    def density(point: NDArray[Any]) -> float:
        def both(angle: float) -> float:
            upper = np.array([math.cos(angle) - 0.5, math.sin(angle) - 0.25])
            squares = [((point - side * upper) ** 2).sum() for side in (1, -1)]
            return sum(math.exp(-s / (2 * 0.05**2)) for s in squares) / (4 * math.pi**2 * 0.05**2)

        return float(quad(both, 0, math.pi, limit=500, epsabs=1e-10)[0])

    np.testing.assert_allclose(log_density("moons", x), np.log([density(p) for p in x]), atol=1e-3)


def test_the_roll_mixture_has_the_rolls_entropy() -> None:
    # Along the curve the density is 1 / (3 pi sqrt(1 + t^2)), across it the noise's; standardising multiplies by both scales.
    speed = quad(lambda t: math.log(1 + t * t) / 2, 1.5 * math.pi, 4.5 * math.pi)[0] / (3 * math.pi)
    scales = -0.5 * np.log(np.diag(toy_mixture("swiss_roll").covariances[0]) / 0.01).sum()
    expected = -math.log(3 * math.pi) - speed - 0.5 * math.log(2 * math.pi * math.e * 0.01) + scales
    values = log_density("swiss_roll", swiss_roll(4000, seeded()).double().numpy())
    assert values.mean() == pytest.approx(expected, abs=4 * values.std() / math.sqrt(4000))
    assert expected == pytest.approx(0.264, abs=0.001)
    coarse, fine = (toy_mixture("swiss_roll", k) for k in (2000, 2001))
    assert len(coarse.means) + 1 == len(fine.means) and fine.weights.sum().item() == pytest.approx(1)


def test_toy_mixture_refuses_what_has_none() -> None:
    with pytest.raises(SettingError, match=r"unknown toy set with a known mixture 'moon'; did you mean 'moons'\?"):
        toy_mixture("moon")
    with pytest.raises(SettingError, match="checkerboard"):
        toy_mixture("checkerboard")
    with pytest.raises(SettingError, match="n_components must be at least 1"):
        toy_mixture("rings", 0)

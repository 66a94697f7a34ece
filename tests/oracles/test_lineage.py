"""One network, several readings: what the papers of the lineage write in their own coordinates is the same in sigma."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from ncsn.exact import GaussianMixtureScore
from ncsn.likelihood import log_density
from ncsn.losses import denoising_score_matching
from ncsn.networks import PreconditionedScore
from ncsn.noise import PROCESSES, ddpm_levels
from ncsn.samplers import sample


class Noise(nn.Module):
    """A small network of the noise with fixed random weights, as DDPM trains it: called with x_t and log t."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(3, 16, generator=generator, dtype=torch.float64))
        self.second = nn.Parameter(torch.randn(16, 2, generator=generator, dtype=torch.float64) / 4)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        level = noise.expand(len(x)).reshape(-1, 1)
        return 0.7 * x + torch.cat([x, level], dim=1).matmul(self.first).tanh().matmul(self.second)


def log_time(alpha_bar: Tensor) -> Tensor:
    """Return log t of the VP SDE, whose kernel's mean is exp(-B(t)/2) = sqrt(alpha_bar), B = 0.1 t + 9.95 t^2."""
    integral = -alpha_bar.log()
    return ((-0.1 + (0.01 + 4 * 9.95 * integral).sqrt()) / (2 * 9.95)).log()


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(n: int, seed: int = 1) -> Tensor:
    return torch.randn(n, 2, generator=generator(seed), dtype=torch.float64)


def test_the_loss_of_ddpm_is_denoising_score_matching() -> None:
    network = Noise()
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha_bar = (1 - beta).cumprod(0)[torch.randint(1000, (500,), generator=generator())]
    clean, noise = points(500), points(500, seed=2)
    # L_simple (Ho, Jain & Abbeel 2020, eq. 14)
    x_t = alpha_bar.sqrt()[:, None] * clean + (1 - alpha_bar).sqrt()[:, None] * noise
    simple = (noise - network(x_t, log_time(alpha_bar))).square().mean()
    sigma = ((1 - alpha_bar) / alpha_bar).sqrt()
    score_model = PreconditionedScore(network, "noise_vp")
    read_in_sigma = denoising_score_matching(score_model, clean, sigma, noise, weighting="sigma2").mean()
    torch.testing.assert_close(read_in_sigma, simple, rtol=1e-6, atol=0)


def test_the_samples_of_ddim_are_the_same() -> None:
    network = Noise()
    sigmas = ddpm_levels()[::20]
    alpha_bar = 1 / (1 + sigmas.square())
    start = points(50)
    x_t = start.clone()
    with torch.no_grad():
        # Song, Meng & Ermon 2021, eq. 12 with sigma_t = 0, in the coordinates of the paper
        for now, following in zip(alpha_bar, [*alpha_bar[1:], torch.ones((), dtype=torch.float64)], strict=True):
            predicted = network(x_t, log_time(now))
            clean = (x_t - (1 - now).sqrt() * predicted) / now.sqrt()
            x_t = following.sqrt() * clean + (1 - following).sqrt() * predicted
    read_in_sigma = sample(
        PreconditionedScore(network, "noise_vp"),
        sigmas,
        50,
        2,
        "ddim",
        start / alpha_bar[0].sqrt(),
        dtype=torch.float64,
    )
    torch.testing.assert_close(read_in_sigma, x_t, rtol=1e-6, atol=1e-6)


def test_the_log_density_is_the_same_along_the_vp_flow() -> None:
    network = Noise()
    vp = PROCESSES["vp"]
    ends = torch.tensor([0.05, 4.0], dtype=torch.float64)
    x = points(3)
    read_in_sigma = log_density(
        PreconditionedScore(network, "noise_vp"), x, *ends.tolist(), covariance=1.0, tolerance=1e-8
    )
    first, last = vp.time(ends).tolist()
    alpha_first, alpha_last = vp.alpha(ends).tolist()

    def slope(time: float, state: object) -> Tensor:
        """The VP flow dx/dt = -beta/2 (x + s), s = -noise/sqrt(1 - alpha_bar), and its divergence (Song et al. 2021, D.2)."""
        here = torch.as_tensor(state, dtype=torch.float64)[:2].clone().requires_grad_()
        beta = 0.1 + 19.9 * time
        alpha_bar = torch.tensor(math.exp(-0.1 * time - 9.95 * time**2), dtype=torch.float64)
        score = -network(here[None], log_time(alpha_bar))[0] / (1 - alpha_bar).sqrt()
        velocity = -beta / 2 * (here + score)
        rows = [torch.autograd.grad(velocity[i], here, retain_graph=True)[0][i] for i in range(2)]
        return torch.cat([velocity, torch.stack(rows).sum()[None]]).detach()

    for row, found in zip(x, read_in_sigma, strict=True):
        begin = torch.cat([alpha_first * row, torch.zeros(1, dtype=torch.float64)]).numpy()
        path = solve_ivp(slope, (first, last), begin, rtol=1e-9, atol=1e-9)
        *end, gained = path.y[:, -1].tolist()
        # the data's moments, scaled by alpha, and the volume that dividing by alpha gives back
        variance = alpha_last**2 * (1 + 4.0**2)
        gaussian = -sum(value**2 for value in end) / (2 * variance) - math.log(2 * math.pi * variance)
        assert float(found) == pytest.approx(gaussian + gained + 2 * math.log(alpha_first), abs=1e-4)


@pytest.mark.parametrize("name", ["vp", "sub_vp"])
@pytest.mark.parametrize("time", [0.01, 0.3, 0.9])
def test_one_mixture_read_by_ve_vp_and_sub_vp_has_the_same_score(name: str, time: float) -> None:
    weights, means = torch.tensor([0.3, 0.7]), torch.tensor([[-2.0, 1.0], [1.0, -0.5]])
    covariances = torch.tensor([[[0.5, 0.2], [0.2, 0.3]], [[0.2, -0.1], [-0.1, 0.6]]])
    weights, means, covariances = weights.double(), means.double(), covariances.double()
    integral = 0.1 * time + 9.95 * time**2
    alpha = math.exp(-integral / 2)
    spread = math.sqrt(-math.expm1(-integral)) if name == "vp" else -math.expm1(-integral)
    # the process's own density at this time, and its score by autograd
    kernel = alpha**2 * covariances + spread**2 * torch.eye(2, dtype=torch.float64)
    density = MixtureSameFamily(Categorical(weights), MultivariateNormal(alpha * means, kernel))
    x_t = (2 * points(40)).requires_grad_()
    (score_t,) = torch.autograd.grad(density.log_prob(x_t).sum(), x_t)
    sigma = PROCESSES[name].sigma(torch.tensor(time, dtype=torch.float64))
    read_in_sigma = GaussianMixtureScore(weights, means, covariances)(x_t.detach() / alpha, sigma) / alpha
    torch.testing.assert_close(read_in_sigma, score_t, rtol=1e-5, atol=1e-5)

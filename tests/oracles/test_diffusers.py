"""Step for step the same as Hugging Face diffusers, given the same model and the same noise.

diffusers walks variance-preserving samples alpha x and asks for a network's output; here both are derived from one
exact score in sigma. Each of its steps is compared, the last, down to sigma = 0, with the denoised samples.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from ncsn.exact import GaussianMixtureScore
from ncsn.samplers import SAMPLERS, CountedModel, Noise

SIGMA_DATA = 0.5


class SharedNoise(Noise):
    """The draws that diffusers makes of a generator with the same seed."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, first=0, block=10**9, device=torch.device("cpu"))
        self.generator = generator(seed)

    def like(self, x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(dtype: torch.dtype) -> GaussianMixtureScore:
    means = torch.tensor([[-1.0, 0.5], [0.8, 0.8], [0.2, -1.0]], dtype=dtype)
    return GaussianMixtureScore([0.5, 0.3, 0.2], means, torch.tensor([[0.05, 0.2], [0.1, 0.1], [0.3, 0.02]]))


def start(sigma: float, dtype: torch.dtype = torch.float32) -> Tensor:
    return sigma * torch.randn(16, 2, generator=generator(1), dtype=torch.float64).to(dtype)


def ours(name: str, model: Callable[..., Tensor], x: Tensor, sigmas: Tensor, **options: Any) -> list[Tensor]:
    """The samples after each step, with the last denoising."""
    counted = CountedModel(model)
    states = list(SAMPLERS[name](**options).walk(counted, x, sigmas.to(x), SharedNoise(7)))
    end = [] if states[-1].sigma == 0 else [counted.denoise(states[-1].x, sigmas[-1])]
    return [state.x for state in states] + end


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for step, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5, msg=partial("step {}: {}".format, step))


def edm_output(x: Tensor, denoised: Tensor, sigma: Tensor) -> Tensor:
    """The network's output F of which EDM's coefficients make ``denoised``."""
    total = sigma**2 + SIGMA_DATA**2
    return (denoised - SIGMA_DATA**2 / total * x) * total.sqrt() / (sigma * SIGMA_DATA)


@pytest.mark.parametrize("schedule", ["linear", "squaredcos_cap_v2"])
def test_ddpm(schedule: str) -> None:
    """The posterior of 1,000 variance-preserving steps is that of `ancestral` once divided by alpha."""
    scheduler = diffusers.DDPMScheduler(beta_schedule=schedule, variance_type="fixed_small", clip_sample=False)
    scheduler.alphas_cumprod = (1 - scheduler.betas.double()).cumprod(0)
    alphas = scheduler.alphas_cumprod.sqrt()
    sigmas = (1 - alphas**2).sqrt() / alphas
    model, x = mixture(torch.float64), start(float(sigmas[-1]), torch.float64)
    draws, expected, sample = generator(), [], alphas[-1] * x
    for t in scheduler.timesteps.tolist():
        noise = -sigmas[t] * model(sample / alphas[t], sigmas[t])
        sample = scheduler.step(noise, t, sample, generator=draws).prev_sample
        expected.append(sample / (alphas[t - 1] if t else 1))
    assert_same(ours("ancestral", model, x, sigmas.flip(0)), expected)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim(eta: float) -> None:
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    scheduler.alphas_cumprod = (1 - scheduler.betas.double()).cumprod(0)
    scheduler.set_timesteps(50)
    times = scheduler.timesteps.tolist()
    alphas = scheduler.alphas_cumprod.sqrt()
    sigmas = (1 - alphas**2).sqrt() / alphas
    model, x = mixture(torch.float64), start(float(sigmas[times[0]]), torch.float64)
    draws, expected, sample = generator(), [], alphas[times[0]] * x
    for t, following in zip(times, [*times[1:], None], strict=True):
        noise = -sigmas[t] * model(sample / alphas[t], sigmas[t])
        sample = scheduler.step(noise, t, sample, eta=eta, generator=draws).prev_sample
        expected.append(sample if following is None else sample / alphas[following])
    assert_same(ours("ancestral", model, x, sigmas[times], eta=eta), expected)
    if eta == 0:
        assert_same(ours("ddim", model, x, sigmas[times]), expected)


def test_euler() -> None:
    scheduler = diffusers.EulerDiscreteScheduler(use_karras_sigmas=True)
    scheduler.set_timesteps(30)
    sigmas, model = scheduler.sigmas[:-1], mixture(torch.float32)
    x = sample = start(float(sigmas[0]))
    expected = []
    for sigma, t in zip(sigmas, scheduler.timesteps, strict=True):
        scheduler.scale_model_input(sample, t)
        sample = scheduler.step(-sigma * model(sample, sigma), t, sample).prev_sample
        expected.append(sample)
    assert_same(ours("ddim", model, x, sigmas), expected)


def test_heun() -> None:
    scheduler = diffusers.HeunDiscreteScheduler(use_karras_sigmas=True)
    scheduler.set_timesteps(30)
    model = mixture(torch.float32)
    x = sample = start(float(scheduler.sigmas[0]))
    expected = []
    for sigma, t in zip(scheduler.sigmas[:-1], scheduler.timesteps, strict=True):
        sample = scheduler.step(-sigma * model(sample, sigma), t, sample).prev_sample
        if scheduler.state_in_first_order:
            expected.append(sample)
    # its last step, down to 0, is of first order
    expected.append(sample)
    assert_same(ours("heun", model, x, scheduler.sigmas[:-1].unique_consecutive()), expected)


def test_dpm_solver_2m() -> None:
    scheduler = diffusers.EDMDPMSolverMultistepScheduler(sigma_data=SIGMA_DATA, solver_order=2, solver_type="midpoint")
    scheduler.set_timesteps(20)
    sigmas, model = scheduler.sigmas[:-1], mixture(torch.float32)
    x = sample = start(float(sigmas[0]))
    expected = []
    for sigma, t in zip(sigmas, scheduler.timesteps, strict=True):
        denoised = model.denoise(sample, sigma)
        sample = scheduler.step(edm_output(sample, denoised, sigma), t, sample).prev_sample
        expected.append(sample)
    assert_same(ours("dpmpp_2m", model, x, sigmas), expected)


def test_edm_churn() -> None:
    """Karras et al. 2022, algorithm 2, of diffusers' two parts: the churn of its Euler scheduler, with Heun's slope."""
    scheduler = diffusers.EDMEulerScheduler(sigma_data=SIGMA_DATA)
    scheduler.set_timesteps(30)
    churn = {"s_churn": 8.0, "s_tmin": 0.05, "s_tmax": 40.0, "s_noise": 1.007}
    sigmas, model = scheduler.sigmas[:-1], mixture(torch.float32)
    gamma = min(churn["s_churn"] / 30, math.sqrt(2) - 1)
    x = sample = start(float(sigmas[0]))
    draws, expected = generator(), []
    for index, t in enumerate(scheduler.timesteps):
        scheduler.scale_model_input(sample, t)
        sigma, following = scheduler.sigmas[index], scheduler.sigmas[index + 1]
        raised, place = sigma, sample
        if churn["s_tmin"] <= sigma <= churn["s_tmax"]:
            raised = sigma * (1 + gamma)
            # diffusers draws the noise inside its step, after the model has been called
            state = draws.get_state()
            z = torch.randn(x.shape, generator=draws)
            draws.set_state(state)
            place = sample + churn["s_noise"] * (raised**2 - sigma**2).sqrt() * z
        denoised = model.denoise(place, raised)
        if following > 0:
            slope = (place - denoised) / raised
            predicted = place + (following - raised) * slope
            slope = (slope + (predicted - model.denoise(predicted, following)) / following) / 2
            denoised = place - raised * slope
        sample = scheduler.step(
            denoised, t, sample, generator=draws, pred_original_sample=denoised, **churn
        ).prev_sample
        expected.append(sample)
    options = {"churn": 8.0, "churn_min": 0.05, "churn_max": 40.0, "churn_noise": 1.007}
    assert_same(ours("heun", model, x, sigmas, **options), expected)


@pytest.mark.parametrize("corrections", [1, 2])
def test_predictor_corrector(corrections: int) -> None:
    scheduler = diffusers.ScoreSdeVeScheduler(snr=0.16, sigma_min=0.02, sigma_max=50.0, correct_steps=corrections)
    scheduler.set_timesteps(40)
    scheduler.set_sigmas(40)
    sigmas, model = scheduler.discrete_sigmas.flip(0), mixture(torch.float32)
    x = sample = start(50.0)
    draws, expected = generator(), []
    for sigma, t in zip(sigmas, scheduler.timesteps, strict=True):
        for _ in range(corrections):
            sample = scheduler.step_correct(model(sample, sigma), sample, generator=draws).prev_sample
            expected.append(sample)
        stepped = scheduler.step_pred(model(sample, sigma), t, sample, generator=draws)
        sample = stepped.prev_sample
        expected.append(sample)
    expected[-1] = stepped.prev_sample_mean
    assert_same(ours("predictor_corrector", model, x, sigmas, snr=0.16, n_corrector_steps=corrections), expected)


@pytest.mark.parametrize("evaluations", [1, 2, 5])
def test_consistency(evaluations: int) -> None:
    scheduler = diffusers.CMStochasticIterativeScheduler(sigma_data=SIGMA_DATA, clip_denoised=False)
    scheduler.set_timesteps(evaluations)
    sigmas, low = scheduler.sigmas, scheduler.sigmas[-1]
    weights = torch.randn(2, 2, generator=generator(3))

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.tanh(x / (sigma**2 + SIGMA_DATA**2).sqrt() @ weights + sigma.log() / 4)

    def end_of_flow(x: Tensor, sigma: Tensor) -> Tensor:
        skip = SIGMA_DATA**2 / ((sigma - low) ** 2 + SIGMA_DATA**2)
        out = SIGMA_DATA * (sigma - low) / (sigma**2 + SIGMA_DATA**2).sqrt()
        return skip * x + out * network(x, sigma)

    x = sample = start(float(sigmas[0]))
    draws, expected = generator(), []
    for sigma, t in zip(sigmas, scheduler.timesteps, strict=False):
        scheduler.scale_model_input(sample, t)
        sample = scheduler.step(network(sample, sigma), t, sample, generator=draws).prev_sample
        expected.append(sample)
    assert_same(ours("consistency", end_of_flow, x, sigmas), expected)

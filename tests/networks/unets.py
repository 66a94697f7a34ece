"""Small UNets of diffusers with random weights, and the walks that its pipelines take with them."""

from __future__ import annotations

from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from ncsn.randomness import drawn_from
from ncsn.samplers import SAMPLERS, CountedModel, Noise, Sampler

SHAPE = (3, 8, 8)
NCSNPP: dict[str, Any] = {
    "time_embedding_type": "fourier",
    "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
    "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    "block_out_channels": (32, 32),
}
"""What makes a UNet of diffusers an NCSN++."""


def random_unet(seed: int = 0, **changes: Any) -> Any:
    """A UNet in double precision whose random answers are of about unit size."""
    sizes: dict[str, Any] = {"sample_size": 8, "layers_per_block": 1, "block_out_channels": (8, 16)}
    blocks: dict[str, Any] = {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 4,
    }
    with drawn_from(torch.Generator().manual_seed(seed)):
        made: Any = diffusers.UNet2DModel(**sizes | blocks | changes)
        for module in made.modules():
            # without it the answer hardly depends on the time
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
    return made.double().eval()


def images(n: int = 2, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class SharedNoise(Noise):
    """The draws that diffusers makes of a generator with the same seed."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, first=0, block=10**9, device=torch.device("cpu"))
        self.generator = torch.Generator().manual_seed(seed)

    def like(self, x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


def alpha(sigma: Tensor | float) -> Tensor:
    return (1 + torch.as_tensor(sigma, dtype=torch.float64).square()).rsqrt()


@torch.no_grad()
def walked(sampler: str | Sampler, model: Any, x: Tensor, sigmas: Tensor, **condition: Any) -> list[Tensor]:
    """The samples after each step of this library's sampler, with the last denoising."""
    counted = CountedModel(model, condition) if condition else CountedModel(model)
    steps: Any = SAMPLERS[sampler]() if isinstance(sampler, str) else sampler
    states = list(steps.walk(counted, x, sigmas.to(x), SharedNoise(7)))
    end = [] if states[-1].sigma == 0 else [counted.denoise(states[-1].x, sigmas.to(x)[-1])]
    return [state.x for state in states] + end


@torch.no_grad()
def piped(scheduler: Any, unet: Any, sample: Tensor, n: int, **told: Any) -> list[Tensor]:
    """The samples after each step of a pipeline of diffusers, in the scheduler's own units."""
    scheduler.set_timesteps(n)
    options: dict[str, Any] = {}
    if isinstance(scheduler, diffusers.DDPMScheduler):
        options["generator"] = torch.Generator().manual_seed(7)
    states = []
    for t in scheduler.timesteps:
        given = scheduler.scale_model_input(sample, t)
        sample = scheduler.step(unet(given, t, **told).sample[:, : sample.shape[1]], t, sample, **options).prev_sample
        states.append(sample)
    return states


@torch.no_grad()
def corrected(scheduler: Any, unet: Any, sample: Tensor, n: int) -> list[Tensor]:
    """The samples after each level of a ``ScoreSdeVePipeline``, the last without noise."""
    scheduler.set_timesteps(n)
    scheduler.set_sigmas(n)
    draws, states = torch.Generator().manual_seed(7), []
    for sigma, t in zip(scheduler.sigmas, scheduler.timesteps, strict=True):
        score = unet(sample, sigma.to(sample).expand(len(sample))).sample
        sample = scheduler.step_correct(score, sample, generator=draws).prev_sample
        score = unet(sample, sigma.to(sample).expand(len(sample))).sample
        stepped = scheduler.step_pred(score, t, sample, generator=draws)
        sample = stepped.prev_sample
        states.append(sample)
    return [*states[:-1], stepped.prev_sample_mean]


def assert_same(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-5) -> None:
    """Equal step by step, to a share of the largest value of the walk."""
    assert len(found) == len(expected)
    largest = max(float(state.abs().max()) for state in expected)
    for step, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        error = float((mine - theirs).abs().max())
        assert error <= tolerance * max(largest, 1.0), f"step {step}: {error:.2e} of {largest:.3g}"

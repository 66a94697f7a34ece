"""Which noise schedule suits the Swiss roll: geometric, linear, cosine or Karras?

Each schedule trains a network of its own at its 30 levels, all else equal, and is judged twice: by annealed Langevin dynamics on
the very levels that it was trained on, and by a sampler that walks the same levels for all, which shows what the network
learned. Stability is how much the loss and the size of the gradient vary in the second half of the training.

    python examples/schedules.py            # about 3 minutes on one core; --quick for a smoke test
"""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from output import BLUE, GREEN, GREY, ORANGE, Judge, between, options, save_figure, save_table
from torch import Tensor

from ncsn import (
    GaussianMixtureScore,
    PreconditionedScore,
    ResidualMLP,
    create_noise_schedule,
    ncsn_loss,
    sample,
    score_error_by_level,
    stray_fraction,
    swiss_roll,
    toy_mixture,
)
from ncsn.training import MovingAverage

KINDS = ("geometric", "karras", "cosine", "linear")
COLORS = (BLUE, GREEN, GREY, ORANGE)
SIGMA_MIN, SIGMA_MAX, LEVELS = 0.01, 5.0, 30


def train(sigmas: Tensor, data: Tensor, steps: int, seed: int) -> tuple[torch.nn.Module, list[float], list[float]]:
    """Train a network at these levels; return its averaged weights, and loss and gradient norm of each step."""
    torch.manual_seed(seed)
    network = PreconditionedScore(ResidualMLP((2,), width=128, n_blocks=2, n_fourier=64), "edm")
    average = MovingAverage(network)
    optimizer = torch.optim.Adam(network.parameters())
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps, pct_start=0.1)
    losses, norms = [], []
    for _ in range(steps):
        loss = ncsn_loss(network, data[torch.randint(len(data), (256,))], sigmas, weighting="edm")
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(network.parameters(), 1e6)))
        optimizer.step()
        rates.step()
        average.update()
        losses.append(loss.item())
    return average.model.eval(), losses, norms


def variation(values: list[float]) -> float:
    """Return standard deviation over mean, in the second half."""
    half = values[len(values) // 2 :]
    return statistics.stdev(half) / statistics.fmean(half)


def main() -> None:
    """Train, sample, judge, and write the table and the figure."""
    given = options(__doc__, "schedules")
    steps, n = (30, 300) if given.quick else (1500, 5000)
    exact = GaussianMixtureScore(*toy_mixture("swiss_roll", 500))
    at = create_noise_schedule(SIGMA_MIN, SIGMA_MAX, 12)
    common = create_noise_schedule(SIGMA_MIN, SIGMA_MAX, 40, "karras")
    rows: list[list[str]] = []
    errors: dict[str, list[Tensor]] = {}
    shown: dict[str, Tensor] = {}
    for kind in KINDS:
        sigmas = create_noise_schedule(SIGMA_MIN, SIGMA_MAX, LEVELS, kind)
        results = []
        for seed in range(given.seeds):
            generator = torch.Generator().manual_seed(seed)
            data, held_out = swiss_roll(n, generator), swiss_roll(4 * n, generator)
            judge = Judge(data, held_out)
            network, losses, norms = train(sigmas, data, steps, seed)
            walked = sample(
                network,
                sigmas,
                n,
                2,
                "annealed_langevin",
                generator=generator,
                n_steps_per_sigma=1 if given.quick else 10,
            )
            flown = sample(network, common, n, 2, "dpmpp_2m", generator=generator)
            error = score_error_by_level(network, exact, swiss_roll(min(n, 2000), generator), at, generator)
            results.append(
                (
                    judge.ratio(walked),
                    100 * stray_fraction(walked, data),
                    judge.ratio(flown),
                    100 * stray_fraction(flown, data),
                    variation(losses),
                    variation(norms),
                )
            )
            errors.setdefault(kind, []).append(error)
            shown[kind] = walked
            print(f"{kind}, seed {seed}: {' '.join(f'{value:.3g}' for value in results[-1])}", flush=True)
        rows.append(
            [
                kind,
                *(
                    between(column, digits)
                    for column, digits in zip(zip(*results, strict=True), (2, 1, 2, 1, 2, 2), strict=True)
                ),
            ]
        )
    header = ["schedule", "Langevin: distance ×", "strays %", "same levels: distance ×", "strays %"]
    save_table(given.out / "schedules.md", [*header, "variation of the loss", "of the gradient"], rows)
    draw(given.out, errors, at, shown)


def draw(out: Path, errors: dict[str, list[Tensor]], at: Tensor, shown: dict[str, Tensor]) -> None:
    """Draw the samples of each schedule, its levels and the error of its network."""
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    axes = figure.subplot_mosaic([[*KINDS], ["levels", "levels", "errors", "errors"]], height_ratios=[1.2, 1])
    for kind, color in zip(KINDS, COLORS, strict=True):
        axes[kind].scatter(shown[kind][:, 0], shown[kind][:, 1], s=1, color=color)
        axes[kind].set(title=kind, xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), aspect="equal")
        sigmas = create_noise_schedule(SIGMA_MIN, SIGMA_MAX, LEVELS, kind)
        axes["levels"].semilogy(sigmas, ".-", color=color, label=kind, linewidth=0.8)
        median = torch.stack(errors[kind]).median(0).values
        axes["errors"].loglog(at, median, "o-", color=color, label=kind, markersize=4)
    axes["levels"].set(xlabel="level", title=f"the {LEVELS} levels σ")
    axes["errors"].set(xlabel="σ", title="relative error of the learned score (a zero score: 1 at small σ)")
    axes["errors"].grid(alpha=0.3)
    axes["levels"].legend()
    save_figure(out / "schedules.png", figure)


if __name__ == "__main__":
    main()

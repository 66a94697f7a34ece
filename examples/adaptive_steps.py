"""Do adaptive step sizes beat fixed ones in annealed Langevin dynamics, at the same number of evaluations?

The score is exact, so that every error is the sampler's. Four rules for the step alpha of x + (alpha/2) s + sqrt(alpha) z:

- constant: the same alpha at every level, as large as the last level allows;
- sigma: alpha proportional to sigma^2, fixed beforehand (Song & Ermon 2019);
- score: alpha proportional to 1 / (mean of |s|^2 over all particles), adaptive;
- own score: alpha proportional to 1 / |s|^2 of each particle itself, adaptive, a sampler written below.

All four agree where the data are one point, and there take the step of technique 4 (Song & Ermon 2020) times a factor, the best
of five for each rule and number of steps, chosen on a draw of its own. More evaluations are more steps at each level.

    python examples/adaptive_steps.py       # about 2 minutes on one core; --quick for a smoke test
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from output import BLUE, GREEN, GREY, ORANGE, Judge, between, options, save_figure, save_table
from torch import Tensor

from ncsn import (
    DivergenceError,
    GaussianMixtureScore,
    State,
    create_noise_schedule,
    denoised_from_score,
    sample,
    toy_mixture,
)
from ncsn.noise import langevin_step_size
from ncsn.samplers import CountedModel, Noise

LEVELS = create_noise_schedule(0.02, 5.0, 15)
FACTORS, TUNING_SEED = (0.3, 0.6, 1.0, 1.7, 3.0), 1000
COLORS = {"constant": GREY, "sigma": BLUE, "score": GREEN, "own score": ORANGE}
SETS = {
    "eight equal modes": GaussianMixtureScore(*toy_mixture("eight_gaussians")),
    "wide and narrow modes": GaussianMixtureScore(
        [0.5, 0.3, 0.2], torch.tensor([[-1.5, 0.0], [1.5, 1.0], [1.0, -1.5]]), torch.tensor([1.0, 0.04, 0.0025])
    ),
}


def walk(
    model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, *, rule: str, n_steps: int, relative: float
) -> Iterator[State]:
    """Walk down the levels by one of the rules; ``relative`` is alpha / sigma^2 where the data are one point."""
    step, last = 0, sigmas[-1]
    for sigma in sigmas:
        for _ in range(n_steps):
            step += 1
            score = model.score(x, sigma)
            squares = score.square().sum(1, keepdim=True) / x.shape[1]
            alpha = (
                relative
                * {
                    "constant": last**2,
                    "sigma": sigma**2,
                    "score": 1 / squares.mean(),
                    "own score": 1 / squares,
                }[rule]
            )
            denoised = denoised_from_score(x, sigma, score)
            x = x + alpha / 2 * score + alpha.sqrt() * noise.like(x)
            yield State(step, float(sigma), x, denoised, model.evaluations)


def main() -> None:
    """Sample by each rule with ever more steps, judge, and write the table and the figure."""
    given = options(__doc__, "adaptive_steps")
    n, all_steps = (200, (1, 2)) if given.quick else (2000, (1, 2, 5, 10, 20))
    rows: list[list[str]] = []
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for name, exact in SETS.items():
        curves[name] = {rule: [] for rule in COLORS}
        for rule, curve in curves[name].items():
            for n_steps in all_steps:
                trial = {factor: distance(exact, rule, n_steps, n, TUNING_SEED, factor) for factor in FACTORS}
                best = min(trial, key=lambda factor: trial[factor])
                curve.append([distance(exact, rule, n_steps, n, seed, best) for seed in range(given.seeds)])
            rows.append([name, rule, *(between(ratios, 1) for ratios in curve)])
            print(*rows[-1], sep="  ", flush=True)
    evaluations = [n_steps * len(LEVELS) + 1 for n_steps in all_steps]
    lag = {n_steps: lags(SETS["eight equal modes"], n_steps, n) for n_steps in (all_steps[0], all_steps[-1])}
    save_table(
        given.out / "adaptive_steps.md", ["data", "step by", *(f"{count} evaluations" for count in evaluations)], rows
    )
    draw(given.out, curves, evaluations, lag)


def distance(exact: GaussianMixtureScore, rule: str, n_steps: int, n: int, seed: int, factor: float) -> float:
    """Return the samples' distance to held-out data as a multiple of as many fresh data's; infinite where it diverged."""
    generator = torch.Generator().manual_seed(seed)
    judge = Judge(exact.sample(n, generator).float(), exact.sample(4 * n, generator).float())
    by_rule = langevin_step_size(float(LEVELS[-1]), float(LEVELS[0] / LEVELS[1]), n_steps)
    relative = factor * by_rule / float(LEVELS[-1]) ** 2
    try:
        drawn = sample(
            exact, LEVELS, n, 2, walk, generator=generator, rule=rule, n_steps=n_steps, relative=relative, chunk_size=n
        )
    except DivergenceError:
        return float("inf")
    return judge.ratio(drawn)


def lags(exact: GaussianMixtureScore, n_steps: int, n: int) -> list[float]:
    """Return how long the steps are by score, as a multiple of those by sigma, at the last step of each level."""
    shares: dict[float, float] = {}

    def watched(x: Tensor, sigma: Tensor) -> Tensor:
        score = exact(x, sigma)
        shares[float(sigma)] = float(1 / (sigma * score).square().mean())
        return score

    generator = torch.Generator().manual_seed(0)
    relative = langevin_step_size(float(LEVELS[-1]), float(LEVELS[0] / LEVELS[1]), n_steps) / float(LEVELS[-1]) ** 2
    sample(watched, LEVELS, n, 2, walk, None, False, generator, rule="score", n_steps=n_steps, relative=relative)
    return list(shares.values())


def draw(
    out: Path, curves: dict[str, dict[str, list[list[float]]]], evaluations: list[int], lag: dict[int, list[float]]
) -> None:
    """Draw distance by evaluations for each data set, and the steps by score beside those by sigma."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    axes[1].sharey(axes[0])
    for ax, (name, by_rule) in zip(axes, curves.items(), strict=False):
        for rule, color in COLORS.items():
            values = torch.tensor(by_rule[rule])
            ax.loglog(evaluations, values.median(1).values, "o-", color=color, label=rule)
            ax.fill_between(evaluations, values.amin(1), values.amax(1), color=color, alpha=0.15, linewidth=0)
        ax.axhline(1, color="black", linewidth=0.8, linestyle=":")
        ax.set(title=name, xlabel="evaluations of the score")
        ax.set_xticks(evaluations, [str(count) for count in evaluations])
        ax.set_xticks([], minor=True)
        ax.grid(alpha=0.3)
    for (n_steps, steps), style in zip(lag.items(), ("o--", "o-"), strict=True):
        label = f"{n_steps} step{'s' if n_steps > 1 else ''} a level"
        axes[2].loglog(LEVELS, steps, style, color=COLORS["score"], label=label, markersize=4)
    axes[2].axhline(1, color=COLORS["sigma"])
    axes[2].set(title="step by score / step by sigma, eight modes", xlabel="σ, walked from right to left")
    axes[2].grid(alpha=0.3)
    axes[2].legend()
    axes[0].set_ylabel("distance to held-out data, × fresh data's")
    axes[1].legend(title="step by", loc="center right", bbox_to_anchor=(1, 0.47), ncols=2)
    save_figure(out / "adaptive_steps.png", figure)


if __name__ == "__main__":
    main()

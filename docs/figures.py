"""Draw the guide's figures into docs/images.

    python docs/figures.py             # all: about two minutes on one core
    python docs/figures.py levels      # these alone

Colours are those of the library's own figures, which colour-blind readers tell apart.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.distributions import LogNormal, Uniform

from ncsn import (
    NCSN,
    GaussianMixtureScore,
    Posterior,
    compare,
    create_noise_schedule,
    loss_by_level,
    plot_columns,
    plot_multiscale_scores,
    plot_pairs,
    sample,
    score_error_by_level,
    sliced_wasserstein2,
    split,
    toy_mixture,
)
from ncsn.data import TOYS, Number
from ncsn.evaluation import Comparison
from ncsn.guidance import LinearMeasurement, MomentMatchingGuidance, PseudoinverseGuidance, sample_posterior
from ncsn.plots import pairs, plot_quality_by_evaluations
from ncsn.plots.style import DATA, FLOOR, SAMPLES, panels, styled
from ncsn.plots.training import label_decades
from ncsn.randomness import drawn_from

IMAGES = Path(__file__).parent / "images"

PENGUINS = Path(__file__).parent / "penguins.csv"


def seeded(seed: int = 0) -> torch.Generator:
    """Return a generator of its own for each draw."""
    return torch.Generator().manual_seed(seed)


def exact_score(name: str, n_components: int = 2000) -> GaussianMixtureScore:
    """Return a toy set's exact score in single precision."""
    return GaussianMixtureScore(*(part.float() for part in toy_mixture(name, n_components)))


@styled
def low_density() -> Figure:
    """Draw a score learned from one noise level beside the exact one, and where there are no data."""
    sigma = torch.tensor(0.3)
    exact = GaussianMixtureScore([0.5, 0.5], [[-4.0], [4.0]], 0.25)
    data = exact.sample(2000, generator=seeded())
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(3000):
        noise = torch.randn(data.shape)
        loss = (sigma * network(data + sigma * noise) + noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = torch.linspace(-8, 8, 600)[:, None]
    density = exact.log_density(x, sigma).exp()
    figure, axes = panels(2, 1, width=6.4, height=1.6, sharex=True)
    top, bottom = axes[:, 0]
    top.fill_between(x[:, 0], density, color=DATA, alpha=0.35, linewidth=0)
    top.plot(data[:200, 0], torch.full((200,), -0.02), "|", color=DATA, markersize=5)
    top.set(ylabel="density", title="where the data are")
    bottom.axhline(0, color="#BBBBBB", linewidth=0.7)
    bottom.plot(x[:, 0], exact(x, sigma)[:, 0], color="black", linestyle=(0, (4, 2.5)), label="exact score")
    bottom.plot(x[:, 0], network(x).detach()[:, 0], color=SAMPLES, linewidth=2, label="learned at σ = 0.3")
    empty = (density < 1e-4).tolist()
    for ax in (top, bottom):
        ax.fill_between(
            x[:, 0], 0, 1, where=empty, color="#EDEDED", linewidth=0, transform=ax.get_xaxis_transform(), zorder=0
        )
    bottom.set(xlabel="x (grey: fewer than one point in 10,000 a unit)", ylabel="score", ylim=(-13, 13))
    bottom.legend(loc="upper right")
    return figure


@styled
def levels() -> Figure:
    """Draw the exact score field of the Swiss roll at four noise levels."""
    points = TOYS["swiss_roll"].draw(3000, seeded())
    figure = plot_multiscale_scores(
        exact_score("swiss_roll"),
        torch.tensor([2.0, 0.6, 0.2, 0.05]),
        (-2.6, 2.6),
        (-2.6, 2.6),
        data=points,
        n_arrows=17,
    )
    figure.suptitle("The exact score of the Swiss roll, from thick fog to thin")
    return figure


@styled
def weighted_loss() -> Figure:
    """Draw the loss of a trained network, its floor and its score error by noise level."""
    points = TOYS["swiss_roll"].draw(5000, seeded())
    model = NCSN(random_state=0).fit(points)
    encoding = model.encoding_
    fresh = model.model_.rows(TOYS["swiss_roll"].draw(20_000, seeded(1)))
    weights, means, covariances = toy_mixture("swiss_roll")
    scale = torch.tensor([column.scale for column in encoding.columns if isinstance(column, Number)])
    outer = scale[:, None] * scale
    exact = GaussianMixtureScore(weights.float(), encoding.encode(means).float(), covariances.float() / outer)
    sigmas = create_noise_schedule(0.003, 4.0, 16)
    floor = loss_by_level(exact, fresh, sigmas, seeded(2))
    learned = loss_by_level(model.score_model_, fresh, sigmas, seeded(2))
    error = score_error_by_level(model.score_model_, exact, fresh, sigmas, seeded(2))
    figure, ((ax,),) = panels(1, 1, width=6.4, height=3.4)
    ax.plot(
        sigmas,
        floor,
        color=FLOOR,
        linestyle="--",
        linewidth=1.4,
        marker="x",
        label="loss of the exact score: the floor",
    )
    ax.plot(sigmas, learned, color=DATA, marker="o", markersize=4, label="loss of the network")
    ax.plot(sigmas, error, color=SAMPLES, marker="s", markersize=4, label="relative error of its score")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="noise level σ",
        ylabel="σ²-weighted, of a zero score about 1",
        ylim=(1e-6, 4),
    )
    label_decades(ax.xaxis)
    ax.grid(axis="y")
    ax.legend(loc="lower left")
    return figure


@styled
def annealing() -> Figure:
    """Draw what plain and annealed Langevin dynamics make of two modes of unequal weight, under the exact score."""
    exact = GaussianMixtureScore([0.2, 0.8], [[-5.0, -5.0], [5.0, 5.0]], 1.0)
    start = 16 * torch.rand(2000, 2, generator=seeded(1)) - 8
    plain = sample(
        exact, torch.tensor([0.1]), 2000, 2, "langevin", start, generator=seeded(2), n_steps=2000, step_size=0.05
    )
    sigmas = create_noise_schedule(0.1, 40.0, 30)
    annealed = sample(exact, sigmas, 2000, 2, "annealed_langevin", generator=seeded(3), n_steps_per_sigma=60)
    figure, axes = panels(1, 3, width=2.2, height=2.3, sharex=True, sharey=True)
    sets = {
        "data": (exact.sample(2000, generator=seeded()), DATA),
        "plain Langevin": (plain, SAMPLES),
        "annealed Langevin": (annealed, SAMPLES),
    }
    for ax, (name, (points, colour)) in zip(axes[0], sets.items(), strict=True):
        ax.scatter(*points.T, s=3, alpha=0.45, color=colour, linewidths=0)
        for corner in (-1, 1):
            share = float((points.sum(1).sign() == corner).float().mean())
            ax.annotate(f"{share:.0%}", (corner * 5, corner * 5 - 4.4), ha="center", fontsize=10)
        ax.set(title=name, xlim=(-10.5, 10.5), ylim=(-10.5, 10.5), aspect="equal")
    return figure


@styled
def measurement() -> Figure:
    """Draw a mixture, and what one measurement leaves of it: exactly, as sampled, and as published ways of guidance have it."""
    grid = torch.tensor([-4.0, 0.0, 4.0])
    prior = GaussianMixtureScore(torch.ones(9), torch.cartesian_prod(grid, grid), 0.3)
    seen, n = LinearMeasurement([[1.0, 0.6]], [1.2], sigma=0.8), 1500
    levels = create_noise_schedule(0.01, 20.0, 64)
    drawn = prior.sample(400 * n, seeded())
    weights = (-(drawn @ torch.tensor([1.0, 0.6]) - 1.2).square() / (2 * 0.8**2)).softmax(0)
    guided = {"PiGDM": PseudoinverseGuidance(prior, seen, 3.3), "MMPS": MomentMatchingGuidance(prior, seen)}
    sets = {
        "before": (drawn[:n], DATA),
        "exactly": (drawn[weights.multinomial(n, generator=seeded(1))], DATA),
        "sample_posterior": (sample_posterior(prior, seen, levels, n, generator=seeded(2)), SAMPLES),
    }
    sets |= {name: (sample(model, levels, n, 2, generator=seeded(3)), SAMPLES) for name, model in guided.items()}
    figure, axes = panels(1, 5, width=1.9, height=2.1, sharex=True, sharey=True)
    x = torch.linspace(-7, 7, 2)
    for ax, (name, (points, colour)) in zip(axes[0], sets.items(), strict=True):
        ax.fill_between(x, (0.4 - x) / 0.6, (2.0 - x) / 0.6, color="#EDEDED", linewidth=0, zorder=0)
        ax.scatter(*points.T, s=2, alpha=0.45, color=colour, linewidths=0)
        ax.set(title=name, xlim=(-6.5, 6.5), ylim=(-6.5, 6.5), aspect="equal")
    return figure


def samplers() -> Figure:
    """Draw the distance of each sampler's samples by evaluations, under the exact score of two moons."""
    exact = exact_score("moons", 100)
    held_out = TOYS["moons"].draw(20_000, seeded(100))

    def distance(points: Tensor) -> float:
        return sliced_wasserstein2(points, held_out, generator=seeded())

    rows = []
    for seed in range(2):
        floor = distance(TOYS["moons"].draw(2000, seeded(200 + seed)))
        for label, cost in {
            "dpmpp_2m with sigma_data": 1,
            "dpmpp_2m": 1,
            "heun": 2,
            "ddim": 1,
            "ancestral": 1,
            "reverse_sde": 1,
            "predictor_corrector": 2,
            "annealed_langevin": 10,
        }.items():
            name = label.split()[0]
            kind = "geometric" if name in ("annealed_langevin", "predictor_corrector") else "karras"
            options: dict[str, Any] = {"n_steps_per_sigma": 10} if name == "annealed_langevin" else {}
            if label != name:
                options = {"sigma_data": float(exact.covariance.diagonal().mean().sqrt())}
            for evaluations in (6, 10, 20, 40, 100):
                n_levels = evaluations // cost
                if n_levels < 3:
                    continue
                sigmas = create_noise_schedule(0.01, 20.0, n_levels, kind)
                drawn = sample(exact, sigmas, 2000, 2, name, generator=seeded(seed), **options)
                rows.append({"method": label, "evaluations": evaluations, "ratio": distance(drawn) / floor})
    return plot_quality_by_evaluations(pd.DataFrame(rows))


@functools.cache
def penguins() -> tuple[pd.DataFrame, pd.DataFrame, Comparison]:
    """Return penguins that training did not see, as many samples as it saw, and their comparison."""
    train, unseen, *_ = split(pd.read_csv(PENGUINS), holdout=0.2, seed=0)
    samples = NCSN(random_state=0).fit(train).sample(len(train))
    categories = ["species", "island", "sex", "year"]
    return unseen, samples, compare(samples, unseen, train, categorical=categories, generator=seeded())


def table_columns() -> Figure:
    """Draw the columns of the penguins that are kept worst."""
    return plot_columns(*penguins(), most=6)


def table_pairs() -> Figure:
    """Draw the pairs of columns of the penguins that are kept worst."""
    return plot_pairs(*penguins(), most=4)


def two_moons_posterior() -> Figure:
    """Draw the posterior of two moons beside the exact one, given 0."""
    posterior = Posterior(two_moons, Uniform(-torch.ones(2), torch.ones(2)), random_state=0).fit(10_000)
    # the crescent that was moved to 0, whose first coordinate has lost its sign
    with drawn_from(seeded()):
        moved = -math.sqrt(2) * two_moons(torch.zeros(8000, 2))
        moved = moved[moved[:, 0] <= 0]
        total = moved[:, 0] * (2 * torch.bernoulli(torch.full((len(moved),), 0.5)) - 1)
    exact = torch.stack([total - moved[:, 1], total + moved[:, 1]], dim=1) / 2
    limits = [(-0.5, 0.5), (-0.5, 0.5)]
    draws = posterior.sample(5000, x=torch.zeros(2))
    return pairs(draws, reference=exact, names=["first", "second"], limits=limits, n_points=2000)


def two_moons(theta: Tensor) -> Tensor:
    """Simulate as the page does."""
    angle = math.pi * (torch.rand(len(theta)) - 0.5)
    radius = 0.1 + 0.01 * torch.randn(len(theta))
    crescent = torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], dim=1)
    moved = torch.stack([-(theta[:, 0] + theta[:, 1]).abs(), theta[:, 1] - theta[:, 0]], dim=1)
    return crescent + moved / math.sqrt(2)


def epidemic_of(theta: Tensor) -> Tensor:
    """Simulate as the page does."""
    infection, recovery = theta.T
    well, ill = torch.full_like(infection, 995.0), torch.full_like(infection, 5.0)
    seen = []
    for day in range(1, 61):
        caught = torch.binomial(well, 1 - torch.exp(-infection * ill / 1000))
        over = torch.binomial(ill, 1 - torch.exp(-recovery))
        well, ill = well - caught, ill + caught - over
        if day % 6 == 0:
            seen.append(ill)
    return torch.stack(seen, dim=1)


@styled
def epidemic() -> Figure:
    """Draw the rates of an epidemic given the numbers of the ill, and what they foretell beside what was observed."""
    rates = [LogNormal(math.log(0.4), 0.5), LogNormal(math.log(0.125), 0.2)]
    posterior, truth = Posterior(epidemic_of, rates, random_state=0).fit(5000), torch.tensor([[0.5, 0.15]])
    torch.manual_seed(1)
    observed = epidemic_of(truth)[0]
    draws = posterior.sample(2000, x=observed)
    days, foretold = 6 * torch.arange(1, 11), epidemic_of(draws)
    figure, (row,) = panels(1, 2, width=3.6, height=3.0)
    prior = torch.stack([rate.sample(torch.Size([2000])) for rate in rates], dim=1)
    row[0].scatter(*prior.T, s=3, alpha=0.3, color=FLOOR, linewidths=0, label="prior")
    row[0].scatter(*draws.T, s=3, alpha=0.3, color=SAMPLES, linewidths=0, label="posterior")
    row[0].scatter(*truth.T, marker="+", color="black", s=70, label="truth")
    row[0].set(xlabel="infections a day", ylabel="recoveries a day", xlim=(0, 1.2), ylim=(0.05, 0.25))
    for handle in row[0].legend().legend_handles:
        # points of the plot are too small to be told apart
        handle.set(alpha=1.0, sizes=[30])
    for share in (0.5, 0.95):
        low, high = foretold.quantile(torch.tensor([(1 - share) / 2, (1 + share) / 2]), dim=0)
        row[1].fill_between(days, low, high, color=SAMPLES, alpha=0.25, linewidth=0, label=f"{share:.0%} foretold")
    row[1].plot(days, observed, "o", color=DATA, markersize=4, label="observed")
    row[1].set(xlabel="day", ylabel="people who are ill")
    row[1].legend()
    return figure


@styled
def regression() -> Figure:
    """Draw bill depths given flipper lengths beside the regression line, and the density given one length."""
    told, asked = "flipper_length_mm", "bill_depth_mm"
    table = pd.read_csv(PENGUINS).dropna(subset=[told, asked])
    train, *_ = split(table, seed=0)
    x, y = (train[[name]].to_numpy() for name in (told, asked))
    model = NCSN(random_state=0).fit(y, context=x)
    figure, axes = panels(1, 2, width=4.2, height=3.2)
    left, right = axes[0]
    drawn = model.sample(3 * len(x), context=x.repeat(3, axis=0), random_state=1)
    rng = np.random.default_rng(0)
    left.scatter(
        x.repeat(3) + rng.uniform(-0.5, 0.5, 3 * len(x)), drawn, s=5, color=SAMPLES, alpha=0.5, lw=0, label="drawn"
    )
    left.scatter(x, y, s=8, color=DATA, lw=0, label="measured")
    ends = np.array([x.min(), x.max()])
    left.plot(ends, np.poly1d(np.polyfit(x[:, 0], y[:, 0], 1))(ends), color=FLOOR, label="regression line")
    left.axvline(208, color=FLOOR, lw=0.8, ls=":")
    left.set(xlabel="flipper length (mm)", ylabel="bill depth (mm)", title="the whole distribution given each length")
    left.legend(loc="upper right")
    depths = np.linspace(11.5, 22, 200)[:, None]
    right.plot(
        depths, np.exp(model.score_samples(depths, context=[208.0])), color=SAMPLES, label="density of the model"
    )
    near = y[np.abs(x[:, 0] - 208) <= 3]
    right.hist(near, bins=np.arange(12, 22, 0.5), density=True, color=DATA, alpha=0.35, label="measured, 205 to 211 mm")
    right.axvline(np.poly1d(np.polyfit(x[:, 0], y[:, 0], 1))(208), color=FLOOR, label="regression line")
    right.set(xlabel="bill depth (mm)", title="given a flipper of 208 mm")
    right.set_ylim(0, 0.72)
    right.legend(loc="upper left")
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "low_density": low_density,
    "levels": levels,
    "weighted_loss": weighted_loss,
    "annealing": annealing,
    "measurement": measurement,
    "samplers": samplers,
    "table_columns": table_columns,
    "table_pairs": table_pairs,
    "two_moons_posterior": two_moons_posterior,
    "epidemic": epidemic,
    "regression": regression,
}


def main() -> None:
    """Draw the figures named, or all."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FIGURES:
        FIGURES[name]().savefig(IMAGES / f"{name}.png", dpi=130)
        print(f"wrote {IMAGES / name}.png", flush=True)


if __name__ == "__main__":
    main()

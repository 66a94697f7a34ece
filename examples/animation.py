"""The score field and its particles while sigma falls, as an animation: the learned score beside the exact one.

A network learns the Swiss roll. Particles start as noise and walk by annealed Langevin dynamics, on the left by the learned
score, on the right by the exact one. Arrows give the score's direction, their colour its length in units of 1 / sigma. The
table has the length of the score and the error of the learned one, level by level.

    python examples/animation.py            # about 2 minutes on one core; --quick for a smoke test

It writes a GIF, an HTML page with controls, a PNG of five moments and, where ffmpeg is installed, an MP4.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import torch
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from output import BLUE, ORANGE, between, options, save_figure, save_table
from torch import Tensor, nn

from ncsn import (
    METHODS,
    GaussianMixtureScore,
    ScoreModel,
    create_noise_schedule,
    make_plan,
    score_error_by_level,
    swiss_roll,
    toy_mixture,
    trajectory,
)
from ncsn.training import Recipe, Trainer

SIGMA_MIN, SIGMA_MAX = 0.01, 3.0
ARROWS, STEPS_PER_LEVEL, SECONDS = 15, 5, 7


def train(data: Tensor, steps: int, seed: int) -> nn.Module:
    """Train the library's network on data as they are."""
    torch.manual_seed(seed)
    plan, method = make_plan(data), METHODS["edm"]
    recipe = Recipe(method.levels(plan), steps, 256, plan.learning_rate, seed=seed)
    trainer = Trainer(method.build(plan, (2,)), data, recipe)
    trainer.run()
    return trainer.averaged_model


class Panel:
    """A score field with particles, redrawn at each level."""

    def __init__(self, ax: Axes, score: ScoreModel, name: str, color: str) -> None:
        self.ax, self.score, self.name = ax, score, name
        share = (torch.arange(ARROWS) + 0.5) / ARROWS * 2 - 1
        self.grid = torch.cartesian_prod(share, share)
        self.field = ax.quiver(
            *self.grid.T.numpy(),
            *self.grid.T.numpy(),
            torch.ones(len(self.grid)).numpy(),
            norm=mpl.colors.LogNorm(0.1, 30),
            cmap="viridis",
            pivot="mid",
            angles="xy",
            scale=1.3 * ARROWS,
            width=0.005,
            alpha=0.7,
        )
        self.dots = ax.scatter([], [], s=3, color=color, linewidths=0)
        ax.set(aspect="equal", xticks=[], yticks=[])

    def draw(self, sigma: float, particles: Tensor) -> None:
        """Draw the field at a level, and the particles."""
        # the last state is clean, and has the field of the last level
        level = max(sigma, SIGMA_MIN)
        window = 2.4 + 1.2 * level
        places = window * self.grid
        with torch.no_grad():
            score = level * self.score(places, torch.tensor(level))
        length = score.norm(dim=1)
        unit = score / length.clamp(min=1e-12)[:, None]
        self.field.set_offsets(places.numpy())
        across, up = unit.T.numpy()
        self.field.set_UVC(across, up, length.numpy())
        self.dots.set_offsets(particles.numpy())
        self.ax.set(xlim=(-window, window), ylim=(-window, window))
        self.ax.set_title(f"{self.name}, σ = {sigma:.2g}" if sigma > 0 else f"{self.name}, denoised")


def walks(score: ScoreModel, sigmas: Tensor, n: int) -> list[tuple[float, Tensor]]:
    """Return the particles at the end of each level, and denoised."""
    generator = torch.Generator().manual_seed(0)
    states = trajectory(
        score, sigmas, n, 2, "annealed_langevin", generator=generator, n_steps_per_sigma=STEPS_PER_LEVEL
    )
    at = {state.sigma: state.x for state in states}
    return list(at.items())


def main() -> None:
    """Train, walk, animate, measure, and write everything."""
    given = options(__doc__, "animation")
    steps, n_levels, n = (20, 3, 50) if given.quick else (1500, 48, 500)
    exact = GaussianMixtureScore(*toy_mixture("swiss_roll", 500))
    models = []
    for seed in range(given.seeds):
        data = swiss_roll(5000 if not given.quick else 200, torch.Generator().manual_seed(seed))
        models.append(train(data, steps, seed))
        print(f"seed {seed} trained", flush=True)
    sigmas = create_noise_schedule(SIGMA_MIN, SIGMA_MAX, n_levels)
    paths = [walks(model, sigmas, n) for model in (models[0], exact)]
    animate(given.out, models[0], exact, paths)
    stills(given.out, models[0], exact, paths)
    measure(given.out, models, exact, 200 if given.quick else 2000)


def pair(models: tuple[ScoreModel, ScoreModel], axes: Any) -> list[Panel]:
    """Return the panels of the learned and the exact score."""
    return [
        Panel(ax, score, name, color)
        for ax, score, name, color in zip(axes, models, ("learned", "exact"), (ORANGE, BLUE), strict=True)
    ]


def animate(out: Path, learned: ScoreModel, exact: ScoreModel, paths: list[list[tuple[float, Tensor]]]) -> None:
    """Write the animation as a GIF, as a page and, where that can be, as a film."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.7), layout="constrained")
    both = pair((learned, exact), axes)
    n_frames = len(paths[0])
    # the last frame stands still for a second
    frames_a_second = max(1, round(n_frames / SECONDS))
    order = list(chain(range(n_frames), [n_frames - 1] * frames_a_second))

    def frame(index: int) -> list[Any]:
        for panel, path in zip(both, paths, strict=True):
            panel.draw(*path[index])
        return []

    film = FuncAnimation(figure, frame, frames=order, blit=False)
    film.save(out / "animation.gif", writer=PillowWriter(fps=frames_a_second), dpi=70)
    print(f"wrote {out / 'animation.gif'}")
    (out / "animation.html").write_text(film.to_jshtml(fps=frames_a_second), encoding="utf-8")
    print(f"wrote {out / 'animation.html'}")
    if FFMpegWriter.isAvailable():
        film.save(out / "animation.mp4", writer=FFMpegWriter(fps=frames_a_second), dpi=120)
        print(f"wrote {out / 'animation.mp4'}")
    plt.close(figure)


def stills(out: Path, learned: ScoreModel, exact: ScoreModel, paths: list[list[tuple[float, Tensor]]]) -> None:
    """Draw five moments of it."""
    figure, axes = plt.subplots(2, 5, figsize=(11.5, 4.9), layout="constrained")
    for column, index in zip(axes.T, torch.linspace(0, len(paths[0]) - 1, 5).long().tolist(), strict=True):
        for panel, path in zip(pair((learned, exact), column), paths, strict=True):
            panel.draw(*path[index])
    bar: Figure = figure
    colours = mpl.cm.ScalarMappable(mpl.colors.LogNorm(0.1, 30), "viridis")
    bar.colorbar(colours, ax=axes, label="σ |s|", shrink=0.8)
    save_figure(out / "animation.png", figure)


def measure(out: Path, models: list[nn.Module], exact: GaussianMixtureScore, n: int) -> None:
    """Write the length of the score and the error of the learned one, level by level."""
    at = create_noise_schedule(SIGMA_MIN, SIGMA_MAX, 6)
    generator = torch.Generator().manual_seed(123)
    fresh = swiss_roll(n, generator)
    errors = [score_error_by_level(model, exact, fresh, at, generator).tolist() for model in models]
    rows = []
    for i, sigma in enumerate(at.tolist()):
        x = fresh + sigma * torch.randn(fresh.shape, generator=generator)
        length = float(exact(x, torch.tensor(sigma)).square().sum(1).mean().sqrt())
        rows.append([f"{sigma:.3f}", f"{length:.2f}", f"{sigma * length:.2f}", between([run[i] for run in errors], 4)])
    header = ["σ", "length of the score", "times σ", "relative error of the learned score"]
    save_table(out / "animation.md", header, rows)


if __name__ == "__main__":
    main()

"""Does a class-conditional NCSN draw the class that it is asked for, and what does guidance do?

Three classes of two Gaussians each, which overlap. A network learns them with labels; samples are drawn by class, without
and with classifier-free guidance, beside samples of the exact score, which has no training error. A sample counts as right if
the exact posterior gives its class the largest probability.

Each class starts from its own Gaussian at the largest noise level, which remembers a little of where the class lies. One row
shows what it costs to start all classes alike.

    python examples/conditional.py          # about 2 minutes on one core; --quick for a smoke test
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from output import BLUE, GREEN, GREY, ORANGE, Judge, between, options, save_figure, save_table
from torch import Tensor

from ncsn import NCSN, ClassGuidance, GaussianMixtureScore, ScoreModel, create_noise_schedule, sample

COLORS = (BLUE, ORANGE, GREEN)
CLASSES = GaussianMixtureScore(
    [0.2, 0.1, 0.2, 0.1, 0.2, 0.2],
    torch.tensor([[-1.6, 0.8], [-0.2, 1.6], [1.5, 0.9], [0.2, -0.2], [-0.9, -1.2], [1.1, -1.4]]),
    torch.tensor([0.25, 0.2, 0.25, 0.25, 0.3, 0.2]),
    labels=[0, 0, 1, 1, 2, 2],
)
WEIGHTS = (1.0, 2.0, 4.0)
SHARES = torch.tensor([0.3, 0.3, 0.4])


def accuracy(points: Tensor, label: int) -> float:
    """Return the share of points to which the exact posterior gives this class, in percent."""
    joint = [CLASSES.log_density(points, 0.0, label=k) + SHARES[k].log() for k in range(3)]
    return 100 * float((torch.stack(joint).argmax(0) == label).double().mean())


def judged(by_class: list[Tensor], judges: list[Judge], real: list[Tensor]) -> tuple[float, float, float]:
    """Return the means over the classes of distance, accuracy and spread beside real data's."""
    distances = [judge.ratio(points) for judge, points in zip(judges, by_class, strict=True)]
    right = [accuracy(points, label) for label, points in enumerate(by_class)]
    spreads = [float(points.std(0).norm() / own.std(0).norm()) for points, own in zip(by_class, real, strict=True)]
    return sum(distances) / 3, sum(right) / 3, sum(spreads) / 3


def start(points: Tensor, sigma: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw from the Gaussian that points are at a noise level."""
    total = points.T.cov() + sigma.square() * torch.eye(2)
    return points.mean(0) + torch.randn(n, 2, generator=generator) @ torch.linalg.cholesky(total).T


def draw_classes(
    score: ScoreModel, starts: list[Tensor], sigmas: Tensor, n: int, generator: torch.Generator
) -> list[Tensor]:
    """Draw each class, started from the Gaussian of its points in ``starts``."""
    by_class = []
    for label, points in enumerate(starts):
        x = start(points, sigmas[0], n, generator)
        condition = {"label": torch.full((n,), label)}
        by_class.append(sample(score, sigmas, n, 2, x_init=x, generator=generator, condition=condition))
    return by_class


def main() -> None:
    """Train, draw by class, judge, and write the table and the figure."""
    given = options(__doc__, "conditional")
    steps, n = (30, 100) if given.quick else (1500, 1000)
    sigmas = create_noise_schedule(0.02, 6.0, 20, "karras")
    results: dict[str, list[tuple[float, float, float]]] = {}
    shown: dict[str, list[Tensor]] = {}
    for seed in range(given.seeds):
        generator = torch.Generator().manual_seed(seed)
        data, components = CLASSES.sample_with_components(4 * n, generator)
        labels = torch.div(components, 2, rounding_mode="floor")
        real = [CLASSES.sample(n, generator, label=label) for label in range(3)]
        judges = [Judge(own, CLASSES.sample(10 * n, generator, label=k)) for k, own in enumerate(real)]
        model = NCSN(training_steps=steps, batch_size=256, random_state=seed).fit(data, labels.numpy())
        drawn = {"real data, fresh": [CLASSES.sample(n, generator, label=label) for label in range(3)]}
        encoding, scaled = model.encoding_, model.model_.rows(data)
        network, own = model.score_model_, [labels == label for label in range(3)]
        alike = draw_classes(network, [scaled] * 3, sigmas, n, generator)
        drawn["network, all classes started alike"] = [encoding.decode(points) for points in alike]
        for weight in WEIGHTS:
            guided, exact = ClassGuidance(network, weight), ClassGuidance(CLASSES, weight)
            by_network = draw_classes(guided, [scaled[rows] for rows in own], sigmas, n, generator)
            drawn[f"network, guidance {weight:g}"] = [encoding.decode(points) for points in by_network]
            drawn[f"exact score, guidance {weight:g}"] = draw_classes(
                exact, [data[rows] for rows in own], sigmas, n, generator
            )
        for name, by_class in drawn.items():
            results.setdefault(name, []).append(judged(by_class, judges, real))
        shown = drawn
        print(f"seed {seed} done", flush=True)
    rows = [
        [name, *(between(column, digits) for column, digits in zip(zip(*runs, strict=True), (2, 1, 2), strict=True))]
        for name, runs in results.items()
    ]
    header = ["samples", "distance ×", "right class %", "spread, of the real"]
    save_table(given.out / "conditional.md", header, rows)
    draw(given.out, shown)


def draw(out: Path, shown: dict[str, list[Tensor]]) -> None:
    """Draw the samples, a colour for each class."""
    names = ["real data, fresh", *(f"network, guidance {weight:g}" for weight in WEIGHTS)]
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.8), layout="constrained", sharex=True, sharey=True)
    columns = zip(names, ["", *(f"exact score, guidance {weight:g}" for weight in WEIGHTS)], strict=True)
    for column, pair in zip(axes.T, columns, strict=True):
        for ax, name in zip(column, pair, strict=True):
            ax.set(title=name, xlim=(-3.4, 3.4), ylim=(-3.4, 3.4), aspect="equal")
            for points, color in zip(shown.get(name, []), COLORS, strict=False):
                ax.scatter(*points.T, s=2, color=color, alpha=0.6)
    axes[1, 0].set_axis_off()
    for label, color in enumerate(COLORS):
        axes[1, 0].scatter([], [], color=color, label=f"class {label}")
    axes[1, 0].legend(loc="center", edgecolor=GREY)
    save_figure(out / "conditional.png", figure)


if __name__ == "__main__":
    main()

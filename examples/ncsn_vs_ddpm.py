"""NCSN against DDPM on the same data: quality, training time and sampling time.

Both train the same network for as many steps, each as its method has it (levels, reading of the output), and sample by their own
samplers. Then both walk the same twenty levels with the same fast solver, which leaves what the networks learned as the only
difference. Times are the processor's.

    python examples/ncsn_vs_ddpm.py         # about 3 minutes on one core; --quick for a smoke test
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from output import BLUE, ORANGE, Judge, between, options, save_figure, save_table, stopwatch
from torch import Tensor

from ncsn import (
    NCSN,
    GaussianMixtureScore,
    State,
    create_noise_schedule,
    sample,
    score_error_by_level,
    stray_fraction,
    swiss_roll,
    toy_mixture,
)
from ncsn.data import Number

METHODS = {"ncsn": BLUE, "ddpm": ORANGE}
OWN = {"ncsn": "annealed Langevin", "ddpm": "ancestral"}


def exact_of(model: NCSN) -> GaussianMixtureScore:
    """Return the roll's exact score in the standardised units of a fitted model."""
    mixture = toy_mixture("swiss_roll", 500)
    encoding = model.encoding_
    scales = [column.scale for column in encoding.columns if isinstance(column, Number)]
    inverse = (1 / torch.tensor(scales, dtype=torch.float64)).diag()
    return GaussianMixtureScore(
        mixture.weights, encoding.encode(mixture.means), inverse @ mixture.covariances @ inverse
    )


def main() -> None:
    """Train, sample, judge, and write the table and the figure."""
    given = options(__doc__, "ncsn_vs_ddpm")
    steps, n = (20, 200) if given.quick else (1500, 3000)
    at = create_noise_schedule(0.01, 3.0, 10)
    common = create_noise_schedule(0.01, 4.0, 20, "karras")
    runs: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    errors: dict[str, list[Tensor]] = {name: [] for name in METHODS}
    shown: dict[tuple[str, str], Tensor] = {}
    # PyTorch's first steps take longer than those after
    NCSN(training_steps=20, batch_size=256).fit(swiss_roll(200))
    for seed in range(given.seeds):
        generator = torch.Generator().manual_seed(seed)
        data, held_out = swiss_roll(n, generator), swiss_roll(4 * n, generator)
        judge = Judge(data, held_out)
        for name in METHODS:
            with stopwatch() as training:
                model = NCSN(method=name, training_steps=steps, batch_size=256, random_state=seed).fit(data)
            rows = model.model_.rows(data[:2000])
            errors[name].append(score_error_by_level(model.score_model_, exact_of(model), rows, at, generator))
            calls = 0

            def count(state: State) -> None:
                nonlocal calls
                calls = max(calls, state.evaluations)

            own: dict[str, Any] = {"steps": 20} if given.quick and name == "ddpm" else {}
            with stopwatch() as walking:
                walked = model.sample(n, callback=count, **own)
            own_calls, calls = calls, 0
            with stopwatch() as flying:
                flown = sample(model.score_model_, common, n, 2, "dpmpp_2m", generator=generator, callback=count)
            flown = model.encoding_.decode(flown)
            for sampler, points, watch, evaluations in (
                (OWN[name], walked, walking, own_calls),
                ("DPM-Solver++, same levels", flown, flying, calls),
            ):
                distance, strays = judge.ratio(points), 100 * stray_fraction(points, data)
                seconds = 1000 * watch.seconds * 1000 / n
                runs.setdefault((name, sampler), []).append((training.seconds, evaluations, seconds, distance, strays))
                shown[name, sampler] = points
            print(f"{name}, seed {seed} done", flush=True)
    table = [
        [*key, *(between(c, digits) for c, digits in zip(zip(*values, strict=True), (0, 0, 0, 2, 1), strict=True))]
        for key, values in runs.items()
    ]
    header = ["method", "sampler", "training, s", "evaluations", "ms per 1,000 samples", "distance ×", "strays %"]
    save_table(given.out / "ncsn_vs_ddpm.md", header, table)
    draw(given.out, errors, at, shown)


def draw(out: Path, errors: dict[str, list[Tensor]], at: Tensor, shown: dict[tuple[str, str], Tensor]) -> None:
    """Draw the samples of each method by each sampler, and the error of the learned scores by level."""
    figure, axes = plt.subplots(1, 5, figsize=(14.5, 3.2), layout="constrained", width_ratios=[1, 1, 1, 1, 1.5])
    for ax, ((name, sampler), points) in zip(axes[:4], shown.items(), strict=True):
        ax.scatter(*points.T, s=1, color=METHODS[name])
        ax.set(title=f"{name}, {sampler.split(',')[0]}", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), aspect="equal")
    for name, color in METHODS.items():
        runs = torch.stack(errors[name])
        axes[4].loglog(at, runs.median(0).values, "o-", color=color, label=name, markersize=4)
        axes[4].fill_between(at, runs.amin(0), runs.amax(0), color=color, alpha=0.15, linewidth=0)
    axes[4].set(xlabel="σ", title="relative error of the learned score")
    axes[4].grid(alpha=0.3)
    axes[4].legend()
    save_figure(out / "ncsn_vs_ddpm.png", figure)


if __name__ == "__main__":
    main()

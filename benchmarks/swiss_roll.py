"""`NCSN().fit` on 5,000 Swiss-roll points, all defaults: distances, score error, log-density, and training time.

Sliced W2 of 50,000 samples against 50,000 held-out points, as a multiple of the training set's own; strays lie farther than
0.1 from every training point; thickness is the median distance to the roll without noise, real points 1. Training time is
beside the page's own 10,000 steps, in turns in one run.
Run: ``python benchmarks/swiss_roll.py [--seeds 3] [--first-seed 0] [--no-time]``.
"""

from __future__ import annotations

import argparse
import statistics
from time import perf_counter
from typing import Any

import common
import page_as_printed
import torch

from ncsn import NCSN, EmpiricalScore, score_error_by_level, sliced_wasserstein2, stray_fraction, swiss_roll

LEVELS = (3.0, 1.0, 0.3, 0.1, 0.05, 0.02)
SAMPLERS: dict[str, dict[str, Any]] = {"default": {}, "10 evaluations": {"steps": 10}}


def page_training_seconds(points: torch.Tensor, steps: int) -> float:
    """Return the time of so many of the page's own training steps."""
    network = page_as_printed.NCSNScoreNetwork(2, [128, 128, 128])
    model = page_as_printed.NCSN(network, sigma_min=0.01, sigma_max=5.0, n_sigmas=10)
    start = perf_counter()
    for _ in range(steps):
        model.train_step(points[torch.randperm(len(points))[:256]])
    return perf_counter() - start


def run(seed: int, timed: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Fit and measure; the second dictionary holds the score errors."""
    points = swiss_roll(5000, torch.Generator().manual_seed(1000 + seed))
    held_out = swiss_roll(50_000, torch.Generator().manual_seed(20_000 + seed))
    row: dict[str, float] = {}
    # half of the page's steps before and half after, so that both see the machine in the same state
    page = page_training_seconds(points, 5000) if timed else 0.0
    start = perf_counter()
    model = NCSN(random_state=seed).fit(points)
    seconds = perf_counter() - start
    if timed:
        page += page_training_seconds(points, 5000)
        row |= {"fit s": seconds, "page's 10k s": page}

    def distance(samples: torch.Tensor) -> float:
        return sliced_wasserstein2(samples, held_out, generator=torch.Generator().manual_seed(0))

    floor = distance(points)
    row["training set SW2"] = floor
    for name, options in SAMPLERS.items():
        samples = model.sample(50_000, random_state=seed, **options)
        row[f"{name}: x"] = distance(samples) / floor
        row["strays %"] = 100 * stray_fraction(samples, points, 0.1)
        row["thickness"] = common.thickness(samples)
        row = {f"{name}: {k}" if k in ("strays %", "thickness") else k: v for k, v in row.items()}
    fresh = swiss_roll(200_000, torch.Generator().manual_seed(30_000 + seed))
    truth = EmpiricalScore(model.model_.rows(fresh))
    rows = model.model_.rows(swiss_roll(2000, torch.Generator().manual_seed(40_000 + seed)))
    errors = score_error_by_level(
        model.score_model_, truth, rows, torch.tensor(LEVELS), torch.Generator().manual_seed(0)
    )
    some = held_out[:10_000]
    values = model.encoding_.values(some)
    gain = model.encoding_.log_gain(values, model.encoding_.rows(values))
    row["log-density"] = model.score(some) - float(gain.mean())
    return row, dict(zip([f"sigma {level:g}" for level in LEVELS], errors.tolist(), strict=True))


def main() -> None:
    """Run the seeds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--no-time", action="store_true", help="leave the page's training out")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    rows, errors = zip(
        *[run(seed, not arguments.no_time) for seed in seeds],
        strict=True,
    )
    common.report("Swiss roll, NCSN().fit", list(rows))
    common.report("relative score error by level", list(errors))
    if not arguments.no_time:
        ratio = statistics.median(row["fit s"] / row["page's 10k s"] for row in rows)
        print(f"training time, median ratio to the page's 10,000 steps: {ratio:.2f}")


if __name__ == "__main__":
    main()

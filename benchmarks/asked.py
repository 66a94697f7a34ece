"""Class-conditional samples and inpainting: does a model give what it is asked for?

Eight Gaussians: share of samples nearest to the asked mode's centre, and each mode's standard deviation over the true one.
Digits, 80/20 split: how often an SVC(gamma=0.001), trained on the training digits, reads the asked digit in samples, and the
true one in held-out digits whose lower half was drawn given the upper.
Run: ``python benchmarks/asked.py [--seeds 3] [--digits-seeds 1]``.
"""

from __future__ import annotations

import argparse
from time import perf_counter
from typing import Any

import common
import numpy as np
import torch
from digits import COPY_DISTANCE
from sklearn.svm import SVC

from ncsn import NCSN, copied_fraction, eight_gaussians, load, split, toy_mixture

PER_CLASS = 500


def modes(seed: int) -> dict[str, float]:
    """Measure the class-conditional eight Gaussians."""
    generator = torch.Generator().manual_seed(1000 + seed)
    labels = torch.randint(8, (5000,), generator=generator)
    points = eight_gaussians(5000, generator, labels)
    model = NCSN(random_state=seed).fit(points, labels)
    truth = toy_mixture("eight_gaussians")
    spread = float(truth.covariances.reshape(-1)[0]) ** 0.5
    asked = torch.arange(8).repeat_interleave(PER_CLASS)
    drawn = model.sample(len(asked), label=asked, random_state=seed)
    found = torch.cdist(drawn.double(), truth.means.double()).argmin(dim=1)
    ratios = torch.stack([drawn[(asked == k) & (found == k)].std(dim=0).mean() for k in range(8)]) / spread
    return {
        "in asked mode %": 100 * float((found == asked).float().mean()),
        "least sd ratio": float(ratios.min()),
        "largest sd ratio": float(ratios.max()),
    }


def digits(seed: int, n_inpainted: int) -> dict[str, float]:
    """Measure the class-conditional digits and the inpainting of their lower half."""
    dataset = load("digits")
    parts = split(dataset.values, dataset.labels, seed=seed)
    judge = SVC(gamma=0.001).fit(parts.train.reshape(len(parts.train), -1), parts.train_labels)

    def read(images: np.ndarray) -> np.ndarray:
        return judge.predict(images.reshape(len(images), -1))

    def scaled(images: Any) -> np.ndarray:
        return np.asarray(images, dtype=float).reshape(len(images), -1) / 8 - 1

    start = perf_counter()
    model = NCSN(random_state=seed).fit(parts.train, parts.train_labels)
    fit_seconds = perf_counter() - start
    asked = np.repeat(np.arange(10), PER_CLASS // 5)
    drawn = model.sample(len(asked), label=asked, random_state=seed)
    held_out, truth = parts.held_out[:n_inpainted], parts.held_out_labels[:n_inpainted]
    known = np.zeros((8, 8), dtype=bool)
    known[:4] = True
    start = perf_counter()
    filled = model.impute(held_out, mask=known, random_state=seed)
    return {
        "judge reads asked %": 100 * float((read(drawn) == asked).mean()),
        "copies %": 100 * copied_fraction(scaled(drawn), scaled(parts.train), COPY_DISTANCE),
        "held-out copies %": 100 * copied_fraction(scaled(parts.held_out), scaled(parts.train), COPY_DISTANCE),
        "held-out read %": 100 * float((read(held_out) == truth).mean()),
        "inpainted read %": 100 * float((read(filled) == truth).mean()),
        "largest change of known": float(np.abs(filled - held_out)[:, known].max()),
        "fit s": fit_seconds,
        "inpainting s": perf_counter() - start,
    }


def main() -> None:
    """Run the seeds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--digits-seeds", type=int, default=1)
    parser.add_argument("--inpainted", type=int, default=360, help="held-out digits that are inpainted")
    arguments = parser.parse_args()
    common.report("eight Gaussians by class", [modes(seed) for seed in range(arguments.seeds)])
    common.report("digits by class", [digits(seed, arguments.inpainted) for seed in range(arguments.digits_seeds)])


if __name__ == "__main__":
    main()

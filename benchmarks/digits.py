"""`NCSN().fit` on scikit-learn's handwritten digits, 80/20 split, all defaults.

Frechet distance to the held-out digits in the training digits' 40 first principal components (pixels in [-1, 1]); the share
that an SVC(gamma=0.001), calibrated on the training digits, judges with more than 0.9; copies are nearer to a training digit
than half of the median distance between neighbours. Run: ``python benchmarks/digits.py [--seeds 3] [--first-seed 0]``.
"""

from __future__ import annotations

import argparse
import warnings
from time import perf_counter
from typing import Any

import common
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from ncsn import NCSN, copied_fraction, frechet_distance, load

COPY_DISTANCE = 1.03


def run(seed: int) -> dict[str, float]:
    """Fit and measure."""
    digits = load("digits")
    training, held_out, labels, _ = train_test_split(
        digits.values, digits.labels, test_size=0.2, random_state=seed, stratify=digits.labels
    )

    def scaled(images: Any) -> NDArray[np.float64]:
        return np.asarray(images, dtype=float).reshape(len(images), -1) / 8 - 1

    with warnings.catch_warnings():
        # the judge of the reference figures is this one, deprecated or not
        warnings.simplefilter("ignore", FutureWarning)
        judge = SVC(gamma=0.001, probability=True, random_state=0).fit(training.reshape(len(training), -1), labels)

    def confident(images: Any) -> float:
        pixels = np.clip(np.asarray(images).reshape(len(images), -1), 0, 16)
        return float((judge.predict_proba(pixels).max(axis=1) > 0.9).mean())

    start = perf_counter()
    model = NCSN(random_state=seed).fit(training)
    seconds = perf_counter() - start
    samples = model.sample(len(training), random_state=seed)
    reference = scaled(training)
    return {
        "Frechet": frechet_distance(scaled(samples), scaled(held_out), 40, reference),
        "training's own": frechet_distance(reference, scaled(held_out), 40, reference),
        "confident": confident(samples),
        "held-out conf.": confident(held_out),
        "copies %": 100 * copied_fraction(scaled(samples), reference, COPY_DISTANCE),
        "held-out copies %": 100 * copied_fraction(scaled(held_out), reference, COPY_DISTANCE),
        "fit s": seconds,
    }


def main() -> None:
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    common.report(
        "digits, NCSN().fit",
        [run(seed) for seed in seeds],
    )


if __name__ == "__main__":
    main()

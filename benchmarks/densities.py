"""Mean held-out log-density on wine, breast cancer and dequantised digits, 80/20, beside kernel density and mixtures.

Nats a row, features standardised by the training rows; the baselines' settings are the best on the held-out rows, which
favours them. Run: ``python benchmarks/densities.py [--seeds 3]``.
"""

from __future__ import annotations

import argparse
from time import perf_counter

import common
import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KernelDensity

from ncsn import NCSN, load


def run(name: str, seed: int) -> dict[str, float]:
    """Fit the three and measure."""
    values = np.asarray(load(name).values, dtype=float)
    values = values.reshape(len(values), -1)
    if name == "digits":
        values = values + np.random.default_rng(seed).uniform(size=values.shape)
    training, held_out = train_test_split(values, test_size=0.2, random_state=seed)
    mean, spread = training.mean(axis=0), training.std(axis=0)
    training, held_out = (training - mean) / spread, (held_out - mean) / spread
    kernel = max(
        KernelDensity(bandwidth=width).fit(training).score(held_out) / len(held_out)
        for width in np.geomspace(0.1, 2, 25)
    )
    mixture = max(
        GaussianMixture(k, covariance_type=kind, reg_covar=floor, random_state=0).fit(training).score(held_out)
        for k in (1, 2, 4, 8, 16, 32)
        for kind in ("full", "diag")
        for floor in (1e-3, 1e-2, 1e-1)
        if k * 4 < len(training)
    )
    start = perf_counter()
    model = NCSN(random_state=seed).fit(training)
    fitted = perf_counter()
    reached = model.score(held_out)
    return {
        "ncsn": reached,
        "kernel density": kernel,
        "mixture": mixture,
        "fit s": fitted - start,
        "score s": perf_counter() - fitted,
    }


def main() -> None:
    """Run the sets and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*", default=["wine", "breast_cancer", "digits"])
    arguments = parser.parse_args()
    for name in arguments.sets:
        common.report(name, [run(name, seed) for seed in range(arguments.seeds)])


if __name__ == "__main__":
    main()

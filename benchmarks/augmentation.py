"""Augmentation of few images: the denoising error on images held back, trained with and without, at equal steps.

    python benchmarks/augmentation.py mnist.npz --images 1000 --steps 1000 --settings '{"width": 24}'
    python benchmarks/augmentation.py emoji32.npz --kinds none flips edm --seeds 2

Of the images of the file's array ``x``, in a random order, the first are trained on, ``--images`` or four fifths, and up to 400
others are held back. Each model is judged with its averaged weights on the same of them, at the same nine levels, between the
1st and the 99th of a hundred that training draws, and with the same noise: by the mean over pixels of the squared error of the
denoised image times 1 + 1 / sigma^2, beside the same on images trained on, which tells how much is learnt by heart, and by level
as a ratio to the first kind's.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncsn import NCSN
from ncsn.data import AUGMENTATIONS
from ncsn.model import Model
from ncsn.score import denoised_from_score

N_LEVELS, N_JUDGED = 9, 400


def errors(model: Model, images: np.ndarray[Any, Any]) -> Tensor:
    """Return the weighted error of denoising at each level, ``(N_LEVELS,)``."""
    rows = model.encoding.image_rows(torch.from_numpy(images))
    levels = model.method.levels(model.plan).quantile(torch.linspace(0.01, 0.99, N_LEVELS))
    noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
    network, found = model.score_model.eval(), []
    with torch.no_grad():
        for sigma in levels:
            noisy = rows + sigma * noise
            scores = torch.cat([network(part, sigma) for part in noisy.split(100)])
            error = (denoised_from_score(noisy, sigma, scores) - rows).square().mean()
            found.append(float(error * (1 + sigma**-2)))
    return torch.tensor(found)


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="an .npz file with images as the array x")
    parser.add_argument("--images", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="settings of NCSN, as JSON")
    parser.add_argument("--kinds", nargs="+", default=["none", "edm"], choices=AUGMENTATIONS)
    asked = parser.parse_args()
    with np.load(asked.data) as file:
        every = file["x"][np.random.default_rng(0).permutation(len(file["x"]))]
    n = asked.images or int(0.8 * len(every))
    train, unseen = every[:n], every[n:][:N_JUDGED]
    for seed in range(asked.seeds):
        first = None
        for kind in asked.kinds:
            start = time.process_time()
            fitted = NCSN(training_steps=asked.steps, augmentation=kind, random_state=seed, **asked.settings).fit(train)
            seconds = time.process_time() - start
            held_back, known = errors(fitted.model_, unseen), errors(fitted.model_, train[:N_JUDGED])
            first = held_back if first is None else first
            ratios = " ".join(f"{ratio:.3f}" for ratio in held_back / first)
            print(
                f"seed {seed} {kind:18} {seconds:5.0f} s  held back {held_back.mean():.4f}  trained on {known.mean():.4f}"
                f"  by level {ratios}",
                flush=True,
            )


if __name__ == "__main__":
    main()

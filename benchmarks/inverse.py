"""Samples given a linear measurement, against exact posteriors: the mixture of 25 Gaussians of Cardoso et al. 2024 (MCGdiff).

Means (8 i, 8 j) repeated, i and j from -2 to 2, unit covariance, random weights; A with random singular vectors and singular
values uniform in [0, 1], noise uniform up to the largest. Sliced Wasserstein-1 distance to exact posterior draws, beside its
floor, that of exact draws among each other, and CPU seconds for 1,000 draws, one thread. All methods have the exact score,
with ``--learned`` the library's also a model of 20,000 rows. azula's peers where it is installed (azula, einops). DPS has the
best of its zeta for each problem.
Run: ``python benchmarks/inverse.py [--dims 8,80,800] [--measured 1,2,4] [--seeds 10] [--first-seed 0] [--draws 1000]
[--peers] [--learned]``;
digits, a judge's reading of repaired ones and how often intervals hold the pixels:
``python benchmarks/inverse.py --digits RUN --data FILE``.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import common
import images
import numpy as np
import torch
from torch import Tensor

from ncsn import NCSN, GaussianMixtureScore, create_noise_schedule, sample
from ncsn.guidance import (
    DPS,
    Downsampling,
    LinearMeasurement,
    MomentMatchingGuidance,
    PseudoinverseGuidance,
    sample_posterior,
)

LEVELS = {8: 58, 80: 44, 800: 44}
"""Levels walked, by dimension; peers have 200."""

ZETAS = (0.1, 0.3, 1.0, 3.0)


class Problem:
    """A prior, a measurement of one of its draws, and the exact posterior."""

    def __init__(self, dim: int, measured: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(1000 * dim + 100 * measured + seed)
        draw = partial(torch.randn, generator=generator, dtype=torch.float64)
        means = torch.tensor([[8.0 * i, 8.0 * j] * (dim // 2) for i in range(-2, 3) for j in range(-2, 3)]).double()
        self.prior = GaussianMixtureScore(draw(25).square(), means, 1.0)
        u, _, vh = torch.linalg.svd(draw(measured, dim), full_matrices=False)
        scales = torch.rand(measured, generator=generator, dtype=torch.float64).sort(descending=True).values
        self.A = u @ scales.diag() @ vh
        self.sigma = float(torch.rand((), generator=generator, dtype=torch.float64) * scales[0])
        self.y = self.A @ self.prior.sample(1, generator)[0] + self.sigma * draw(measured)
        self.measurement = LinearMeasurement(self.A, self.y, self.sigma)
        seen = self.A @ self.A.T + self.sigma**2 * torch.eye(measured, dtype=torch.float64)
        gain = torch.linalg.solve(seen, self.A).T
        off = self.y - means @ self.A.T
        density = torch.distributions.MultivariateNormal(torch.zeros(measured).double(), seen).log_prob(off)
        self._weights = (self.prior.weights.log() + density).softmax(0)
        self._means = means + off @ gain.T
        self._root = torch.linalg.cholesky(torch.eye(dim, dtype=torch.float64) - gain @ self.A)
        self.widest = 1.5 * float((means[0] - means[-1]).norm()) / 2

    def posterior(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw exact samples."""
        component = self._weights.multinomial(n, replacement=True, generator=generator)
        noise = torch.randn(n, len(self._root), generator=generator, dtype=torch.float64)
        return self._means[component] + noise @ self._root.T

    def levels(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the levels to walk."""
        return create_noise_schedule(0.01, self.widest, n, "karras", rho=4.0, dtype=dtype)


def sliced(one: Tensor, other: Tensor, n: int = 1000) -> float:
    """Return the mean Wasserstein-1 distance of ``n`` projections."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(one.shape[1], n, generator=generator, dtype=torch.float64)
    projections = directions / directions.norm(dim=0)
    return float(((one @ projections).sort(0).values - (other @ projections).sort(0).values).abs().mean())


Draw = Callable[[Problem, int, torch.Generator], Tensor]


def ours(problem: Problem, n: int, generator: torch.Generator) -> Tensor:
    """Draw by the library's sampler with its defaults."""
    dim = problem.A.shape[1]
    return sample_posterior(
        problem.prior.float(), problem.measurement, problem.levels(LEVELS[dim]), n, generator=generator
    )


def guided(kind: Any, problem: Problem, n: int, generator: torch.Generator, **options: Any) -> Tensor:
    """Draw by a guided score."""
    dim = problem.A.shape[1]
    model = kind(problem.prior.double(), problem.measurement, **options)
    return sample(model, problem.levels(200, torch.float64), n, dim, "ancestral", generator=generator)


def dps(zeta: float, problem: Problem, n: int, generator: torch.Generator) -> Tensor:
    """Draw by diffusion posterior sampling."""
    sampler = DPS(measurement=problem.measurement, zeta=zeta)
    levels = problem.levels(200, torch.float64)
    return sample(problem.prior.double(), levels, n, problem.A.shape[1], sampler, generator=generator)


def of_azula(name: str, problem: Problem, n: int, generator: torch.Generator) -> Tensor:
    """Draw by azula's implementation, of DDPM's steps."""
    from azula.denoise import Denoiser, DiracPosterior
    from azula.guidance.mmps import MMPSDenoiser
    from azula.guidance.tmpd import TMPDenoiser
    from azula.linalg.covariance import IsotropicCovariance
    from azula.noise import VESchedule
    from azula.sample import DDPMSampler

    prior = problem.prior.double()

    class Exact(Denoiser):  # type: ignore[misc]
        """The exact denoised."""

        def __init__(self) -> None:
            super().__init__()
            self.schedule = VESchedule(0.01, problem.widest)

        def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> DiracPosterior:
            """Return it."""
            _, sigma = self.schedule(t)
            return DiracPosterior(mean=prior.denoise(x_t, sigma.reshape(())))

    noise = torch.tensor(problem.sigma**2, dtype=torch.float64)
    kinds = {"mmps": MMPSDenoiser, "tmpd": TMPDenoiser}
    told: Any = IsotropicCovariance(noise) if name == "mmps" else noise
    denoiser = kinds[name](Exact(), problem.y, lambda x: x @ problem.A.T, told)
    torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
    start = problem.widest * torch.randn(n, problem.A.shape[1], dtype=torch.float64)
    return DDPMSampler(denoiser, steps=200, silent=True)(start)


def run(dim: int, measured: int, seed: int, n: int, methods: dict[str, Draw]) -> common.Rows:
    """Measure all methods on one problem."""
    problem = Problem(dim, measured, seed)
    generator = torch.Generator().manual_seed(seed)
    exact = [problem.posterior(n, generator) for _ in range(3)]
    floor = sum(sliced(exact[i], exact[j]) for i, j in ((0, 1), (0, 2), (1, 2))) / 3
    rows: common.Rows = {"floor": {"sliced W1": floor, "CPU s per 1,000": math.nan}}
    for name, draw in methods.items():
        start = time.process_time()
        samples = draw(problem, n, torch.Generator().manual_seed(seed)).double()
        seconds = (time.process_time() - start) * 1000 / n
        distance = sum(sliced(samples, each) for each in exact) / 3
        rows[name] = {"sliced W1": distance if math.isfinite(distance) else math.inf, "CPU s per 1,000": seconds}
    tried = [name for name in rows if name.startswith("DPS")]
    if tried:
        best = min(tried, key=lambda name: rows[name]["sliced W1"])
        rows["DPS at its best zeta"] = rows[best]
        rows = {name: row for name, row in rows.items() if name not in tried}
    return rows


def learned(dim: int) -> Draw:
    """Return how a model that was fitted on 20,000 rows of each problem's prior draws."""

    def draw(problem: Problem, n: int, generator: torch.Generator) -> Tensor:
        start = time.process_time()
        rows = problem.prior.double().sample(20_000, torch.Generator().manual_seed(0))
        model = NCSN(random_state=0).fit(rows.numpy())
        print(f"fitted in {time.process_time() - start:.0f} CPU s", flush=True)
        return torch.from_numpy(model.sample(n, measurement=problem.measurement, generator=generator))

    return draw


def mixtures(dims: list[int], measured: list[int], seeds: range, n: int, peers: bool, with_learned: bool) -> None:
    """Print a table for each number of dimensions and of measured values."""
    methods: dict[str, Draw] = {"sample_posterior": ours}
    if peers:
        methods |= {f"DPS {zeta}": partial(dps, zeta) for zeta in ZETAS}
        methods["PiGDM"] = partial(guided, PseudoinverseGuidance, sigma_data=16.0)
        methods["MMPS"] = partial(guided, MomentMatchingGuidance)
        if importlib.util.find_spec("azula"):
            methods |= {f"azula {name}": partial(of_azula, name) for name in ("mmps", "tmpd")}
    for dim in dims:
        for count in measured:
            chosen = methods | ({"learned prior": learned(dim)} if with_learned else {})
            runs = [run(dim, count, seed, n, chosen) for seed in seeds]
            common.spread(f"d = {dim}, d_y = {count}", runs)
            floor = sum(each["floor"]["sliced W1"] for each in runs)
            for name in runs[0]:
                ratio = sum(each[name]["sliced W1"] for each in runs) / floor
                print(f"{name}: mean over the floor's {ratio:.3g}", flush=True)


def digits(folder: Path, data: str, n: int, steps: int | None, draws: int = 19) -> None:
    """Print what a judge reads in repaired digits, and how often 90% intervals of pixels hold the true ones.

    Of 19 draws from the truth's own distribution the smallest and the largest hold it in 18 of 20 cases.

    Args:
        folder: A run on digits, with their labels.
        data: The digits, an ``.npz`` file of x, y, x_test and y_test.
        n: Digits to repair.
        steps: Noise levels of the sampler; those of the run when None.
        draws: Draws of each, of which the intervals are.
    """
    from sklearn.neighbors import KNeighborsClassifier

    model = NCSN.load(folder)
    train, labels, test, test_labels = images.digits(data, 20_000)
    truth, right_labels = test[:n].astype(np.float64), test_labels[:n]
    judge = KNeighborsClassifier(3).fit(train.reshape(len(train), -1), labels)
    shape, span = truth.shape[1:], float(train.max()) - float(train.min())
    mask = torch.ones(shape, dtype=torch.bool)
    mask[..., shape[-2] // 2 :, :] = False
    operator = Downsampling(2, shape)
    small = operator.apply(torch.from_numpy(truth))
    small += 0.1 * span * torch.randn(small.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    asked = {
        "down-sampled, noise .1": LinearMeasurement(operator, small.repeat_interleave(draws, 0), 0.1 * span),
        "upper half": LinearMeasurement(mask, torch.from_numpy(truth).repeat_interleave(draws, 0), 0.0),
    }
    for name, measurement in asked.items():
        start = time.process_time()
        samples = np.float64(model.sample(n * draws, measurement=measurement, steps=steps, random_state=0))
        read = judge.predict(samples.reshape(n * draws, -1))
        right = float((read == np.repeat(right_labels, draws)).mean())
        each = samples.reshape(n, draws, *shape)
        low, high = each.min(axis=1), each.max(axis=1)
        # of pixels that are always the same an interval says nothing
        vary = high - low > 0.02 * span
        held = float(((truth >= low) & (truth <= high))[vary].mean())
        own = float((judge.predict(truth.reshape(n, -1)) == right_labels).mean())
        seconds = time.process_time() - start
        print(f"{name}: read rightly {right:.3f} (true ones {own:.3f}), intervals hold {held:.3f}, {seconds:.0f} CPU s")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", default="8")
    parser.add_argument("--measured", default="1,2,4")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--learned", action="store_true")
    parser.add_argument("--digits", type=Path)
    parser.add_argument("--data", help="an .npz file of x, y, x_test and y_test")
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--steps", type=int, help="noise levels that digits are repaired along")
    arguments = parser.parse_args()
    if arguments.digits is not None:
        digits(arguments.digits, arguments.data, arguments.n, arguments.steps)
        return
    torch.set_num_threads(1)
    dims, measured = ([int(each) for each in text.split(",")] for text in (arguments.dims, arguments.measured))
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    mixtures(dims, measured, seeds, arguments.draws, arguments.peers, arguments.learned)


if __name__ == "__main__":
    main()

"""Posteriors of the simulation-based inference benchmark (Lueckmann et al. 2021), beside its reference posteriors.

The mean C2ST (0.5 is perfect, 1 the worst) over observations, by the benchmark's own recipe; CPU seconds of the fit, by one
thread where OMP_NUM_THREADS=1 says so. Observations and references come from the wheel of sbibm 1.1.0 (BSD licence), unpacked:
``pip download --no-deps sbibm==1.1.0; unzip sbibm-*.whl``. Run: ``python benchmarks/sbi.py --folder FOLDER [--tasks two_moons]
[--observations 3] [--simulations 10000] [--draws 10000] [--seed 0]``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, Uniform

from ncsn.inference import Posterior

PUBLISHED = {
    "two_moons": 0.606,
    "gaussian_mixture": 0.661,
    "gaussian_linear": 0.552,
    "gaussian_linear_uniform": 0.553,
    "bernoulli_glm": 0.678,
    "bernoulli_glm_raw": 0.765,
    "slcp": 0.901,
}
"""Mean C2ST of neural posterior estimation with 10,000 simulations, as the benchmark has published it."""


@dataclass(frozen=True)
class Task:
    """A task of the benchmark.

    Args:
        prior: The prior.
        simulate: The simulator; called with what is in the task's folder too, if it ``reads``.
        reads: Whether the simulator needs files of the task.
        exchangeable: Whether an observation is a set, whose order means nothing.
        of: The task whose references, and files, it shares; its own when None.
        observation: Name of the file of an observation.
    """

    prior: Distribution
    simulate: Callable[..., Tensor]
    reads: bool = False
    exchangeable: bool = False
    of: str | None = None
    observation: str = "observation.csv"


def box(low: float, high: float, dim: int) -> Distribution:
    """Return a uniform prior."""
    return Uniform(torch.full((dim,), low), torch.full((dim,), high))


def two_moons(theta: Tensor) -> Tensor:
    """Return a point of a crescent, moved by the parameters turned by 45 degrees, one of them without its sign."""
    angle = math.pi * (torch.rand(len(theta)) - 0.5)
    radius = 0.1 + 0.01 * torch.randn(len(theta))
    crescent = torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], dim=1)
    moved = torch.stack([-(theta[:, 0] + theta[:, 1]).abs(), theta[:, 1] - theta[:, 0]], dim=1)
    return crescent + moved / math.sqrt(2)


def gaussian_mixture(theta: Tensor) -> Tensor:
    """Return the parameters with noise, large or small."""
    spread = torch.where(torch.rand(len(theta), 1) < 0.5, 1.0, 0.1)
    return theta + spread * torch.randn(theta.shape)


def gaussian_linear(theta: Tensor) -> Tensor:
    """Return the parameters with noise."""
    return theta + math.sqrt(0.1) * torch.randn(theta.shape)


def slcp(theta: Tensor) -> Tensor:
    """Return four points of a Gaussian whose mean, spreads and correlation are the parameters: few, yet hard to invert."""
    mean, spread, correlation = theta[:, :2], theta[:, 2:4].square(), theta[:, 4].tanh()
    covariance = torch.diag_embed(spread.square() + 1e-6)
    covariance[:, 0, 1] = covariance[:, 1, 0] = correlation * spread.prod(1)
    return MultivariateNormal(mean, covariance).sample(torch.Size([4])).transpose(0, 1)


def bernoulli_glm(theta: Tensor, folder: Path) -> Tensor:
    """Return how often a neuron fires, and what the stimulus was before it did."""
    fired = bernoulli_glm_raw(theta, folder)
    stimulus = torch.load(folder / "stimulus_I.pt", weights_only=True)
    before = torch.nn.functional.conv1d(fired[:, None], stimulus.reshape(1, 1, -1), padding=8)[:, 0, -9:]
    return torch.cat([fired.sum(1, keepdim=True), before], dim=1)


def bernoulli_glm_raw(theta: Tensor, folder: Path) -> Tensor:
    """Return when a neuron fires."""
    design = torch.load(folder / "design_matrix.pt", weights_only=True)
    return torch.bernoulli((theta @ design.T).sigmoid())


def smooth_filter() -> Distribution:
    """Return the prior of an offset and a filter without jumps."""
    difference = torch.eye(9) - torch.diag(torch.ones(8), -1)
    root = difference @ difference + (torch.arange(9) / 9).diag().sqrt()
    return MultivariateNormal(torch.zeros(10), precision_matrix=torch.block_diag(torch.tensor([[0.5]]), root.T @ root))


TASKS = {
    "two_moons": Task(box(-1.0, 1.0, 2), two_moons),
    "gaussian_mixture": Task(box(-10.0, 10.0, 2), gaussian_mixture),
    "gaussian_linear": Task(MultivariateNormal(torch.zeros(10), 0.1 * torch.eye(10)), gaussian_linear),
    "gaussian_linear_uniform": Task(box(-1.0, 1.0, 10), gaussian_linear),
    "bernoulli_glm": Task(smooth_filter(), bernoulli_glm, reads=True),
    "bernoulli_glm_raw": Task(
        smooth_filter(), bernoulli_glm_raw, reads=True, of="bernoulli_glm", observation="observation_raw.csv"
    ),
    "slcp": Task(box(-3.0, 3.0, 5), slcp, exchangeable=True),
}


def c2st(reference: Tensor, samples: Tensor, seed: int = 1) -> float:
    """Return the benchmark's classifier two-sample test: the held-out accuracy of a perceptron."""
    mean, spread = reference.mean(0), reference.std(0)
    both = ((torch.cat([reference, samples]) - mean) / spread).numpy()
    which = np.repeat([0.0, 1.0], [len(reference), len(samples)])
    width = 10 * reference.shape[1]
    classifier = MLPClassifier((width, width), max_iter=10_000, solver="adam", random_state=seed)
    folds = KFold(5, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, both, which, cv=folds, scoring="accuracy").mean())


def read(path: Path) -> Tensor:
    """Return a table of numbers."""
    return torch.from_numpy(pd.read_csv(path).to_numpy(np.float32))


def run(name: str, asked: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Fit one task, and print its figures."""
    task = TASKS[name]
    files = asked.folder / "tasks" / (task.of or name) / "files"

    def simulate(theta: Tensor) -> Tensor:
        return task.simulate(theta, files) if task.reads else task.simulate(theta)

    start = process_time()
    posterior = Posterior(simulate, task.prior, exchangeable=task.exchangeable, random_state=asked.seed, **settings)
    posterior.fit(asked.simulations)
    fitted, accuracies, drawing = process_time() - start, [], 0.0
    for number in range(1, asked.observations + 1):
        given = files / f"num_observation_{number}"
        reference = read(given / "reference_posterior_samples.csv.bz2")[: asked.draws]
        start = process_time()
        samples = posterior.sample(len(reference), x=read(given / task.observation).reshape(posterior.shape_))
        drawing += process_time() - start
        accuracies.append(c2st(reference, samples))
        print(f"  {name} {number}: {accuracies[-1]:.4f}", flush=True)
    extent = f"{min(accuracies):.4f} to {max(accuracies):.4f}"
    print(
        f"{name}: C2ST {np.mean(accuracies):.4f} ({extent}, {asked.observations} observations), "
        f"published {PUBLISHED.get(name, math.nan)}; fit {fitted:.0f} CPU s, {drawing / asked.observations:.1f} s for "
        f"{len(reference):,} draws",
        flush=True,
    )


def main() -> None:
    """Run the tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the unpacked package, which holds tasks/")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--observations", type=int, default=10)
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument(
        "--draws", type=int, default=10_000, help="draws compared; the benchmark's own number is 10,000"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--set", nargs="*", default=[], help="settings in place of the plan's, as in training_steps=5000"
    )
    arguments = parser.parse_args()
    settings = {name: json.loads(value) for name, value in (each.split("=") for each in arguments.set)}
    for name in arguments.tasks:
        run(name, arguments, settings)


if __name__ == "__main__":
    main()

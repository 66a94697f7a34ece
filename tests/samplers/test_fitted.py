"""Solvers fitted to a score model: the search against all paths, the weights, and how near few steps come."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.errors import SettingError
from ncsn.exact import GaussianMixtureScore
from ncsn.noise import Geometric
from ncsn.samplers import DPMpp2M, FittedMultistep, fit_multistep, sample
from ncsn.samplers.fitted import _cheapest, _costs

from .common import centred, levels, points

SPREAD = math.sqrt(0.35 * 0.65 * 16 + 0.04)


def modes() -> GaussianMixtureScore:
    """Return two modes of unequal weight about the mean 0, in two dimensions."""
    return GaussianMixtureScore([0.65, 0.35], torch.tensor([[-1.4, 0.0], [2.6, 0.0]], dtype=torch.float64), 0.04)


def starts(n: int, seed: int = 0) -> Any:
    """Return the start of `modes` at any level: the Gaussian of the mean and covariance of its noisy points."""
    noise = points(n, 2, seed=seed)
    spread = torch.tensor([SPREAD, 0.2], dtype=torch.float64)
    return lambda sigma: noise * (spread.square() + sigma**2).sqrt()


def fitted(steps: int, **options: Any) -> FittedMultistep:
    return fit_multistep(modes(), levels(0.01, 20.0, 50), steps, starts(512), sigma_data=1.4, **options)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_the_levels_picked_are_the_cheapest_of_all(steps: int) -> None:
    count, generator = 7, torch.Generator().manual_seed(steps)
    start = torch.rand(count, generator=generator, dtype=torch.float64)
    costs = torch.rand(count + 1, count, count + 1, generator=generator, dtype=torch.float64)

    def cost(chosen: tuple[int, ...]) -> float:
        total, before = float(start[chosen[0]]), 0
        for level, following in itertools.pairwise([*chosen, count]):
            total += float(costs[before, level, following])
            before = level + 1
        return total

    for h, i, j in itertools.product(range(count), range(count), range(count + 1)):
        if not (i < j and h < i):
            costs[h + 1, i, j] = math.inf
            costs[0, i, j] = math.inf if i >= j else costs[0, i, j]
    best = min(itertools.combinations(range(count), steps), key=cost)
    assert tuple(_cheapest(start, costs, steps)) == best


def test_the_cost_of_a_step_is_what_least_squares_leave() -> None:
    path, velocities = points(5, 40), points(4, 40, seed=1)
    costs = _costs(path, velocities)
    for i, j in itertools.combinations(range(5), 2):
        for h in range(-1, i):
            terms = velocities[[i]] if h < 0 else velocities[[h, i]]
            left = np.linalg.lstsq(terms.T.numpy(), (path[j] - path[i]).numpy(), rcond=None)[1]
            assert float(costs[h + 1, i, j]) == pytest.approx(float(left[0]))
        assert costs[i + 1 :, i, j].isinf().all()
    assert costs[:, 3, :4].isinf().all()


def test_velocities_that_are_one_and_the_same_count_once() -> None:
    path, velocity = points(3, 40), points(1, 40, seed=1)
    costs = _costs(path, torch.cat([velocity, 2 * velocity]))
    assert float(costs[1, 1, 2]) == pytest.approx(float(costs[0, 1, 2]))


def test_where_the_flow_is_a_gaussians_every_step_is_exact() -> None:
    variance = 1.44
    noise = points(200, 2)
    solver = fit_multistep(
        centred(variance),
        levels(0.5, 10.0, 20),
        3,
        lambda sigma: noise * math.sqrt(variance + sigma**2),
        sigma_data=1.2,
    )
    end = sample(centred(variance), solver.levels.grid(3, torch.float64), 5, 2, solver, x := 10 * points(5, 2, seed=1))
    # the fine path ends with the denoised of its last level
    first, last = solver.sigmas[0], 0.5
    expected = x * math.sqrt((variance + last**2) / (variance + first**2)) * variance / (variance + last**2)
    torch.testing.assert_close(end, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", [3, 5, 8])
def test_few_steps_end_nearer_than_those_of_the_usual_solver(steps: int) -> None:
    solver, start = fitted(steps), starts(2000, seed=1)
    fine, coarse = levels(0.01, 20.0, 80), levels(0.01, 20.0, steps)

    def drawn(sigmas: Tensor, sampler: Any) -> Tensor:
        return sample(modes(), sigmas, 2000, 2, sampler, start(float(sigmas[0])))

    usual = DPMpp2M(sigma_data=1.4)
    end = drawn(fine, usual)
    near, far = (
        (drawn(sigmas, sampler) - end).norm(dim=1).mean()
        for sigmas, sampler in ((solver.levels.grid(steps, torch.float64), solver), (coarse, usual))
    )
    assert near < 0.4 * far
    assert list(solver.sigmas) == sorted(solver.sigmas, reverse=True)


def test_the_spread_of_the_points_is_kept() -> None:
    solver, start = fitted(3), starts(20_000, seed=1)
    x = sample(modes(), solver.levels.grid(3, torch.float64), 20_000, 2, solver, start(solver.sigmas[0]))
    assert float(x.square().mean().sqrt()) == pytest.approx(
        float(modes().sample(20_000).square().mean().sqrt()), rel=0.02
    )


def test_a_solver_is_found_again_and_is_plain_data() -> None:
    assert fitted(4) == fitted(4)
    again = eval(repr(fitted(2)), {"FittedMultistep": FittedMultistep})
    assert again == fitted(2)


def test_what_it_is_told_reaches_the_model() -> None:
    noise, label = points(64, 1), torch.arange(64) % 2
    classes = GaussianMixtureScore([0.5, 0.5], torch.tensor([[-1.0], [1.0]]).double(), 0.25, labels=[0, 1])

    def start(sigma: float) -> Tensor:
        return 2.0 * label[:, None] - 1 + noise * math.sqrt(0.25 + sigma**2)

    solver = fit_multistep(classes, levels(0.01, 10.0, 30), 2, start, condition={"label": label})
    first = start(solver.sigmas[0])
    x = sample(classes, solver.levels.grid(2), 64, 1, solver, first, condition={"label": label})
    # each class is a Gaussian, which the flow carries onto itself by the noise
    torch.testing.assert_close(x, 2.0 * label[:, None] - 1 + 0.5 * noise, atol=0.1, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmas": (1.0,), "weights": ()}, "1 levels need as many rows of weights, of 2, 3, ... numbers, not of none"),
        ({"sigmas": (2.0, 1.0), "weights": ((1.0, 1.0), (1.0, 1.0))}, "numbers, not of 2, 2"),
        ({"sigmas": (-1.0,), "weights": ((1.0, 1.0),)}, "a level must be a positive finite number"),
        (
            {"sigmas": (1.0,), "weights": ((1.0, 1.0),), "sigma_data": 0.0},
            "sigma_data must be a positive finite number",
        ),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        FittedMultistep(**options)


def test_other_levels_than_its_own_are_refused() -> None:
    solver = FittedMultistep((2.0, 1.0), ((1.0, 1.0), (1.0, 1.0, 0.0)))
    for sigmas in (torch.tensor([2.0, 0.9]), torch.tensor([2.0])):
        with pytest.raises(SettingError, match=r"fitted for the levels \(2.0, 1.0\): walk these, or fit it anew"):
            sample(centred(1.0), sigmas, 3, 2, solver)


def test_more_steps_than_levels_are_refused() -> None:
    sigmas = Geometric(sigma_min=0.1, sigma_max=5.0).grid(4)
    with pytest.raises(SettingError, match="5 steps are more than the 4 levels of the fine path: give more levels"):
        fit_multistep(centred(1.0), sigmas, 5, lambda sigma: points(8, 2) * sigma)

"""Few steps fitted to a score model: which levels to ask at, and by which weights to go on, found from its own fine path."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count, check_number
from ncsn.noise import Given, Levels
from ncsn.samplers.base import CountedModel, Noise, Sampler, State
from ncsn.samplers.multistep import moved, scale, velocity
from ncsn.samplers.ode import DPMpp2M
from ncsn.samplers.run import trajectory
from ncsn.score import ScoreModel, evaluation_mode

FINEST_SHARE, START_SHARE = 0.03, 0.3
"""An error at sigma counts by 1 / (sigma + 0.03 sigma_data): the way down mends an early one in part. That of the start, which
is one of the distribution and not only of the path, counts as one at 0.3 sigma_data. Chosen on the Swiss roll, eight Gaussians,
rings and digits, first seeds."""

NEGLIGIBLE = 1e-10
"""Share of the largest eigenvalue below which that of a combination of velocities is none."""


@dataclass(frozen=True, repr=False)
class FittedMultistep(Sampler):
    """A linear multistep solver of the probability-flow ODE for fixed levels, fitted to a model by `fit_multistep`.

    Each step takes all velocities so far (`IPNDM` says which), by weights of its own; the last one leads from the last
    level to sigma 0, so that there is nothing left to denoise: L levels take L evaluations.

    Args:
        sigmas: The levels, descending; it walks no others.
        weights: For each level what is kept of x, then the weights of the velocities, the latest first.
        sigma_data: Standard deviation of the data.

    Raises:
        SettingError: Levels and weights do not fit together; at the walk, the levels are others.
    """

    steps: ClassVar[int | str | None] = None

    sigmas: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    sigma_data: float = 1.0

    def __post_init__(self) -> None:
        check_number("sigma_data", self.sigma_data, above=0)
        Given(self.sigmas)
        if [len(each) for each in self.weights] != list(range(2, len(self.sigmas) + 2)):
            raise SettingError(
                f"{len(self.sigmas)} levels need as many rows of weights, of 2, 3, ... numbers, not of "
                f"{', '.join(str(len(each)) for each in self.weights) or 'none'}"
            )

    @property
    def levels(self) -> Levels:  # type: ignore[override]
        """The levels, those that it was fitted for."""
        return Given(self.sigmas)

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels and to sigma 0; yield the state after each step, one evaluation each."""
        known = torch.tensor(self.sigmas, dtype=torch.float64)
        if sigmas.shape != known.shape or not torch.allclose(sigmas.double().cpu(), known, rtol=1e-5, atol=0):
            raise SettingError(f"this solver was fitted for the levels {self.sigmas}: walk these, or fit it anew")
        velocities: list[Tensor] = []
        ends = pairwise([*self.sigmas, 0.0])
        for count, ((sigma, following), (kept, *weights)) in enumerate(zip(ends, self.weights, strict=True), 1):
            denoised = model.denoise(x, sigma)
            velocities = [velocity(x, denoised, sigma, self.sigma_data), *velocities]
            x = moved(x, kept, weights, velocities, sigma, following, self.sigma_data)
            yield State(count, following, x, denoised, model.evaluations)


@torch.no_grad()
def fit_multistep(
    score_model: ScoreModel,
    sigmas: Tensor,
    steps: int,
    start: Callable[[float], Tensor],
    *,
    sigma_data: float = 1.0,
    condition: dict[str, Any] | None = None,
) -> FittedMultistep:
    """Find the solver of so many evaluations that stays nearest to a score model's own fine path.

    The fine path walks all levels. A step from level i, with the velocity there and that of one level before, is best
    taken by the weights that least squares find, and what they leave is its cost; dynamic programming then picks the
    levels whose steps cost least together, the first one included, as the start is a Gaussian that is known at any level.
    Last, the solver is walked, its weights found in turn by least squares against the fine path, from where it really
    is, and scaled to keep the spread of the points, which least squares lessen. It takes as many evaluations of each row
    as there are levels and steps.

    Args:
        score_model: Any score model; a module is in evaluation mode while it is asked.
        sigmas: Levels of the fine path, descending, ``(L,)``; 40 to 60 are plenty.
        steps: Number of evaluations, at most L.
        start: Returns the rows to walk at a level, ``(N, *shape)``, made of the same noise at each; some hundred rows.
        sigma_data: Standard deviation of the data, whose mean is taken to be 0.
        condition: Keyword arguments for the model; a tensor has one entry a row.

    Returns:
        The solver, for `sample` with its own levels: ``sample(score_model, solver.levels.grid(steps), ..., solver)``.

    Raises:
        SettingError: There are more steps than levels.
        DivergenceError: The fine path left the finite numbers.

    References:
        Chen et al. 2024 (GITS), section 4, for the levels; Kim et al. 2025 (S4S) for weights that are fitted.

    >>> from ncsn.exact import GaussianMixtureScore
    >>> from ncsn.noise import create_noise_schedule
    >>> from ncsn.samplers import sample
    >>> pair = GaussianMixtureScore([0.5, 0.5], [[-1.0], [1.0]], 0.01)
    >>> noise = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    >>> sigmas = create_noise_schedule(0.01, 20.0, 50)
    >>> solver = fit_multistep(pair, sigmas, 4, lambda sigma: noise * (1.01 + sigma**2) ** 0.5)
    >>> x = sample(pair, solver.levels.grid(4), 1000, 1, solver)
    >>> bool(((x.abs() - 1).abs() < 0.5).double().mean() > 0.99)
    True
    """
    check_count("steps", steps)
    if steps > len(sigmas):
        raise SettingError(f"{steps} steps are more than the {len(sigmas)} levels of the fine path: give more levels")
    x = start(float(sigmas[0]))
    usual, unused = DPMpp2M(sigma_data=sigma_data), torch.Generator()
    walked = trajectory(score_model, sigmas, len(x), x.shape[1:], usual, x, generator=unused, condition=condition)
    states = list(walked)
    places = [*sigmas.tolist(), 0.0]
    # what a step changes, and what it has to change it by
    path = [_flat(state.x) / scale(sigma, sigma_data) for state, sigma in zip(states, places, strict=True)]
    velocities = [
        _flat(velocity(state.x, following.denoised, sigma, sigma_data))
        for state, following, sigma in zip(states, states[1:], places, strict=False)
        if following.denoised is not None
    ]
    weight = 1 / (torch.tensor(places, dtype=torch.float64) + FINEST_SHARE * sigma_data)
    missed = [
        (_flat(start(sigma)) / scale(sigma, sigma_data) - y).square().sum()
        for sigma, y in zip(places[:-1], path, strict=False)
    ]
    costs = _costs(torch.stack(path), torch.stack(velocities)) * weight
    chosen = _cheapest(torch.stack(missed).cpu() / ((FINEST_SHARE + START_SHARE) * sigma_data), costs, steps)
    levels = tuple(places[i] for i in chosen)
    targets = [path[i] for i in chosen[1:]] + path[-1:]
    with evaluation_mode(score_model):
        weights = _fitted(CountedModel(score_model, condition), start(levels[0]), levels, targets, sigma_data)
    return FittedMultistep(levels, weights, sigma_data)


def _flat(rows: Tensor) -> Tensor:
    """Return rows as one vector in double precision, which a sum of so many products needs; MPS has none."""
    return (rows.cpu() if rows.device.type == "mps" else rows).double().flatten()


def _costs(path: Tensor, velocities: Tensor) -> Tensor:
    """Return what is left of a step from i to j by the velocities of h and i, squared, ``(1 + L, L, L + 1)``.

    The first of the L + 1 in the place of h stands for none. Infinite where the three do not descend.
    """
    products = (velocities @ velocities.T).cpu()
    along = (velocities @ path.T).cpu()
    among = (path @ path.T).cpu()
    count = len(velocities)
    squares = among.diagonal()
    way = (squares[:, None] + squares - 2 * among)[:count]
    # [h, i, j]: the velocity of h times the way from i to j
    by_earlier = along[:, None, :] - along[:, :count, None]
    by_latest = by_earlier[torch.arange(count), torch.arange(count)]
    own = products.diagonal()
    alone = way - by_latest.square() / own.clamp(min=torch.finfo(own.dtype).tiny)[:, None]
    determinant = own[:, None] * own - products.square()
    solved = (
        own[:, None, None] * by_latest.square()
        + own[None, :, None] * by_earlier.square()
        - 2 * products[..., None] * by_latest * by_earlier
    )
    usable = determinant > NEGLIGIBLE * own[:, None] * own
    both = torch.where(usable[..., None], way - solved / determinant.where(usable, torch.ones(()))[..., None], alone)
    earlier = torch.ones(count, count + 1, dtype=torch.bool).triu(1)
    both = both.masked_fill(~earlier[:, :count, None], math.inf)
    return torch.cat([alone[None], both]).masked_fill(~earlier, math.inf)


def _cheapest(start: Tensor, costs: Tensor, steps: int) -> list[int]:
    """Return the levels, by their positions, of the path of so many steps to the end that costs least."""
    count = len(start)
    # by the level before, the first place standing for none, and the level
    total = torch.full((count + 1, count), math.inf, dtype=start.dtype)
    total[0] = start
    origins = []
    for _ in range(steps - 1):
        least, origin = (total[..., None] + costs[..., :count]).min(dim=0)
        total = torch.cat([torch.full_like(total[:1], math.inf), least])
        origins.append(origin)
    before, level = divmod(int((total + costs[..., count]).argmin()), count)
    chosen = [level]
    for origin in reversed(origins):
        before, level = int(origin[before - 1, level]), before - 1
        chosen.append(level)
    return chosen[::-1]


def _fitted(
    model: CountedModel, x: Tensor, levels: tuple[float, ...], targets: list[Tensor], sigma_data: float
) -> tuple[tuple[float, ...], ...]:
    """Return the weights of each step by least squares, taken from where those before have led."""
    velocities: list[Tensor] = []
    found = []
    for (sigma, following), target in zip(pairwise([*levels, 0.0]), targets, strict=True):
        velocities = [velocity(x, model.denoise(x, sigma), sigma, sigma_data), *velocities]
        terms = torch.stack([_flat(x) / scale(sigma, sigma_data), *map(_flat, velocities)])
        products = (terms @ terms.T).cpu()
        weights = torch.linalg.pinv(products, rtol=NEGLIGIBLE, hermitian=True) @ (terms @ target).cpu()
        # least squares fall short of the spread: the direction is theirs, the length the path's
        weights = weights * (target.square().sum().cpu() / (weights @ products @ weights)).sqrt()
        kept, *others = weights.tolist()
        found.append((kept, *others))
        x = moved(x, kept, others, velocities, sigma, following, sigma_data)
    return tuple(found)

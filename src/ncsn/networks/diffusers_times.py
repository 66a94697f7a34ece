"""The coordinates in which networks of diffusers are told of the noise, as rows of coefficients; levels of its schedulers."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count, unknown_name
from ncsn.networks.preconditioning import EDM, Coefficients, Preconditioning
from ncsn.samplers import Sampler, State
from ncsn.samplers.base import CountedModel, Noise

PREDICTIONS = ("epsilon", "v_prediction", "sample")
"""What a network of whole times may predict: the noise, the velocity alpha eps - s x0, or the clean data."""


@dataclass(frozen=True, repr=False)
class DiffusersTimes(Preconditioning):
    """A variance-preserving network of whole times 0, 1, ..., T - 1, as diffusers has them (Ho et al. 2020).

    Between two levels the time is interpolated in log sigma; below the first it is 0, above the last T - 1.

    Args:
        betas: The variance that each time adds, ``(T,)``.
        prediction: One of `PREDICTIONS`.

    Raises:
        SettingError: The betas are not between 0 and 1, or the prediction is unknown.

    >>> row = DiffusersTimes(betas=(0.0001, 0.01, 0.02))
    >>> row.sigmas, row.coefficients(row.sigmas[:2]).c_noise
    (tensor([0.0100, 0.1010, 0.1756], dtype=torch.float64), tensor([0., 1.], dtype=torch.float64))
    """

    betas: tuple[float, ...] = field(default=(), repr=False)
    prediction: str = "epsilon"

    def __post_init__(self) -> None:
        if len(self.betas) < 2 or not all(0 < beta <= 1 for beta in self.betas):
            raise SettingError("betas must be at least two numbers above 0 and up to 1")
        if self.prediction not in PREDICTIONS:
            raise unknown_name("prediction", self.prediction, PREDICTIONS)
        super().__post_init__()

    @cached_property
    def sigmas(self) -> Tensor:
        """The level of each time, ascending, float64; without a last one that is infinite (zero terminal SNR)."""
        # in single precision, as all schedulers of diffusers have it: the first levels differ by 1e-3 in double
        alpha_bar = (1 - torch.tensor(self.betas, dtype=torch.float32)).cumprod(0).double()
        return ((1 - alpha_bar) / alpha_bar).sqrt()[alpha_bar > 0]

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return c_in alpha, c_noise the time, and c_skip and c_out of the prediction."""
        alpha = (1 + sigma.square()).rsqrt()
        of_prediction = {
            "epsilon": (torch.zeros_like(sigma), -sigma),
            "v_prediction": (-(sigma * alpha).square(), -sigma * alpha),
            "sample": (-torch.ones_like(sigma), torch.ones_like(sigma)),
        }
        return Coefficients(*of_prediction[self.prediction], alpha, self.time(sigma))

    def time(self, sigma: Tensor) -> Tensor:
        """Return the time of noise levels."""
        # in double precision, which not every device has: single would blur late times
        wanted, table = sigma.detach().cpu().double().log().contiguous(), self.sigmas.log()
        above = torch.searchsorted(table, wanted).clamp(1, len(table) - 1)
        share = (wanted - table[above - 1]) / (table[above] - table[above - 1])
        return (above - 1 + share.clamp(0, 1)).to(sigma)


@dataclass(frozen=True, repr=False)
class ScoreAtSigma(Preconditioning):
    """The network is the score, told of sigma itself: NCSN++ and the VE SDE as diffusers has them (Song et al. 2021)."""

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return c_skip 1, c_out sigma^2, c_in 1, c_noise sigma."""
        return Coefficients(torch.zeros_like(sigma), sigma.square(), torch.ones_like(sigma), sigma)


@dataclass(frozen=True, repr=False)
class EDMVelocity(EDM):
    """EDM's row with the sign of a velocity, diffusers' ``v_prediction`` in its EDM schedulers."""

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return EDM's coefficients, with -c_out in the place of c_out."""
        row = super().coefficients(sigma)
        return row._replace(c_out=-row.c_out)


def row_of(scheduler: Any, prediction: str | None = None) -> Preconditioning:
    """Return the row of a network that a scheduler of diffusers walks.

    Args:
        scheduler: A scheduler of variance-preserving betas, of EDM, or of the VE SDE.
        prediction: One of `PREDICTIONS`; the scheduler's own when None.

    Raises:
        SettingError: It is another kind, whose network is no score model in sigma.
    """
    config, name = scheduler.config, type(scheduler).__name__
    prediction = prediction or config.get("prediction_type", "epsilon")
    if name in ("ScoreSdeVeScheduler", "KarrasVeScheduler"):
        return ScoreAtSigma()
    if name.startswith("EDM"):
        kinds = {"epsilon": EDM, "v_prediction": EDMVelocity}
        if prediction not in kinds:
            raise unknown_name("prediction of an EDM scheduler", prediction, kinds)
        return kinds[prediction](sigma_data=config["sigma_data"])
    if hasattr(scheduler, "alphas_cumprod") and not config.get("use_flow_sigmas"):
        return DiffusersTimes(tuple(scheduler.betas.tolist()), prediction)
    raise SettingError(
        f"{name} is not read: a scheduler of DDPM's betas, an EDM scheduler or ScoreSdeVeScheduler is, not those of flow "
        "matching or consistency models"
    )


def levels_of(scheduler: Any, n: int) -> Tensor:
    """Return the noise levels that a scheduler of diffusers walks in ``n`` steps, for `samplers.sample`.

    Schedulers hold them in single precision. Those that walk alpha x, such as DDIM's and DPM-Solver's, start and end at
    alpha = 1 / sqrt(1 + sigma^2) times what is walked here.

    Args:
        scheduler: A scheduler; it is left as it is.
        n: Number of steps.

    Returns:
        Levels, descending, ``(n,)``, float64, without the end at 0; an end above 0, which some schedulers have, is one more.

    Raises:
        SettingError: The scheduler is another kind (`row_of`), or does not walk finite levels that descend.
    """
    levels = _walked(scheduler, n)[0]
    if not bool(levels.isfinite().all()) or bool((levels.diff() >= 0).any()):
        raise SettingError(
            f"{type(scheduler).__name__} does not walk finite levels that descend: the first is infinite with zero terminal "
            "SNR, and some schedulers go back up"
        )
    return levels


def _walked(scheduler: Any, n: int) -> tuple[Tensor, Any]:
    """Return the levels of a walk, and the scheduler set to it."""
    check_count("the number of steps", n)
    row, own = row_of(scheduler), copy.deepcopy(scheduler)
    own.set_timesteps(n)
    if isinstance(row, ScoreAtSigma) and hasattr(own, "set_sigmas"):
        own.set_sigmas(n)
        return own.discrete_sigmas.flip(0).double(), own
    if isinstance(getattr(own, "sigmas", None), Tensor):
        # Heun's has each level twice
        return own.sigmas[own.sigmas > 0].unique_consecutive().double(), own
    if not isinstance(row, DiffusersTimes):
        raise SettingError(f"the levels of {type(scheduler).__name__} are not read: take ScoreSdeVeScheduler")
    return _at(row, own.timesteps), own


def _at(row: DiffusersTimes, times: Tensor) -> Tensor:
    """Return the levels of whole times; infinite where the row has none."""
    return torch.cat([row.sigmas, torch.full((1,), torch.inf)])[times.long().clamp(max=len(row.sigmas))]


@dataclass(frozen=True, repr=False)
class DiffusersDDIM(Sampler):
    """DDIM as the ``DDIMScheduler`` of diffusers steps: not always to the level that it calls the model at next.

    Its step leads from time t to t - T // n, while its times are T / n apart: ``linspace``, and ``trailing`` where n does not
    divide T, call the model at another level than the samples are at (``DDIMScheduler.step``: ``prev_timestep = timestep -
    num_train_timesteps // num_inference_steps``). Where both are the same, it is `samplers.DDIM`.

    Args:
        landings: The level that each step leads to, as `ddim_of` returns it, ``(n,)``.

    Raises:
        SettingError: The levels walked are not as many.
    """

    landings: tuple[float, ...] = field(default=(), repr=False)

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down all levels and to 0; yield the state after each step, one evaluation each."""
        levels = [*sigmas.tolist(), 0.0]
        if len(self.landings) != len(sigmas):
            raise SettingError(f"{len(self.landings)} landings do not go with {len(sigmas)} levels")
        for count, landing in enumerate(self.landings, 1):
            sigma, following = levels[count - 1], levels[count]
            denoised = model.denoise(x, sigma)
            # alpha x is handed on, which is another x where it is read at another level
            x = torch.lerp(denoised, x, landing / sigma) * math.sqrt((1 + following**2) / (1 + landing**2))
            yield State(count, following, x, denoised, model.evaluations)


def ddim_of(scheduler: Any, n: int) -> DiffusersDDIM:
    """Return the sampler that steps as a ``DDIMScheduler`` does, over ``levels_of(scheduler, n)``.

    Args:
        scheduler: A ``DDIMScheduler``; it is left as it is.
        n: Number of steps.

    Raises:
        SettingError: The scheduler is another.
    """
    row = row_of(scheduler)
    if type(scheduler).__name__ != "DDIMScheduler" or not isinstance(row, DiffusersTimes):
        raise SettingError(f"ddim_of takes a DDIMScheduler, not {type(scheduler).__name__}")
    times = _walked(scheduler, n)[1].timesteps - len(row.betas) // n
    last = float(row.sigmas[0]) if not scheduler.config["set_alpha_to_one"] else 0.0
    landings = _at(row, times.clamp(min=0)).where(times >= 0, last)
    return DiffusersDDIM(tuple(landings.tolist()))

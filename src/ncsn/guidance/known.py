"""Values that are known: the missing ones drawn given them, by particle Gibbs on the paths of the noise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import DataError, check_count
from ncsn.guidance.gibbs import particle_gibbs
from ncsn.samplers import CountedModel, Noise, Sampler, State, sample
from ncsn.score import ScoreModel, condition_rows


def impute(
    score_model: ScoreModel,
    known: Tensor,
    mask: Tensor,
    sigmas: Tensor,
    *,
    n_particles: int = 16,
    n_sweeps: int = 8,
    condition: dict[str, Any] | None = None,
    joined: Callable[[Tensor], Tensor] | None = None,
    **how: Any,
) -> Tensor:
    """Fill the gaps of each row with a draw from the distribution of its missing values given its known ones.

    The draws have the right mean, spread and weights of modes, not only plausible values: see `Imputation` for the method
    and what it converges with. For several draws a row, repeat the row. It takes n_sweeps L + 1 evaluations of the
    model, each on n_particles points a row.

    Args:
        score_model: Any score model.
        known: Rows, ``(N, *shape)``; what the mask leaves out is not read and may be NaN.
        mask: True where a value is known, ``(N, *shape)`` or one for all rows, ``shape``.
        sigmas: Noise levels, descending, ``(L,)``, from well above the spread of the data to below its finest scale. The
            error falls as 1 / L: about 50 levels for plausible draws, 100 for exact ones.
        n_particles: Candidates for each row, at least 2.
        n_sweeps: Walks down the levels. More particles or more sweeps, at the same cost, make the draws more exact: worth
            it where known values are unusual (4 standard deviations out) or many.
        condition: Keyword arguments for the model, such as ``{"label": labels}``; a tensor has one entry a row.
        joined: Makes the draws of all incomplete rows of those of the ``part`` that this process walks; each of several
            processes then returns all rows.
        **how: ``denoise_last``, ``generator``, ``chunk_size``, ``callback`` and ``part`` of `samplers.sample`. The states that a
            callback is given hold the particles, ``(rows, n_particles, *shape)``, and at the end of a sweep the one drawn
            for each row, ``(rows, 1, *shape)``.

    Returns:
        The rows, ``(N, *shape)``: known values as given, bit for bit; missing ones drawn.

    Raises:
        DataError: Rows and mask do not fit, or a known value is not a finite number.
        SettingError: Counts or levels do not fit.
        DivergenceError: A score led out of the finite numbers.

    >>> from ncsn.exact import GaussianMixtureScore
    >>> from ncsn.noise import create_noise_schedule
    >>> pair = GaussianMixtureScore([1.0], [[0.0, 0.0]], [[[1.0, 0.9], [0.9, 1.0]]])
    >>> rows = torch.tensor([[2.0, torch.nan]]).repeat(300, 1)
    >>> filled = impute(pair, rows, ~rows.isnan(), create_noise_schedule(0.01, 10.0, 50))
    >>> bool((filled[:, 0] == 2.0).all()), bool((filled[:, 1].mean() - 1.8).abs() < 0.2)
    (True, True)
    """
    check_count("n_particles", n_particles)
    if not known.is_floating_point() or known.ndim < 2:
        raise DataError(f"known must be floating-point rows, (N, *shape), not {known.dtype} of {tuple(known.shape)}")
    if mask.dtype != torch.bool or mask.shape not in (known.shape, known.shape[1:]):
        raise DataError(
            f"mask must be booleans of shape {tuple(known.shape)} or {tuple(known.shape[1:])}, True where a value is "
            f"known, not {mask.dtype} of {tuple(mask.shape)}"
        )
    mask = mask.to(known.device).expand_as(known)
    unusable = int((mask & ~known.isfinite()).sum())
    if unusable:
        raise DataError(f"{unusable} of the values that the mask calls known are not finite; mark them as missing")
    incomplete = (~mask).flatten(1).any(1).nonzero()[:, 0]
    if not len(incomplete):
        return known.clone()
    rows = torch.where(mask, known, torch.nan)[incomplete]
    shape = (n_particles, *rows.shape[1:])
    drawn = sample(
        EachParticle(score_model),
        sigmas,
        len(rows),
        shape,
        Imputation(n_sweeps),
        rows.unsqueeze(1).expand(-1, *shape),
        condition=condition_rows(condition, len(known), incomplete),
        **how,
    )
    drawn = drawn if joined is None else joined(drawn).to(known.device)
    filled = known.clone()
    filled[incomplete] = torch.where(mask[incomplete], known[incomplete], drawn[:, 0])
    return filled


@dataclass(frozen=True, repr=False)
class Imputation(Sampler):
    """Draw missing values given known ones by particle Gibbs on the paths of the noise.

    Replacing the known entries by noised copies on the way down, and nothing else, draws from the wrong distribution: at
    each level it forgets how well a candidate predicts where the known entries go next. Here that is a candidate's weight.

    A sweep noises the present row up to the first level, then walks particles down. Their known entries follow the row's
    noised path, their missing ones step by p(x_i | x_i+1), and each is weighted by the probability that it gives the known
    entries' step, N(x_i; D + (sigma_i / sigma_i+1)^2 (x_i+1 - D), v), D being its denoised point (Trippe et al. 2023,
    SMCDiff). Particles are resampled where the weights have become uneven. From the second sweep on, one particle is the
    row's own path, and the sweep ends with a particle drawn by weight as the new row. Such a sweep leaves
    p_sigma_min(missing | known) invariant whatever the number of particles, two at least, and crosses between modes because
    it goes through the levels where they are one (Corenflos et al. 2025; Andrieu, Doucet & Holenstein 2010).

    What remains is the error of the Gaussian steps, which falls as 1 / L; their variance v is the mean of what is exact
    where the data are narrower and where they are wider than sigma.

    Args:
        n_sweeps: Walks down the levels.

    Raises:
        SettingError: There are no sweeps; at the walk, fewer than two particles or levels.
    """

    n_sweeps: int = 8

    def __post_init__(self) -> None:
        check_count("n_sweeps", self.n_sweeps)

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        """Walk down and up: `particle_gibbs` of values that are known without noise, with its arguments."""
        return particle_gibbs(model, x, sigmas, noise, n_sweeps=self.n_sweeps)


class EachParticle(nn.Module):
    """The score model of a row's particles, ``(N, K, *shape)``, each under the row's condition."""

    def __init__(self, score_model: ScoreModel) -> None:
        super().__init__()
        self.score_model = score_model
        self.any_dtype = getattr(score_model, "any_dtype", False)

    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the score of each particle."""
        n, k = x.shape[:2]
        rows = torch.arange(n, device=x.device).repeat_interleave(k)
        return self.score_model(x.flatten(0, 1), sigma, **condition_rows(condition, n, rows)).unflatten(0, (n, k))

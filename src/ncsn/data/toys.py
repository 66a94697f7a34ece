"""Toy sets in the plane: independent draws of any size, and the exact densities behind them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Generator, Tensor

from ncsn.errors import SettingError, unknown_name


class Mixture(NamedTuple):
    """A Gaussian mixture in float64: weights ``(K,)``, means ``(K, 2)`` and covariances ``(K, 2, 2)``."""

    weights: Tensor
    means: Tensor
    covariances: Tensor


# The roll's exact mean and standard deviation (integrals of t cos t, t^2 cos^2 t, ... over [1.5 pi, 4.5 pi]).
_ROLL_NOISE = 0.1
_ROLL_MEAN = torch.tensor([2.0, 2 / (3 * math.pi)], dtype=torch.float64)
_ROLL_STD = (4.875 * math.pi**2 + torch.tensor([-0.25, 0.25]).double() + _ROLL_NOISE**2 - _ROLL_MEAN**2).sqrt()
_MOONS_NOISE = 0.05
_GAUSSIANS_RADIUS, _GAUSSIANS_NOISE = 1.4, 0.1
_RINGS_RADII, _RINGS_NOISE = torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=torch.float64), 0.05


def _uniform(n: int, generator: Generator | None) -> Tensor:
    if n < 1:
        raise SettingError(f"n must be at least 1, not {n}")
    return torch.rand(n, dtype=torch.float64, generator=generator)


def _normal(n: int, generator: Generator | None) -> Tensor:
    return torch.randn(n, 2, dtype=torch.float64, generator=generator)


def draw_components(n: int, kinds: int, generator: Generator | None, labels: Tensor | None) -> Tensor:
    """Return the components given, checked, or draw ``n`` of them, each as likely."""
    if n < 1:
        raise SettingError(f"n must be at least 1, not {n}")
    if labels is None:
        return torch.randint(kinds, (n,), generator=generator)
    if labels.shape != (n,) or labels.min() < 0 or labels.max() >= kinds:
        raise SettingError(f"labels must be {n} whole numbers from 0 to {kinds - 1}, of shape ({n},)")
    return labels.long()


def _polar(radius: Tensor | float, angle: Tensor) -> Tensor:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


def _roll_curve(u: Tensor) -> Tensor:
    t = 1.5 * math.pi * (1 + 2 * u)
    return (_polar(t, t) - _ROLL_MEAN) / _ROLL_STD


def _moons_curve(u: Tensor, labels: Tensor) -> Tensor:
    upper = _polar(1.0, math.pi * u) - torch.tensor([0.5, 0.25], dtype=torch.float64)
    return (1 - 2 * labels).unsqueeze(-1) * upper


def _rings_curve(u: Tensor, labels: Tensor) -> Tensor:
    return _polar(_RINGS_RADII[labels], 2 * math.pi * u)


def swiss_roll(n: int, generator: Generator | None = None) -> Tensor:
    """Draw a two-dimensional Swiss roll: t (cos t, sin t), t uniform on [1.5 pi, 4.5 pi], noise of 0.1, standardised.

    It is standardised by the distribution's own mean and standard deviation, not by the draw's, so that independent
    draws share their coordinates and can be compared. In these units the noise is 0.0151 and 0.0144 along the axes.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        SettingError: ``n`` is below 1.

    >>> swiss_roll(3).shape
    torch.Size([3, 2])
    """
    return (_roll_curve(_uniform(n, generator)) + _ROLL_NOISE / _ROLL_STD * _normal(n, generator)).float()


def moons(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw two interleaving half circles of radius 1 about the origin, with noise of 0.05.

    Angles are drawn, where scikit-learn's `make_moons` spaces them evenly: held-out data must be an independent draw.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which half circle each point lies on, ``(n,)`` of 0 (upper) or 1 (lower); drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        SettingError: ``n`` is below 1, or ``labels`` do not fit.
    """
    labels = draw_components(n, 2, generator, labels)
    return (_moons_curve(_uniform(n, generator), labels) + _MOONS_NOISE * _normal(n, generator)).float()


def eight_gaussians(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw eight equal Gaussians of standard deviation 0.1, evenly around a circle of radius 1.4.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which Gaussian each point is of, ``(n,)`` of 0 to 7 counter-clockwise from (1.4, 0); drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        SettingError: ``n`` is below 1, or ``labels`` do not fit.
    """
    centres = _polar(_GAUSSIANS_RADIUS, math.pi / 4 * draw_components(n, 8, generator, labels).double())
    return (centres + _GAUSSIANS_NOISE * _normal(n, generator)).float()


def checkerboard(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw uniformly from the eight unit squares of a 4 x 4 board on [-2, 2]^2 where floor(x) + floor(y) is even.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which square each point lies in, ``(n,)`` of 0 to 7, row by row from the lower left; drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32; their density is 1/8 on the squares.

    Raises:
        SettingError: ``n`` is below 1, or ``labels`` do not fit.
    """
    labels = draw_components(n, 8, generator, labels)
    row = labels // 2
    corner = torch.stack([2 * (labels % 2) + row % 2, row], dim=-1) - 2
    # float32 would round a coordinate just below an edge onto it, into the next square.
    inside = torch.stack([_uniform(n, generator), _uniform(n, generator)], dim=-1).clamp(max=1 - 2**-20)
    return (corner + inside).float()


def pinwheel(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw five spiralling arms (Johnson et al. 2016, "Composing graphical models with neural networks").

    A Gaussian at radius 1, with deviations of 0.3 along the radius and 0.1 across it, is turned by exp(radius)/4 and
    scaled by the square root of 2; each coordinate has mean 0 and variance 1.1.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which arm each point is of, ``(n,)`` of 0 to 4; drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        SettingError: ``n`` is below 1, or ``labels`` do not fit.
    """
    labels = draw_components(n, 5, generator, labels)
    normal = _normal(n, generator)
    radius, sideways = 1 + 0.3 * normal[:, 0], 0.1 * normal[:, 1]
    angle = 2 * math.pi / 5 * labels + radius.exp() / 4
    return (math.sqrt(2) * (_polar(radius, angle) + _polar(sideways, angle + math.pi / 2))).float()


def rings(n: int, generator: Generator | None = None, labels: Tensor | None = None) -> Tensor:
    """Draw four concentric rings of radius 0.5, 1, 1.5 and 2, equally likely, with noise of 0.05.

    Args:
        n: Number of points.
        generator: Source of randomness; torch's default generator when None.
        labels: Which ring each point is of, ``(n,)`` of 0 (innermost) to 3; drawn when None.

    Returns:
        Independent points, ``(n, 2)`` in float32.

    Raises:
        SettingError: ``n`` is below 1, or ``labels`` do not fit.
    """
    labels = draw_components(n, 4, generator, labels)
    return (_rings_curve(_uniform(n, generator), labels) + _RINGS_NOISE * _normal(n, generator)).float()


@dataclass(frozen=True)
class Toy:
    """A two-dimensional set that is drawn afresh at any size.

    Args:
        draw: The function that draws it, ``draw(n, generator)``, with ``labels`` where it has components.
        n_labels: Number of components, 0 where it has none.
        centres: Where its density is known: the centres of about ``k`` equal Gaussians that make it up, as ``(K, 2)``.
        noise: Their standard deviation, per axis where it differs.
    """

    draw: Callable[..., Tensor]
    n_labels: int = 0
    centres: Callable[[int], Tensor] | None = None
    noise: Tensor | float = 0.0


def _midpoints(k: int) -> Tensor:
    return (torch.arange(k, dtype=torch.float64) + 0.5) / k


def _along(curve: Callable[[Tensor, Tensor], Tensor], kinds: int) -> Callable[[int], Tensor]:
    return lambda k: torch.cat([curve(_midpoints(-(-k // kinds)), torch.tensor([kind])) for kind in range(kinds)])


TOYS: Mapping[str, Toy] = {
    "swiss_roll": Toy(swiss_roll, 0, lambda k: _roll_curve(_midpoints(k)), _ROLL_NOISE / _ROLL_STD),
    "moons": Toy(moons, 2, _along(_moons_curve, 2), _MOONS_NOISE),
    "eight_gaussians": Toy(
        eight_gaussians,
        8,
        lambda _: _polar(_GAUSSIANS_RADIUS, math.pi / 4 * torch.arange(8, dtype=torch.float64)),
        _GAUSSIANS_NOISE,
    ),
    "checkerboard": Toy(checkerboard, 8),
    "pinwheel": Toy(pinwheel, 5),
    "rings": Toy(rings, 4, _along(_rings_curve, 4), _RINGS_NOISE),
}
"""The toy sets by name."""


def toy_mixture(name: str, n_components: int = 2000) -> Mixture:
    """Return a toy set's density as a Gaussian mixture, and with it its exact score at every noise level.

    The eight Gaussians are such a mixture. The roll, the moons and the rings are curves blurred by a Gaussian, and the
    midpoint rule along the curve turns them into one; at the default its nodes lie closer than the noise is wide, and
    the density is right to a few parts in a thousand even at the curves' ends.

    Args:
        name: One of ``swiss_roll moons eight_gaussians rings``.
        n_components: Number of nodes along the curves, rounded up to a multiple of their number.

    Returns:
        Weights, means and covariances, for instance for `GaussianMixtureScore`.

    Raises:
        SettingError: No toy set with a known mixture has this name, or ``n_components`` is below 1.

    >>> toy_mixture("eight_gaussians").means.shape
    torch.Size([8, 2])
    """
    known = {key: toy for key, toy in TOYS.items() if toy.centres is not None}
    if name not in known:
        raise unknown_name("toy set with a known mixture", name, known)
    if n_components < 1:
        raise SettingError(f"n_components must be at least 1, not {n_components}")
    toy = known[name]
    means = cast(Callable[[int], Tensor], toy.centres)(n_components)
    covariance = torch.diag(torch.as_tensor(toy.noise, dtype=torch.float64).expand(2).square())
    return Mixture(
        torch.full((len(means),), 1 / len(means), dtype=torch.float64), means, covariance.repeat(len(means), 1, 1)
    )

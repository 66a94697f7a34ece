"""Priors: drawn from, and carried to where every number is a parameter, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, biject_to, constraints
from torch.distributions.transforms import IndependentTransform, Transform
from torch.nn.functional import logsigmoid, softplus

from ncsn.data import as_float64
from ncsn.errors import DataError, SettingError
from ncsn.plan.measure import finest_scale, regression

AnyPrior = Distribution | Sequence[Distribution]
"""One distribution of all parameters, or one for each, independent of each other."""

NEAREST = 2.0**-25
"""Share of an interval that a parameter keeps from its ends: what single precision tells from 1."""

ENDS = 0.01, 0.15
"""Share of an interval at each end, at least and at most, where numbers without bounds are others than the parameters."""

ENDS_OF_WIDTH = 1.5
"""Width of these ends, where `Prior.fitted` chooses them, in widths of the posterior, as far as one knows it before."""


class Prior:
    """A prior of several parameters, and the way between its support and numbers without bounds.

    An interval stays as it is but near its ends, of which one keeps away ever more; any other support goes by
    `torch.distributions.biject_to`. A density that ends at a bound becomes one that falls off smoothly, and nothing
    that comes back lies outside.

    Args:
        prior: A `torch.distributions.Distribution` of vectors, or of one number for each parameter; or several, side by side.
        ends: How far from its ends, ``(D,)``, each parameter's interval bends, in the parameter's unit; 15% of the interval
            when None. Parameters without two bounds have no use for theirs.

    Raises:
        SettingError: It is none of these, or has no continuous support.

    >>> from torch.distributions import Gamma, Uniform
    >>> prior = Prior([Uniform(0.0, 2.0), Gamma(2.0, 1.0)])
    >>> prior.to_free(torch.tensor([[1.0, 1.0]]))
    tensor([[1., 0.]], dtype=torch.float64)
    """

    def __init__(self, prior: AnyPrior, ends: Tensor | None = None) -> None:
        several = prior if isinstance(prior, Sequence) else [prior]
        if not several:
            raise SettingError("prior holds no distribution: give one, or one for each parameter")
        self.parts = [_of_vectors(each) for each in several]
        self._widths = [part.event_shape[0] for part in self.parts]
        self.ends = torch.full((self.dim,), torch.inf, dtype=torch.float64) if ends is None else ends
        each_end = zip(self.parts, self.ends.split(self._widths), strict=True)
        self.transforms = [_to_support(part.support, own) for part, own in each_end]
        self._free_widths = [
            way.inverse_shape(part.event_shape)[0] for part, way in zip(self.parts, self.transforms, strict=True)
        ]

        with torch.random.fork_rng([]):
            self.dtype = self.sample(1).dtype

    @property
    def dim(self) -> int:
        """Number of parameters."""
        return sum(self._widths)

    def fitted(self, theta: Tensor, contexts: Tensor) -> Prior:
        """Return the prior with intervals that bend over about the width of the posterior, as far as contexts tell it by a line.

        Over less, a posterior that a bound cuts off is cut off as sharply for the network; over more, what the posterior is
        finely made of is bent. It is no wider than what the line leaves, nor than what neighbours leave. Where the line tells
        nothing of a parameter its posterior may be of any width, and little bends.

        Args:
            theta: Parameters, ``(N, D)``.
            contexts: What is told of each, ``(N, C)``.
        """
        theta, contexts = theta.double(), contexts.double()
        slope, intercept = regression(theta, contexts)
        rest = theta - torch.addmm(intercept, contexts, slope)
        spread, scale = theta.std(0), contexts.std(0)
        explained = 1 - rest.var(0) / spread.square()
        finest = finest_scale(theta / spread, contexts / torch.where(scale > 0, scale, 1.0))
        # the median: noise that is rarely large leaves much, but narrow posteriors
        width = torch.minimum(rest.abs().median(0).values, finest * spread)
        return Prior(self.parts, ENDS_OF_WIDTH * explained.clamp(0, 1) * width)

    def sample(self, n: int) -> Tensor:
        """Draw parameters, ``(n, D)``, by torch's default generator."""
        return torch.cat([part.sample(torch.Size([n])) for part in self.parts], dim=1)

    def log_prob(self, theta: Tensor) -> Tensor:
        """Return the log-density of parameters ``(N, D)``, minus infinity outside the support; float64, ``(N,)``."""
        inside = self.inside(theta)
        total = torch.full((len(theta),), -torch.inf, dtype=torch.float64)
        if bool(inside.any()):
            columns = zip(self.parts, theta[inside].double().split(self._widths, 1), strict=True)
            total[inside] = torch.stack([part.log_prob(own).double() for part, own in columns]).sum(0)
        return total

    def inside(self, theta: Tensor) -> Tensor:
        """Return which parameters ``(N, D)`` are in the support, ``(N,)``."""
        columns = theta.split(self._widths, 1)
        each = [_row_wise(_support_of(part).check(own)) for part, own in zip(self.parts, columns, strict=True)]
        return torch.stack(each).all(0)

    def checked(self, theta: Any) -> Tensor:
        """Return parameters as a tensor ``(N, D)``, float64.

        Raises:
            DataError: They have another number of columns, or a NaN.
        """
        values = as_float64(theta).cpu()
        values = values[None] if values.ndim == 1 and len(values) == self.dim else values
        if values.ndim != 2 or values.shape[1] != self.dim:
            raise DataError(
                f"theta must hold rows of {self.dim} parameters, (N, {self.dim}), not {tuple(values.shape)}"
            )
        if unknown := int(values.isnan().any(1).sum()):
            raise DataError(f"theta: {unknown} of {len(values)} rows hold a NaN; leave them out")
        return values

    def to_free(self, theta: Tensor) -> Tensor:
        """Return parameters of the support without bounds, ``(N, F)``, float64; the ends of an interval stay finite.

        Raises:
            DataError: Some are outside the support.
        """
        outside = ~self.inside(theta)
        if bool(outside.any()):
            row = int(outside.nonzero()[0])
            said = ", ".join(f"{value:.4g}" for value in theta[row].tolist())
            raise DataError(
                f"theta: {int(outside.sum())} of {len(theta)} rows lie outside the prior's support, first row {row} "
                f"({said}): leave them out, or widen the prior"
            )
        ways = zip(self.transforms, theta.double().split(self._widths, 1), strict=True)
        return torch.cat([way.inv(own) for way, own in ways], dim=1)

    def from_free(self, free: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return parameters of the support, ``(N, D)``, of numbers without bounds ``(N, F)``; in the prior's type when None."""
        ways = zip(self.transforms, self.parts, free.double().split(self._free_widths, 1), strict=True)
        return torch.cat([_within(part.support, way(own).to(dtype or self.dtype)) for way, part, own in ways], dim=1)

    def log_slope(self, free: Tensor) -> Tensor:
        """Return log |d theta / d free|, ``(N,)``: what a log-density without bounds loses on the way to the support."""
        ways = zip(self.transforms, free.double().split(self._free_widths, 1), strict=True)
        return torch.stack([way.log_abs_det_jacobian(own, way(own)) for way, own in ways]).sum(0)


class _SmoothEnds(Transform):
    """From numbers without bounds to an interval, as they are but near its ends, where they come closer ever more slowly.

    The difference of two softplus functions. Near an end, at a distance of ``end`` and less, a density that ends there falls
    off as an exponential function; between, what is uniform stays so, and distances too, so that a posterior as wide in one
    place as in another is so for the network. The inverse stays finite at both ends.

    Args:
        low: The lower end.
        high: The upper one.
        end: How far from the ends it bends.
    """

    domain = constraints.real
    bijective = True
    sign = 1

    def __init__(self, low: Tensor, high: Tensor, end: Tensor) -> None:
        super().__init__()
        self.low, self.high, self.end = low, high, end
        self.codomain = constraints.interval(low, high)

    def _call(self, x: Tensor) -> Tensor:
        return self.low + self.end * (softplus((x - self.low) / self.end) - softplus((x - self.high) / self.end))

    def _inverse(self, y: Tensor) -> Tensor:
        least = NEAREST * (self.high - self.low)
        y = torch.minimum(torch.maximum(y, self.low + least), self.high - least)
        below, above = (y - self.low) / self.end, (y - self.high) / self.end
        return y + self.end * (torch.log(-torch.expm1(-below)) - torch.log(-torch.expm1(above)))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        # log(sigmoid(a) - sigmoid(b)) without the difference
        a, b = (x - self.low) / self.end, (x - self.high) / self.end
        return logsigmoid(a) + logsigmoid(-b) + torch.log(-torch.expm1((self.low - self.high) / self.end))


def _of_vectors(part: Any) -> Distribution:
    """Return a distribution of vectors."""
    if not isinstance(part, Distribution):
        raise SettingError(f"prior must be a torch Distribution, or one for each parameter, not {type(part).__name__}")
    if not part.event_shape:
        part = part.expand(torch.Size([1])) if not part.batch_shape else part
        part = Independent(part, 1) if len(part.batch_shape) == 1 else part
    if len(part.event_shape) != 1 or part.batch_shape:
        raise SettingError(
            f"prior must draw one vector of parameters, not a batch of shape {tuple(part.batch_shape)} of events of shape "
            f"{tuple(part.event_shape)}: take its to_event(1), or one distribution for each parameter"
        )
    return part


def _to_support(support: Any, ends: Tensor) -> Transform:
    """Return the way from numbers without bounds to a support, an interval of which bends over its ends."""
    if isinstance(support, constraints.independent):
        return IndependentTransform(_to_support(support.base_constraint, ends), support.reinterpreted_batch_ndims)
    if isinstance(support, type(constraints.unit_interval)):
        low, high = (torch.as_tensor(end, dtype=torch.float64) for end in (support.lower_bound, support.upper_bound))
        return _SmoothEnds(low, high, ends.clamp(ENDS[0] * (high - low), ENDS[1] * (high - low)))
    try:
        return biject_to(support)
    except NotImplementedError as error:
        raise SettingError(
            f"prior: there is no way from {support} to numbers without bounds: take a continuous prior"
        ) from error


def _support_of(part: Distribution) -> Any:
    return part.support


def _row_wise(checks: Tensor) -> Tensor:
    return checks if checks.ndim == 1 else checks.all(1)


def _within(support: Any, theta: Tensor) -> Tensor:
    """Return parameters strictly within an interval, which rounding may have put on its ends."""
    if isinstance(support, constraints.independent):
        return _within(support.base_constraint, theta)
    if not isinstance(support, type(constraints.unit_interval)):
        return theta
    low, high = (torch.as_tensor(end).to(theta) for end in (support.lower_bound, support.upper_bound))
    return theta.clamp(torch.nextafter(low, high), torch.nextafter(high, low))

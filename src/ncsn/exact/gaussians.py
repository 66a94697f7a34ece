"""The exact score of a Gaussian mixture."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncsn.errors import DataError
from ncsn.exact.mixture import LOG2_E, MixtureScore, checked_sigma, floats, wide
from ncsn.randomness import standard_normal

_ROUNDING = 1e-5
_SINGLE = (torch.float16, torch.bfloat16, torch.float32, np.dtype(np.float16), np.dtype(np.float32))


class GaussianMixtureScore(MixtureScore):
    """The exact score of a Gaussian mixture convolved with N(0, sigma^2 I), a score model on ``(N, D)``.

    grad log p_sigma(x) = -sum_k r_k(x) (C_k + sigma^2 I)^-1 (x - mu_k), with r_k(x) the posterior probability of
    component k. Each covariance is decomposed once, here; a noise level then only shifts its eigenvalues. Parameters
    are buffers on the device of ``means``, in its dtype, and what was decomposed in float64. Exponents are computed in
    float64 too (on MPS, which has none, all in float32), and the answer has the dtype of ``x``.

    Args:
        weights: ``(K,)`` non-negative weights; divided by their sum.
        means: ``(K, D)`` means; lists become torch's default dtype, so give arrays for float64.
        covariances: ``(K, D, D)`` full, ``(K, D)`` diagonal, ``(K,)`` or a scalar isotropic variances. Zero variance is
            allowed: the component is then a point mass.
        labels: ``(K,)`` class of each component, integers from 0, for ``label=`` in the calls.
        chunk_size: Most entries of one intermediate block, which bounds the memory of a call; by default 2**18 on a
            CPU and 2**24 elsewhere.

    Raises:
        DataError: Weights, means, covariances or labels are not finite, not valid as such or do not fit together.

    >>> mixture = GaussianMixtureScore([1.0, 3.0], [[-2.0, 0.0], [2.0, 0.0]], 0.25)
    >>> mixture
    GaussianMixtureScore(2 components, shape=(2,))
    >>> mixture(torch.tensor([[5.0, 1.0]]), sigma=0.5)
    tensor([[-6., -2.]])
    >>> mixture.mean
    tensor([1., 0.])
    """

    weights: Tensor
    means: Tensor
    variances: Tensor
    axes: Tensor | None

    def __init__(
        self, weights: Any, means: Any, covariances: Any, *, labels: Any = None, chunk_size: int | None = None
    ) -> None:
        means = floats("means", means)
        if means.ndim != 2 or not means.numel():
            raise DataError(f"means must have the shape (K, D), not {tuple(means.shape)}; in one dimension, (K, 1)")
        components, dim = means.shape
        super().__init__(components, means.shape[1:], labels, dim, means.device, chunk_size)
        weights = floats("weights", weights, means.dtype, means.device)
        if weights.shape != (components,):
            raise DataError(f"weights must have the shape ({components},), one per mean, not {tuple(weights.shape)}")
        if (weights < 0).any() or not weights.any():
            raise DataError("weights must not be negative and not all zero")
        for value in self.classes:
            if not weights[self._members(value)].any():
                raise DataError(f"the components of class {value} must not all have weight zero")
        given = torch.float32 if getattr(covariances, "dtype", None) in _SINGLE else torch.float64
        covariances = floats("covariances", covariances, torch.float64, torch.device("cpu"))
        variances, axes, least = _eigen(covariances, components, dim, torch.finfo(given).eps)
        self.register_buffer("weights", weights / weights.sum())
        self.register_buffer("means", means)
        # in single precision the axes of a narrow component are off by more than its width
        self.register_buffer("variances", variances.to(means.device, wide(means)))
        self.singular = not bool((variances > least).all())
        self.register_buffer("axes", None if axes is None else axes.to(self.variances))
        self._isotropic = axes is None and bool((variances == variances[:, :1]).all())
        if self._isotropic:
            self._entries_per_pair = 1

    @property
    def mean(self) -> Tensor:
        """The mean of the mixture, ``(D,)``."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Tensor:
        """The covariance of the mixture without noise, ``(D, D)``; at noise sigma, sigma^2 I comes on top."""
        offset = self.means - self.mean
        between = (self.weights[:, None] * offset).T @ offset
        if self.axes is None:
            return between + (self.weights @ self.variances.to(between)).diag()
        within = torch.einsum("k,kij,kj,klj->il", self.weights.to(self.axes), self.axes, self.variances, self.axes)
        return between + within.to(between)

    def _terms(self, x: Tensor, sigma: Tensor, index: slice | Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        if self._isotropic:
            return self._isotropic_terms(x, sigma, index)
        axes = None if self.axes is None else self.axes[index].to(x)
        offset = x - self.means[index, None].to(x)
        coordinates = offset if axes is None else offset @ axes
        variances = self.variances[index, None].to(x) + sigma.square()
        pull = coordinates / variances
        exponent = (coordinates * pull + variances.log()).sum(2) + self.dim * math.log(2 * math.pi)
        terms = (self.weights[index, None].to(x).log() - exponent / 2).T * LOG2_E

        def scores_of(weights: Tensor) -> Tensor:
            weighted = weights.T[:, :, None] * pull
            return -(weighted if axes is None else weighted @ axes.mT).sum(0).to(weights.dtype)

        return terms, scores_of

    def _isotropic_terms(
        self, x: Tensor, sigma: Tensor, index: slice | Tensor
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Do as `_terms` by products of matrices, without an array of rows, components and dimensions."""
        # centred, as the terms of |x|^2 - 2 x.mu + |mu|^2 cancel
        centre = self.means.mean(0).to(x)
        means, queries = self.means[index].to(x) - centre, x - centre
        variances = self.variances[index, 0].to(x) + sigma.square()
        half_squares = queries.square().sum(1, keepdim=True) / 2
        constant = (self.weights[index].to(x).log() - self.dim / 2 * (2 * math.pi * variances).log()) * LOG2_E
        precision = LOG2_E / variances
        if len(sigma) == 1:
            slopes = torch.cat([means * precision.T, -precision.T], 1).T
            constant = constant - precision * means.square().sum(1) / 2
            terms = torch.addmm(constant, torch.cat([queries, half_squares], 1), slopes)
        else:
            apart = torch.addmm(means.square().sum(1) / 2, queries, means.T, alpha=-1) + half_squares
            terms = constant - precision * apart

        def scores_of(weights: Tensor) -> Tensor:
            pull = weights / variances
            return (pull @ means - pull.sum(1, keepdim=True) * queries).to(weights.dtype)

        return terms, scores_of

    def _log_mass(self, members: Tensor | None) -> Tensor | float:
        return 0.0 if members is None else self.weights[members].sum().log()

    def _draw(self, n: int, members: Tensor | None, generator: torch.Generator | None) -> Tensor:
        weights = self.weights if members is None else self.weights[members]
        device = weights.device if generator is None else generator.device
        return weights.to(device).multinomial(n, replacement=True, generator=generator).to(weights.device)

    def _place(self, components: Tensor, sigma: Tensor | float, generator: torch.Generator | None) -> Tensor:
        centres = self.means[components]
        level = checked_sigma(sigma, centres, allow_zero=True)
        offset = (self.variances[components].to(centres) + level.square()).sqrt() * standard_normal(centres, generator)
        if self.axes is not None:
            for k in set(components.tolist()):
                rows = components == k
                offset[rows] = offset[rows] @ self.axes[k].T.to(offset)
        return centres + offset


def _eigen(covariances: Tensor, components: int, dim: int, eps: float) -> tuple[Tensor, Tensor | None, Tensor | float]:
    """Return the eigenvalues ``(K, D)``, their axes, and what they have to be above to be none of rounding.

    The axes are the eigenvectors, ``(K, D, D)``, or None where they are those of the coordinates.
    """
    if covariances.shape == (components, dim, dim):
        size = covariances.abs().amax((1, 2), keepdim=True)
        if bool(((covariances - covariances.mT).abs() > _ROUNDING * size).any()):
            raise DataError("covariances must be symmetric")
        variances, axes = torch.linalg.eigh((covariances + covariances.mT) / 2)
        if bool((variances < -_ROUNDING * size[..., 0]).any()):
            raise DataError("covariances must be positive semi-definite, but one has a negative eigenvalue")
        return variances.clamp(min=0), axes, dim * eps * size[..., 0]
    if covariances.shape not in ((components, dim), (components,), ()):
        shapes = f"({components}, {dim}, {dim}), ({components}, {dim}), ({components},) or ()"
        raise DataError(f"covariances must have the shape {shapes}, not {tuple(covariances.shape)}")
    if bool((covariances < 0).any()):
        raise DataError("covariances must not hold negative variances")
    return (covariances[:, None] if covariances.ndim == 1 else covariances).expand(components, dim), None, 0.0

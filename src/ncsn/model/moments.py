"""Means and covariances of the data, of all rows and of each class: the Gaussian that they are next to at high noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

WHOLE_UP_TO = 2**22
"""Values in covariance matrices, of all groups together, up to which they are kept whole; above, and for images, variances."""


@dataclass(frozen=True, eq=False)
class Moments:
    """The first two moments of each group of rows: all rows first, then each class in the order of its code.

    Attributes:
        means: ``(1 + K, *shape)`` for K classes.
        covariances: ``(1 + K, D, D)``; or variances of each value, ``(1 + K, *shape)``.
        residual: The covariance, or the variances, that rows have about the mean that their contexts tell; None without.
    """

    means: Tensor
    covariances: Tensor
    residual: Tensor | None = None

    @classmethod
    def of(
        cls, rows: Tensor, codes: Tensor | None = None, n_classes: int = 0, weights: Tensor | None = None
    ) -> Moments:
        """Measure them on rows ``(N, D)`` whose classes have the codes ``(N,)``; a class of one row has no spread.

        Weights ``(N,)`` say how much each row counts, in proportion.
        """
        every = torch.ones(len(rows), dtype=torch.bool)
        groups = [every, *(codes == k for k in range(n_classes) if codes is not None)]
        whole = rows.ndim == 2 and len(groups) * rows.shape[1] ** 2 <= WHOLE_UP_TO
        means, spreads = [], []
        for group in groups:
            some, shares = rows[group], None if weights is None else weights[group] / weights[group].mean()
            correction = min(1, len(some) - 1)
            mean = some.mean(0) if shares is None else torch.tensordot(shares.to(some), some, dims=1) / len(some)
            if whole:
                spread = some.T.cov(correction=correction, aweights=shares).reshape(rows.shape[1], -1)
            elif shares is None:
                spread = some.var(0, correction=correction)
            else:
                squares = torch.tensordot(shares.to(some), (some - mean).square(), dims=1)
                # as `cov` has it for weights that say how much, and not how often
                spread = squares / (len(some) - correction * float(shares.square().mean()))
            means.append(mean)
            spreads.append(spread)
        return cls(torch.stack(means), torch.stack(spreads))

    @classmethod
    def of_chunks(
        cls, chunks: Iterable[tuple[Tensor, Tensor | None]], n_classes: int = 0, weights: Tensor | None = None
    ) -> Moments:
        """Measure those of images that come some at a time: means and variances of each pixel.

        Args:
            chunks: Images, ``(n, *shape)``, about 0 and of about unit spread, with the codes of their classes, ``(n,)``, or None.
            n_classes: Number of classes.
            weights: How much each image counts, ``(N,)``, in proportion; all alike when None.
        """
        counts = evenness = sums = squares = torch.zeros((), dtype=torch.float64)
        start, shares = 0, None if weights is None else (weights / weights.mean()).cpu().double()
        for rows, codes in chunks:
            groups = torch.ones(1, len(rows))
            if codes is not None:
                groups = torch.cat([groups, nn.functional.one_hot(codes.cpu(), n_classes).T])
            flat, groups = rows.cpu().double().flatten(1), groups.double()
            if shares is not None:
                groups = groups * shares[start : start + len(rows)]
            start += len(rows)
            counts, evenness = counts + groups.sum(1, keepdim=True), evenness + groups.square().sum(1, keepdim=True)
            sums, squares = sums + groups @ flat, squares + groups @ flat.square()
        means = sums / counts
        # by N - 1, N being how many rows of one weight tell as much; a class of one row has no spread
        effective = counts.square() / evenness
        variances = (squares / counts - means.square()).clamp(min=0) * effective / (effective - 1).clamp(min=1)
        return cls(means.reshape(-1, *rows.shape[1:]), variances.reshape(-1, *rows.shape[1:]))

    def tensors(self) -> dict[str, Tensor]:
        """Return them by name."""
        residual = {} if self.residual is None else {"residual": self.residual}
        return {"means": self.means, "covariances": self.covariances} | residual

    @classmethod
    def taken_from(cls, tensors: dict[str, Tensor]) -> Moments:
        """Take out of named tensors what `tensors` put there."""
        return cls(tensors.pop("means"), tensors.pop("covariances"), tensors.pop("residual", None))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a row."""
        return tuple(self.means.shape[1:])

    def groups(self, codes: Tensor | None, n: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the rows of each class that occurs, with its mean and covariance; all ``n`` rows where there are no codes."""
        if codes is None:
            yield torch.arange(n), self.means[0], self.covariances[0]
            return
        for code in codes.unique().tolist():
            yield (codes == code).nonzero()[:, 0], self.means[1 + code], self.covariances[1 + code]

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Moments:
        """Return those of nothing known: samples start from the noise alone."""
        return cls(torch.zeros(1, *shape, dtype=torch.float64), torch.zeros(1, *shape, dtype=torch.float64))

    def about(self, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return one group of all rows about means of their own, ``(n, *shape)``, which their contexts tell."""
        residual = self.covariances[0] if self.residual is None else self.residual
        return torch.arange(len(centre)), centre, residual

    def place(self, noise: Tensor, sigma: float, codes: Tensor | None, centre: Tensor | None = None) -> Tensor:
        """Return rows of the Gaussians of these moments with noise of ``sigma``, made of standard normal noise; float64.

        Args:
            noise: Standard normal noise, ``(n, *shape)``.
            sigma: The noise level.
            codes: The class of each row, ``(n,)``, or None.
            centre: The mean that the context of each row tells, ``(n, *shape)``, or None.
        """
        drawn = noise.cpu().double().clone()
        groups = self.groups(codes, len(drawn)) if centre is None else [self.about(centre.cpu().double())]
        for rows, mean, covariance in groups:
            if covariance.shape != self.shape:
                total = covariance + sigma**2 * torch.eye(len(covariance), dtype=torch.float64)
                scaled = drawn[rows] @ torch.linalg.cholesky(total).T
            else:
                scaled = drawn[rows] * (covariance + sigma**2).sqrt()
            drawn[rows] = mean + scaled
        return drawn

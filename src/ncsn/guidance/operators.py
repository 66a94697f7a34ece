"""Linear operators by their singular vectors: an orthogonal turn of the data, after which each value is measured by itself."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ncsn.errors import DataError, SettingError, check_count, check_number


class Operator(abc.ABC):
    """A linear operator A = U S V^T on points of a shape, known by its singular vectors.

    One of your own sets `scales` and `measured_shape`, and has the four methods `apply`, `coordinates`, `points` and
    `measured`. V^T turns all of a point's values, so that there are as many coordinates, in the shape of a point.

    Attributes:
        scales: The singular value of each coordinate, of the shape of a point, float64; 0 where A does not look.
        measured_shape: The shape of A x of one point.
        digits: The relative precision of the operator's numbers, below which singular values are next to 0.
    """

    scales: Tensor
    measured_shape: tuple[int, ...]
    digits: float = torch.finfo(torch.float64).eps

    @abc.abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """Return A x of points ``(N, *shape)``."""

    @abc.abstractmethod
    def coordinates(self, x: Tensor) -> Tensor:
        """Return V^T x of points ``(N, *shape)``."""

    @abc.abstractmethod
    def points(self, z: Tensor) -> Tensor:
        """Return V z of coordinates ``(N, *shape)``."""

    @abc.abstractmethod
    def measured(self, y: Tensor) -> Tensor:
        """Return what measurements say of the coordinates, S^-1 U^T y of ``(N, *measured_shape)``; any number elsewhere."""

    def levels(self, sigma: Tensor) -> Tensor:
        """Return the standard deviation of the noise in each coordinate, of the shape of a point.

        Args:
            sigma: That of the measurement's entries, one for all.

        Raises:
            SettingError: There is one for each entry, which does not go with these singular vectors.
        """
        if sigma.ndim:
            raise SettingError(f"{type(self).__name__} takes one sigma for all entries; give A as a matrix or a mask")
        return sigma / self.scales

    def rescaled(self, scale: Tensor) -> Operator:
        """Return A diag(scale), of values that are ``scale`` times as large.

        Args:
            scale: Positive factors of the shape of a point, or one for all.

        Raises:
            SettingError: The factors differ, which does not go with these singular vectors.
        """
        raise SettingError(f"{type(self).__name__} acts on values of one unit; give A as a matrix or a mask")


class Mask(Operator):
    """Looks at values one by one.

    Args:
        scales: True where a value is measured, of the shape of a point; or what it is multiplied by, 0 where it is not.
    """

    def __init__(self, scales: Tensor) -> None:
        self.scales = scales.double()
        self.measured_shape = tuple(scales.shape)

    def apply(self, x: Tensor) -> Tensor:
        """Return the values, 0 where they are not measured."""
        return x * self.scales.to(x)

    def coordinates(self, x: Tensor) -> Tensor:
        """Return the values."""
        return x

    def points(self, z: Tensor) -> Tensor:
        """Return the values."""
        return z

    def measured(self, y: Tensor) -> Tensor:
        """Return the values."""
        return y / self.scales.to(y)

    def levels(self, sigma: Tensor) -> Tensor:
        """Return sigma, of which there may be one for each value."""
        return sigma / self.scales

    def rescaled(self, scale: Tensor) -> Mask:
        """Return the mask of values in other units."""
        return Mask(self.scales * scale)


class Matrix(Operator):
    """A matrix on the values of a point, one after the other.

    The turn is a product of as many Householder reflections as A has rank: it costs no more than A itself.

    Args:
        matrix: ``(M, D)``, of any rank.
        shape: The shape of a point, of D values; ``(D,)`` when None.
        sigma: The standard deviation of the noise of each entry of A x, ``(M,)``, where they differ: A is whitened, and what
            has no noise comes first.
        digits: The relative precision of the entries; that of their type when None.

    Raises:
        DataError: The matrix has no two axes, is not finite, or its columns are not the values of a point.
    """

    def __init__(
        self,
        matrix: Tensor,
        shape: Sequence[int] | None = None,
        sigma: Tensor | None = None,
        digits: float | None = None,
    ) -> None:
        if matrix.ndim != 2 or not matrix.numel() or not bool(matrix.isfinite().all()):
            raise DataError(f"a matrix (M, D) of finite numbers is needed, not one of shape {tuple(matrix.shape)}")
        self.digits = _digits_of(matrix) if digits is None else digits
        self.matrix = matrix.double()
        self.shape = tuple(matrix.shape[1:]) if shape is None else tuple(shape)
        if math.prod(self.shape) != matrix.shape[1]:
            raise DataError(
                f"A has {matrix.shape[1]} columns; points of shape {self.shape} have {math.prod(self.shape)}"
            )
        self.measured_shape = (len(matrix),)
        self._levels: Tensor | None = None
        if sigma is None:
            vectors, values, told = _singular(self.matrix, self.digits)
        else:
            vectors, values, told = self._whitened(sigma.double())
        self._reflections, self._factor = _reflections(vectors)
        # a reflection may have turned a vector round
        turned = self._turned(vectors, self._factor).diagonal().sign()
        self._told = told * turned[:, None]
        self.scales = self._padded(values)

    def _whitened(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `_singular` does; what is known without noise is taken off the rest."""
        exact = sigma == 0
        picks = torch.eye(len(sigma), dtype=sigma.dtype)
        first, values, told = _singular(self.matrix[exact], self.digits, picks[exact])
        white = self.matrix[~exact] / sigma[~exact, None]
        picked = picks[~exact] / sigma[~exact, None] - white @ first.T @ told
        rest, precisions, told_of_rest = _singular(white - white @ first.T @ first, self.digits, picked, white)
        self._levels = self._padded(torch.cat([torch.zeros_like(values), 1 / precisions]), torch.inf)
        return torch.cat([first, rest]), torch.cat([values, precisions]), torch.cat([told, told_of_rest])

    def _padded(self, values: Tensor, rest: float = 0.0) -> Tensor:
        missing = math.prod(self.shape) - values.shape[-1]
        return torch.nn.functional.pad(values, (0, missing), value=rest).reshape(*values.shape[:-1], *self.shape)

    def _turned(self, x: Tensor, factor: Tensor) -> Tensor:
        reflections = self._reflections.to(x)
        return x - (x @ reflections @ factor.to(x)) @ reflections.T

    def apply(self, x: Tensor) -> Tensor:
        """Return the products, ``(N, M)``."""
        return x.flatten(1) @ self.matrix.T.to(x)

    def coordinates(self, x: Tensor) -> Tensor:
        """Return the coordinates by the right singular vectors first, then those that are not measured."""
        return self._turned(x.flatten(1), self._factor).reshape(x.shape)

    def points(self, z: Tensor) -> Tensor:
        """Return the points of these coordinates."""
        return self._turned(z.flatten(1), self._factor.T).reshape(z.shape)

    def measured(self, y: Tensor) -> Tensor:
        """Return the least squares of the coordinates, 0 where they are not measured."""
        return self._padded(y @ self._told.T.to(y))

    def levels(self, sigma: Tensor) -> Tensor:
        """Return sigma by singular value, or the levels of the whitened matrix."""
        return super().levels(sigma) if self._levels is None else self._levels

    def rescaled(self, scale: Tensor) -> Matrix:
        """Return the matrix of values in other units."""
        return Matrix(self.matrix * scale.expand(self.shape).reshape(-1), self.shape, digits=self.digits)


class Separable(Operator):
    """One matrix on the rows of images and one on their columns: A x = R x C^T, of each channel.

    Args:
        rows: R, ``(H', H)``.
        columns: C, ``(W', W)``.
        shape: The shape of an image, ``(..., H, W)``.

    Raises:
        DataError: The matrices do not act on images of this shape.
    """

    def __init__(self, rows: Tensor, columns: Tensor, shape: Sequence[int]) -> None:
        if tuple(shape[-2:]) != (rows.shape[1], columns.shape[1]):
            raise DataError(
                f"matrices of {rows.shape[1]} and {columns.shape[1]} columns do not act on images {tuple(shape)}"
            )
        self.digits = max(_digits_of(rows), _digits_of(columns))
        self.matrices = rows.double(), columns.double()
        self.measured_shape = (*shape[:-2], len(rows), len(columns))
        parts = [torch.linalg.svd(matrix) for matrix in self.matrices]
        self._left, self._right = [u for u, _, _ in parts], [vh for _, _, vh in parts]
        height, width = (
            torch.nn.functional.pad(s * (s > _least(matrix.norm(), matrix, self.digits)), (0, matrix.shape[1] - len(s)))
            for (_, s, _), matrix in zip(parts, self.matrices, strict=True)
        )
        self.scales = torch.outer(height, width).expand(*shape)

    def apply(self, x: Tensor) -> Tensor:
        """Return the images as they are measured, ``(N, ..., H', W')``."""
        return self.matrices[0].to(x) @ x @ self.matrices[1].to(x).T

    def coordinates(self, x: Tensor) -> Tensor:
        """Return the coordinates by the singular vectors of both matrices."""
        return self._right[0].to(x) @ x @ self._right[1].to(x).T

    def points(self, z: Tensor) -> Tensor:
        """Return the images of these coordinates."""
        return self._right[0].to(z).T @ z @ self._right[1].to(z)

    def measured(self, y: Tensor) -> Tensor:
        """Return the coordinates that are measured."""
        turned = self._left[0].to(y).T @ y @ self._left[1].to(y)
        short = [size - known for size, known in zip(self.scales.shape[-2:], turned.shape[-2:], strict=True)]
        # what is measured beyond the rank of A says nothing of x
        turned = torch.nn.functional.pad(turned, (0, short[1], 0, short[0]))
        return turned / self.scales.to(y)

    def rescaled(self, scale: Tensor) -> Operator:
        """Return the operator of images in another unit."""
        if bool((scale != scale.flatten()[0]).any()):
            return super().rescaled(scale)
        other = Separable(self.matrices[0] * scale.flatten()[0], self.matrices[1], self.scales.shape)
        other.digits, other.scales = self.digits, self.scales * scale.flatten()[0]
        return other


class Downsampling(Separable):
    """Makes images smaller: the means of squares of pixels.

    Args:
        factor: Pixels along the side of a square.
        shape: The shape of an image, ``(..., H, W)``, both of which it divides.

    Raises:
        SettingError: It does not divide them.

    >>> Downsampling(2, (4, 4)).apply(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 2.5000,  4.5000],
             [10.5000, 12.5000]]])
    """

    def __init__(self, factor: int, shape: Sequence[int]) -> None:
        check_count("factor", factor)
        if any(size % factor for size in shape[-2:]):
            raise SettingError(
                f"images of {tuple(shape[-2:])} pixels are not made {factor} times smaller: it must divide both"
            )
        means = [
            torch.eye(size // factor, dtype=torch.float64).repeat_interleave(factor, 1) / factor for size in shape[-2:]
        ]
        super().__init__(means[0], means[1], shape)


class Blur(Separable):
    """Blurs images by a Gaussian; at the borders by what of it lies within.

    Args:
        width: Standard deviation of the Gaussian, in pixels.
        shape: The shape of an image, ``(..., H, W)``.

    Raises:
        SettingError: The width is not positive.
    """

    def __init__(self, width: float, shape: Sequence[int]) -> None:
        check_number("width", width, above=0)
        places = [torch.arange(size, dtype=torch.float64) for size in shape[-2:]]
        kernels = [(-(place[:, None] - place).square() / (2 * width**2)).softmax(1) for place in places]
        super().__init__(kernels[0], kernels[1], shape)


def _digits_of(matrix: Tensor) -> float:
    """Return the relative precision of a matrix's entries."""
    return torch.finfo(matrix.dtype if matrix.is_floating_point() else torch.float64).eps


def _least(size: Tensor, matrix: Tensor, digits: float) -> Tensor:
    """Return the singular value up to which it is next to 0: what the digits of entries, or of the decomposition, may make.

    Rounded entries are a matrix more of at most half of ``digits`` times the size, by whose largest singular value all others
    move at most (Weyl).

    Args:
        size: The square root of the sum of the squares of the entries.
        matrix: ``(M, D)``.
        digits: The relative precision of its entries.
    """
    return size * max(digits, max(matrix.shape) * torch.finfo(torch.float64).eps)


def _singular(
    matrix: Tensor, digits: float, picks: Tensor | None = None, of: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the right singular vectors ``(R, D)``, the singular values and S^-1 U^T picks, up to the rank R.

    Args:
        matrix: ``(M, D)``.
        digits: The relative precision of its entries.
        picks: What makes entries of the matrix's of those of a measurement, ``(M, ...)``; the same ones when None.
        of: A matrix by whose size what is next to 0 is told; the matrix itself when None.
    """
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    size = torch.linalg.matrix_norm(matrix if of is None else of)
    rank = int((s > _least(size, matrix, digits)).sum())
    told = (u[:, :rank] / s[:rank]).T
    return vh[:rank], s[:rank], told if picks is None else told @ picks


def _reflections(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return W and T of the orthogonal matrix I - W T W^T whose first columns are the vectors ``(R, D)``, up to their signs.

    It is the product of Householder's reflections; T is the inverse of the upper part of W^T W (Puglisi 1992).
    """
    rank, dim = vectors.shape
    packed, factors = torch.geqrf(vectors.T.contiguous())
    reflections = packed.tril(-1) + torch.eye(dim, rank, dtype=vectors.dtype)
    # a factor of 0 reflects nothing; by the other one, which has an inverse, it turns one vector round
    factors = torch.where(factors == 0, 2.0, factors)
    inverse = (reflections.T @ reflections).triu(1) + (1 / factors).diag()
    unit = torch.eye(rank, dtype=vectors.dtype)
    return reflections, torch.linalg.solve_triangular(inverse, unit, upper=True)

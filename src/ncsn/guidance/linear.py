"""A linear measurement with Gaussian noise, read as values that are known from noise levels of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import DataError, SettingError
from ncsn.guidance.operators import Mask, Matrix, Operator


class LinearMeasurement:
    """What was measured of x: y = A x + sigma e, with e standard normal.

    With A = U S V^T each coordinate of V^T x that A looks at is measured by itself, with noise of tau = sigma / s. Read so,
    rows of A may be repeated, depend on each other or be more than x has values.

    Args:
        A: A matrix ``(M, D)`` on the values of a point one after the other; a mask, True where a value is measured, of the
            shape of a point; an `Operator`; or a linear function of points ``(N, *shape)``, which needs ``shape``.
        y: What was measured: ``(M,)`` for all samples, or ``(N, M)``, one for each; of a mask and of operators of the shapes
            that they say. What a mask leaves out is not read.
        sigma: Standard deviation of the noise, from 0 up; of a matrix, a mask or a function also one for each entry of y.
        shape: The shape of a point, where A is a function, or a matrix on images.

    Raises:
        DataError: A or y are not finite or do not fit together; or entries without noise contradict each other.
        SettingError: sigma is negative, not finite or of another shape, or A is none of these.

    >>> twice = LinearMeasurement([[1.0, 1.0], [1.0, 1.0]], [2.2, 1.8], sigma=0.2)
    >>> twice.levels  # the sum, measured twice, and in no other direction anything
    tensor([0.1000,    inf], dtype=torch.float64)
    """

    def __init__(
        self,
        A: Any,
        y: Any,
        sigma: float | Tensor = 0.0,
        *,
        shape: Sequence[int] | None = None,
    ) -> None:
        self.y = _numbers("y", y)
        self._precision = torch.finfo(self.y.real.dtype).eps
        self._size = self.y.abs().nan_to_num().max()
        self._read(A, sigma, shape)

    def _read(self, A: Any, sigma: Any, shape: Sequence[int] | None) -> None:
        """Read y as coordinates."""
        self.sigma = _numbers("sigma", sigma).double()
        if not bool(((self.sigma >= 0) & self.sigma.isfinite()).all()):
            raise SettingError("sigma must be finite and not negative")
        self.operator = self._operator_of(A, shape)
        form = self.operator.measured_shape
        if tuple(self.y.shape) != form and tuple(self.y.shape[1:]) != form:
            raise DataError(f"y must have the shape {form}, or {('N', *form)}, not {tuple(self.y.shape)}")
        scales = self.operator.scales
        # no measurement is more exact than its digits
        precision = max(self._precision, self.operator.digits)
        digits = precision * scales.max()
        self.levels = self.operator.levels(self.sigma.clamp(min=digits)).masked_fill(scales == 0, torch.inf)
        looks = self.levels.isfinite()
        z = self.operator.measured(self._rows())
        if not bool(z[:, looks].isfinite().all()):
            raise DataError("y has a NaN or infinite value where it was measured; leave that entry out of A")
        self._known = z.masked_fill(~looks, torch.nan)
        self._check_agreement()

    def _by(self, operator: Operator, y: Tensor, sigma: Tensor) -> LinearMeasurement:
        """Return the measurement in other terms, y of which is as exact as this one's was when it was given."""
        other = object.__new__(LinearMeasurement)
        other.y, other._precision, other._size = y, self._precision, self._size
        other._read(operator, sigma, None)
        return other

    def __repr__(self) -> str:
        return f"LinearMeasurement({type(self.operator).__name__}, {int(self.levels.isfinite().sum())} coordinates)"

    def _operator_of(self, A: Any, shape: Sequence[int] | None) -> Operator:
        if callable(A) and not isinstance(A, Operator | Tensor):
            A = _matrix_of(A, shape)
        if not isinstance(A, Operator):
            A = _tensor("A", A)
            A = Mask(A) if A.dtype == torch.bool else Matrix(_numbers("A", A), shape)
        if self.sigma.ndim and tuple(self.sigma.shape) != A.measured_shape:
            raise SettingError(
                f"sigma must be a number or have the shape {A.measured_shape}, not {tuple(self.sigma.shape)}"
            )
        return Matrix(A.matrix, A.shape, self.sigma, A.digits) if isinstance(A, Matrix) and self.sigma.ndim else A

    def _rows(self) -> Tensor:
        """Return y as rows, wide."""
        rows = self.y if self.y.ndim > len(self.operator.measured_shape) else self.y.unsqueeze(0)
        return rows.to(torch.promote_types(rows.dtype, torch.float64))

    def _check_agreement(self) -> None:
        exact = self.sigma.expand(self.operator.measured_shape) == 0
        if not bool(exact.any()):
            return
        rows = self._rows()
        off = self.operator.apply(self.operator.points(self._known.nan_to_num())) - rows
        # by as much as sums of many numbers of these digits differ
        size = self._size * 1e3 * max(self._precision, self.operator.digits)
        # what a mask leaves out is no number, or no measurement
        unlike = (off.abs() > size) & exact & self.is_read
        if bool(unlike.any()):
            raise DataError(
                f"{int(unlike.sum())} entries of y contradict others, and have no noise; give sigma, or drop them"
            )

    @property
    def is_read(self) -> Tensor:
        """Which entries of y are read, of its shape for one sample: a mask has others in their places."""
        if isinstance(self.operator, Mask):
            return self.operator.scales > 0
        mask = getattr(self.operator, "mask", None)
        return torch.ones(self.operator.measured_shape, dtype=torch.bool) if mask is None else mask

    def known(self, n: int) -> Tensor:
        """Return the coordinates of ``n`` samples, ``(n, *shape)``, float64; NaN where nothing is known.

        Raises:
            DataError: y is of another number of samples.
        """
        return _of_samples(self._known, n)

    def measurements(self, n: int) -> Tensor:
        """Return y for ``n`` samples, ``(n, *measured_shape)``, in double precision.

        Raises:
            DataError: y is of another number of samples.
        """
        return _of_samples(self._rows(), n)

    def in_units(self, mean: Tensor, scale: Tensor) -> LinearMeasurement:
        """Return the measurement of (x - mean) / scale.

        Args:
            mean: The value that becomes 0, of the shape of a point or a number.
            scale: What becomes 1, positive.

        Raises:
            SettingError: The scales of the values differ, and the operator acts on values of one unit.
        """
        shape = self.operator.scales.shape
        offset = self.operator.apply(mean.double().expand(1, *shape))
        return self._by(self.operator.rescaled(scale.double()), self._rows() - offset, self.sigma)

    def of_values(self, places: Tensor) -> LinearMeasurement:
        """Return the measurement of points that have some of the values, or all in another order.

        Args:
            places: Where each value of the new points was in the old ones, flattened, of the shape of the new points. What is
                left out counts as 0.

        Raises:
            SettingError: The operator is neither a matrix nor a mask.
        """
        operator, old = self.operator, self.operator.scales.numel()
        if torch.equal(places.flatten(), torch.arange(old)) and places.shape == operator.scales.shape:
            return self
        if isinstance(operator, Matrix):
            return self._by(
                Matrix(operator.matrix[:, places.flatten()], places.shape, digits=operator.digits), self.y, self.sigma
            )
        if not isinstance(operator, Mask):
            raise SettingError(
                f"{type(operator).__name__} acts on images with channels first and on rows without constant columns; "
                "give A as a matrix or a mask"
            )
        sigma = self.sigma.flatten()[places] if self.sigma.ndim else self.sigma
        return self._by(Mask(operator.scales.flatten()[places]), self._rows().flatten(1)[:, places], sigma)


def _of_samples(rows: Tensor, n: int) -> Tensor:
    """Return rows of ``n`` samples, of which there may be one for all."""
    if len(rows) not in (1, n):
        raise DataError(f"y holds measurements of {len(rows)} samples, not of {n}")
    return rows.expand(n, *rows.shape[1:])


def _tensor(name: str, value: Any) -> Tensor:
    """Return a tensor on the CPU."""
    try:
        return torch.as_tensor(value).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name} must hold numbers: {error}") from error


def _numbers(name: str, value: Any) -> Tensor:
    """Return real or complex floating-point numbers as a tensor on the CPU."""
    tensor = _tensor(name, value)
    return tensor if tensor.is_floating_point() or tensor.is_complex() else tensor.double()


def _matrix_of(function: Callable[[Tensor], Tensor], shape: Sequence[int] | None) -> Matrix:
    """Return the matrix of a linear function of points.

    Raises:
        DataError: It is not linear.
        SettingError: The shape is not given.
    """
    if shape is None:
        raise SettingError("A is a function: give the shape of the points that it takes")
    size = torch.Size(shape).numel()
    units = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    matrix = _answer(function, units).reshape(size, -1).T
    probe = 2 * torch.arange(1.0, size + 1, dtype=torch.float64).cos()
    answer = _answer(function, probe.reshape(1, *shape)).reshape(-1)
    if not torch.allclose(answer, matrix @ probe, rtol=1e-4, atol=1e-4 * float(answer.abs().max())):
        raise DataError("A is not linear: A(x) is not the sum of its answers to unit vectors")
    return Matrix(matrix, shape)


def _answer(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Return a function's answers to points, in double precision.

    Raises:
        DataError: They are no tensor with one row for each point.
    """
    answer = function(points)
    if not isinstance(answer, Tensor) or answer.shape[:1] != points.shape[:1]:
        got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise DataError(f"A must return a tensor with a row for each point, for {len(points)} points not {got}")
    return answer.double()

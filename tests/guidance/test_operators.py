"""Operators against their own matrices, and against SciPy's and PyTorch's filters."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor

from ncsn.errors import DataError, SettingError
from ncsn.guidance import Blur, Convolution, Downsampling, Frequencies, Mask, Matrix, Operator, Separable

from .common import generator


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def some(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator(3)) < 0.4


REPEATED = random(3, 5)[[0, 1, 0, 2, 2]]

OPERATORS = {
    "mask": Mask(some(2, 3, 4)),
    "matrix": Matrix(random(3, 7)),
    "square matrix": Matrix(random(6, 6)),
    "tall matrix": Matrix(random(9, 4)),
    "repeated rows": Matrix(REPEATED),
    "rows of the unit matrix": Matrix(torch.eye(5)[[1, 3]]),
    "a matrix on images": Matrix(random(5, 24), (2, 3, 4)),
    "separable": Separable(random(2, 4), random(7, 5, seed=1), (3, 4, 5)),
    "down-sampling": Downsampling(2, (1, 4, 6)),
    "blur": Blur(0.7, (5, 6)),
    "convolution": Convolution(random(3, 2), (2, 4, 5)),
    "convolution of odd images": Convolution(random(3, 3), (5, 5)),
    "frequencies": Frequencies(some(4, 6)),
    "frequencies of odd images": Frequencies(some(2, 5, 3)),
}


def matrix_of(operator: Operator) -> Tensor:
    """Return A by its answers to unit vectors, complex ones as their two parts."""
    shape = operator.scales.shape
    units = torch.eye(shape.numel(), dtype=torch.float64).reshape(-1, *shape)
    answers = operator.apply(units).flatten(1)
    return (torch.view_as_real(answers).flatten(1) if answers.is_complex() else answers).T


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_an_operator_is_its_singular_value_decomposition(operator: Operator) -> None:
    shape = operator.scales.shape
    dim = shape.numel()
    units = torch.eye(dim, dtype=torch.float64)
    turn = operator.points(units.reshape(-1, *shape)).flatten(1)
    torch.testing.assert_close(turn @ turn.T, units)
    x = random(3, *shape)
    z = operator.coordinates(x)
    torch.testing.assert_close(operator.points(z), x)
    torch.testing.assert_close(z.flatten(1), x.flatten(1) @ turn.T)
    scales = operator.scales.flatten()
    matrix = matrix_of(operator)
    torch.testing.assert_close(turn @ matrix.T @ matrix @ turn.T, scales.square().diag(), atol=1e-9, rtol=1e-9)
    looks = operator.scales > 1e-9
    assert operator.apply(x).shape[1:] == operator.measured_shape
    torch.testing.assert_close(operator.measured(operator.apply(x))[:, looks], z[:, looks])


def test_filters_are_those_of_others() -> None:
    images = random(2, 3, 6, 8)
    pooled = torch.nn.functional.avg_pool2d(images, 2)
    torch.testing.assert_close(Downsampling(2, (3, 6, 8)).apply(images), pooled)
    kernel = random(3, 4)
    convolved = Convolution(kernel, (3, 6, 8)).apply(images).flatten(0, 1)
    for image, answer in zip(images.flatten(0, 1).numpy(), convolved.numpy(), strict=True):
        np.testing.assert_allclose(answer, scipy.ndimage.convolve(image, kernel.numpy(), mode="wrap"), atol=1e-12)
    # far from the borders a blur is SciPy's Gaussian filter, which has unit sum as well
    wide = random(1, 41, 41)
    filtered = scipy.ndimage.gaussian_filter(wide[0].numpy(), 1.3, truncate=8)
    blurred = Blur(1.3, (41, 41)).apply(wide)[0, 12:-12, 12:-12]
    np.testing.assert_allclose(blurred, filtered[12:-12, 12:-12], atol=1e-9)
    mask = some(6, 8)
    seen = Frequencies(mask).apply(wide[:, :6, :8])
    np.testing.assert_allclose(seen[0], np.fft.fft2(wide[0, :6, :8].numpy(), norm="ortho") * mask.numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "name", ["mask", "matrix", "a matrix on images", "down-sampling", "convolution", "frequencies"]
)
def test_an_operator_on_other_units_is_the_same_measurement(name: str) -> None:
    operator = OPERATORS[name]
    x = random(4, *operator.scales.shape)
    scale = torch.tensor(2.5) if name not in ("mask", "matrix") else 1 + torch.rand(x.shape[1:], generator=generator())
    torch.testing.assert_close(operator.rescaled(scale).apply(x), operator.apply(x * scale.double()))


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(SettingError, match=r"images of \(5, 6\) pixels are not made 2 times smaller"):
        Downsampling(2, (5, 6))
    with pytest.raises(SettingError, match="width must be a positive finite number"):
        Blur(0.0, (5, 6))
    with pytest.raises(DataError, match=r"kernel of shape \(7, 2\) does not fit images of 5 x 6"):
        Convolution(torch.ones(7, 2), (5, 6))
    with pytest.raises(DataError, match=r"A has 7 columns; points of shape \(2, 3\) have 6"):
        Matrix(torch.ones(2, 7), (2, 3))
    with pytest.raises(DataError, match=r"a matrix \(M, D\) of finite numbers is needed"):
        Matrix(torch.tensor([[1.0, math.nan]]))
    with pytest.raises(DataError, match="do not act on images"):
        Separable(torch.ones(2, 3), torch.ones(2, 4), (4, 4))
    with pytest.raises(SettingError, match="Downsampling takes one sigma for all entries"):
        Downsampling(2, (4, 4)).levels(torch.ones(2, 2))
    with pytest.raises(SettingError, match="acts on values of one unit"):
        Blur(1.0, (2, 2)).rescaled(torch.tensor([[1.0, 2.0], [1.0, 1.0]]))

"""Linear measurements: what they say of a Gaussian against its closed form, and what is refused."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ncsn.errors import DataError, SettingError
from ncsn.guidance import Blur, Frequencies, LinearMeasurement, Mask
from ncsn.guidance.operators import Separable

from .common import generator


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def gaussian_given(A: Tensor, y: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of a standard normal x given y = A x + noise, by the joint Gaussian of both."""
    gain = A.T @ torch.linalg.pinv(A @ A.T + sigma.square().diag(), rcond=1e-12)
    return gain @ y, torch.eye(A.shape[1], dtype=A.dtype) - gain @ A


def gaussian_by_coordinates(measurement: LinearMeasurement) -> tuple[Tensor, Tensor]:
    """Return the same, each coordinate by itself."""
    known, levels = measurement.known(1)[0].flatten(), measurement.levels.flatten()
    precision = 1 / levels.square()
    mean = torch.where(known.isnan(), 0, known / (1 + levels.square()))
    shape = measurement.levels.shape
    units = torch.eye(levels.numel(), dtype=levels.dtype)
    turn = measurement.operator.points(units.reshape(-1, *shape)).flatten(1).T
    variance = torch.where(levels == 0, 0, 1 / (1 + precision))
    return turn @ mean, turn @ variance.diag() @ turn.T


SHAPED = random(4, 6)
ROWS = {
    "fewer than values": SHAPED,
    "as many as values": random(6, 6),
    "more than values": random(9, 6),
    "repeated": SHAPED[[0, 0, 1, 2, 2, 2]],
    "dependent": torch.cat([SHAPED[:2], SHAPED[:1] - 3 * SHAPED[1:2]]),
    "with zeros": torch.cat([SHAPED[:2], torch.zeros(1, 6, dtype=torch.float64)]),
}


@pytest.mark.parametrize("A", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("noise", ["one", "each", "some without"])
def test_a_gaussian_given_a_measurement_is_the_closed_form(A: Tensor, noise: str) -> None:
    sigma = {
        "one": torch.full((len(A),), 0.3),
        "each": torch.linspace(0.1, 2.0, len(A)),
        "some without": torch.tensor([0.5, 0.0, 0.2] * 3)[: len(A)],
    }[noise].double()
    y = A @ random(6, seed=1) + sigma * random(len(A), seed=2)
    measurement = LinearMeasurement(A, y, 0.3 if noise == "one" else sigma)
    for found, expected in zip(gaussian_by_coordinates(measurement), gaussian_given(A, y, sigma), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_a_mask_and_a_function_are_their_matrices() -> None:
    mask = torch.tensor([[True, False, True], [False, True, True]])
    y, sigma = random(2, 3, seed=1), torch.rand(2, 3, generator=generator()).double()
    A = torch.eye(6, dtype=torch.float64)[mask.flatten()]
    expected = gaussian_given(A, y[mask], sigma[mask])
    spoilt = torch.where(mask, y, math.nan)
    for measurement in (
        LinearMeasurement(mask, spoilt, sigma),
        LinearMeasurement(mask.numpy(), spoilt, sigma),
        LinearMeasurement(mask.tolist(), spoilt, sigma),
        LinearMeasurement(lambda x: x[:, mask], y[mask], sigma[mask], shape=(2, 3)),
        LinearMeasurement(A, y[mask], sigma[mask], shape=(2, 3)),
    ):
        for found, truth in zip(gaussian_by_coordinates(measurement), expected, strict=True):
            torch.testing.assert_close(found, truth)


def test_frequencies_are_their_matrix() -> None:
    mask = torch.rand(4, 5, generator=generator(1)) < 0.4
    y = torch.fft.fft2(random(4, 5), norm="ortho") + 0.2 * torch.complex(random(4, 5, seed=1), random(4, 5, seed=2))
    waves = torch.fft.fft2(torch.eye(20, dtype=torch.float64).reshape(20, 4, 5), norm="ortho")[:, mask]
    A = torch.cat([waves.real, waves.imag], 1).T
    told = torch.cat([y[mask].real, y[mask].imag])
    expected = gaussian_given(A, told, torch.full((len(A),), 0.2, dtype=torch.float64))
    for found, truth in zip(
        gaussian_by_coordinates(LinearMeasurement(Frequencies(mask), y, 0.2)), expected, strict=True
    ):
        torch.testing.assert_close(found, truth)


def test_a_measurement_in_other_units_says_the_same() -> None:
    A, sigma = random(3, 5), torch.tensor([0.1, 0.0, 0.5])
    mean, scale = random(5, seed=1), torch.rand(5, generator=generator()).double() + 0.5
    y = random(3, seed=2)
    measurement = LinearMeasurement(A, y, sigma)
    # x = mean + scale r, of which r is standard normal
    expected = gaussian_given(A * scale, y - A @ mean, sigma.double())
    for found, truth in zip(gaussian_by_coordinates(measurement.in_units(mean, scale)), expected, strict=True):
        torch.testing.assert_close(found, truth)
    image = LinearMeasurement(Blur(0.8, (4, 5)), random(4, 5), 0.1)
    shifted = image.in_units(torch.tensor(2.0), torch.tensor(4.0))
    torch.testing.assert_close(shifted.levels * 4, image.levels)
    torch.testing.assert_close(
        shifted.known(1) * 4 + image.operator.coordinates(torch.full((1, 4, 5), 2.0).double()), image.known(1)
    )


def test_in_other_units_a_measurement_is_no_more_exact_than_its_digits() -> None:
    # the third row is the sum of both; y is rounded to single precision, about a thousand
    A = torch.tensor([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0], [1.0, 3.0, 1.0, 1.0]])
    for seed in range(20):
        x = 1000 + 50 * torch.randn(4, generator=torch.Generator().manual_seed(seed))
        mean = torch.linspace(990.3, 1010.7, 4, dtype=torch.float64)
        units = LinearMeasurement(A, A @ x).in_units(mean, torch.full((4,), 48.7))
        seen = units.operator.coordinates((x.double() - mean)[None] / 48.7)
        known = units.levels.isfinite()
        assert int(known.sum()) == 2
        torch.testing.assert_close(units.known(1)[:, known], seen[:, known], rtol=0, atol=1e-5)
        with pytest.raises(DataError, match="contradict others"):
            LinearMeasurement(A, A @ x + torch.tensor([0.0, 0.0, 9.0])).in_units(mean, torch.full((4,), 48.7))


def test_rows_of_single_precision_that_depend_on_each_other_measure_no_more_than_their_rank() -> None:
    # thirds and sevenths are rounded, so that the third row is not quite the sum of both
    exact = torch.tensor([[1 / 3, 1 / 7, 2 / 3, 0.1], [1 / 7, 1 / 11, 0.2, 1 / 13]], dtype=torch.float64)
    A = torch.cat([exact, exact.sum(0, keepdim=True)]).float()
    assert int(torch.linalg.matrix_rank(A.double())) == 3
    x = random(4)
    for of_y in (torch.float32, torch.float64):
        measurement = LinearMeasurement(A, (torch.cat([exact, exact.sum(0, keepdim=True)]) @ x).to(of_y))
        known = measurement.levels.isfinite()
        assert int(known.sum()) == 2
        seen = measurement.operator.coordinates(x[None])
        torch.testing.assert_close(measurement.known(1)[:, known], seen[:, known], rtol=0, atol=1e-5)
        # in other units too
        assert int(measurement.in_units(torch.zeros(4), torch.full((4,), 3.0)).levels.isfinite().sum()) == 2
    # a third row that is another measurement, a thousandth of the first two, stays one, and so does one in double precision
    other = A + torch.tensor([[0.0] * 4, [0.0] * 4, [1e-3, 0, 0, -1e-3]])
    assert int(LinearMeasurement(other, other.double() @ x).levels.isfinite().sum()) == 3
    assert int(LinearMeasurement(A.double(), A.double() @ x).levels.isfinite().sum()) == 3


def test_separable_matrices_of_single_precision_measure_no_more_than_their_rank() -> None:
    smooth = torch.tensor([[1 / 3, 1 / 7, 1 / 11], [2 / 3, 2 / 7, 2 / 11], [0.1, 0.3, 0.7]], dtype=torch.float32)
    operator = Separable(smooth, torch.eye(3), (3, 3))
    assert int((operator.scales > 0).sum()) == 6
    x = random(1, 3, 3)
    measurement = LinearMeasurement(operator, operator.apply(x)[0])
    known = measurement.levels.isfinite()
    torch.testing.assert_close(measurement.known(1)[:, known], operator.coordinates(x)[:, known], rtol=0, atol=1e-5)


def test_measurements_without_noise_may_not_contradict_each_other() -> None:
    twice = torch.ones(2, 3)
    assert int(LinearMeasurement(twice, torch.ones(2)).levels.isfinite().sum()) == 1
    for sigma in (0.0, torch.zeros(2)):
        with pytest.raises(DataError, match="2 entries of y contradict others, and have no noise"):
            LinearMeasurement(twice, torch.tensor([1.0, 2.0]), sigma)
    with pytest.raises(DataError, match="contradict others"):
        LinearMeasurement(
            torch.cat([twice, twice]), torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 0.0, 1.0, 1.0])
        )
    LinearMeasurement(twice, torch.tensor([1.0, 2.0]), 0.1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1.0, 2.0]], [1.0, 2.0]), DataError, r"y must have the shape \(1,\)"),
        (([[1.0, 2.0]], [math.nan]), DataError, "y has a NaN or infinite value where it was measured"),
        (([[1.0, math.inf]], [1.0]), DataError, "of finite numbers is needed"),
        (([[1.0, 2.0]], ["a"]), DataError, "y must hold numbers"),
        (([[1.0, 2.0]], [1.0], -1.0), SettingError, "sigma must be finite and not negative"),
        (([[1.0, 2.0]], [1.0], [1.0, 2.0]), SettingError, r"sigma must be a number or have the shape \(1,\)"),
        ((lambda x: x, [1.0]), SettingError, "A is a function: give the shape"),
        (
            (lambda x: x.numpy(), [1.0], 1.0, (2,)),
            DataError,
            "A must return a tensor with a row for each point, .* ndarray",
        ),
        (
            (lambda x: x.sum(), [1.0], 1.0, (2,)),
            DataError,
            r"A must return a tensor with a row for each point, .* \(\)",
        ),
        ((Blur(1.0, (2, 2)), torch.ones(2, 2), torch.ones(2, 2)), SettingError, "Blur takes one sigma for all"),
    ],
)
def test_what_does_not_fit_is_an_error(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LinearMeasurement(*arguments[:3], **({"shape": arguments[3]} if len(arguments) > 3 else {}))
    with pytest.raises(DataError, match="A is not linear"):
        LinearMeasurement(lambda x: x.square(), torch.ones(2), shape=(2,))
    with pytest.raises(DataError, match="y holds measurements of 3 samples, not of 2"):
        LinearMeasurement(Mask(torch.ones(2)), torch.ones(3, 2)).known(2)

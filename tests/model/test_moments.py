"""Moments of data and of their classes, against NumPy; draws against the Gaussian that they describe."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ncsn.model import Moments

CODES = torch.tensor([0, 2] * 100 + [1])


def rows(*shape: int) -> Tensor:
    x = torch.randn(len(CODES), *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x * (1 + CODES.reshape(-1, *[1] * len(shape))) + 10.0 * CODES.reshape(-1, *[1] * len(shape))


def test_all_rows_come_first_and_then_each_class() -> None:
    x = rows(3)
    moments = Moments.of(x, CODES, 3)
    np.testing.assert_allclose(moments.means[0], x.mean(0))
    np.testing.assert_allclose(moments.covariances[0], np.cov(x.numpy().T))
    for code in (0, 2):
        np.testing.assert_allclose(moments.means[1 + code], x[code == CODES].mean(0))
        np.testing.assert_allclose(moments.covariances[1 + code], np.cov(x[code == CODES].numpy().T))
    # a class of one row has a place and no spread
    np.testing.assert_allclose(moments.means[2], x[CODES == 1][0])
    assert not moments.covariances[2].any()


def test_images_have_variances() -> None:
    x = rows(2, 3)
    moments = Moments.of(x, CODES, 3)
    assert moments.shape == (2, 3)
    np.testing.assert_allclose(moments.covariances[3], x[CODES == 2].numpy().var(0, ddof=1))


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_each_row_is_drawn_of_its_classes_gaussian(shape: tuple[int, ...]) -> None:
    moments = Moments.of(rows(*shape), CODES, 3)
    asked = torch.tensor([0, 1, 2]).repeat(20_000)
    noise = torch.randn(len(asked), *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    before = noise.clone()
    drawn = moments.place(noise, 1.5, asked)
    assert torch.equal(noise, before) and drawn.dtype == torch.float64
    for code in range(3):
        group = drawn[asked == code].flatten(1)
        covariance = moments.covariances[1 + code]
        expected = torch.diag(covariance.flatten()) if shape == (1, 2) else covariance
        total = expected + 1.5**2 * torch.eye(2, dtype=torch.float64)
        # four standard errors of 20,000 draws
        error = 4 * float(total.diagonal().max()) / 20_000**0.5
        np.testing.assert_allclose(group.mean(0), moments.means[1 + code].flatten(), atol=error)
        np.testing.assert_allclose(np.cov(group.numpy().T), total, atol=2 * error)


def test_each_row_is_placed_by_its_own_noise() -> None:
    moments, noise = Moments.of(rows(2), CODES, 3), torch.randn(6, 2)
    asked = torch.tensor([2, 0, 1, 0, 2, 1])
    together = moments.place(noise, 0.7, asked)
    alone = [moments.place(noise[i : i + 1], 0.7, asked[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(together, torch.cat(alone))
    # without classes all rows are of the whole data's Gaussian
    whole = moments.place(noise, 0.7, None)
    root = torch.linalg.cholesky(moments.covariances[0] + 0.7**2 * torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(whole, moments.means[0] + noise.double() @ root.T)


def test_nothing_known_is_noise_alone() -> None:
    noise = torch.randn(5, 2, 3)
    torch.testing.assert_close(Moments.none((2, 3)).place(noise, 3.0, None), 3.0 * noise.double())

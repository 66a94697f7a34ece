"""What is told of sets, against numpy and by what must not change it."""

import numpy as np
import pytest
import torch

from ncsn.inference.sets import SMALLEST, n_summaries, scale_of, told_of_sets


def test_sets_are_told_by_their_moments_and_their_members_in_these_units() -> None:
    generator = torch.Generator().manual_seed(0)
    sets = 5 + 3 * torch.randn(7, 4, 3, generator=generator, dtype=torch.float64)
    told = told_of_sets(sets, scale_of(sets)).numpy()
    assert told.shape == (7, n_summaries(4, 3) + 12) == (7, 9 + 12)
    for row, members in zip(told, sets.numpy(), strict=True):
        np.testing.assert_allclose(row[:3], members.mean(0))
        np.testing.assert_allclose(row[3:6], np.log(members.std(0)))
        correlations = np.corrcoef(members.T)[np.triu_indices(3, 1)]
        np.testing.assert_allclose(row[6:9], np.arctanh(correlations))
        np.testing.assert_allclose(row[9:].reshape(4, 3) * members.std(0) + members.mean(0), members)


def test_units_and_order_change_what_they_should_alone() -> None:
    sets = torch.randn(5, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    told = told_of_sets(sets, scale_of(sets))
    turned = told_of_sets(sets[:, [2, 0, 3, 1]], scale_of(sets))
    torch.testing.assert_close(turned[:, :5], told[:, :5])
    torch.testing.assert_close(turned[:, 5:].reshape(5, 4, 2), told[:, 5:].reshape(5, 4, 2)[:, [2, 0, 3, 1]])
    # a set a million times smaller differs by the mean and the logarithm of the spread alone
    small = told_of_sets(1e-6 * sets, 1e-6 * scale_of(sets))
    torch.testing.assert_close(small[:, :2], 1e-6 * told[:, :2])
    torch.testing.assert_close(small[:, 2:4], told[:, 2:4] - 6 * np.log(10))
    torch.testing.assert_close(small[:, 4:], told[:, 4:])


@pytest.mark.parametrize(
    ("k", "dim", "expected"),
    [(1, 3, 0), (2, 3, 6), (4, 2, 5), (4, 9, 18 + 36), (4, 10, 20)],
    ids=["one", "two lie on a line", "SLCP", "as many", "more than observed"],
)
def test_no_more_correlations_than_numbers(k: int, dim: int, expected: int) -> None:
    assert n_summaries(k, dim) == expected
    sets = torch.randn(3, k, dim, generator=torch.Generator().manual_seed(0))
    assert told_of_sets(sets, scale_of(sets)).shape == (3, expected + k * dim)


def test_equal_members_and_equal_sets_stay_finite() -> None:
    sets = torch.zeros(3, 4, 2, dtype=torch.float64)
    sets[0] = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    told = told_of_sets(sets, scale_of(sets))
    assert told.isfinite().all()
    torch.testing.assert_close(told[1, 2:4], (SMALLEST * scale_of(sets)).log())
    assert told_of_sets(torch.ones(2, 3, 2), scale_of(torch.ones(2, 3, 2))).isfinite().all()

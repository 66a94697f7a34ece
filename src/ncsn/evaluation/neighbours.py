"""What nearest neighbours say of two sets of points: how they cover each other, which samples are copies, which astray."""

from typing import NamedTuple

import numpy as np

from ncsn.data import Values
from ncsn.errors import DataError, check_count
from ncsn.evaluation.distances import Points, distances, pair

# which neighbour sets the size of a ball
_K = 5


def _neighbour_distances(a: Points, b: Points, k: int) -> Points:
    """Return for each row of ``a`` the distance to its ``k``-th nearest row of ``b``; a row itself counts as one."""
    found = []
    for block in distances(a, b):
        block.partition(k - 1, axis=1)
        # a view would keep all of the block
        found.append(block[:, k - 1].copy())
    return np.concatenate(found)


class PRDC(NamedTuple):
    """Shares that say how well two sets cover each other; `precision_recall_density_coverage` defines them."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(real: Values, fake: Values, k: int = _K) -> PRDC:
    """Return what share of the fakes look real (precision, density) and of the real are matched (recall, coverage).

    Each set stands for the union of the balls about its rows that reach to their k-th nearest neighbour in the set.
    Precision: fakes inside the real balls. Recall: real rows inside the fake balls (Kynkäänniemi et al. 2019). Density: in
    how many real balls a fake lies, over k; it can pass 1. Coverage: real balls with a fake inside (Naeem et al. 2020).
    Only two sets of one size can be held against two others of that size.

    Args:
        real: Points ``(N, D)``.
        fake: Points ``(M, D)``.
        k: Which neighbour sets the size of a ball, the row itself not counted.

    Returns:
        Precision, recall, density and coverage.

    Raises:
        DataError: A set has no more than ``k`` rows, rows that are not finite, or another width than the other.
        SettingError: ``k`` is below 1.
    """
    genuine, made = pair(real, fake, ("real", "fake"))
    fake_radii = ball_radii(made, k)
    recalled = sum(int((block <= fake_radii).any(axis=1).sum()) for block in distances(genuine, made))
    inside = in_balls(genuine, ball_radii(genuine, k), made, k)
    return PRDC(inside.precision, recalled / len(genuine), inside.density, inside.coverage)


def ball_radii(points: Points, k: int = _K) -> Points:
    """Return for each row the distance to its ``k``-th nearest other row.

    Raises:
        DataError: There are no more than ``k`` rows.
        SettingError: ``k`` is below 1.
    """
    check_count("k", k)
    if len(points) <= k:
        raise DataError(f"{len(points)} rows have no {k}th neighbour; give more rows or a smaller k")
    return _neighbour_distances(points, points, k + 1)


class InBalls(NamedTuple):
    """What of `PRDC` the balls about real rows alone say."""

    precision: float
    density: float
    coverage: float


def in_balls(genuine: Points, radii: Points, made: Points, k: int = _K) -> InBalls:
    """Return precision, density and coverage of fakes by the balls about real rows, whose radii are those of `ball_radii`.

    Raises:
        SettingError: ``k`` is below 1.
    """
    check_count("k", k)
    precise = inside = 0
    covered = np.zeros(len(genuine), dtype=bool)
    for block in distances(made, genuine):
        in_real = block <= radii
        precise += int(in_real.any(axis=1).sum())
        inside += int(in_real.sum())
        covered |= in_real.any(axis=0)
    return InBalls(precise / len(made), inside / (k * len(made)), float(covered.mean()))


def _own_distances(points: Points) -> Points:
    """Return the distances from (about 5,000 of the) points to their nearest other point."""
    return _neighbour_distances(points[:: -(-len(points) // 5000)], points, 2)


class ClosestRecord(NamedTuple):
    """Distances from rows to the training row next to each: their median and their 5% quantile."""

    median: float
    low: float


def closest_record(samples: Values, training: Values) -> ClosestRecord:
    """Return how far samples are from the training row that is closest to each.

    Hold it against the held-out rows' own: samples that are as close as those are no copies, and the low quantile says it of
    the closest ones.

    Args:
        samples: Points ``(N, D)``.
        training: Points ``(M, D)``.

    Returns:
        The median and the 5% quantile of the distances, in the data's units.
    """
    apart = _neighbour_distances(*pair(samples, training, ("samples", "training")), 1)
    return ClosestRecord(float(np.median(apart)), float(np.quantile(apart, 0.05)))


def copied_fraction(samples: Values, training: Values, threshold: float | None = None) -> float:
    """Return the share of samples that lie no farther than a threshold from a training row, and so count as copies.

    Args:
        samples: Points ``(N, D)``.
        training: Points ``(M, D)``.
        threshold: A distance in the data's units; when None the 1% quantile of the training rows' own nearest-neighbour
            distances, which new points of the same distribution stay within in about one case of a hundred.

    Returns:
        A share from 0 to 1. Hold it against the held-out rows' own: close neighbours come in pairs, so that in small
        training sets the quantile, and this floor with it, varies by half its size.
    """
    made, known = pair(samples, training, ("samples", "training"))
    if threshold is None:
        threshold = float(np.quantile(_own_distances(known), 0.01))
    return float((_neighbour_distances(made, known, 1) <= threshold).mean())


def stray_fraction(samples: Values, training: Values, threshold: float | None = None) -> float:
    """Return the share of samples that lie farther than a threshold from every training row.

    Args:
        samples: Points ``(N, D)``.
        training: Points ``(M, D)``.
        threshold: A distance in the data's units; when None the 99% quantile of the training rows' own nearest-neighbour
            distances, which new points of the same distribution pass in about one case of a hundred.

    Returns:
        A share from 0 to 1.
    """
    made, known = pair(samples, training, ("samples", "training"))
    if threshold is None:
        threshold = float(np.quantile(_own_distances(known), 0.99))
    return float((_neighbour_distances(made, known, 1) > threshold).mean())


def copies_and_strays(training: Points, *sets: Points) -> list[tuple[float, float]]:
    """Return `copied_fraction` and `stray_fraction` of the rows of each set, by one search for the neighbours of each."""
    near, far = np.quantile(_own_distances(training), (0.01, 0.99))
    found = (_neighbour_distances(rows, training, 1) for rows in sets)
    return [(float((apart <= near).mean()), float((apart > far).mean())) for apart in found]

"""The table that sets each measure of samples beside its floor."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Generator, Tensor

from ncsn.data import Values, as_float64
from ncsn.data.columns import scales_of
from ncsn.errors import DataError, unknown_name
from ncsn.evaluation.distances import (
    Points,
    c2st,
    directions,
    energy_distance,
    frechet_distance,
    mmd,
    points,
    sliced,
    subsample,
    wasserstein2,
)
from ncsn.evaluation.neighbours import copied_fraction, precision_recall_density_coverage, stray_fraction


@dataclass(frozen=True)
class Measure:
    """One measure of samples beside its floor.

    Args:
        name: What is measured, by its function's or share's name.
        value: What the samples reach.
        floor: What real data reach.
    """

    name: str
    value: float
    floor: float

    @property
    def ratio(self) -> float | None:
        """Value over floor: 1 where samples are as good as real data; None where the floor is 0."""
        return self.value / self.floor if self.floor > 0 else None


@dataclass(frozen=True)
class Comparison:
    """Samples held against held-out data, each measure beside what real data reach; `compare` builds it.

    Args:
        measures: The rows of the table.
        n_rows: Rows taken of the samples and of the training set.
        n_held_out: Rows of held-out data.
        n_non_finite: Samples that were not finite, and left out.
        scaling: How the data were scaled: ``standard``, ``range`` or ``none``.
    """

    measures: tuple[Measure, ...]
    n_rows: int
    n_held_out: int
    n_non_finite: int
    scaling: str

    def __getitem__(self, name: str) -> Measure:
        """Return a measure by name.

        Raises:
            SettingError: There is no measure of that name.
        """
        known = {measure.name: measure for measure in self.measures}
        if name not in known:
            raise unknown_name("measure", name, known)
        return known[name]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers that JSON keeps; measures by name, each with its value, floor and ratio."""
        rows = {row.name: {"value": row.value, "floor": row.floor, "ratio": row.ratio} for row in self.measures}
        return asdict(self) | {"measures": rows}

    def __str__(self) -> str:
        """Return the table."""
        lines = [f"{'measure':<22}{'samples':>12}{'real data':>12}{'ratio':>8}"]
        for row in self.measures:
            ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
            lines.append(f"{row.name:<22}{row.value:>12.4g}{row.floor:>12.4g}{ratio:>8}")
        lines.append(
            f"{self.n_rows:,} samples, and as many training rows, against {self.n_held_out:,} held-out rows "
            f"(scaling: {self.scaling}); ratio 1.00: as close to the held-out data as the training data are."
        )
        if self.n_non_finite:
            lines.append(f"{self.n_non_finite:,} samples are not finite and are left out.")
        return "\n".join(lines)


def compare(
    samples: Values,
    held_out: Values,
    training: Values,
    *,
    generator: Generator | None = None,
    scaling: Literal["standard", "range", "none"] | None = None,
    max_rows: int = 5000,
) -> Comparison:
    """Measure samples against held-out data, and beside each measure what real data reach.

    For the distances and for precision to coverage the floor is the training set's own figure against the same held-out
    rows. Such figures depend on the number of rows, so samples and training set are cut, at random, to one size; only then
    is the ratio fair. For the copied and the stray fraction, where samples are held against the whole training set, the
    floor is the held-out rows' own. The discrepancy (MMD) is over all pairs, so that its floor is positive.

    Args:
        samples: Generated points ``(N, *shape)``; those that are not finite are left out and counted.
        held_out: Real points that training did not see, ``(M, *shape)``.
        training: The points that were trained on, ``(L, *shape)``.
        generator: Source of every choice; torch's default generator when None.
        scaling: ``standard`` (by the training set's means and deviations), ``range`` (its values from -1 to 1), or ``none``.
            When None, ``standard`` for vectors and ``range`` for images.
        max_rows: Rows of each set taken, at random, for the measures that look at all pairs; sliced W2 and the Fréchet
            distance take all, and exact W2 at most 2,000.

    Returns:
        The table. The Fréchet distance is in the training set's first 40 principal components, fewer if it has not as
        many; C2ST is by nearest neighbours on images, whose pixels are whole numbers in the data only.

    Raises:
        DataError: Fewer than 6 samples are finite, or rows of any set; the sets differ in width; or data are not finite.

    >>> from ncsn.data import moons
    >>> g = torch.Generator().manual_seed(0)
    >>> table = compare(moons(500, g), moons(500, g), moons(500, g), generator=g)
    >>> 0.5 < table["sliced_wasserstein2"].ratio < 2
    True
    """
    known = as_float64(training)
    made = as_float64(samples)
    made, known, kept = (x.reshape(-1, 1) if x.ndim < 2 else x for x in (made, known, as_float64(held_out)))
    scaling = scaling or ("standard" if known.ndim == 2 else "range")
    finite = made.flatten(1).isfinite().all(1)
    n_non_finite = int((~finite).sum())
    if n_non_finite > len(made) - 2:
        raise DataError(
            f"samples: {n_non_finite} of {len(made)} are not finite, too few are left; did sampling diverge?"
        )
    scale = _scale(known, scaling)
    made_all, kept_all, known_all = (
        points(scale(x), name) for x, name in ((made[finite], "samples"), (kept, "held-out"), (known, "training"))
    )
    n = min(len(made_all), len(known_all))
    kept_some = subsample(kept_all, max_rows, generator)
    kept_few = subsample(kept_some, 2000, generator)
    along = directions(512, kept_all.shape[1], generator)
    neighbours = KNeighborsClassifier(max(1, math.isqrt(min(n, len(kept_some))))) if known.ndim > 2 else None
    n_components = min(40, *known_all.shape)

    def measure(rows: Points) -> dict[str, float]:
        x = subsample(rows, n, generator)
        some = subsample(x, max_rows, generator)
        return {
            "sliced_wasserstein2": sliced(x, kept_all, along),
            "wasserstein2": wasserstein2(some, kept_few, generator=generator),
            "energy_distance": energy_distance(some, kept_some),
            "mmd": mmd(some, kept_some, unbiased=False),
            "frechet_distance": frechet_distance(x, kept_all, n_components, known_all),
            "c2st": c2st(some, kept_some, neighbours, generator=generator),
            **precision_recall_density_coverage(kept_some, some)._asdict(),
        }

    values, floors = measure(made_all), measure(known_all)
    for name, share in (("copied_fraction", copied_fraction), ("stray_fraction", stray_fraction)):
        values[name] = share(subsample(made_all, max_rows, generator), known_all)
        floors[name] = share(kept_some, known_all)
    measures = tuple(Measure(name, value, floors[name]) for name, value in values.items())
    return Comparison(measures, n, len(kept_all), n_non_finite, scaling)


def _scale(training: Tensor, scaling: str) -> Callable[[Tensor], Tensor]:
    if scaling == "standard":
        means, scales = scales_of(training if training.ndim == 2 else training.reshape(-1, 1))
        scales = torch.where(scales == 0, 1.0, scales)

        def standardised(x: Tensor) -> Tensor:
            # before one column is broadcast to many
            if x.shape[1:] != training.shape[1:]:
                raise DataError(
                    f"points of shape {tuple(x.shape[1:])} given; those trained on {tuple(training.shape[1:])}"
                )
            return (x - means.to(x.device)) / scales.to(x.device)

        return standardised
    if scaling == "none":
        return lambda x: x
    if scaling != "range":
        raise unknown_name("scaling", scaling, ["standard", "range", "none"])
    low, high = training.min(), training.max()
    if not low < high:
        raise DataError("training: the values are all equal or not finite, and have no range")
    return lambda x: 2 * (x - low) / (high - low) - 1

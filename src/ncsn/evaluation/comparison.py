"""The table that sets each measure of samples beside its floor."""

from collections.abc import Collection, Hashable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch import Generator

from ncsn.data import Values
from ncsn.errors import unknown_name
from ncsn.evaluation.distances import (
    directions,
    energy_distance,
    frechet_distance,
    kept_distances,
    mmd,
    sliced,
    subsample,
    wasserstein2,
)
from ncsn.evaluation.images import image_measures
from ncsn.evaluation.measure import Measure
from ncsn.evaluation.neighbours import (
    closest_record,
    copies_and_strays,
    precision_recall_density_coverage,
)
from ncsn.evaluation.sets import ComparedSet, Sets, sets_of
from ncsn.evaluation.tables import ColumnFit, PairFit, column_shapes, duplicate_fraction, pair_trends
from ncsn.evaluation.two_sample import AUC, c2st
from ncsn.evaluation.verdict import verdict_on

_MOST_COLUMNS, _MOST_PAIRS = 5, 3


@dataclass(frozen=True)
class Comparison:
    """Samples held against held-out data, each measure beside what real data reach; `compare` builds it.

    Args:
        measures: The rows of the table.
        n_rows: Rows taken of the samples and of the training set.
        n_held_out: Rows of held-out data.
        n_non_finite: Samples that were not finite, and left out.
        scaling: How the data were scaled: ``standard``, ``range`` or ``none``.
        columns: Of data frames, how well samples keep each column, the worst first.
        pairs: Of data frames, how well samples keep each pair of columns, the worst first.
        left_out: Columns of data frames that are compared in ``duplicates`` only, such as names.
        judge: What images are compared by: pixels, or the network whose features they are.
        copies_among: Of images, the number of training images that are compared, and how many there are.
    """

    measures: tuple[Measure, ...]
    n_rows: int
    n_held_out: int
    n_non_finite: int
    scaling: str
    columns: tuple[ColumnFit, ...] = ()
    pairs: tuple[PairFit, ...] = ()
    left_out: tuple[Hashable, ...] = ()
    judge: str = ""
    copies_among: tuple[int, int] | None = None

    @property
    def verdict(self) -> str:
        """What the figures come to, in words; empty without the distance that decides.

        That is the Fréchet distance of images, below 2 floors near, 5 close, 20 apart, beyond far; of vectors and tables the
        sliced Wasserstein distance, with the roots of these limits.
        """
        known = {measure.name: measure for measure in self.measures}
        main = "frechet_distance" if self.judge else "sliced_wasserstein2"
        return verdict_on(known, main, squared=bool(self.judge)) if main in known else ""

    @property
    def taken(self) -> str:
        """What part of many training images is compared, in words; empty where all are."""
        some, of = self.copies_among or (0, 0)
        return (
            f"copies are looked for among {some:,} of the {of:,} training images, taken at random" if some < of else ""
        )

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
        measures = {row.name: asdict(row) | {"ratio": row.ratio} for row in self.measures}
        for row in measures.values():
            del row["name"]
            if row["low"] is None:
                del row["low"], row["high"]
        return asdict(self) | {
            "measures": measures,
            "columns": [asdict(row) | {"column": str(row.column)} for row in self.columns],
            "pairs": [asdict(row) | {"first": str(row.first), "second": str(row.second)} for row in self.pairs],
            "left_out": [str(name) for name in self.left_out],
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        """Return the table, and of data frames the columns and pairs that are kept worst."""
        lines = [f"{'measure':<22}{'samples':>12}{'real data':>12}{'ratio':>8}"]
        for row in self.measures:
            ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
            interval = "" if row.low is None else f"  {row.low:.3f} to {row.high:.3f}"
            lines.append(f"{row.name:<22}{row.value:>12.4g}{row.floor:>12.4g}{ratio:>8}{interval}")
        lines += self._details()
        lines.append(
            f"{self.n_rows:,} samples, and as many training rows, against {self.n_held_out:,} held-out rows "
            f"(scaling: {self.scaling}); ratio 1.00: as close to the held-out data as the training data are."
        )
        if self.judge:
            lines.append(f"judge: {self.judge}")
        if self.taken:
            lines.append(self.taken)
        if self.left_out:
            names = ", ".join(map(str, self.left_out))
            lines.append(f"not compared but in duplicates: {names}")
        if self.n_non_finite:
            lines.append(f"{self.n_non_finite:,} samples are not finite and are left out.")
        if self.verdict:
            lines.append(f"verdict: {self.verdict}")
        return "\n".join(lines)

    def _details(self) -> list[str]:
        lines = []
        for column in self.columns[:_MOST_COLUMNS]:
            missing = f"  missing {column.missing:.3f} ({column.missing_floor:.3f})" if column.missing else ""
            lines.append(f"{column.measure} {column.value:.3f} (real {column.floor:.3f})  {column.column}{missing}")
        for pair in self.pairs[:_MOST_PAIRS]:
            lines.append(
                f"trend {pair.value:.3f} (real {pair.floor:.3f})  {pair.first}, {pair.second}: "
                f"{pair.association} {pair.synthetic:.2f} (real {pair.real:.2f})"
            )
        return ["the columns and pairs that are kept worst:", *lines] if lines else []


def compare(
    samples: Values,
    held_out: Values,
    training: Values,
    *,
    generator: Generator | None = None,
    scaling: Literal["standard", "range", "none"] | None = None,
    max_rows: int = 5000,
    categorical: Collection[Hashable] | None = None,
    leave_out: Collection[Hashable] | None = None,
    features: Any = None,
    asked: Any = None,
) -> Comparison:
    """Measure samples against held-out data, and beside each measure what real data reach.

    For the distances and for precision to coverage the floor is the training set's own figure against the same held-out
    rows. Such figures depend on the number of rows, so samples and training set are cut, at random, to one size; only then
    is the ratio fair. For what is held against the whole training set (copied and stray fraction, closest record,
    duplicates) the floor is the held-out rows' own. The discrepancy (MMD) is over all pairs, so that its floor is positive.

    A data frame may have numbers, categories, dates and missing cells. Distances are between its rows as numbers
    (`TableEncoding`); each column and pair of columns is compared besides, and ``column_shape``, ``missing`` and
    ``pair_trend`` are the means of what `column_shapes` and `pair_trends` say.

    Images are compared in features, of a network that is given or of their pixels (`pixels`), but for C2ST. Their measures
    are C2ST, the Fréchet and the kernel distance (FID, KID), coverage, copies and, but of pixels, precision, density and
    strays. At most 20,000 images of each set are taken, at random, and the table says of how many. The Fréchet distance
    grows as sets get smaller: samples and training set are cut to one size, and it is to be read beside its floor alone. The
    kernel distance does not, so that its floor is about 0. Where the features are those of
    `train_classifier` there are besides ``confident``, the share that it reads as a class with probability above 0.9;
    ``class_shares``, the total variation from the held-out rows in how often it reads each class; and ``read_as_asked``.

    Args:
        samples: Generated points ``(N, *shape)``; those that are not finite are left out and counted. In data frames a
            missing cell is none of these.
        held_out: Real points that training did not see, ``(M, *shape)``.
        training: The points that were trained on, ``(L, *shape)``.
        generator: Source of every choice; torch's default generator when None.
        scaling: ``standard`` (by the training set's means and deviations), ``range`` (its values from -1 to 1), or ``none``.
            When None, ``standard`` for vectors and ``range`` for images, which are the only ones for data frames and images.
        max_rows: Rows of each set taken, at random, for the measures that look at all pairs; sliced W2, the Fréchet
            distance, columns and pairs of columns take all, and exact W2 at most 2,000.
        categorical: Columns of a data frame that are categories, all others being numbers; by the types of the training
            table when None.
        leave_out: Columns of a data frame that are compared in ``duplicates`` only; when None text that is different in each
            row of the training table, such as names.
        features: What turns images into features: `train_classifier`, `inception`, a module or function that takes images
            ``(N, C, H, W)`` from 0 to 1, or `ImageFeatures`, for another range. The pixels when None, which see little of
            what is drawn.
        asked: The class that each of the samples was asked for, to be held against what `train_classifier` reads.

    Returns:
        The table. Of vectors and tables the Fréchet distance is in the training set's first 40 principal components, fewer if
        it has not as many. C2ST is an area under the ROC curve, with its 95% interval. ``closest_record`` is the median distance
        to the closest training row, ``closest_record_low`` the 5% quantile: well below the floor they tell of copies.

    Raises:
        DataError: Fewer than 6 samples are finite, or rows of any set; the sets differ in width or columns; or data are not
            finite.
        SettingError: The scaling is unknown or not one of these, or features are given of what are no images.

    >>> import torch
    >>> from ncsn.data import moons
    >>> g = torch.Generator().manual_seed(0)
    >>> table = compare(moons(500, g), moons(500, g), moons(500, g), generator=g)
    >>> 0.5 < table["sliced_wasserstein2"].ratio < 2
    True
    """
    sets = sets_of(samples, held_out, training, scaling, categorical, leave_out, features, asked, generator)
    n = min(len(sets.made.rows), len(sets.known.rows))
    made, known = sets.made.some(n, generator), sets.known.some(n, generator)
    if sets.features is not None:
        measured = tuple(image_measures(made, known, sets, sets.features, max_rows, generator))
        counts = n, len(sets.kept.rows), sets.n_non_finite
        among = len(sets.known.rows), sets.n_training
        return Comparison(measured, *counts, sets.scaling, judge=sets.features.name, copies_among=among)
    distances = _distances(made, sets.kept, known, sets, max_rows, generator)
    against = _against_training(sets, max_rows, generator)
    if sets.kinds is None:
        return Comparison((*distances, *against), n, len(sets.kept.rows), sets.n_non_finite, sets.scaling)
    tables = (made.values, sets.kept.values, known.values)
    columns, pairs = column_shapes(*tables, sets.kinds), pair_trends(*tables, sets.kinds)
    return Comparison(
        (*_means(columns, pairs), *distances, *against),
        n,
        len(sets.kept.rows),
        sets.n_non_finite,
        sets.scaling,
        tuple(sorted(columns, key=lambda row: -row.excess)),
        tuple(sorted(pairs, key=lambda row: -row.excess)),
        sets.kinds.left_out,
    )


def _distances(
    made: ComparedSet,
    kept: ComparedSet,
    known: ComparedSet,
    sets: Sets,
    max_rows: int,
    generator: Generator | None,
) -> list[Measure]:
    """Return what samples and as many training rows reach against the held-out rows."""
    kept_some = kept.some(max_rows, generator)
    kept_few = subsample(kept_some.rows, 2000, generator)
    along = directions(512, kept.rows.shape[1], generator)
    n_components = min(40, *sets.known.rows.shape)
    columns: dict[str, Any] = {}
    if sets.kinds is not None:
        columns = {"categorical": sets.kinds.categories, "leave_out": sets.kinds.left_out}

    def measure(x: ComparedSet) -> tuple[dict[str, float], AUC]:
        some = x.some(max_rows, generator)
        told_apart = c2st(some.values, kept_some.values, generator=generator, **columns)
        figures = {
            "c2st": told_apart.value,
            "sliced_wasserstein2": sliced(x.rows, kept.rows, along),
            "wasserstein2": wasserstein2(some.rows, kept_few, generator=generator),
        }
        with kept_distances():
            figures |= {
                "energy_distance": energy_distance(some.rows, kept_some.rows),
                "mmd": mmd(some.rows, kept_some.rows, unbiased=False),
                "frechet_distance": frechet_distance(x.rows, kept.rows, n_components, sets.known.rows),
                **precision_recall_density_coverage(kept_some.rows, some.rows)._asdict(),
            }
        return figures, told_apart

    (values, told_apart), (floors, _) = measure(made), measure(known)
    interval = {"c2st": told_apart[1:]}
    return [Measure(name, value, floors[name], *interval.get(name, ())) for name, value in values.items()]


def _against_training(sets: Sets, max_rows: int, generator: Generator | None) -> list[Measure]:
    """Return what samples and held-out rows reach against the whole training set."""
    known, both = sets.known, [x.some(max_rows, generator) for x in (sets.made, sets.kept)]
    found = copies_and_strays(known.rows, *(x.rows for x in both))

    def measure(x: ComparedSet, copied: float, stray: float) -> dict[str, float]:
        if sets.kinds is None:
            return {"copied_fraction": copied, "stray_fraction": stray}
        closest = closest_record(x.rows, known.rows)
        return {
            "stray_fraction": stray,
            "closest_record": closest.median,
            "closest_record_low": closest.low,
            "duplicates": duplicate_fraction(x.values, known.values),
        }

    values, floors = (measure(x, *shares) for x, shares in zip(both, found, strict=True))
    return [Measure(name, value, floors[name]) for name, value in values.items()]


def _means(columns: tuple[ColumnFit, ...], pairs: tuple[PairFit, ...]) -> list[Measure]:
    """Return the means over the columns and over the pairs of columns."""
    means = {"column_shape": [(row.value, row.floor) for row in columns]}
    means["missing"] = [(row.missing, row.missing_floor) for row in columns]
    means["pair_trend"] = [(row.value, row.floor) for row in pairs]
    return [Measure(name, *np.mean(rows, axis=0).tolist()) for name, rows in means.items() if rows]

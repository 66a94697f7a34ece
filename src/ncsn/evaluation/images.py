"""The measures of images, in features: what a network sees in them, or at the least their principal components."""

from __future__ import annotations

import numpy as np
from torch import Generator

from ncsn.evaluation.classifier import Classifier
from ncsn.evaluation.distances import Points, frechet_distance, kernel_distance
from ncsn.evaluation.features import ImageFeatures
from ncsn.evaluation.measure import Measure
from ncsn.evaluation.neighbours import ball_radii, copies_and_strays, in_balls
from ncsn.evaluation.sets import ComparedSet, Sets
from ncsn.evaluation.two_sample import AUC, c2st

_CONFIDENT = 0.9


def image_measures(
    made: ComparedSet,
    known: ComparedSet,
    sets: Sets,
    features: ImageFeatures,
    max_rows: int,
    generator: Generator | None,
) -> list[Measure]:
    """Return the measures of images; `compare` says what they are.

    Recall is not among them. It asks which real images lie in balls about the samples that reach to their neighbours: noise has
    few neighbours and balls so wide that all of the data lies in them. Coverage asks the same of balls about real images (Naeem
    et al. 2020). Nor are the distances by best matching and along random directions: in hundreds of pixels they are nearly alike
    for digits and for noise.

    Args:
        made: As many samples as there are training rows, or all.
        known: As many training rows.
        sets: All that is compared.
        features: What the rows are. Of pixels there are no precision, density and strays: noise of the data's brightness lies
            in the middle of them (precision 1.00, strays 0.00 for normal noise beside digits of 28 x 28).
        max_rows: Most rows for what looks at all pairs.
        generator: Source of the choice of rows.
    """
    kept, by_pixels = sets.kept.some(max_rows, generator), features.of_pixels
    radii = ball_radii(kept.rows)

    def measure(x: ComparedSet) -> tuple[dict[str, float], AUC]:
        some = x.some(max_rows, generator)
        told_apart = c2st(some.values, kept.values, generator=generator)
        shares = in_balls(kept.rows, radii, some.rows)._asdict()
        return {
            "c2st": told_apart.value,
            "frechet_distance": frechet_distance(x.rows, sets.kept.rows),
            "kernel_distance": kernel_distance(some.rows, kept.rows),
            **({"coverage": shares["coverage"]} if by_pixels else shares),
        }, told_apart

    (values, told_apart), (floors, _) = measure(made), measure(known)
    interval = {"c2st": told_apart[1:]}
    measures = [Measure(name, value, floors[name], *interval.get(name, ())) for name, value in values.items()]
    some = sets.made.some(max_rows, generator)
    near = zip(*copies_and_strays(sets.known.rows, some.rows, kept.rows), strict=True)
    copied, stray = (
        Measure(name, *each) for name, each in zip(("copied_fraction", "stray_fraction"), near, strict=True)
    )
    measures += [copied] if by_pixels else [copied, stray]
    if isinstance(features.network, Classifier):
        measures += _read(features.network, made, known, sets.kept)
    return measures


def _read(judge: Classifier, made: ComparedSet, known: ComparedSet, kept: ComparedSet) -> list[Measure]:
    """Return what a classifier reads in samples."""
    drawn, trained, real = (judge.probabilities(x.rows) for x in (made, known, kept))

    def shares(probabilities: Points) -> Points:
        return np.bincount(probabilities.argmax(axis=1), minlength=len(judge.classes)) / len(probabilities)

    def confident(probabilities: Points) -> float:
        return float((probabilities.max(axis=1) > _CONFIDENT).mean())

    def apart(probabilities: Points) -> float:
        return float(np.abs(shares(probabilities) - shares(real)).sum() / 2)

    measures = [
        Measure("confident", confident(drawn), confident(real)),
        Measure("class_shares", apart(drawn), apart(trained)),
    ]
    if made.labels is not None:
        right = float((judge.classes[drawn.argmax(axis=1)] == made.labels).mean())
        measures.append(Measure("read_as_asked", right, judge.accuracy))
    return measures

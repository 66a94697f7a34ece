"""How good samples and score models are: distances beside their floors, neighbours, and errors by noise level."""

from ncsn.evaluation.by_level import loss_by_level, score_error, score_error_by_level
from ncsn.evaluation.classifier import Classifier, train_classifier
from ncsn.evaluation.comparison import Comparison, compare
from ncsn.evaluation.distances import (
    energy_distance,
    frechet_distance,
    kernel_distance,
    mmd,
    sliced_wasserstein2,
    wasserstein2,
)
from ncsn.evaluation.encoded import TableEncoding
from ncsn.evaluation.features import ImageFeatures, features_at, inception, pixels
from ncsn.evaluation.judging import Evaluation, judge
from ncsn.evaluation.measure import Measure
from ncsn.evaluation.neighbours import (
    PRDC,
    ClosestRecord,
    closest_record,
    copied_fraction,
    precision_recall_density_coverage,
    stray_fraction,
)
from ncsn.evaluation.tables import ColumnFit, Kinds, PairFit, column_shapes, duplicate_fraction, pair_trends
from ncsn.evaluation.two_sample import AUC, c2st
from ncsn.evaluation.usefulness import train_on_synthetic

__all__ = [
    "AUC",
    "PRDC",
    "Classifier",
    "ClosestRecord",
    "ColumnFit",
    "Comparison",
    "Evaluation",
    "ImageFeatures",
    "Kinds",
    "Measure",
    "PairFit",
    "TableEncoding",
    "c2st",
    "closest_record",
    "column_shapes",
    "compare",
    "copied_fraction",
    "duplicate_fraction",
    "energy_distance",
    "features_at",
    "frechet_distance",
    "inception",
    "judge",
    "kernel_distance",
    "loss_by_level",
    "mmd",
    "pair_trends",
    "pixels",
    "precision_recall_density_coverage",
    "score_error",
    "score_error_by_level",
    "sliced_wasserstein2",
    "stray_fraction",
    "train_classifier",
    "train_on_synthetic",
    "wasserstein2",
]

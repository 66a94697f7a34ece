"""How good samples and score models are: distances beside their floors, neighbours, and errors by noise level."""

from ncsn.evaluation.by_level import loss_by_level, score_error, score_error_by_level
from ncsn.evaluation.comparison import Comparison, Measure, compare
from ncsn.evaluation.distances import (
    c2st,
    energy_distance,
    frechet_distance,
    mmd,
    sliced_wasserstein2,
    wasserstein2,
)
from ncsn.evaluation.judging import Evaluation, judge
from ncsn.evaluation.neighbours import (
    PRDC,
    copied_fraction,
    precision_recall_density_coverage,
    stray_fraction,
)

__all__ = [
    "PRDC",
    "Comparison",
    "Evaluation",
    "Measure",
    "c2st",
    "compare",
    "copied_fraction",
    "energy_distance",
    "frechet_distance",
    "judge",
    "loss_by_level",
    "mmd",
    "precision_recall_density_coverage",
    "score_error",
    "score_error_by_level",
    "sliced_wasserstein2",
    "stray_fraction",
    "wasserstein2",
]

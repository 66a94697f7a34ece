"""The rules by which the data choose settings: those of Song & Ermon 2020, and a table of constants for each kind of data.

The paper's techniques 1, 2 and 4 lack few dimensions, outliers, and a smallest noise level that follows the data; that is
added here. A rule sees the data and the settings chosen before its own; it returns the value, its rule and its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from torch import Tensor

from ncsn.errors import DataError
from ncsn.noise import MAX_LEVEL_RATIO, langevin_step_size, level_ratio, num_levels, variance_ratio
from ncsn.plan.measure import ALL_EQUAL, finest_scale, largest_distance, regression


class Regime(IntEnum):
    """The kinds of data that want constants of their own: the columns of `CONSTANTS`."""

    PLANE = 0
    TABLE = 1
    SMALL_IMAGES = 2
    IMAGES = 3

    @property
    def words(self) -> str:
        """What a rule says of it."""
        few, many = f"up to {PLANE_FEATURES} features", f"above {PLANE_FEATURES} features"
        return (few, many, "for small images", "for images")[self]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Regime:
        """Return the kind of data whose rows have a shape."""
        if len(shape) == 1:
            return cls.PLANE if shape[0] <= PLANE_FEATURES else cls.TABLE
        return cls.IMAGES if len(shape) in (2, 3) and max(shape[-2:]) >= LEAST_SIDE else cls.SMALL_IMAGES


PLANE_FEATURES = 3
"""Most features of data that count as points in the plane."""

LEAST_SIDE = 8
"""Pixels on the longer side of images from which on a UNet is better than a perceptron."""

# What was measured to serve, for points in the plane, tables, small images and images; None where a rule follows the data.
CONSTANTS: dict[str, tuple[float | None, float | None, float | None, float | None, str]] = {
    "log_sigma_shift": (1.1, 0.0, 0.0, None, "in few features these levels decide where the mass goes"),
    "log_sigma_ranges": (5, 4, 4, None, "standard deviation of the log-normal levels"),
    "n_blocks": (2, 3, 3, None, "one more gains less than its time spent on more steps"),
    "n_fourier": (64, 0, 0, 0, "sines of the input draw fine detail in few features, and miss it in many"),
    "dropout": (None, None, 0.0, None, "it would blur the samples"),
    "training_steps": (2600, None, 5000, None, "the error falls little after, and images begin to copy"),
    "batch_size": (512, 128, 128, None, "many noise levels a step in few features; many features teach more a row"),
    "target_from": (0.2, 0.2, 0.2, 0.2, "from here on targets are averaged over the data (stable target field)"),
    "weight_from": (0.5, 0.2, 0.2, 0.2, "from here on levels count more, as their targets are free of noise"),
    "target_rows": (512, 1024, 1024, 1024, "rows that those targets are averaged over; in the plane the batch itself"),
    "condition_dropout": (0.1, 0.1, 0.1, 0.1, "guidance asks for the data without their contexts too"),
    "sampling_steps": (40, 40, 40, 40, "the sampler's error is then far below the network's"),
    "churn": (0.0, 0.0, 4.0, 4.0, "fresh noise on the way corrects the network on images, at the price of variety"),
}
"""For each kind of data the constant, and why."""

FINEST_TO_SIGMA_MIN = 5.0
FINEST_GIVEN_TO_SIGMA_MIN = 20.0
"""Given contexts, of which few rows have nearly the same, neighbours tell the scale less finely."""

SIGMA_MIN_BOUNDS = (0.002, 0.1)
LEAST_LEFT = 0.01
MANY_ROWS = 10**3.5
"""Rows from which on they are not few, and want no dropout for it."""

LEAST_GIVEN_CONTEXTS = 0.05, 0.1
"""Least dropout given contexts, in the plane and of tables."""

STEPS_A_ROW, STEPS_A_FEATURE, LEAST_STEPS = 3, 32, 400
MOST_STEPS = 12_000
MOST_HELD_OUT = 0.025
LEAST_WATCHED = 80
LANGEVIN_BUDGET = 300
LANGEVIN_STEPS_BOUNDS = (5, 100)

Answer = tuple[Any, str, str]


@dataclass(frozen=True)
class Facts:
    """What a rule may look at.

    Attributes:
        rows: The rows, or some of them, ``(N, D)``.
        chosen: The settings chosen before.
        regime: The kind of data.
        shape: The shape of a row.
        n_columns: Number of columns that a row comes from.
        n_rows: Number of all rows.
        device: Where training will run: ``cpu``, ``cuda``, ``mps``.
        contexts: What the network is told of each row besides, ``(N, C)`` or images; None without contexts.
        watched: Whether rows can be held out to watch the training by.
    """

    rows: Tensor
    chosen: dict[str, Any]
    regime: Regime
    shape: tuple[int, ...]
    n_columns: int
    n_rows: int
    device: str
    watched: bool
    contexts: Tensor | None = None

    @property
    def ratio(self) -> float:
        """The ratio of neighbouring noise levels, as chosen."""
        whole = self.chosen["sigma_max"] / self.chosen["sigma_min"]
        return float(whole ** (1 / max(1, self.chosen["n_sigmas"] - 1)))

    @property
    def many_in_plane(self) -> bool:
        """Whether they are many points in the plane."""
        return self.regime is Regime.PLANE and self.n_rows >= MANY_ROWS

    def constant(self, name: str) -> float:
        """Return the constant for this kind of data."""
        value: Any = CONSTANTS[name][self.regime]
        return float(value)


Rule = Callable[[Facts], Answer]


def constant(name: str, otherwise: Rule | None = None) -> Rule:
    """Return the rule that takes a constant, or another rule where there is none for this kind of data."""

    def rule(facts: Facts) -> Answer:
        *values, reason = CONSTANTS[name]
        value = values[facts.regime]
        if value is None and otherwise is not None:
            return otherwise(facts)
        everywhere = len(set(values)) == 1
        return value, f"{value:,} {'for all data' if everywhere else facts.regime.words}", reason

    return rule


def share_of_spread(name: str) -> Rule:
    """Return the rule that takes a constant share of sigma_data."""

    def rule(facts: Facts) -> Answer:
        share = facts.constant(name)
        return share * facts.chosen["sigma_data"], f"{share:g} sigma_data", CONSTANTS[name][-1]

    return rule


def without_contexts(name: str) -> Rule:
    """Return the rule of a setting that counts only where there are no contexts."""

    def rule(facts: Facts) -> Answer:
        value, _, _ = share_of_spread(name)(facts)
        return value, "not used with contexts", "the mean over all rows is not that of one context"

    return rule


def numbers_of_contexts(facts: Facts) -> Answer:
    """As encoded."""
    value = 0 if facts.contexts is None else math.prod(facts.contexts.shape[1:])
    return value, "the contexts, encoded", "numbers that the network is told of each row besides"


def mean_given_contexts(facts: Facts) -> Answer:
    """Linear, but of images."""
    if facts.regime is Regime.IMAGES or facts.contexts is None or facts.contexts.ndim > 2:
        return "none", "none of images", "pixels do not go with contexts by a line"
    return (
        "linear",
        "linear",
        "what a regression on the contexts tells need not be learned: the network learns the rest",
    )


def standard_deviation(facts: Facts) -> Answer:
    """Of all entries; of what contexts leave of them."""
    value = float(facts.rows.std(correction=0))
    if value == 0.0:
        raise DataError(ALL_EQUAL)
    if facts.contexts is not None and facts.chosen["context_mean"] == "linear":
        slope, intercept = (each.to(facts.rows) for each in regression(facts.rows, facts.contexts))
        left = float((facts.rows - facts.contexts.to(slope) @ slope - intercept).std(correction=0))
        # of a function of the contexts there is nothing left, which noise cannot be measured by
        rest = max(left, LEAST_LEFT * value)
        return rest, "what the regression leaves", f"standard deviation of all entries, of {value:.3g} before"
    return value, "standard deviation", "of all entries; 1 where the data are standardised"


def farthest_rows(facts: Facts) -> Answer:
    """Technique 1."""
    value, spread = largest_distance(facts.rows), facts.chosen["sigma_data"]
    if value <= SIGMA_MIN_BOUNDS[1] * spread:
        raise DataError(
            f"all but a few rows are nearly equal (largest distance {value:.3g}, standard deviation {spread:.3g}): "
            "remove the outlying rows, or give sigma_max and sigma_min"
        )
    return value, "largest distance (technique 1)", "noise must bridge the farthest rows; a stray row in 1,000 left out"


def below_the_finest(facts: Facts) -> Answer:
    """A share of the finest scale, within bounds."""
    finest, spread = finest_scale(facts.rows, facts.contexts), facts.chosen["sigma_data"]
    parts = FINEST_TO_SIGMA_MIN if facts.contexts is None else FINEST_GIVEN_TO_SIGMA_MIN
    value = finest / parts
    low, high = (bound * spread for bound in SIGMA_MIN_BOUNDS)
    given = "" if facts.contexts is None else " given their contexts"
    thin = f"the data are {finest:.2g} thin where narrowest{given}"
    if value < low:
        return low, f"{SIGMA_MIN_BOUNDS[0]:g} sigma_data, at least", f"{thin}: finer noise teaches a network little"
    if value > high:
        return high, f"{SIGMA_MIN_BOUNDS[1]:g} sigma_data, at most", f"{thin}: no need to go below 1% of the variance"
    return value, f"finest scale / {parts:g}", f"{thin}: noise adds {parts**-2:.0%} to that variance"


def overlapping_levels(facts: Facts) -> Answer:
    """Technique 2, capped."""
    dim = facts.rows.shape[1]
    value = num_levels(facts.chosen["sigma_min"], facts.chosen["sigma_max"], dim)
    ratio = level_ratio(dim)
    if ratio < MAX_LEVEL_RATIO:
        return value, "overlap of levels (technique 2)", f"ratio {ratio:.3g}: half of a level's radii reach the next"
    reason = f"technique 2 allows wider gaps at D = {dim}; samples are worse with them"
    return value, f"ratio {ratio:g} (technique 2, capped)", reason


def langevin_steps(facts: Facts) -> Answer:
    """A budget over all levels."""
    least, most = LANGEVIN_STEPS_BOUNDS
    value = min(most, max(least, round(LANGEVIN_BUDGET / facts.chosen["n_sigmas"])))
    rule = f"{LANGEVIN_BUDGET} steps over all levels"
    return value, rule, f"more gain little; {least} to {most} a level, from NCSNv2's to NCSN's"


def kept_variance(facts: Facts) -> Answer:
    """Technique 4."""
    sigma_min, n_steps = facts.chosen["sigma_min"], facts.chosen["n_steps_per_sigma"]
    value = langevin_step_size(sigma_min, facts.ratio, n_steps)
    left = variance_ratio(value, sigma_min, facts.ratio, n_steps)
    reason = f"chains end at {left:.3g} x their level's variance, the nearest to 1 that a step reaches"
    return value, "variance ratio (technique 4)", reason


def middle_of_levels(facts: Facts) -> Answer:
    """Of their logarithms, shifted by a constant."""
    middle = math.log(facts.chosen["sigma_min"] * facts.chosen["sigma_max"]) / 2
    # given contexts less is left to decide where the mass goes, and more in the detail
    shift = facts.constant("log_sigma_shift") * (1.0 if facts.contexts is None else 0.5)
    if shift:
        return middle + shift, f"{shift:g} above the middle", CONSTANTS["log_sigma_shift"][-1]
    return middle, "the middle", "of the logarithms of the ends; where training draws levels most"


def share_of_range(facts: Facts) -> Answer:
    """Of the logarithms of the levels."""
    parts = facts.constant("log_sigma_ranges")
    width = math.log(facts.chosen["sigma_max"] / facts.chosen["sigma_min"])
    return width / parts, f"1/{parts:g} of the range", CONSTANTS["log_sigma_ranges"][-1]


def _units(facts: Facts, wanted: int) -> tuple[int, int]:
    """Return the power of 2 nearest to a number of units, between 128 and the most for the data, and the most."""
    most = 8 if facts.regime is Regime.TABLE and facts.n_rows < 1000 else 9
    return int(2 ** min(most, max(7, round(math.log2(wanted))))), 2**most


def units_by_columns(facts: Facts) -> Answer:
    """Eight units a column, however many values of a row it takes."""
    value, most = _units(facts, 8 * facts.n_columns)
    return value, "8 units a column", f"a power of 2 between 128 and {most}, what a CPU trains in minutes"


def units_by_pairs(facts: Facts) -> Answer:
    """Twice as many for each column and each number of the context, of which any may go together; else as without."""
    if facts.contexts is None or facts.contexts.ndim > 2:
        return units_by_columns(facts)
    value, most = _units(facts, 16 * (facts.n_columns + facts.contexts.shape[1]))
    return value, "16 units a column or number of the context", f"a power of 2 between 128 and {most}"


def dropout_by_rows(facts: Facts) -> Answer:
    """Less for more rows, and for rows that are wide for their number."""
    by_rows = min(0.5, max(0.0, 0.5 * math.log10(MANY_ROWS / facts.n_rows) / 1.5))
    wide = STEPS_A_FEATURE * facts.rows.shape[1] / max(LEAST_STEPS, STEPS_A_ROW * facts.n_rows)
    value = round(by_rows * min(1.0, max(0.4, 1 / wide)), 2)
    if wide > 1:
        return value, "from the number of rows and features", "many features lose their shape with half of the units"
    return value, "from the number of rows", "half of the units at 100 rows, none from 3,200 on: few rows overfit"


def dropout_given_contexts(facts: Facts) -> Answer:
    """A tenth at least, half of that where few features want their fine detail."""
    value, rule, reason = constant("dropout", dropout_by_rows)(facts)
    if facts.regime > Regime.TABLE or float(value) >= LEAST_GIVEN_CONTEXTS[facts.regime]:
        return value, rule, reason
    least = LEAST_GIVEN_CONTEXTS[facts.regime]
    return least, f"{least:.0%} at least", "each row has a context of its own, which can be learned by heart"


def blocks_given_contexts(facts: Facts) -> Answer:
    """One more in the plane where rows are many."""
    if not facts.many_in_plane:
        return constant("n_blocks")(facts)
    rule = f"1 more from {MANY_ROWS:,.0f} rows on"
    return int(facts.constant("n_blocks")) + 1, rule, "many rows teach how points and contexts go together"


def steps_by_rows(facts: Facts) -> Answer:
    """Three a row, more where rows are wide for their number; one a row where rows are many."""
    by_rows, by_features = STEPS_A_ROW * facts.n_rows, STEPS_A_FEATURE * facts.rows.shape[1]
    value = int(min(3200, max(LEAST_STEPS, by_rows, by_features)))
    if facts.n_rows > value:
        return min(MOST_STEPS, facts.n_rows), f"1 a row, up to {MOST_STEPS:,}", "many rows go on to teach"
    if by_features > max(LEAST_STEPS, by_rows):
        return value, "32 a feature, up to 3,200", "many features take steps to learn, however few the rows"
    return value, "3 a row, 400 to 3,200", "few rows overfit when trained long"


def steps_given_contexts(facts: Facts) -> Answer:
    """Three hundred passes over the rows, and more where batches are large."""
    value = int(min(MOST_STEPS, max(300, facts.n_rows, 300 * facts.n_rows / facts.chosen["batch_size"])))
    return (
        value,
        "300 passes, one a row at least",
        "few rows overfit, each with a context of its own; many go on to gain",
    )


def rate_by_width(facts: Facts) -> Answer:
    """In inverse proportion."""
    return 2e-3 * 128 / facts.chosen["width"], "0.002 at width 128", "wider layers take smaller steps"


def rate_given_contexts(facts: Facts) -> Answer:
    """Twice as large in the plane where rows are many."""
    value, rule, reason = rate_by_width(facts)
    if not facts.many_in_plane:
        return value, rule, reason
    rule = f"0.004 at width 128 from {MANY_ROWS:,.0f} rows on"
    return 2 * value, rule, f"{reason}; in many large ones less is learned by heart"


def few_of_many(facts: Facts) -> Answer:
    """As many rows as the root of their number, of few rows a fortieth."""
    if not facts.watched:
        return 0.0, "none", "a stream, and a method without a score, have no held-out loss: the last average is kept"
    if facts.n_rows < LEAST_WATCHED:
        return 0.0, f"none below {LEAST_WATCHED} rows", "too few to spare two: the last average is kept"
    value = round(min(MOST_HELD_OUT, facts.n_rows**-0.5), 4)
    rule = f"the root of their number, {MOST_HELD_OUT:.1%} at most"
    return value, rule, "rows held out of training: the averaged weights that know them best are kept"

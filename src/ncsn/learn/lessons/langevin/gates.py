"""Lesson 3: the limits that its measured results keep."""

from ncsn.learn.declarations import Gate

__all__ = ["GATES"]

_SHARE = "Exact: 0.2. Look at the large levels: the shares are decided there."

GATES = (
    Gate(
        "3.2",
        "largest relative distance of a simulated variance from the formula",
        at_most=0.08,
        reference="chance alone: about 0.02",
        advice="Simulate with 3.1's step, for long enough to forget the start, and compare variances.",
        needs=("3.1", "3.2"),
    ),
    Gate(
        "3.4a",
        "share of the smaller mode by plain Langevin dynamics, which should be wrong",
        at_least=0.35,
        reference="exact: 0.2",
        advice="Start all over the square, walk at the clean data's score, and count who is nearer to (-5, -5).",
        needs=("3.1",),
    ),
    Gate(
        "3.4b",
        "share of the smaller mode by annealed Langevin dynamics",
        at_least=0.14,
        at_most=0.26,
        reference="exact: 0.2",
        advice=_SHARE,
        needs=("3.1", "3.3", "3.4"),
    ),
    Gate(
        "3.4c",
        "spread within the modes over the true one",
        at_least=0.9,
        at_most=1.1,
        reference="exact: 1",
        advice="Too wide: the last levels had no time to settle. Too narrow: noise is missing somewhere.",
        needs=("3.1", "3.3", "3.4"),
    ),
    Gate(
        "3.4d",
        "seconds for 1,000 samples",
        at_most=10,
        reference="measured here: 0.4 to 1; walker by walker: minutes",
        advice="Move all walkers with each call of the score.",
        needs=("3.4",),
    ),
    Gate(
        "3.5",
        "distance to the curve after the last denoising, as a share of that before",
        at_most=0.3,
        reference="measured here: 0.1",
        advice="The whole way, sigma squared times the score, without noise.",
        needs=("3.5",),
    ),
    Gate(
        "3.6",
        "your step size over the one that the library's technique 4 takes",
        at_least=0.9,
        at_most=1.1,
        reference="exact: 1",
        advice="Take the smallest variance among the steps tried, for the ratio and the number of steps in use.",
        needs=("3.6",),
    ),
    Gate(
        "3.7a",
        "share of the smaller mode with adaptive steps",
        at_least=0.14,
        at_most=0.26,
        reference="exact: 0.2",
        advice=_SHARE,
        needs=("3.1", "3.7"),
    ),
    Gate(
        "3.7b",
        "spread within the modes over the true one, with adaptive steps",
        at_least=0.9,
        at_most=1.1,
        reference="exact: 1",
        advice="The step follows the mean squared length of all walkers' scores.",
        needs=("3.1", "3.7"),
    ),
    Gate(
        "3.8a",
        "share of the smaller mode with the learned score",
        at_least=0.14,
        at_most=0.26,
        reference="exact: 0.2",
        advice=_SHARE,
        needs=("3.1", "3.3", "3.4", "3.5"),
    ),
    Gate(
        "3.8b",
        "spread within the modes over the true one, with the learned score",
        at_least=0.9,
        at_most=1.1,
        reference="exact: 1",
        advice="Let the training run to its end before sampling.",
        needs=("3.1", "3.3", "3.4", "3.5"),
    ),
)

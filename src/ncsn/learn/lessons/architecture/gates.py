"""Lesson 2: the limits that its measured results keep."""

from ncsn.learn.declarations import Gate

__all__ = ["GATES"]

GATES = (
    Gate(
        "2.2",
        "largest relative deviation of the fog's spread",
        at_most=0.03,
        reference="draws of the exact noisy distribution: about 0.01",
        advice="Independent noise adds its variance: the spread is the root of the data's variance plus sigma squared.",
        needs=("2.1", "2.2"),
    ),
    Gate(
        "2.3",
        "largest distance between an averaged arrow and the exact score",
        at_most=0.1,
        reference="a single arrow: up to 5",
        advice="Average within narrow bins of the noisy points, and compare at the mean place of each bin.",
        needs=("2.3",),
    ),
    Gate(
        "2.4",
        "largest distance of a loss from its known value",
        at_most=0.02,
        reference="chance alone: about 0.003",
        advice="A zero score has loss 1 at every level, the exact score of N(0, s²) has s²/(s² + σ²).",
        needs=("2.4",),
    ),
    Gate(
        "2.7a",
        "largest relative score error at the levels from 0.1 up",
        at_most=0.15,
        reference="a zero score: 1; measured here: 0.02 to 0.04",
        advice="Train for all the steps, with fresh noise and a fresh level for every row, and compare at the same level. If it "
        "stays above 0.2 at all levels, look at the network of 2.6: does anything follow its last layer, and does it hear sigma?",
        needs=("2.4", "2.5", "2.6", "2.7"),
    ),
    Gate(
        "2.7b",
        "relative score error at 0.02, the smallest level that these data call for",
        at_most=0.15,
        reference="measured here: 0.03 to 0.06; at 0.001: above 1",
        advice="Train for all the steps; a level of a fifth of the modes' spread should still be well learned.",
        needs=("2.4", "2.5", "2.6", "2.7"),
    ),
)

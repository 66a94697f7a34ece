"""Lesson 1: the limits that its measured results keep."""

from ncsn.learn.declarations import Gate

__all__ = ["GATES"]

GATES = (
    Gate(
        "1.3",
        "share of occupied cells in 6 dimensions",
        at_most=0.005,
        reference="expected: 0.00499",
        advice="5,000 points cannot lie in more than 5,000 of 1,000,000 cells. Draw the points in 6 dimensions, with 10 bins.",
        needs=("1.3",),
    ),
    Gate(
        "1.5a",
        "relative error where the data are",
        at_most=0.05,
        reference="a zero score: 1; measured here: 0.002 to 0.01",
        advice="Train for all the steps, on noisy points, and compare with the exact score of the same noise level.",
        needs=("1.4", "1.5"),
    ),
    Gate(
        "1.5b",
        "error in the gap, as a multiple of the error at the modes",
        at_least=10,
        reference="measured here: 25 to 120",
        advice="The network should be good at the modes first: see gate 1.5a.",
        needs=("1.4",),
    ),
    Gate(
        "1.6",
        "share of walkers that the learned compass leads to another mode, in 30 dimensions",
        at_least=0.25,
        reference="a coin: 0.5; measured here: 0.40 to 0.49",
        advice="Start both compasses from the same noise, and compare where the walkers end.",
        needs=("1.4", "1.6"),
    ),
)

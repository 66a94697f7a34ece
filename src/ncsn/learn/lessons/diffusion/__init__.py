"""Lesson 4: what its notebook asks, and how answers are checked."""

from __future__ import annotations

from ncsn.learn.declarations import Gate, Lesson
from ncsn.learn.lessons.diffusion.equivalence import ADD_NOISE, ALPHA_BARS, SCORE_FROM_NOISE, VP_SCORE
from ncsn.learn.lessons.diffusion.questions import QUESTIONS
from ncsn.learn.lessons.diffusion.sampling import ANCESTRAL_STEP, DDPM_LOSS, REVERSE_STEP

__all__ = ["LESSON"]

GATES = (
    Gate(
        "4.1",
        "difference of the two losses of one network",
        at_most=1e-6,
        reference="exactly equal but for rounding: about 1e-16 in double precision",
        advice="Both losses need the same network, the same noisy points and the same noise; the score's is weighted by sigma².",
        needs=("4.1",),
    ),
    Gate(
        "4.2",
        "largest relative difference of DDPM's levels from the library's",
        at_most=1e-6,
        reference="the same formula in double precision: about 1e-12",
        advice="Take 1,000 betas from 1e-4 to 0.02 in double precision, and sigma = sqrt((1 − alpha_bar) / alpha_bar).",
        needs=("4.2",),
    ),
    Gate(
        "4.3",
        "distance between one leap and 300 steps, as a multiple of that of two draws of 300 steps",
        at_most=2,
        reference="1 in the mean",
        advice="alpha_bar[299] is what 300 steps leave. Compare the same number of points.",
        needs=("4.2", "4.3"),
    ),
    Gate(
        "4.4",
        "largest difference of the score in DDPM's scale, relative to 1 + its size",
        at_most=1e-5,
        reference="measured here: 2e-8, as the means are in single precision",
        advice="Three places change: x, sigma and the score.",
        needs=("4.2", "4.4"),
    ),
    Gate(
        "4.5a",
        "error of the NCSN, as a share of the arrow's length, at the worst of six levels",
        at_most=0.15,
        reference="measured here: 0.06 to 0.09; a zero score: 1",
        advice="Train for all the steps; the learning rate has to fall to 0 at the end.",
        needs=("4.1",),
    ),
    Gate(
        "4.5b",
        "the same of the DDPM",
        at_most=0.15,
        reference="measured here: 0.06 to 0.09; a zero score: 1",
        advice="Train for all the steps, and read the network in NCSN's scale.",
        needs=("4.1", "4.2", "4.3", "4.5"),
    ),
    Gate(
        "4.5c",
        "distance between the two, in the same measure",
        at_most=0.2,
        reference="measured here: 0.06 to 0.09",
        advice="Hold both against the exact score first: gates 4.5a and 4.5b.",
        needs=("4.1", "4.2", "4.3", "4.5"),
    ),
    Gate(
        "4.6",
        "share of DDPM's samples at the smaller mode",
        at_least=0.14,
        at_most=0.26,
        reference="truth: 0.20",
        advice="Start from N(0, I), walk t from 999 down to 0, and draw fresh noise z at each step.",
        needs=("4.2", "4.5", "4.6"),
    ),
    Gate(
        "4.7a",
        "share of the reverse SDE's samples at the smaller mode",
        at_least=0.14,
        at_most=0.26,
        reference="truth: 0.20",
        advice="Start from N(0, I); each step takes the score, the drift and the diffusion of its own time.",
        needs=("4.1", "4.2", "4.5", "4.7"),
    ),
    Gate(
        "4.7b",
        "share of the probability flow's samples at the smaller mode",
        at_least=0.14,
        at_most=0.26,
        reference="truth: 0.20",
        advice="The only randomness is the start, N(0, I). The flow takes half of the score.",
        needs=("4.1", "4.2", "4.5", "4.7"),
    ),
    Gate(
        "4.7c",
        "share of the NCSN's samples at the smaller mode, walked by DDPM's sampler",
        at_least=0.14,
        at_most=0.26,
        reference="truth: 0.20",
        advice="Read the NCSN in DDPM's scale by 4.4, and its score as noise: −sqrt(1 − alpha_bar) times it.",
        needs=("4.1", "4.2", "4.4", "4.6"),
    ),
)

LESSON = Lesson(
    number=4,
    title="From NCSN to diffusion models",
    file="04_ncsn_to_diffusion_models",
    exercises=(SCORE_FROM_NOISE, ALPHA_BARS, ADD_NOISE, VP_SCORE, DDPM_LOSS, ANCESTRAL_STEP, REVERSE_STEP),
    gates=GATES,
    questions=QUESTIONS,
)

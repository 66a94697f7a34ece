"""Lesson 4: what its notebook asks, and how answers are checked."""

from ncsn.learn.declarations import Lesson
from ncsn.learn.lessons.diffusion.exercises_from_1 import ALPHA_BARS, SCORE_FROM_NOISE
from ncsn.learn.lessons.diffusion.exercises_from_3 import ADD_NOISE, VP_SCORE
from ncsn.learn.lessons.diffusion.exercises_from_5 import ANCESTRAL_STEP, DDPM_LOSS, REVERSE_STEP
from ncsn.learn.lessons.diffusion.gates import GATES
from ncsn.learn.lessons.diffusion.questions import QUESTIONS

__all__ = ["LESSON"]

LESSON = Lesson(
    number=4,
    title="From NCSN to diffusion models",
    file="04_ncsn_to_diffusion_models",
    exercises=(SCORE_FROM_NOISE, ALPHA_BARS, ADD_NOISE, VP_SCORE, DDPM_LOSS, ANCESTRAL_STEP, REVERSE_STEP),
    gates=GATES,
    questions=QUESTIONS,
)

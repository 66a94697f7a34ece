"""Training: the loop, where its rows come from, the average of its weights, checkpoints and devices."""

from ncsn.training.average import MovingAverage
from ncsn.training.batches import Batches
from ncsn.training.devices import is_main_process, make_accelerator
from ncsn.training.trainer import CHECKPOINT_EVERY, Progress, Recipe, Trainer

__all__ = [
    "CHECKPOINT_EVERY",
    "Batches",
    "MovingAverage",
    "Progress",
    "Recipe",
    "Trainer",
    "is_main_process",
    "make_accelerator",
]

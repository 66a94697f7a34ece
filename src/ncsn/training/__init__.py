"""Training: the loop, where its rows come from, the average of its weights, checkpoints and devices."""

from ncsn.training.average import MovingAverage
from ncsn.training.batches import Batches, StreamBatches
from ncsn.training.checkpoint import steps_of
from ncsn.training.devices import agreed, device_type, is_main_process, make_accelerator, n_processes
from ncsn.training.trainer import CHECKPOINT_EVERY, Progress, Recipe, Trainer
from ncsn.training.validation import Look, Validation

__all__ = [
    "CHECKPOINT_EVERY",
    "Batches",
    "Look",
    "MovingAverage",
    "Progress",
    "Recipe",
    "StreamBatches",
    "Trainer",
    "Validation",
    "agreed",
    "device_type",
    "is_main_process",
    "make_accelerator",
    "n_processes",
    "steps_of",
]

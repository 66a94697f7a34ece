"""Training: the loop, where its rows come from, the average of its weights, checkpoints and devices.

The names, in the table ``__init__.pyi`` too, are imported when they are first used, so that rows can be drawn before
Accelerate is loaded.
"""

import lazy_loader

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

# written out for the reference, which is made without running anything
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

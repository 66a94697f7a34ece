"""The fitted model, how it is fitted, and how it is saved.

The names, in the table ``__init__.pyi`` too, are imported when they are first used, so that settings can be shown before
anything that trains is loaded.
"""

import lazy_loader

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

# written out for the reference, which is made without running anything
__all__ = [
    "FittedDistribution",
    "Model",
    "Moments",
    "Networks",
    "Stepper",
    "TrainingData",
    "adopt",
    "context_values",
    "fit_model",
    "recipe_of",
    "score_to_distil",
]

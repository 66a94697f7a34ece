"""The fitted model, how it is fitted, and how it is saved."""

from ncsn.model.adopting import adopt
from ncsn.model.contexts import context_values
from ncsn.model.distribution import FittedDistribution
from ncsn.model.fitting import Networks, fit_model, recipe_of, score_to_distil
from ncsn.model.model import Model
from ncsn.model.moments import Moments
from ncsn.model.stepwise import Stepper
from ncsn.model.training_data import TrainingData

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

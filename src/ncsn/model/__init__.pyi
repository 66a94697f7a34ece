"""The public names of this room: one table, read by type checkers and, lazily, at run time."""

from .adopting import adopt as adopt
from .contexts import context_values as context_values
from .distribution import FittedDistribution as FittedDistribution
from .fitting import (
    Networks as Networks,
    fit_model as fit_model,
    recipe_of as recipe_of,
    score_to_distil as score_to_distil,
)
from .model import Model as Model
from .moments import Moments as Moments
from .stepwise import Stepper as Stepper
from .training_data import TrainingData as TrainingData

"""Data in and out: toy sets, shipped tables and digits, files; how they become rows of a model; held-out rows."""

from ncsn.catalogue import DATASETS
from ncsn.data.columns import COLUMNS, Column, Constant, Number, Pixels
from ncsn.data.container import Container
from ncsn.data.dataset import Dataset
from ncsn.data.encoding import Encoding
from ncsn.data.formats import FORMATS, save_samples
from ncsn.data.images import load_mask
from ncsn.data.loading import load
from ncsn.data.splitting import Split, split
from ncsn.data.toys import (
    TOYS,
    Mixture,
    Toy,
    checkerboard,
    eight_gaussians,
    moons,
    pinwheel,
    rings,
    swiss_roll,
    toy_mixture,
)
from ncsn.data.values import Values, as_float64, check_values

__all__ = [
    "COLUMNS",
    "DATASETS",
    "FORMATS",
    "TOYS",
    "Column",
    "Constant",
    "Container",
    "Dataset",
    "Encoding",
    "Mixture",
    "Number",
    "Pixels",
    "Split",
    "Toy",
    "Values",
    "as_float64",
    "check_values",
    "checkerboard",
    "eight_gaussians",
    "load",
    "load_mask",
    "moons",
    "pinwheel",
    "rings",
    "save_samples",
    "split",
    "swiss_roll",
    "toy_mixture",
]

"""Data in and out: toy sets, shipped tables and digits, files; held-out rows; scaling and its inverse."""

from ncsn.data.loading import DATASETS, Dataset, load, load_mask
from ncsn.data.scaling import Split, Standardizer, split
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
from ncsn.data.writing import ending_of, save_samples

__all__ = [
    "DATASETS",
    "TOYS",
    "Dataset",
    "Mixture",
    "Split",
    "Standardizer",
    "Toy",
    "Values",
    "as_float64",
    "check_values",
    "checkerboard",
    "eight_gaussians",
    "ending_of",
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

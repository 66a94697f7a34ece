"""Data in and out: toy sets, shipped tables and digits, files; how they become rows of a model; held-out rows.

The names, in the table ``__init__.pyi`` too, are imported when they are first used, so that a file can be looked at
before PyTorch is loaded.
"""

import lazy_loader

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)

# written out for the reference, which is made without running anything
__all__ = [
    "AUGMENTATIONS",
    "COLUMNS",
    "DATASETS",
    "FORMATS",
    "TOYS",
    "Augmentation",
    "Column",
    "Constant",
    "Container",
    "CsvTable",
    "Dataset",
    "Dialect",
    "Encoding",
    "Items",
    "Mixture",
    "Number",
    "Pixels",
    "Rows",
    "Split",
    "Stream",
    "Toy",
    "Values",
    "as_data",
    "as_float64",
    "augmentation_named",
    "check_values",
    "checkerboard",
    "eight_gaussians",
    "load",
    "load_mask",
    "look_at",
    "moons",
    "pinwheel",
    "rings",
    "save_samples",
    "split",
    "swiss_roll",
    "toy_mixture",
]

"""The names of the built-in data sets, for those who only need the names."""

__all__ = ["DATASETS", "SHIPPED", "TOY_NAMES"]

TOY_NAMES = ("swiss_roll", "moons", "eight_gaussians", "checkerboard", "pinwheel", "rings")
"""Sets of points in the plane, drawn afresh."""

SHIPPED = ("digits", "wine", "breast_cancer", "iris", "diabetes")
"""Sets that scikit-learn ships."""

DATASETS = (*TOY_NAMES, *SHIPPED)
"""All of them."""

"""Settings from the data, each with its rule and its reason."""

from ncsn.plan.measure import finest_scale, grey_step, largest_distance
from ncsn.plan.page import PageSettings
from ncsn.plan.settings import COUNTS, PRECISIONS, Choice, Plan, make_plan

__all__ = [
    "COUNTS",
    "PRECISIONS",
    "Choice",
    "PageSettings",
    "Plan",
    "finest_scale",
    "grey_step",
    "largest_distance",
    "make_plan",
]

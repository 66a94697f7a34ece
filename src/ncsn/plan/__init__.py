"""Settings from the data, each with its rule and its reason."""

from ncsn.plan.measure import finest_scale, largest_distance
from ncsn.plan.page import PageSettings
from ncsn.plan.settings import COUNTS, Choice, Plan, make_plan

__all__ = ["COUNTS", "Choice", "PageSettings", "Plan", "finest_scale", "largest_distance", "make_plan"]

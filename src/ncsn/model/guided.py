"""Guidance of a fitted model: by its own classes, or by a worse model of the same data."""

import copy

from torch import nn

from ncsn.errors import SettingError
from ncsn.guidance import AutoGuidance, ClassGuidance
from ncsn.model.fitted import Fitted


def guided(
    fitted: Fitted, score_model: nn.Module, weight: float | None, guide: Fitted | None, is_told: bool
) -> ClassGuidance | AutoGuidance:
    """Return a model's score, guided.

    Args:
        fitted: The model.
        score_model: Its score model, on the device that samples are drawn on.
        weight: Strength of the guidance.
        guide: A worse model of the same data, or None to guide to a class or a context.
        is_told: Whether classes or contexts are asked for.

    Raises:
        SettingError: There is no weight, or nothing to guide to and no guide, or a method gives no score.
        DataError: The guide was fitted on other data, labels or contexts.
    """
    fitted.check_gives_score("score to guide")
    if weight is None:
        raise SettingError("a guide needs a strength: give guidance, such as 2")
    if guide is None:
        if not is_told:
            known = ["label"] if fitted.contexts is None else ["label", "context"]
            needed = " or ".join(f"a {name}" for name in known)
            raise SettingError(
                f"guidance needs {needed} to guide to: give {' or '.join(known)}, or a worse model as guide"
            )
        return ClassGuidance(score_model, weight)
    if not isinstance(guide, Fitted):
        raise SettingError(f"guide must be a fitted model, not {type(guide).__name__}")
    guide.check_gives_score("score to guide by")
    guide.check_same_data(fitted.encoding, fitted.contexts, "guide")
    where = next(score_model.parameters()).device
    return AutoGuidance(score_model, copy.deepcopy(guide.score_model).to(where), weight)

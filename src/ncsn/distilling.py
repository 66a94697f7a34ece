"""What may teach a consistency model: a score model that was fitted on the same data."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ncsn.data import Standardizer
from ncsn.errors import DataError
from ncsn.forms import encode_labels
from ncsn.methods import method_named

if TYPE_CHECKING:
    from ncsn.estimator import NCSN

__all__ = ["score_to_distil"]


def score_to_distil(teacher: NCSN, method: str, values: Any, labels: Any = None) -> nn.Module:
    """Return a copy of a teacher's score model, once it is known to be of these data and of use.

    Args:
        teacher: A fitted model.
        method: The name of the method that distils it.
        values: The rows to train on.
        labels: Their labels, or None.

    Raises:
        NotFittedError: The teacher is not fitted.
        ValueError: The method distils no teacher.
        DataError: The teacher has no score, or was fitted on other rows or labels.
    """
    check_is_fitted(teacher, "score_model_")
    if not method_named(method).distils:
        raise ValueError(f"method {method!r} cannot distil a teacher of method {teacher.method!r}")
    if not method_named(teacher.method).gives_score:
        raise DataError(
            f"method {method!r} cannot distil a teacher of method {teacher.method!r}: take one with a score"
        )
    if not _alike(teacher.standardizer_, Standardizer.fit(values)):
        raise DataError("the teacher was fitted on other data: fit both on the same rows")
    classes: Any = [] if labels is None else encode_labels(labels, len(values))[0]
    if not np.array_equal([] if teacher.classes_ is None else teacher.classes_, classes):
        raise DataError("the teacher has other classes: fit both with the same labels, or both without")
    return copy.deepcopy(teacher.score_model_).eval()


def _alike(one: Standardizer, other: Standardizer) -> bool:
    """Return whether two scalings are of the same data, up to the order in which their sums were taken."""
    if one.shape != other.shape or not torch.equal(one.constant, other.constant):
        return False
    close = torch.isclose(one.scale, other.scale, rtol=1e-9, atol=0)
    return bool((close & ((one.mean - other.mean).abs() <= 1e-9 * (one.scale + one.mean.abs()))).all())

"""What may teach a consistency model: a score model that was fitted on the same data."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
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
        ValueError: The method distils no teacher, or the teacher has no score.
        DataError: The teacher was fitted on other rows or labels.
    """
    check_is_fitted(teacher, "score_model_")
    if not method_named(method).distils or not method_named(teacher.method).gives_score:
        raise ValueError(f"method {method!r} cannot distil a teacher of method {teacher.method!r}")
    if teacher.standardizer_.to_dict() != Standardizer.fit(values).to_dict():
        raise DataError("the teacher was fitted on other data: fit both on the same rows")
    classes: Any = [] if labels is None else encode_labels(labels, len(values))[0]
    if not np.array_equal([] if teacher.classes_ is None else teacher.classes_, classes):
        raise DataError("the teacher has other classes: fit both with the same labels, or both without")
    return copy.deepcopy(teacher.score_model_).eval()

"""Missing values of the estimator's data filled by draws, in the data's own units and form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ncsn.data import as_float64
from ncsn.errors import DataError
from ncsn.forms import Form, label_codes
from ncsn.guidance import impute
from ncsn.randomness import generator_of

if TYPE_CHECKING:
    from ncsn.estimator import NCSN

__all__ = ["fill"]


def fill(model: NCSN, X: Any, values: Tensor, mask: Any, label: Any, sigmas: Tensor, seed: Any, options: Any) -> Any:
    """Fill the gaps of rows; the documentation is that of `NCSN.impute`.

    Args:
        model: A fitted model.
        X: The rows as the caller gave them.
        values: The same as float64, NaN where a value is missing.
        mask: True where a value is known, or None.
        label: The class of the rows, one for each, or None.
        sigmas: The levels to walk.
        seed: The random state.
        options: Options of `guidance.impute`.
    """
    known = ~values.isnan() & _given(mask, values)
    scaling = model.standardizer_
    # what is not known must not reach the scaling, which a value of any size could overflow
    rows = scaling.transform(torch.where(known, values, torch.zeros_like(values)))
    seen = known
    if values.ndim == 2:
        rows, seen = rows[:, ~scaling.constant], known[:, ~scaling.constant]
    device = next(model.score_model_.parameters()).device
    codes = label_codes(model.classes_, label, len(rows))
    drawn = impute(
        model.score_model_,
        rows.float().to(device),
        seen.to(device),
        sigmas.to(device),
        generator=generator_of(seed),
        condition=None if codes is None else {"label": codes.to(device)},
        **options,
    )
    filled = torch.where(known, values, scaling.inverse(model.whole_rows(drawn)))
    form = Form.of(X)
    # of a frame the fitted types: gaps have turned its whole numbers into fractions
    restored = (model.form_ if form.kind == model.form_.kind == "frame" else form).restore(filled)
    if form.kind == "frame":
        restored.index = X.index
    return restored


def _given(mask: Any, values: Tensor) -> Tensor:
    """Return which values a mask calls known, of the shape of the values."""
    if mask is None:
        return torch.ones_like(values, dtype=torch.bool)
    known = as_float64(mask).cpu()
    if known.shape not in (values.shape, values.shape[1:]) or bool(((known != 0) & (known != 1)).any()):
        raise DataError(
            f"mask must be booleans of shape {tuple(values.shape)} or {tuple(values.shape[1:])}, True where a value is known"
        )
    return known.bool().expand_as(values)

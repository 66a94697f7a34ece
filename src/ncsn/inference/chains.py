"""Draws as ArviZ takes them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ncsn.data import as_float64
from ncsn.errors import DataError, SettingError


def to_arviz(draws: Any, *, names: Sequence[str] | None = None, observed: Any = None) -> Any:
    """Return draws of a posterior as ArviZ takes them, with the groups ``posterior`` and ``observed_data``.

    Draws are independent of each other, so that they are one chain unless they come as several.

    Args:
        draws: Draws, ``(n, D)``, or of several chains, ``(chains, n, D)``.
        names: What the parameters are called; all are one variable ``theta`` when None.
        observed: What is observed; None to leave it out.

    Returns:
        An ``xarray.DataTree``.

    Raises:
        DataError: The draws have another shape.
        SettingError: There are not as many names as parameters, or ArviZ (1.0 at least) is not installed.
    """
    values = as_float64(draws).cpu().numpy()
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or not values.size:
        raise DataError(f"draws must be (n, D) or (chains, n, D), not {values.shape}")
    if names is not None and len(names) != values.shape[-1]:
        raise SettingError(f"{len(names)} names for {values.shape[-1]} parameters")
    try:
        from_dict = import_module("arviz_base").from_dict
    except ImportError as error:
        raise SettingError("to_arviz needs ArviZ: pip install 'ncsn[arviz]'") from error
    variables = {"theta": values} if names is None else {name: values[..., i] for i, name in enumerate(names)}
    groups = {"posterior": variables}
    if observed is not None:
        groups["observed_data"] = {"x": np.asarray(as_float64(observed).cpu())}
    return from_dict(groups)

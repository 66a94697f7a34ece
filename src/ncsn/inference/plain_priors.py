"""Priors as plain values, for JSON, and back: those that `torch.distributions` makes of numbers alone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributions as known
from torch import Tensor
from torch.distributions import Distribution, Independent

from ncsn.inference.prior import Prior


def prior_to_plain(prior: Prior) -> list[dict[str, Any]] | None:
    """Return what `parts_from_plain` makes the parts of a prior of again; None of one that is not made of numbers alone."""
    plain = [_to_plain(part) for part in prior.parts]
    return None if None in plain else [each for each in plain if each is not None]


def parts_from_plain(saved: list[Mapping[str, Any]]) -> list[Distribution]:
    """Rebuild the parts of a prior.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: It is damaged.
    """
    return [_from_plain(part) for part in saved]


def _to_plain(part: Distribution) -> dict[str, Any] | None:
    """Return the class of a distribution and what it is made of; None where that is more than numbers."""
    if isinstance(part, Independent):
        base = _to_plain(part.base_dist)
        return None if base is None else {"independent": base, "axes": part.reinterpreted_batch_ndims}
    name = type(part).__name__
    asked = [each for each in inspect.signature(type(part).__init__).parameters if each in part.arg_constraints]
    # one of three that say the same
    asked = [each for each in asked if each not in ("covariance_matrix", "precision_matrix")]
    if getattr(known, name, None) is not type(part) or not asked:
        return None
    return {"distribution": name, "arguments": {each: _of_numbers(getattr(part, each)) for each in asked}}


def _of_numbers(value: Any) -> dict[str, Any]:
    tensor = torch.as_tensor(value).detach().cpu()
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "values": tensor.tolist()}


def _from_plain(saved: Mapping[str, Any]) -> Distribution:
    if "independent" in saved:
        return Independent(_from_plain(saved["independent"]), int(saved["axes"]))
    kind: Any = getattr(known, saved["distribution"])
    is_one = isinstance(kind, type) and Distribution in kind.__mro__
    if not is_one:
        raise ValueError(f"{saved['distribution']!r} is no distribution")
    made: Distribution = kind(**{name: _tensor(each) for name, each in saved["arguments"].items()})
    return made


def _tensor(saved: Mapping[str, Any]) -> Tensor:
    dtype = getattr(torch, saved["dtype"])
    return torch.tensor(saved["values"], dtype=dtype)

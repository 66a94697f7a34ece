"""Networks and score models of the user's own: whether they can be trained and keep their contract."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError, SettingWarning
from ncsn.networks.preconditioning import PreconditionedScore


def trainable(network: Any, name: str = "score_net") -> nn.Module:
    """Return the network, if it is one that can be trained.

    Raises:
        SettingError: It is no module, or has no weights to train.
    """
    if not isinstance(network, nn.Module) or not any(weight.requires_grad for weight in network.parameters()):
        raise SettingError(f"{name} must be a torch.nn.Module with weights to train, not {type(network).__name__}")
    return network


def check_call(network: nn.Module, rows: Tensor, condition: Mapping[str, Tensor], *, name: str = "score_net") -> None:
    """Call a network once, on a few rows, before it is trained on many.

    Args:
        network: A score model, called with levels, or a network F, called with their coordinates.
        rows: A few rows, ``(N, *shape)``.
        condition: What it will be told of them.
        name: What the message calls it.

    Raises:
        SettingError: The call fails, does not return the shape of the rows, or answers NaN where there is no context.
    """
    told = "".join(f", {key}={key}" for key in condition)
    second, wanted = ("sigma", "a score") if name == "score_net" else ("c_noise", "a tensor")
    # training has a level for each row, sampling one for all
    for levels, kind in ((rows.new_ones(len(rows)), "(N,)"), (rows.new_ones(()), "()")):
        call = f"{name}(x, {second}{told}) on rows of shape {tuple(rows.shape[1:])}, {second} of shape {kind},"
        try:
            with torch.no_grad():
                answer = network.eval()(rows, levels, **condition)
        except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            if "context" in condition and isinstance(error, TypeError) and "'context'" in first:
                width = condition["context"].shape[1]
                first += f". Give its forward a parameter context, (N, {width}), a row of NaN for none"
            raise SettingError(f"{call} fails: {first}") from error
        if not isinstance(answer, Tensor) or answer.shape != rows.shape:
            returned = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise SettingError(f"{call} must return {wanted} of shape {tuple(rows.shape)}, not {returned}")
        if "context" in condition and bool(answer.isnan().any()):
            raise SettingError(f"{call} answers NaN: a row of NaN stands for no context, and must be taken as such")


def say_what_is_trained(score_net: nn.Module) -> None:
    """Say that a network is taken for a score where nothing declares it one."""
    if not isinstance(score_net, PreconditionedScore):
        warnings.warn(
            f"score_net={type(score_net).__name__}(...) is trained as the score s(x, sigma) itself; for a network "
            "F(x, c_noise) that the method preconditions, give NCSN(network=...)",
            SettingWarning,
            stacklevel=3,
        )

"""A class or a context asked for more strongly: classifier-free guidance."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.score import NO_LABEL, ScoreModel


class ClassGuidance(nn.Module):
    """A conditional score model that asks for the class or the context more, or less, strongly: classifier-free guidance.

    The score is s(x) + weight (s(x | told) - s(x)), of which weight 1 is exactly the conditional and 0 exactly the
    unconditional one. Above 1 the samples keep closer to what tells the class apart, at the price of their spread. It
    takes two evaluations of the model.

    Args:
        score_model: A score model with classes, called as ``score_model(x, sigma, label=label)``, where label -1 stands for
            all; or with contexts, called with ``context=context``, where rows of NaN stand for none; or with both.
        weight: Strength of the guidance; 1 + w of the paper.

    Raises:
        SettingError: The weight is not finite.

    References:
        Ho & Salimans 2022, equation 6.

    >>> from ncsn.exact import GaussianMixtureScore
    >>> classes = GaussianMixtureScore([0.5, 0.5], [[-1.0], [1.0]], 1.0, labels=[0, 1])
    >>> x, sigma, label = torch.zeros(1, 1), torch.tensor(0.0), torch.tensor([1])
    >>> classes(x, sigma, label=label), ClassGuidance(classes, 3.0)(x, sigma, label=label)
    (tensor([[1.]]), tensor([[3.]]))
    """

    def __init__(self, score_model: ScoreModel, weight: float) -> None:
        super().__init__()
        if not math.isfinite(weight):
            raise SettingError(f"the weight of the guidance must be finite, not {weight}")
        self.score_model = score_model
        self.any_dtype = getattr(score_model, "any_dtype", False)
        self.weight = float(weight)

    def forward(
        self,
        x: Tensor,
        sigma: Tensor,
        label: Tensor | int | None = None,
        context: Tensor | None = None,
        **condition: Any,
    ) -> Tensor:
        """Return the guided score.

        Args:
            x: Points, ``(N, *shape)``.
            sigma: Noise level, a scalar or ``(N,)``.
            label: Class, an integer or ``(N,)`` of them; rows with -1 are not guided.
            context: Contexts, ``(N, context_dim)``; rows of NaN are not guided.
            **condition: Other keyword arguments of the model.

        Returns:
            The score, with the shape of ``x``.
        """
        told, nothing = dict(condition), dict(condition)
        if label is not None:
            told["label"] = torch.as_tensor(label, device=x.device)
            nothing["label"] = torch.full_like(told["label"], NO_LABEL)
        if context is not None:
            told["context"], nothing["context"] = context, torch.full_like(context, torch.nan)
        return torch.lerp(self.score_model(x, sigma, **nothing), self.score_model(x, sigma, **told), self.weight)

    def extra_repr(self) -> str:
        """Name the weight."""
        return f"weight={self.weight:g}"

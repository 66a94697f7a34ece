"""What a model has learned asked for more strongly: a class, a context, or what it knows better than a worse model."""

import abc
import math
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.score import NO_CONTEXT, NO_LABEL, ScoreModel, evaluate


class _Guidance(nn.Module, abc.ABC):
    """A score model led away from another: its score plus weight - 1 times their difference.

    Args:
        score_model: A score model.
        weight: Strength of the guidance; 1 is none.

    Raises:
        SettingError: The weight is not finite.
    """

    def __init__(self, score_model: ScoreModel, weight: float) -> None:
        super().__init__()
        if not math.isfinite(weight):
            raise SettingError(f"the weight of the guidance must be finite, not {weight}")
        self.score_model = score_model
        self.any_dtype = getattr(score_model, "any_dtype", False)
        self.weight = float(weight)

    @abc.abstractmethod
    def other(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the score to lead away from."""

    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the guided score.

        Args:
            x: Points, ``(N, *shape)``.
            sigma: Noise level, a scalar or ``(N,)``.
            **condition: Keyword arguments of the model.

        Returns:
            The score, with the shape of ``x``.
        """
        score = self.score_model(x, sigma, **condition)
        return torch.lerp(self.other(x, sigma, **condition), score, self.weight)

    def extra_repr(self) -> str:
        """Name the weight."""
        return f"weight={self.weight:g}"


class ClassGuidance(_Guidance):
    """A conditional score model that asks for the class or the context more, or less, strongly: classifier-free guidance.

    The score is s(x) + weight (s(x | told) - s(x)), of which weight 1 is exactly the conditional and 0 exactly the
    unconditional one. Above 1 the samples keep closer to what tells the class apart, at the price of their spread. It
    takes two evaluations of the model. Rows with the label -1 are not guided.

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

    def other(
        self,
        x: Tensor,
        sigma: Tensor,
        label: Tensor | int | None = None,
        context: Tensor | None = None,
        **condition: Any,
    ) -> Tensor:
        """Return the score without the class and the context."""
        nothing = dict(condition)
        if label is not None:
            nothing["label"] = torch.full_like(torch.as_tensor(label, device=x.device), NO_LABEL)
        if context is not None:
            nothing["context"] = torch.full_like(context, NO_CONTEXT)
        return self.score_model(x, sigma, **nothing)


class AutoGuidance(_Guidance):
    """A score model led away from a worse one of the same data, told the same: autoguidance.

    Where the two differ, the better one is mostly right and the other errs further in the same direction; a weight above 1 goes
    on the opposite way. The guide is a smaller network, or one that was trained for less time. It takes an evaluation of each.

    Args:
        score_model: A score model.
        guide: The worse one, called with the same arguments.
        weight: Strength of the guidance, w of the paper: 1 is the better model alone, 0 the guide.

    Raises:
        SettingError: The weight is not finite.

    References:
        Karras et al. 2024, equation 3.

    >>> good, worse = (lambda x, sigma: -x / (1 + sigma**2)), (lambda x, sigma: -x / (4 + sigma**2))
    >>> AutoGuidance(good, worse, 2.0)(torch.ones(1, 1), torch.tensor(0.0))
    tensor([[-1.7500]])
    """

    def __init__(self, score_model: ScoreModel, guide: ScoreModel, weight: float) -> None:
        super().__init__(score_model, weight)
        self.guide = guide

    def other(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the guide's score."""
        return evaluate(self.guide, x, sigma, condition)

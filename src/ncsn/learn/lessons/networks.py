"""What is asked of a score network, property by property, whatever it is made of."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from ncsn.learn.declarations import Function, Unfit, is_missing

__all__ = ["properties"]


def _made(function: Function, dim: int, width: int) -> nn.Module:
    """Return a network of the learner's, ready to be looked at.

    Raises:
        NotImplementedError: It has nothing to train: it was not written yet.
        Unfit: It is no network, or keeps layers where PyTorch does not see them.
    """
    network = function(dim, width)
    if not isinstance(network, nn.Module):
        raise Unfit(f"should make a torch.nn.Module, not {type(network).__name__}")
    for name, value in vars(network).items():
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        if not name.startswith("_") and any(isinstance(member, nn.Module) for member in members):
            raise Unfit(
                f"keeps layers in a plain {type(value).__name__}, self.{name}, where PyTorch does not see them: they would not "
                "be trained. Keep them in nn.Sequential or nn.ModuleList"
            )
    return network


def _score_of(network: nn.Module, points: Tensor, levels: Tensor) -> Tensor:
    answer = network(points, levels)
    if is_missing(answer):
        if any(True for _ in network.parameters()):
            raise Unfit("has layers, but its forward returns nothing: it is not written yet, or a return is missing")
        raise NotImplementedError
    if not isinstance(answer, Tensor) or answer.shape != points.shape or answer.dtype != points.dtype:
        told = f"{answer.dtype} of shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise Unfit(f"should return a score of {points.dtype} and shape {tuple(points.shape)}, like x, not {told}")
    return answer


def _draw_weights(network: nn.Module) -> None:
    """Draw the weights anew, as some networks start with an output of zero."""
    with torch.no_grad():
        for weight in network.parameters():
            reach = 1 / math.sqrt(max(1, weight[0].numel())) if weight.ndim > 1 else 0.3
            weight.add_(reach * torch.randn(weight.shape).to(weight))


def _reaches_both_ways(network: nn.Module, x: Tensor) -> bool:
    """Return whether the answers grow below zero as well as above as the weights do, over several draws of the weights."""
    network = copy.deepcopy(network)
    weights = [*network.parameters()]
    begun = [weight.detach().clone() for weight in weights]
    lowest, highest = [0.0, 0.0], [0.0, 0.0]
    with torch.no_grad():
        for _ in range(16):
            for weight, start in zip(weights, begun, strict=True):
                weight.copy_(start)
            _draw_weights(network)
            for i in range(2):
                for weight in weights:
                    weight.mul_(10)
                answers = _score_of(network, x, torch.ones(()).to(x))
                lowest[i], highest[i] = min(lowest[i], float(answers.min())), max(highest[i], float(answers.max()))
    return lowest[1] < 3 * lowest[0] and highest[1] > 3 * highest[0]


def properties(function: Function, dim: int, width: int, x: Tensor, sigma: Tensor) -> dict[str, bool]:
    """Return what a class of networks keeps of what is asked, True for each property that holds.

    Raises:
        NotImplementedError: It was not written yet.
        Unfit: It is no network, or what it returns is no score.
    """
    network = _made(function, dim, width).to(x.dtype)
    _draw_weights(network)

    def unit(level: float, points: Tensor) -> Tensor:
        """Return sigma times the score at points of the size of the noisy data's."""
        return level * _score_of(network, math.sqrt(1 + level**2) * points, torch.tensor(level).to(points))

    def size(values: Tensor) -> float:
        return float(values.square().mean().sqrt())

    whole = _score_of(network, x, sigma)
    rows = torch.cat([_score_of(network, x[i : i + 1], sigma[i : i + 1]) for i in range(min(3, len(x)))])
    gradients = torch.autograd.grad(
        whole.square().sum(), [each for each in network.parameters() if each.requires_grad], allow_unused=True
    )
    with torch.no_grad():
        zeros, draws = torch.zeros(1, dim).to(x), torch.randn(64, dim).to(x)
        fine = sum(size(unit(level, zeros) - unit(1.2 * level, zeros)) for level in (0.01, 0.02, 0.05))
        coarse = sum(size(unit(level, zeros) - unit(1.2 * level, zeros)) for level in (2.0, 5.0, 10.0))
        usual = size(unit(1.0, draws))
        growth = sum(size(unit(level, zeros)) / level for level in (0.01, 0.014, 0.02))
        growth /= max(1e-12, sum(size(unit(level, zeros)) / level for level in (0.7, 1.0, 1.4)))
        return {
            "each row's score rests on its own x and sigma alone": torch.allclose(
                rows, whole[: len(rows)], rtol=1e-3, atol=1e-3 * size(whole)
            ),
            "every weight takes part": all(each is not None for each in gradients),
            "scores can have either sign and any size, as nothing bends what the last layer says": _reaches_both_ways(
                network, draws
            ),
            "the score grows like 1/sigma where sigma is small": 7 < growth < 1000,
            "it answers to sigma": fine + coarse > 1e-3 * usual,
            "it tells small levels apart as well as large ones": fine > 0.02 * coarse,
            "large noisy points are scaled down": size(unit(1e4, draws)) < 50 * usual,
            "points at small levels are not blown up": size(unit(1e-4, draws)) < 50 * usual,
        }

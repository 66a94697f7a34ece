"""Lesson 1: right answers written in other ways pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal

from ncsn.learn.checking import examine
from ncsn.learn.lessons import exercise_numbered


def gaussian_by_autograd(x: Tensor, mean: Tensor, std: float) -> Tensor:
    places = x.clone().requires_grad_()
    return torch.autograd.grad(Normal(mean, std).log_prob(places).sum(), places)[0]


def gaussian_by_rows(x: Tensor, mean: Tensor, std: float) -> Tensor:
    return torch.stack([-(row - mean) / (std * std) for row in x])


def gaussian_with_a_matrix(x: Tensor, mean: Tensor, std: float) -> Tensor:
    covariance = std**2 * torch.eye(len(mean), dtype=x.dtype)
    return -torch.linalg.solve(covariance, (x - mean).T).T


def mixture_by_logsumexp(x: Tensor, weights: Tensor, means: Tensor, std: float) -> Tensor:
    logs = weights.log() - torch.cdist(x, means, compute_mode="donot_use_mm_for_euclid_dist") ** 2 / (2 * std**2)
    shares = torch.exp(logs - torch.logsumexp(logs, dim=1, keepdim=True))
    return (shares @ means - x) / std**2


def mixture_by_autograd(x: Tensor, weights: Tensor, means: Tensor, std: float) -> Tensor:
    covariance = std**2 * torch.eye(means.shape[1], dtype=x.dtype)
    mixture = MixtureSameFamily(Categorical(weights), MultivariateNormal(means, covariance))
    places = x.clone().requires_grad_()
    return torch.autograd.grad(mixture.log_prob(places).sum(), places)[0]


def mixture_by_loops(x: Tensor, weights: Tensor, means: Tensor, std: float) -> Tensor:
    rows = []
    for row in x:
        logs = torch.stack(
            [w.log() - (row - m).square().sum() / (2 * std**2) for w, m in zip(weights, means, strict=True)]
        )
        shares = (logs - logs.max()).exp()
        parts = [share * (m - row) / std**2 for share, m in zip(shares / shares.sum(), means, strict=True)]
        rows.append(sum(parts))
    return torch.stack(rows)


def occupied_by_a_set(points: Tensor, bins: int) -> float:
    return len({tuple(row) for row in (points * bins).long().tolist()}) / bins ** points.shape[1]


def occupied_by_numpy(points: Tensor, bins: int) -> float:
    cells = np.unique(np.floor(points.numpy() * bins), axis=0)
    return len(cells) * float(bins) ** -points.shape[1]


def loss_by_mse(score: Any, x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    noisy = x + sigma * noise
    return torch.nn.functional.mse_loss(score(noisy), -noise / sigma)


def loss_by_the_way_back(score: Any, x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    gap = sigma * score(x + sigma * noise) + noise
    return (gap**2).sum() / (gap.numel() * sigma**2)


def loss_by_rows(score: Any, x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    rows = [(score(a[None] + sigma * z[None]) + z / sigma).square().mean() for a, z in zip(x, noise, strict=True)]
    return torch.stack(rows).mean()


def error_by_means(a: Tensor, b: Tensor) -> Tensor:
    return torch.mean((a - b) ** 2) / torch.mean(b**2)


def error_by_lengths(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm(dim=1).square().mean() / b.norm(dim=1).square().mean())


def error_by_frobenius(a: Tensor, b: Tensor) -> float:
    return math.pow(torch.linalg.norm(a - b).item() / torch.linalg.norm(b).item(), 2)


def follow_by_recursion(score: Any, x: Tensor, step: float, n_steps: int) -> Tensor:
    return x if n_steps == 0 else follow_by_recursion(score, x + step * score(x), step, n_steps - 1)


def follow_with_a_clone(score: Any, x: Tensor, step: float, n_steps: int) -> Tensor:
    places = x.clone()
    while n_steps:
        places += step * score(places)
        n_steps -= 1
    return places


def follow_a_list(score: Any, x: Tensor, step: float, n_steps: int) -> Tensor:
    places = [x]
    for _ in range(n_steps):
        places.append(torch.add(places[-1], score(places[-1]), alpha=step))
    return places[-1]


RIGHT: list[tuple[str, Callable[..., Any]]] = [
    ("1.1", gaussian_by_autograd),
    ("1.1", gaussian_by_rows),
    ("1.1", gaussian_with_a_matrix),
    ("1.2", mixture_by_logsumexp),
    ("1.2", mixture_by_autograd),
    ("1.2", mixture_by_loops),
    ("1.3", occupied_by_a_set),
    ("1.3", occupied_by_numpy),
    ("1.4", loss_by_mse),
    ("1.4", loss_by_the_way_back),
    ("1.4", loss_by_rows),
    ("1.5", error_by_means),
    ("1.5", error_by_lengths),
    ("1.5", error_by_frobenius),
    ("1.6", follow_by_recursion),
    ("1.6", follow_with_a_clone),
    ("1.6", follow_a_list),
]


@pytest.mark.parametrize(("number", "answer"), RIGHT, ids=[f"{number}-{answer.__name__}" for number, answer in RIGHT])
def test_right_answers_written_differently_pass(number: str, answer: Callable[..., Any]) -> None:
    result = examine(exercise_numbered(number), answer)
    assert result.passed, str(result)
    assert result.notes == ()

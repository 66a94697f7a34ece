"""Wrong answers as learners write them: by exercise, what was done, the answer, and the words that have to be told."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize, one_hot

Answer = tuple[str, str, Callable[..., Any], tuple[str, ...]]
WRONG: list[Answer] = []


def wrong(number: str, done: str, *told: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        WRONG.append((number, done, function, told))
        return function

    return keep


# 1.1
wrong("1.1", "x - mean over std", "turned sign", "standard deviation where")(lambda x, mean, std: (x - mean) / std)
wrong("1.1", "sign and a half", "turned sign", "1/2")(lambda x, mean, std: (x - mean) / (2 * std**2))
wrong("1.1", "not divided", "not divided")(lambda x, mean, std: mean - x)
wrong("1.1", "not divided, sign", "turned sign", "not divided")(lambda x, mean, std: x - mean)
wrong("1.1", "std cubed", "divided by std")(lambda x, mean, std: (mean - x) / std**3)
wrong("1.1", "no mean, std", "about 0", "standard deviation where")(lambda x, mean, std: -x / std)
wrong("1.1", "mean over the axes", "divided by D")(lambda x, mean, std: (mean - x) / std**2 / x.shape[1])
wrong("1.1", "the log-density's square")(lambda x, mean, std: -((x - mean) ** 2) / (2 * std**2))


# 1.2
def shares(x: Any, w: Any, means: Any, std: Any) -> Any:
    return torch.softmax(w.log() - (means - x[:, None]).square().sum(-1) / (2 * std**2), dim=1)[..., None]


def joint(x: Any, w: Any, means: Any, std: Any) -> Any:
    return w * torch.exp(-(x[:, None] - means).square().sum(-1) / (2 * std**2))


wrong("1.2", "no variance", "not divided")(lambda x, w, m, s: (shares(x, w, m, s) * (m - x[:, None])).sum(1))
wrong("1.2", "no variance, sign", "turned sign", "not divided")(
    lambda x, w, m, s: (shares(x, w, m, s) * (x[:, None] - m)).sum(1)
)
wrong("1.2", "std, sign", "turned sign", "standard deviation where")(
    lambda x, w, m, s: (shares(x, w, m, s) * (x[:, None] - m)).sum(1) / s
)
wrong("1.2", "weights not logged", "logarithm")(
    lambda x, w, m, s: (
        (torch.softmax(w - (m - x[:, None]).square().sum(-1) / (2 * s**2), 1)[..., None] * (m - x[:, None])).sum(1)
        / s**2
    )
)
for guard in (1e-8, 1e-10, 1e-20):
    wrong("1.2", f"a guard of {guard:g}", "guard")(
        lambda x, w, m, s, guard=guard: (
            ((p := joint(x, w, m, s)) / (p.sum(1, keepdim=True) + guard))[..., None] * (m - x[:, None]) / s**2
        ).sum(1)
    )
wrong("1.2", "no priors, no half", "prior", "1/2")(
    lambda x, w, m, s: (
        (torch.softmax(-(m - x[:, None]).square().sum(-1) / s**2, 1)[..., None] * (m - x[:, None])).sum(1) / s**2
    )
)
wrong("1.2", "softmax over the points", "over the points")(
    lambda x, w, m, s: (
        (torch.softmax(w.log() - (m - x[:, None]).square().sum(-1) / (2 * s**2), 0)[..., None] * (m - x[:, None])).sum(
            1
        )
        / s**2
    )
)
wrong("1.2", "mean over components", "mean over the components")(
    lambda x, w, m, s: (shares(x, w, m, s) * (m - x[:, None])).mean(1) / s**2
)
wrong("1.2", "not normalised", "not divided by their sum")(
    lambda x, w, m, s: (joint(x, w, m, s)[..., None] * (m - x[:, None])).sum(1) / s**2
)
wrong("1.2", "std for variance throughout", "std in the exponent", "standard deviation where")(
    lambda x, w, m, s: (
        (torch.softmax(w.log() - (m - x[:, None]).square().sum(-1) / (2 * s), 1)[..., None] * (m - x[:, None])).sum(1)
        / s
    )
)
wrong("1.2", "length not squared", "not squared")(
    lambda x, w, m, s: (
        (torch.softmax(w.log() - (m - x[:, None]).norm(dim=-1) / (2 * s**2), 1)[..., None] * (m - x[:, None])).sum(1)
        / s**2
    )
)
wrong("1.2", "nearest, sign", "nearest", "turned sign")(
    lambda x, w, m, s: (one_hot(torch.cdist(x, m).argmin(1), len(w)).to(x)[..., None] * (x[:, None] - m)).sum(1) / s**2
)
wrong("1.2", "logits cut off")(
    lambda x, w, m, s: (
        (
            torch.softmax((w.log() - (m - x[:, None]).square().sum(-1) / (2 * s**2)).clamp(min=-9), 1)[..., None]
            * (m - x[:, None])
        ).sum(1)
        / s**2
    )
)

# 1.3
wrong("1.3", "D ** bins", "the wrong way round")(
    lambda points, bins: len(torch.unique((points * bins).floor(), dim=0)) / float(points.shape[1]) ** bins
)
wrong("1.3", "rounded, of the points", "rounding", "share of the points")(
    lambda points, bins: len(torch.unique((points * bins).round(), dim=0)) / len(points)
)
wrong("1.3", "the empty ones", "empty")(
    lambda points, bins: 1 - len(torch.unique((points * bins).floor(), dim=0)) / float(bins) ** points.shape[1]
)
wrong("1.3", "in percent", "100 times")(
    lambda points, bins: 100 * len(torch.unique((points * bins).floor(), dim=0)) / float(bins) ** points.shape[1]
)

# 1.4
wrong("1.4", "fog of variance", "sigma squared for sigma")(
    lambda score, x, noise, sigma: (score(x + sigma**2 * noise) + noise / sigma).square().mean()
)
wrong("1.4", "fog of root", "the root of sigma")(
    lambda score, x, noise, sigma: (score(x + sigma**0.5 * noise) + noise / sigma).square().mean()
)


@wrong("1.4", "fog of variance, way back", "sigma squared for sigma")
def fog_of_variance(score: Any, x: Any, noise: Any, sigma: Any) -> Any:
    noisy = x + sigma**2 * noise
    return nn.functional.mse_loss(score(noisy), -(noisy - x) / sigma**2)


@wrong("1.4", "own noise", "noise of its own")
def own_noise(score: Any, x: Any, noise: Any, sigma: Any) -> Any:
    noise = torch.randn_like(x)
    return (score(x + sigma * noise) + noise / sigma).pow(2).mean()


wrong("1.4", "sign, sigma squared", "turned sign", "divided by sigma once too often")(
    lambda score, x, noise, sigma: (score(x + sigma * noise) - noise / sigma**2).square().mean()
)
wrong("1.4", "sign, no sigma", "turned sign", "off by exactly sigma")(
    lambda score, x, noise, sigma: (score(x + sigma * noise) - noise).square().mean()
)
wrong("1.4", "sign, rows summed", "turned sign", "sum over the dimensions")(
    lambda score, x, noise, sigma: (score(x + sigma * noise) - noise / sigma).square().sum(1).mean()
)
wrong("1.4", "summed", "sum over")(
    lambda score, x, noise, sigma: (score(x + sigma * noise) + noise / sigma).square().sum()
)
wrong("1.4", "half", "0.5 times")(
    lambda score, x, noise, sigma: 0.5 * (score(x + sigma * noise) + noise / sigma).square().mean()
)
wrong("1.4", "absolute", "absolute")(
    lambda score, x, noise, sigma: (score(x + sigma * noise) + noise / sigma).abs().mean()
)
wrong("1.4", "clean, sign", "clean points", "turned sign")(
    lambda score, x, noise, sigma: (score(x) - noise / sigma).square().mean()
)
wrong("1.4", "weighted, sign", "multiplied by sigma squared", "turned sign")(
    lambda score, x, noise, sigma: sigma**2 * (score(x + sigma * noise) - noise / sigma).square().mean()
)
wrong("1.4", "minus noise", "subtracted")(
    lambda score, x, noise, sigma: (score(x - sigma * noise) + noise / sigma).square().mean()
)

# 1.5
wrong("1.5", "mean lengths", "not squared")(lambda a, b: (a - b).norm(dim=1).mean() / b.norm(dim=1).mean())
wrong("1.5", "absolute", "not squared")(lambda a, b: float((a - b).abs().sum() / b.abs().sum()))
wrong("1.5", "sum over mean", "N", "D")(lambda a, b: float((a - b).square().sum() / b.square().mean()))
wrong("1.5", "root, by the estimate", "root", "estimate's own")(lambda a, b: float((a - b).norm() / a.norm()))


# 1.6
@wrong("1.6", "return inside the loop", "a single step")
def returned_early(score: Any, x: Any, step: Any, n_steps: Any) -> Any:
    for _ in range(n_steps):
        return x + step * score(x)
    return None


@wrong("1.6", "one step short", "a step too few")
def one_short(score: Any, x: Any, step: Any, n_steps: Any) -> Any:
    for _ in range(n_steps - 1):
        x = x + step * score(x)
    return x


@wrong("1.6", "all places", "all places on the way")
def all_places(score: Any, x: Any, step: Any, n_steps: Any) -> Any:
    places = [x]
    for _ in range(n_steps):
        places.append(places[-1] + step * score(places[-1]))
    return torch.stack(places)


@wrong("1.6", "downhill in half steps", "away from the data", "half the size")
def downhill(score: Any, x: Any, step: Any, n_steps: Any) -> Any:
    for _ in range(n_steps):
        x = x - step / 2 * score(x)
    return x


@wrong("1.6", "downhill, one short", "away from the data", "a step too few")
def downhill_short(score: Any, x: Any, step: Any, n_steps: Any) -> Any:
    for _ in range(1, n_steps):
        x = x - step * score(x)
    return x


@wrong("1.6", "unit arrows downhill", "equal length", "away from the data")
def unit_downhill(score: Any, x: Any, step: Any, n_steps: Any) -> Any:
    for _ in range(n_steps):
        x = x - step * normalize(score(x), dim=-1)
    return x


# 2.1
def levels_to(low: float, high: float, exponents: Any) -> Any:
    return high * (low / high) ** torch.as_tensor(list(exponents), dtype=torch.float64)


wrong("2.1", "short of the end, rising", "stop short", "fine to coarse")(
    lambda low, high, n: levels_to(low, high, (i / n for i in range(n))).flip(0)
)
wrong("2.1", "even, rising", "constant difference", "fine to coarse")(lambda low, high, n: torch.linspace(low, high, n))
wrong("2.1", "common logarithms raised with e", "powers of e")(
    lambda low, high, n: torch.linspace(math.log10(high), math.log10(low), n).exp()
)
wrong("2.1", "one too many", "one level too many")(
    lambda low, high, n: levels_to(low, high, torch.linspace(0, 1, n + 1))
)
wrong("2.1", "begins one in", "sigma_max is left out")(
    lambda low, high, n: levels_to(low, high, (i / n for i in range(1, n + 1)))
)
wrong("2.1", "logs, rising", "logarithms of the levels", "fine to coarse")(
    lambda low, high, n: torch.linspace(math.log(low), math.log(high), n)
)
wrong("2.1", "even variances", "evenly spaced squares")(lambda low, high, n: torch.linspace(high**2, low**2, n).sqrt())

# 2.2
wrong("2.2", "subtracted", "subtracted")(lambda x, sigma, noise: x - sigma[:, None] * noise)
wrong("2.2", "subtracted, squared", "subtracted", "sigma squared for sigma")(
    lambda x, sigma, noise: x - sigma[:, None] ** 2 * noise
)
wrong("2.2", "own, squared", "noise of its own", "sigma squared for sigma")(
    lambda x, sigma, noise: x + sigma[:, None] ** 2 * torch.randn_like(noise)
)
wrong("2.2", "blended", "shrunk")(lambda x, sigma, noise: (1 - sigma[:, None]) * x + sigma[:, None] * noise)
wrong("2.2", "divided", "divided by sigma")(lambda x, sigma, noise: x + noise / sigma[:, None])


# 2.3
def binned(values: Any, places: Any, edges: Any, how: Callable[[Any], Any] = torch.mean) -> Any:
    return torch.stack([how(values[(places >= low) & (places < high)]) for low, high in pairwise(edges)])


wrong("2.3", "sign, sigma", "turned sign", "off by exactly sigma")(
    lambda x, noisy, sigma, edges: binned((noisy - x) / sigma, noisy, edges)
)
wrong("2.3", "sign, not divided", "turned sign", "not divided")(
    lambda x, noisy, sigma, edges: binned(noisy - x, noisy, edges)
)
wrong("2.3", "median", "median")(
    lambda x, noisy, sigma, edges: binned((x - noisy) / sigma**2, noisy, edges, torch.median)
)
wrong("2.3", "by clean points, sign", "bins of the clean", "turned sign")(
    lambda x, noisy, sigma, edges: (
        binned((noisy - x) / sigma**2, torch.where(x < edges[0], edges[0], x), edges)
        if len(x) < 2
        else binned((noisy - x) / sigma**2, x, edges)
    )
)
wrong("2.3", "sums, sign", "sum in each bin", "turned sign")(
    lambda x, noisy, sigma, edges: binned((noisy - x) / sigma**2, noisy, edges, torch.sum)
)
wrong("2.3", "sums, sigma", "sum in each bin", "off by exactly sigma")(
    lambda x, noisy, sigma, edges: binned((x - noisy) / sigma, noisy, edges, torch.sum)
)


# 2.4
wrong("2.4", "sign, sigma squared", "turned sign", "divided by sigma once too often")(
    lambda model, x, sigma, noise: (
        (sigma[:, None] * (model(x + sigma[:, None] * noise, sigma) - noise / sigma[:, None] ** 2)).square().mean()
    )
)
wrong("2.4", "no weight, sign", "without its weight", "turned sign")(
    lambda model, x, sigma, noise: (model(x + sigma[:, None] * noise, sigma) - noise / sigma[:, None]).square().mean()
)
wrong("2.4", "own noise", "noise of its own")(
    lambda model, x, sigma, noise: (
        (sigma[:, None] * model(x + sigma[:, None] * (own := torch.randn_like(x)), sigma) + own).square().mean()
    )
)
wrong("2.4", "fog of variance", "sigma squared for sigma")(
    lambda model, x, sigma, noise: (
        (sigma[:, None] * model(x + sigma[:, None] ** 2 * noise, sigma) + noise).square().mean()
    )
)
wrong("2.4", "half", "0.5 times")(
    lambda model, x, sigma, noise: (
        0.5 * (sigma[:, None] * model(x + sigma[:, None] * noise, sigma) + noise).square().mean()
    )
)
wrong("2.4", "absolute", "absolute")(
    lambda model, x, sigma, noise: (sigma[:, None] * model(x + sigma[:, None] * noise, sigma) + noise).abs().mean()
)
wrong("2.4", "sum, sign", "sum over", "turned sign")(
    lambda model, x, sigma, noise: (sigma[:, None] * model(x + sigma[:, None] * noise, sigma) - noise).square().sum()
)
wrong("2.4", "no weight, rows summed", "without its weight", "sum over the dimensions")(
    lambda model, x, sigma, noise: (
        (model(x + sigma[:, None] * noise, sigma) + noise / sigma[:, None]).square().sum(1).mean()
    )
)
wrong("2.4", "told the logarithm", "logarithm of the level")(
    lambda model, x, sigma, noise: (
        (sigma[:, None] * model(x + sigma[:, None] * noise, sigma.log()) + noise).square().mean()
    )
)

# 2.5
wrong("2.5", "common logarithm", "common logarithm")(
    lambda sigma, f: torch.cat([(a := sigma.log10()[:, None] * f).sin(), a.cos()], dim=1)
)
wrong("2.5", "two pi", "2 pi")(
    lambda sigma, f: torch.cat([(a := 2 * math.pi * sigma.log()[:, None] * f).sin(), a.cos()], dim=1)
)
wrong("2.5", "sines twice", "sines twice")(
    lambda sigma, f: torch.cat([(a := sigma.log()[:, None] * f).sin(), a.sin()], dim=1)
)
wrong("2.5", "cosines first, no logarithm", "cosines before", "sigma itself")(
    lambda sigma, f: torch.cat([(a := sigma[:, None] * f).cos(), a.sin()], dim=1)
)


# 2.6
class Layers(nn.Module):
    def __init__(self, dim: int, width: int, *last: nn.Module, heard: bool = True) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2.0 ** torch.arange(-3, 3))
        self.heard = heard
        first = [nn.Linear(dim + 12, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)]
        self.layers = nn.Sequential(*first, nn.SiLU(), nn.Linear(width, dim), *last)

    def answer(self, x: Any, level: Any) -> Any:
        angles: Any = level.log() * self.frequencies
        return self.layers(torch.cat([x, self.heard * angles.sin(), self.heard * angles.cos()], dim=1))

    def forward(self, x: Any, sigma: Any) -> Any:
        level = sigma.expand(len(x))[:, None]
        return self.answer(x / (1 + level**2).sqrt(), level) / level


class RawLayers(Layers):
    def forward(self, x: Any, sigma: Any) -> Any:
        level = sigma.expand(len(x))[:, None]
        return self.answer(x, level)


for last in (nn.SiLU, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU):
    wrong("2.6", f"{last.__name__} last", "non-linearity after the last layer")(
        lambda dim, width, last=last: Layers(dim, width, last())
    )
wrong("2.6", "raw throughout", "not divided by sigma")(RawLayers)


# 2.7
def loss_of(network: Any, x: Any, sigma: Any, noise: Any) -> Any:
    return (sigma[:, None] * network(x + sigma[:, None] * noise, sigma) + noise).square().mean()


@wrong("2.7", "cleared in between", "do not move")
def cleared_between(network: Any, optimizer: Any, x: Any, sigma: Any, noise: Any) -> Any:
    loss = loss_of(network, x, sigma, noise)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@wrong("2.7", "the loss after", "after the step")
def loss_after(network: Any, optimizer: Any, x: Any, sigma: Any, noise: Any) -> Any:
    optimizer.zero_grad()
    loss_of(network, x, sigma, noise).backward()
    optimizer.step()
    return loss_of(network, x, sigma, noise).item()


@wrong("2.7", "piled up, two steps", "pile up, and two steps")
def piled_up(network: Any, optimizer: Any, x: Any, sigma: Any, noise: Any) -> Any:
    loss = loss_of(network, x, sigma, noise)
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss.item()


@wrong("2.7", "climbs", "climb")
def climbs(network: Any, optimizer: Any, x: Any, sigma: Any, noise: Any) -> Any:
    optimizer.zero_grad()
    loss = loss_of(network, x, sigma, noise)
    (-loss).backward()
    optimizer.step()
    return loss.item()

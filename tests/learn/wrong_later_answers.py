"""Wrong answers to the exercises of the third and fourth notebook, as learners write them."""

from __future__ import annotations

import math
from typing import Any

import torch

from learn.wrong_answers import WRONG, wrong

__all__ = ["WRONG"]

# 3.1
wrong("3.1", "downhill, whole drift", "turned sign", "whole alpha")(
    lambda x, score, alpha, noise: x - alpha * score + alpha**0.5 * noise
)
wrong("3.1", "half the noise's variance", "noise of half the variance")(
    lambda x, score, alpha, noise: x + alpha / 2 * score + (alpha / 2) ** 0.5 * noise
)
wrong("3.1", "no roots", "whole alpha", "missing square root")(
    lambda x, score, alpha, noise: x + alpha * score + alpha * noise
)
wrong("3.1", "downhill, no root", "turned sign", "missing square root")(
    lambda x, score, alpha, noise: x - alpha / 2 * score + alpha * noise
)
wrong("3.1", "noise subtracted", "subtracted")(
    lambda x, score, alpha, noise: x + alpha / 2 * score - math.sqrt(alpha) * noise
)
wrong("3.1", "the way, downhill", "way of the walkers", "turned sign")(
    lambda x, score, alpha, noise: -alpha / 2 * score + math.sqrt(alpha) * noise
)
wrong("3.1", "2 alpha, no root", "whole alpha", "over 2 alpha")(
    lambda x, score, alpha, noise: x + alpha * score + 2 * alpha * noise
)
wrong("3.1", "own noise, downhill", "noise of its own", "turned sign")(
    lambda x, score, alpha, noise: x - alpha / 2 * score + math.sqrt(alpha) * torch.randn_like(x)
)

# 3.2
wrong("3.2", "other convention, beyond its reach", "other convention", "beyond its reach")(
    lambda a: 2 / (2 - a) if a != 2 else math.inf
)
wrong("3.2", "root of the other", "standard deviation", "other convention")(
    lambda a: math.sqrt(2 / (2 - a)) if a < 2 else math.inf
)
wrong("3.2", "no a above", "without the a")(lambda a: 1 / (a - a**2 / 4) if a < 4 else math.inf)
wrong("3.2", "upside down", "upside down")(lambda a: (4 - a) / 4)
wrong("3.2", "infinite from 2 on", "from a = 2 on")(lambda a: 4 / (4 - a) if a < 2 else math.inf)

# 3.3
wrong("3.3", "cubed", "sigmas times the expected answer divided by sigmas[-1]")(
    lambda sigmas, epsilon: epsilon * (sigmas / sigmas[-1]) ** 3
)
wrong("3.3", "by the largest, not squared", "largest level", "not squared")(
    lambda sigmas, epsilon: epsilon * sigmas / sigmas[0]
)
wrong("3.3", "rising", "the other way round")(lambda sigmas, epsilon: epsilon * (sigmas.flip(0) / sigmas[-1]) ** 2)
wrong("3.3", "squared with epsilon", "epsilon times")(lambda sigmas, epsilon: (epsilon * sigmas / sigmas[-1]) ** 2)
wrong("3.3", "square over the level", "squares above alone")(lambda sigmas, epsilon: epsilon * sigmas**2 / sigmas[-1])


# 3.4
def walk(
    model: Any, sigmas: Any, x: Any, noise: Any, alphas: Any, levels: Any, drift: float = 0.5, steps: Any = None
) -> Any:
    for i in levels:
        for z in noise[i][:steps]:
            x = x + drift * alphas[i] * model(x, sigmas[i]) + alphas[i] ** 0.5 * z
    return x


def sizes(sigmas: Any, epsilon: Any) -> Any:
    return epsilon * (sigmas / sigmas[-1]) ** 2


wrong("3.4", "without the first level", "first level is left out")(
    lambda m, s, x, e, z: walk(m, s, x, z, sizes(s, e), range(1, len(s)))
)
wrong("3.4", "without the last level", "last level is left out")(
    lambda m, s, x, e, z: walk(m, s, x, z, sizes(s, e), range(len(s) - 1))
)
wrong("3.4", "the next level's step", "next level")(
    lambda m, s, x, e, z: walk(m, s, x, z, torch.cat([sizes(s, e)[1:], sizes(s, e)[-1:]]), range(len(s)))
)
wrong("3.4", "a step short at each level", "a step too few")(
    lambda m, s, x, e, z: walk(m, s, x, z, sizes(s, e), range(len(s)), steps=-1)
)
wrong("3.4", "downhill", "turned sign")(lambda m, s, x, e, z: walk(m, s, x, z, sizes(s, e), range(len(s)), -0.5))
wrong("3.4", "whole drift", "whole alpha")(lambda m, s, x, e, z: walk(m, s, x, z, sizes(s, e), range(len(s)), 1.0))
wrong("3.4", "sigma without square, whole drift", "sigma instead of its square", "whole alpha")(
    lambda m, s, x, e, z: walk(m, s, x, z, e * s / s[-1], range(len(s)), 1.0)
)
wrong("3.4", "steps by the largest level", "largest level")(
    lambda m, s, x, e, z: walk(m, s, x, z, e * (s / s[0]) ** 2, range(len(s)))
)
wrong("3.4", "own noise", "noise of its own")(
    lambda m, s, x, e, z: walk(
        m, s, x, torch.stack([torch.stack([torch.randn_like(x) for _ in k]) for k in z]), sizes(s, e), range(len(s))
    )
)
wrong("3.4", "steps the other way round", "the other way round")(
    lambda m, s, x, e, z: walk(m, s, x, z, sizes(s, e).flip(0), range(len(s)))
)

# 3.5
wrong("3.5", "sigma, sign", "sigma for sigma squared", "turned sign")(lambda m, x, sigma: x - sigma * m(x, sigma))
wrong("3.5", "half, sign", "half the way", "turned sign")(lambda m, x, sigma: x - sigma**2 / 2 * m(x, sigma))
wrong("3.5", "divided", "divided by sigma squared")(lambda m, x, sigma: x + m(x, sigma) / sigma**2)


# 3.6
def variance(a: float, v: float, rounds: Any, factor: float = 2.0, kick: float = 1.0, first: bool = False) -> float:
    for _ in rounds:
        v = (1 - a / 2) ** factor * (v + kick * a) if first else (1 - a / 2) ** factor * v + kick * a
    return v


wrong("3.6", "a round short", "a step too few")(lambda a, ratio, n: variance(a, ratio**2, range(n - 1)))
wrong("3.6", "a round more", "a step too many")(lambda a, ratio, n: variance(a, ratio**2, range(n + 1)))
wrong("3.6", "ratio, no square", "instead of its square", "not squared")(
    lambda a, ratio, n: variance(a, ratio, range(n), 1)
)
wrong("3.6", "ratio, a round short", "instead of its square", "a step too few")(
    lambda a, ratio, n: variance(a, ratio, range(n - 1))
)
wrong("3.6", "noise of 2 a", "2a")(lambda a, ratio, n: variance(a, ratio**2, range(n), kick=2.0))
wrong("3.6", "noise before shrinking", "before")(lambda a, ratio, n: variance(a, ratio**2, range(n), first=True))

# 3.7
wrong("3.7", "D missing, length not squared", "D that is missing", "not squared")(
    lambda score, a: float(a / score.norm(dim=1).mean())
)
wrong("3.7", "D twice", "over all entries")(
    lambda score, a: float(a * score.shape[1] ** 2 / score.square().sum(1).mean())
)
wrong("3.7", "root of D", "root of D")(lambda score, a: float(a * score.shape[1] ** 0.5 / score.square().sum(1).mean()))
wrong("3.7", "a missing", "divided by a")(lambda score, a: float(score.shape[1] / score.square().sum(1).mean()))

# 4.1
wrong("4.1", "sign, squared", "turned sign", "sigma squared")(lambda noise, sigma: noise / sigma[:, None] ** 2)
wrong("4.1", "sign, multiplied", "turned sign", "multiply")(lambda noise, sigma: noise * sigma[:, None])
wrong("4.1", "root", "times")(lambda noise, sigma: -noise / sigma[:, None].sqrt())

# 4.2
wrong("4.2", "root, a step behind", "square root", "one step behind")(
    lambda betas: torch.cat([betas.new_ones(1), torch.cumprod(1 - betas, 0)[:-1]]).sqrt()
)
wrong("4.2", "root of the noise's share", "share of noise", "square root")(
    lambda betas: (1 - torch.cumprod(1 - betas, 0)).sqrt()
)
wrong("4.2", "from the end", "from the last step")(lambda betas: torch.cumprod((1 - betas).flip(0), 0).flip(0))
wrong("4.2", "plus", "grow")(lambda betas: torch.cumprod(1 + betas, 0))


# 4.3
def leap(x0: Any, left: Any, noise: Any, data: float = 0.5, fog: float = 0.5) -> Any:
    return left[:, None] ** data * x0 + (1 - left[:, None]) ** fog * noise


wrong("4.3", "root missing, a step behind", "before the data", "one step behind")(
    lambda x0, t, noise, ab: leap(x0, ab[t - 1], noise, data=1.0)
)
wrong("4.3", "roots missing, sign", "without roots", "turned sign")(
    lambda x0, t, noise, ab: leap(x0, ab[t], -noise, 1.0, 1.0)
)
wrong("4.3", "the wrong way round, no roots", "wrong way round", "without roots")(
    lambda x0, t, noise, ab: (1 - ab[t][:, None]) * x0 + ab[t][:, None] * noise
)
wrong("4.3", "squares", "the square of", "before the data")(
    lambda x0, t, noise, ab: ab[t][:, None] ** 2 * x0 + (1 - ab[t][:, None] ** 2).sqrt() * noise
)

# 4.4
wrong("4.4", "sigma without root, no outside", "sigma lacks its square root", "missing division at the end")(
    lambda s, x, ab: s(x / ab.sqrt(), (1 - ab) / ab)
)
wrong("4.4", "multiplied throughout", "multiplication of x", "multiplication at the end")(
    lambda s, x, ab: s(x * ab.sqrt(), ((1 - ab) / ab).sqrt()) * ab.sqrt()
)
wrong("4.4", "sign, no outside", "turned sign", "missing division at the end")(
    lambda s, x, ab: -s(x / ab.sqrt(), ((1 - ab) / ab).sqrt())
)
wrong("4.4", "sigma upside down", "upside down")(lambda s, x, ab: s(x / ab.sqrt(), (ab / (1 - ab)).sqrt()) / ab.sqrt())

# 4.5
wrong("4.5", "no roots, sign", "without roots", "turned sign")(
    lambda net, x0, t, noise, ab: (net(leap(x0, ab[t], noise, 1.0, 1.0), t) + noise).square().mean()
)
wrong("4.5", "rows summed, sign", "sum over the dimensions", "turned sign")(
    lambda net, x0, t, noise, ab: (net(leap(x0, ab[t], noise), t) + noise).square().sum(1).mean()
)
wrong("4.5", "summed", "sum over")(
    lambda net, x0, t, noise, ab: (net(leap(x0, ab[t], noise), t) - noise).square().sum()
)
wrong("4.5", "half", "0.5 times")(
    lambda net, x0, t, noise, ab: 0.5 * (net(leap(x0, ab[t], noise), t) - noise).square().mean()
)
wrong("4.5", "own noise", "noise of its own")(
    lambda net, x0, t, noise, ab: (net(leap(x0, ab[t], own := torch.randn_like(x0)), t) - own).square().mean()
)
wrong("4.5", "a step behind", "one step behind")(
    lambda net, x0, t, noise, ab: (net(leap(x0, ab[t - 1], noise), t) - noise).square().mean()
)


# 4.6
def back(x: Any, noise: Any, t: Any, betas: Any, ab: Any, grow: float = 0.5) -> Any:
    return (x - betas[t] / (1 - ab[t]) ** 0.5 * noise) / (1 - betas[t]) ** grow


def fresh(t: Any, betas: Any, ab: Any) -> Any:
    return (betas[t] * (1 - ab[t - 1]) / (1 - ab[t])) ** 0.5 if t else 0 * betas[0]


wrong("4.6", "sign, x left", "turned sign", "left in its size")(
    lambda x, n, t, betas, ab, z: back(x, -n, t, betas, ab, 0.0) + fresh(t, betas, ab) * z
)
wrong("4.6", "beta's variance, sign", "beta as the variance", "turned sign")(
    lambda x, n, t, betas, ab, z: back(x, -n, t, betas, ab) + betas[t] ** 0.5 * z
)
wrong("4.6", "divided by 1 - beta", "divided by 1")(
    lambda x, n, t, betas, ab, z: back(x, n, t, betas, ab, 1.0) + fresh(t, betas, ab) * z
)
wrong("4.6", "variance, end of the list", "alpha_bar[-1]", "variance where")(
    lambda x, n, t, betas, ab, z: back(x, n, t, betas, ab) + betas[t] * (1 - ab[t - 1]) / (1 - ab[t]) * z
)
wrong("4.6", "own noise", "noise of its own")(
    lambda x, n, t, betas, ab, z: back(x, n, t, betas, ab) + fresh(t, betas, ab) * torch.randn_like(x)
)

# 4.7
wrong("4.7", "forward, sign", "goes on shrinking")(
    lambda x, s, f, g, dt, z, sde: x + (f + g**2 * s * (1 if sde else 0.5)) * dt + sde * g * dt**0.5 * z
)
wrong("4.7", "noise of variance", "as dt", "square of g")(
    lambda x, s, f, g, dt, z, sde: x - (f - g**2 * s * (1 if sde else 0.5)) * dt + sde * g**2 * dt * z
)
wrong("4.7", "no difference", "full score", "noise in both")(
    lambda x, s, f, g, dt, z, sde: x - (f - g**2 * s) * dt + g * dt**0.5 * z
)
wrong("4.7", "g, no dt", "g where its square", "without dt")(
    lambda x, s, f, g, dt, z, sde: x - (f - g * s * (1 if sde else 0.5)) * dt + sde * g * z
)

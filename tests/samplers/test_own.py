"""Samplers of one's own: a dataclass with a step, any object with a step or a walk, a generator function."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.samplers import SAMPLERS, CountedModel, Heun, Noise, Sampler, State, sample, sampler_of, trajectory

from .common import at_origin, gaussian, generator, levels, points, variance_is


@dataclass(frozen=True, repr=False)
class Restless(Sampler):
    """Euler's method, then noise of a share of the next level."""

    share: float = 0.0

    def step(
        self, model: CountedModel, x: Tensor, sigma: float, following: float, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        denoised = model.denoise(x, sigma)
        x = torch.lerp(denoised, x, following / sigma)
        return (x + self.share * following * noise.like(x) if self.share else x), denoised


class Alone:
    """The same, and no `Sampler`."""

    def __init__(self, share: float = 0.0) -> None:
        self.share = share

    def step(
        self, model: CountedModel, x: Tensor, sigma: float, following: float, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        return Restless(self.share).step(model, x, sigma, following, noise)


class Walking:
    """The same, which walks by itself."""

    def __init__(self, share: float = 0.0) -> None:
        self.share = share

    def walk(self, model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise) -> Iterator[State]:
        return restless(model, x, sigmas, noise, share=self.share)


def restless(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, *, share: float = 0.0) -> Iterator[State]:
    """Yield the same states."""
    for count, (sigma, following) in enumerate(pairwise(sigmas.tolist()), 1):
        x, denoised = Restless(share).step(model, x, sigma, following, noise)
        yield State(count, following, x, denoised, model.evaluations)


OWN: list[Any] = [Restless(), Restless, Alone(), Alone, Walking(), Walking, restless]


@pytest.mark.parametrize("own", OWN)
def test_a_sampler_of_one_s_own_is_walked_as_the_library_s(own: Any) -> None:
    model, sigmas = gaussian([1.0, -2.0], [0.5, 2.0]), levels(0.1, 8.0, 6)
    expected = list(trajectory(model, sigmas, 20, 2, "ddim", generator=generator()))
    found = list(trajectory(model, sigmas, 20, 2, own, generator=generator()))
    assert [(state.step, state.sigma, state.evaluations) for state in found] == [
        (state.step, state.sigma, state.evaluations) for state in expected
    ]
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.x, theirs.x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sample(model, sigmas, 20, 2, own, generator=generator()), expected[-1].x)


NOISY: list[tuple[Any, dict[str, Any]]] = [
    (Restless(share=0.5), {}),
    (Restless(), {"share": 0.5}),
    (Restless, {"share": 0.5}),
    (Alone(0.5), {}),
    (Walking(0.5), {}),
    (restless, {"share": 0.5}),
]


@pytest.mark.parametrize(("own", "options"), NOISY)
def test_samples_of_a_sampler_of_one_s_own_depend_neither_on_chunks_nor_on_their_number(
    own: Any, options: dict[str, Any]
) -> None:
    def drawn(n: int, chunk_size: int | None = None) -> Tensor:
        random = generator()
        return sample(
            at_origin(64), levels(0.1, 8.0, 4), n, 64, own, None, False, random, chunk_size=chunk_size, **options
        )

    whole = drawn(200)
    # the start and the noise of three steps, each shrunk by the steps after it
    assert variance_is(whole, 0.1**2 * (1 + 3 * 0.5**2))
    assert torch.equal(drawn(200, 1), whole)
    assert torch.equal(drawn(70), whole[:70])


def test_options_of_samplers_of_one_s_own() -> None:
    arguments = at_origin(2), torch.tensor([3.0, 1.0]), 4, 2
    for own, known in ((Restless(), "share"), (Restless, "share"), (restless, "share"), (Alone(), "none")):
        with pytest.raises(TypeError, match=f"has no option 'shares'; it has: {known}"):
            sample(*arguments, own, shares=0.5)  # type: ignore[arg-type]


def test_a_function_with_any_options_takes_any() -> None:
    seen: list[dict[str, Any]] = []

    def open_minded(
        model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, share: float = 0.0, **options: Any
    ) -> Iterator[State]:
        seen.append(options)
        yield from restless(model, x, sigmas, noise, share=share)

    arguments = gaussian([1.0, -2.0], [0.5, 2.0]), levels(0.1, 8.0, 6), 20, 2
    found = sample(*arguments, open_minded, generator=generator(), share=0.5, colour="red", depth=3)
    assert torch.equal(found, sample(*arguments, restless, generator=generator(), share=0.5))
    assert seen == [{"colour": "red", "depth": 3}]


@pytest.mark.parametrize("thing", [3, object(), object, nn.Linear])
def test_what_is_no_sampler_is_refused(thing: Any) -> None:
    with pytest.raises(
        SettingError, match="a sampler is a name, an object with step or walk, or a generator function, "
    ):
        sample(at_origin(2), torch.tensor([3.0, 1.0]), 4, 2, thing)


def test_a_sampler_and_its_options_make_another() -> None:
    heun = Heun(churn=2.0)
    assert sampler_of(heun) is heun
    assert sampler_of(heun, {"churn_noise": 1.1}) == Heun(churn=2.0, churn_noise=1.1)
    assert sampler_of("heun", {"churn": 3.0}) == sampler_of(Heun(), {"churn": 3.0}) == Heun(churn=3.0)
    assert heun == Heun(churn=2.0)
    with pytest.raises(SettingError, match=r"churn must be a finite number of at least 0, not -1"):
        sampler_of(heun, {"churn": -1})


def test_a_new_function_needs_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def jump(model: CountedModel, x: Tensor, sigmas: Tensor, noise: Noise, *, times: int = 1) -> Iterator[State]:
        """Go to the posterior mean at once, several times over."""
        for step in range(1, times + 1):
            x = model.denoise(x, sigmas[0])
            yield State(step, float(sigmas[0]), x, x, model.evaluations)

    monkeypatch.setitem(SAMPLERS, "jump", jump)
    x = sample(gaussian([1.0, 2.0], [0.0, 0.0]), torch.tensor([3.0]), 4, 2, "jump", None, False, times=2)
    torch.testing.assert_close(x, torch.tensor([[1.0, 2.0]] * 4))
    with pytest.raises(TypeError, match="sampler 'jump' has no option 'time'; it has: times"):
        sample(at_origin(2), torch.tensor([3.0]), 4, 2, "jump", time=2)


def test_a_new_class_needs_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, "restless", Restless)
    x = 8 * points(4, 2)
    end = sample(gaussian([1.0, 2.0], [0.0, 0.0]), torch.tensor([8.0, 2.0]), 4, 2, "restless", x, False)
    torch.testing.assert_close(end, torch.tensor([1.0, 2.0]).double() + (x - torch.tensor([1.0, 2.0])) / 4)
    with pytest.raises(TypeError, match="sampler 'restless' has no option 'shares'; it has: share"):
        sample(at_origin(2), torch.tensor([3.0]), 4, 2, "restless", shares=2)

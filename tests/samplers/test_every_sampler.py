"""What every sampler keeps, whatever it does: one set of tests for each name of `SAMPLERS`, with options and without.

A new sampler is tested here by its name alone. Where its own walk is long, or follows all samples at once, the tables
`SHORT` and `ROUNDING` have an entry.
"""

import json
import random
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ncsn.parts import from_plain, to_plain
from ncsn.samplers import SAMPLERS, sample, trajectory

from .common import gaussian, generator, levels, points, two_modes

SHORT: dict[str, dict[str, Any]] = {
    "langevin": {"n_steps": 6},
    "annealed_langevin": {"n_steps_per_sigma": 3, "step_size": 1e-3},
    "ode": {"tolerance": 1e-9},
}
"""Options under which walks are short, and the errors of a solver small."""

ROUNDING = {"ode": 1e-6}
"""How far a sample may depend on those walked with it, where it is more than rounding: a solver's steps suit them all."""

Case = tuple[str, dict[str, Any]]

CASES: list[Case] = [
    *((name, SHORT.get(name, {})) for name in SAMPLERS),
    ("annealed_langevin", {"n_steps_per_sigma": 3, "step_size": 1e-3, "step_rule": "score"}),
    ("consistent_annealed", {"n_steps_per_sigma": 2}),
    ("predictor_corrector", {"n_corrector_steps": 2, "snr": 0.2}),
    ("ancestral", {"eta": 0.5}),
    ("heun", {"churn": 2.0}),
    ("heun", {"churn": 2.0, "churn_min": 0.3, "churn_max": 5.0, "churn_noise": 1.003}),
    ("dpmpp_2m", {"sigma_data": 1.5, "churn": 2.0}),
    ("ipndm", {"order": 2, "sigma_data": 1.5}),
]

every_sampler = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name}-{'-'.join(options) or 'default'}" for name, options in CASES]
)

SCORE_CASES = [case for case in CASES if SAMPLERS[case[0]].takes_score]

every_sampler_of_scores = pytest.mark.parametrize(
    ("name", "options"), SCORE_CASES, ids=[f"{name}-{'-'.join(options) or 'default'}" for name, options in SCORE_CASES]
)

Model = Callable[[Tensor, Tensor], Tensor]


def model_for(name: str) -> Model:
    """Return what the sampler takes, of a Gaussian of variance 0.5 in any shape: its score, or the end of its flow."""

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        return -x / (0.5 + sigma**2)

    def end_of_flow(x: Tensor, sigma: Tensor) -> Tensor:
        return x * (0.51 / (0.5 + sigma**2)).sqrt()

    return score if SAMPLERS[name].takes_score else end_of_flow


def assert_same(name: str, found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=ROUNDING.get(name, 1e-12))


# The object


@every_sampler
def test_it_prints_as_one_would_type_it(name: str, options: dict[str, Any]) -> None:
    kind = SAMPLERS[name]
    assert repr(kind()) == f"{kind.__name__}()"
    made = kind(**options)
    again = eval(repr(made), {each.__name__: each for each in SAMPLERS.values()})
    assert type(again) is kind
    assert again == made
    assert {option: getattr(again, option) for option in options} == options


@every_sampler
def test_it_is_saved_as_plain_data(name: str, options: dict[str, Any]) -> None:
    made = SAMPLERS[name](**options)
    again = from_plain(json.loads(json.dumps(to_plain(made), allow_nan=False)))
    assert type(again) is SAMPLERS[name]
    assert again == made


@every_sampler
def test_an_unknown_option_is_an_error(name: str, options: dict[str, Any]) -> None:
    kind = SAMPLERS[name]
    with pytest.raises(TypeError, match="no_such_option"):
        kind(**options | {"no_such_option": 1})
    known = ", ".join(field.name for field in fields(kind)) or "none"
    ways: list[Any] = [name, kind, kind(**options)]
    for way in ways:
        for call in (trajectory, sample):
            with pytest.raises(TypeError) as caught:
                call(model_for(name), levels(0.1, 8.0, 4), 3, 2, way, no_such_option=1)
            assert str(caught.value) == f"sampler {way!r} has no option 'no_such_option'; it has: {known}"


@every_sampler
def test_a_name_a_class_and_an_object_are_one_sampler(name: str, options: dict[str, Any]) -> None:
    kind = SAMPLERS[name]
    ways: list[tuple[Any, dict[str, Any]]] = [
        (name, options),
        (kind, options),
        (kind(), options),
        (kind(**options), {}),
        (kind(**options).walk, {}),
    ]
    drawn = [
        sample(model_for(name), levels(0.1, 8.0, 4), 64, 2, way, generator=generator(), **told) for way, told in ways
    ]
    for other in drawn[1:]:
        assert torch.equal(other, drawn[0])


# Which samples are walked together


@every_sampler
@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        ((2,), (1, 2, 63, 100, 2049, 3000)),
        # blocks of 1,365 rows, the last of whose groups is one of 21
        ((3,), (1, 64, 1364, 1366, 1400, 3000)),
        # blocks of 81 rows, groups of 64 and 17
        ((50,), (1, 70, 100, 150, 300)),
        ((3, 8, 8), (1, 5, 21, 22, 64)),
    ],
)
def test_the_first_samples_are_the_same_whatever_their_number(
    name: str, options: dict[str, Any], shape: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    most = counts[-1]

    def draw(n: int) -> Tensor:
        return sample(model_for(name), levels(0.1, 8.0, 4), n, shape, name, generator=generator(), **options)

    whole = draw(most)
    assert whole.unique(dim=0).shape == whole.shape
    for n in counts[:-1]:
        drawn = draw(n)
        assert drawn.shape == (n, *shape)
        assert_same(name, drawn, whole[:n])


@every_sampler
@pytest.mark.parametrize(("n", "shape"), [(150, (64,)), (150, (3, 8, 8)), (3000, (3,)), (200, (50,))])
def test_chunks_do_not_change_the_samples(name: str, options: dict[str, Any], n: int, shape: tuple[int, ...]) -> None:
    model, sigmas = model_for(name), levels(0.1, 8.0, 4)
    results = [
        sample(model, sigmas, n, shape, name, generator=generator(), chunk_size=size, **options)
        for size in (None, 1, 100, n)
    ]
    *_, last = trajectory(model, sigmas, n, shape, name, generator=generator(), **options)
    results.append(last.x)
    for result in results[1:]:
        if name in ROUNDING:
            assert_same(name, result, results[0])
        else:
            assert torch.equal(result, results[0])


@every_sampler_of_scores
def test_chunks_do_not_change_the_samples_of_a_mixture(name: str, options: dict[str, Any]) -> None:
    whole, parts = (
        sample(two_modes(), levels(0.1, 10.0, 5), 5000, 1, name, generator=generator(), chunk_size=size, **options)
        for size in (5000, 1)
    )
    assert_same(name, whole, parts)


# Randomness


@every_sampler
def test_samples_follow_the_generator_alone(name: str, options: dict[str, Any]) -> None:
    sampler = SAMPLERS[name](**options)

    def draw(source: torch.Generator | None) -> Tensor:
        return sample(model_for(name), levels(0.1, 8.0, 4), 50, 2, sampler, None, False, source)

    state, others = torch.get_rng_state(), repr((random.getstate(), np.random.get_state()))  # noqa: NPY002
    first, again, other = draw(generator(3)), draw(generator(3)), draw(generator(4))
    assert torch.equal(torch.get_rng_state(), state)
    assert repr((random.getstate(), np.random.get_state())) == others  # noqa: NPY002
    assert torch.equal(first, again)
    assert (first - other).abs().min() > 0
    torch.manual_seed(3)
    unseeded = draw(None)
    assert torch.equal(unseeded, first)
    assert not torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(state)


# Types and shapes


@every_sampler
def test_double_precision_throughout(name: str, options: dict[str, Any]) -> None:
    model, sigmas, x = model_for(name), levels(0.1, 8.0, 4), points(4, 2)
    changes: list[dict[str, Any]] = [
        {},
        {"sigmas": sigmas.float(), "x_init": x},
        {"sigmas": sigmas.float(), "dtype": x.dtype},
    ]
    for change in changes:
        arguments: dict[str, Any] = {"sigmas": sigmas, "sampler": name, "generator": generator()} | options | change
        for state in trajectory(model, n_samples=4, data_dim=2, **arguments):
            assert state.x.dtype == torch.float64
            assert state.denoised is None or state.denoised.dtype == torch.float64
    assert sample(model, sigmas.float(), 4, 2, name, **options).dtype == torch.float32


@every_sampler_of_scores
def test_one_sample_and_whole_numbers_as_levels(name: str, options: dict[str, Any]) -> None:
    model = gaussian([1.0], [0.0])
    x = sample(model, torch.tensor([9, 3, 1]), 1, 1, name, generator=generator(), **options)
    assert x.dtype == torch.get_default_dtype()
    torch.testing.assert_close(x, torch.tensor([[1.0]]))


@every_sampler
def test_shapes_and_types_are_kept(name: str, options: dict[str, Any]) -> None:
    found = sample(model_for(name), levels(0.1, 10.0, 4), 3, (2, 4, 4), name, generator=generator(), **options)
    assert (found.shape, found.dtype) == ((3, 2, 4, 4), torch.float64)


# The model


@every_sampler
@pytest.mark.parametrize("denoise_last", [True, False])
@pytest.mark.parametrize("count", [2, 7])
def test_evaluations_are_counted(name: str, options: dict[str, Any], denoise_last: bool, count: int) -> None:
    asked: list[Tensor] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(sigma)
        return model_for(name)(x, sigma)

    states = list(trajectory(model, levels(0.1, 8.0, count), 4, 2, name, None, denoise_last, generator(), **options))
    assert states[-1].evaluations == len(asked)
    assert all(sigma.ndim == 0 and sigma.dtype == torch.float64 for sigma in asked)
    assert [state.step for state in states] == list(range(len(states)))
    assert [state.evaluations for state in states] == sorted(state.evaluations for state in states)
    assert states[0].evaluations == 0


EVALUATIONS: dict[str, Callable[[int], int]] = {
    "langevin": lambda count: 6,
    "annealed_langevin": lambda count: 3 * count,
    "consistent_annealed": lambda count: count - 1,
    "predictor_corrector": lambda count: 2 * count - 1,
    "ancestral": lambda count: count - 1,
    "ddim": lambda count: count - 1,
    "reverse_sde": lambda count: count - 1,
    "heun": lambda count: 2 * (count - 1),
    "dpmpp_2m": lambda count: count - 1,
    "ipndm": lambda count: count - 1,
}
"""Calls of the score model on so many levels, without the last denoising, where the levels alone decide."""


@pytest.mark.parametrize("name", EVALUATIONS)
@pytest.mark.parametrize("denoise_last", [True, False])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_evaluations_are_as_many_as_the_levels_say(name: str, denoise_last: bool, count: int) -> None:
    asked: list[Tensor] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(sigma)
        return -x / (1 + sigma**2)

    options = SHORT.get(name, {})
    states = list(trajectory(model, levels(0.1, 8.0, count), 4, 2, name, None, denoise_last, generator(), **options))
    assert states[-1].evaluations == len(asked) == EVALUATIONS[name](count) + denoise_last
    assert [state.step for state in states] == list(range(len(states)))


@every_sampler
def test_modules_are_asked_in_evaluation_mode_without_gradients_and_put_back(
    name: str, options: dict[str, Any]
) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
            self.frozen, self.dropout = nn.Dropout(0.5).eval(), nn.Dropout(0.5)

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            assert not any(part.training for part in self.modules())
            assert not torch.is_grad_enabled()
            return self.dropout(self.scale * model_for(name)(x, sigma))

    noisy = Noisy()
    for state in trajectory(noisy, levels(0.1, 8.0, 4), 4, 2, name, generator=generator(), **options):
        assert not state.x.requires_grad
        assert torch.is_grad_enabled()
    drawn = state.x
    assert (noisy.training, noisy.frozen.training, noisy.dropout.training) == (True, False, True)
    noisy.eval()
    assert torch.equal(sample(noisy, levels(0.1, 8.0, 4), 4, 2, name, generator=generator(), **options), drawn)
    assert not any(part.training for part in noisy.modules())


# The states


@every_sampler
def test_what_is_given_is_not_written_into(name: str, options: dict[str, Any]) -> None:
    x, sigmas = points(6, 2), levels(0.1, 8.0, 5)
    kept = x.clone(), sigmas.clone()
    seen = [(state.x, state.x.clone()) for state in trajectory(model_for(name), sigmas, 6, 2, name, x, **options)]
    assert torch.equal(x, kept[0])
    assert torch.equal(sigmas, kept[1])
    assert torch.equal(seen[0][0], x)
    for now, before in seen:
        assert torch.equal(now, before)


@every_sampler_of_scores
def test_the_last_step_is_the_posterior_mean(name: str, options: dict[str, Any]) -> None:
    model, sigmas = gaussian([1.0, -2.0], [0.5, 2.0]), levels(0.1, 8.0, 5)
    *_, before, last = trajectory(model, sigmas, 6, 2, name, generator=generator(), **options)
    variances, mean = torch.tensor([0.5, 2.0]).double(), torch.tensor([1.0, -2.0]).double()
    torch.testing.assert_close(last.x, mean + (before.x - mean) * variances / (variances + 0.01))
    assert last.denoised is not None
    assert torch.equal(last.denoised, last.x)
    # of whole groups that were walked the samples are a part
    assert last.denoised is last.x or SAMPLERS[name](**options).groups
    assert last.sigma == 0
    without = sample(model, sigmas, 6, 2, name, None, False, generator(), **options)
    assert torch.equal(without, before.x)


@every_sampler_of_scores
def test_states_carry_the_posterior_mean_and_do_not_change(name: str, options: dict[str, Any]) -> None:
    centre = [1.0, -2.0]
    kept = []
    for state in trajectory(gaussian(centre, [0.0, 0.0]), levels(0.1, 8.0, 5), 6, 2, name, **options):
        kept.append((state, state.x.clone()))
        if state.denoised is not None:
            torch.testing.assert_close(state.denoised, torch.tensor([centre] * 6).double())
    assert kept[0][0].denoised is None
    for state, copy in kept:
        assert torch.equal(state.x, copy)

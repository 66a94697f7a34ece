"""The driver of all samplers: starts, chunks, states, types, conditions, modules and the guard."""

import inspect
import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from ncsn.errors import DivergenceError, SettingError
from ncsn.exact import EmpiricalScore
from ncsn.networks import NCSNScoreNetwork, PreconditionedScore, ResidualMLP
from ncsn.noise import Karras, create_noise_schedule
from ncsn.samplers import (
    Heun,
    PredictorCorrector,
    State,
    annealed_langevin_dynamics,
    rows_at_once,
    sample,
    trajectory,
)

from .common import at_origin, gaussian, generator, levels, points, two_modes, variance_is

# Arguments


def test_both_ways_to_run_a_sampler_have_one_signature() -> None:
    first, second = inspect.signature(sample), inspect.signature(trajectory)
    assert first.parameters == second.parameters
    assert first.return_annotation == "Tensor"
    assert list(first.parameters)[:8] == [
        "score_model", "sigmas", "n_samples", "data_dim", "sampler", "x_init", "denoise_last", "generator",
    ]  # fmt: skip
    assert [name for name, parameter in first.parameters.items() if parameter.kind is parameter.KEYWORD_ONLY] == [
        "chunk_size", "callback", "device", "dtype", "condition", "part",
    ]  # fmt: skip


def test_both_ways_to_run_a_sampler_take_the_same_arguments() -> None:
    seen: dict[str, list[State]] = {"sample": [], "trajectory": []}
    model, sigmas, x = at_origin(2), levels(0.1, 8.0, 4), points(5, 2)
    named: dict[str, Any] = {"chunk_size": 3, "device": "cpu", "dtype": torch.float32, "condition": {}, "eta": 0.5}
    drawn = sample(model, sigmas, 5, 2, "ancestral", x, False, generator(), callback=seen["sample"].append, **named)
    states = list(
        trajectory(model, sigmas, 5, 2, "ancestral", x, False, generator(), callback=seen["trajectory"].append, **named)
    )
    assert drawn.dtype == torch.float32
    assert torch.equal(states[-1].x, drawn)
    for kept, state in zip(seen["trajectory"], states, strict=True):
        assert kept is state
    for kept, state in zip(seen["sample"], states, strict=True):
        assert (kept.step, kept.sigma, kept.evaluations) == (state.step, state.sigma, state.evaluations)
        assert torch.equal(kept.x, state.x)
    for call in (sample, trajectory):
        with pytest.raises(TypeError, match=r"missing .*argument: 'data_dim'"):
            call(model, sigmas, 5)  # type: ignore[call-arg]


# Evaluations and states


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "reverse_sde", "heun", "dpmpp_2m"])
def test_exactly_the_levels_given_are_walked(sampler: str) -> None:
    sigmas = torch.tensor([9.0, 3.0, 2.5, 0.1])
    states = list(trajectory(at_origin(2), sigmas, 4, 2, sampler))
    assert [state.sigma for state in states] == [*sigmas.tolist(), 0.0]


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "reverse_sde", "heun", "dpmpp_2m"])
def test_one_level_is_denoised_alone(sampler: str) -> None:
    model, sigmas, x = gaussian([1.0, -2.0], [0.5, 2.0]), torch.tensor([3.0]).double(), points(4, 2)
    assert torch.equal(sample(model, sigmas, 4, 2, sampler, x, False), x)
    torch.testing.assert_close(sample(model, sigmas, 4, 2, sampler, x), model.denoise(x, 3.0))


# Start, noise, chunks


def test_chunks_do_not_change_the_samples_of_a_network() -> None:
    torch.manual_seed(0)
    network = NCSNScoreNetwork(2, [64, 64])
    nn.init.normal_(network.network.output.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    whole, parts = (
        sample(network, create_noise_schedule(0.1, 8.0, 4), 5000, 2, generator=generator(), chunk_size=size)
        for size in (5000, None)
    )
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_chunks_are_as_large_as_asked_for() -> None:
    sizes: list[int] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        sizes.append(len(x))
        return torch.zeros_like(x)

    def chunks(n: int, dim: int | tuple[int, ...], chunk_size: int | None) -> list[int]:
        sizes.clear()
        sample(model, torch.tensor([1.0]), n, dim, chunk_size=chunk_size)
        return sizes.copy()

    # whole blocks of 4,096 values
    assert chunks(150, 64, 100) == [128, 22]
    assert chunks(150, 64, 64) == [64, 64, 22]
    assert chunks(150, 64, 1) == [64, 64, 22]
    assert chunks(3, 5000, 1) == [1, 1, 1]
    assert chunks(5000, 2, None) == [2048, 2048, 904]
    assert chunks(6, 2**21, None) == [2, 2, 2]
    # of images as many as a convolutional network has room for: 32,768 values a thread, of 128 x 128 two images
    images = 2 * torch.get_num_threads()
    assert chunks(2 * images + 1, (1, 128, 128), None) == [images, images, 1]
    assert rows_at_once((3, 32, 32), torch.device("cuda")) == 2**22 // 3072


def test_a_trajectory_runs_chunk_by_chunk() -> None:
    states = list(trajectory(at_origin(64), levels(0.1, 8.0, 3), 150, 64, "ddim", chunk_size=100))
    assert [(state.step, len(state.x)) for state in states] == [(s, n) for n in (128, 22) for s in range(4)]


@pytest.mark.parametrize(("n", "parts"), [(300, 1), (300, 2), (300, 3), (70, 4)])
@pytest.mark.parametrize("sampler", ["heun", "reverse_sde", "predictor_corrector"])
def test_the_parts_of_a_walk_are_the_whole(n: int, parts: int, sampler: str) -> None:
    labels, x = torch.arange(n) % 3, 8 * points(n, 64)
    model = EmpiricalScore(10 * torch.eye(64, dtype=torch.float64)[:3], labels=torch.arange(3))
    for start in (None, x, lambda noise, rows: noise + rows[:, None]):
        how: dict[str, Any] = {"sampler": sampler, "x_init": start, "condition": {"label": labels}, "chunk_size": 64}
        whole = sample(model, levels(0.01, 30.0, 5), n, 64, generator=generator(), **how)
        walked = [
            sample(model, levels(0.01, 30.0, 5), n, 64, generator=generator(), part=(i, parts), **how)
            for i in range(parts)
        ]
        torch.testing.assert_close(torch.cat(walked), whole, rtol=1e-12, atol=1e-12)
        # whole blocks of 64 rows, so that of few samples some parts have none
        assert [len(rows) for rows in walked] == {
            (300, 1): [300], (300, 2): [128, 172], (300, 3): [64, 128, 108], (70, 4): [0, 64, 0, 6]
        }[n, parts]  # fmt: skip


def test_the_callback_sees_every_state() -> None:
    seen: list[State] = []
    x = sample(at_origin(64), levels(0.1, 8.0, 3), 150, 64, "ddim", chunk_size=100, callback=seen.append)
    assert [(state.step, len(state.x)) for state in seen] == [(s, n) for n in (128, 22) for s in range(4)]
    assert torch.equal(torch.cat([state.x for state in seen if state.sigma == 0]), x)


def test_the_start_is_noise_at_the_first_level() -> None:
    first = next(trajectory(at_origin(2), levels(0.1, 8.0, 4), 10_000, 2, generator=generator()))
    assert variance_is(first.x, 64.0)
    assert first.sigma == 8.0


def test_a_start_is_used_as_given() -> None:
    x = points(300, 64)
    kept = x.clone()
    first, *_, last = trajectory(at_origin(64), levels(0.1, 8.0, 4), 300, 64, "heun", x)
    assert torch.equal(first.x, x)
    assert torch.equal(x, kept)
    assert not torch.equal(last.x, x)
    seen: list[State] = []
    sample(at_origin(64), levels(0.1, 8.0, 4), 300, 64, "ddim", x, chunk_size=64, callback=seen.append)
    assert torch.equal(torch.cat([state.x for state in seen if state.step == 0]), x)


@pytest.mark.parametrize("chunk_size", [None, 1])
def test_a_start_may_be_made_of_noise_and_places(chunk_size: int | None) -> None:
    sigmas, given = levels(0.1, 8.0, 4), []

    def start(noise: Tensor, rows: Tensor) -> Tensor:
        given.append((noise.clone(), rows))
        return (rows[:, None] + 3 * noise).float()

    seen: list[State] = []
    sample(
        at_origin(64), sigmas, 150, 64, "ddim", start, False, generator(), chunk_size=chunk_size, callback=seen.append
    )
    noise, rows = (torch.cat(parts) for parts in zip(*given, strict=True))
    assert torch.equal(rows, torch.arange(150))
    assert noise.dtype == torch.float64
    assert variance_is(noise, 1.0)
    begun = torch.cat([state.x for state in seen if state.step == 0])
    assert begun.dtype == torch.float64
    assert torch.equal(begun, (rows[:, None] + 3 * noise).float().double())
    # the noise is that of a start without a function
    plain = next(trajectory(at_origin(64), sigmas, 150, 64, "ddim", generator=generator()))
    assert torch.equal(noise * sigmas[0], plain.x)


def test_a_start_made_by_place_is_the_same_whatever_the_number() -> None:
    def drawn(n: int) -> Tensor:
        def start(noise: Tensor, rows: Tensor) -> Tensor:
            return noise + rows[:, None] % 64

        return sample(two_modes(), levels(0.1, 8.0, 4), n, 1, "predictor_corrector", start, generator=generator())

    # whole groups, as where a group is not full the last sample stands in for those that are not there
    torch.testing.assert_close(drawn(64), drawn(256)[:64], rtol=1e-12, atol=1e-12)


def test_those_that_stand_in_to_fill_a_group_are_not_seen() -> None:
    asked, placed = set(), []

    def model(x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        asked.add((len(x), len(label), int(label[-1])))
        return -x / (1 + sigma**2)

    def start(noise: Tensor, rows: Tensor) -> Tensor:
        placed.append(rows)
        return noise

    labels = torch.arange(70)
    states = list(
        trajectory(model, levels(0.1, 8.0, 3), 70, 2, PredictorCorrector(), start, condition={"label": labels})
    )
    assert asked == {(128, 128, 69)}
    assert torch.equal(torch.cat(placed), torch.arange(128).clamp(max=69))
    assert {len(state.x) for state in states} == {70}
    assert {len(state.denoised) for state in states if state.denoised is not None} == {70}


def test_double_precision_is_precise() -> None:
    x = points(4, 2)
    end = sample(at_origin(2), levels(1e-4, 8.0, 1000), 4, 2, "ddim", x, False)
    torch.testing.assert_close(end, x * (1e-4 / 8), rtol=1e-11, atol=0)


class Asked(nn.Module):
    """A score model that notes in which types it is asked, and answers in that of its weight."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=dtype))
        self.types: set[tuple[torch.dtype, torch.dtype]] = set()

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.types.add((x.dtype, sigma.dtype))
        # a product with a matrix refuses another type than its own
        return -(x @ (self.scale * torch.eye(2, dtype=self.scale.dtype))) / (1 + sigma**2)


TYPES: list[tuple[dict[str, Any], torch.dtype]] = [
    ({"sigmas": levels(0.1, 8.0, 4)}, torch.float64),
    ({"sigmas": levels(0.1, 8.0, 4).float(), "x_init": points(4, 2)}, torch.float64),
    ({"sigmas": levels(0.1, 8.0, 4).float(), "dtype": torch.float64}, torch.float64),
    ({"sigmas": levels(0.1, 8.0, 4), "x_init": points(4, 2).float()}, torch.float32),
    ({"sigmas": levels(0.1, 8.0, 4).float()}, torch.float32),
]


@pytest.mark.parametrize(("arguments", "dtype"), TYPES)
@pytest.mark.parametrize("weights", [torch.float32, torch.float64])
@pytest.mark.parametrize("sampler", ["heun", "dpmpp_2m", "ode", "predictor_corrector", "annealed_langevin"])
def test_a_network_is_asked_in_its_own_type_and_answers_in_the_samples(
    sampler: str, weights: torch.dtype, arguments: dict[str, Any], dtype: torch.dtype
) -> None:
    model = Asked(weights)
    for state in trajectory(model, n_samples=4, data_dim=2, sampler=sampler, generator=generator(), **arguments):
        assert state.x.dtype == dtype
        assert state.denoised is None or state.denoised.dtype == dtype
    assert model.types == {(weights, weights)}


def test_samples_in_double_precision_of_a_network_in_single_are_those_of_the_network() -> None:
    network = PreconditionedScore(ResidualMLP((2,), 16, 2))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(points(*weight.shape, seed=weight.numel()) / 4)
    x = 8 * points(50, 2)
    mixed = sample(network, levels(0.1, 8.0, 10), 50, 2, "heun", x)
    assert mixed.dtype == torch.float64
    single = sample(network, levels(0.1, 8.0, 10).float(), 50, 2, "heun", x.float())
    assert single.dtype == torch.float32
    double = sample(network.double(), levels(0.1, 8.0, 10), 50, 2, "heun", x)
    torch.testing.assert_close(mixed, double, rtol=0, atol=1e-4)
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-4)
    assert not torch.equal(mixed, double)


def test_conditions_are_cut_with_the_samples() -> None:
    n, centres = 150, 10 * torch.eye(64, dtype=torch.float64)[:3]
    model = EmpiricalScore(centres, labels=torch.arange(3))
    labels = torch.arange(n) % 3
    results = [
        sample(
            model, levels(0.01, 30.0, 10), n, 64, condition={"label": labels}, chunk_size=size, generator=generator()
        )
        for size in (64, 150)
    ]
    torch.testing.assert_close(results[0], centres[labels], atol=1e-6, rtol=0)
    assert torch.equal(results[0], results[1])
    one = sample(model, levels(0.01, 30.0, 10), 5, 64, condition={"label": 2}, generator=generator())
    torch.testing.assert_close(one, centres[[2] * 5], atol=1e-6, rtol=0)


def test_the_page_s_call_is_annealed_langevin() -> None:
    model, sigmas = gaussian([1.0, -2.0], [0.5, 2.0]), create_noise_schedule(0.1, 8.0, 4)
    page = annealed_langevin_dynamics(model, sigmas, 20, 2, 5, 1e-3, "cpu", generator=generator())
    own = sample(model, sigmas, 20, 2, "annealed_langevin", generator=generator(), n_steps_per_sigma=5, step_size=1e-3)
    assert torch.equal(page, own)
    undenoised = annealed_langevin_dynamics(model, sigmas, 20, 2, 5, 1e-3, denoise_last=False, generator=generator())
    assert (page - undenoised).abs().max() > 1e-3


def test_the_page_s_call_takes_the_driver_s_other_arguments() -> None:
    seen: list[State] = []
    x = points(3, 2)
    drawn = annealed_langevin_dynamics(
        at_origin(2), levels(0.1, 8.0, 2).float(), 3, 2, 2, x_init=x, callback=seen.append, dtype=torch.float64
    )
    assert drawn.dtype == torch.float64
    assert torch.equal(seen[0].x, x)
    assert [state.sigma for state in seen] == pytest.approx([8.0, 8.0, 8.0, 0.1, 0.1, 0.0])


# Modules


class Frozen(nn.Module):
    """A score model with a part in evaluation mode and one in training, which fails where sigma is small."""

    def __init__(self, fails_below: float = 0.0) -> None:
        super().__init__()
        self.frozen, self.learning = nn.Dropout(0.5).eval(), nn.Dropout(0.5)
        self.fails_below = fails_below

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        assert self.modes == (False, False, False)
        return self.learning(self.frozen(-x / (1 + sigma**2))) / (sigma > self.fails_below)

    @property
    def modes(self) -> tuple[bool, bool, bool]:
        return self.training, self.frozen.training, self.learning.training


def test_a_module_is_put_back_part_by_part() -> None:
    model = Frozen()
    sample(model, levels(0.1, 8.0, 4), 4, 2)
    assert model.modes == (True, False, True)
    sample(model.eval(), levels(0.1, 8.0, 4), 4, 2)
    assert model.modes == (False, False, False)


def test_a_module_is_put_back_after_an_error_and_after_a_walk_that_is_left() -> None:
    model = Frozen(fails_below=1.0)
    with pytest.raises(DivergenceError):
        sample(model, levels(0.1, 8.0, 4), 4, 2)
    assert model.modes == (True, False, True)
    left = trajectory(model, levels(0.1, 8.0, 4), 4, 2)
    assert next(left).step == 0
    left.close()  # type: ignore[attr-defined]
    assert model.modes == (True, False, True)


# The guard against divergence


@pytest.mark.parametrize(("sampler", "step"), [("ddim", 3), ("dpmpp_2m", 3), ("heun", 2), ("annealed_langevin", 7)])
def test_the_first_step_without_numbers_is_named(sampler: str, step: int) -> None:
    sigmas = torch.tensor([8.0, 4.0, 2.0, 1.0])

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        score = -x / (1 + sigma**2)
        score[1:3] = torch.where(sigma > 2, score[1:3], torch.nan)
        return score

    options: dict[str, Any] = {"n_steps_per_sigma": 3, "step_size": 1e-3} if sampler == "annealed_langevin" else {}
    level = {"annealed_langevin": 2, "heun": 2}.get(sampler, 1)
    seen: list[State] = []
    with pytest.raises(
        DivergenceError, match=f"^2 of 5 samples are not finite at step {step}, noise level {level}: take a"
    ):
        sample(model, sigmas, 5, 2, sampler, callback=seen.append, generator=generator(), **options)
    assert len(seen) == step
    assert bool(seen[-1].x.isfinite().all())


def test_the_last_denoising_is_guarded() -> None:
    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return x / (sigma - 1)

    with pytest.raises(DivergenceError, match="5 of 5 samples are not finite at step 2, noise level 0"):
        sample(model, torch.tensor([2.0, 1.0]), 5, 2, "ddim")


def test_large_finite_samples_pass() -> None:
    x = torch.full((1000, 2), 1e36)
    assert torch.equal(sample(at_origin(2), torch.tensor([1.0]), 1000, 2, "ddim", x, False), x)
    walked = sample(lambda x, sigma: torch.zeros_like(x), torch.tensor([2.0, 1.0]), 1000, 2, "ddim", x, False)
    assert torch.equal(walked, x)


# Bad input


BAD: list[tuple[dict[str, Any], str]] = [
    (
        {"sampler": "huen"},
        "unknown sampler 'huen'; did you mean 'heun'? known: langevin, annealed_langevin, ",
    ),
    ({"n_samples": 0}, "n_samples must be a whole number of at least 1, not 0"),
    ({"n_samples": 2.5}, "n_samples must be a whole number of at least 1, not 2.5"),
    ({"data_dim": 0}, "data_dim must be a whole number of at least 1, not 0"),
    ({"data_dim": 2.5}, "data_dim must be a whole number of at least 1, not 2.5"),
    ({"data_dim": (3, -1)}, "data_dim must be a whole number of at least 1, not -1"),
    ({"data_dim": ()}, "the number of axes in data_dim must be a whole number of at least 1, not 0"),
    ({"part": (2, 2)}, "part must be one of 2, from 0 to 1, not 2"),
    ({"part": (0, 0)}, "the number of parts must be a whole number of at least 1, not 0"),
    ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1, not 0"),
    ({"x_init": torch.zeros(5, 3)}, "x_init must have the shape (5, 2), not (5, 3)"),
    ({"x_init": torch.zeros(4, 2)}, "x_init must have the shape (5, 2), not (4, 2)"),
    ({"sigmas": torch.tensor([])}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor(1.0)}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.ones(2, 1)}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor([1.0, 0.0])}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor([math.inf, 1.0])}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": torch.tensor([math.nan, 1.0])}, "sigmas must be a 1-D tensor of positive, finite noise levels"),
    ({"sigmas": "karras"}, "sigmas are the levels themselves, a tensor, as "),
    ({"sigmas": Karras(3.0)}, "sigmas are the levels themselves, a tensor, as Karras(rho=3.0).grid(n) returns it"),
    ({"sigmas": torch.tensor([1.0, 2.0])}, "sigmas must descend; turn them round with sigmas.flip(0)"),
    ({"sigmas": torch.tensor([2.0, 2.0])}, "sigmas must descend; turn them round with sigmas.flip(0)"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_input_is_refused_at_once(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"sigmas": torch.tensor([2.0, 1.0]), "n_samples": 5, "data_dim": 2} | changes
    with pytest.raises(SettingError) as caught:
        trajectory(at_origin(2), **arguments)
    assert str(caught.value).startswith(message)
    with pytest.raises(SettingError) as caught:
        sample(at_origin(2), **arguments)
    assert str(caught.value).startswith(message)


def test_options_that_a_sampler_lacks() -> None:
    with pytest.raises(
        TypeError, match="sampler 'heun' has no option 'chrun'; it has: churn, churn_min, churn_max, churn_"
    ):
        sample(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, chrun=1.0)
    with pytest.raises(
        TypeError, match=r"sampler Heun\(churn=2\.0\) has no option 'chrun'; it has: churn, churn_min, "
    ):
        sample(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, Heun(churn=2.0), chrun=1.0)
    with pytest.raises(TypeError, match="sampler 'ddim' has no option 'churn'; it has: eta"):
        trajectory(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, "ddim", churn=1.0)


def test_a_condition_of_another_length() -> None:
    with pytest.raises(SettingError, match="condition 'label' must have one entry a row, 5, not 4"):
        sample(at_origin(2), torch.tensor([2.0, 1.0]), 5, 2, condition={"label": torch.zeros(4).long()})


def test_samples_that_stand_in_for_a_group_are_not_counted() -> None:
    def bad(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.full_like(x, torch.nan)

    with pytest.raises(DivergenceError, match="5 of 5 samples"):
        sample(bad, levels(0.1, 5.0, 4), 5, 2, "predictor_corrector")


def test_a_start_of_another_shape_is_refused() -> None:
    with pytest.raises(SettingError, match=r"x_init must return the shape \(5, 2\), not \(5, 1\)"):
        sample(at_origin(2), levels(0.1, 5.0, 4), 5, 2, x_init=lambda noise, rows: noise[:, :1])


def test_walks_that_take_turns_each_ask_the_module_in_evaluation_mode() -> None:
    class Noticing(nn.Module):
        asked: ClassVar[list[bool]] = []

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            self.asked.append(self.training)
            return -x / sigma**2

    network = Noticing().train()
    walks = [trajectory(network, levels(0.1, 5.0, 4), 3, 2, "ddim") for _ in range(2)]
    list(zip(*walks, strict=True))
    unfinished = trajectory(network, levels(0.1, 5.0, 4), 3, 2, "ddim")
    next(unfinished), next(unfinished)
    assert network.training
    assert not any(network.asked)

"""Samples of a fitted model, in the data's own units, and the arguments that say how they are drawn."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kstest, multivariate_normal
from small_models import GAUSSIAN, SMALL, clusters, gaussian, table, trained, white

from ncsn import NCSN
from ncsn.errors import SettingError
from ncsn.methods import METHODS
from ncsn.noise import SCHEDULES, Geometric, Given, Karras
from ncsn.parts import filled
from ncsn.samplers import DDIM, Multistep, State


def test_samples_of_a_gaussian() -> None:
    z = white(200, 2)
    samples = gaussian(z * [5.0, 1e-6] + [1e3, 0.0]).sample(4000)
    for column, (shift, scale) in zip(samples.T, [(1e3, 5.0), (0.0, 1e-6)], strict=True):
        assert kstest((column - shift) / scale, "norm").pvalue > 1e-3


def test_samples_start_from_the_covariance_of_the_data() -> None:
    # at one level the sampler only denoises, by c / (c + sigma^2) of what it starts from
    z = white(500, 2) @ np.linalg.cholesky(np.array([[1.0, 0.9], [0.9, 1.0]])).T
    sigma = 0.5
    samples = gaussian(z, sigma_min=0.1, sigma_max=sigma).sample(20_000, steps=1, sampler="heun")
    expected = (np.cov(z.T) + sigma**2 * np.eye(2)) / (1 + sigma**2) ** 2
    np.testing.assert_allclose(np.cov(samples.T), expected, atol=0.03)


def test_dpmpp_2m_knows_the_spread_of_the_data() -> None:
    # where the score is the data's own Gaussian, three levels are then enough for its exact flow, and one denoising
    z = white(500, 2)
    model = gaussian(z, sigma_min=0.5)
    for sampler in (None, "dpmpp_2m"):
        samples = model.sample(20_000, steps=3, sampler=sampler)
        assert kstest(samples.ravel() * np.sqrt(1 + 0.5**2), "norm").pvalue > 1e-3
    assert model.sample(20_000, steps=3, sigma_data=0.0).std() * np.sqrt(1 + 0.5**2) < 0.9


def test_image_samples_start_from_the_mean_and_variance_of_each_pixel() -> None:
    z = white(400, 4) * [0.1, 0.5, 1.0, 1.5] + [-2.0, 0.0, 1.0, 1.0]
    z = ((z - z.mean()) / z.std()).reshape(-1, 2, 2)
    sigma = 0.5
    samples = gaussian(z, sigma_min=0.1, sigma_max=sigma).sample(20_000, steps=1, sampler="heun")
    np.testing.assert_allclose(samples.mean(0), z.mean(0) / (1 + sigma**2), atol=0.03)
    np.testing.assert_allclose(samples.std(0), np.sqrt(z.var(0) + sigma**2) / (1 + sigma**2), atol=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_clusters(method: str) -> None:
    x, _ = clusters()
    model = NCSN(method=method, training_steps=500, batch_size=128, lr=1e-2, width=32, n_blocks=1, random_state=0).fit(
        x
    )
    z = np.abs((model.sample(300, random_state=1) - [100.0, 0.0]) / [3.0, 0.02])
    assert np.median(np.abs(z - 1)) < 0.2
    assert np.mean(np.abs(z - 1) < 0.6) > 0.9


def test_labels_make_it_conditional(conditional: NCSN) -> None:
    np.testing.assert_array_equal(conditional.classes_, ["left", "right"])
    left, right = conditional.sample(200, label="left"), conditional.sample(200, label="right")
    assert np.mean(left[:, 0] < 100) > 0.98
    assert np.mean(right[:, 0] > 100) > 0.98
    mixed = conditional.sample(200, label=["left", "right"] * 100)
    assert np.mean((mixed[:, 0] > 100) == (np.arange(200) % 2 == 1)) > 0.98
    assert 0.3 < np.mean(conditional.sample(400)[:, 0] > 100) < 0.7


@pytest.mark.parametrize("sampler", ["heun", "annealed_langevin"])
def test_chunks_do_not_change_the_samples(conditional: NCSN, sampler: str) -> None:
    labels = np.resize(["left", "right", "right"], 5000)
    options: dict[str, Any] = {"sampler": sampler, "steps": 3, "label": labels, "random_state": 5}
    whole = conditional.sample(5000, **options)
    np.testing.assert_allclose(conditional.sample(5000, chunk_size=1, **options), whole, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"n_samples": 0}, "n_samples must be a whole number of at least 1, not 0"),
        ({"n_samples": -3}, "n_samples must be a whole number of at least 1, not -3"),
        ({"n_samples": 2.5}, "n_samples must be a whole number of at least 1, not 2.5"),
        ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1, not 0"),
        ({"n_steps_per_sigma": 0}, "n_steps_per_sigma must be a whole number of at least 1, not 0"),
        ({"step_size": -1.0}, "step_size must be a positive finite number, not -1.0"),
        ({"sampler": "huen"}, r"unknown sampler 'huen'; did you mean 'heun'\? known: "),
        ({"label": "left"}, r"the model was fitted without labels; fit\(X, y\) makes it class-conditional"),
    ],
)
def test_samples_that_cannot_be_drawn(call: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        trained(0).sample(**call)


def test_options_of_another_sampler_are_refused() -> None:
    with pytest.raises(TypeError, match="sampler 'heun' has no option 'n_steps_per_sigma'; it has: churn"):
        trained(0).sample(2, n_steps_per_sigma=3, sampler="heun")


def test_langevin_options_choose_langevin() -> None:
    states: list[State] = []
    model = trained(0, n_sigmas=4)
    model.sample(2, n_steps_per_sigma=3, callback=states.append)
    assert states[-1].evaluations == 4 * 3 + 1
    np.testing.assert_allclose([state.sigma for state in states[1:-1:3]], model.sigmas, rtol=1e-6)


def test_langevin_walks_the_plan() -> None:
    states: list[State] = []
    model = trained(0, n_sigmas=30)
    model.sample(2, sampler="annealed_langevin", callback=states.append)
    assert model.plan_.n_steps_per_sigma == 10
    assert states[-1].evaluations == 30 * 10 + 1


def test_options_of_the_plan_hold_until_others_are_given() -> None:
    model = NCSN(training_steps=2, **SMALL).fit(white(20, 4).reshape(20, 2, 2))
    assert model.plan_.churn > 0
    default = model.sample(4)
    np.testing.assert_array_equal(model.sample(4, churn=model.plan_.churn), default)
    assert not np.array_equal(model.sample(4, churn=0.0), default)


def test_steps_are_the_levels_walked() -> None:
    states: list[State] = []
    model = trained(0, n_sigmas=4)
    model.sample(2, steps=12, callback=states.append)
    # one evaluation for each interval, and denoising one
    assert states[-1].evaluations == 12
    assert (states[0].sigma, states[-2].sigma) == pytest.approx((model.plan_.sigma_max, model.plan_.sigma_min))


def test_unknown_labels_are_refused(conditional: NCSN) -> None:
    with pytest.raises(SettingError, match="unknown label 'lefft'; did you mean 'left'"):
        conditional.sample(2, label="lefft")
    with pytest.raises(SettingError, match="3 labels for 2 rows; give one, or one for each"):
        conditional.sample(2, label=["left"] * 3)
    with pytest.raises(SettingError, match="unknown label 0; known: left, right"):
        conditional.score_samples(clusters()[0], label=0)


@pytest.mark.parametrize("method", ["ddpm", "ddpm_cosine"])
def test_densities_are_not_asked_for_below_the_levels_of_the_training(method: str) -> None:
    lowest = {"ddpm": 0.01, "ddpm_cosine": 0.0064}[method]
    model = NCSN(method=method, **SMALL | {"training_steps": 1, "sigma_min": 0.001}).fit(table(60))
    asked: list[float] = []
    model.score_model_.register_forward_pre_hook(lambda module, inputs: asked.append(float(inputs[1])))
    model.score_samples(table(2))
    model.impute([[100.0, np.nan, np.nan]], steps=4, n_sweeps=1)
    model.sample(2, sampler="consistent_annealed", steps=4)
    assert min(asked) == pytest.approx(lowest, rel=0.01)


def test_guidance_needs_a_score() -> None:
    model = NCSN(**SMALL | {"training_steps": 1, "method": "consistency"}).fit(table(60), np.arange(60) % 2)
    with pytest.raises(SettingError, match="a consistency model has no score to guide"):
        model.sample(2, label=1, guidance=2.0)


# Guidance


def test_guidance_moves_samples_away_from_the_other_class() -> None:
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, 1000)
    # classes that overlap: the guided samples of one keep to its far side
    x = 2.0 * side[:, None] + rng.standard_normal((1000, 1))
    model = NCSN(width=32, n_blocks=1, training_steps=600, random_state=0).fit(x, side)
    plain, none, strong = (model.sample(2000, label=1, guidance=weight, random_state=1) for weight in (None, 1.0, 3.0))
    np.testing.assert_allclose(none, plain, rtol=1e-4, atol=1e-4)
    assert plain.mean() == pytest.approx(2.0, abs=0.15)
    assert strong.mean() > plain.mean() + 0.3
    with pytest.raises(SettingError, match="guidance needs a label to guide to: give label"):
        model.sample(2, guidance=2.0)


def test_a_class_starts_and_ends_at_moments_of_its_own() -> None:
    side = np.arange(600) % 2
    x = np.random.default_rng(0).standard_normal((600, 2)) * 3.0 + 10.0 * side[:, None]
    model = NCSN(**GAUSSIAN).fit(x, side)
    starts: list[State] = []
    model.sample(4000, label=1, random_state=0, callback=lambda state: starts.append(state) if not state.step else None)
    start = torch.cat([state.x for state in starts])
    centre = model.encoding_.encode(x)[side == 1].mean(0)
    np.testing.assert_allclose(start.mean(0), centre, atol=4 * 20.0 / 4000**0.5)
    # the flow of this network, the score of the standard normal, keeps rows of one class and of both apart in the end only
    # by the Gaussian that the density is taken as at sigma_max: log N(0, 1 + 20^2) against the class's own
    rows = x[side == 1][:20]
    z = model.encoding_.encode(rows).numpy() * (1 + 20.0**2) ** 0.5 / (1 + 0.01**2) ** 0.5
    own = model.model_.moments.covariances[2].numpy() + 20.0**2 * np.eye(2)
    both = model.model_.moments.covariances[0].numpy() + 20.0**2 * np.eye(2)
    expected = multivariate_normal.logpdf(z, centre, own) - multivariate_normal.logpdf(z, np.zeros(2), both)
    found = model.score_samples(rows, label=1) - model.score_samples(rows)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_score_model_has_no_end_of_the_flow(of_table: NCSN) -> None:
    takes = "a model of method 'edm' takes the samplers langevin, .*, heun, dpmpp_2m, ipndm, ode, not"
    for sampler, asked in (
        ("consistency", "'consistency'"),
        (Multistep(), r"Multistep\(\)"),
        (Multistep, r"Multistep\(\)"),
    ):
        with pytest.raises(SettingError, match=f"{takes} {asked}"):
            of_table.sample(2, sampler=sampler)


# Every method with its samplers


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.gives_score])
def test_every_method_takes_every_sampler_of_scores_on_few_levels(method: str) -> None:
    model = NCSN(method=method, sigma_min=0.01, **SMALL | {"training_steps": 1, "lr": 1e-12}).fit(table(60))
    for sampler in ("heun", "dpmpp_2m", "ddim", "ancestral", "reverse_sde", "predictor_corrector", "ode"):
        states: list[State] = []
        assert np.isfinite(model.sample(3, sampler=sampler, steps=4, callback=states.append)).all()
        assert states[0].sigma == pytest.approx(model.plan_.sigma_max, rel=0.05)
        assert states[-2].sigma == pytest.approx(model.plan_.sigma_min, rel=0.4)
    assert np.isfinite(model.sample(3, sampler="consistent_annealed")).all()


def test_ddim_of_ddpm_walks_fifty_of_its_levels() -> None:
    states: list[State] = []
    model = NCSN(method="ddpm", **SMALL | {"training_steps": 1}).fit(table(60))
    model.sample(3, sampler="ddim", callback=states.append)
    assert states[-1].evaluations == 50


# What the model's own arguments do


def test_a_generator_moves_on_and_is_the_same_as_its_seed() -> None:
    model = trained(0)
    generator = torch.Generator().manual_seed(5)
    first, second = (model.sample(6, generator=generator) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, model.sample(6, random_state=5))
    np.testing.assert_array_equal(first, model.model_.sample(6, generator=torch.Generator().manual_seed(5)))
    # with a random state it is one too many
    x = np.array([[0.5, np.nan]])
    for ask in (model.sample, partial(model.impute, x, steps=3), partial(model.score_samples, white(3, 2))):
        with pytest.raises(SettingError, match="give generator or random_state, not both"):
            ask(generator=generator, random_state=np.random.RandomState(1))


def test_estimates_of_a_density_follow_their_random_state() -> None:
    model = trained(0)

    def estimate(**how: Any) -> Any:
        return model.score_samples(white(5, 2), trace="hutchinson", n_probes=1, tolerance=1e-2, **how)

    own, other = estimate(), estimate(random_state=1)
    assert not np.array_equal(own, other)
    np.testing.assert_array_equal(estimate(random_state=1), other)
    np.testing.assert_array_equal(estimate(generator=torch.Generator().manual_seed(1)), other)
    # the estimator's own, a whole number, repeats
    np.testing.assert_array_equal(estimate(), own)


@pytest.mark.parametrize("method", METHODS)
def test_the_first_of_many_samples_are_those_of_few(method: str) -> None:
    side = np.arange(60) % 2
    x = white(60, 2) * [3.0, 0.02] + 10.0 * side[:, None]
    model = NCSN(method=method, training_steps=5, sigma_min=0.1, sigma_max=8.0, n_sigmas=8, **SMALL).fit(x, side)
    # rows that share a stream of noise are 2,048 of two values
    many = {label: model.sample(2100, label=label, steps=8, random_state=2) for label in (None, 1)}
    for label, n in itertools.product(many, (1, 3, 64, 65, 2049)):
        few = model.sample(n, label=label, steps=8, random_state=2)
        np.testing.assert_allclose(few, many[label][:n], rtol=1e-4, atol=1e-4)


def test_the_first_of_many_samples_are_those_of_few_where_each_has_its_class(conditional: NCSN) -> None:
    labels = np.resize(["left", "right", "right"], 700)
    many = conditional.sample(700, label=labels, random_state=3)
    for n in (1, 5, 130):
        few = conditional.sample(n, label=labels[:n], random_state=3)
        np.testing.assert_allclose(few, many[:n], rtol=1e-5, atol=1e-7)


def test_a_start_of_one_s_own() -> None:
    model = trained(0)
    states: list[State] = []
    start = torch.full((3, 2), 2.5)
    samples = model.sample(3, x_init=start, callback=states.append)
    assert torch.equal(states[0].x, start)
    np.testing.assert_array_equal(model.sample(3, x_init=start.numpy()), samples)
    np.testing.assert_array_equal(model.sample(3, x_init=start.tolist()), samples)
    # the same start on a path without noise is the same sample
    np.testing.assert_array_equal(samples[0], samples[2])
    np.testing.assert_array_equal(model.sample(3, x_init=start, random_state=9), samples)
    assert not np.array_equal(model.sample(3), samples)
    with pytest.raises(SettingError, match=r"x_init must have the shape \(4, 2\), not \(3, 2\)"):
        model.sample(4, x_init=start)


def test_samples_are_walked_in_the_type_asked_for() -> None:
    model = trained(0)
    single, double = (model.sample(5, dtype=dtype) for dtype in (None, torch.float64))
    states: list[State] = []
    model.sample(5, dtype=torch.float64, callback=states.append)
    assert {state.x.dtype for state in states} == {torch.float64}
    # what comes out is of the data's type in either case
    assert single.dtype == double.dtype == np.float64
    start = torch.randn(5, 2, dtype=torch.float64)
    close = [model.sample(5, x_init=start, dtype=dtype) for dtype in (torch.float32, torch.float64, None)]
    np.testing.assert_allclose(close[0], close[1], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(close[1], close[2])


class Told:
    """The levels that a walk goes through."""

    def __init__(self, model: NCSN, **how: Any) -> None:
        states: list[State] = []
        self.samples = model.sample(3, callback=states.append, **how)
        self.sigmas = [state.sigma for state in states[:-1]]


def test_levels_as_a_tensor_are_walked_as_they_are() -> None:
    model, given = trained(0), [5.0, 2.0, 0.3]
    for levels in (torch.tensor(given), torch.tensor(given, dtype=torch.float64), given, tuple(given)):
        told = Told(model, levels=levels)
        assert told.sigmas == pytest.approx(given)
    with pytest.raises(SettingError, match="levels are walked as they are: give levels or steps, not both"):
        model.sample(3, levels=given, steps=2)
    with pytest.raises(SettingError, match="sigmas must descend"):
        model.sample(3, levels=given[::-1])
    with pytest.raises(SettingError, match="sigmas must be a 1-D tensor of positive, finite noise levels"):
        model.sample(3, levels=[1.0, 0.0])


@pytest.mark.parametrize("name", SCHEDULES)
def test_levels_by_name_go_between_the_ends_of_the_plan(name: str) -> None:
    model = trained(0)
    plan = model.plan_
    for levels in (name, SCHEDULES[name]()):
        expected = filled(SCHEDULES[name](), plan).grid(7)
        told = Told(model, levels=levels, steps=7)
        assert told.sigmas == pytest.approx(expected.tolist())
        assert (told.sigmas[0], told.sigmas[-1]) == pytest.approx((plan.sigma_max, plan.sigma_min))
    # without a number, the plan's
    assert len(Told(model, levels=name).sigmas) == plan.sampling_steps


def test_levels_as_a_family_keep_what_they_say() -> None:
    model = trained(0)
    assert Told(model, levels=Karras(3.0, sigma_min=0.5, sigma_max=4.0), steps=5).sigmas == pytest.approx(
        Karras(3.0, sigma_min=0.5, sigma_max=4.0).grid(5).tolist()
    )
    half = Told(model, levels=Geometric(sigma_max=4.0), steps=3).sigmas
    assert (half[0], half[-1]) == pytest.approx((4.0, model.plan_.sigma_min))
    given = Given(torch.tensor([4.0, 1.0, 0.5]))
    assert Told(model, levels=given).sigmas == pytest.approx([4.0, 1.0, 0.5])
    assert Told(model, levels=given, steps=2).sigmas == pytest.approx([4.0, 0.5])
    # a class is its family as it comes
    assert Told(model, levels=Karras, steps=5).sigmas == Told(model, levels="karras", steps=5).sigmas
    assert Told(model, levels=Geometric).sigmas == Told(model, levels=Geometric()).sigmas
    for wrong in (3, dict, DDIM, DDIM()):
        message = "levels must be a family of noise levels, or descending numbers, not"
        with pytest.raises(SettingError, match=message):
            model.sample(3, levels=wrong)
    with pytest.raises(SettingError, match="unknown schedule 'geometrc'; did you mean 'geometric'"):
        model.sample(3, levels="geometrc")


def test_a_fixed_walk_of_a_method_is_walked() -> None:
    given = Given([4.0, 1.0, 0.5])
    for steps in ("sampling_steps", None, 3):
        model = trained(0, method=replace(METHODS["edm"], walk=given, steps=steps))
        assert Told(model).sigmas == pytest.approx([4.0, 1.0, 0.5])
        assert model.model_.steps == 3
        assert Told(model, steps=2).sigmas == pytest.approx([4.0, 0.5])
        with pytest.raises(SettingError, match="Given has 3 levels; steps must not be above, but is 4"):
            model.sample(3, steps=4)
    model = trained(0, method=replace(METHODS["consistency"], walk=given, steps=9))
    # the end of the flow, at sigma 0, takes the place of the last
    assert Told(model).sigmas == Told(model, levels=given).sigmas == pytest.approx([4.0, 1.0])
    assert model.model_.steps == 2
    assert Told(model, steps=model.model_.steps).sigmas == pytest.approx([4.0, 1.0])


def test_a_family_of_levels_counts_for_every_sampler() -> None:
    model = trained(0)
    for sampler in ("heun", "ancestral", "annealed_langevin", "reverse_sde", DDIM()):
        levels = Told(model, sampler=sampler, levels="linear", steps=4).sigmas
        expected = filled(SCHEDULES["linear"](), model.plan_).grid(4).tolist()
        assert sorted(set(levels), reverse=True) == pytest.approx(expected)

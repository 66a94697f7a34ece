"""The settings chosen from the data: the plan, how it is made, printed and saved."""

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from ncsn.errors import DataError, RunError, SettingError
from ncsn.noise import MAX_LEVEL_RATIO, langevin_step_size, variance_ratio
from ncsn.plan import COUNTS, Plan, make_plan

from .common import Array, normal, standardised, swiss_roll

# The plan


def test_plan_of_the_roll() -> None:
    x, noise = swiss_roll(5000)
    plan = make_plan(x)
    assert 0.02 < (plan.sigma_min / noise) ** 2 < 0.05
    assert plan.sigma_data == pytest.approx(1.0)
    assert plan.sigma_max == pytest.approx(pdist(x).max(), rel=0.03)
    assert (plan.n_rows, plan.n_features) == (5000, 2)
    assert 15 <= plan.n_sigmas <= 25
    assert variance_ratio(plan.langevin_step_size, plan.sigma_min, MAX_LEVEL_RATIO, plan.n_steps_per_sigma) < 1.1


@pytest.mark.parametrize(
    ("x", "low", "high"),
    [
        (standardised(load_wine().data), 0.03, 0.1),
        (standardised(load_breast_cancer().data), 0.002, 0.02),
        (load_digits().data / load_digits().data.std(), 0.02, 0.05),
        (normal(300, 1000), 0.05, 0.1 + 1e-3),
    ],
    ids=["wine", "breast_cancer", "digits", "more dimensions than rows"],
)
def test_sigma_min_of_real_and_wide_data(x: Array, low: float, high: float) -> None:
    assert low < make_plan(x).sigma_min < high


def test_doubled_data_double_the_noise_levels() -> None:
    for x in (swiss_roll(1000)[0], normal(100, 5), load_digits().data[:500]):
        one, two = make_plan(x), make_plan(2 * x)
        for name in ("sigma_data", "sigma_min", "sigma_max"):
            assert getattr(two, name) == pytest.approx(2 * getattr(one, name), rel=1e-9)
        assert two.langevin_step_size == pytest.approx(4 * one.langevin_step_size, rel=1e-6)
        assert (two.n_sigmas, two.n_steps_per_sigma) == (one.n_sigmas, one.n_steps_per_sigma)


def test_arrays_and_tensors_give_the_same_plan_and_images_the_same_noise() -> None:
    x = swiss_roll(600)[0]
    plan = make_plan(x)
    assert make_plan(torch.from_numpy(x)) == plan
    images = make_plan(x.reshape(600, 1, 2))
    noise = (
        "sigma_data",
        "sigma_max",
        "sigma_min",
        "n_sigmas",
        "n_steps_per_sigma",
        "langevin_step_size",
    )
    assert [getattr(images, name) for name in noise] == [getattr(plan, name) for name in noise]
    assert make_plan(torch.from_numpy(x).float().requires_grad_()).sigma_min == pytest.approx(plan.sigma_min, rel=1e-3)
    assert make_plan(x[::-1]).sigma_max == pytest.approx(plan.sigma_max)


@pytest.mark.parametrize(
    "x",
    [
        normal(5000, 1)[:, 0],
        normal(5000, 1),
        normal(2, 3),
        normal(3, 1),
        normal(10, 30),
        normal(60, 10_000),
        np.random.default_rng(0).integers(0, 2, (200, 20)).astype(bool),
        normal(3, 13)[np.random.default_rng(0).integers(0, 3, 1000)],
        np.random.default_rng(0).standard_cauchy((5000, 3)),
    ],
    ids=["vector", "D=1", "two rows", "three rows", "N<D", "D=10000", "binary", "three distinct rows", "heavy tails"],
)
def test_unusual_data_get_a_sound_plan(x: Array) -> None:
    plan = make_plan(x)
    assert 0 < plan.sigma_min < plan.sigma_max < np.inf
    assert 0 < plan.langevin_step_size < 2 * plan.sigma_min**2
    assert plan.n_sigmas >= 2
    assert 5 <= plan.n_steps_per_sigma <= 100


def test_a_million_rows_are_looked_at_in_part() -> None:
    x, noise = swiss_roll(1_000_000)
    plan = make_plan(torch.from_numpy(x).float())
    assert plan.n_rows == 1_000_000
    assert plan == make_plan(torch.from_numpy(x).float())
    assert (plan.sigma_min / noise) ** 2 < 0.05


def test_given_settings_are_taken_and_the_others_follow() -> None:
    plan = make_plan(swiss_roll(500)[0], sigma_min=0.01, sigma_max=5, n_sigmas=np.int64(10), n_steps_per_sigma=None)
    assert (plan.sigma_min, plan.sigma_max, plan.n_sigmas) == (0.01, 5.0, 10)
    assert {c.name for c in plan.choices if c.rule == "given"} == {"sigma_min", "sigma_max", "n_sigmas"}
    assert plan.n_steps_per_sigma == 30
    assert plan.langevin_step_size == pytest.approx(langevin_step_size(0.01, 500 ** (1 / 9), 30))
    assert make_plan(swiss_roll(500)[0], n_sigmas=1).n_sigmas == 1


def test_plan_survives_json_and_prints_every_choice() -> None:
    plan = make_plan(swiss_roll(500)[0], n_sigmas=np.int32(12), sigma_max=np.float32(5))
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    head, names, *lines = str(plan).splitlines()
    assert head == "500 rows x 2 features"
    assert names.split() == ["name", "value", "rule", "reason"]
    assert [line.split()[0] for line in lines] == [choice.name for choice in plan.choices]
    assert len({line.index(choice.rule) for line, choice in zip(lines, plan.choices, strict=True)}) == 1
    assert all(choice.reason for choice in plan.choices)


def test_plan_that_version_0_1_saved_is_read() -> None:
    plan = make_plan(swiss_roll(500)[0])
    saved = json.loads(json.dumps(plan.to_dict()).replace("langevin_step_size", "step_size"))
    # what nothing reads is dropped
    place = [choice["name"] for choice in saved["choices"]].index("log_sigma_mean")
    saved["choices"].insert(place, {"name": "sigma_init", "value": 9.0, "rule": "sqrt(...)", "reason": "spread"})
    assert Plan.from_dict(saved) == plan
    # then no rows were held out
    saved["choices"] = [choice for choice in saved["choices"] if choice["name"] != "validation_fraction"]
    saved["choices"].append(
        {"name": "ema_decay", "value": 0.99, "rule": "a sixth of the training", "reason": "average"}
    )
    assert Plan.from_dict(saved).validation_fraction == 0.0


def test_a_plan_whose_step_size_was_given_is_read() -> None:
    saved = make_plan(swiss_roll(500)[0]).to_dict()
    given = [
        choice | {"value": 1e-6, "rule": "given"} if choice["name"] == "langevin_step_size" else choice
        for choice in saved["choices"]
    ]
    assert Plan.from_dict(saved | {"choices": given}).langevin_step_size == 1e-6


def test_a_step_size_left_to_the_data_may_be_said_to_be() -> None:
    x = swiss_roll(200)[0]
    assert make_plan(x, langevin_step_size=None) == make_plan(x)


def test_counts_are_the_whole_numbers_of_a_plan() -> None:
    plan = make_plan(normal(50, 2))
    kinds = {field.name: type(getattr(plan, field.name)) for field in fields(plan)}
    counts = {name for name, kind in kinds.items() if kind is int} - {"n_rows", "n_features"}
    assert set(COUNTS) == counts
    assert {"n_sigmas", "sampling_steps"} < counts


@pytest.mark.parametrize(
    ("shape", "kind"), [((50, 2), "up to 3 features"), ((50, 4), "above 3 features"), ((50, 2, 2), "for small images")]
)
def test_rules_say_for_which_data_a_constant_is(shape: tuple[int, ...], kind: str) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    rules = {choice.name: (choice.value, choice.rule) for choice in make_plan(x).choices}
    for name in ("n_blocks", "batch_size", "target_rows", "churn"):
        value, rule = rules[name]
        assert rule == f"{value:,} {kind}"
    assert rules["sampling_steps"] == (40, "40 for all data")


def test_damaged_saved_plan_is_refused() -> None:
    saved = make_plan(swiss_roll(500)[0]).to_dict()
    unknown = {"name": "sigma_mid", "value": 1.0, "rule": "given", "reason": "another version"}
    negative = [{**choice, "value": -1} for choice in saved["choices"]]
    for change in (
        {"choices": saved["choices"][:-1]},
        {"choices": [*saved["choices"], unknown]},
        {"choices": negative},
        {"choices": 3},
    ):
        with pytest.raises(RunError, match="damaged or another version"):
            Plan.from_dict({**saved, **change})


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (normal(1, 3), "one row"),
        (np.empty((0, 2)), "empty"),
        (np.empty((5, 0)), "no column"),
        (np.float64(3.0), "single value"),
        (np.array([["a"], ["b"]]), "expected real numbers"),
        (np.ones((3, 2), complex), "expected real numbers"),
        (torch.ones(3, 2, dtype=torch.complex64), "expected real numbers"),
        (np.array([[0.0, 1.0], [2.0, np.nan]]), "row 1, column 1"),
        (torch.tensor([[0.0, torch.inf], [2.0, 1.0]]), "row 0, column 1"),
        (np.ones((50, 3)), "all rows are equal"),
        (np.tile([1.0, 2.0], (50, 1)), "all rows are equal"),
        (np.eye(5000, 1), "all rows are equal"),
        (standardised(np.vstack([normal(5000, 2), [[1e6, 1e6]]])), "nearly equal"),
    ],
)
def test_unusable_data_are_refused_in_one_clear_line(x: Array, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        make_plan(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sigma_mn": 1.0}, "did you mean 'sigma_min'"),
        ({"sigma_min": 5.0, "sigma_max": 1.0}, "sigma_min must be below sigma_max"),
        ({"sigma_max": 0.001}, "sigma_min must be below sigma_max"),
        ({"sigma_max": np.inf}, "sigma_max must be a positive finite number"),
        ({"sigma_min": -0.1}, "sigma_min must be a positive finite number"),
        ({"sigma_data": "1"}, "sigma_data must be a positive finite number"),
        ({"n_sigmas": 0}, "n_sigmas must be a whole number"),
        ({"n_sigmas": 2.5}, "n_sigmas must be a whole number"),
        ({"n_steps_per_sigma": True}, "n_steps_per_sigma must be a whole number"),
        (
            {"langevin_step_size": 1.0},
            "langevin_step_size follows from the levels: give a sampler its step_size instead",
        ),
        ({"langevin_step_size": 1e-6}, "langevin_step_size follows from the levels"),
        ({"sigma_init": 5.0}, "unknown setting 'sigma_init'"),
    ],
)
def test_given_settings_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_plan(swiss_roll(200)[0], **given)


# The network and its training


def test_rows_are_held_out_as_the_root_of_their_number() -> None:
    held_out = {n: round(n * make_plan(normal(n, 2)).validation_fraction) for n in (79, 80, 400, 1600, 2500, 10_000)}
    assert held_out == {79: 0, 80: 2, 400: 10, 1600: 40, 2500: 50, 10_000: 100}
    x = normal(100, 2)
    assert make_plan(x, watched=False).validation_fraction == 0.0
    assert make_plan(x, validation_fraction=0).validation_fraction == 0.0
    with pytest.raises(SettingError, match="validation_fraction must be at least 0 and below 1, not 1"):
        make_plan(x, validation_fraction=1)


def test_few_rows_get_dropout_and_images_none() -> None:
    plans = [make_plan(normal(n, 2)) for n in (20, 100, 400, 1600, 4000)]
    dropout = [plan.dropout for plan in plans]
    assert dropout == sorted(dropout, reverse=True)
    assert (dropout[0], dropout[1], dropout[-1]) == (0.5, 0.5, 0.0)
    assert make_plan(normal(100, 4).reshape(100, 2, 2)).dropout == 0.0


@pytest.mark.parametrize(
    ("n_rows", "steps"), [(100, 400), (1000, 3000), (1100, 3200), (3200, 3200), (9000, 9000), (1_000_000, 12_000)]
)
def test_a_table_takes_three_steps_a_row_and_one_where_rows_are_many(n_rows: int, steps: int) -> None:
    rows = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    assert make_plan(rows, n_rows=n_rows).training_steps == steps
    # points in the plane as many as ever
    assert make_plan(rows[:, :2], n_rows=n_rows).training_steps == 2600


def test_width_grows_with_the_features_and_the_learning_rate_falls_with_it() -> None:
    plans = [make_plan(normal(50, dim)) for dim in (1, 16, 32, 64, 200)]
    assert [plan.width for plan in plans] == [128, 128, 256, 256, 256]
    assert len({round(plan.width * plan.learning_rate, 9) for plan in plans}) == 1
    assert make_plan(normal(50, 2), width=64).learning_rate == 2 * plans[0].learning_rate


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_fourier", -1, "n_fourier must be a whole number of at least 0, not -1"),
        ("n_fourier", False, "n_fourier must be a whole number of at least 0, not False"),
        ("churn", -0.5, "churn must be a finite number of at least 0, not -0.5"),
        ("dropout", 1.0, "dropout must be at least 0 and below 1, not 1.0"),
        ("training_steps", 0, "training_steps must be a whole number of at least 1, not 0"),
        ("batch_size", 2.0, "batch_size must be a whole number of at least 1, not 2.0"),
        ("learning_rate", float("nan"), "learning_rate must be a positive finite number, not nan"),
        ("width", True, "width must be a whole number of at least 1, not True"),
    ],
)
def test_settings_of_the_training_out_of_range_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_plan(normal(20, 2), **{name: value})


def test_nothing_is_a_setting_of_its_own() -> None:
    plan = make_plan(normal(20, 2), n_fourier=0, dropout=0, churn=0)
    assert (plan.n_fourier, plan.dropout, plan.churn) == (0, 0.0, 0.0)

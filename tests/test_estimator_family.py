"""The estimator with the methods of the lineage: imputation, guidance, consistency models and their teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.exceptions import NotFittedError

from ncsn import NCSN
from ncsn.errors import DataError, RunError
from ncsn.methods import METHODS
from ncsn.samplers import State

SMALL: dict[str, Any] = {"width": 8, "n_blocks": 1, "random_state": 0}

GAUSSIAN: dict[str, Any] = SMALL | {"training_steps": 1, "lr": 1e-12, "sigma_min": 0.01, "sigma_max": 20.0}
"""Settings of a network that stays at its start, where it is the score of the standard normal in standardised units."""


def table(n: int = 400) -> np.ndarray[Any, np.dtype[np.float64]]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 3)) * [5.0, 0.1, 1.0] + [100.0, 0.0, -3.0]


@pytest.fixture(scope="module")
def gaussian() -> NCSN:
    return NCSN(**GAUSSIAN).fit(table())


@pytest.fixture(scope="module")
def correlated() -> NCSN:
    """Return a model trained on a narrow line with a slope, in units of its own."""
    rng = np.random.default_rng(0)
    along = rng.standard_normal(2000)
    x = np.stack([100 + 5 * along, 0.1 * (0.9 * along + np.sqrt(1 - 0.81) * rng.standard_normal(2000))], axis=1)
    return NCSN(width=32, n_blocks=1, training_steps=800, random_state=0).fit(x)


# Imputation


def test_missing_values_are_drawn_given_the_known_ones(correlated: NCSN) -> None:
    x = np.tile([107.5, np.nan], (1500, 1))
    filled = correlated.impute(x, random_state=1)
    np.testing.assert_array_equal(filled[:, 0], 107.5)
    # the conditional of a Gaussian: mean 0.9 z, standard deviation sqrt(1 - 0.81), of the training rows' own moments
    data = correlated.standardizer_
    z = (107.5 - float(data.mean[0])) / float(data.scale[0])
    assert filled[:, 1].mean() == pytest.approx(0.1 * 0.9 * z, abs=0.012)
    assert filled[:, 1].std() == pytest.approx(0.1 * np.sqrt(0.19), rel=0.15)


def test_known_values_return_bit_for_bit_and_gaps_in_their_own_units(gaussian: NCSN) -> None:
    x = table(300)
    gaps = np.random.default_rng(1).random(x.shape) < 0.4
    filled = gaussian.impute(np.where(gaps, np.nan, x), random_state=0, steps=20, n_sweeps=2)
    np.testing.assert_array_equal(filled[~gaps], x[~gaps])
    for column, spread in enumerate([5.0, 0.1, 1.0]):
        drawn = filled[gaps[:, column], column]
        centre = [100.0, 0.0, -3.0][column]
        # four standard errors of mean and deviation, and the share that twenty levels leave
        assert drawn.mean() == pytest.approx(centre, abs=4.5 * spread / len(drawn) ** 0.5)
        assert drawn.std() == pytest.approx(spread, rel=4 / (2 * len(drawn)) ** 0.5 + 0.1)


def test_what_a_mask_hides_is_not_read(gaussian: NCSN) -> None:
    x = table(5)
    wild = x.copy()
    wild[:, 1] = 1e300
    options: dict[str, Any] = {"mask": [True, False, True], "random_state": 0, "steps": 5, "n_sweeps": 1}
    np.testing.assert_array_equal(gaussian.impute(x, **options), gaussian.impute(wild, **options))


def test_frames_come_back_with_their_columns_and_types() -> None:
    frame = pd.DataFrame({"size": table(50)[:, 0], "count": np.arange(50) % 7, "constant": 4})
    model = NCSN(**GAUSSIAN).fit(frame)
    gaps = frame.iloc[10:14].astype({"count": "Int64", "constant": "Int64"})
    gaps.loc[11, "count"] = pd.NA
    gaps.loc[12, "constant"] = pd.NA
    gaps.loc[13, "size"] = np.nan
    filled = model.impute(gaps, random_state=0, steps=5)
    assert list(filled.dtypes) == list(frame.dtypes)
    # the rows keep their names, so that columns can be assigned back
    assert list(filled.index) == [10, 11, 12, 13]
    assert (filled["constant"] == 4).all()
    pd.testing.assert_series_equal(filled["size"].iloc[:3], frame["size"].iloc[10:13])
    assert list(filled["count"].loc[[10, 12, 13]]) == [3, 5, 6]


def test_gaps_of_nullable_booleans_are_filled() -> None:
    frame = pd.DataFrame({"size": table(50)[:, 0], "sold": np.arange(50) % 2 == 0})
    model = NCSN(**GAUSSIAN).fit(frame)
    gaps = frame.head(3).astype({"sold": "boolean"})
    gaps.loc[1, "sold"] = pd.NA
    filled = model.impute(gaps, random_state=0, steps=5)
    assert list(filled.dtypes) == list(frame.dtypes)
    assert list(filled["sold"].iloc[[0, 2]]) == [True, True]


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
    with pytest.raises(ValueError, match="a consistency model has no score to guide"):
        model.sample(2, label=1, guidance=2.0)


def test_tensors_and_images_come_back_as_they_are() -> None:
    images = torch.randn(60, 4, 4, generator=torch.Generator().manual_seed(0))
    model = NCSN(**GAUSSIAN).fit(images)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2:] = False
    filled = model.impute(images[:3], mask=mask, random_state=0, steps=5, n_sweeps=1)
    assert filled.dtype == images.dtype
    assert torch.equal(filled[:, :2], images[:3, :2])
    assert not torch.equal(filled[:, 2:], images[:3, 2:])


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.full((2, 3), np.inf), {}, "missing or infinite"),
        (np.full((2, 2), np.nan), {}, "features"),
        (np.full((2, 3), np.nan), {"mask": [True, False]}, "mask must be booleans of shape"),
        (np.full((2, 3), np.nan), {"mask": [0.5, 1, 0]}, "mask must be booleans of shape"),
        (np.full((2, 3), np.nan), {"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        (np.full((2, 3), np.nan), {"n_particles": 1}, "two particles"),
        (np.full((2, 3), np.nan), {"label": 1}, "the model was fitted without labels"),
    ],
)
def test_rows_that_cannot_be_filled(gaussian: NCSN, x: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gaussian.impute(x, **options)


def test_only_fitted_models_fill_gaps() -> None:
    with pytest.raises(NotFittedError):
        NCSN().impute(np.full((2, 3), np.nan))


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
    with pytest.raises(ValueError, match="guidance needs a label to guide to: give label"):
        model.sample(2, guidance=2.0)


def test_a_class_starts_and_ends_at_moments_of_its_own() -> None:
    side = np.arange(600) % 2
    x = np.random.default_rng(0).standard_normal((600, 2)) * 3.0 + 10.0 * side[:, None]
    model = NCSN(**GAUSSIAN).fit(x, side)
    starts: list[State] = []
    model.sample(4000, label=1, random_state=0, callback=lambda state: starts.append(state) if not state.step else None)
    start = torch.cat([state.x for state in starts])
    centre = model.standardizer_.transform(x)[side == 1].mean(0)
    np.testing.assert_allclose(start.mean(0), centre, atol=4 * 20.0 / 4000**0.5)
    # the flow of this network, the score of the standard normal, keeps rows of one class and of both apart in the end only
    # by the Gaussian that the density is taken as at sigma_max: log N(0, 1 + 20^2) against the class's own
    rows = x[side == 1][:20]
    z = model.standardizer_.transform(rows).numpy() * (1 + 20.0**2) ** 0.5 / (1 + 0.01**2) ** 0.5
    own = model.moments_.covariances[2].numpy() + 20.0**2 * np.eye(2)
    both = model.moments_.covariances[0].numpy() + 20.0**2 * np.eye(2)
    expected = multivariate_normal.logpdf(z, centre, own) - multivariate_normal.logpdf(z, np.zeros(2), both)
    found = model.score_samples(rows, label=1) - model.score_samples(rows)
    np.testing.assert_allclose(found, expected, atol=2e-3)


# Consistency models


@pytest.fixture(scope="module")
def teacher() -> NCSN:
    return NCSN(**GAUSSIAN).fit(table())


@pytest.mark.parametrize("distilled", [True, False])
def test_a_consistency_model_learns_where_the_flow_of_a_gaussian_ends(teacher: NCSN, distilled: bool) -> None:
    model = NCSN(
        method="consistency", width=32, n_blocks=1, training_steps=800, sigma_min=0.05, sigma_max=8, random_state=0
    )
    model.fit(table(), teacher=teacher if distilled else None)
    x = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    for sigma in (0.5, 2.0, 8.0):
        level = torch.tensor(sigma)
        noisy = x * (1 + level**2).sqrt()
        with torch.no_grad():
            end = model.score_model_(noisy, level)
        expected = x * (1 + 0.05**2) ** 0.5
        assert float((end - expected).square().mean().sqrt()) < 0.2
    states: list[State] = []
    model.sample(10, steps=3, callback=states.append)
    assert states[-1].evaluations == 3


def test_a_consistency_model_is_saved_with_its_boundary(tmp_path: Path) -> None:
    model = NCSN(**SMALL | {"training_steps": 5, "method": "consistency"}).fit(table())
    model.save(tmp_path / "model")
    loaded = NCSN.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.sample(20, random_state=3), model.sample(20, random_state=3))
    x = torch.randn(5, 3)
    torch.testing.assert_close(loaded.score_model_(x, torch.tensor(model.plan_.sigma_min)), x)


def test_distillation_goes_on_from_its_checkpoint_with_the_same_teacher_alone(tmp_path: Path, teacher: NCSN) -> None:
    settings = SMALL | {"method": "consistency", "training_steps": 8}
    whole = NCSN(**settings).fit(table(), teacher=teacher, checkpoint=tmp_path / "kept")
    again = NCSN(**settings).fit(table(), teacher=teacher, checkpoint=tmp_path / "kept")
    np.testing.assert_array_equal(again.sample(5, random_state=0), whole.sample(5, random_state=0))
    with pytest.raises(RunError, match="no checkpoint of this training"):
        NCSN(**settings).fit(table(), checkpoint=tmp_path / "kept")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.score(table()), "a consistency model has no log-density"),
        (lambda model: model.score_function(table(), 1.0), "a consistency model has no score"),
        (lambda model: model.impute(table()), "a consistency model has no conditional distribution"),
        (lambda model: model.sample(2, sampler="heun"), "takes the sampler 'consistency' alone, not 'heun'"),
        (lambda model: model.sample(2, n_steps_per_sigma=3), "takes the sampler 'consistency' alone"),
    ],
)
def test_what_needs_a_score_is_refused_to_a_consistency_model(ask: Any, message: str) -> None:
    model = NCSN(**SMALL | {"training_steps": 1, "method": "consistency"}).fit(table())
    with pytest.raises(ValueError, match=message):
        ask(model)


def test_a_score_model_has_no_end_of_the_flow(gaussian: NCSN) -> None:
    with pytest.raises(ValueError, match="takes every sampler but 'consistency', not 'consistency'"):
        gaussian.sample(2, sampler="consistency")


def test_teachers_that_do_not_fit_are_refused(teacher: NCSN) -> None:
    student = NCSN(**SMALL | {"training_steps": 1, "method": "consistency"})
    with pytest.raises(DataError, match="the teacher was fitted on other data: fit both on the same rows"):
        student.fit(table()[:-1], teacher=teacher)
    with pytest.raises(DataError, match="the teacher has other classes"):
        student.fit(table(), np.arange(400) % 2, teacher=teacher)
    with pytest.raises(ValueError, match="method 'edm' cannot distil a teacher of method 'edm'"):
        NCSN(**GAUSSIAN).fit(table(), teacher=teacher)
    with pytest.raises(DataError, match="cannot distil a teacher of method 'consistency'"):
        student.fit(table(), teacher=NCSN(**SMALL | {"training_steps": 1, "method": "consistency"}).fit(table()))
    with pytest.raises(NotFittedError):
        student.fit(table(), teacher=NCSN())
    with pytest.raises(ValueError, match="method 'consistency' makes its own network: leave score_net out"):
        NCSN(torch.nn.Linear(3, 3), method="consistency", training_steps=1).fit(table())


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

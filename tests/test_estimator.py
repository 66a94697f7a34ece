"""The estimator, against scikit-learn's own checks, closed forms of Gaussians, exact scores and its own saved self."""

from __future__ import annotations

import inspect
import json
import multiprocessing
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from scipy.stats import kstest, multivariate_normal, norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator
from test_files import disk_full_after, unwritable
from torch import Tensor, nn

from ncsn import NCSN, GaussianMixtureScore, NCSNScoreNetwork, annealed_langevin_dynamics, ncsn_loss, training
from ncsn.errors import DataError, DivergenceError, RunError
from ncsn.exact import EmpiricalScore
from ncsn.methods import METHODS
from ncsn.samplers import State
from ncsn.training import Progress

Array = npt.NDArray[np.float64]

SMALL: dict[str, Any] = {"width": 8, "n_blocks": 1, "random_state": 0}

EXPECTED_FAILURES = {
    check: "the solver carries all rows together in single precision, so their log-densities agree to its tolerance, 1e-5, "
    "not to 1e-7; test_rows_do_not_depend_on_their_neighbours holds them to that"
    for check in ("check_methods_sample_order_invariance", "check_methods_subset_invariance")
}


def gaussian(X: Any, y: Any = None, **settings: Any) -> NCSN:
    """Fit a network that stays at its start, where it is the score of the standard normal in standardised units."""
    untrained = {"training_steps": 1, "lr": 1e-12, "sigma_min": 0.01, "sigma_max": 20.0}
    return NCSN(**(SMALL | untrained | settings)).fit(X, y)


def white(n: int, dim: int, seed: int = 0) -> Array:
    """Return rows whose mean is 0 and whose covariance is the unit matrix, to rounding."""
    x = np.random.default_rng(seed).standard_normal((n, dim))
    x -= x.mean(0)
    return np.asarray(np.linalg.solve(np.linalg.cholesky(np.cov(x.T, bias=True).reshape(dim, dim)), x.T).T)


def log_normal(z: Array) -> Array:
    """Return the log-density at sigma_min = 0.01 that `gaussian` has, in standardised units."""
    return np.asarray(norm.logpdf(z, scale=np.hypot(1, 0.01)).reshape(len(z), -1).sum(1))


def clusters(n: int = 300) -> tuple[Array, npt.NDArray[np.str_]]:
    """Return two clusters in units of their own, labelled by their side."""
    rng = np.random.default_rng(0)
    side = rng.choice(["left", "right"], n)
    z = np.where(side == "left", -1.0, 1.0)[:, None] + 0.1 * rng.standard_normal((n, 2))
    return z * [3.0, 0.02] + [100.0, 0.0], side


@pytest.fixture(scope="module")
def conditional() -> NCSN:
    settings: dict[str, Any] = {"width": 32, "n_blocks": 1, "random_state": 0, "dropout": 0.0}
    return NCSN(training_steps=400, batch_size=128, lr=1e-2, **settings).fit(*clusters())


# scikit-learn


@pytest.mark.parametrize(
    ("estimator", "check"),
    list(
        estimator_checks_generator(
            NCSN(training_steps=2, sigma_min=0.3, sigma_max=3.0, **SMALL),
            expected_failed_checks=EXPECTED_FAILURES,
            mark="skip",
        )
    ),
    ids=lambda value: getattr(getattr(value, "func", None), "__name__", ""),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_rows_do_not_depend_on_their_neighbours() -> None:
    x = white(20, 3)
    model = gaussian(x)
    together = model.score_samples(x)
    np.testing.assert_allclose(model.score_samples(x[::-1])[::-1], together, atol=2e-3)
    np.testing.assert_allclose(
        np.concatenate([model.score_samples(row[None]) for row in x[:3]]), together[:3], atol=2e-3
    )


def test_parameters_are_kept_as_given_and_cloned() -> None:
    network = NCSNScoreNetwork(2, [8])
    given: dict[str, Any] = {
        "score_net": network,
        "sigma_min": np.float32(0.1),
        "n_sigmas": -3,
        "method": "nonsense",
        "lr": "fast",
    }
    model = NCSN(**given)
    params = model.get_params()
    assert all(params[name] is value for name, value in given.items())
    assert set(params) == set(inspect.signature(NCSN).parameters)
    copied = clone(model)
    assert copied.score_net is not network
    assert torch.equal(
        copied.score_net.get_parameter("network.first.weight"), network.get_parameter("network.first.weight")
    )
    assert copied.get_params() | {"score_net": None} == params | {"score_net": None}
    assert model.set_params(method="edm", lr=None).lr is None
    with pytest.raises(ValueError, match="Invalid parameter 'sigma'"):
        model.set_params(sigma=1)


def test_clone_of_a_fitted_model_is_not_fitted() -> None:
    with pytest.raises(NotFittedError):
        clone(gaussian(white(20, 2))).sample(1)


@pytest.mark.parametrize(
    "random_state", [np.random.RandomState(1), torch.Generator().manual_seed(1)], ids=["numpy", "torch"]
)
def test_clones_have_random_states_of_their_own(random_state: Any) -> None:
    x = white(20, 2)
    model = NCSN(training_steps=1, **(SMALL | {"random_state": random_state}))
    first, second = clone(model).fit(x), clone(model).fit(x)
    assert torch.equal(weights(first), weights(second))


def test_pipeline_scores_in_the_units_of_its_last_step() -> None:
    x = white(50, 2) * [5.0, 0.1] + 3.0
    pipeline = make_pipeline(
        StandardScaler(), NCSN(training_steps=1, lr=1e-12, sigma_min=0.01, sigma_max=20.0, **SMALL)
    )
    assert pipeline.fit(x).score(x) == pytest.approx(log_normal((x - 3) / [5.0, 0.1]).mean(), abs=2e-3)


def test_cross_validation_fits_and_scores_each_fold() -> None:
    x = np.random.default_rng(0).normal([5.0, -2.0], [3.0, 0.5], size=(60, 2))
    model = NCSN(training_steps=1, lr=1e-12, sigma_min=0.01, sigma_max=20.0, **SMALL)
    scores = cross_val_score(model, x, cv=KFold(3))
    for score, (train, test) in zip(scores, KFold(3).split(x), strict=True):
        mean, scale = x[train].mean(0), x[train].std(0)
        expected = log_normal((x[test] - mean) / scale).mean() - np.log(scale).sum()
        # the last Gaussian has the fold's covariance, which is that of 40 rows
        assert score == pytest.approx(expected, abs=0.02)


def test_repr_names_what_was_set() -> None:
    assert repr(NCSN(lr=0.1, method="ve_sde")) == "NCSN(lr=0.1, method='ve_sde')"
    assert "NCSNScoreNetwork" in repr(NCSN(NCSNScoreNetwork(2, [4])))
    assert "NCSN" in NCSN()._repr_html_()


def test_fitted_attributes_are_documented() -> None:
    frame = pd.DataFrame(white(20, 2), columns=["a", "b"])
    documented = set(re.findall(r"^        (\w+_): ", str(NCSN.__doc__), re.MULTILINE))
    assert {name for name in vars(gaussian(frame)) if name.endswith("_")} == documented


# Densities, scores and samples, in the data's own units


@pytest.mark.parametrize("dim", [1, 2, 40], ids=["one column", "exact trace", "random probes"])
def test_log_density_of_a_gaussian(dim: int) -> None:
    z = white(100, dim)
    scale, shift = np.geomspace(1e-8, 1e8, dim), np.linspace(-1e9, 1e-9, dim)
    # a shift far beyond the scale would take the digits of the data themselves
    shift = np.clip(shift, -10 * scale, 10 * scale)
    model = gaussian(z * scale + shift)
    expected = log_normal(z) - np.log(scale).sum()
    np.testing.assert_allclose(model.score_samples(z * scale + shift), expected, atol=2e-4 * dim + 2e-3)
    assert model.score(z * scale + shift) == pytest.approx(expected.mean(), abs=1e-3 + 1e-4 * dim)


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 3)], ids=["grey", "channels"])
def test_log_density_of_images(shape: tuple[int, ...]) -> None:
    z = white(100, int(np.prod(shape))).reshape(100, *shape)
    expected = log_normal(z) - z[0].size * np.log(30.0)
    np.testing.assert_allclose(gaussian(128 + 30 * z).score_samples(128 + 30 * z), expected, atol=0.01)


def test_constant_columns_are_reproduced_and_no_row_differs_there() -> None:
    z = white(50, 2)
    x = np.column_stack([z[:, 0] * 5, np.full(50, 0.1), z[:, 1], np.zeros(50)])
    model = gaussian(x)
    samples = model.sample(20)
    np.testing.assert_array_equal(samples[:, [1, 3]], np.tile([0.1, 0.0], (20, 1)))
    assert (samples[:, [0, 2]].std(0) > 0).all()
    expected = log_normal(z) - np.log(5)
    np.testing.assert_allclose(model.score_samples(x), expected, atol=2e-3)
    np.testing.assert_allclose(model.score_samples(x.astype(np.float32)), expected, atol=2e-3)
    other = x[:3].copy()
    other[0, 1], other[1, 3] = 0.1001, 1e-30
    assert np.isneginf(model.score_samples(other)).tolist() == [True, True, False]
    assert np.isneginf(model.score(other))
    np.testing.assert_array_equal(model.score_function(x, 0.5)[:, [1, 3]], 0)


def test_more_columns_than_rows() -> None:
    x = np.random.default_rng(0).normal(7.0, 2.0, size=(5, 30))
    model = gaussian(x)
    z = (x - x.mean(0)) / x.std(0)
    # the flow stretches a row to unit variance plus 20^2, where it meets the Gaussian of the data, which has rank 4
    stretch = (1 + 20.0**2) / (1 + 0.01**2)
    last = multivariate_normal(np.zeros(30), np.cov(z.T) + 20.0**2 * np.eye(30))
    expected = last.logpdf(z * np.sqrt(stretch)) + 15 * np.log(stretch) - np.log(x.std(0)).sum()
    np.testing.assert_allclose(model.score_samples(x), expected, atol=0.02)
    assert np.isfinite(model.sample(10)).all()


@pytest.mark.parametrize("images", [False, True], ids=["rows", "images"])
def test_score_function_is_the_slope_of_the_log_density(images: bool) -> None:
    z = white(30, 4)
    x = z.reshape(-1, 2, 2) * 50 + 9 if images else np.column_stack([z * [1e-3, 1, 50, 1e4] + 9, np.full(30, 7.0)])
    model = gaussian(x)
    at = x[:3]
    scores = model.score_function(at, 0.01)
    assert scores.shape == at.shape
    for position in np.ndindex(2, 2) if images else np.ndindex(4):
        scale = float(x[(slice(None), *position)].std())
        step = np.zeros(at.shape[1:])
        step[position] = 0.05 * scale
        slope: Array = (model.score_samples(at + step) - model.score_samples(at - step)) / (0.1 * scale)
        np.testing.assert_allclose(scores[(slice(None), *position)] * scale, slope * scale, atol=0.02)


def test_score_function_of_a_gaussian_at_any_level() -> None:
    z = white(30, 2)
    x = z * [100.0, 0.01] - 5
    for sigma in (0.01, 1.0, 30.0):
        expected = -z / (1 + sigma**2) / [100.0, 0.01]
        np.testing.assert_allclose(gaussian(x).score_function(x, sigma), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("label", [None, "left", "right"])
def test_trained_score_function_is_near_the_exact_one(conditional: NCSN, label: str | None) -> None:
    x, side = clusters()
    mean, scale = x.mean(0), x.std(0)
    z = torch.tensor((x - mean) / scale)
    z = z if label is None else z[torch.tensor(side == label)]
    for sigma in (0.5, 1.0):
        noisy = z + sigma * torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=z.dtype)
        truth = EmpiricalScore(z)(noisy, torch.tensor(sigma)).numpy()
        error = conditional.score_function(noisy.numpy() * scale + mean, sigma, label=label) * scale - truth
        assert (error**2).mean() < 0.03 * (truth**2).mean()


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
    assert model.sample(20_000, steps=3, spread=0.0).std() * np.sqrt(1 + 0.5**2) < 0.9


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


def test_densities_know_the_labels(conditional: NCSN) -> None:
    x, side = clusters()
    x, side = x[:40], side[:40]
    own = conditional.score_samples(x, label=side)
    other = conditional.score_samples(x, label=np.where(side == "left", "right", "left"))
    both = conditional.score_samples(x)
    assert np.median(own - other) > 3
    # half of the rows are of each class
    assert np.median(own - both) == pytest.approx(np.log(2), abs=0.25)


# What goes in comes out


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8, bool])
def test_arrays_come_back_as_arrays(dtype: Any) -> None:
    x = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(dtype)
    samples = gaussian(x).sample(7)
    assert isinstance(samples, np.ndarray)
    assert (samples.shape, samples.dtype) == ((7, 3), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_tensors_come_back_as_tensors(dtype: torch.dtype) -> None:
    x = torch.tensor(10 * white(40, 3)).to(dtype)
    model = gaussian(x)
    samples, scores = model.sample(7), model.score_function(x, 1.0)
    assert isinstance(samples, Tensor)
    assert (samples.shape, samples.dtype) == ((7, 3), dtype)
    assert isinstance(scores, Tensor)
    assert (scores.shape, scores.dtype) == (x.shape, dtype if dtype.is_floating_point else torch.float32)
    assert model.score_samples(x).shape == (40,)


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3), (1, 1, 5)])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_images_come_back_as_images(shape: tuple[int, ...], kind: Callable[[Any], Any]) -> None:
    x = kind(np.random.default_rng(0).integers(0, 256, (30, *shape)).astype(np.uint8))
    model = gaussian(x)
    samples = model.sample(5)
    assert type(samples) is type(x)
    assert (tuple(samples.shape), samples.dtype) == ((5, *shape), x.dtype)
    assert model.n_features_in_ == np.prod(shape)


def test_frames_come_back_as_frames() -> None:
    rng = np.random.default_rng(0)
    x = pd.DataFrame(
        {
            "size": rng.normal(3, 1, 60).astype(np.float32),
            "count": rng.integers(0, 50, 60),
            "flag": rng.random(60) < 0.5,
            "grade": pd.array(rng.integers(0, 5, 60), dtype="Int8"),
            "ratio": pd.array(rng.random(60), dtype="Float64"),
            "fixed": pd.array([True] * 60, dtype="boolean"),
        },
        index=np.arange(60) + 7,
    )
    model = gaussian(x)
    samples = model.sample(9)
    assert samples.dtypes.equals(x.dtypes)
    assert samples.columns.equals(x.columns)
    assert samples.index.equals(pd.RangeIndex(9))
    assert samples["fixed"].all()
    assert model.feature_names_in_.tolist() == list(x.columns)
    np.testing.assert_allclose(model.score_samples(x.iloc[:5]), model.score_samples(x)[:5], atol=2e-3)


def test_columns_that_are_not_text_come_back() -> None:
    x = pd.DataFrame(white(20, 2), columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", None]))
    model = gaussian(x)
    pd.testing.assert_index_equal(model.sample(2).columns, x.columns)
    assert not hasattr(model, "feature_names_in_")


def test_lists_and_single_columns() -> None:
    samples = gaussian([[1], [2], [3], [5]]).sample(4)
    assert (samples.shape, samples.dtype) == ((4, 1), np.int64)
    assert gaussian([[[1.5, 2]], [[3, 4]], [[5, 7]]]).sample(4).shape == (4, 1, 2)


def test_tensors_that_require_gradients_and_read_only_arrays_are_fine(recwarn: pytest.WarningsRecorder) -> None:
    x = white(20, 2)
    x.flags.writeable = False
    before = x.copy()
    gaussian(x).score_samples(x)
    gaussian(torch.tensor(x, requires_grad=True)).sample(2)
    np.testing.assert_array_equal(x, before)
    assert not recwarn.list


def test_refit_on_other_data_forgets_the_first() -> None:
    model = gaussian(pd.DataFrame(white(20, 3), columns=list("abc")), ["u", "v"] * 10)
    model.fit(torch.tensor(white(20, 4).reshape(20, 2, 2)))
    assert model.classes_ is None
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 4
    assert model.sample(2).shape == (2, 2, 2)


# Randomness


def weights(model: NCSN) -> Tensor:
    return torch.cat([weight.flatten() for weight in model.score_model_.parameters()])


def trained(random_state: Any, **settings: Any) -> NCSN:
    options = SMALL | {"training_steps": 5, "dropout": 0.2} | settings
    return NCSN(**(options | {"random_state": random_state})).fit(white(50, 2))


@pytest.mark.parametrize(
    "make",
    [lambda: 3, lambda: np.random.RandomState(3), lambda: torch.Generator().manual_seed(3)],
    ids=["int", "numpy", "torch"],
)
def test_same_seed_same_model_and_samples(make: Callable[[], Any]) -> None:
    first = trained(make())
    torch.rand(3)
    second, other = trained(make()), trained(4)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))
    np.testing.assert_array_equal(first.sample(5, random_state=make()), second.sample(5, random_state=make()))
    assert not np.array_equal(first.sample(5, random_state=make()), first.sample(5, random_state=4))


def test_a_whole_number_repeats_and_a_generator_moves_on() -> None:
    model = trained(3)
    np.testing.assert_array_equal(model.sample(5), model.sample(5))
    generator = torch.Generator().manual_seed(0)
    assert not np.array_equal(model.sample(5, random_state=generator), model.sample(5, random_state=generator))


def test_without_a_seed_torch_s_default_generator_decides() -> None:
    torch.manual_seed(8)
    first = trained(None)
    second = trained(None)
    samples = second.sample(5)
    assert not torch.equal(weights(first), weights(second))
    torch.manual_seed(8)
    assert torch.equal(weights(trained(None)), weights(first))
    assert torch.equal(weights(trained(None)), weights(second))
    np.testing.assert_array_equal(second.sample(5), samples)


def test_global_generators_are_left_alone() -> None:
    torch.manual_seed(9)
    np.random.seed(9)  # noqa: NPY002  # the global generator is what is looked at
    expected = torch.rand(2), np.random.rand(2)  # noqa: NPY002
    torch.manual_seed(9)
    np.random.seed(9)  # noqa: NPY002
    x = white(50, 40)
    model = NCSN(training_steps=2, sigma_min=0.3, sigma_max=3.0, **SMALL).fit(x, np.arange(50) % 3)
    model.sample(3, sampler="annealed_langevin", label=1)
    model.score_samples(x[:2])
    model.score_function(x, 1.0)
    assert torch.equal(torch.rand(2), expected[0])
    np.testing.assert_array_equal(np.random.rand(2), expected[1])  # noqa: NPY002


@pytest.mark.parametrize("sampler", ["heun", "annealed_langevin"])
def test_chunks_do_not_change_the_samples(conditional: NCSN, sampler: str) -> None:
    labels = np.resize(["left", "right", "right"], 5000)
    options: dict[str, Any] = {"sampler": sampler, "steps": 3, "label": labels, "random_state": 5}
    whole = conditional.sample(5000, **options)
    np.testing.assert_allclose(conditional.sample(5000, chunk_size=1, **options), whole, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("random_state", [-1, 2**32, 1.5, "seed", np.random])
def test_what_is_no_random_state_is_refused(random_state: Any) -> None:
    with pytest.raises(ValueError, match=r"random_state must be None, a whole number from 0 to 2\*\*32 - 1, a numpy"):
        trained(random_state)
    with pytest.raises(ValueError, match="random_state must be"):
        trained(0).sample(2, random_state=random_state)


# Training: callback, curve, checkpoint


@pytest.fixture
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "REPORT_EVERY", 4)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 8)


def interrupt_at(step: int) -> Callable[[Progress], None]:
    def callback(progress: Progress) -> None:
        if progress.step >= step:
            raise KeyboardInterrupt

    return callback


def test_callback_is_told_of_progress() -> None:
    told: list[Progress] = []
    model = NCSN(training_steps=120, **SMALL).fit(white(50, 2), callback=told.append)
    assert [(progress.step, progress.steps) for progress in told] == [(50, 120), (100, 120), (120, 120)]
    assert model.loss_curve_ == [(progress.step, progress.loss) for progress in told]
    assert torch.equal(
        weights(model), torch.cat([weight.flatten() for weight in told[-1].trainer.averaged_model.parameters()])
    )


def test_settings_reach_the_training() -> None:
    told: list[Progress] = []
    NCSN(training_steps=50, batch_size=7, lr=0.03, n_sigmas=5, method="ncsn", **SMALL).fit(
        white(50, 2), callback=told.append
    )
    recipe = told[0].trainer.recipe
    assert (recipe.steps, recipe.batch_size, recipe.learning_rate, recipe.seed) == (50, 7, 0.03, 0)
    assert len(recipe.levels.draw(1000).unique()) == 5


@pytest.mark.usefixtures("frequent_checkpoints")
def test_fit_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    x, side = clusters(60)
    settings = SMALL | {"training_steps": 30, "dropout": 0.3}
    whole = NCSN(**settings).fit(x, side)
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        NCSN(**settings).fit(x, side, callback=interrupt_at(20), checkpoint=path)
    steps: list[int] = []
    resumed = NCSN(**settings).fit(x, side, callback=lambda progress: steps.append(progress.step), checkpoint=str(path))
    assert steps == [20, 24, 28, 30]
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(resumed.sample(5), whole.sample(5))
    # a finished training is not repeated
    again = NCSN(**settings).fit(x, side, callback=interrupt_at(0), checkpoint=path)
    assert torch.equal(weights(again), weights(whole))


@pytest.mark.usefixtures("frequent_checkpoints")
def test_checkpoints_that_cannot_be_used_are_refused_before_training(tmp_path: Path) -> None:
    x = white(50, 2)
    model = NCSN(training_steps=30, **SMALL)
    stop = interrupt_at(0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, callback=interrupt_at(8), checkpoint=tmp_path / "a")
    with pytest.raises(RunError, match="is no checkpoint of this training: its data, settings or version differ"):
        model.fit(2 * x + x**2, callback=stop, checkpoint=tmp_path / "a")
    for other in ({"lr": 0.1}, {"dropout": 0.1}, {"method": "ve_sde"}, {"random_state": 1}, {"width": 9}):
        with pytest.raises(RunError, match="is no checkpoint of this training"):
            clone(model).set_params(**other).fit(x, callback=stop, checkpoint=tmp_path / "a")
    with pytest.raises(ValueError, match="a checkpoint needs a random_state, such as 0, so that a later fit can go on"):
        clone(model).set_params(random_state=None).fit(x, callback=stop, checkpoint=tmp_path / "a")
    with pytest.raises(RunError, match=r"cannot write checkpoint .*missing/a: name a file in a folder that exists"):
        model.fit(x, callback=stop, checkpoint=tmp_path / "missing" / "a")
    with pytest.raises(RunError, match="name a file in a folder that exists"):
        model.fit(x, callback=stop, checkpoint=tmp_path)
    with disk_full_after(100), pytest.raises(RunError, match=r"cannot write .*/b: File too large"):
        model.fit(x, checkpoint=tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(NotFittedError):
        model.sample(1)


def fit_as_one_of_several(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    torch.manual_seed(rank)
    own = Path(folder) / str(rank)
    seeds: list[int] = []
    model = NCSN(training_steps=20, device="cpu", width=8, n_blocks=1)
    model.fit(clusters()[0], callback=lambda progress: seeds.append(progress.trainer.recipe.seed))
    model.save(own / "run")
    (own / "model").write_text(repr((seeds, weights(model).tolist(), model.loss_curve_)))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_several_processes_fit_one_model_and_save_it_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    workers = []
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        workers.append(context.Process(target=fit_as_one_of_several, args=(rank, port, str(tmp_path))))
        workers[-1].start()
    for worker in workers:
        worker.join(100)
        assert worker.exitcode == 0
    assert (tmp_path / "0" / "model").read_text() == (tmp_path / "1" / "model").read_text()
    assert NCSN.load(tmp_path / "0" / "run").plan_.training_steps == 20
    assert not (tmp_path / "1" / "run").exists()


# Saving


@pytest.mark.parametrize("kind", ["array", "tensor", "images", "frame", "labels"])
def test_saved_and_loaded_models_are_the_same(tmp_path: Path, kind: str) -> None:
    x: Any = np.column_stack([white(40, 4) * [1e-8, 1, 7, 1e8], np.full(40, 0.1)])
    y = None
    if kind == "tensor":
        x = torch.tensor(x, dtype=torch.float32)
    elif kind == "images":
        x = (100 + 30 * white(40, 12)).astype(np.uint8).reshape(40, 3, 2, 2)
    elif kind == "frame":
        x = (
            pd.DataFrame(x.round(9), columns=list("vwxyz"))
            .astype({"w": "Float32", "y": "int64"})
            .astype({"y": "Int64"})
        )
    elif kind == "labels":
        y = np.arange(40) % 3
    model = NCSN(training_steps=60, sigma_min=0.3, **(SMALL | {"n_blocks": np.int64(2)})).fit(x, y)
    model.save(tmp_path / "new" / "run")
    loaded = NCSN.load(str(tmp_path / "new" / "run"))
    assert sorted(path.name for path in (tmp_path / "new" / "run").iterdir()) == ["config.json", "model.safetensors"]
    assert loaded.get_params() == model.get_params()
    assert loaded.plan_ == model.plan_
    assert loaded.loss_curve_ == model.loss_curve_
    assert torch.equal(weights(loaded), weights(model))
    label = None if y is None else 2
    samples, again = model.sample(6, label=label), loaded.sample(6, label=label)
    assert type(again) is type(samples)
    if isinstance(samples, pd.DataFrame):
        pd.testing.assert_frame_equal(again, samples)
        assert loaded.feature_names_in_.tolist() == list("vwxyz")
    else:
        np.testing.assert_array_equal(again, samples)
    np.testing.assert_array_equal(loaded.score_samples(x[:4], label=label), model.score_samples(x[:4], label=label))
    np.testing.assert_array_equal(loaded.score_function(x[:4], 0.5), model.score_function(x[:4], 0.5))
    assert loaded.n_features_in_ == model.n_features_in_
    assert vars(loaded).keys() == vars(model).keys()


def test_text_labels_and_random_state_objects(tmp_path: Path, conditional: NCSN) -> None:
    model = clone(conditional).set_params(random_state=np.random.RandomState(0), training_steps=2).fit(*clusters())
    model.save(tmp_path)
    loaded = NCSN.load(tmp_path)
    assert loaded.random_state is None
    np.testing.assert_array_equal(loaded.classes_, ["left", "right"])
    samples = model.sample(4, label=["left", "right"] * 2, random_state=1)
    np.testing.assert_array_equal(loaded.sample(4, label=["left", "right"] * 2, random_state=1), samples)


def test_loading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    trained(0).save(tmp_path)
    torch.manual_seed(1)
    NCSN.load(tmp_path)
    after = torch.rand(2)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(2))


def damage(folder: Path, how: str) -> None:
    config, tensors = folder / "config.json", folder / "model.safetensors"
    if how == "no config":
        config.unlink()
    elif how == "no weights":
        tensors.unlink()
    elif how == "cut config":
        config.write_bytes(config.read_bytes()[:-10])
    elif how == "cut weights":
        tensors.write_bytes(tensors.read_bytes()[:-10])
    elif how == "flipped weights":
        content = bytearray(tensors.read_bytes())
        content[-10] ^= 1
        tensors.write_bytes(content)
    else:
        content = json.loads(config.read_text())
        entry, value = how.split("=")
        if value == "gone":
            del content[entry]
        else:
            content[entry] = json.loads(value)
        config.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no config", "config.json is missing: this folder holds no finished run"),
        ("no weights", "model.safetensors is missing: this folder holds no finished run"),
        ("cut config", r"config.json cannot be read or is damaged \(.*\); restore it or train anew"),
        ("cut weights", r"model.safetensors cannot be read or is damaged \(.*\); restore it or train anew"),
        ("flipped weights", r"model.safetensors is damaged \(its digest differs\); restore it or train anew"),
        ("identity=gone", "holds no model of ncsn; name a folder that NCSN.save wrote"),
        ('identity="0"', "holds files of two different saves; save the model again"),
        ("plan=gone", r"is damaged or another version's \('plan'\); restore it or train anew"),
        ("plan={}", "damaged or another version's"),
        ('plan={"choices": []}', "damaged or another version's"),
        ("form=null", "damaged or another version's"),
        ("standardizer=[]", "damaged or another version's"),
        ('parameters={"method": "edn"}', "damaged or another version's .*did you mean 'edm'"),
        ('parameters={"colour": 1}', "damaged or another version's"),
        ("shape=[5]", "this version has another network than the one that .* was trained with: size mismatch for"),
        ("custom_network=true", r"was trained with a network of its own; pass it: NCSN.load\(folder, score_net=...\)"),
    ],
)
def test_damaged_models_are_refused_in_one_line(tmp_path: Path, how: str, message: str) -> None:
    trained(0).save(tmp_path)
    NCSN.load(tmp_path)
    damage(tmp_path, how)
    with pytest.raises(RunError, match=message) as caught:
        NCSN.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere/config\.json is missing: this folder holds no finished run"):
        NCSN.load(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RunError, match=r"model.safetensors cannot be read or is damaged"):
        NCSN.load(tmp_path)


def test_a_failed_save_leaves_the_older_model(tmp_path: Path) -> None:
    old, new = trained(0), trained(1, width=64)
    old.save(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    # the configuration, of some kilobytes, comes after the weights
    size = (tmp_path / "model.safetensors").stat().st_size
    for limit in (100, 2 * size):
        with disk_full_after(limit), pytest.raises(RunError, match=r"cannot write .*: File too large; free space or"):
            new.save(tmp_path)
        with unwritable(tmp_path), pytest.raises(RunError, match="Permission denied"):
            new.save(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == names
        np.testing.assert_array_equal(NCSN.load(tmp_path).sample(3), old.sample(3))
    new.save(tmp_path)
    np.testing.assert_array_equal(NCSN.load(tmp_path).sample(3), new.sample(3))


def test_weights_of_one_save_with_the_configuration_of_another_are_refused(tmp_path: Path) -> None:
    x = white(30, 2)
    # the same weights, in other units
    gaussian(x).save(tmp_path / "a")
    gaussian(x * 4).save(tmp_path / "b")
    (tmp_path / "a" / "config.json").replace(tmp_path / "b" / "config.json")
    with pytest.raises(RunError, match="holds files of two different saves; save the model again"):
        NCSN.load(tmp_path / "b")


def test_folders_that_cannot_be_made(tmp_path: Path) -> None:
    model = trained(0)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot make folder .*/file: File exists; choose another"):
        model.save(tmp_path / "file")
    with pytest.raises(RunError, match=r"cannot make folder .*/file/run: Not a directory; choose another"):
        model.save(tmp_path / "file" / "run")
    with unwritable(tmp_path), pytest.raises(RunError, match="cannot make folder"):
        model.save(tmp_path / "run")
    with pytest.raises(NotFittedError):
        NCSN().save(tmp_path / "run")
    intervals = pd.DataFrame(white(20, 2), columns=[pd.Interval(0, 1), pd.Interval(1, 2)])
    with pytest.raises(RunError, match=r"the column label .* cannot be saved"):
        gaussian(intervals).save(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# Networks of one's own


class LabelledNetwork(nn.Module):
    """A score network that takes labels, with -1 for none."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.input_dim = 2
        self.embedding = nn.Embedding(3, 2)
        self.first, self.last = nn.Linear(5, width), nn.Linear(width, 2)

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        codes = torch.full((len(x),), -1) if label is None else label
        level = sigma.log().expand(len(x))
        inputs = torch.cat([x, level[:, None], self.embedding(codes % 3)], dim=1)
        score: Tensor = self.last(nn.functional.silu(self.first(inputs))) / level.exp()[:, None]
        return score


def test_own_network_is_copied_trained_saved_and_loaded(tmp_path: Path) -> None:
    network = LabelledNetwork()
    before = network.first.weight.clone()
    x, side = clusters(60)
    model = NCSN(network, training_steps=5, random_state=0).fit(x, side)
    assert torch.equal(network.first.weight, before)
    assert isinstance(model.score_model_, LabelledNetwork)
    assert not torch.equal(model.score_model_.first.weight, before)
    model.save(tmp_path)
    with pytest.raises(RunError, match=r"pass it: NCSN.load\(folder, score_net=...\)"):
        NCSN.load(tmp_path)
    with pytest.raises(
        RunError, match=r"score_net is not the network that .* was trained with: size mismatch"
    ) as caught:
        NCSN.load(tmp_path, score_net=LabelledNetwork(17))
    assert "\n" not in str(caught.value)
    other = LabelledNetwork()
    loaded = NCSN.load(tmp_path, score_net=other)
    assert loaded.score_net is other
    assert not torch.equal(other.first.weight, model.score_model_.first.weight)
    np.testing.assert_array_equal(loaded.sample(4, label="left"), model.sample(4, label="left"))


class WrongShape(LabelledNetwork):
    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        return x[:, :1]


@pytest.mark.parametrize(
    ("network", "y", "message"),
    [
        (lambda x, sigma: -x, None, "score_net must be a torch.nn.Module with weights to train, not function"),
        (nn.Identity(), None, "score_net must be a torch.nn.Module with weights to train, not Identity"),
        (NCSNScoreNetwork(3, [8]), None, r"score_net\(x, sigma\) on rows of shape \(2,\) fails: .*"),
        (nn.Linear(2, 2), None, r"score_net\(x, sigma\) on rows of shape \(2,\) fails: .*positional arguments"),
        (WrongShape(), None, r"score_net\(x, sigma\) on rows .* must return a score of shape \(2, 2\), not \(2, 1\)"),
        (
            NCSNScoreNetwork(2, [8]),
            [0, 1] * 10,
            r"score_net\(x, sigma, label=label\) .* fails: .*unexpected keyword .*label",
        ),
    ],
)
def test_networks_that_break_the_contract_are_refused(network: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        NCSN(network, training_steps=3, random_state=0).fit(white(20, 2), y)
    assert "\n" not in str(caught.value)


# The page's own loop


def flat_weights(network: nn.Module | None) -> Tensor:
    assert network is not None
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def page_model(**settings: Any) -> NCSN:
    torch.manual_seed(0)
    return NCSN(
        NCSNScoreNetwork(input_dim=2, hidden_dims=[32, 32]), sigma_min=0.01, sigma_max=5.0, n_sigmas=10, **settings
    )


def test_the_page_s_loop_learns_and_samples() -> None:
    ncsn = page_model(lr=1e-2)
    data = torch.tensor(clusters(500)[0], dtype=torch.float32)
    data = (data - data.mean(0)) / data.std(0)
    losses = [ncsn.train_step(data[torch.randperm(len(data))[:128]])["loss"] for _ in range(500)]
    halves = [data[data[:, 0] < 0], data[data[:, 0] > 0]]
    means, covariances = torch.stack([h.mean(0) for h in halves]), torch.stack([h.T.cov() for h in halves])
    exact = GaussianMixtureScore([len(half) for half in halves], means, covariances)
    least = ncsn_loss(exact, data.repeat(40, 1), ncsn.sigmas, weighting="edm").item()
    assert np.mean(losses[:20]) > 1.4 * least
    assert np.mean(losses[-100:]) < 1.2 * least
    generated = ncsn.sample(1000, n_steps_per_sigma=20, step_size=1e-4)
    assert isinstance(generated, Tensor)
    assert (generated.shape, generated.dtype) == ((1000, 2), torch.float32)
    distance = (generated.abs() - 1).abs()
    assert float(distance.median()) < 0.2
    assert float((distance.amax(dim=1) < 0.6).float().mean()) > 0.9


def test_the_page_s_first_argument_order_and_defaults() -> None:
    network = NCSNScoreNetwork(2, [8])
    ncsn = NCSN(network, 0.02, 4.0, 7, 1e-2)
    assert (ncsn.score_net, ncsn.sigma_min, ncsn.sigma_max, ncsn.n_sigmas, ncsn.lr) == (network, 0.02, 4.0, 7, 1e-2)
    np.testing.assert_allclose(ncsn.sigmas, np.geomspace(4.0, 0.02, 7), rtol=1e-6)
    np.testing.assert_allclose(NCSN(network).sigmas, np.geomspace(10.0, 0.01, 10), rtol=1e-6)
    before = network.get_parameter("network.output.bias").detach().clone()
    ncsn.train_step(torch.randn(16, 2))
    # Adam's first step is the learning rate, for each weight
    moved = (network.get_parameter("network.output.bias").detach() - before).abs()
    torch.testing.assert_close(moved, torch.full((2,), 1e-2), rtol=1e-3, atol=0.0)


def test_page_samples_are_annealed_langevin_of_the_averaged_network() -> None:
    ncsn = page_model(random_state=0)
    for _ in range(3):
        ncsn.train_step(torch.randn(16, 2))
    states: list[State] = []
    sampled = ncsn.sample(50, 4, 1e-4, random_state=7, callback=states.append)
    average = ncsn._stepper.average.model
    generator = torch.Generator().manual_seed(7)
    expected = annealed_langevin_dynamics(average, ncsn.sigmas, 50, 2, 4, 1e-4, generator=generator)
    assert torch.equal(sampled, expected)
    assert states[-1].evaluations == 41
    assert not torch.equal(sampled, ncsn.sample(50, 4, 1e-4, random_state=7, denoise_last=False))
    assert ncsn.sample(3).shape == (3, 2)
    assert ncsn.sample(3, sampler="heun", steps=5).shape == (3, 2)


def test_page_loop_repeats_with_a_seed() -> None:
    def weights_after() -> Tensor:
        ncsn = page_model(random_state=4)
        torch.manual_seed(torch.seed())
        for _ in range(3):
            ncsn.train_step(torch.ones(8, 2))
        return flat_weights(ncsn.score_net)

    assert torch.equal(weights_after(), weights_after())


def test_sampling_elsewhere_leaves_the_model_where_it_is() -> None:
    ncsn = page_model()
    ncsn.train_step(torch.randn(8, 2))
    fitted = trained(0)
    for model in (ncsn, fitted):
        with pytest.raises((RuntimeError, NotImplementedError)):
            # this device holds no values to sample from, but a model that is moved there loses its own
            model.sample(3, device="meta")
    ncsn.train_step(torch.randn(8, 2))
    assert ncsn.sample(3).isfinite().all()
    assert np.isfinite(fitted.sample(3)).all()


def test_page_calls_that_cannot_work_say_why() -> None:
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        page_model().sample(10)
    with pytest.raises(ValueError, match=r"train_step needs a score_net: NCSN\(NCSNScoreNetwork\(input_dim=...\)\)"):
        NCSN().train_step(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="fit has trained this model; for a loop of your own, take a new NCSN"):
        NCSN(NCSNScoreNetwork(2, [8]), training_steps=1).fit(white(20, 2)).train_step(torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"must be a torch\.nn\.Module with weights to train, not function"):
        NCSN(lambda x, sigma: -x).train_step(torch.zeros(4, 2))  # type: ignore[arg-type]
    for batch in (np.zeros((4, 2)), torch.zeros(4, 2, dtype=torch.long), torch.zeros(4), torch.zeros(0, 2)):
        with pytest.raises(DataError, match=r"train_step takes a tensor of floating-point rows, \(N, D\), not"):
            page_model().train_step(batch)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sigma_min must be below sigma_max"):
        NCSN(NCSNScoreNetwork(2, [8]), sigma_min=5.0, sigma_max=1.0).train_step(torch.zeros(4, 2))
    ncsn = page_model()
    ncsn.train_step(torch.randn(8, 2))
    with pytest.raises(NotFittedError):
        ncsn.score_samples(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="fitted without labels"):
        ncsn.sample(3, label=1)
    with pytest.raises(ValueError, match="n_samples must be a whole number of at least 1, not 0"):
        ncsn.sample(0)
    shapeless = NCSN(nn.Sequential())
    shapeless.score_net = LabelledNetwork()
    del shapeless.score_net.input_dim
    shapeless.train_step(torch.randn(8, 2))
    with pytest.raises(ValueError, match=r"sample needs score_net.input_dim, the number of columns; or call fit\(X\)"):
        shapeless.sample(3)


def test_a_loss_that_is_not_finite_leaves_the_page_s_weights() -> None:
    ncsn = page_model()
    ncsn.train_step(torch.randn(8, 2))
    before = flat_weights(ncsn.score_net)
    with pytest.raises(
        DivergenceError, match="the loss is not finite: check the batch for extreme values, or lower lr"
    ):
        ncsn.train_step(torch.full((8, 2), 1e38))
    assert torch.equal(flat_weights(ncsn.score_net), before)


def test_fit_after_a_loop_takes_over() -> None:
    ncsn = page_model(training_steps=2, random_state=0)
    ncsn.train_step(torch.randn(8, 2))
    samples = ncsn.fit(white(20, 2) * 1e6).sample(20)
    assert isinstance(samples, np.ndarray)
    assert np.abs(samples).max() > 1e5


# Bad input

NAN = white(10, 3)
NAN[6, 1] = np.nan
INFINITE = white(10, 3)
INFINITE[2, 0], INFINITE[4, 2] = np.inf, -np.inf


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (NAN, "X: a missing or infinite cell in row 7, column 2; fill them, or drop those rows"),
        (INFINITE, "X: 2 cells are missing or infinite, the first in row 3, column 1"),
        (torch.tensor(NAN), "row 7, column 2"),
        (pd.DataFrame(NAN, columns=["a", "b", "c"]), "row 7, column 'b'"),
        (pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": pd.array([1, None, 3], dtype="Int64")}), "row 2, column 'b'"),
        (NAN.reshape(10, 3, 1), "X: a missing or infinite cell in row 7; fill"),
        (white(10, 2)[:1], r"Found array with 1 sample\(s\) .* while a minimum of 2 is required by NCSN"),
        (torch.zeros(1, 2), r"Found array with 1 sample\(s\)"),
        (np.zeros((1, 4, 4)), r"Found array with 1 sample\(s\)"),
        (np.zeros((0, 2)), r"Found array with 0 sample\(s\)"),
        (np.zeros((5, 0)), r"Found array with 0 feature\(s\)"),
        (np.ones((9, 3)), "every column is constant: there is nothing to learn"),
        (np.ones((9, 3, 3)), "every column is constant"),
        (np.zeros(9), r"expected rows, .* not 1 axes. Reshape your data by X.reshape\(-1, 1\) if it is one column"),
        (torch.zeros(9), "expected rows"),
        (pd.Series([1.0, 2.0]), "expected rows"),
        (np.zeros((4, 2), dtype=complex), "X holds complex numbers; give real ones"),
        (torch.zeros(4, 2, dtype=torch.complex64), "X holds complex numbers; give real ones"),
        (np.zeros((4, 2, 2), dtype=complex), "X holds complex numbers"),
        (
            pd.DataFrame({"a": [1.0, 2.0], "town": ["Ulm", "Bonn"]}),
            "column 'town' holds str, not numbers; encode it, drop it",
        ),
        (np.array([["a", "b"], ["c", "d"]]), "could not convert string"),
        ([[1.0, 2.0], [3.0]], "inhomogeneous"),
    ],
)
def test_bad_data_are_refused_in_one_line(x: Any, message: str) -> None:
    model = NCSN(training_steps=1, **SMALL)
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(x)
    with pytest.raises(NotFittedError):
        model.sample(1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma_min": 5.0, "sigma_max": 1.0}, "sigma_min must be below sigma_max, not 5 and 1: change one of them"),
        ({"sigma_min": 1.0, "sigma_max": 1.0}, "sigma_min must be below sigma_max"),
        ({"sigma_max": -1.0}, "sigma_max must be a positive finite number, not -1.0"),
        ({"sigma_min": float("nan")}, "sigma_min must be a positive finite number, not nan"),
        ({"n_sigmas": 0}, "n_sigmas must be a whole number of at least 1, not 0"),
        ({"lr": 0.0}, "learning_rate must be a positive finite number, not 0.0"),
        ({"training_steps": -5}, "training_steps must be a whole number of at least 1, not -5"),
        ({"training_steps": 2.5}, "training_steps must be a whole number of at least 1, not 2.5"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"width": -8}, "width must be a whole number of at least 1, not -8"),
        ({"n_blocks": 0}, "n_blocks must be a whole number of at least 1, not 0"),
        ({"dropout": 1.5}, "dropout must be at least 0 and below 1, not 1.5"),
        ({"method": "edn"}, "unknown method 'edn'; did you mean 'edm'"),
        ({"method": None}, "unknown method None; known: "),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"mixed_precision": "fp64"}, "unknown mixed precision 'fp64'; did you mean"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    model = NCSN(**(SMALL | {"training_steps": 1} | settings))
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(white(20, 2))
    assert "\n" not in str(caught.value)
    with pytest.raises(NotFittedError):
        model.sample(1)


def test_labels_that_do_not_fit_are_refused() -> None:
    model = NCSN(training_steps=1, **SMALL)
    with pytest.raises(DataError, match="3 labels for 20 rows; one label per row is needed"):
        model.fit(white(20, 2), [0, 1, 0])
    with pytest.raises(DataError, match="labels are fractions, as of a regression"):
        model.fit(white(20, 2), white(20, 1))
    with pytest.raises(DataError, match="the label of row 1 is missing"):
        model.fit(white(20, 2), [None] + ["a"] * 19)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"n_samples": 0}, "n_samples must be a whole number of at least 1, not 0"),
        ({"n_samples": -3}, "n_samples must be a whole number of at least 1, not -3"),
        ({"n_samples": 2.5}, "n_samples must be a whole number of at least 1, not 2.5"),
        ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1, not 0"),
        ({"n_steps_per_sigma": 0}, "n_steps_per_sigma must be a whole number of at least 1, not 0"),
        ({"step_size": -1.0}, "step_size must be positive and finite, not -1.0"),
        ({"sampler": "huen"}, r"unknown sampler 'huen'; did you mean 'heun'\? known: "),
        ({"label": "left"}, r"the model was fitted without labels; fit\(X, y\) makes it class-conditional"),
    ],
)
def test_samples_that_cannot_be_drawn(call: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
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
    model.sample(2, steps=6, callback=states.append)
    # one evaluation for each interval, and denoising one
    assert states[-1].evaluations == 6
    assert (states[0].sigma, states[-2].sigma) == pytest.approx((model.plan_.sigma_max, model.plan_.sigma_min))


def test_unknown_labels_are_refused(conditional: NCSN) -> None:
    with pytest.raises(ValueError, match="unknown label 'lefft'; did you mean 'left'"):
        conditional.sample(2, label="lefft")
    with pytest.raises(ValueError, match="3 labels for 2 rows; give one, or one for each"):
        conditional.sample(2, label=["left"] * 3)
    with pytest.raises(ValueError, match="unknown label 0; known: left, right"):
        conditional.score_samples(clusters()[0], label=0)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (white(5, 3), "X has 3 features, but NCSN is expecting 2 features as input"),
        (white(5, 4).reshape(5, 2, 2), r"rows of shape \(2, 2\) given; the model was fitted on \(2,\)"),
        (torch.zeros(5, 1), "X has 1 features, but NCSN is expecting 2"),
        (pd.DataFrame(white(5, 2), columns=["b", "a"]), r"another order than fitted; reorder them as \['a', 'b'\]"),
        (pd.DataFrame(white(5, 2), columns=["a", "c"]), r"the columns lack \['b'\] and have besides \['c'\]"),
        (pd.DataFrame({"a": [1.0, np.nan], "b": [1, 2]}), "row 2, column 'a'"),
        (np.zeros((0, 2)), r"Found array with 0 sample\(s\)"),
        (np.zeros(2), "expected rows"),
    ],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_rows_that_do_not_fit_the_model_are_refused(x: Any, message: str) -> None:
    model = gaussian(pd.DataFrame(white(20, 2), columns=["a", "b"]))
    calls: list[Callable[[Any], Any]] = [model.score_samples, model.score, lambda rows: model.score_function(rows, 1.0)]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call(x)


def test_flat_rows_are_no_images() -> None:
    model = gaussian(white(20, 4).reshape(20, 2, 2))
    with pytest.raises(DataError, match=r"rows of shape \(4,\) given; the model was fitted on \(2, 2\)"):
        model.score_samples(np.zeros((3, 4)))


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_levels_that_are_not_positive_are_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma must be positive and finite, not"):
        trained(0).score_function(white(3, 2), sigma)


def test_what_is_not_fitted_says_so() -> None:
    x = np.zeros((2, 2))
    calls: list[Callable[[], Any]] = [
        NCSN().sample,
        lambda: NCSN().score_samples(x),
        lambda: NCSN().score(x),
        lambda: NCSN().score_function(x, 1.0),
    ]
    for call in calls:
        with pytest.raises(NotFittedError, match="This NCSN instance is not fitted yet"):
            call()


def test_a_training_that_diverges_leaves_no_model() -> None:
    model = NCSN(training_steps=60, **(SMALL | {"lr": 1e30}))
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        model.fit(white(20, 2))
    with pytest.raises(NotFittedError):
        model.sample(1)


def test_precision_and_device_follow_each_model() -> None:
    for precision in ("bf16", "no"):
        told: list[Progress] = []
        NCSN(training_steps=2, device="cpu", mixed_precision=precision, **SMALL).fit(white(20, 2), callback=told.append)
        assert told[0].trainer.accelerator.mixed_precision == precision

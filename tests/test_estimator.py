"""The estimator: scikit-learn's own checks, what goes in comes out, seeds, and what is said of bad input."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator
from small_models import SMALL, gaussian, log_normal, trained, weights, white
from torch import Tensor

from ncsn import NCSN, NCSNScoreNetwork
from ncsn.errors import DataError, SettingError
from ncsn.training import Progress

EXPECTED_FAILURES = {
    check: "the solver carries all rows together in single precision, so their log-densities agree to its tolerance, 1e-5, "
    "not to 1e-7; test_rows_do_not_depend_on_their_neighbours holds them to that"
    for check in ("check_methods_sample_order_invariance", "check_methods_subset_invariance")
}


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


class Needing(NCSN):
    """An estimator of one's own that cannot be made without an argument."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(training_steps=1, random_state=0, width=8, n_blocks=1)


def test_an_estimator_of_ones_own_may_need_arguments() -> None:
    model = Needing("x").fit(white(20, 2))
    assert (model.n_features_in_, model.sample(3).shape) == (2, (3, 2))


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
    # what is drawn for counts and flags is another draw each time; numbers that do not repeat have one density
    assert model.model_.is_bound and np.isfinite(model.score_samples(x.iloc[:5])).all()
    numbers = x[["size", "ratio"]]
    model = gaussian(numbers)
    np.testing.assert_allclose(model.score_samples(numbers.iloc[:5]), model.score_samples(numbers)[:5], atol=2e-3)


def test_tables_of_any_kind_come_back_as_they_were() -> None:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2021-05-01") + pd.to_timedelta(rng.integers(0, 400, 60), unit="D")
    x = pd.DataFrame(
        {
            "key": [f"A-{i:04}" for i in range(60)],
            "town": rng.choice(["Ulm", "Bonn"], 60),
            "bought": days.strftime("%d.%m.%Y"),
            "sold": days + pd.Timedelta(3, "D"),
            "size": pd.Categorical(rng.choice(["small", "large"], 60), ["small", "medium", "large"], ordered=True),
            "paid": np.where(rng.random(60) < 0.3, np.nan, np.round(rng.normal(30, 5, 60), 2)),
            "member": pd.array([True, False, None] * 20, dtype="boolean"),
        }
    )
    model = gaussian(x)
    samples = model.sample(200)
    assert samples.dtypes.equals(x.dtypes) and samples.columns.equals(x.columns)
    assert samples["key"].tolist() == [f"A-{i:04}" for i in range(60, 260)]
    assert set(samples["town"]) == {"Ulm", "Bonn"} and set(samples["size"]) == {"small", "large"}
    bought = pd.to_datetime(samples["bought"], format="%d.%m.%Y")
    assert bought.between(days.min(), days.max()).all() and (samples["sold"] == samples["sold"].dt.normalize()).all()
    assert samples["paid"].isna().any() and samples["member"].isna().any()
    known = samples["paid"].dropna()
    assert known.between(x["paid"].min(), x["paid"].max()).all() and (known == known.round(2)).all()
    assert np.isfinite(model.score_samples(x)).all()
    assert model.score_samples(x.assign(town="Rome")).tolist() == [-np.inf] * 60


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


@pytest.mark.parametrize("random_state", [-1, 2**32, 1.5, "seed", np.random])
def test_what_is_no_random_state_is_refused(random_state: Any) -> None:
    with pytest.raises(SettingError, match=r"random_state must be None, a whole number from 0 to 2\*\*32 - 1, a numpy"):
        trained(random_state)
    with pytest.raises(SettingError, match="random_state must be"):
        trained(0).sample(2, random_state=random_state)


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
        (pd.DataFrame(INFINITE, columns=["a", "b", "c"]), "X: 2 cells are infinite, the first in row 3, column 'a'"),
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
            pd.DataFrame({"a": [1.0, 2.0], "town": [["Ulm"], ["Bonn"]]}),
            "column 'town' holds list, which is neither numbers, text, categories nor dates; convert it",
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
        ({"method": None}, "method must be a name or a Method, not None"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"mixed_precision": "fp64"}, "unknown mixed precision 'fp64'; did you mean"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    model = NCSN(**(SMALL | {"training_steps": 1} | settings))
    with pytest.raises(SettingError, match=message) as caught:
        model.fit(white(20, 2))
    assert "\n" not in str(caught.value)
    with pytest.raises(NotFittedError):
        model.sample(1)


def test_labels_that_do_not_fit_are_refused() -> None:
    model = NCSN(training_steps=1, **SMALL)
    with pytest.raises(DataError, match="3 labels for 20 rows; one label per row is needed"):
        model.fit(white(20, 2), [0, 1, 0])
    # fractions are no labels: of a regression, they are contexts
    assert model.fit(white(20, 2), white(20, 1)).classes_ is None and model.model_.contexts is not None
    with pytest.raises(DataError, match="the label of row 1 is missing"):
        model.fit(white(20, 2), [None] + ["a"] * 19)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (white(5, 3), r"rows of shape \(3,\) given; the model was fitted on \(2,\)"),
        (white(5, 4).reshape(5, 2, 2), r"rows of shape \(2, 2\) given; the model was fitted on \(2,\)"),
        (torch.zeros(5, 1), r"rows of shape \(1,\) given; the model was fitted on \(2,\)"),
        (pd.DataFrame(white(5, 2), columns=["b", "a"]), r"another order than fitted; reorder them as \['a', 'b'\]"),
        (pd.DataFrame(white(5, 2), columns=["a", "c"]), r"the columns lack \['b'\] and have besides \['c'\]"),
        (pd.DataFrame({"a": [1.0, np.nan], "b": [1, 2]}), "row 2, column 'a'"),
        (np.zeros((0, 2)), "X: 0 rows; at least 1 is needed"),
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


def test_precision_and_device_follow_each_model() -> None:
    for precision in ("bf16", "no"):
        told: list[Progress] = []
        NCSN(training_steps=2, device="cpu", mixed_precision=precision, **SMALL).fit(white(20, 2), callback=told.append)
        assert told[0].trainer.accelerator.mixed_precision == precision

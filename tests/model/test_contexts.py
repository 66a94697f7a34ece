"""Contexts: what is known of each row besides, told to the network, against closed forms."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from small_models import SMALL, white
from torch import Tensor, nn

from ncsn import NCSN, Model
from ncsn.errors import DataError, SettingError
from ncsn.likelihood import log_density
from ncsn.model.training_data import TrainingData

Array = npt.NDArray[np.float64]

SHARE, REST = 0.8, 0.6
"""x = 0.8 c + 0.6 e: the context's part, and the rest's, of standard normal x."""


class ExactGivenContext(nn.Module):
    """The exact score of x = 0.8 c + 0.6 e, given c and, where c is NaN, of x alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        noise = sigma.square().reshape(-1, 1)
        given = (SHARE * context.nan_to_num() - x) / (REST**2 + noise)
        return torch.where(context.isnan(), -x / (1 + noise), given) + 0 * self.weight


def pairs(n: int = 500) -> tuple[Array, Array]:
    """Return x and c, both of mean 0 and variance 1 to rounding, so that their encodings leave them as they are."""
    c, e = white(n, 2).T[:, :, None]
    return SHARE * c + REST * e, c


EXACT: dict[str, Any] = {"training_steps": 1, "lr": 1e-12, "sigma_min": 1e-3, "sigma_max": 20.0, "random_state": 0}


@pytest.fixture(scope="module")
def exact() -> NCSN:
    x, c = pairs()
    with pytest.warns(UserWarning, match="trained as the score"):
        return NCSN(ExactGivenContext(), **EXACT).fit(x, context=c)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_as_many_rows_as_asked_for_are_trained_without(share: float) -> None:
    seen: list[Tensor] = []

    class Recording(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, noise: Tensor, label: Tensor, context: Tensor) -> Tensor:
            if self.training:
                seen.append(torch.stack([label < 0, context[:, 0].isnan()]))
            return self.weight * x

    x, c = pairs()
    y = np.arange(len(x)) % 3
    model = NCSN(network=Recording(), training_steps=20, condition_dropout=share, random_state=0).fit(x, y, context=c)
    label, context = torch.cat(seen, dim=1)
    assert model.plan_.condition_dropout == share
    # half of the rows without either are without both
    for left_out, expected in ((label, share), (context, share), (label & context, share / 2)):
        assert float(left_out.float().mean()) == pytest.approx(expected, abs=4 * 0.5 / len(label) ** 0.5 * (share > 0))


def normal_log_density(x: Array, mean: Array | float, sd: float) -> Array:
    return np.asarray((-0.5 * ((x - mean) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))).sum(1))


def test_log_densities_are_those_given_the_context(exact: NCSN) -> None:
    x, c = pairs()
    given = exact.score_samples(x[:50], context=c[:50])
    np.testing.assert_allclose(given, normal_log_density(x[:50], SHARE * c[:50], REST), atol=1e-3)
    np.testing.assert_allclose(exact.score_samples(x[:50]), normal_log_density(x[:50], 0.0, 1.0), atol=1e-3)
    assert exact.score(x[:50], context=c[:50]) == pytest.approx(given.mean(), abs=1e-5)
    # in several chunks, each with the contexts and means of its own rows
    np.testing.assert_allclose(exact.score_samples(x[:50], context=c[:50], chunk_size=7), given, atol=1e-3)


@pytest.mark.parametrize(
    "context", [1.5, [1.5], [[1.5]], np.array(1.5), torch.tensor([[1.5]]), np.full((4000, 1), 1.5)]
)
def test_one_context_is_that_of_all_samples(exact: NCSN, context: Any) -> None:
    samples = exact.sample(4000, context=context, random_state=1)
    # 4 standard errors
    assert samples.mean() == pytest.approx(SHARE * 1.5, abs=4 * REST / np.sqrt(4000))
    assert samples.std() == pytest.approx(REST, rel=4 / np.sqrt(2 * 4000))


def test_each_sample_has_the_context_of_its_row(exact: NCSN) -> None:
    c = np.linspace(-2, 2, 6000)[:, None]
    samples = exact.sample(6000, context=c, random_state=1, chunk_size=1000)
    slope, offset = np.polyfit(c[:, 0], samples[:, 0], 1)
    assert slope == pytest.approx(SHARE, abs=4 * REST / np.sqrt(6000) / c.std())
    assert offset == pytest.approx(0, abs=4 * REST / np.sqrt(6000))
    assert (samples - SHARE * c).std() == pytest.approx(REST, rel=4 / np.sqrt(2 * 6000))
    # as many as in one chunk, and the first of more
    np.testing.assert_allclose(exact.sample(5, context=c[:5], random_state=1), samples[:5], atol=1e-5)


def test_without_a_context_samples_are_those_of_all(exact: NCSN) -> None:
    samples = exact.sample(4000, random_state=1)
    assert samples.mean() == pytest.approx(0, abs=4 / np.sqrt(4000))
    assert samples.std() == pytest.approx(1, rel=4 / np.sqrt(2 * 4000))


def test_samples_start_about_the_mean_that_the_context_tells(exact: NCSN) -> None:
    # at a largest level near the spread of the data, a start about the mean of all would show
    levels = [2.0, 1.5, 1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.01]
    samples = exact.sample(20_000, context=2.0, levels=levels, sampler="heun", random_state=0)
    # denoised at level 2 the mean lies 0.6^2 / (0.6^2 + 2^2) of the way short, and the walk takes that to 0.6 / 2.09 of it
    short = SHARE * 2 * REST**2 / (REST**2 + 4) * REST / np.hypot(REST, 2)
    assert samples.mean() == pytest.approx(SHARE * 2 - short, abs=4 * REST / np.sqrt(20_000) + 0.005)


def test_scores_latents_and_gaps_given_the_context(exact: NCSN) -> None:
    x, c = pairs()
    sigma = 0.5
    expected = (SHARE * c[:20] - x[:20]) / (REST**2 + sigma**2)
    np.testing.assert_allclose(exact.score_function(x[:20], sigma, context=c[:20]), expected, rtol=1e-4, atol=1e-5)
    model: Model = exact.model_
    latents = model.encode(x[:20], context=c[:20])
    # the flow keeps the distance to the mean in standard deviations
    z = (latents.numpy() - SHARE * c[:20]) / np.hypot(REST, 20)
    np.testing.assert_allclose(z, (x[:20] - SHARE * c[:20]) / np.hypot(REST, 1e-3), atol=2e-3)
    np.testing.assert_allclose(model.decode(latents, context=c[:20]), x[:20], atol=2e-3)
    way = model.interpolate(x[:20], x[20:40], 5, context=c[:20])
    np.testing.assert_allclose(way.reshape(20, 5)[:, [0, -1]], np.hstack([x[:20], x[20:40]]), atol=5e-3)
    filled = exact.impute(np.full((2000, 1), np.nan), context=-1.0, random_state=0, steps=30, n_sweeps=1)
    assert filled.mean() == pytest.approx(-SHARE, abs=4 * REST / np.sqrt(2000) + 0.02)


def test_guidance_moves_away_from_what_is_drawn_without_context(exact: NCSN) -> None:
    none, strong = (exact.sample(4000, context=1.0, guidance=weight, random_state=1) for weight in (0.0, 2.0))
    plain = exact.sample(4000, context=1.0, random_state=1)
    np.testing.assert_allclose(exact.sample(4000, context=1.0, guidance=1.0, random_state=1), plain, atol=1e-4)
    assert none.mean() == pytest.approx(0, abs=4 / np.sqrt(4000))
    # at level 0 the guided score is that of a Gaussian of precision 2 / 0.36 - 1, but the levels above pull otherwise
    assert strong.mean() > plain.mean() + 0.05
    with pytest.raises(SettingError, match="guidance needs a label or a context to guide to: give label or context"):
        exact.sample(5, guidance=2.0)


def test_the_spread_at_the_start_is_that_about_the_means_that_contexts_tell(exact: NCSN) -> None:
    moments = exact.model_.moments
    assert moments.residual is not None
    # the denoised at level 20 lies 0.6^2 / 20^2 of the way to the mean of all
    assert moments.residual.item() == pytest.approx(REST**2, rel=5e-3)
    assert moments.covariances.shape == (1, 1, 1)


def test_a_saved_model_has_its_contexts(exact: NCSN, tmp_path: Path) -> None:
    exact.save(tmp_path)
    loaded = NCSN.load(tmp_path, score_net=ExactGivenContext())
    for context in (None, 1.5):
        np.testing.assert_array_equal(
            loaded.sample(9, context=context, random_state=1), exact.sample(9, context=context, random_state=1)
        )


# What contexts may be


def people(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.normal(40, 10, n).round(1)
    age[::7] = np.nan
    return pd.DataFrame({"group": rng.choice(["a", "b", "c"], n), "age": age, "dose": rng.choice([5, 10, 20], n)})


@pytest.fixture(scope="module")
def of_people() -> NCSN:
    settings: dict[str, Any] = SMALL | {"training_steps": 3}
    return NCSN(**settings).fit(white(300, 2), context=people())


def test_a_table_of_contexts_is_encoded_like_any_table(of_people: NCSN) -> None:
    model, frame = of_people.model_, people()
    assert model.contexts is not None
    alone = TrainingData.of(frame).encoding
    assert model.contexts.same_data(alone)
    assert model.plan.context_dim == alone.shape[0]
    said = {choice.name: choice for choice in model.plan.choices}["context_dim"]
    assert said.rule == "the contexts, encoded"
    # the same context in each form
    row = frame.iloc[[1]]
    forms = [row, row.iloc[0].to_dict(), {"dose": str(row["dose"].iloc[0])} | row[["group", "age"]].iloc[0].to_dict()]
    forms += [row.iloc[0], row.iloc[0][["dose", "age", "group"]]]
    drawn = [of_people.sample(3, context=form, random_state=0) for form in forms]
    for other in drawn[1:]:
        np.testing.assert_array_equal(drawn[0], other)
    assert not np.array_equal(drawn[0], of_people.sample(3, context=frame.iloc[[2]], random_state=0))
    # a gap where training had some
    assert np.isfinite(of_people.sample(3, context=frame.iloc[[0]], random_state=0)).all()


@pytest.mark.parametrize(
    ("context", "error", "message"),
    [
        (
            {"group": "a", "age": 30},
            SettingError,
            r"the context has no dose; .* given group, age, dose: give all of them",
        ),
        ({"group": "a", "age": 30, "does": 5}, SettingError, r"unknown column of the context 'does'"),
        ({"group": "z", "age": 30, "dose": 5}, SettingError, r"context, column 'group': 'z' is none of"),
        ({"group": "a", "age": 30, "dose": None}, SettingError, r"context, column 'dose': no value is given"),
        (people().assign(group="z").iloc[:1], DataError, r"context: row 1, column 'group' holds 'z'"),
        (people().iloc[:2], SettingError, r"2 contexts for 3 rows; give one, or one for each"),
        (people()[["age", "dose"]], DataError, r"the columns lack \['group'\]"),
        (
            {"group": ["a", "b", "c"], "age": 30, "dose": 5},
            SettingError,
            r"column 'group': a mapping has one value for each",
        ),
        (["a", 30], DataError, r"a context has 3 values, not 2; several contexts are rows, \(N, 3\)"),
        (["a", 30, 5] * 3, DataError, r"a context has 3 values, not 9"),
        (30, DataError, r"a context has 3 values, not 1"),
        ([["a", 30, 5], ["a", 30]], DataError, r"context: its rows are not all of one length"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(of_people: NCSN, context: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        of_people.sample(3, context=context)


def test_contexts_of_a_model_without_are_refused() -> None:
    model = NCSN(**SMALL | {"training_steps": 1}).fit(white(50, 2))
    with pytest.raises(SettingError, match=r"fitted without contexts; fit\(X, context=C\) makes it conditional"):
        model.sample(3, context=[1.0])


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (np.ones(49), "49 contexts for 50 rows; one for each is needed"),
        (np.ones(50), "context: every column is constant"),
        (np.r_[np.nan, np.arange(49.0)], "context: a missing or infinite cell in row 1"),
        (np.array(["a"] * 50), "context: not all values are numbers"),
        (np.zeros((50, 4, 4)), "context: every column is constant"),
        (
            white(50, 16).reshape(50, 2, 2, 2, 2),
            r"or images, \(N, H, W\) or \(N, C, H, W\), not of shape \(2, 2, 2, 2\)",
        ),
    ],
)
def test_contexts_that_cannot_be_used_are_refused(context: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        NCSN(**SMALL | {"training_steps": 1}).fit(white(50, 2), context=context)


def test_contexts_far_outside_of_those_of_training_are_said_to_be_so(exact: NCSN) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact.sample(3, context=[3.0], steps=2)
    for context, words in (
        ([40.0], r"the context lies far outside .* 40 standard deviations from the mean .* is a guess"),
        (np.array([[1.0], [-20.0], [2.0]]), "1 of 3 contexts lie far outside of what training had"),
    ):
        with pytest.warns(UserWarning, match=words) as caught:
            exact.sample(3, context=context, steps=2)
        assert caught[0].filename == __file__
    x = np.random.default_rng(0).uniform(size=(20, 4, 4))
    of_images = NCSN(**SMALL | {"training_steps": 1}).fit(x.mean((1, 2))[:, None], context=x)
    # grey levels where training had values from 0 to 1
    with pytest.warns(UserWarning, match=r"those of training had values from 0\.\d+ to 0\.\d+"):
        of_images.sample(1, context=x[0] * 255, steps=2)


def test_numbers_between_those_of_training_are_contexts_and_beyond_them_are_said_to_be_so() -> None:
    ages = pd.DataFrame({"age": np.arange(20, 80).repeat(2)})
    model = NCSN(**SMALL | {"training_steps": 1}).fit(white(120, 1), context=ages)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.sample(2, context={"age": "40.5"}, steps=2).shape == (2, 1)
        model.sample(1, context={"age": 79}, steps=2)
    for context in ({"age": 95}, pd.DataFrame({"age": [95]})):
        with pytest.warns(UserWarning, match="'age': 95 lies beyond what training had, 20 to 79, and is answered like"):
            model.sample(1, context=context, steps=2)
    days = pd.DataFrame({"when": pd.date_range("2020-01-01", periods=60).repeat(2)})
    dated = NCSN(**SMALL | {"training_steps": 1}).fit(white(120, 1), context=days)
    with pytest.warns(UserWarning, match="'when': 2030-01-01 lies beyond what training had, 2020-01-01 to 2020-02-29"):
        dated.sample(1, context={"when": "2030-01-01"}, steps=2)
    for cell in ("old", math.inf):
        with pytest.raises(SettingError, match=r"'age': .* is none of the whole numbers from 20 to 79"):
            model.sample(1, context={"age": cell}, steps=2)


def test_what_is_a_context_cannot_be_given_as_a_column() -> None:
    rows = pd.DataFrame(white(30, 2), columns=["dose", "response"])
    model = NCSN(**SMALL | {"training_steps": 1}).fit(rows[["response"]], context=rows[["dose"]])
    for given in ({"dose": 3.0}, rows[["dose"]].iloc[:2]):
        with pytest.raises(SettingError, match=r"'dose' is a column of the context: give it as context=\{'dose'"):
            model.sample(2, given=given, context={"dose": 3.0})


def test_a_quantity_as_y_is_a_context() -> None:
    x, c = pairs(60)
    settings: dict[str, Any] = SMALL | {"training_steps": 3}
    by_y, by_context = NCSN(**settings).fit(x, c[:, 0]), NCSN(**settings).fit(x, context=c)
    assert by_y.classes_ is None
    np.testing.assert_array_equal(
        by_y.sample(4, context=0.3, random_state=0), by_context.sample(4, context=[0.3], random_state=0)
    )
    with pytest.raises(SettingError, match="y holds fractions, so it is a context, and there is another"):
        NCSN(**settings).fit(x, c[:, 0], context=c)


# The network


class TakesNoContext(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        answer: Tensor = self.layer(x)
        return answer


class SpreadsNaN(TakesNoContext):
    def forward(self, x: Tensor, noise: Tensor, context: Tensor | None = None) -> Tensor:
        assert context is not None
        answer: Tensor = self.layer(x) + context
        return answer


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (TakesNoContext(), r"unexpected keyword argument 'context'. Give its forward a parameter context, \(N, 1\)"),
        (SpreadsNaN(), "answers NaN: a row of NaN stands for no context, and must be taken as such"),
    ],
)
def test_a_network_of_ones_own_must_take_contexts(network: nn.Module, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        NCSN(network=network, training_steps=1).fit(white(50, 2), context=np.arange(50.0))


def test_the_exact_score_of_all_rows_is_no_target_given_contexts() -> None:
    x, c = pairs(60)
    seen: list[Any] = []

    def watch(progress: Any) -> None:
        seen.append(progress.trainer)

    NCSN(**SMALL | {"training_steps": 2}).fit(x, context=c, callback=watch)
    NCSN(**SMALL | {"training_steps": 2}).fit(x, callback=watch)
    told, alone = seen
    assert told._batch().exact is None
    assert alone._batch().exact is not None


# Trained networks


def test_log_density_takes_a_mean_for_each_row() -> None:
    means = torch.tensor([[0.0], [3.0], [-1.0]])

    def score(x: Tensor, sigma: Tensor, *, context: Tensor) -> Tensor:
        return (context - x) / (0.25 + sigma**2)

    how: dict[str, Any] = {"mean": means, "covariance": 0.25, "condition": {"context": means}}
    for size in (1, 2, None):
        values = log_density(score, means + 0.5, 1e-3, 2.0, chunk_size=size, **how)
        np.testing.assert_allclose(values, normal_log_density(np.full((3, 1), 0.5), 0.0, 0.5), atol=1e-3)

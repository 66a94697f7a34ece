"""Draws given columns, and densities of tables, held against tables whose distribution is known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from ncsn import NCSN, GaussianMixtureScore, SettingError
from ncsn.data import Encoding
from ncsn.data.columns.categories import CODE_NOISE
from ncsn.methods import METHODS
from ncsn.model import Model
from ncsn.model.moments import Moments
from ncsn.plan import make_plan

N = 4000


class Exact(nn.Module):
    """An exact score with a weight, which says where it is."""

    def __init__(self, score: GaussianMixtureScore) -> None:
        super().__init__()
        self.score = score
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.score(x, sigma)


def categories_of(shares: dict[tuple[str, str], float]) -> pd.DataFrame:
    """Return a table of two columns in which each pair has its share, exactly."""
    rows = [pair for pair, share in shares.items() for _ in range(round(share * N))]
    return pd.DataFrame(rows, columns=["a", "b"])


SHARES = {("x", "u"): 0.4, ("x", "v"): 0.1, ("y", "u"): 0.05, ("y", "v"): 0.25, ("z", "u"): 0.15, ("z", "v"): 0.05}


def exact_model(table: pd.DataFrame) -> Model:
    """Return a model of a table of categories whose score is exact: a mixture around the codes."""
    encoding = Encoding.fit(table)
    distinct = table.value_counts(normalize=True, dropna=False)
    frame = pd.DataFrame(list(distinct.index), columns=table.columns)
    centres = encoding.encode(frame)
    score = GaussianMixtureScore(distinct.to_numpy(), centres, CODE_NOISE**2)
    rows = encoding.encode(table, generator=torch.Generator().manual_seed(0))
    plan = make_plan(rows, sigma_min=0.02)
    return Model(encoding, plan, METHODS["edm"], Exact(score), Moments.of(rows))


def test_the_bound_is_within_a_twentieth_of_a_nat_of_the_known_probabilities() -> None:
    model = exact_model(categories_of(SHARES))
    pairs = pd.DataFrame(list(SHARES), columns=["a", "b"])
    log_p = model.log_density(pairs, draws=16, generator=torch.Generator().manual_seed(0))
    assert model.is_bound
    np.testing.assert_allclose(log_p, np.log(list(SHARES.values())), atol=0.05)
    # and what is left is on the side of a bound
    assert float(log_p.exp().sum()) <= 1.02
    unseen = pd.DataFrame({"a": ["x", "w"], "b": ["u", "u"]})
    assert model.log_density(unseen)[1] == -math.inf


def test_a_trained_model_has_the_known_probabilities_too() -> None:
    table = categories_of(SHARES).sample(frac=1, random_state=0)
    model = NCSN(random_state=0, training_steps=1500, width=64, n_blocks=2).fit(table)
    pairs = pd.DataFrame(list(SHARES), columns=["a", "b"])
    log_p = model.score_samples(pairs, draws=32, random_state=0)
    shares = np.array(list(SHARES.values()))
    # the mean over the table, which is what a held-out figure is
    assert float((shares * log_p).sum()) == pytest.approx(float((shares * np.log(shares)).sum()), abs=0.05)


def test_draws_given_a_category_have_the_conditional_distribution() -> None:
    model, n = exact_model(categories_of(SHARES)), 1500
    drawn = model.sample(n, given={"a": "y"}, steps=30, generator=torch.Generator().manual_seed(0))
    assert (drawn["a"] == "y").all()
    share = float((drawn["b"] == "v").mean())
    assert share == pytest.approx(25 / 30, abs=4 * math.sqrt(25 / 30 * 5 / 30 / n))


def test_gaps_come_together_as_they_do_and_are_filled_where_asked() -> None:
    shares: dict[tuple[Any, Any], float] = {("x", "u"): 0.5, ("x", None): 0.1, (None, None): 0.3, (None, "v"): 0.1}
    model = exact_model(categories_of(shares))
    drawn = model.sample(4000, generator=torch.Generator().manual_seed(0))
    for missing in itertools.product([False, True], repeat=2):
        share = float(((drawn["a"].isna() == missing[0]) & (drawn["b"].isna() == missing[1])).mean())
        expected = sum(p for pair, p in shares.items() if (pair[0] is None, pair[1] is None) == missing)
        assert share == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 4000) + 0.01)
    both = model.impute(pd.DataFrame({"a": ["x"] * 50, "b": [None] * 50}), generator=torch.Generator().manual_seed(0))
    # of the rows whose cell is there, all that begin with x go on with u
    assert both["b"].eq("u").all()


def test_a_continuous_column_given_a_category_has_its_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["low", "high"], 3000)
    table = pd.DataFrame({"kind": kind, "x": np.where(kind == "low", -2.0, 3.0) + rng.normal(0, 0.5, 3000)})
    model = NCSN(random_state=0, training_steps=1200).fit(table)
    drawn = model.sample(400, given={"kind": "low"}, random_state=0)
    assert (drawn["kind"] == "low").all()
    assert float(drawn["x"].mean()) == pytest.approx(-2.0, abs=0.15)
    assert float(drawn["x"].std()) == pytest.approx(0.5, abs=0.12)
    rows = pd.DataFrame({"x": [-2.0] * 50 + [3.0] * 50})
    assert model.sample(100, given=rows, random_state=0)["kind"].tolist() == ["low"] * 50 + ["high"] * 50


def test_what_is_given_is_checked() -> None:
    model = exact_model(categories_of(SHARES))
    for given, words in (
        ({"c": "x"}, "unknown column 'c'"),
        ({"a": "w"}, "'w' is none of the 3 values"),
        ({"a": None}, "no value is given"),
        (["x"], "a mapping of columns to values"),
        (pd.DataFrame({"a": ["x", "y"]}), "2 rows are given for 3 samples"),
    ):
        with pytest.raises(SettingError, match=words):
            model.sample(3, given=given)
    with pytest.raises(SettingError, match="sampler has no part in samples given"):
        model.sample(3, given={"a": "x"}, sampler="heun")
    array = NCSN(training_steps=2, random_state=0).fit(np.random.default_rng(0).normal(size=(30, 2)))
    with pytest.raises(SettingError, match="data frame"):
        array.sample(3, given={"a": 1})


def test_known_cells_come_back_bit_for_bit_whatever_their_size() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"big": 2**60 + rng.integers(0, 2**58, 60), "x": rng.normal(size=60), "n": pd.array([*range(30)] * 2, "Int64")}
    )
    model = NCSN(training_steps=2, random_state=0).fit(table)
    gaps = table.copy()
    gaps.loc[[3, 5], "x"] = np.nan
    gaps.loc[[3, 9], "n"] = pd.NA
    gaps.index = pd.Index(range(100, 160))
    filled = model.impute(gaps, steps=3, n_sweeps=1)
    assert filled["big"].tolist() == table["big"].tolist() and filled["big"].dtype == np.int64
    assert filled.index.equals(gaps.index) and filled["n"].dtype == "Int64" and filled.notna().all(axis=None)
    known = gaps.notna()
    assert ((filled == table.set_index(gaps.index)) | ~known).all(axis=None)

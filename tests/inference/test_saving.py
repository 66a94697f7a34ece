"""Posteriors that are saved draw, and give densities, as they did before; the simulator is given anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from known_posterior import InOwnUnits, exact_posterior, simulate
from sealing import seal
from sklearn.exceptions import NotFittedError
from torch.distributions import (
    AffineTransform,
    Beta,
    Dirichlet,
    Distribution,
    Gamma,
    Independent,
    InverseGamma,
    LogNormal,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    StudentT,
    TransformedDistribution,
    Uniform,
)

from ncsn import NCSN
from ncsn.errors import RunError, SettingError
from ncsn.inference import Posterior, Prior
from ncsn.inference.plain_priors import parts_from_plain, prior_to_plain

BOX = Uniform(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 3.0]))
"""A prior of two parameters."""

KNOWN: dict[str, Any] = {
    "box": BOX,
    "independent": Independent(BOX, 1),
    "normal": MultivariateNormal(torch.tensor([1.0, 2.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]])),
    "precision": MultivariateNormal(torch.zeros(2), precision_matrix=torch.tensor([[2.0, 0.5], [0.5, 1.0]])),
    "low rank": LowRankMultivariateNormal(
        torch.zeros(3, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    ),
    "double": LogNormal(torch.zeros(2, dtype=torch.float64), 0.3 * torch.ones(2, dtype=torch.float64)),
    "several": [Uniform(2.0, 3.0), Gamma(2.0, 1.5), Beta(0.5, 0.7), StudentT(5.0, 1.0, 2.0), InverseGamma(3.0, 1.0)],
    "simplex": Dirichlet(torch.tensor([1.0, 2.0, 3.0])),
}


class OfMyOwn(Normal):
    """A distribution that torch does not have."""


@pytest.mark.parametrize("prior", KNOWN.values(), ids=KNOWN)
def test_priors_come_back_from_json(prior: Any) -> None:
    before = Prior(prior)
    after = Prior(parts_from_plain(json.loads(json.dumps(prior_to_plain(before)))))
    draws = []
    for each in (before, after):
        torch.manual_seed(0)
        draws.append(each.sample(50))
    # a covariance comes back by its Cholesky factor
    torch.testing.assert_close(draws[0], draws[1])
    torch.testing.assert_close(before.log_prob(draws[0]), after.log_prob(draws[0]))


@pytest.mark.parametrize(
    "prior",
    [OfMyOwn(torch.zeros(2), torch.ones(2)), TransformedDistribution(BOX, [AffineTransform(1.0, 2.0)])],
    ids=["own", "transformed"],
)
def test_priors_that_are_more_than_numbers_are_given_anew(prior: Distribution, tmp_path: Path) -> None:
    posterior = Posterior(simulate, prior, training_steps=2, width=8, random_state=0).fit(20)
    posterior.save(tmp_path / "run")
    with pytest.raises(RunError, match=r"its prior is more than numbers and was not saved; give .*prior="):
        Posterior.load(tmp_path / "run")
    loaded = Posterior.load(tmp_path / "run", prior=prior)
    x = torch.ones(2)
    assert torch.equal(loaded.sample(5, x=x, random_state=1), posterior.sample(5, x=x, random_state=1))


def test_a_posterior_of_sets_is_saved_with_their_encoding(tmp_path: Path) -> None:
    def sets(theta: Any) -> Any:
        return theta[:, None] + torch.randn(len(theta), 4, 2)

    posterior = Posterior(sets, BOX, exchangeable=True, training_steps=3, width=8, random_state=0).fit(40)
    posterior.save(tmp_path)
    loaded = Posterior.load(tmp_path)
    observed = torch.tensor([0.2, 1.0]) + torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    # the posterior's own random state is kept too
    draws = posterior.sample(20, x=observed)
    assert torch.equal(loaded.sample(20, x=observed), draws)
    several = torch.stack([observed, observed + 0.1])
    assert torch.equal(loaded.sample(5, x=several, random_state=2), posterior.sample(5, x=several, random_state=2))
    torch.testing.assert_close(loaded.log_prob(draws[:3], x=observed), posterior.log_prob(draws[:3], x=observed))
    with pytest.raises(SettingError, match="there is no simulator"):
        loaded.simulated(3)
    again = Posterior.load(tmp_path, simulate=sets)
    for mine, theirs in zip(again.simulated(5, random_state=1), posterior.simulated(5, random_state=1), strict=True):
        assert torch.equal(mine, theirs)
    # and it can be fitted anew, its observations still sets
    assert again.fit(30).sample(2, x=observed).shape == (2, 2)


def test_a_score_of_ones_own_is_given_anew(tmp_path: Path) -> None:
    exact = exact_posterior()
    exact.save(tmp_path)
    loaded = Posterior.load(tmp_path, score_net=InOwnUnits())
    x = torch.tensor([0.3, -0.2])
    np.testing.assert_array_equal(loaded.sample(10, x=x), exact.sample(10, x=x))


def test_what_is_no_posterior_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        Posterior(simulate, BOX).save(tmp_path)
    NCSN(training_steps=1, width=8, random_state=0).fit(np.random.default_rng(0).normal(size=(20, 2))).save(tmp_path)
    with pytest.raises(RunError, match=r"holds a model, and no posterior: load it by NCSN.load"):
        Posterior.load(tmp_path)
    path = tmp_path / "config.json"
    for entry in (
        {"shape": [2]},
        {"shape": [2], "prior": [{"distribution": "nn", "arguments": {}}], "exchangeable": False},
    ):
        seal(tmp_path, json.loads(path.read_text()) | {"posterior": {"prior": [], "scale": None} | entry})
        with pytest.raises(RunError, match="is damaged or another version's"):
            Posterior.load(tmp_path)

"""A fitted model as a distribution of torch, against the closed form of x = 0.8 c + 0.6 e."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import GAUSSIAN, SMALL, white
from torch.distributions import Normal

from ncsn import NCSN
from ncsn.errors import DataError, SettingError
from ncsn.model.distribution import FittedDistribution

from .test_contexts import EXACT, REST, SHARE, ExactGivenContext, pairs


@pytest.fixture(scope="module")
def exact() -> NCSN:
    x, c = pairs()
    with pytest.warns(UserWarning, match="trained as the score"):
        return NCSN(ExactGivenContext(), **EXACT).fit(torch.from_numpy(x), context=torch.from_numpy(c))


def truth(context: Any) -> Normal:
    return Normal(SHARE * torch.as_tensor(context), REST)


def test_log_densities_and_their_gradients_are_those_of_torch(exact: NCSN) -> None:
    value = torch.linspace(-2, 2, 12).reshape(4, 3, 1).requires_grad_()
    found = exact.distribution(torch.tensor([0.5])).log_prob(value)
    expected = truth(0.5).log_prob(value).squeeze(2)
    assert found.shape == (4, 3)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    mine, theirs = (torch.autograd.grad(log_p.sum(), value)[0] for log_p in (found, expected))
    torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


def test_several_contexts_are_a_batch(exact: NCSN) -> None:
    contexts = torch.tensor([[-1.0], [0.0], [2.0]])
    several = exact.distribution(contexts)
    assert isinstance(several, FittedDistribution)
    assert (several.batch_shape, several.event_shape) == ((3,), (1,))
    torch.testing.assert_close(
        several.log_prob(torch.zeros(5, 3, 1)),
        truth(contexts).log_prob(torch.zeros(5, 3, 1)).squeeze(2),
        atol=1e-3,
        rtol=1e-3,
    )
    torch.manual_seed(0)
    for drawn in (several.sample((2000,)), several.rsample((2000,))):
        assert drawn.shape == (2000, 3, 1)
        # 4 standard errors
        torch.testing.assert_close(drawn.mean(0), SHARE * contexts, atol=4 * REST / 2000**0.5, rtol=0)
        torch.testing.assert_close(drawn.std(0), torch.full((3, 1), REST), atol=4 * REST / 4000**0.5, rtol=0)


def test_draws_without_context_are_those_of_all_data(exact: NCSN) -> None:
    torch.manual_seed(0)
    drawn = exact.distribution().sample((3000,))
    assert float(drawn.mean()) == pytest.approx(0, abs=4 / 3000**0.5)
    assert float(drawn.std()) == pytest.approx(1, abs=4 / 6000**0.5)
    assert exact.distribution().sample().shape == exact.distribution().rsample().shape == (1,)


def test_draws_follow_their_context(exact: NCSN) -> None:
    context = torch.tensor([0.3], requires_grad=True)
    torch.manual_seed(0)
    drawn = exact.distribution(context).rsample((20,))
    # x = 0.8 c + 0.6 e with e held fixed
    (gradient,) = torch.autograd.grad(drawn.mean(), context)
    assert float(gradient) == pytest.approx(SHARE, abs=2e-3)


def test_log_densities_do_not_lose_the_gradient_by_contexts_in_silence(exact: NCSN) -> None:
    told = exact.distribution(torch.tensor([0.3], requires_grad=True))
    with pytest.raises(SettingError, match="no gradient by contexts"):
        told.log_prob(torch.zeros(1))
    with torch.no_grad():
        assert told.log_prob(torch.zeros(1)) == exact.distribution([0.3]).log_prob(torch.zeros(1))


def test_draws_follow_the_weights_of_the_network() -> None:
    x, c = pairs(60)
    model = NCSN(**SMALL | {"training_steps": 3, "sigma_min": 0.1}).fit(x, context=c)
    weight = next(model.score_model_.parameters()).requires_grad_()
    drawn = model.distribution([0.3]).rsample((4,))
    (gradient,) = torch.autograd.grad(drawn.sum(), weight)
    assert bool(gradient.isfinite().all()) and float(gradient.abs().max()) > 0


def test_a_distribution_is_one_of_numbers() -> None:
    frame = pd.DataFrame(white(60, 2), columns=["a", "b"])
    with pytest.raises(DataError, match="the model is of a table: take sample and log_density"):
        NCSN(**GAUSSIAN).fit(frame).distribution()
    model = NCSN(**GAUSSIAN).fit(white(60, 2))
    with pytest.raises(SettingError, match="fitted without contexts"):
        model.distribution([1.0])
    with pytest.raises(SettingError, match="give a context for each distribution"):
        model.distribution().expand((3,))


@pytest.mark.parametrize(
    ("context", "shape"), [([0.5], (4, 3)), ([[0.5], [1.0]], (4, 3, 1)), ([[0.5], [1.0]], (4, 2, 2))]
)
def test_values_of_another_shape_are_refused(exact: NCSN, context: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="which does not go with"):
        exact.distribution(torch.tensor(context)).log_prob(torch.zeros(shape))


def test_log_densities_come_with_the_samples_and_as_the_data_did(exact: NCSN) -> None:
    samples, log_p = exact.sample(20, context=[1.0], return_log_density=True, random_state=0)
    assert isinstance(log_p, torch.Tensor) and log_p.dtype == samples.dtype
    expected = Normal(SHARE, REST).log_prob(samples).squeeze(1)
    torch.testing.assert_close(log_p, expected, atol=1e-3, rtol=1e-3)
    assert torch.equal(samples, exact.sample(20, context=[1.0], random_state=0))
    # of an array an array
    model = NCSN(**GAUSSIAN).fit(white(60, 2))
    assert isinstance(model.score_samples(white(60, 2)), np.ndarray)
    assert isinstance(model.sample(5, return_log_density=True)[1], np.ndarray)
    assert exact.score_samples(torch.zeros(2, 1), context=[0.0]).dtype == torch.float32
    with pytest.raises(SettingError, match="guided samples have no log-density that is known"):
        exact.sample(5, context=[1.0], guidance=2.0, return_log_density=True)

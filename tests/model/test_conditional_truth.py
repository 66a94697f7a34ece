"""Trained networks against conditional distributions that are known: tens of seconds each."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import norm

from ncsn import NCSN

Array = npt.NDArray[np.float64]

NARROW: dict[str, Any] = {"width": 64, "random_state": 0}


def gaussian(n: int, seed: int) -> tuple[Array, Array]:
    """Return x = 0.8 c + 0.6 e and c."""
    c, e = np.random.default_rng(seed).standard_normal((2, n, 1))
    return 0.8 * c + 0.6 * e, c


def parts(c: Array) -> tuple[Array, Array, Array]:
    """Return weights, means and standard deviations, ``(N, 2)``, of a mixture whose weights and one mean follow c."""
    right = expit(c)
    ones = np.ones_like(c)
    return np.hstack([right, 1 - right]), np.hstack([1 + 0.5 * c, -ones]), np.hstack([0.3 * ones, 0.5 * ones])


def mixture(n: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    c = rng.uniform(-2, 2, (n, 1))
    weights, means, sds = parts(c)
    chosen = (rng.random((n, 1)) >= weights[:, :1]).astype(int)
    x = np.take_along_axis(means, chosen, 1) + np.take_along_axis(sds, chosen, 1) * rng.standard_normal((n, 1))
    return x, c


def log_density(x: Array, c: Array) -> Array:
    weights, means, sds = parts(c)
    return np.asarray(logsumexp(norm.logpdf(x, means, sds), axis=1, b=weights))


def moments(c: Array) -> tuple[Array, Array]:
    weights, means, sds = parts(c)
    mean = (weights * means).sum(1)
    return mean, np.sqrt((weights * (sds**2 + means**2)).sum(1) - mean**2)


@pytest.mark.slow
def test_a_gaussian_given_its_context() -> None:
    x, c = gaussian(4000, 0)
    model = NCSN(**NARROW).fit(x, context=c)
    for told in (-1.5, 0.0, 1.5):
        samples = model.sample(20_000, context=told, random_state=1)
        assert samples.mean() == pytest.approx(0.8 * told, abs=0.03)
    x, c = gaussian(20_000, 1)
    residuals = model.sample(20_000, context=c, random_state=2) - 0.8 * c
    assert residuals.std() == pytest.approx(0.6, rel=0.03)
    found = model.score_samples(x[:1000], context=c[:1000], tolerance=1e-3)
    assert found.mean() == pytest.approx(np.mean(norm.logpdf(x[:1000], 0.8 * c[:1000], 0.6)), abs=0.05)
    # and what nothing is told of is the marginal
    alone = model.sample(20_000, random_state=1)
    assert alone.mean() == pytest.approx(0, abs=0.06) and alone.std() == pytest.approx(1, rel=0.06)


@pytest.mark.slow
def test_a_mixture_given_its_context() -> None:
    x, c = mixture(20_000, 0)
    model = NCSN(random_state=0).fit(x, context=c)
    c = np.random.default_rng(2).uniform(-2, 2, (60_000, 1))
    samples, (means, sds) = model.sample(60_000, context=c, random_state=1)[:, 0], moments(c)
    residuals = (samples - means) / sds
    for low, high in ((-2, -0.7), (-0.7, 0.7), (0.7, 2)):
        some = residuals[(low <= c[:, 0]) & (c[:, 0] < high)]
        assert some.mean() == pytest.approx(0, abs=0.03)
        assert some.std() == pytest.approx(1, rel=0.03)
    x, c = mixture(1000, 1)
    found = model.score_samples(x, context=c, tolerance=1e-3)
    assert found.mean() == pytest.approx(log_density(x, c).mean(), abs=0.05)


def test_a_context_that_says_nothing_leaves_the_marginal() -> None:
    rng = np.random.default_rng(0)
    x, c = rng.choice([-1.0, 2.0], (1000, 1)) + 0.3 * rng.standard_normal((1000, 1)), rng.standard_normal((1000, 1))
    model = NCSN(width=32, n_blocks=1, training_steps=600, random_state=0).fit(x, context=c)
    told, alone = (
        model.sample(3000, context=context, random_state=1) for context in (rng.standard_normal((3000, 1)), None)
    )
    for samples in (told, alone):
        assert (samples > 0.5).mean() == pytest.approx((x > 0.5).mean(), abs=0.06)
        assert samples.std() == pytest.approx(x.std(), rel=0.06)


def test_labels_as_contexts_are_labels_as_classes() -> None:
    rng = np.random.default_rng(0)
    names, spreads = np.array(["far", "near", "wide"]), np.array([0.2, 0.2, 0.6])
    code = rng.integers(0, 3, 1200)
    x = np.array([[-2.0], [0.0], [2.0]])[code] + spreads[code, None] * rng.standard_normal((1200, 1))
    train, held_out = slice(0, 900), slice(900, None)
    settings: dict[str, Any] = {"width": 32, "n_blocks": 1, "training_steps": 600, "random_state": 0}
    classes = NCSN(**settings).fit(x[train], names[code[train]])
    contexts = NCSN(**settings).fit(x[train], context=pd.DataFrame({"kind": names[code[train]]}))
    log_p = (
        classes.score_samples(x[held_out], label=names[code[held_out]]).mean(),
        contexts.score_samples(x[held_out], context=pd.DataFrame({"kind": names[code[held_out]]})).mean(),
    )
    truth = np.mean(norm.logpdf(x[held_out, 0], np.array([-2.0, 0.0, 2.0])[code[held_out]], spreads[code[held_out]]))
    # both are within what three seeds of the one differ by
    np.testing.assert_allclose(log_p, truth, atol=0.06)
    for name in names:
        one, other = (
            classes.sample(2000, label=name, random_state=1),
            contexts.sample(2000, context={"kind": name}, random_state=1),
        )
        assert np.mean(one) == pytest.approx(np.mean(other), abs=0.1)
        widths = [np.subtract(*np.quantile(samples, [0.9, 0.1])) for samples in (one, other)]
        assert widths[0] == pytest.approx(widths[1], rel=0.15)

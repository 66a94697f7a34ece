"""What the exact scores of mixtures and of data sets share: limits, labels, levels, blocks, derivatives and draws."""

import numpy as np
import pytest
import torch

from ncsn.errors import DataError, SettingError
from ncsn.exact import EmpiricalScore, GaussianMixtureScore

from .common import Model, close, generator, labelled_models, normal, parameters


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma", [1e-6, 0.01, 1.0])
def test_far_tails_stay_finite_and_point_home(dtype: torch.dtype, sigma: float) -> None:
    data = normal(300, 2).to(dtype)
    models = [
        GaussianMixtureScore(torch.ones(300), data, 0.0),
        EmpiricalScore(data),
        GaussianMixtureScore(*parameters(3, 2)),
    ]
    x = torch.tensor([[50.0, 0.0], [0.0, -50.0], [1e4, 1e4]], dtype=dtype)
    for model in models:
        score = model(x, sigma)
        assert score.dtype == dtype and score.isfinite().all() and model.log_density(x, sigma).isfinite().all()
        assert ((score * x).sum(1) < 0).all()


def test_limits_of_sigma() -> None:
    data = normal(500, 2) * torch.tensor([1.0, 0.5]) + 2
    models: list[Model] = [EmpiricalScore(data), GaussianMixtureScore(*parameters(4, 2))]
    for model in models:
        x = 300 * normal(20, 2, seed=5)
        whole = GaussianMixtureScore([1.0], model.mean[None], model.covariance[None])
        assert close(model(x, 300.0), whole(x, 300.0), 1e-3)
    x = 2 + normal(50, 2, seed=6)
    nearest = data[torch.cdist(x, data).argmin(1)]
    assert torch.allclose(models[0].denoise(x, 1e-5), nearest, atol=1e-12)
    assert torch.allclose(models[0](x, 1e-5), (nearest - x) * 1e10, rtol=1e-9)


@pytest.mark.parametrize("case", [0, 1])
def test_labels_restrict_to_their_class(case: int) -> None:
    model, parts = labelled_models()[case]
    assert model.classes == (0, 2, 5)
    x, label = 2 * normal(8, 2, seed=7), torch.tensor([0, 5, -1, 2, 2, 0, -1, 5])
    sigma = torch.linspace(0.1, 2, 8, dtype=torch.float64)
    for level in (sigma, torch.tensor(0.5)):
        scores, densities, denoised = (f(x, level, label) for f in (model, model.log_density, model.denoise))
        for i, c in enumerate(label.tolist()):
            row = level[i] if level.ndim else level
            assert torch.allclose(scores[i], parts[c](x[i : i + 1], row)[0], rtol=1e-12)
            assert torch.allclose(densities[i], parts[c].log_density(x[i : i + 1], row)[0], rtol=1e-12)
            assert torch.allclose(denoised[i], parts[c].denoise(x[i : i + 1], row)[0], rtol=1e-12)
    for c, part in parts.items():
        assert torch.allclose(model(x, 0.5, label=c), part(x, 0.5), rtol=1e-12)
        assert torch.allclose(model(x, 0.5, label=torch.full((8,), c)), part(x, 0.5), rtol=1e-12)
    assert model(x[:0], 0.5, label[:0]).shape == (0, 2)


@pytest.mark.parametrize("case", [0, 1])
def test_sigma_per_row_and_single_rows(case: int) -> None:
    model = labelled_models()[case][0]
    x, sigma = 2 * normal(7, 2, seed=8), torch.logspace(-2, 2, 7, dtype=torch.float64)
    for call in (model, model.log_density, model.denoise):
        rows = torch.cat([call(x[i : i + 1], sigma[i]) for i in range(7)])
        assert torch.allclose(call(x, sigma), rows, rtol=1e-12)
        assert torch.allclose(call(x[:1], 0.01), rows[:1], rtol=1e-12)
        assert call(x[:0], 0.5).shape[0] == 0


@pytest.mark.parametrize("chunk_size", [1, 7, 64, 1000])
def test_chunks_do_not_change_the_result(chunk_size: int) -> None:
    weights, means, covariances = parameters(11, 3)
    data, labels = normal(301, 3), torch.arange(301) % 2
    x = 2 * normal(13, 3, seed=9)
    sigma, label = torch.logspace(-2, 1, 13, dtype=torch.float64), torch.arange(13) % 3 - 1
    pairs = [
        (EmpiricalScore(data, labels, chunk_size=chunk_size), EmpiricalScore(data, labels)),
        (
            GaussianMixtureScore(weights, means, covariances, labels=labels[:11], chunk_size=chunk_size),
            GaussianMixtureScore(weights, means, covariances, labels=labels[:11]),
        ),
    ]
    for small, whole in pairs:
        assert torch.allclose(small(x, sigma, label), whole(x, sigma, label), rtol=1e-10)
        assert torch.allclose(small.log_density(x, sigma), whole.log_density(x, sigma), rtol=1e-12)


@pytest.mark.parametrize("case", [0, 1])
def test_scores_are_differentiable(case: int) -> None:
    model = labelled_models()[case][0]
    x = normal(4, 2).requires_grad_()
    gradient = torch.autograd.grad(model.log_density(x, 0.5).sum(), x)[0]
    assert torch.allclose(gradient, model(x, 0.5), rtol=1e-10)
    assert torch.autograd.gradcheck(lambda point: model(point, 0.5), (x,))
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: model(row[None], 0.5)[0]))(x.detach())
    assert torch.allclose(jacobian, jacobian.mT)


@pytest.mark.parametrize("case", [0, 1])
@pytest.mark.parametrize("sigma", [0.0, 0.8])
def test_moments_of_samples(case: int, sigma: float) -> None:
    n = 40_000
    model, parts = labelled_models()[case]
    for label, part in [(None, model), (2, parts[2])]:
        samples, components = model.sample_with_components(n, generator(), sigma, label)
        assert samples.dtype == torch.float64 and components.shape == (n,)
        expected = part.covariance + sigma**2 * torch.eye(2)
        assert ((samples.mean(0) - part.mean).abs() < 4 * (expected.diagonal() / n).sqrt()).all()
        scale = expected.diagonal().sqrt()
        assert ((samples.T.cov() - expected).abs() < 0.05 * scale[:, None] * scale).all()
        if label is not None:
            assert model.labels is not None
            assert (model.labels[components] == label).all()
        assert torch.equal(samples, model.sample(n, generator(), sigma, label))


def test_samples_follow_labels_and_levels_row_by_row() -> None:
    for model, _ in labelled_models():
        label = torch.tensor([5, 0, -1, 2]).repeat(50)
        sigma = torch.tensor([0.0, 0.0, 0.0, 100.0]).repeat(50)
        samples, components = model.sample_with_components(200, generator(), sigma, label)
        given = label >= 0
        assert model.labels is not None
        assert torch.equal(model.labels[components][given], label[given])
        spread = (samples - model.mean).norm(dim=1)
        assert spread[label != 2].max() < 15 < spread[label == 2].median()


def test_random_draws_leave_the_global_state_alone() -> None:
    state = torch.get_rng_state()
    for model, _ in labelled_models():
        model.sample(5, generator(), 0.1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    first = labelled_models()[0][0].sample(5)
    torch.manual_seed(0)
    assert torch.equal(first, labelled_models()[0][0].sample(5))


def test_parameters_are_copies_and_move_with_the_module() -> None:
    data = np.zeros((3, 2), dtype=np.float32)
    data.flags.writeable = False
    model = EmpiricalScore(data)
    points = torch.zeros(3, 2)
    other = EmpiricalScore(points)
    points += 1
    assert torch.equal(other.mean, torch.zeros(2))
    assert model.double().sample(2).dtype == torch.float64
    assert "data" in model.state_dict()
    assert repr(labelled_models()[0][0]) == "GaussianMixtureScore(6 components, shape=(2,), classes=[0, 2, 5])"


def test_bad_calls_are_refused() -> None:
    x = torch.zeros(3, 2)
    with pytest.raises(DataError, match="the components of class 1 must not all have weight zero"):
        GaussianMixtureScore([1.0, 0.0], x[:2], 1.0, labels=[0, 1])
    for model in (EmpiricalScore(x), GaussianMixtureScore([1.0], x[:1], 0.0)):
        for bad in (torch.zeros(3, 3), torch.zeros(3), torch.zeros(3, 2, 1), torch.tensor(0.0), x.long()):
            with pytest.raises(DataError, match=r"x must be floating-point numbers \(N, 2\)"):
                model(bad, 1.0)
        for sigma in (-1.0, float("nan"), float("inf"), torch.tensor([1.0, -1.0, 1.0])):
            with pytest.raises(SettingError, match="sigma must be finite and not negative"):
                model(x, sigma)
        with pytest.raises(SettingError, match="sigma must be finite and not negative"):
            model.sample(3, sigma=-1.0)
        with pytest.raises(SettingError, match="sigma must be positive"):
            model.log_density(x, 0.0)
        with pytest.raises(SettingError, match="sigma must be a scalar or one per row"):
            model(x, torch.ones(2))
        with pytest.raises(DataError, match="the model was made without labels"):
            model(x, 1.0, label=0)
        assert torch.equal(model(x, 1.0, label=-1), model(x, 1.0))
        with pytest.raises(SettingError, match="n must be at least 1"):
            model.sample(0)
    model = EmpiricalScore(x, [0, 1, 1])
    with pytest.raises(DataError, match=r"label 7 must be one of \(0, 1\), or -1"):
        model(x, 1.0, label=torch.tensor([0, 7, 1]))
    for label in (torch.zeros(2, dtype=torch.long), 0.5, torch.zeros(3)):
        with pytest.raises(DataError, match="label must be an integer or 3 of them"):
            model(x, 1.0, label=label)
    with pytest.raises(SettingError, match="chunk_size must be at least 1"):
        EmpiricalScore(x, chunk_size=0)

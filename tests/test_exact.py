"""Exact scores against independent truths: torch.distributions, finite differences, closed forms and each other."""

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from ncsn.errors import DataError
from ncsn.exact import EmpiricalScore, GaussianMixtureScore
from ncsn.score import denoised_from_score

Model = EmpiricalScore | GaussianMixtureScore


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def parameters(components: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    factors = normal(components, dim, dim, seed=1)
    weights = torch.arange(1, components + 1, dtype=torch.float64)
    return weights, 3 * normal(components, dim, seed=2), factors @ factors.mT / dim + 0.05 * torch.eye(dim)


def truth(weights: Tensor, means: Tensor, covariances: Tensor, sigma: float) -> MixtureSameFamily:
    noise = sigma**2 * torch.eye(means.shape[1], dtype=torch.float64)
    return MixtureSameFamily(Categorical(weights), MultivariateNormal(means, covariances + noise))


def autograd_score(distribution: MixtureSameFamily, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    density = distribution.log_prob(x)
    return density.detach(), torch.autograd.grad(density.sum(), x)[0]


def close(actual: Tensor, expected: Tensor, relative: float = 1e-9) -> bool:
    return bool((actual - expected).abs().max() <= relative * expected.abs().max())


@pytest.mark.parametrize("dim", [1, 2, 7])
@pytest.mark.parametrize("sigma", [0.0, 1e-3, 0.3, 5.0, 100.0])
def test_mixture_equals_torch_distributions(dim: int, sigma: float) -> None:
    weights, means, covariances = parameters(4, dim)
    model = GaussianMixtureScore(weights, means, covariances)
    x = torch.cat([5 * normal(50, dim), torch.full((1, dim), 50.0), torch.full((1, dim), -50.0)])
    density, score = autograd_score(truth(weights, means, covariances, sigma), x)
    assert model.log_density(x, sigma).dtype == torch.float64
    assert torch.allclose(model.log_density(x, sigma), density, rtol=1e-9, atol=1e-9)
    assert torch.allclose(model(x, sigma), score, rtol=1e-9, atol=1e-9 * float(score.abs().max()))
    assert torch.equal(model.denoise(x, sigma), denoised_from_score(x, sigma, model(x, sigma)))


def test_mixture_equals_finite_differences() -> None:
    model = GaussianMixtureScore(*parameters(3, 2))
    x, step = normal(20, 2), 1e-5
    shifts = step * torch.eye(2, dtype=torch.float64)
    differences = [model.log_density(x + s, 0.4) - model.log_density(x - s, 0.4) for s in shifts]
    assert torch.allclose(model(x, 0.4), torch.stack(differences, 1) / (2 * step), atol=1e-7)


def test_single_gaussian_closed_form() -> None:
    mean, variance, sigma = 1.5, 0.7, 0.4
    model = GaussianMixtureScore([2.0], [[mean]], variance)
    x = torch.tensor([[-3.0], [1.5], [50.0]])
    total = variance + sigma**2
    assert torch.allclose(model(x, sigma), (mean - x) / total)
    assert torch.allclose(model.denoise(x, sigma), (variance * x + sigma**2 * mean) / total, atol=1e-5)
    exponent = (x[:, 0] - mean) ** 2 / total + np.log(2 * np.pi * total)
    assert torch.allclose(model.log_density(x, sigma), -exponent / 2)


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


@pytest.mark.parametrize("kind", ["diagonal", "isotropic", "scalar"])
def test_short_covariances_equal_full_ones(kind: str) -> None:
    weights, means, _ = parameters(3, 2)
    short = {
        "diagonal": torch.tensor([[0.1, 2.0], [0.5, 0.5], [3.0, 0.0]]),
        "isotropic": torch.tensor([0.1, 0.5, 0.0]),
        "scalar": torch.tensor(0.3),
    }[kind].double()
    variances = short[:, None].expand(3, 2) if kind == "isotropic" else short.expand(3, 2)
    full = GaussianMixtureScore(weights, means, variances.diag_embed())
    model = GaussianMixtureScore(weights, means, short)
    x = 3 * normal(20, 2)
    assert close(model(x, 0.2), full(x, 0.2), 1e-12)
    assert close(model.log_density(x, 0.2), full.log_density(x, 0.2), 1e-12)
    assert torch.allclose(model.covariance, full.covariance)
    assert torch.allclose(model.sample(9, generator()).sort(0).values, model.sample(9, generator()).sort(0).values)


def test_zero_weight_component_does_not_count() -> None:
    weights, means, covariances = parameters(3, 2)
    weights = torch.tensor([1.0, 0.0, 2.0])
    model = GaussianMixtureScore(weights, means, covariances)
    rest = GaussianMixtureScore(weights[[0, 2]], means[[0, 2]], covariances[[0, 2]])
    x = torch.cat([means[1:2], normal(5, 2)]).requires_grad_()
    assert close(model(x, 0.1), rest(x, 0.1), 1e-12)
    assert torch.autograd.grad(model.log_density(x, 0.1).sum(), x)[0].isfinite().all()
    assert set(model.sample_with_components(500, generator())[1].tolist()) == {0, 2}


def test_float64_parameters_survive_as_lists() -> None:
    means = np.array([[0.1, 0.2], [1.0, 3.0]])
    lists = GaussianMixtureScore([0.1, 0.7], means, [[0.1, 0.3], [0.7, 0.9]])
    arrays = GaussianMixtureScore(np.array([0.1, 0.7]), means, np.array([[0.1, 0.3], [0.7, 0.9]]))
    assert torch.equal(lists(normal(5, 2), 0.3), arrays(normal(5, 2), 0.3))


@pytest.mark.parametrize("shape", [(), (2,), (5,), (3, 2, 2)])
@pytest.mark.parametrize("sigma", [0.01, 0.3, 10.0])
def test_data_set_is_mixture_of_point_masses(shape: tuple[int, ...], sigma: float) -> None:
    data = normal(200, *shape)
    model = EmpiricalScore(data)
    points = data.reshape(200, -1)
    mixture = GaussianMixtureScore(torch.ones(200), points, 0.0)
    x = torch.cat([data[:20] + sigma * normal(20, *shape, seed=3), 3 * normal(10, *shape, seed=4)])
    flat = x.reshape(30, -1)
    assert model(x, sigma).shape == x.shape
    assert close(model(x, sigma).reshape(30, -1), mixture(flat, sigma))
    assert close(model.log_density(x, sigma), mixture.log_density(flat, sigma))
    assert torch.allclose(model.denoise(x, sigma).reshape(30, -1), mixture.denoise(flat, sigma), atol=1e-9)
    assert torch.allclose(model.mean.reshape(-1), mixture.mean)
    assert torch.allclose(model.covariance, mixture.covariance)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_data_set_in_float32_at_small_sigma(offset: float) -> None:
    sigma = 0.01
    data = (torch.rand(20_000, 2, generator=generator()) + offset).float()
    x = data[:500] + sigma * torch.randn(500, 2, generator=generator(1))
    exact = EmpiricalScore(data.double())
    error = (EmpiricalScore(data)(x, sigma) - exact(x.double(), sigma)) * sigma
    # What is left is the rounding of a mean of points of size one, 6e-8 / sigma.
    assert error.abs().max() < 2e-5
    density = EmpiricalScore(data).log_density(x, sigma)
    assert torch.allclose(density.double(), exact.log_density(x.double(), sigma), atol=1e-5)
    assert exact(x, sigma).dtype == torch.float32


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


def labelled_models() -> list[tuple[Model, dict[int, Model]]]:
    labels = torch.tensor([0, 2, 0, 2, 2, 5])
    weights, means, covariances = parameters(6, 2)
    mixture = GaussianMixtureScore(weights, means, covariances, labels=labels)
    parts = {
        c: GaussianMixtureScore(weights[labels == c], means[labels == c], covariances[labels == c]) for c in (0, 2, 5)
    }
    data = normal(60, 2)
    data_set = EmpiricalScore(data, labels.repeat(10).numpy())
    subsets = {c: EmpiricalScore(data[labels.repeat(10) == c]) for c in (0, 2, 5)}
    return [(mixture, {**parts, -1: mixture}), (data_set, {**subsets, -1: data_set})]


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


def test_samples_of_a_data_set_without_noise_are_its_rows() -> None:
    data = torch.rand(30, 3, 4, generator=generator())
    samples, rows = EmpiricalScore(data).sample_with_components(100, generator())
    assert torch.equal(samples, data[rows])
    assert len(set(rows.tolist())) > 20


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


def test_half_precision_is_computed_in_more() -> None:
    model = EmpiricalScore(normal(50, 2).float())
    x = normal(5, 2).bfloat16()
    assert torch.equal(model(x, 0.25), model(x.float(), 0.25).bfloat16())


MIXTURES = [
    (([-1.0, 2.0], [[0.0], [1.0]], 1.0), "weights must not be negative"),
    (([0.0, 0.0], [[0.0], [1.0]], 1.0), "not all zero"),
    (([1.0], [[0.0], [1.0]], 1.0), "weights must have the shape"),
    (([1.0, float("nan")], [[0.0], [1.0]], 1.0), "weights has a NaN or infinite value in row 1"),
    (([1.0], [0.0], 1.0), "means must have the shape"),
    (([1.0], [[]], 1.0), "means must have the shape"),
    (([1.0], [["a"]], 1.0), "means must be an array of numbers"),
    (([1.0], [[float("inf")]], 1.0), "means has a NaN or infinite value in row 0"),
    (([1.0], [[0.0]], -1.0), "negative variances"),
    (([1.0], [[0.0]], float("nan")), "covariances has a NaN or infinite value;"),
    (([1.0], [[0.0, 1.0]], [[1.0]]), "covariances must have the shape"),
    (([1.0], [[0.0, 1.0]], [[[1.0, 0.5], [0.0, 1.0]]]), "symmetric"),
    (([1.0], [[0.0, 1.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "positive semi-definite"),
]


@pytest.mark.parametrize(("arguments", "message"), MIXTURES)
def test_bad_mixtures_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        GaussianMixtureScore(*arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (np.zeros((0, 2)), None, "at least one point"),
        (np.zeros((3, 0)), None, "at least one point"),
        (1.0, None, "at least one point"),
        ([[0.0, 1.0], [2.0]], None, "array of numbers"),
        (np.array([[0.0], [np.inf]]), None, "row 1, counted from 0"),
        ([0.0, 1.0], [0], "labels must be 2 integers"),
        ([0.0, 1.0], [0.0, 1.0], "labels must be 2 integers"),
        ([0.0, 1.0], ["cat", "dog"], "labels must be an array of numbers"),
        ([0.0, 1.0], [0, -1], "labels must not be negative"),
    ],
)
def test_bad_data_are_refused(data: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        EmpiricalScore(data, labels)


def test_bad_calls_are_refused() -> None:
    x = torch.zeros(3, 2)
    with pytest.raises(DataError, match="the components of class 1 must not all have weight zero"):
        GaussianMixtureScore([1.0, 0.0], x[:2], 1.0, labels=[0, 1])
    for model in (EmpiricalScore(x), GaussianMixtureScore([1.0], x[:1], 0.0)):
        for bad in (torch.zeros(3, 3), torch.zeros(3), torch.zeros(3, 2, 1), torch.tensor(0.0), x.long()):
            with pytest.raises(DataError, match=r"x must be floating-point numbers \(N, 2\)"):
                model(bad, 1.0)
        for sigma in (-1.0, float("nan"), float("inf"), torch.tensor([1.0, -1.0, 1.0])):
            with pytest.raises(ValueError, match="sigma must be finite and not negative"):
                model(x, sigma)
        with pytest.raises(ValueError, match="sigma must be finite and not negative"):
            model.sample(3, sigma=-1.0)
        with pytest.raises(ValueError, match="sigma must be positive"):
            model.log_density(x, 0.0)
        with pytest.raises(ValueError, match="sigma must be a scalar or one per row"):
            model(x, torch.ones(2))
        with pytest.raises(DataError, match="the model was made without labels"):
            model(x, 1.0, label=0)
        assert torch.equal(model(x, 1.0, label=-1), model(x, 1.0))
        with pytest.raises(ValueError, match="n must be at least 1"):
            model.sample(0)
    model = EmpiricalScore(x, [0, 1, 1])
    with pytest.raises(DataError, match=r"label 7 must be one of \(0, 1\), or -1"):
        model(x, 1.0, label=torch.tensor([0, 7, 1]))
    for label in (torch.zeros(2, dtype=torch.long), 0.5, torch.zeros(3)):
        with pytest.raises(DataError, match="label must be an integer or 3 of them"):
            model(x, 1.0, label=label)
    with pytest.raises(ValueError, match="chunk_size must be at least 1"):
        EmpiricalScore(x, chunk_size=0)


@pytest.mark.slow
def test_a_million_points_fit_in_memory() -> None:
    program = textwrap.dedent("""
        import resource, torch
        from ncsn.exact import EmpiricalScore
        model = EmpiricalScore(torch.randn(1_000_000, 2, generator=torch.Generator().manual_seed(0)))
        x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(1))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        score = model(x, 0.5)
        # The data are so many that their score is that of N(0, I) within sampling error.
        assert (score + x / 1.25).abs().median() < 0.01
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    grown = int(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout)
    kilobyte = 1 if sys.platform == "darwin" else 1024
    assert grown * kilobyte < 200e6

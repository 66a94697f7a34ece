"""Losses against closed forms, exact scores and each other."""

import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.exact import EmpiricalScore, GaussianMixtureScore
from ncsn.losses import (
    HUBER_SOFTNESS,
    WEIGHTINGS,
    Batch,
    Consistency,
    DenoisingScoreMatching,
    StableTarget,
    denoising_score_matching,
    ncsn_loss,
)
from ncsn.networks import NCSNScoreNetwork
from ncsn.noise import create_noise_schedule
from ncsn.randomness import drawn_from

SIGMAS = torch.tensor([5.0, 1.0, 0.2], dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def zero(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
    return torch.zeros_like(x)


def wave(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
    """Return a score that depends on row and level, and is right nowhere."""
    return (x / sigma.reshape(-1, *[1] * (x.ndim - 1))).sin()


def stable(from_level: float | None = 0.0, weight: float = 0.0, **options: Any) -> DenoisingScoreMatching:
    """Return the objective whose target is the exact score from a level on."""
    return DenoisingScoreMatching(target=StableTarget(from_level, weight=weight, **options))


def test_a_zero_score_loses_the_noise_s_square() -> None:
    noise, sigma = points(7, 3), torch.logspace(-2, 2, 7, dtype=torch.float64)
    square = noise.square().mean(dim=1)
    losses = {
        name: denoising_score_matching(zero, points(7, 3, seed=1), sigma, noise, weighting=name) for name in WEIGHTINGS
    }
    torch.testing.assert_close(losses["sigma2"], square)
    torch.testing.assert_close(losses["uniform"], square / sigma**2)
    torch.testing.assert_close(losses["inverse"], square / sigma**4)
    torch.testing.assert_close(losses["edm"], square * (1 + sigma**2))


@pytest.mark.parametrize("sigma", SIGMAS.tolist())
@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_the_exact_score_of_a_gaussian_has_the_known_loss(sigma: float, spread: float) -> None:
    n = 20_000
    exact = GaussianMixtureScore([1.0], torch.zeros(1, 2, dtype=torch.float64), spread**2)
    levels = torch.full((n,), sigma, dtype=torch.float64)
    losses = denoising_score_matching(exact, spread * points(n, 2), levels, points(n, 2, seed=1))
    standard_error = losses.std() / math.sqrt(n)
    assert abs(losses.mean() - spread**2 / (spread**2 + sigma**2)) < 4 * standard_error
    if spread == 1:
        # Karras et al. 2022 weigh so that every level counts the same at the start, where the score is the Gaussian's
        losses = denoising_score_matching(exact, points(n, 2), levels, points(n, 2, seed=1), weighting="edm")
        assert abs(losses.mean() - 1) < 4 * losses.std() / math.sqrt(n)


def test_the_exact_score_of_a_mixture_has_the_least_loss() -> None:
    exact = GaussianMixtureScore([1.0, 2.0], torch.tensor([[-2.0, 0.0], [2.0, 1.0]], dtype=torch.float64), 0.3)
    n = 20_000
    samples, noise = exact.sample(n, generator()), points(n, 2, seed=1)
    for sigma in SIGMAS.tolist():
        levels = torch.full((n,), sigma, dtype=torch.float64)
        least = denoising_score_matching(exact, samples, levels, noise)
        for error in (0.05, -0.05):

            def wrong(x: Tensor, sigma: Tensor, error: float = error) -> Tensor:
                return exact(x, sigma) + error / sigma[:, None] * x.sin()

            # the excess is the squared error itself (Vincent 2011)
            excess = denoising_score_matching(wrong, samples, levels, noise) - least
            expected = error**2 * (samples + sigma * noise).sin().square().mean()
            assert expected > 1e-4
            assert abs(excess.mean() - expected) < 4 * excess.std() / math.sqrt(n)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weightings_differ_by_their_factors(weighting: str) -> None:
    samples, noise, sigma = points(7, 3), points(7, 3, seed=1), torch.logspace(-2, 2, 7, dtype=torch.float64)
    factor = {"sigma2": sigma**0, "uniform": sigma**-2, "inverse": sigma**-4, "edm": 1 + sigma**2}[weighting]
    loss = denoising_score_matching(wave, samples, sigma, noise, weighting=weighting)
    torch.testing.assert_close(loss, factor * denoising_score_matching(wave, samples, sigma, noise))


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 3, 3)])
def test_each_row_has_its_own_level(shape: tuple[int, ...]) -> None:
    # as many rows as columns: a level of shape (N,) would silently go to the columns
    samples, noise, sigma = points(3, *shape), points(3, *shape, seed=1), SIGMAS
    together = denoising_score_matching(wave, samples, sigma, noise)
    for i in range(3):
        x = samples[i] + sigma[i] * noise[i]
        target = -noise[i] / sigma[i]
        by_hand = (sigma[i] ** 2 * ((x / sigma[i]).sin() - target) ** 2).mean()
        assert together[i].item() == pytest.approx(by_hand.item(), rel=1e-12)


# The stable target


def test_the_exact_target_has_no_loss_at_the_exact_score() -> None:
    data = points(30, 2)
    exact = EmpiricalScore(data)
    batch = Batch(data, torch.full((30,), 0.7).double(), points(30, 2, seed=1), exact=exact)
    losses = stable()(exact, batch)
    assert losses.max() < 1e-20


def test_the_exact_target_has_the_same_gradient_with_less_variance() -> None:
    data = points(40, 2)
    exact, n = EmpiricalScore(data), 20_000
    samples = data[torch.randint(40, (n,), generator=generator(1))]
    noise = points(n, 2, seed=2)
    for sigma in (0.3, 0.6, 1.2):
        levels = torch.full((n,), sigma, dtype=torch.float64)
        gradients = []
        for target in (None, exact):
            # a linear score of one weight a row, so that the gradient by the weights is that of each row's loss
            weights = torch.full((n, 1), -0.4, dtype=torch.float64, requires_grad=True)
            batch = Batch(samples, levels, noise, exact=target)
            losses = stable()(lambda x, level, weights=weights: weights * x, batch)
            gradients.append(torch.autograd.grad(losses.sum(), weights)[0][:, 0])
        difference = gradients[0] - gradients[1]
        assert difference.std() > 0.01
        assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(n)
        assert gradients[1].var() < 0.95 * gradients[0].var()


def test_the_exact_target_is_for_rows_as_they_are() -> None:
    data, noise = points(6, 2), points(6, 2, seed=1)
    sigma = torch.full((6,), 0.8, dtype=torch.float64)
    told = torch.zeros(6, 9, dtype=torch.float64)
    told[[1, 4], [0, 7]] = torch.tensor([1.0, -0.3], dtype=torch.float64)
    moved, labels = told.any(1), torch.tensor([0, 1] * 3)
    batch = Batch(data, sigma, noise, {"augmentation": told, "label": labels}, EmpiricalScore(data, labels))
    untold = Batch(data, sigma, noise, {"label": labels}, batch.exact)
    expected = torch.where(moved, denoising_score_matching(wave, data, sigma, noise), stable()(wave, untold))
    torch.testing.assert_close(stable()(wave, batch), expected)
    # and the levels weigh as much for both
    heavier = stable(0.5, 10.0)(wave, batch) / stable(0.5)(wave, batch)
    torch.testing.assert_close(heavier, torch.full_like(heavier, 1 + 10 * 0.8**2 / (0.8**2 + 0.5**2)))


def test_the_exact_target_begins_at_its_level_in_any_order() -> None:
    data, noise = points(6, 2) / 10, points(6, 2, seed=1)
    exact, sigma = EmpiricalScore(data), torch.tensor([2.0, 0.1, 0.5, 0.4, 3.0, 0.6], dtype=torch.float64)
    batch = Batch(data, sigma, noise, exact=exact)
    without = denoising_score_matching(wave, data, sigma, noise)
    everywhere = stable()(wave, batch)
    both = stable(0.5)(wave, batch)
    late = sigma >= 0.5
    torch.testing.assert_close(both, torch.where(late, everywhere, without))
    assert bool(((everywhere - without).abs() > 1e-3).all())
    for never in (None, 1e9):
        torch.testing.assert_close(stable(never)(wave, batch), without)


@pytest.mark.parametrize("levels", [{"from_level": 0.5}, {"from_level": 0.1, "weight_from": 0.5}])
def test_exact_levels_can_count_more(levels: dict[str, Any]) -> None:
    data, noise, sigma = points(3, 2), points(3, 2, seed=1), torch.tensor([1e-4, 0.5, 1e4], dtype=torch.float64)
    batch = Batch(data, sigma, noise, exact=EmpiricalScore(data))
    plain = stable(**levels)(wave, batch)
    heavy = stable(**levels, weight=8.0)(wave, batch)
    torch.testing.assert_close(heavy / plain, torch.tensor([1.0, 5.0, 9.0], dtype=torch.float64), rtol=1e-6, atol=0)
    # nothing counts more where no target is exact
    alone = stable(**levels, weight=8.0)(wave, Batch(data, sigma, noise))
    torch.testing.assert_close(alone, denoising_score_matching(wave, data, sigma, noise))


def test_conditions_go_to_the_model_and_with_its_rows_to_the_exact_score() -> None:
    data, labels = points(6, 2) / 10, torch.tensor([0, 1, 0, 1, 0, 1])
    exact, sigma = EmpiricalScore(data, labels), torch.tensor([0.1, 2.0, 3.0, 0.2, 1.0, 4.0], dtype=torch.float64)
    losses = stable(0.5)(exact, Batch(data, sigma, points(6, 2, seed=1), {"label": labels}, exact))
    assert losses[[1, 2, 4, 5]].max() < 1e-20
    assert losses[[0, 3]].min() > 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_from": -0.1}, "target_from must be a finite number of at least 0, not -0.1"),
        ({"target_from": math.nan}, "target_from must be a finite number of at least 0, not nan"),
        ({"weight_from": -1.0}, "weight_from must be a finite number of at least 0, not -1.0"),
        ({"weight": -1.0}, "weight must be a finite number of at least 0, not -1.0"),
        ({"target_rows": 0}, "target_rows must be a whole number of at least 1, not 0"),
    ],
)
def test_stable_targets_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        StableTarget(**options)


# A weighting of one's own


def test_a_weighting_may_be_a_function() -> None:
    samples, noise, sigma = points(7, 3), points(7, 3, seed=1), torch.logspace(-2, 2, 7, dtype=torch.float64)
    plain = denoising_score_matching(wave, samples, sigma, noise)
    own = denoising_score_matching(wave, samples, sigma, noise, lambda level: level.square() * (3 + level))
    torch.testing.assert_close(own, (3 + sigma) * plain)
    objective = DenoisingScoreMatching(lambda level: level.square() * (3 + level))
    torch.testing.assert_close(objective(wave, Batch(samples, sigma, noise)), (3 + sigma) * plain)
    # any callable, of torch's own too
    squared = denoising_score_matching(wave, samples, sigma, noise, torch.square)
    torch.testing.assert_close(squared, plain)
    by_name, by_function = (
        ncsn_loss(wave, samples, SIGMAS, weighting=weighting, generator=generator())
        for weighting in ("uniform", torch.ones_like)
    )
    assert torch.equal(by_name, by_function)


@pytest.mark.parametrize(
    ("weighting", "shape"),
    [
        (lambda sigma: sigma[:, None], r"\(7, 7\)"),
        (lambda sigma: sigma[:1, None], r"\(1, 7\)"),
        (lambda sigma: sigma.repeat(2, 1), r"\(2, 7\)"),
    ],
)
def test_a_weighting_is_one_weight_a_level(weighting: Any, shape: str) -> None:
    batch = Batch(points(7, 3), torch.logspace(-2, 2, 7, dtype=torch.float64), points(7, 3, seed=1))
    message = rf"the weighting must return \(7,\), as the levels, not {shape}"
    with pytest.raises(SettingError, match=message):
        DenoisingScoreMatching(weighting)(wave, batch)
    with pytest.raises(SettingError, match=message):
        ncsn_loss(wave, batch.samples, SIGMAS, weighting=weighting)
    # one number weighs all levels the same
    same = DenoisingScoreMatching(lambda sigma: sigma.new_tensor(2.0))(wave, batch)
    torch.testing.assert_close(same, 2 * DenoisingScoreMatching(torch.ones_like)(wave, batch))


# The page's loss


def test_the_page_s_loss_of_a_zero_score_is_one() -> None:
    n = 20_000
    loss = ncsn_loss(zero, points(n, 2), SIGMAS, generator=generator())
    assert loss.ndim == 0
    assert abs(loss - 1) < 4 * math.sqrt(2 / (2 * n))


def test_levels_are_drawn_evenly_and_noise_has_their_size() -> None:
    n, seen = 30_000, []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append((x, sigma))
        return torch.zeros_like(x)

    ncsn_loss(model, torch.full((n, 2), 3.0).double(), SIGMAS.float(), generator=generator())
    x, sigma = seen[0]
    assert sigma.dtype == torch.float64
    for level in SIGMAS:
        rows = (sigma - level).abs() < 1e-6
        assert abs(rows.double().mean() - 1 / 3) < 4 * math.sqrt(2 / 9 / n)
        noise = (x[rows] - 3) / level
        assert abs(noise.mean()) < 4 / math.sqrt(noise.numel())
        assert abs(noise.square().mean() - 1) < 4 * math.sqrt(2 / noise.numel())


def test_levels_may_be_any_numbers() -> None:
    samples = points(100, 2)
    expected = ncsn_loss(wave, samples, SIGMAS.float(), generator=generator())
    # numbers of Python's own become single precision, as everywhere in torch
    for sigmas in (SIGMAS.tolist(), tuple(SIGMAS.tolist()), SIGMAS.float().numpy()):
        assert torch.equal(ncsn_loss(wave, samples, sigmas, generator=generator()), expected)


def test_without_weighting_is_uniform_weighting() -> None:
    samples = points(100, 2)
    plain = ncsn_loss(wave, samples, SIGMAS, False, generator=generator())
    uniform = ncsn_loss(wave, samples, SIGMAS, weighting="uniform", generator=generator())
    assert torch.equal(plain, uniform)
    weighted = ncsn_loss(wave, samples, SIGMAS, generator=generator())
    assert torch.equal(weighted, ncsn_loss(wave, samples, SIGMAS, True, weighting="sigma2", generator=generator()))
    assert abs(weighted - plain) > 0.1


def test_the_loss_follows_the_generator_alone() -> None:
    samples, state = points(100, 2), torch.get_rng_state()
    first, second = (ncsn_loss(wave, samples, SIGMAS, generator=generator(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(3)
    assert torch.equal(ncsn_loss(wave, samples, SIGMAS), first)


def test_training_finds_the_score_of_a_mixture() -> None:
    exact = GaussianMixtureScore([1.0, 3.0], [[-1.2, 0.0], [0.4, 0.0]], 0.04)
    sigmas, random = create_noise_schedule(0.1, 5.0, 8), generator()
    torch.manual_seed(0)
    network = NCSNScoreNetwork(2, [64, 64])
    optimizer = torch.optim.Adam(network.parameters(), 4e-3)
    steps, tests = 800, [exact.sample(2000, random, sigma) for sigma in sigmas]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
        loss = ncsn_loss(network, exact.sample(256, random), sigmas, generator=random)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for sigma, x in zip(sigmas, tests, strict=True):
            # an untrained network is the score of the standard normal
            trained, untrained = (
                (score(x, sigma) - exact(x, sigma)).square().mean() for score in (network, NCSNScoreNetwork(2))
            )
            assert trained < untrained / 3


# Bad input


def test_bad_input() -> None:
    samples, noise = points(4, 2), points(4, 2, seed=1)
    unknown = "unknown weighting 'sigma'; did you mean 'sigma2'\\? known: sigma2, uniform"
    for refused in (
        lambda: DenoisingScoreMatching("sigma"),
        lambda: denoising_score_matching(zero, samples, torch.ones(4), noise, weighting="sigma"),
    ):
        with pytest.raises(SettingError, match=unknown):
            refused()
    for wrong in (None, 3):
        with pytest.raises(SettingError, match=f"unknown weighting {wrong}; known: sigma2"):
            DenoisingScoreMatching(wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="unknown weighting 'unifrm'; did you mean 'uniform'\\?"):
        ncsn_loss(zero, samples, SIGMAS, weighting="unifrm")
    for sigma in (torch.ones(3), torch.ones(4, 1)):
        with pytest.raises(SettingError, match=r"sigma must be a scalar or one per row, \(4,\), not of shape"):
            denoising_score_matching(zero, samples, sigma, noise)
    with pytest.raises(SettingError, match="condition 'label' must have one entry a row, 4, not 3"):
        stable()(zero, Batch(samples, torch.ones(4), noise, {"label": torch.zeros(3)}, zero))
    for sigmas in (torch.tensor([]), torch.tensor(1.0), torch.ones(2, 1)):
        with pytest.raises(SettingError, match="sigmas must be a 1-D tensor of noise levels, not of shape"):
            ncsn_loss(zero, samples, sigmas)


# Consistency


def flow_of_a_gaussian(spread: float, lowest: float) -> Any:
    """Return the end of the probability-flow ODE of N(0, spread^2), at the level ``lowest``: x sqrt(v(lowest)/v(sigma))."""

    def end(x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        level = sigma.reshape(-1, *[1] * (x.ndim - 1))
        return x * ((spread**2 + lowest**2) / (spread**2 + level**2)).sqrt()

    return end


def distance_of(loss: Tensor, sigma: Tensor, following: Tensor, dim: int) -> Tensor:
    """Return |end - target| from the pseudo-Huber loss (Song & Dhariwal 2024, eq. 7)."""
    softness = HUBER_SOFTNESS * math.sqrt(dim)
    return ((loss * (sigma - following) / sigma + softness).square() - softness**2).clamp(min=0).sqrt()


def test_the_end_of_the_flow_is_consistent_to_the_third_order_of_a_teachers_step() -> None:
    exact = GaussianMixtureScore([1.0], torch.zeros(1, 3, dtype=torch.float64), 0.5**2)
    sigma, samples, noise = torch.full((200,), 1.3, dtype=torch.float64), 0.5 * points(200, 3), points(200, 3, seed=1)
    errors = []
    for gap in (0.05, 0.025, 0.0125):
        following = sigma * (1 - gap)
        objective = Consistency(0.01).taught_by(exact)
        loss = objective.between(flow_of_a_gaussian(0.5, 0.01), Batch(samples, sigma, noise), following)
        errors.append(float(distance_of(loss, sigma, following, 3).mean()))
    # Heun's method is of second order: its single step errs by the third power
    assert math.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.12)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(3, abs=0.06)


def test_without_a_teacher_the_target_is_the_same_noise_at_the_lower_level() -> None:
    samples, noise = points(20, 3), points(20, 3, seed=1)
    sigma = torch.linspace(0.5, 3, 20, dtype=torch.float64)
    following = 0.8 * sigma
    loss = Consistency(0.01).between(wave, Batch(samples, sigma, noise), following)
    upper = wave(samples + sigma[:, None] * noise, sigma)
    lower = wave(samples + following[:, None] * noise, following)
    torch.testing.assert_close(distance_of(loss, sigma, following, 3), (upper - lower).norm(dim=1))


def test_the_exact_score_takes_the_place_of_the_noise_from_its_level_on() -> None:
    data = points(30, 2)
    exact, samples, noise = EmpiricalScore(data), data[:10], points(10, 2, seed=1)
    sigma = torch.tensor([0.1] * 5 + [1.0] * 5, dtype=torch.float64)
    following = 0.9 * sigma
    objective = Consistency(0.01, target=StableTarget(0.5))
    loss = objective.between(wave, Batch(samples, sigma, noise, exact=exact), following)
    x = samples + sigma[:, None] * noise
    slope = torch.cat([noise[:5], -(sigma[:, None] * exact(x, sigma))[5:]])
    target = wave(x + (following - sigma)[:, None] * slope, following)
    torch.testing.assert_close(distance_of(loss, sigma, following, 2), (wave(x, sigma) - target).norm(dim=1))


def test_levels_draw_nearer_as_training_goes_on_and_end_at_sigma_min() -> None:
    seen: list[Tensor] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(sigma)
        return x

    objective = Consistency(sigma_min=0.02, first_gap=0.5, last_gap=0.1)
    sigma = torch.tensor([0.02, 0.03, 1.0], dtype=torch.float64)
    for progress, gap in ((0.0, 0.5), (0.5, math.sqrt(0.05)), (1.0, 0.1)):
        objective(model, Batch(points(3, 2), sigma, points(3, 2), progress=progress))
        following, upper = seen[-2:]
        torch.testing.assert_close(upper, sigma.clamp(min=0.02 * (1 + gap)))
        torch.testing.assert_close(following, (upper * (1 - gap)).clamp(min=0.02))


def test_the_target_of_consistency_is_held_fixed() -> None:
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    sigma, following = torch.tensor([1.0], dtype=torch.float64), torch.tensor([0.8], dtype=torch.float64)
    samples, noise = points(1, 2), points(1, 2, seed=1)
    loss = Consistency(0.01).between(lambda x, sigma: weight * x, Batch(samples, sigma, noise), following)
    (slope,) = torch.autograd.grad(loss.sum(), weight)
    # d/dw sqrt(|w a - t|^2 + c^2) / gap with t fixed
    upper, target = samples + noise, 0.7 * (samples + 0.8 * noise)
    difference = 0.7 * upper - target
    soft = (difference.square().sum() + 2 * HUBER_SOFTNESS**2).sqrt()
    torch.testing.assert_close(slope, (difference * upper).sum() / soft / 0.2)


def test_the_last_gap_is_wider_with_a_teacher() -> None:
    seen: list[Tensor] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(sigma)
        return x

    batch = Batch(points(1, 2), torch.tensor([1.0], dtype=torch.float64), points(1, 2), progress=1.0)
    for objective, gap in (
        (Consistency(0.01), 0.1),
        (Consistency(0.01).taught_by(zero), 0.2),
        (Consistency(0.01, last_gap=0.3).taught_by(zero), 0.3),
        # nowhere wider than at the beginning
        (Consistency(0.01, first_gap=0.15).taught_by(zero), 0.15),
        (Consistency(0.01, first_gap=0.15), 0.1),
        (Consistency(0.01, first_gap=0.05), 0.05),
    ):
        objective(model, batch)
        assert float(seen[-2]) == pytest.approx(1 - gap)


def test_both_answers_of_consistency_leave_the_same_units_out() -> None:
    masks: list[Tensor] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        masks.append(nn.functional.dropout(torch.ones_like(x), 0.5, training=True))
        return x * masks[-1]

    batch = Batch(points(50, 2), torch.ones(50, dtype=torch.float64), points(50, 2, seed=1))
    for draws in (nullcontext(), drawn_from(generator())):
        with torch.random.fork_rng(), draws:
            Consistency(0.01)(model, batch)
            Consistency(0.01)(model, batch)
        first, again, second, _ = masks[-4:]
        assert torch.equal(first, again)
        # and others at the next call
        assert not torch.equal(first, second)


@pytest.mark.parametrize(
    "gaps",
    [
        {"first_gap": 1.0},
        {"first_gap": 0.0},
        {"first_gap": 0.05, "last_gap": 0.1},
        {"last_gap": 0.0},
        {"last_gap": 0.6},
        {"last_gap": math.nan},
    ],
)
def test_gaps_that_do_not_narrow_are_refused(gaps: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="gaps must narrow between 1 and 0, not go from"):
        Consistency(0.01, **gaps)


def test_parts_of_consistency_that_are_none_are_refused() -> None:
    for sigma_min in (0.0, -1.0, math.nan):
        with pytest.raises(SettingError, match="sigma_min must be a positive finite number, not"):
            Consistency(sigma_min)
    for objective in (Consistency, DenoisingScoreMatching):
        with pytest.raises(SettingError, match=r"target must be a StableTarget, not 0\.2"):
            objective(target=0.2)  # type: ignore[arg-type]


def test_consistency_must_know_where_the_flow_ends() -> None:
    with pytest.raises(SettingError, match=r"Consistency\(\) needs sigma_min, or a plan"):
        Consistency()(zero, Batch(points(2, 2), torch.ones(2), points(2, 2)))

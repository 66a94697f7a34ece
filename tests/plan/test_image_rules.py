"""What images choose: their levels by the grey, their network by size, number and device."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ncsn.data import Augmentation
from ncsn.errors import SettingError
from ncsn.plan import Plan, grey_step, make_plan

Array = NDArray[np.float64]


def bytes_of(n: int = 200, shape: tuple[int, ...] = (3, 16, 12), seed: int = 0) -> Array:
    """Draw images of 8 bits, smooth, on a border that never varies."""
    coarse = np.random.default_rng(seed).normal(120, 60, (n, shape[0], 4, 3))
    pixels = np.round(coarse.repeat(shape[1] // 4, 2).repeat(shape[2] // 3, 3).clip(0, 255))
    pixels[:, :, :2] = 0
    return pixels


def standardised(pixels: Array) -> Array:
    return (pixels - pixels.mean()) / pixels.std()


def test_the_smallest_level_is_one_step_of_grey_whatever_the_border_and_the_order_of_axes() -> None:
    pixels = bytes_of()
    step = 1 / pixels.std()
    plan = make_plan(standardised(pixels))
    assert plan.sigma_min == pytest.approx(step, rel=1e-6)
    turned = make_plan(standardised(pixels).transpose(0, 2, 3, 1))
    flipped = make_plan(standardised(pixels)[:, :, ::-1].copy())
    assert plan.sigma_min == pytest.approx(turned.sigma_min, rel=1e-9)
    assert plan.sigma_min == pytest.approx(flipped.sigma_min, rel=1e-9)
    # in single precision, as training has it
    assert make_plan(torch.from_numpy(standardised(pixels)).float()).sigma_min == pytest.approx(step, rel=1e-3)


def test_steps_of_grey_are_found_and_missed() -> None:
    pixels = bytes_of()
    assert grey_step(pixels) == 1
    assert grey_step(pixels[:, 0] / 255) == pytest.approx(1 / 255)
    # four values far apart, as of a drawing
    assert grey_step(np.random.default_rng(0).choice([0.0, 3.0, 10.0, 11.0], (50, 9, 9))) == 1
    smooth = np.random.default_rng(0).standard_normal((50, 20, 20))
    assert grey_step(smooth) is None
    assert make_plan(smooth).sigma_min == pytest.approx(0.01, rel=0.05)


def test_levels_rise_with_the_pixels() -> None:
    small, large = (make_plan(np.random.default_rng(0).standard_normal((20, 1, side, side))) for side in (32, 128))
    assert small.log_sigma_mean == pytest.approx(-0.3)
    assert large.log_sigma_mean == pytest.approx(-0.3 + np.log(4))
    # technique 2, as published: its ratio is nearer to 1 the more values there are
    assert large.n_sigmas > small.n_sigmas > 100


@pytest.mark.parametrize(
    ("side", "device", "patch", "multipliers"),
    [
        (8, "cpu", 1, (1, 2)),
        (16, "cpu", 1, (1, 2)),
        (28, "cpu", 1, (1, 2, 2)),
        (32, "cuda", 1, (1, 2, 2)),
        (64, "cpu", 2, (1, 2, 2)),
        (64, "cuda", 1, (1, 2, 2, 2)),
        (96, "cpu", 4, (1, 2, 2)),
    ],
)
def test_resolutions_halve_to_eight_pixels(side: int, device: str, patch: int, multipliers: tuple[int, ...]) -> None:
    plan = make_plan(np.random.default_rng(0).standard_normal((20, side, side - 1)), device=device)
    assert (plan.patch, plan.multipliers) == (patch, multipliers)
    assert plan.attention == 1


def test_a_gpu_gets_a_larger_network_and_more_images_more() -> None:
    x = np.random.default_rng(0).standard_normal((50, 1, 28, 28))
    few, many = (make_plan(x, n_rows=n, device="cuda") for n in (2000, 60_000))
    here = make_plan(x, n_rows=60_000)
    assert here.width < few.width < many.width
    assert here.batch_size < many.batch_size
    assert here.learning_rate * here.width == pytest.approx(many.learning_rate * many.width)
    assert few.dropout > many.dropout == 0
    assert few.training_steps < many.training_steps
    assert many.n_rows == 60_000


def test_a_perceptron_stays_where_images_are_small_or_are_none() -> None:
    for shape in ((50, 7, 7), (50, 4), (50, 2), (20, 3, 4, 5, 16)):
        plan = make_plan(np.random.default_rng(0).standard_normal(shape))
        assert plan.multipliers == ()
        assert (plan.mixed_precision, plan.augmentation) == ("no", "none")
        assert not {"patch", "multipliers", "attention", "mixed_precision", "augmentation"} & {
            choice.name for choice in plan.choices
        }
        assert Plan.from_dict(plan.to_dict()) == plan


def test_a_plan_of_images_is_saved_and_read() -> None:
    plan = make_plan(standardised(bytes_of()), multipliers=[1, 3], attention=0)
    assert plan.multipliers == (1, 3)
    assert plan.attention == 0
    assert Plan.from_dict(plan.to_dict()) == plan
    assert "multipliers" in str(plan)


@pytest.mark.parametrize("augmentation", ["flips", Augmentation(0.5, translation=0.2)])
def test_a_plan_keeps_an_augmentation_by_name_or_as_an_object(augmentation: str | Augmentation) -> None:
    assert make_plan(standardised(bytes_of())).augmentation == "none"
    plan = make_plan(standardised(bytes_of()), augmentation=augmentation)
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan
    assert again.augmentation == augmentation
    assert str(augmentation) in str(plan)


def test_a_plan_refuses_what_is_no_augmentation() -> None:
    with pytest.raises(SettingError, match="unknown augmentation 'flip'; did you mean 'flips'"):
        make_plan(standardised(bytes_of()), augmentation="flip")
    with pytest.raises(SettingError, match="augmentation must be a name or an Augmentation, not True"):
        make_plan(standardised(bytes_of()), augmentation=True)

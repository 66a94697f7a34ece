"""Images moved at random: by how much, exactly as their vectors say, against SciPy's resampling."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ncsn.data import AUGMENTATIONS, Augmentation, augmentation_named
from ncsn.data.augmentation import moved
from ncsn.errors import SettingError
from ncsn.parts import from_plain, to_plain

ALL = Augmentation(0.3, 0.2, 0.25, 0.15, 0.35, 0.4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(height: int = 48, width: int = 60) -> NDArray[np.float64]:
    """Return an image without symmetry whose details are wide beside a pixel."""
    y, x = np.mgrid[:height, :width].astype(float)
    spots = ((12, 18, 6.0, 1.0), (30, 40, 8.0, -0.7), (34, 14, 7.0, 0.5))
    return sum(height * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * s**2)) for a, b, s, height in spots)


def one(image: NDArray[Any], told: list[float]) -> NDArray[np.float64]:
    return moved(torch.from_numpy(image)[None], torch.tensor([told], dtype=torch.float64))[0].numpy()


def only(**entries: float) -> list[float]:
    names = ["x_flip", "y_flip", "scale", "cosine", "sine", "along", "diagonal", "right", "down"]
    assert entries.keys() <= set(names)
    return [entries.get(name, 0.0) for name in names]


def test_each_move_is_done_as_often_as_its_probability_says_and_by_the_papers_amounts() -> None:
    n = 40_000
    told = ALL.draw(n, generator()).double()
    done = torch.stack(
        [told[:, 0], told[:, 1], told[:, 2], told[:, 3], told[:, 5:7].norm(dim=1), told[:, 7]], dim=1
    ).bool()
    for share, probability in zip(done.double().mean(0), (0.3, 0.2, 0.25, 0.15, 0.35, 0.4), strict=True):
        assert float(share) == pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / n))
    # one apart from another
    correlation = torch.corrcoef(done.double().T) - torch.eye(6)
    assert float(correlation.abs().max()) < 4.5 / math.sqrt(n)
    assert set(told[:, :2].unique().tolist()) == {0.0, 1.0}

    for entry in (told[done[:, 2], 2], told[done[:, 5], 7], told[done[:, 5], 8]):
        assert float(entry.mean()) == pytest.approx(0, abs=4 / math.sqrt(len(entry)))
        assert float(entry.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * len(entry)))
    # any angle: as many in each eighth of the circle
    turned = told[done[:, 3]]
    cosine, sine = turned[:, 3] + 1, turned[:, 4]
    torch.testing.assert_close(cosine.square() + sine.square(), torch.ones_like(sine), rtol=1e-5, atol=1e-5)
    counts = torch.histc(torch.atan2(sine, cosine), 8, -math.pi, math.pi)
    assert float((counts - len(turned) / 8).abs().max()) < 4 * math.sqrt(len(turned) / 8)
    # half of the stretches are along the axes, and all as wide as a standard normal number
    along, diagonal = told[done[:, 4], 5], told[done[:, 4], 6]
    assert float((diagonal == 0).double().mean()) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(len(along)))
    assert float((along.square() + diagonal.square()).mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / len(along)))


def test_the_same_generator_draws_the_same() -> None:
    images = torch.randn(20, 3, 8, 8, generator=generator(1))
    first, again = (ALL(images, generator(3)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], ALL(images, generator(4))[1])


def test_what_was_not_moved_is_as_it_was_bit_for_bit() -> None:
    images = torch.randn(400, 9, 7, generator=generator(1))
    answer, told = ALL(images, generator())
    kept = ~told.any(1)
    assert 20 < int(kept.sum()) < 200
    assert torch.equal(answer[kept], images[kept])
    assert (answer[~kept] != images[~kept]).flatten(1).any(1).all()
    assert answer.shape == images.shape
    assert told.shape == (400, 9)


def test_flips_are_exact() -> None:
    images = torch.randn(4, 3, 5, 6, generator=generator())
    told = torch.tensor([only(), only(x_flip=1), only(y_flip=1), only(x_flip=1, y_flip=1)])
    expected = np.stack(
        [images[0], images[1].numpy()[:, :, ::-1], images[2].numpy()[:, ::-1], images[3].numpy()[:, ::-1, ::-1]]
    )
    np.testing.assert_array_equal(moved(images, told).numpy(), expected)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, -3), (-1, 4)])
def test_a_shift_by_whole_pixels_is_scipys(right: int, down: int) -> None:
    image = np.random.default_rng(0).standard_normal((16, 24))
    answer = one(image, only(right=8 * right / 24, down=8 * down / 16))
    np.testing.assert_allclose(answer, ndimage.shift(image, (down, right), order=1, mode="reflect"), atol=1e-12)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarters_of_a_turn_are_numpys(quarters: int) -> None:
    image = np.random.default_rng(0).standard_normal((11, 11))
    angle = quarters * math.pi / 2
    # from right to down is from the second axis to the first
    expected = np.rot90(image, quarters, axes=(1, 0))
    np.testing.assert_allclose(one(image, only(cosine=math.cos(angle) - 1, sine=math.sin(angle))), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("scale", "angle", "stretch", "direction", "right", "down"),
    [
        (1.5, 0.0, 0.0, 0.0, 0.0, 0.0),
        (-2.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.6, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 1.4, 0.0, 0.0, 0.0),
        (0.0, 0.0, 1.4, 0.9, 0.0, 0.0),
        (0.0, 0.0, -1.4, 0.9, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.7, -1.3),
        (0.8, -2.1, 1.2, -2.5, -0.9, 0.6),
    ],
)
def test_a_move_is_scipys_of_the_matrix_that_the_paper_composes(
    scale: float, angle: float, stretch: float, direction: float, right: float, down: float
) -> None:
    image = smooth()
    height, width = image.shape

    def turn(by: float) -> NDArray[np.float64]:
        return np.array([[np.cos(by), -np.sin(by)], [np.sin(by), np.cos(by)]])

    enlarged = 2 ** (0.2 * scale) * np.eye(2)
    stretched = turn(direction) @ np.diag([2 ** (0.2 * stretch), 2 ** (-0.2 * stretch)]) @ turn(-direction)
    # x to the right and y down: SciPy has y first
    forward = (stretched @ turn(angle) @ enlarged)[::-1, ::-1]
    middle, shift = np.array([height - 1, width - 1]) / 2, np.array([down * height, right * width]) / 8
    inverse = np.linalg.inv(forward)
    expected = ndimage.affine_transform(image, inverse, middle - inverse @ (middle + shift), order=3, mode="reflect")
    told = only(
        scale=scale,
        cosine=math.cos(angle) - 1,
        sine=math.sin(angle),
        along=stretch * math.cos(2 * direction),
        diagonal=stretch * math.sin(2 * direction),
        right=right,
        down=down,
    )
    np.testing.assert_allclose(one(image, told), expected, atol=0.012)
    # what was done is no small thing
    assert np.abs(expected - image).max() > 0.15
    # and a flip comes before it
    both = one(image[:, ::-1].copy(), [1.0, *told[1:]])
    np.testing.assert_allclose(both, one(image, told), atol=1e-12)


def test_channels_and_images_of_a_batch_keep_apart() -> None:
    images = torch.randn(6, 3, 10, 12, generator=generator())
    told = Augmentation(0.5, 0.5, 1, 1, 1, 1).draw(6, generator())
    answer = moved(images, told)
    for i in range(6):
        for channel in range(3):
            alone = moved(images[i : i + 1, channel], told[i : i + 1])
            torch.testing.assert_close(answer[i : i + 1, channel], alone, rtol=1e-3, atol=1e-4)


def test_a_type_of_low_precision_is_moved_in_single() -> None:
    images = torch.randn(8, 1, 16, 16, generator=generator()).bfloat16()
    told = Augmentation(rotation=1.0, translation=1.0).draw(8, generator()).bfloat16()
    answer = moved(images, told)
    assert answer.dtype == torch.bfloat16
    torch.testing.assert_close(answer, moved(images.float(), told.float()).bfloat16())


def test_the_vector_is_empty_where_nothing_is_ever_done() -> None:
    assert [part.dim for part in AUGMENTATIONS.values()] == [0, 9, 9]
    images: Tensor = torch.randn(3, 4, 4, generator=generator())
    assert torch.equal(Augmentation()(images, generator())[0], images)


def test_an_augmentation_is_plain_data() -> None:
    assert repr(Augmentation(x_flip=0.5)) == "Augmentation(x_flip=0.5)"
    assert from_plain(json.loads(json.dumps(to_plain(ALL)))) == ALL
    assert augmentation_named("flips") == augmentation_named(Augmentation(0.5))


def test_bad_augmentations_are_refused() -> None:
    with pytest.raises(SettingError, match="rotation must be a probability, at most 1, not 12"):
        Augmentation(rotation=12)
    with pytest.raises(SettingError, match=r"x_flip must be a finite number of at least 0, not -0\.1"):
        Augmentation(x_flip=-0.1)
    with pytest.raises(SettingError, match="unknown augmentation 'flip'; did you mean 'flips'"):
        augmentation_named("flip")
    with pytest.raises(SettingError, match=r"augmentation must be a name or an Augmentation, not 0\.12"):
        augmentation_named(0.12)  # type: ignore[arg-type]

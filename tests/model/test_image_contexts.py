"""Images as contexts: against conditional distributions that are known, and through saving, resuming and judging."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from small_models import white
from torch.utils.data import DataLoader, TensorDataset

from ncsn import NCSN
from ncsn.errors import DataError, RunError, SettingError
from ncsn.evaluation import judge
from ncsn.networks import ImageEmbedding, UNet

Array = npt.NDArray[np.float64]

SIDE, FACTOR = 8, 2
SMALL: dict[str, Any] = {"width": 8, "n_blocks": 1, "batch_size": 8, "training_steps": 3, "random_state": 0}


def field() -> tuple[Array, Array, Array, Array]:
    """Return a covariance of images, how they are down-sampled, and the mean's matrix and the covariance given that."""
    places = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1).reshape(-1, 2)
    covariance = np.exp(-((places[:, None] - places) ** 2).sum(-1) / 12.5) + 0.05 * np.eye(SIDE**2)
    few = np.stack(np.meshgrid(np.arange(SIDE // FACTOR), np.arange(SIDE // FACTOR), indexing="ij"), -1).reshape(-1, 2)
    down = (few[:, None] == places // FACTOR).all(-1) / FACTOR**2
    gain = covariance @ down.T @ np.linalg.inv(down @ covariance @ down.T)
    return covariance, down, gain, covariance - gain @ down @ covariance


def drawn(n: int, seed: int) -> tuple[Array, Array]:
    """Return images, ``(n, 64)``, and what they are when they are down-sampled, ``(n, 16)``."""
    covariance, down, _, _ = field()
    x = np.random.default_rng(seed).standard_normal((n, SIDE**2)) @ np.linalg.cholesky(covariance).T
    return x, x @ down.T


def as_images(flat: Array) -> Array:
    return flat.reshape(len(flat), int(flat.shape[1] ** 0.5), -1)


def test_images_given_smaller_ones_have_the_mean_and_spread_that_these_leave() -> None:
    x, c = drawn(2000, 0)
    settings: dict[str, Any] = {"width": 16, "n_blocks": 1, "training_steps": 400, "mixed_precision": "no"}
    model = NCSN(**settings, random_state=0).fit(as_images(x), context=as_images(c))
    assert isinstance(model.score_model_.network, UNet) and model.plan_.context_beside == FACTOR
    _, told = drawn(100, 1)
    samples = model.sample(1000, context=as_images(np.repeat(told, 10, 0)), random_state=1).reshape(100, 10, -1)
    _, down, gain, left = field()
    sd = np.sqrt(np.diag(left))
    error = samples - (told @ gain.T)[:, None]
    # of images that vary by 1.02 a pixel, 0.22 is left: their means over ten draws, and over all, and their spread
    assert np.sqrt((error.mean(1) ** 2).mean()) == pytest.approx(sd.mean() * 10**-0.5, rel=0.25)
    assert np.abs(error.mean((0, 1))).max() < 0.06
    assert (error.std((0, 1)) / sd).mean() == pytest.approx(1, abs=0.1)
    assert np.sqrt(((samples @ down.T - told[:, None]) ** 2).mean()) < 0.05
    # the first of many is what one alone gives
    one = model.sample(1, context=as_images(told)[0], random_state=1).ravel()
    np.testing.assert_allclose(one, samples[0, 0], atol=1e-4)


def spots(places: Array, side: int = 12) -> Array:
    """Return images of a spot at each place."""
    axis = np.arange(side)
    far = (axis[:, None] - places[:, 0, None, None]) ** 2 + (axis - places[:, 1, None, None]) ** 2
    return np.exp(-far / 4)


@pytest.mark.slow
def test_numbers_given_an_image_follow_what_is_seen_in_it() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(2, 9, (5000, 2))
    x = places + [0.5, 1.0] * rng.standard_normal((5000, 2))
    model = NCSN(width=64, random_state=0).fit(x, context=spots(places))
    assert model.plan_.context_beside == 0
    told = rng.uniform(2, 9, (300, 2))
    error = (
        model.sample(9000, context=np.repeat(spots(told), 30, 0), random_state=1).reshape(300, 30, 2) - told[:, None]
    )
    np.testing.assert_allclose(error.mean((0, 1)), 0, atol=0.03)
    np.testing.assert_allclose(error.std((0, 1)), [0.5, 1.0], rtol=0.03)
    # and what nothing is told of is the marginal
    alone = model.sample(5000, random_state=1)
    np.testing.assert_allclose(alone.mean(0), 5.5, atol=0.1)
    np.testing.assert_allclose(alone.std(0), np.sqrt(49 / 12 + np.array([0.25, 1.0])), rtol=0.05)


@pytest.mark.slow
def test_images_that_stand_for_classes_are_classes() -> None:
    signs = np.stack([np.eye(8) * 255, np.fliplr(np.eye(8)) * 255]).astype(np.uint8)
    rng = np.random.default_rng(0)
    code = rng.integers(0, 2, 600)
    means, sds = np.array([90, 160]), np.array([10, 25])
    grey = means[code, None, None] + sds[code, None, None] * rng.standard_normal((600, 8, 8))
    x = grey.clip(0, 255).astype(np.uint8)
    settings: dict[str, Any] = {"training_steps": 300, "width": 16, "random_state": 0}
    classes, contexts = NCSN(**settings).fit(x, code), NCSN(**settings).fit(x, context=signs[code])
    for k in (0, 1):
        one = classes.sample(300, label=k, random_state=1).astype(float)
        other = contexts.sample(300, context=signs[k], random_state=1).astype(float)
        for samples in (one, other):
            assert samples.mean() == pytest.approx(means[k] - 0.5, abs=2)
            assert samples.std() == pytest.approx(sds[k], rel=0.08)
        assert other.mean() == pytest.approx(one.mean(), abs=1.5)
    # guided to a class or to its sign
    one = classes.sample(300, label=1, guidance=2, random_state=1).astype(float)
    other = contexts.sample(300, context=signs[1], guidance=2, random_state=1).astype(float)
    assert other.mean() == pytest.approx(one.mean(), abs=2)


def colours(n: int = 40) -> tuple[Any, Any]:
    """Return colour images of 8 bits, ``(n, 8, 8, 3)``, and their grey ones, ``(n, 8, 8)``."""
    images = np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return images, images.mean(3).astype(np.uint8)


@pytest.fixture(scope="module")
def coloured() -> NCSN:
    images, grey = colours()
    return NCSN(**SMALL).fit(images, context=grey)


def test_what_is_saved_draws_the_same(coloured: NCSN, tmp_path: Path) -> None:
    _, grey = colours()
    coloured.save(tmp_path / "run")
    loaded = NCSN.load(tmp_path / "run")
    assert loaded.plan_ == coloured.plan_ and loaded.plan_.context_shape == (8, 8)
    how: dict[str, Any] = {"context": grey[:3], "steps": 3, "random_state": 0}
    samples = coloured.sample(3, **how)
    assert samples.shape == (3, 8, 8, 3) and samples.dtype == np.uint8
    np.testing.assert_array_equal(samples, loaded.sample(3, **how))
    np.testing.assert_array_equal(samples, coloured.sample(3, **how | {"context": torch.as_tensor(grey[:3])}))


def test_a_training_that_was_broken_off_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncsn.training.trainer.CHECKPOINT_EVERY", 50)
    images, grey = colours()
    settings: dict[str, Any] = SMALL | {"training_steps": 52, "mixed_precision": "no", "validation_fraction": 0}

    def broken(progress: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        # after step 50, whose state is written before
        NCSN(**settings).fit(images, context=grey, callback=broken, checkpoint=tmp_path / "state")
    whole = NCSN(**settings).fit(images, context=grey)
    resumed = NCSN(**settings).fit(images, context=grey, checkpoint=tmp_path / "state")
    how: dict[str, Any] = {"context": grey[0], "steps": 2, "random_state": 0}
    np.testing.assert_array_equal(whole.sample(2, **how), resumed.sample(2, **how))
    with pytest.raises(
        RunError, match="no checkpoint of this training: its data, settings, number of processes or version differ"
    ):
        NCSN(**settings).fit(images, context=255 - grey, checkpoint=tmp_path / "state")


def test_a_folder_and_a_data_set_are_contexts_as_an_array_is(coloured: NCSN, tmp_path: Path) -> None:
    images, grey = colours()
    for i, each in enumerate(grey):
        Image.fromarray(each).save(tmp_path / f"{i:02}.png")
    of_folder = NCSN(**SMALL).fit(images, context=tmp_path)
    of_items = NCSN(**SMALL).fit(images, context=TensorDataset(torch.as_tensor(grey[:, None])))
    # a folder's have an axis of channels
    assert of_folder.plan_.context_shape == of_items.plan_.context_shape == (1, 8, 8)
    how: dict[str, Any] = {"steps": 2, "random_state": 0}
    expected = coloured.sample(40, context=grey, **how)
    np.testing.assert_array_equal(of_folder.sample(40, context=str(tmp_path), **how), expected)
    np.testing.assert_array_equal(of_items.sample(40, context=grey[:, None], **how), expected)
    with pytest.raises(SettingError, match="a stream cannot be contexts"):
        NCSN(**SMALL).fit(images, context=DataLoader(TensorDataset(torch.as_tensor(grey))))
    with pytest.raises(DataError, match="no such file or folder"):
        NCSN(**SMALL).fit(images, context="nowhere/at/all")


def test_images_given_images_are_judged_by_samples_given_those_held_out(coloured: NCSN) -> None:
    images, grey = colours()
    found = judge(
        coloured.model_,
        images[:20],
        images[20:],
        contexts=grey[:20],
        held_out_contexts=grey[20:],
        log_likelihood=False,
        steps=2,
    )
    assert found.sampler == "10, steps=2, given the contexts of held-out rows"


def test_numbers_given_images_are_judged_alone() -> None:
    x, (_, grey) = white(40, 2), colours()
    model = NCSN(**SMALL).fit(x, context=grey).model_
    assert any(isinstance(part, ImageEmbedding) for part in model.score_model.modules())
    found = judge(model, x[:20], x[20:], contexts=grey[:20], held_out_contexts=grey[20:], steps=2)
    assert found.sampler.endswith("given the contexts of held-out rows") and found.log_likelihood is not None


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (np.zeros((8, 7), np.uint8), r"context: expected rows|context: rows of shape \(7,\) given"),
        (np.zeros((2, 8, 7), np.uint8), r"context: rows of shape \(8, 7\) given; the model was fitted on \(8, 8\)"),
        (np.full((8, 8), np.nan), "context: 64 cells are missing or infinite"),
    ],
)
def test_images_that_are_not_like_the_contexts_are_refused(coloured: NCSN, context: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        coloured.sample(2, context=context)


def test_too_many_images_are_refused(coloured: NCSN) -> None:
    with pytest.raises(SettingError, match="3 contexts for 2 rows; give one, or one for each"):
        coloured.sample(2, context=colours()[1][:3])
    with pytest.raises(SettingError, match="without names: give them in their order"):
        coloured.sample(2, context={"grey": 3})

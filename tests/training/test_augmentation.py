"""Training on images that are moved: what the model is told, and that samples are as the images are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import interrupt_at
from torch import Tensor, nn

from ncsn.data import Augmentation
from ncsn.losses import Batch, DenoisingScoreMatching
from ncsn.networks import PreconditionedScore, UNet
from ncsn.noise import Karras, LogNormal
from ncsn.samplers import sample
from ncsn.score import ScoreModel
from ncsn.training import Batches, Recipe, Trainer

ALL = Augmentation(0.5, 0.2, 0.3, 0.3, 0.3, 0.3)

RECIPE = Recipe(
    LogNormal(log_sigma_mean=-0.3, log_sigma_spread=1.5, sigma_min=0.02, sigma_max=20.0),
    steps=12,
    batch_size=12,
    learning_rate=3e-3,
    augmentation=ALL,
    seed=5,
)


def left_bright(n: int = 300) -> Tensor:
    """Return images whose left half is bright and whose right half is dark, each by its own amount."""
    generator = torch.Generator().manual_seed(0)
    amount = 1 + 0.2 * torch.randn(n, 1, 1, generator=generator)
    sides = torch.ones(8, 8)
    sides[:, 4:] = -1
    return amount * sides + 0.1 * torch.randn(n, 8, 8, generator=generator)


def small_unet(augmentation_dim: int = 9, dropout: float = 0.0) -> PreconditionedScore:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return PreconditionedScore(UNet((8, 8), 8, (1, 2), 1, dropout=dropout, augmentation_dim=augmentation_dim))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_the_model_is_told_what_was_done_to_the_rows_that_were_drawn() -> None:
    images, seen = left_bright(), list[Batch]()

    def seeing(model: ScoreModel, batch: Batch) -> Tensor:
        seen.append(batch)
        return model(batch.noisy, batch.sigma, **batch.condition).flatten(1).square().mean(1)

    recipe = replace(RECIPE, steps=6, augmentation=Augmentation(x_flip=0.4, y_flip=0.4), objective=seeing)
    Trainer(small_unet(), images, recipe).run()
    told = torch.cat([batch.condition["augmentation"] for batch in seen])
    rows = torch.cat([batch.samples for batch in seen])
    assert told.shape == (72, 9)
    for flipped, axis in ((told[:, 0], 2), (told[:, 1], 1)):
        assert 0.15 < float(flipped.mean()) < 0.65
        rows = torch.where(flipped.bool()[:, None, None], rows.flip(axis), rows)
    # put back, they are rows of the data
    assert float(torch.cdist(rows.flatten(1), images.flatten(1)).min(1).values.max()) == pytest.approx(0, abs=1e-2)


def trained(told: bool) -> nn.Module:
    """Train a small network on images of which half are mirrored, and say so to it or not."""

    def untold(model: ScoreModel, batch: Batch) -> Tensor:
        return DenoisingScoreMatching("edm")(model, replace(batch, condition={}))

    objective: Any = DenoisingScoreMatching("edm") if told else untold
    sizes: dict[str, Any] = {"steps": 250, "batch_size": 48, "learning_rate": 6e-3, "warm_up": 30}
    recipe = replace(RECIPE, **sizes, augmentation=Augmentation(x_flip=0.5), objective=objective)
    trainer = Trainer(small_unet(), left_bright(), recipe)
    trainer.run()
    return trainer.averaged_model


def share_left_bright(model: nn.Module, **condition: Tensor) -> float:
    """Return how many samples are brighter at the left."""
    levels = Karras(sigma_min=0.05, sigma_max=20.0).grid(12)
    generator = torch.Generator().manual_seed(2)
    samples = sample(model, levels, 200, (8, 8), "heun", generator=generator, condition=condition)
    difference = samples[:, :, :4].mean((1, 2)) - samples[:, :, 4:].mean((1, 2))
    assert float((difference.abs() > 1).float().mean()) > 0.9
    return float((difference > 0).float().mean())


def test_mirror_images_do_not_leak_into_samples() -> None:
    model = trained(told=True)
    assert share_left_bright(model) == 1
    # asked for, they come
    assert share_left_bright(model, augmentation=torch.eye(9)[:1].expand(200, 9)) == 0
    # what is not told does leak, as half of what was trained on was mirrored
    assert 0.2 < share_left_bright(trained(told=False)) < 0.8


def test_several_parts_of_a_batch_are_moved_as_the_whole_is() -> None:
    whole, parts = (
        Trainer(small_unet().double(), left_bright().double(), replace(RECIPE, accumulation=n)) for n in (1, 3)
    )
    for trainer in (whole, parts):
        trainer.run()
    torch.testing.assert_close(weights(parts.score_model), weights(whole.score_model), rtol=1e-7, atol=1e-8)


def test_a_resumed_training_is_the_same_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncsn.training.trainer.REPORT_EVERY", 4)
    monkeypatch.setattr("ncsn.training.trainer.CHECKPOINT_EVERY", 4)
    whole = Trainer(small_unet(dropout=0.2), left_bright(), RECIPE)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(small_unet(dropout=0.2), left_bright(), RECIPE).run(interrupt_at(8), tmp_path / "kept")
    resumed = Trainer(small_unet(dropout=0.2), left_bright(), RECIPE)
    resumed.run(checkpoint=tmp_path / "kept")
    assert torch.equal(weights(resumed.averaged_model), weights(whole.averaged_model))
    # an other augmentation is another training
    other = Trainer(small_unet(), left_bright(), replace(RECIPE, augmentation=Augmentation(0.5)))
    assert other.fingerprint() != Trainer(small_unet(), left_bright(), RECIPE).fingerprint()


def test_bytes_are_moved_as_the_rows_that_they_become() -> None:
    images = (50 * left_bright() + 128).clamp(0, 255).byte()
    encoded = Batches(images, encode=lambda values: (values.float() - 128) / 50)
    seen = list[Tensor]()

    def seeing(model: ScoreModel, batch: Batch) -> Tensor:
        seen.append(batch.samples)
        return model(batch.noisy, batch.sigma, **batch.condition).flatten(1).square().mean(1)

    recipe = replace(RECIPE, steps=2, objective=seeing)
    Trainer(small_unet(), encoded, recipe).run()
    Trainer(small_unet(), (images.float() - 128) / 50, recipe).run()
    assert torch.equal(torch.cat(seen[:2]), torch.cat(seen[2:]))

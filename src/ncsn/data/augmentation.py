"""Images moved at random for training, which the network is told of (Karras et al. 2022, appendix F.2, table 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ncsn.errors import SettingError, check_number
from ncsn.parts import Part, named

DIM = 9
"""Length of the vector that says what was done to an image."""

SCALING, TRANSLATION = 0.2, 1 / 8
"""One standard deviation of scaling and of anisotropy, in octaves, and of translation, in sides of the image."""


@dataclass(frozen=True, repr=False)
class Augmentation(Part):
    """Moves images at random, each in every way with a probability of its own, and says what it did.

    What the network is told of the move has no part in the samples, which are drawn without: zeros stand for images as they
    are. The vector of an image says, in the order in which it is done,

    - 0: 1 where left and right are exchanged
    - 1: 1 where top and bottom are exchanged
    - 2: s, standard normal, where it is enlarged 2^(0.2 s) times
    - 3, 4: cos(angle) - 1 and sin(angle) where it is turned, by any angle, from right to down
    - 5, 6: w cos(2 angle) and w sin(2 angle), w standard normal, where it is stretched 2^(0.2 w) times along a direction and
      shrunk as much across it: in half of the cases along the rows, else in any direction
    - 7, 8: by how many eighths of its width and of its height it is shifted, right and down, standard normal

    Equal moves have equal vectors; the paper has the direction's angle, not its double, and so the same vector for a stretch
    along a direction as for one across it. Flips are exact. All else is one resampling, bicubic, of the image reflected at
    its edges; the paper's is at twice the resolution.

    Args:
        x_flip: Probability that left and right are exchanged.
        y_flip: Probability that top and bottom are.
        scaling: Probability of a scaling.
        rotation: Probability of a rotation.
        anisotropy: Probability of a stretch.
        translation: Probability of a shift.

    Raises:
        SettingError: A probability is not between 0 and 1.

    >>> images, told = Augmentation(x_flip=1.0)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.Generator())
    >>> images.tolist(), told.shape, told.count_nonzero().item()
    ([[[2.0, 1.0], [4.0, 3.0]]], torch.Size([1, 9]), 1)
    """

    x_flip: float = 0.0
    y_flip: float = 0.0
    scaling: float = 0.0
    rotation: float = 0.0
    anisotropy: float = 0.0
    translation: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            probability = getattr(self, field.name)
            check_number(field.name, probability, least=0)
            if probability > 1:
                raise SettingError(f"{field.name} must be a probability, at most 1, not {probability}")

    @property
    def dim(self) -> int:
        """Length of the vector that the network is told, 9; 0 where nothing is ever done."""
        return DIM if any(getattr(self, field.name) for field in fields(self)) else 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Move images.

        Args:
            images: Images, ``(N, H, W)`` or ``(N, C, H, W)``.
            generator: Source of randomness, on their device.

        Returns:
            The images moved, and what was done to each, ``(N, 9)``, in their type.
        """
        told = self.draw(len(images), generator).to(images.dtype)
        return moved(images, told), told

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw what is to be done to ``n`` images, ``(n, 9)``."""
        where: dict[str, Any] = {"generator": generator, "device": generator.device}
        probabilities = torch.tensor([getattr(self, field.name) for field in fields(self)], device=generator.device)
        done = (torch.rand(n, len(probabilities), **where) < probabilities).float()
        x_flip, y_flip, scaled, turned, stretched, shifted = done.unbind(1)
        scale, stretch, right, down = torch.randn(4, n, **where)
        angle, direction = math.pi * (2 * torch.rand(2, n, **where) - 1)
        direction = direction * (torch.rand(n, **where) < 0.5)
        angle, stretch = angle * turned, stretch * stretched
        moves = [angle.cos() - 1, angle.sin(), stretch * (2 * direction).cos(), stretch * (2 * direction).sin()]
        return torch.stack([x_flip, y_flip, scale * scaled, *moves, right * shifted, down * shifted], dim=1)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "flips": Augmentation(x_flip=0.5),
    "edm": Augmentation(0.5, 0.06, 0.12, 0.12, 0.12, 0.12),
}
"""Each augmentation by its name; ``edm`` is that of CIFAR-10 (Karras et al. 2022)."""


def augmentation_named(augmentation: str | Augmentation) -> Augmentation:
    """Return the augmentation of a name, or the one given.

    Raises:
        SettingError: The name is unknown, or it is no augmentation.
    """
    found = named("augmentation", augmentation, AUGMENTATIONS)
    if type(found) is not Augmentation:
        raise SettingError(f"augmentation must be a name or an Augmentation, not {augmentation!r}")
    return found


def moved(images: Tensor, told: Tensor) -> Tensor:
    """Return images moved as their vectors say.

    Args:
        images: Images, ``(N, H, W)`` or ``(N, C, H, W)``.
        told: What is to be done to each, ``(N, 9)``; see `Augmentation`.
    """
    whole = images if images.ndim == 4 else images.unsqueeze(1)
    for axis, flip in ((3, told[:, 0]), (2, told[:, 1])):
        whole = torch.where(flip[:, None, None, None] != 0, whole.flip(axis), whole)
    resampled = (told[:, 2:] != 0).any(1).nonzero()[:, 0]
    whole = whole.index_copy(0, resampled, _resampled(whole[resampled], told[resampled]))
    return whole.reshape(images.shape)


def _resampled(images: Tensor, told: Tensor) -> Tensor:
    """Return images ``(N, C, H, W)`` scaled, turned, stretched and shifted."""
    if images.device.type == "mps":
        # which has no bicubic interpolation and no reflection
        return _resampled(images.cpu(), told.cpu()).to(images.device)
    (n, _, height, width), dtype = images.shape, torch.promote_types(images.dtype, torch.float32)
    _, _, scale, cosine_less_1, sine, along, diagonal, right, down = told.to(dtype).unbind(1)
    # what a pixel of the answer shows was at turn^-1 stretch^-1 (place - shift), from the middle of the image
    logarithm = torch.stack([scale + along, diagonal, diagonal, scale - along], 1).reshape(n, 2, 2)
    stretch = torch.linalg.matrix_exp(-SCALING * math.log(2) * logarithm)
    turn = torch.stack([1 + cosine_less_1, sine, -sine, 1 + cosine_less_1], 1).reshape(n, 2, 2)
    sides = torch.tensor([width, height], dtype=dtype, device=images.device)
    rows, columns = (torch.arange(side, device=images.device) + 0.5 - side / 2 for side in (height, width))
    places = torch.cartesian_prod(rows, columns).flip(1).to(dtype)
    places = places - TRANSLATION * (sides * torch.stack([right, down], 1)).unsqueeze(1)
    grid = (2 / sides * (places @ (turn @ stretch).mT)).reshape(n, height, width, 2)
    answer = functional.grid_sample(images.to(dtype), grid, "bicubic", "reflection", align_corners=False)
    return answer.to(images.dtype)

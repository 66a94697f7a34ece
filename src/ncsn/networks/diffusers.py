"""UNets of the library diffusers as networks F."""

from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError
from ncsn.score import NO_LABEL


class DiffusersNetwork(nn.Module):
    """A UNet of diffusers as a network F, for a method's own preconditioning: ``NCSN(network=DiffusersNetwork(unet))``.

    Args:
        unet: A ``UNet2DModel``, or what is called as it is, ``unet(x, time, class_labels=...).sample``. For K classes make it
            with ``num_class_embeds=K + 1``: the first embedding stands for no label. What it returns beyond the input's
            channels, such as a learned variance, is left out.
        time_scale: Factor of the noise level's coordinate, whose finest embedding in diffusers is a sine of one radian a unit.
        no_label: Which of its class embeddings stands for no label, 0 with the classes behind it; None where there is no
            such embedding, and every call needs a label.

    Raises:
        SettingError: ``no_label`` is neither 0 nor None.
    """

    def __init__(self, unet: nn.Module, time_scale: float = 8.0, no_label: int | None = 0) -> None:
        super().__init__()
        if no_label not in (0, None):
            raise SettingError(f"no_label must be 0, the first class embedding, or None, not {no_label!r}")
        self.unet = unet
        self.time_scale = time_scale
        self.no_label = no_label

    @property
    def has_classes(self) -> bool:
        """Whether the UNet is told of a class."""
        return getattr(self.unet, "class_embedding", None) is not None

    def embedding_of(self, label: Tensor | int | None) -> Tensor:
        """Return which class embedding stands for a label, -1 or None for none.

        Raises:
            SettingError: There is none for no label.
        """
        code = torch.as_tensor(NO_LABEL if label is None else label)
        if self.no_label is not None:
            return code + 1
        if bool((code == NO_LABEL).any()):
            raise SettingError("this UNet has no embedding for no label: give the class, as label=")
        return code

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the UNet's answer.

        Args:
            x: Scaled images, ``(N, C, H, W)``, or ``(N, H, W)`` of one channel.
            noise: The noise level's coordinate, ``()`` or ``(N,)``; rounded where the UNet has an embedding a time.
            label: Class of each image, -1 for none; None without classes.

        Raises:
            SettingError: The UNet needs a label, and there is none.
        """
        told: dict[str, Any] = {}
        if label is not None or self.has_classes:
            told["class_labels"] = self.embedding_of(label).to(x.device).expand(len(x))
        images = x if x.ndim == 4 else x.unsqueeze(1)
        times = (self.time_scale * noise).expand(len(x))
        if isinstance(getattr(self.unet, "time_proj", None), nn.Embedding):
            times = times.round().long()
        answer: Tensor = self.unet(images, times, **told).sample
        return answer[:, : images.shape[1]].reshape(x.shape)

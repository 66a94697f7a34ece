"""UNets of the library diffusers as networks F."""

from typing import Any

import torch
from torch import Tensor, nn

from ncsn.score import NO_LABEL


class DiffusersNetwork(nn.Module):
    """A UNet of diffusers as a network F, for a method's own preconditioning: ``NCSN(network=DiffusersNetwork(unet))``.

    Args:
        unet: A ``UNet2DModel``, or what is called as it is, ``unet(x, time, class_labels=...).sample``. For K classes make it
            with ``num_class_embeds=K + 1``: the first embedding stands for no label.
        time_scale: Factor of the noise level's coordinate, whose finest embedding in diffusers is a sine of one radian a unit.
    """

    def __init__(self, unet: nn.Module, time_scale: float = 8.0) -> None:
        super().__init__()
        self.unet = unet
        self.time_scale = time_scale

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the UNet's answer.

        Args:
            x: Scaled images, ``(N, C, H, W)``, or ``(N, H, W)`` of one channel.
            noise: The noise level's coordinate, ``()`` or ``(N,)``.
            label: Class of each image, -1 for none; None without classes.
        """
        told: dict[str, Any] = {}
        if label is not None or getattr(self.unet, "class_embedding", None) is not None:
            code = torch.as_tensor(NO_LABEL if label is None else label, device=x.device)
            told["class_labels"] = (code + 1).expand(len(x))
        images = x if x.ndim == 4 else x.unsqueeze(1)
        answer: Tensor = self.unet(images, (self.time_scale * noise).expand(len(x)), **told).sample
        return answer.reshape(x.shape)

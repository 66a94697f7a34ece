"""Operators that act on the frequencies of images: circular convolutions, and measurements of some frequencies."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ncsn.errors import DataError
from ncsn.guidance.operators import Operator


class _OfFrequencies(Operator):
    """Operators whose singular vectors are waves: each frequency and its opposite have one cosine and one sine."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        height, width = shape[-2:]
        place = torch.arange(height * width).reshape(height, width)
        self._alone, self._first = place == _opposite(place), place < _opposite(place)
        self.measured_shape = shape

    def _waves(self, frequencies: Tensor) -> Tensor:
        """Return the real coordinates of the frequencies of real images."""
        part = torch.where(self._first.to(frequencies.device), frequencies.real, frequencies.imag)
        return torch.where(self._alone.to(frequencies.device), frequencies.real, math.sqrt(2) * part)

    def coordinates(self, x: Tensor) -> Tensor:
        """Return the shares of the waves."""
        return self._waves(torch.fft.fft2(x, norm="ortho"))

    def points(self, z: Tensor) -> Tensor:
        """Return the sums of the waves."""
        other, first, alone = _opposite(z), self._first.to(z.device), self._alone.to(z.device)
        real = torch.where(alone, z, torch.where(first, z, other) / math.sqrt(2))
        imaginary = torch.where(alone, 0, torch.where(first, -other, z) / math.sqrt(2))
        return torch.fft.ifft2(torch.complex(real, imaginary), norm="ortho").real


class Convolution(_OfFrequencies):
    """Convolves images by a kernel, of which what leaves at one border comes in at the other.

    Args:
        kernel: ``(h, w)``, its middle at (h // 2, w // 2).
        shape: The shape of an image, ``(..., H, W)``.

    Raises:
        DataError: The kernel is larger than the images.
    """

    def __init__(self, kernel: Tensor, shape: tuple[int, ...]) -> None:
        super().__init__(tuple(shape))
        height, width = shape[-2:]
        if kernel.ndim != 2 or kernel.shape[0] > height or kernel.shape[1] > width:
            raise DataError(f"a kernel of shape {tuple(kernel.shape)} does not fit images of {height} x {width}")
        padded = torch.zeros(height, width, dtype=torch.float64)
        padded[: kernel.shape[0], : kernel.shape[1]] = kernel
        self._gain = torch.fft.fft2(padded.roll((-(kernel.shape[0] // 2), -(kernel.shape[1] // 2)), (0, 1)))
        self.kernel = kernel
        self.scales = self._gain.abs().expand(*shape)

    def _by(self, x: Tensor, gain: Tensor) -> Tensor:
        return torch.fft.fft2(x, norm="ortho") * gain.to(x.device, torch.promote_types(x.dtype, torch.complex64))

    def apply(self, x: Tensor) -> Tensor:
        """Return the convolved images."""
        return torch.fft.ifft2(self._by(x, self._gain), norm="ortho").real

    def measured(self, y: Tensor) -> Tensor:
        """Return the coordinates by the inverse of the kernel."""
        return self._waves(self._by(y, 1 / self._gain))

    def rescaled(self, scale: Tensor) -> Operator:
        """Return the operator of images in another unit."""
        if bool((scale != scale.flatten()[0]).any()):
            return super().rescaled(scale)
        return Convolution(self.kernel * scale.flatten()[0], self.measured_shape)


class Frequencies(_OfFrequencies):
    """Measures some frequencies of images, as magnetic resonance does: ``fft2(x, norm="ortho")`` where the mask is True.

    The noise is that of the real and of the imaginary part each. Of what is measured at a frequency and at its opposite,
    which for real images are the same, the mean counts.

    Args:
        mask: ``(..., H, W)``, of the shape of an image.
        scale: What images are multiplied by first.
    """

    def __init__(self, mask: Tensor, scale: float = 1.0) -> None:
        super().__init__(tuple(mask.shape))
        self.mask, self.scale = mask.bool(), float(scale)
        self._times = self.mask.double() + _opposite(self.mask).double()
        self.scales = self.scale * (self._times / 2).sqrt()

    def apply(self, x: Tensor) -> Tensor:
        """Return the frequencies, 0 where they are not measured."""
        return self.scale * torch.fft.fft2(x, norm="ortho") * self.mask.to(x.device)

    def measured(self, y: Tensor) -> Tensor:
        """Return the coordinates that are measured."""
        seen = torch.where(self.mask.to(y.device), y, 0)
        times = self._times.to(y.device).clamp(min=1)
        return self._waves((seen + _opposite(seen).conj()) / times) / self.scale

    def rescaled(self, scale: Tensor) -> Operator:
        """Return the operator of images in another unit."""
        if bool((scale != scale.flatten()[0]).any()):
            return super().rescaled(scale)
        return Frequencies(self.mask, self.scale * float(scale.flatten()[0]))


def _opposite(x: Tensor) -> Tensor:
    """Return what is at the opposite frequencies."""
    return x.flip((-2, -1)).roll((1, 1), (-2, -1))

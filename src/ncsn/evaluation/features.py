"""What turns images into the numbers that they are compared in: a network of the user's, Inception, or the pixels alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from ncsn.data import Values
from ncsn.errors import DataError, SettingError
from ncsn.evaluation.distances import Points
from ncsn.parts import object_at
from ncsn.score import evaluation_mode

Limits = tuple[float, float]

_BATCH, _FITTED_ROWS = 250, 2000


@dataclass(frozen=True)
class ImageFeatures:
    """A network, and what it wants: it turns images into the numbers that they are compared in.

    Args:
        network: Called with images ``(N, C, H, W)``, float32, it returns a tensor with a row of numbers for each; a module is
            called in its evaluation mode, where its weights are.
        name: What reports call it.
        value_range: What black and white are for the network: values of the images go from the first to the second.
        of_pixels: Whether these are pixels, among which noise may have data all around it: no shares of samples that look real
            or lie astray are told.

    >>> mean_colour = ImageFeatures(lambda images: images.mean((2, 3)), "mean colour")
    >>> mean_colour(torch.full((1, 2, 2), 255, dtype=torch.uint8))
    array([[1.]])
    """

    network: Callable[[Tensor], Any]
    name: str
    value_range: Limits = (0.0, 1.0)
    of_pixels: bool = False

    def __call__(self, images: Values, limits: Limits | None = None) -> Points:
        """Return the features ``(N, F)`` of images.

        Args:
            images: Images ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``.
            limits: The values of black and white; those of `limits_of` when None. What lies beyond is clipped, as it is in a
                file of the image.

        Raises:
            DataError: The network cannot take these images, or returns no row of finite numbers for each.
        """
        pictures = as_images(images)
        limits = limits or limits_of(pictures)
        with torch.no_grad(), evaluation_mode(self.network):
            rows = torch.cat([self._of_batch(batch, limits) for batch in pictures.split(_BATCH)])
        if not rows.isfinite().all():
            raise DataError(
                f"features by {self.name} are not all finite; give it the value_range that it was trained on"
            )
        return cast(Points, rows.numpy())

    def _of_batch(self, batch: Tensor, limits: Limits) -> Tensor:
        start, end = self.value_range
        weights = self.network.parameters() if isinstance(self.network, nn.Module) else iter(())
        given = start + (end - start) * unit(batch, limits).to(next((weight.device for weight in weights), "cpu"))
        try:
            found = self.network(given)
        except (RuntimeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{self.name} cannot take images of shape {tuple(given.shape)}: {reason}") from error
        if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != len(batch):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise DataError(f"{self.name} must return one row of numbers an image, of {len(batch)} not {shape}")
        return found.flatten(1).double().cpu()


def as_images(values: Values) -> Tensor:
    """Return images as a tensor ``(N, C, H, W)`` of their own type, channels last told by their number, 1, 3 or 4.

    Raises:
        DataError: These are no images.
    """
    images = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))
    if images.ndim < 3 or images.numel() == 0:
        raise DataError(f"values of shape {tuple(images.shape)} are no images; give (N, H, W) or (N, C, H, W)")
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] not in (1, 3, 4) and images.shape[3] in (1, 3, 4):
        return images.permute(0, 3, 1, 2)
    return images


def limits_of(images: Tensor) -> Limits:
    """Return the values of black and white: 0 and 255 of 8-bit images, the extremes of others.

    Raises:
        DataError: All values are equal, or one is not finite.
    """
    if images.dtype == torch.uint8:
        return 0.0, 255.0
    low, high = float(images.min()), float(images.max())
    if not -np.inf < low < high < np.inf:
        raise DataError("training: the values are all equal or not finite, and have no range")
    return low, high


def unit(images: Tensor, limits: Limits) -> Tensor:
    """Return images in float32 from 0, black, to 1, white."""
    low, high = limits
    return ((images.to(torch.float32) - low) / (high - low)).clamp(0, 1)


def pixels(training: Values, n_components: int = 40) -> ImageFeatures:
    """Return features that need no network: principal components of the pixels, and how far an image lies from them.

    Of 784 pixels nearest neighbours say next to nothing, and the first components alone do not see the noise that lies in the
    others; its length does. Distances then see noise and blur, and neighbours copies; what is drawn they see dimly.

    Args:
        training: Images that the components are of; some 2,000 of them, at even distances, if there are more.
        n_components: Most components.
    """
    pictures = as_images(training)
    limits = limits_of(pictures)
    rows = unit(pictures[:: -(-len(pictures) // _FITTED_ROWS)], limits).flatten(1).double().numpy()
    parts = components_of(rows, n_components)
    name = f"pixels ({min(n_components, *rows.shape)} principal components, and the distance from them)"
    return ImageFeatures(
        lambda images: parts(images.flatten(1).double()), f"{name}, which see little of what is drawn", of_pixels=True
    )


def components_of(rows: Points, n: int) -> Callable[[Tensor], Tensor]:
    """Return what turns rows, float64, into their first principal components and how far they lie from these."""
    fitted = PCA(min(n, *rows.shape), random_state=0).fit(rows)
    mean, basis = torch.from_numpy(fitted.mean_), torch.from_numpy(fitted.components_).T

    def parts_of(x: Tensor) -> Tensor:
        centred = x - mean
        parts = centred @ basis
        rest = (centred.square().sum(1) - parts.square().sum(1)).clamp(min=0).sqrt()
        return torch.cat([parts, rest[:, None]], dim=1)

    return parts_of


def inception(weights: str | os.PathLike[str]) -> ImageFeatures:
    """Return torch-fidelity's Inception v3, whose 2,048 features are those of published FIDs and KIDs (Heusel et al. 2017).

    Args:
        weights: Its weights, a file that you have: nothing is downloaded.

    Raises:
        SettingError: torch-fidelity is not installed, or there is no such file or not of these weights.
    """
    if not Path(weights).is_file():
        raise SettingError(f"no such file of Inception's weights: {weights}; torch-fidelity's releases have one")
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise SettingError(
            f"Inception needs torch-fidelity and torchvision ({error}); install them by `pip install 'ncsn[images]'`"
        ) from error
    with _tensors_only(weights):
        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=os.fspath(weights))

    def features(images: Tensor) -> Tensor:
        coloured = images if images.shape[1] == 3 else images[:, :1].expand(-1, 3, -1, -1)
        return cast(Tensor, network((255 * coloured).round().to(torch.uint8))[0])

    return ImageFeatures(features, "Inception v3")


def features_of(given: Any) -> ImageFeatures:
    """Return features by what a user gives: the features themselves, a network, or a class that makes one.

    Raises:
        SettingError: It cannot be called.
    """
    made = given() if isinstance(given, type) else given
    if isinstance(made, ImageFeatures):
        return made
    if not callable(made):
        raise SettingError(f"features are a network that takes images, or ImageFeatures, not {type(made).__name__}")
    return ImageFeatures(made, getattr(made, "__name__", type(made).__name__))


def features_at(where: str) -> ImageFeatures:
    """Return features by a text, as it stands on the command line.

    Args:
        where: ``inception:WEIGHTS``, a file that `torch.export.save` (``.pt2``, its batch dynamic) or `torch.jit.save` wrote, or
            ``package.module:Name`` of a network, of a class that makes one, or of `ImageFeatures`.

    Raises:
        SettingError: It is none of these, or the file cannot be read.
    """
    if where.startswith("inception:"):
        return inception(where.removeprefix("inception:"))
    path = Path(where)
    if ":" in where and not path.exists():
        return features_of(object_at(where))
    if not path.is_file():
        raise SettingError(f"{where} is no file; give one, package.module:Name or inception:WEIGHTS")
    with _tensors_only(path):
        network = torch.export.load(path).module() if path.suffix == ".pt2" else torch.jit.load(path, "cpu").eval()
    # an exported program has no evaluation mode to be put in
    return ImageFeatures(lambda images: network(images), path.name)


@contextmanager
def _tensors_only(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let PyTorch read tensors and programs from a file, and no pickles that run code, whatever its readers ask for."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError, OSError, AssertionError, UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SettingError(
            f"{os.fspath(path)} cannot be read as a network without running code in it: {reason}"
        ) from error
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before

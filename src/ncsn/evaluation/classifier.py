"""A small convolutional classifier, trained on a run's own labels to judge its images."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ncsn.data import Values
from ncsn.data.labels import encode_labels
from ncsn.errors import DataError
from ncsn.evaluation.distances import Points, some_of
from ncsn.evaluation.features import ImageFeatures, as_images, features_of, limits_of, pixels, unit
from ncsn.randomness import drawn_from

_WIDTHS, _N_FEATURES = (16, 32, 64), 64
_BATCH, _SPOILED, _RATE = 64, 16, 4e-3
_SEEN, _TESTED = 60_000, 10_000


class Classifier(nn.Module):
    """A network that reads images as one of the classes or as no image of the kind; as a function it returns its features.

    Besides the classes it learns to know spoiled images: shuffled, smoothed, and noise of several kinds (outlier exposure,
    Hendrycks et al. 2019). A classifier that saw real images alone reads noise as a digit with probability 1, and has it among
    the digits in its features.

    Args:
        shape: Channels, height and width of the images.
        classes: The labels, sorted.

    Attributes:
        accuracy: Share of held-out images that it reads rightly, NaN before it is tested.
        most_frequent: Share of the most frequent class among these.
    """

    accuracy = most_frequent = float("nan")

    def __init__(self, shape: tuple[int, int, int], classes: NDArray[Any]) -> None:
        super().__init__()
        self.classes = classes
        channels, *size = shape
        # small images are read pixel by pixel, of others the first layer takes every second one or fewer
        stride = max(1 if max(size) < 16 else 2, round(max(size) / 32))
        size = [-(-length // stride) for length in size]
        layers: list[nn.Module] = []
        for width in _WIDTHS:
            layers.append(nn.Conv2d(channels, width, stride + 2, stride, (stride + 1) // 2, bias=False))
            # before what else is done to each value, of which then a quarter is left; what leaves out pixels need not pool
            if min(size) > (4 if stride == 1 else 16):
                layers.append(nn.MaxPool2d(2))
                size = [length // 2 for length in size]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            channels, stride = width, 1
        pooled = min(size[0], 8), min(size[1], 8)
        layers += [nn.AdaptiveAvgPool2d(pooled), nn.Flatten(), nn.Dropout(0.3)]
        self.body = nn.Sequential(*layers, nn.Linear(channels * pooled[0] * pooled[1], _N_FEATURES), nn.ReLU())
        self.head = nn.Linear(_N_FEATURES, len(classes) + 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features ``(N, 64)``, the last layer but one, of images from 0 to 1."""
        return self.body(images.contiguous(memory_format=torch.channels_last))

    def probabilities(self, features: Points) -> Points:
        """Return the probability of each class, ``(N, K)``; what a row lacks to 1 is that of no image of the kind."""
        with torch.no_grad():
            found = self.head(torch.from_numpy(features).float()).softmax(1)[:, :-1]
        return cast(Points, found.double().numpy())


def train_classifier(
    training: Values, labels: Any, held_out: Values, held_out_labels: Any, *, seed: int = 0
) -> ImageFeatures:
    """Train a classifier on images, hold it to its accuracy on others, and return its features.

    Args:
        training: Images to train on, ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``; some 60,000 are seen, each several
            times if there are fewer, shifted by up to a fourteenth of their size.
        labels: The class of each.
        held_out: Images that its accuracy is measured on; 10,000 of them, at random, if there are more.
        held_out_labels: The class of each.
        seed: Seed of the weights and of the order.

    Returns:
        Features of the last layer but one, ``network`` the `Classifier`; its name says the accuracy.

    Raises:
        DataError: There is not one label for each image, or there are fewer than two classes, or so many that one has fewer
            than five images in the mean.
    """
    images, asked = as_images(training), as_images(held_out)
    classes, codes = encode_labels(labels, len(images))
    if not 2 <= len(classes) <= len(images) / 5:
        raise DataError(
            f"{len(classes)} classes of {len(images)} images: a classifier needs two, and five images of each"
        )
    generator = torch.Generator().manual_seed(seed)
    limits = limits_of(images)
    with torch.enable_grad(), drawn_from(generator):
        network = Classifier(cast(tuple[int, int, int], tuple(images.shape[1:])), classes)
        _train(network, images, codes, limits, generator)
    network.eval().requires_grad_(False)
    known = np.asarray(held_out_labels).reshape(-1)
    if len(known) != len(asked):
        raise DataError(f"{len(known)} labels for {len(asked)} held-out images; one label an image is needed")
    chosen = some_of(len(asked), _TESTED, generator)
    features = ImageFeatures(network, "")
    read = classes[network.probabilities(features(asked[chosen], limits)).argmax(1)]
    network.accuracy = float((read == known[chosen]).mean())
    network.most_frequent = float(np.unique(known[chosen], return_counts=True)[1].max() / len(chosen))
    name = f"a classifier of {network.accuracy:.1%} accuracy on held-out rows"
    return ImageFeatures(network, f"{name} (the most frequent class alone: {network.most_frequent:.1%})")


def image_features(
    given: Any,
    training: Values,
    held_out: Values | None = None,
    labels: Any = None,
    held_out_labels: Any = None,
    seed: int = 0,
) -> ImageFeatures:
    """Return what images are judged in: features that are given, else a classifier of their labels, else their pixels.

    Args:
        given: What `features_of` takes, or None.
        training: Training images.
        held_out: Held-out images, which a classifier is tested on.
        labels: Classes of the training images, or None.
        held_out_labels: Classes of the held-out images, or None; a classifier needs both.
        seed: Seed of the classifier.
    """
    if given is not None:
        return features_of(given)
    if held_out is None or labels is None or held_out_labels is None:
        return pixels(training)
    return train_classifier(training, labels, held_out, held_out_labels, seed=seed)


def _train(
    network: Classifier, images: Tensor, codes: Tensor, limits: tuple[float, float], generator: torch.Generator
) -> None:
    n_steps = max(_SEEN, len(images)) // _BATCH
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, n_steps)
    none = torch.full((_SPOILED,), len(network.classes))
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(n_steps):
        while len(order) < _BATCH:
            order = torch.cat([order, torch.randperm(len(images), generator=generator)])
        chosen, order = order[:_BATCH], order[_BATCH:]
        batch = _shifted(unit(images[chosen], limits))
        said = network.head(network(torch.cat([batch, spoiled(batch[:_SPOILED])])))
        loss = functional.cross_entropy(said, torch.cat([codes[chosen], none]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _shifted(images: Tensor) -> Tensor:
    """Return images, all moved by the same few pixels."""
    height, width = images.shape[2:]
    most = max(height, width) // 14
    down, right = torch.randint(2 * most + 1, (2,)).tolist()
    wider = functional.pad(images, (most,) * 4, mode="replicate")
    return wider[:, :, down : down + height, right : right + width]


def spoiled(images: Tensor) -> Tensor:
    """Return images each spoiled in one of six ways, half to wholly, by torch's default generator."""
    n, channels, height, width = images.shape
    flat = images.flatten(2)

    def reordered(along: int) -> Tensor:
        order = torch.rand(n, 1, height * width).argsort(along).expand(n, channels, -1)
        return flat.gather(2 if along == 2 else 0, order).reshape(images.shape)

    def small(x: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(x, (max(height // 4, 1), max(width // 4, 1)))

    def smooth(x: Tensor) -> Tensor:
        return functional.interpolate(x, (height, width), mode="bilinear")

    shuffled = reordered(2)
    means, spreads = images.mean((1, 2, 3), keepdim=True), images.std((1, 2, 3), keepdim=True)
    normal = means + spreads * (0.5 + 1.5 * torch.rand(n, 1, 1, 1)) * torch.randn(images.shape)
    blobs = smooth(functional.interpolate(shuffled, (max(height // 4, 1), max(width // 4, 1))))
    ways = [shuffled, reordered(0), smooth(small(images)), blobs, normal.clamp(0, 1), torch.rand(images.shape)]
    chosen = torch.stack(ways)[torch.randint(len(ways), (n,)), torch.arange(n)]
    share = 0.5 + 0.5 * torch.rand(n, 1, 1, 1)
    return share * chosen + (1 - share) * images

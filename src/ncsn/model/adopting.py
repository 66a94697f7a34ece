"""A model of a score model that was trained elsewhere."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ncsn.data import Encoding
from ncsn.data.columns import Pixels
from ncsn.errors import DataError, SettingError, check_count, check_number
from ncsn.methods import Method, method_named, name_of
from ncsn.model.model import Model
from ncsn.model.moments import Moments
from ncsn.networks.contract import check_call
from ncsn.plan import make_plan
from ncsn.score import weight_dtype


def adopt(
    score_model: nn.Module,
    X: Any,
    *,
    mean: float = 0.0,
    scale: float = 1.0,
    n_classes: int = 0,
    method: str | Method = "edm",
    sigma_min: float | None = None,
    sigma_max: float | None = None,
) -> Model:
    """Make a model of images of a score model that was trained elsewhere, as it is: to sample, fill gaps, take densities.

    What `fit` learns of the data beside the network is taken from some images like those that it was trained on: their
    container and units, the noise levels, and where samples start.

    Args:
        score_model: A score model, such as `networks.from_diffusers` returns; it is not copied.
        X: Images as an array or tensor, ``(N, C, H, W)`` or ``(N, H, W)``; a hundred are enough.
        mean: The value that is 0 to the score model.
        scale: What one unit of the score model is; for values from 0 to 1, and a score model of -1 to 1, both are 0.5.
        n_classes: Number of classes that the score model is told, as ``label=`` from 0; 0 for none.
        method: Whose sampler and levels the model has.
        sigma_min: Smallest noise level in the score model's units; from the images when None.
        sigma_max: Largest noise level; from the images when None.

    Raises:
        DataError: These are no images.
        SettingError: A setting is out of range, the method gives no score, or the score model does not answer on the images.

    >>> from ncsn.networks import PreconditionedScore, ResidualMLP
    >>> net = PreconditionedScore(ResidualMLP((4, 4), 8, 1))
    >>> adopt(net, np.random.default_rng(0).random((50, 4, 4)), mean=0.5, scale=0.5).sample(3, steps=5).shape
    (3, 4, 4)
    """
    check_number("mean", mean)
    check_number("scale", scale, above=0)
    check_count("n_classes", n_classes, 0)
    chosen = method_named(method)
    if not isinstance(score_model, nn.Module) or next(score_model.parameters(), None) is None:
        raise SettingError(f"score_model must be a torch.nn.Module with weights, not {type(score_model).__name__}")
    if not chosen.gives_score:
        raise SettingError(f"a {name_of(chosen)} model is no score model; take another method")
    fitted = Encoding.fit(X)
    shape = fitted.data_shape
    if len(shape) < 2:
        raise DataError(f"adopt takes images, (N, H, W) or (N, C, H, W), not rows of shape {shape}")
    classes = np.arange(n_classes) if n_classes else None
    encoding = replace(fitted, columns=(Pixels(float(mean), float(scale), shape),), classes=classes)
    rows = encoding.encode(X)
    condition = {"label": torch.tensor([0, n_classes - 1])} if n_classes else {}
    few = rows[:1].to(weight_dtype(score_model, rows.dtype)).expand(2, *shape)
    check_call(score_model, few, condition)
    moments = Moments.of(rows)
    # nothing is known of the classes, so that each starts where all do
    moments = Moments(*(entry.expand(1 + n_classes, *shape).clone() for entry in (moments.means, moments.covariances)))
    plan = make_plan(rows.float(), sigma_min=sigma_min, sigma_max=sigma_max)
    return Model(encoding, plan, chosen, score_model, moments, network="score_net")

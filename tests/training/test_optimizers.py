"""Which optimiser trains which weights, and how far a step goes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ncsn.networks import PreconditionedScore, ResidualMLP, UNet
from ncsn.training.optimizers import make_optimizers


def unet() -> PreconditionedScore:
    return PreconditionedScore(UNet((1, 8, 8), 8, (1, 2), 1))


def test_every_weight_has_one_optimiser() -> None:
    model = unet()
    trained = [
        id(weight) for one in make_optimizers(model, 1e-3) for group in one.param_groups for weight in group["params"]
    ]
    assert len(trained) == len(set(trained))
    assert set(trained) == {id(weight) for weight in model.parameters()}


def test_a_network_without_matrices_of_its_own_has_adam_alone() -> None:
    for model in (PreconditionedScore(ResidualMLP((2,), 8, 1)), nn.Linear(2, 2)):
        (adam,) = make_optimizers(model, 1e-3)
        assert isinstance(adam, torch.optim.AdamW)


def test_matrices_take_steps_of_even_singular_values_as_large_as_those_of_adam() -> None:
    model = unet()
    adam, muon = make_optimizers(model, 1e-2)
    assert isinstance(muon, torch.optim.Muon)
    generator = torch.Generator().manual_seed(0)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        # singular values from 1 to 1e-2
        weight.grad = torch.randn(weight.shape, generator=generator)
        if weight.ndim == 2:
            u, s, v = torch.linalg.svd(weight.grad, full_matrices=False)
            weight.grad = u @ torch.diag(torch.logspace(0, -2, len(s))) @ v
    adam.step()
    muon.step()
    named = set(map(id, model.network.matrices()))  # type: ignore[operator]  # the UNet's method
    steps = {name: (weight - before[name]).detach() for name, weight in model.named_parameters()}
    matrices = [steps[name] for name, weight in model.named_parameters() if id(weight) in named]
    assert len(matrices) > 5
    for step in matrices:
        values = torch.linalg.svdvals(step)
        # the iteration brings them between 0.68 and 1.13 of each other (Jordan et al. 2024)
        assert values.max() / values.min() < 2
        # a fifth of Adam's first step, which is the learning rate, in the root mean square of a full matrix (Liu et al. 2025)
        rows, columns = step.shape
        full = 0.2 * 1e-2 * (max(rows, columns) / columns * min(rows, columns) / rows) ** 0.5
        assert float(step.square().mean().sqrt()) == pytest.approx(full, rel=0.3)
    adams = [step for (name, step) in steps.items() if id(model.get_parameter(name)) not in named]
    assert all(bool((step.abs() < 1.01e-2).all()) for step in adams)

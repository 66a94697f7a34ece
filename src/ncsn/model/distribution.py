"""A fitted model as a distribution of torch: samples, samples with gradients, log-densities."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ncsn.errors import DataError, SettingError
from ncsn.flow import carry
from ncsn.model.contexts import context_values


class FittedDistribution(Distribution):
    """What a model learned, of all data or given a class or contexts, as one of `torch.distributions`.

    Values are tensors in the data's own units, in torch's default type, on the CPU. Draws come from torch's default generator.
    One context is no batch, several are a batch of as many distributions.

    Args:
        model: A fitted `Model` of numbers: of an array, a tensor or images.
        context: One context or several, as in `Model.sample`; None for all data.
        label: The class; None for all.

    Raises:
        DataError: The data were a table, or the contexts are not like those that were fitted.
        SettingError: The label is unknown, there are no contexts, or the method gives no score.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = True

    def __init__(self, model: Any, context: Any = None, *, label: Any = None) -> None:
        model.check_gives_score("density")
        if model.encoding.container.columns is not None:
            raise DataError(
                "a distribution of torch is one of numbers, and the model is of a table: take sample and log_density"
            )
        self.model, self.label = model, label
        self.contexts: Tensor | None = context_values(model.contexts, context, None)
        model.encoding.codes(label, 1)
        if self.contexts is not None and isinstance(context, Tensor):
            # as it was given, so that gradients reach it
            self.contexts = context.cpu().double().reshape(self.contexts.shape)
        several = self.contexts is not None and len(self.contexts) > 1
        batch = torch.Size([len(self.contexts)] if self.contexts is not None and several else [])
        super().__init__(batch, torch.Size(model.encoding.data_shape), validate_args=False)

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> constraints.Constraint:
        """All numbers."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def _of_rows(self, n: int) -> Any:
        """Return the context of each of ``n`` rows, those of a batch in turn, in the container that was fitted."""
        if self.contexts is None:
            return None
        values = self.contexts.detach()
        return self.model.contexts.container.restore(values[torch.arange(n) % len(values)])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Return draws of the shape ``(*sample_shape, *batch_shape, *event_shape)``, by the method's own sampler."""
        shape = self._extended_shape(torch.Size(sample_shape))
        n = math.prod(shape[: len(shape) - len(self.event_shape)])
        drawn = self.model.sample(n, context=self._of_rows(n), label=self.label)
        return torch.as_tensor(drawn).to("cpu", torch.get_default_dtype()).reshape(shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Return draws that can be differentiated by contexts, and by the network's weights, for a noise held fixed.

        They come by the probability-flow ODE, whose every step is kept for the way back: for hundreds of draws of a small
        network. Contexts have gradients where they were given as a tensor that asks for them, weights where they ask for them,
        which those of a fitted model do not by themselves.
        """
        model, shape = self.model, self._extended_shape(torch.Size(sample_shape))
        n = math.prod(shape[: len(shape) - len(self.event_shape)])
        sigma, codes = model.plan.sigma_max, model.encoding.codes(self.label, n)
        told, centre = model.told(codes, n, context=self._of_rows(n)) or {}, None
        if self.contexts is not None:
            rows = model.contexts.rows(self.contexts[torch.arange(n) % len(self.contexts)])
            told["context"] = rows.to(told["context"])
            centre = model.mean_given(model.score_model, sigma, told)
        placed = model.moments.place(torch.randn(n, *model.encoding.shape), sigma, codes, centre)
        start = placed.to(model.device, torch.get_default_dtype())
        rows = carry(model.score_model, start, sigma, model.lowest, condition=told, gradients=True)
        return model.encoding.data_values(rows).to(torch.get_default_dtype()).reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log-densities of the shape of ``value`` without that of an event, in nats.

        Its gradient by ``value`` is the score at the smallest noise level, whose density this is. By contexts it has none.

        Raises:
            DataError: ``value`` does not have the shape of an event, or of as many as the batch has.
            SettingError: The contexts ask for gradients, outside of ``torch.no_grad``.
        """
        if self.contexts is not None and self.contexts.requires_grad and torch.is_grad_enabled():
            raise SettingError("log_prob has no gradient by contexts: detach them, or call it within torch.no_grad()")
        own = (*self.batch_shape, *self.event_shape)
        try:
            shape = torch.broadcast_shapes(value.shape, own)
        except RuntimeError as error:
            raise DataError(f"value has the shape {tuple(value.shape)}, which does not go with {own}") from error
        if shape[len(shape) - len(own) :] != own:
            raise DataError(f"value has the shape {tuple(value.shape)}, which does not go with {own}")
        outer = shape[: len(shape) - len(self.event_shape)]
        x = value.expand(shape).reshape(-1, *self.event_shape)
        how = {"context": self._of_rows(len(x)), "label": self.label}
        points = x.detach().double()
        log_p = self.model.log_density(points, **how)
        if value.requires_grad:
            score = self.model.score(points, self.model.lowest, **how)
            log_p = log_p + ((x.cpu() - x.detach().cpu()) * score).flatten(1).sum(1)
        return log_p.to(value.device, value.dtype).reshape(outer)

    def expand(self, batch_shape: Any, _instance: Any = None) -> FittedDistribution:
        """Refuse: a batch has its contexts.

        Raises:
            SettingError: Always.
        """
        raise SettingError("give a context for each distribution of a batch: distribution(context=...)")

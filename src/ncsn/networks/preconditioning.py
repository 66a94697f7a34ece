"""Preconditioning: how a network's input and output are scaled, and the modules that make a model of a network.

Every method of the lineage is one row: denoised(x, sigma) = c_skip x + c_out F(c_in x, c_noise).
"""

import abc
import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ncsn.errors import SettingError, check_number
from ncsn.networks.context_mean import ContextMean
from ncsn.noise.processes import Process, process_named
from ncsn.parts import Part, filled, named
from ncsn.score import expand_sigma, weight_dtype


class Coefficients(NamedTuple):
    """One row at given sigma, in the letters of Karras et al. 2022, table 1.

    It states c_skip - 1, because the score needs (denoised - x) / sigma^2 without cancellation at small sigma.
    """

    c_skip_less_1: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor

    @property
    def c_skip(self) -> Tensor:
        """The factor of x in the denoised."""
        return 1 + self.c_skip_less_1


@dataclass(frozen=True, repr=False)
class Preconditioning(Part, abc.ABC):
    """A row of coefficients; one of your own is a frozen dataclass with `coefficients`.

    Args:
        sigma_data: Standard deviation of the data, whose mean is 0; from the plan when None.
        sigma_min: Smallest level; from the plan when None.

    Raises:
        SettingError: One is out of range.
    """

    skips: ClassVar[bool] = False
    """Whether c_skip is below 1, so that the row carries the linear part of the answer itself."""

    gives_score: ClassVar[bool] = True
    """Whether the model gives a score; else the end of the flow through x."""

    sigma_data: float | None = field(default=None, kw_only=True)
    sigma_min: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.sigma_data is not None:
            check_number("sigma_data", self.sigma_data, above=0)
        if self.sigma_min is not None:
            check_number("sigma_min", self.sigma_min, least=0)

    @abc.abstractmethod
    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return the coefficients at noise levels of any shape."""

    @property
    def _known(self) -> tuple[float, float]:
        """sigma_data and sigma_min, 1 and 0 where nothing says."""
        return 1.0 if self.sigma_data is None else self.sigma_data, self.sigma_min or 0.0


@dataclass(frozen=True, repr=False)
class RawScore(Preconditioning):
    """The network is the score, as the page writes it."""

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return c_skip 1, c_out sigma^2, c_in 1, c_noise log sigma."""
        return Coefficients(torch.zeros_like(sigma), sigma.square(), torch.ones_like(sigma), sigma.log())


@dataclass(frozen=True, repr=False)
class ScaledScore(Preconditioning):
    """The network is sigma times the score (Song & Ermon 2020, technique 3)."""

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return c_skip 1, c_out sigma, c_in 1, c_noise log sigma."""
        return Coefficients(torch.zeros_like(sigma), sigma, torch.ones_like(sigma), sigma.log())


@dataclass(frozen=True, repr=False)
class NoisePrediction(Preconditioning):
    """The network predicts the noise from a process's own scale of x (DDPM, the VP and sub-VP SDE).

    Args:
        process: A name of `noise.PROCESSES`, or a process.
    """

    process: Process | str = "vp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "process", process_named(self.process))
        super().__post_init__()

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return c_skip 1, c_out -sigma, c_in alpha, c_noise log t."""
        process = process_named(self.process)
        # the logarithm of the time: the embedding has room for octaves, and half of them lie below time 0.03
        return Coefficients(torch.zeros_like(sigma), -sigma, process.alpha(sigma), process.time(sigma).log())


@dataclass(frozen=True, repr=False)
class EDM(Preconditioning):
    """Input and target of unit spread at every level (Karras et al. 2022, table 1)."""

    skips: ClassVar[bool] = True

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return c_skip sd^2/(sigma^2 + sd^2), c_out sigma sd/sqrt(sigma^2 + sd^2), c_in 1/sqrt(sigma^2 + sd^2), log(sigma)/4."""
        sigma_data, _ = self._known
        total = sigma.square() + sigma_data**2
        return Coefficients(-sigma.square() / total, sigma * sigma_data * total.rsqrt(), total.rsqrt(), sigma.log() / 4)


@dataclass(frozen=True, repr=False)
class FlowEnd(Preconditioning):
    """The network is a consistency model, which returns its input at sigma_min (Song et al. 2023, appendix C)."""

    skips: ClassVar[bool] = True
    gives_score: ClassVar[bool] = False

    def coefficients(self, sigma: Tensor) -> Coefficients:
        """Return EDM's row with sigma - sigma_min in the place of sigma, so that at sigma_min F does not count."""
        sigma_data, sigma_min = self._known
        total, above = sigma.square() + sigma_data**2, sigma - sigma_min
        return Coefficients(
            -above.square() / (above.square() + sigma_data**2),
            above * sigma_data * total.rsqrt(),
            total.rsqrt(),
            sigma.log() / 4,
        )


PRECONDITIONINGS: dict[str, Preconditioning] = {
    "raw_score": RawScore(),
    "scaled_score": ScaledScore(),
    "noise_vp": NoisePrediction("vp"),
    "noise_sub_vp": NoisePrediction("sub_vp"),
    "edm": EDM(),
    "consistency": FlowEnd(),
}
"""Each row by its name."""


class PreconditionedScore(nn.Module):
    """A score model made of a network F and a row of coefficients (Karras et al. 2022, table 1).

    Args:
        network: F, called as ``network(x, c_noise, **condition)`` with ``x`` of shape ``(N, *shape)`` and ``c_noise`` of
            shape ``()`` or ``(N,)``, both in the type of its weights; returns the shape of ``x``.
        preconditioning: A name of `PRECONDITIONINGS`, or a row.
        sigma_data: Standard deviation of the data, whose mean is 0; a network that returns zero is then the score of the
            Gaussian of that spread (in the row ``edm``).
        sigma_min: The level at which a consistency model returns its input; the other rows do not use it.
        context_mean: What contexts tell of the mean, which is taken off before the network sees a row; None for nothing.

    Raises:
        SettingError: The preconditioning is unknown, or ``sigma_data`` is not positive and finite.
    """

    any_dtype = True
    context_mean: ContextMean | None

    def __init__(
        self,
        network: nn.Module,
        preconditioning: str | Preconditioning = "edm",
        sigma_data: float = 1.0,
        sigma_min: float = 0.0,
        context_mean: ContextMean | None = None,
    ) -> None:
        super().__init__()
        check_number("sigma_data", sigma_data, above=0)
        row = named("preconditioning", preconditioning, PRECONDITIONINGS)
        if not isinstance(row, Preconditioning):
            raise SettingError(f"preconditioning must be a name or a Preconditioning, not {row!r}")
        self.network = network
        # as a module, so that None is no part of what identifies a network
        self.register_module("context_mean", context_mean)
        self.preconditioning = filled(row, SimpleNamespace(sigma_data=sigma_data, sigma_min=sigma_min))

    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the score at ``x`` of shape ``(N, *shape)``; ``sigma`` is a scalar or ``(N,)``.

        Raises:
            SettingError: ``sigma`` is not positive and finite; it is looked at on a CPU only.
        """
        sigma = _checked(sigma, x)
        return self._change(x, sigma, condition) / expand_sigma(sigma, x).square()

    def _change(self, x: Tensor, sigma: Tensor, condition: dict[str, Any]) -> Tensor:
        """Return denoised - x, which is the same when both are moved."""
        if self.context_mean is not None and condition.get("context") is not None:
            x = x - self.context_mean(condition["context"]).to(x.dtype)
        row = self.preconditioning.coefficients(expand_sigma(sigma, x))
        dtype = weight_dtype(self.network, x.dtype)
        output = self.network((row.c_in * x).to(dtype), row.c_noise.reshape(sigma.shape).to(dtype), **condition)
        return row.c_skip_less_1 * x + row.c_out * output.to(x.dtype)

    def extra_repr(self) -> str:
        """Name the row of coefficients."""
        return f"preconditioning={self.preconditioning!r}"


class ConsistencyModel(PreconditionedScore):
    """A model of the end of the probability-flow ODE through x, called as a score model is (Song et al. 2023, eq. 5).

    It is no score: only the sampler ``consistency`` takes it. At ``sigma_min`` it returns x itself. Arguments are those of
    `PreconditionedScore`; the row ``consistency`` has the boundary condition.
    """

    def forward(self, x: Tensor, sigma: Tensor, **condition: Any) -> Tensor:
        """Return the end of the flow through ``x`` of shape ``(N, *shape)``; ``sigma`` is a scalar or ``(N,)``.

        Raises:
            SettingError: As in `PreconditionedScore`.
        """
        sigma = _checked(sigma, x)
        return x + self._change(x, sigma, condition)


def _checked(sigma: Tensor | float, x: Tensor) -> Tensor:
    """Return a level in the type and on the device of rows."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    # elsewhere the answer would have to be waited for
    looked_at = sigma.device.type == "cpu" and not torch.compiler.is_compiling()
    if looked_at and sigma.numel():
        low, high = torch.aminmax(sigma.detach())
        # NaN is neither
        if float(low) > 0 and float(high) < math.inf:
            return sigma
        raise SettingError("sigma must be positive and finite: without noise a network knows no score")
    return sigma


def preconditioned(
    network: nn.Module,
    preconditioning: str | Preconditioning,
    sigma_data: float,
    sigma_min: float,
    context_mean: ContextMean | None = None,
) -> PreconditionedScore:
    """Return the model that a row makes of a network: a score model, or one of the flow's end."""
    row = named("preconditioning", preconditioning, PRECONDITIONINGS)
    kind = PreconditionedScore if row.gives_score else ConsistencyModel
    return kind(network, row, sigma_data, sigma_min, context_mean)

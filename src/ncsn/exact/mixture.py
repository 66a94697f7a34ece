"""What the exact scores of Gaussian mixtures and of data sets share: sums over blocks of rows and components.

Both are mixtures of Gaussians, so that convolution with N(0, sigma^2 I) only adds sigma^2 I to each covariance:
p_sigma(x) = sum_k w_k N(x; mu_k, C_k + sigma^2 I). A data set is the mixture of its points with equal weights and no
covariance. They differ in how a block of component densities is computed.
"""

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncsn.errors import DataError, SettingError
from ncsn.score import NO_LABEL, denoised_from_score, expand_sigma

LOG2_E = math.log2(math.e)
_QUERY_ROWS = 512
# On a CPU, blocks that leave the cache of the core take up to seven times as long.
_CPU_CHUNK, _GPU_CHUNK = 2**18, 2**24


class MixtureScore(nn.Module, abc.ABC):
    """The score and log-density of a mixture, summed over blocks of rows and components.

    Subclasses give the densities of a block (`_terms`), draw components (`_draw`) and place samples (`_place`).
    """

    _component = "component"
    labels: Tensor | None

    def __init__(
        self,
        components: int,
        shape: torch.Size,
        labels: Any,
        entries_per_pair: int,
        device: torch.device,
        chunk_size: int | None,
    ) -> None:
        super().__init__()
        if chunk_size is not None and chunk_size < 1:
            raise SettingError(f"chunk_size must be at least 1, not {chunk_size}")
        self.components = components
        self.shape = shape
        self.dim = shape.numel()
        self.singular = True
        self.chunk_size = chunk_size
        self.classes: tuple[int, ...] = ()
        self._entries_per_pair = entries_per_pair
        self.register_buffer("labels", None)
        if labels is not None:
            self.labels = _integer_labels(labels, components, device)
            self.classes = tuple(sorted(set(self.labels.tolist())))

    @abc.abstractmethod
    def _terms(self, x: Tensor, sigma: Tensor, index: slice | Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return log2(w_k p_k), ``(N, B)``, and the map from weights ``(N, B)`` to their sum of scores ``(N, D)``.

        ``x`` is ``(N, D)`` and ``sigma`` ``(1, 1)`` or ``(N, 1)``, both wide. The weights come in the precision of the
        answer, with which the map computes. Data sets leave out their common weight.
        """

    @abc.abstractmethod
    def _log_mass(self, members: Tensor | None) -> Tensor | float:
        """Return the log of the sum of the weights w_k that `_terms` uses."""

    @abc.abstractmethod
    def _draw(self, n: int, members: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Draw ``n`` positions among the members by weight."""

    @abc.abstractmethod
    def _place(self, components: Tensor, sigma: Tensor | float, generator: torch.Generator | None) -> Tensor:
        """Draw one point ``(*shape)`` from each of the components given, at noise ``sigma``."""

    def forward(self, x: Tensor, sigma: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """Return the score grad_x log p_sigma(x).

        Args:
            x: Points of shape ``(N, *shape)``.
            sigma: Noise level in the units of ``x``, a scalar or ``(N,)``.
            label: Class to condition on, a scalar or ``(N,)`` integers; -1 and ``None`` stand for all classes.

        Returns:
            The score, with the shape and dtype of ``x``.

        Raises:
            DataError: The shape of ``x`` is not the model's, or ``label`` is not one of its classes.
            SettingError: ``sigma`` is negative, not finite or of the wrong shape, or 0 where p_0 has no density.
        """
        return self._evaluate(x, sigma, label)[1]

    def log_density(self, x: Tensor, sigma: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """Return log p_sigma(x) in nats, of shape ``(N,)``; with ``label``, that of the class, log p_sigma(x | label).

        Arguments and errors are those of the call. sigma = 0 is allowed where every covariance is positive definite.
        """
        return self._evaluate(x, sigma, label)[0]

    def denoise(self, x: Tensor, sigma: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """Return the posterior mean E[x0 | x] = x + sigma^2 score (Efron 2011); arguments and errors as in the call."""
        return denoised_from_score(x, sigma, self(x, sigma, label))

    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        sigma: Tensor | float = 0.0,
        label: Tensor | int | None = None,
    ) -> Tensor:
        """Draw independent samples of p_sigma.

        Args:
            n: Number of samples.
            generator: Source of randomness; torch's default generator if ``None``.
            sigma: Noise level, a scalar or ``(n,)``.
            label: Class to draw from, a scalar or ``(n,)`` integers; -1 and ``None`` stand for all classes.

        Returns:
            Samples of shape ``(n, *shape)`` on the model's device.

        Raises:
            DataError: ``label`` is not one of the classes.
            SettingError: ``n`` is less than 1, or ``sigma`` is negative, not finite or of the wrong shape.
        """
        return self.sample_with_components(n, generator, sigma, label)[0]

    def sample_with_components(
        self,
        n: int,
        generator: torch.Generator | None = None,
        sigma: Tensor | float = 0.0,
        label: Tensor | int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw as `sample` does and return also the component (of a data set: the row) of each sample, ``(n,)``."""
        if n < 1:
            raise SettingError(f"n must be at least 1, not {n}")
        parts, order = [], []
        for rows, members in self._groups(label, n):
            drawn = self._draw(n if rows is None else len(rows), members, generator)
            parts.append(drawn if members is None else members[drawn])
            order.append(rows)
        components = _ungroup(parts, order)
        return self._place(components, sigma, generator), components

    def _evaluate(self, x: Tensor, sigma: Tensor | float, label: Tensor | int | None) -> tuple[Tensor, Tensor]:
        """Return log p_sigma(x | label) and the score."""
        if x.shape[1:] != self.shape or not x.ndim or not x.is_floating_point():
            shape = "".join(f", {size}" for size in self.shape)
            raise DataError(f"x must be floating-point numbers (N{shape}), not {x.dtype} of shape {tuple(x.shape)}")
        flat = x.reshape(len(x), self.dim).to(wide(x))
        level = checked_sigma(sigma, flat, allow_zero=not self.singular)
        dtype = torch.promote_types(x.dtype, torch.float32)
        densities, scores, order = [], [], []
        for rows, members in self._groups(label, len(x)):
            part, part_level = (flat, level) if rows is None else (flat[rows], _rows(level, rows))
            log_density, score = self._sum(part, part_level, members, dtype)
            densities.append(log_density)
            scores.append(score)
            order.append(rows)
        return _ungroup(densities, order).to(x.dtype), _ungroup(scores, order).to(x.dtype).reshape(x.shape)

    def _groups(self, label: Tensor | int | None, n: int) -> list[tuple[Tensor | None, Tensor | None]]:
        """Split ``n`` rows by class into pairs (rows, the components of that class), ``None`` standing for all."""
        if label is None:
            return [(None, None)]
        label = _tensor("label", label)
        if label.is_floating_point() or label.shape not in ((), (n,)):
            raise DataError(f"label must be an integer or {n} of them, not {label.dtype} of shape {tuple(label.shape)}")
        values = sorted(set(label.reshape(-1).tolist()))
        for value in values:
            if value != NO_LABEL and value not in self.classes:
                known = f"one of {self.classes}" if self.classes else "given (the model was made without labels)"
                raise DataError(f"label {value} must be {known}, or -1 for all classes")
        if len(values) <= 1:
            return [(None, self._members(values[0]) if values else None)]
        return [((label == value).nonzero()[:, 0], self._members(value)) for value in values]

    def _members(self, label: int) -> Tensor | None:
        if label == NO_LABEL or self.labels is None:
            return None
        return (self.labels == label).nonzero()[:, 0]

    def _sum(self, x: Tensor, sigma: Tensor, members: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return log-density and score of wide ``(N, D)`` rows by a running log-sum-exp over blocks of components.

        Logarithms are to base 2: torch's exp on the CPU is ten times slower than exp2 where it underflows.
        """
        count = self.components if members is None else len(members)
        chunk = self.chunk_size or (_CPU_CHUNK if x.device.type == "cpu" else _GPU_CHUNK)
        width, per_pair = self.dim + 2, self._entries_per_pair
        block = min(count, max(1, chunk // max(width, per_pair * min(len(x), _QUERY_ROWS))))
        rows = max(1, chunk // max(width, per_pair * block))
        densities, scores = [], []
        for start in range(0, max(1, len(x)), rows):
            part, level = x[start : start + rows], _rows(sigma, slice(start, start + rows))
            top = x.new_full((len(part), 1), torch.finfo(x.dtype).min)
            total = x.new_zeros((len(part), 1), dtype=dtype)
            score = x.new_zeros(part.shape, dtype=dtype)
            for first in range(0, count, block):
                last = min(count, first + block)
                terms, scores_of = self._terms(
                    part, level, slice(first, last) if members is None else members[first:last]
                )
                raised = torch.maximum(top, terms.detach().amax(1, keepdim=True))
                weights = torch.exp2((terms - raised).to(dtype))
                kept = torch.exp2(top - raised).to(dtype)
                total = total * kept + weights.sum(1, keepdim=True)
                score = score * kept + scores_of(weights)
                top = raised
            densities.append(((top + total.log2()) / LOG2_E)[:, 0] - self._log_mass(members))
            scores.append(score / total)
        return torch.cat(densities), torch.cat(scores)

    def extra_repr(self) -> str:
        """Describe the model inside its repr."""
        classes = f", classes={list(self.classes)}" if self.classes else ""
        return f"{self.components} {self._component}s, shape={tuple(self.shape)}{classes}"


def wide(x: Tensor) -> torch.dtype:
    """The dtype in which exponents are computed: they are large numbers whose differences count."""
    return torch.float32 if x.device.type == "mps" else torch.float64


def checked_sigma(sigma: Tensor | float, x: Tensor, *, allow_zero: bool) -> Tensor:
    """Return sigma as ``(1, 1)`` or ``(N, 1)`` in the dtype and on the device of ``x``, which is ``(N, D)``."""
    level = expand_sigma(sigma, x).reshape(-1, 1)
    if not bool((level.isfinite() & (level >= 0)).all()):
        raise SettingError("sigma must be finite and not negative")
    if not allow_zero and not bool((level > 0).all()):
        raise SettingError("sigma must be positive: without noise, points and singular covariances have no density")
    return level


def _rows(sigma: Tensor, rows: Tensor | slice) -> Tensor:
    """Select rows of a ``(N, 1)`` sigma; a ``(1, 1)`` one serves all rows."""
    return sigma if len(sigma) == 1 else sigma[rows]


def _ungroup(parts: Sequence[Tensor], order: Sequence[Tensor | None]) -> Tensor:
    """Put the results of groups of rows back into the order of the rows."""
    rows = [indices for indices in order if indices is not None]
    return torch.cat(list(parts))[torch.cat(rows).argsort()] if rows else parts[0]


def _tensor(name: str, value: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Copy numbers into a tensor, Python's own numbers directly into ``dtype``."""
    try:
        if isinstance(value, Tensor):
            return value.detach().clone()
        return torch.tensor(np.asarray(value) if hasattr(value, "__array__") else value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be an array of numbers: {error}") from error


def floats(name: str, value: Any, dtype: torch.dtype | None = None, device: torch.device | None = None) -> Tensor:
    """Copy finite numbers into a floating-point tensor: their own dtype if ``dtype`` is ``None`` and they have one."""
    tensor = _tensor(name, value, dtype)
    if dtype is None:
        dtype = tensor.dtype if tensor.is_floating_point() else torch.get_default_dtype()
    tensor = tensor.to(device, dtype)
    infinite = ~tensor.isfinite()
    if bool(infinite.any()):
        where = f" in row {int(infinite.nonzero()[0, 0])}, counted from 0" if tensor.ndim else ""
        raise DataError(f"{name} has a NaN or infinite value{where}; remove or fill it")
    return tensor


def _integer_labels(labels: Any, count: int, device: torch.device) -> Tensor:
    """Copy the class of each component into an integer tensor."""
    values = _tensor("labels", labels).to(device)
    if values.is_floating_point() or values.shape != (count,):
        raise DataError(
            f"labels must be {count} integers, one per component, not {values.dtype} of shape {tuple(values.shape)}"
        )
    if bool((values < 0).any()):
        raise DataError("labels must not be negative: -1 stands for all classes")
    return values.long()

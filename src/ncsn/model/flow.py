"""What the probability-flow ODE tells of a fitted model: log-densities, latents, and the ways between data."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import DataError, SettingError, check_count
from ncsn.flow import carry, slerp
from ncsn.likelihood import log_density
from ncsn.model.fitted import Fitted
from ncsn.score import condition_rows


@dataclass(eq=False)
class FlowModel(Fitted):
    """A fitted model whose score leads along the flow, up to noise and back without chance."""

    @property
    def is_bound(self) -> bool:
        """Whether log-densities are lower bounds, of densities times probabilities, as there are atoms in the data."""
        return self.encoding.draws

    def log_density(
        self,
        X: Any,
        *,
        label: Any = None,
        context: Any = None,
        draws: int = 8,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Return the log-density of each row in nats, in the data's own units, by the probability-flow ODE.

        Where a table has atoms (categories, missing cells, values that repeat) it is the logarithm of their probability times
        the density of the rest, and on average a lower bound of it: the mean, over draws, of the density of a row's encoding
        over that from which what is drawn of it was drawn (variational dequantisation, Ho et al. 2019; with several draws
        Burda et al. 2016). `is_bound` says which of both it is. A value that no row can have has minus infinity.

        Columns that were constant in training count as given: a row that differs there (in single precision, which the
        network has) has log-density minus infinity.

        Args:
            X: Rows like those that were fitted.
            label: The class whose density is asked for, or one for each row; None for all.
            context: The context given which the density is asked for, or one for each row, as in `Model.sample`; None for all.
            draws: Draws that a bound is the mean of; more make it tighter.
            generator: Source of what is drawn; torch's default when None.
            **options: Options of `likelihood.log_density`, such as ``trace``, ``n_probes`` and ``tolerance``.

        Returns:
            Log-densities of shape ``(N,)``, float64.

        Raises:
            DataError: The rows or the contexts do not fit the model.
            SettingError: The label or an option is unknown, or the method gives no score.
            DivergenceError: A log-density is not finite.
        """
        self.check_gives_score("log-density")
        check_count("draws", draws)
        values = self.encoding.values(X, gaps=self.is_bound, unseen=True)
        draws = draws if self.is_bound else 1
        return self._log_density(values, label, context, draws, generator, options, cell=0.0)

    def bits_per_dimension(
        self,
        X: Any,
        *,
        label: Any = None,
        context: Any = None,
        draws: int = 1,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Tensor:
        """Return how many bits a value the model needs for images of whole grey levels, such as 8-bit ones.

        It is -log2 p(x + u - 1/2) / D, p being the density by the grey level (of 8-bit data in 0 to 255) and u uniform in
        [0, 1) for each value: `log_density` there in nats, over -D log 2. The cell of a level is centred on it, as samples are
        rounded to the nearest. In the mean over u it is an upper bound of the bits that the rounded model needs, -log2 P(x) / D;
        with several draws, the mean of whose densities is taken, a tighter one. Values divided by 255 have log2 255 = 7.99
        bits less of density: only levels of width 1 compare.

        Args:
            X: Images like those that were fitted, of whole numbers.
            label: The class, or one for each image; None for all.
            context: The context, or one for each image, as in `Model.sample`; None for all.
            draws: Draws of u for each image.
            generator: Source of u and of the trace's probes; torch's default when None.
            **options: Options of `likelihood.log_density`, such as ``trace``, ``n_probes`` and ``tolerance``.

        Returns:
            Bits per dimension of shape ``(N,)``, float64.

        Raises:
            DataError: The images do not fit the model, or hold values between the levels.
            SettingError: The model is of a table, the label or an option is unknown, or the method gives no score.
            DivergenceError: A log-density is not finite.

        References:
            Theis et al. 2016, section 3.1; Burda et al. 2016 for several draws.
        """
        self.check_gives_score("log-density")
        check_count("draws", draws)
        dim = math.prod(self.encoding.data_shape)
        if len(self.encoding.data_shape) == 1:
            raise SettingError("bits per dimension are of images; of rows ask for the log-density")
        values = self.encoding.values(X)
        between = values != values.round()
        if bool(between.any()):
            raise DataError(
                f"bits per dimension are of whole grey levels, and X holds {float(values[between][0]):.6g}: fit and ask with "
                "levels, 0 to 255 as uint8"
            )
        total = self._log_density(values, label, context, draws, generator, options, cell=1.0)
        return -total / (dim * math.log(2))

    def _log_density(
        self,
        values: Tensor,
        label: Any,
        context: Any,
        draws: int,
        generator: torch.Generator | None,
        options: dict[str, Any],
        *,
        cell: float,
    ) -> Tensor:
        """Return the logarithm of the mean, over draws, of the density at values, each drawn from a cell around it."""
        codes = self.encoding.codes(label, len(values))
        told, sigma_max = self.told(codes, len(values), context=context), self.plan.sigma_max
        with torch.no_grad():
            centre = None if context is None else self.mean_given(self.score_model, sigma_max, told or {})
        bounds = []
        for _ in range(draws):
            at = values
            if cell:
                source = None if generator is None else generator.device
                drawn = torch.rand(values.shape, generator=generator, dtype=values.dtype, device=source)
                at = values + cell * (drawn.to(values.device) - 0.5)
            encoded = self.encoding.rows(at, generator or torch.default_generator)
            # a cell that is missing where none ever was is one that no row has
            total = self.encoding.log_gain(at, encoded).nan_to_num(nan=-torch.inf, neginf=-torch.inf)
            rows = self._cast(encoded)
            # what no row can hold needs no path
            possible = total > -torch.inf
            groups = self.moments.groups(codes, len(rows)) if centre is None else [self.moments.about(centre)]
            for group, mean, covariance in groups:
                some = group[possible[group]]
                if not len(some):
                    continue
                total[some] += log_density(
                    self.score_model,
                    rows[some.to(rows.device)],
                    mean=mean if centre is None else mean[some.to(mean.device)],
                    covariance=covariance,
                    generator=generator,
                    condition=condition_rows(told, len(rows), some),
                    **options | {"sigma_min": self.lowest, "sigma_max": sigma_max},
                ).to(total)
            bounds.append(total)
        return torch.stack(bounds).logsumexp(0) - math.log(len(bounds))

    # Latents

    def encode(self, X: Any, *, label: Any = None, context: Any = None, **options: Any) -> Tensor:
        """Return the latents of rows: where the flow carries them at the largest level, almost all noise.

        They are in standardised units, and a start for `Model.sample` (``x_init``); `decode` leads back.

        Args:
            X: Rows like those that were fitted.
            label: The class of the rows, or one for each; None for any.
            context: The context of the rows, or one for each, as in `Model.sample`; None for any.
            **options: ``tolerance`` and ``chunk_size`` of `flow.carry`.

        Returns:
            Latents of shape ``(N, *shape)``.

        Raises:
            DataError: The rows do not fit the model.
            SettingError: The label or an option is unknown, or the method gives no score.
            DivergenceError: The score is not finite, or too steep to follow.
        """
        self.check_gives_score("latents")
        rows = self.rows(X)
        ends = self.lowest, self.plan.sigma_max
        told = self.told_of(label, context, len(rows))
        return carry(self.score_model, rows, *ends, condition=told, **options)

    def decode(self, latents: Tensor, *, label: Any = None, context: Any = None, **options: Any) -> Any:
        """Return the data that latents are of, in their own units and container; arguments and errors are those of `encode`."""
        self.check_gives_score("latents")
        if tuple(latents.shape[1:]) != self.encoding.shape:
            raise DataError(
                f"latents of shape {tuple(latents.shape[1:])} given; those of the model have {self.encoding.shape}"
            )
        ends = self.plan.sigma_max, self.lowest
        told = self.told_of(label, context, len(latents))
        return self.encoding.decode(carry(self.score_model, self._cast(latents), *ends, condition=told, **options))

    def interpolate(self, a: Any, b: Any, n: int = 8, *, label: Any = None, context: Any = None, **options: Any) -> Any:
        """Return the way from some data to others along the flow: their latents, points between these by the angle, decoded.

        Args:
            a: Rows like those that were fitted, where the ways begin.
            b: As many rows, where they end.
            n: Points on each way, both ends included.
            label: The class of the rows, or one for each pair; None for any.
            context: The context of the rows, or one for each pair, as in `Model.sample`; None for any.
            **options: As in `encode`.

        Returns:
            ``N n`` rows, the ways one after the other, in the container that was fitted.

        Raises:
            DataError: The rows do not fit the model.
            SettingError: There are not as many rows in both, ``n`` is below 2, or as in `encode`.
            DivergenceError: The score is not finite, or too steep to follow.
        """
        check_count("n", n, least=2)
        first, last = (self.encode(rows, label=label, context=context, **options) for rows in (a, b))
        way = slerp(first, last, torch.linspace(0, 1, n))
        told = self.told_of(label, context, len(way))
        each = torch.arange(len(way)).repeat_interleave(n)
        told = condition_rows(told, len(way), each)
        ends = self.plan.sigma_max, self.lowest
        return self.encoding.decode(carry(self.score_model, way.flatten(0, 1), *ends, condition=told, **options))

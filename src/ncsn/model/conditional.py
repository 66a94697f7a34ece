"""Draws from a fitted model given what is known: some values, or a measurement."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count
from ncsn.guidance import sample_posterior
from ncsn.model.flow import FlowModel
from ncsn.model.given import draw_given, known_cells, measurement_of_rows, put_into, values_given
from ncsn.noise import Geometric
from ncsn.score import weight_dtype

IMPUTATION_STEPS = 50
"""Noise levels that draws given known values walk unless told."""


@dataclass(eq=False)
class ConditionalModel(FlowModel):
    """A fitted model that draws what is unknown given what is known."""

    def impute(
        self,
        X: Any,
        *,
        mask: Any = None,
        label: Any = None,
        context: Any = None,
        steps: int | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Any:
        """Fill missing values by draws from their distribution given the known ones, in the data's own units.

        The draws have the right mean, spread and weights of modes, not only plausible values (`guidance.Imputation` says
        how). For several draws a row, repeat the row.

        Args:
            X: Rows like those that were fitted, NaN (in a data frame also NA) where a value is missing; of images, pixels.
            mask: True where a value is known, of the shape of ``X`` or of one row; the rest is filled.
                Where X is not NaN, when None. What it hides may be any finite number.
            label: The class of the rows, or one for each; None for any.
            context: The context of the rows, or one for each, as in `sample`; None for any.
            steps: Number of noise levels walked, from the largest to the smallest; 50 when None.
            generator: Source of randomness; torch's default when None.
            **options: Options of `guidance.impute`: ``n_particles``, ``n_sweeps``, ``denoise_last``, ``chunk_size`` and
                ``callback``.

        Returns:
            The rows in the container of ``X``, known values as given; of a data frame, in the types that were fitted.

        Raises:
            DataError: The rows, the mask or the contexts do not fit the model.
            SettingError: The label is unknown, a count is not positive, or the method gives no score.
            DivergenceError: A score led out of the finite numbers.
        """
        self.check_gives_score("conditional distribution")
        values = self.encoding.values(X, gaps=True)
        known = known_cells(X, values, mask)
        how = {"label": label, "context": context, "steps": steps, "generator": generator}
        drawn = self._drawn(values, known, complete=True, **how, **options)
        return put_into(X, self.encoding, drawn, known)

    def _given(self, given: Any, n: int, asked: dict[str, Any], **how: Any) -> Tensor:
        """Return values of ``n`` samples given some columns, once nothing is asked that has no part in that."""
        self._check_conditional("some columns", asked)
        known = None if self.contexts is None else self.contexts.container.columns
        named = [] if known is None else [name for name in getattr(given, "keys", list)() if name in known]
        if named:
            raise SettingError(
                f"{named[0]!r} is a column of the context: give it as context={{{named[0]!r}: ...}}, and as given what the model "
                "draws"
            )
        return self._drawn(*values_given(self.encoding, given, n), complete=False, **how)

    def _measured(
        self,
        measurement: Any,
        n: int,
        asked: dict[str, Any],
        *,
        label: Any,
        context: Any,
        steps: int | None,
        **how: Any,
    ) -> Tensor:
        """Return values of ``n`` samples given a measurement, once nothing is asked that has no part in that."""
        self._check_conditional("a measurement", asked)
        of_rows = measurement_of_rows(self.encoding, measurement)
        told = self.told_of(label, context, n)
        rows = sample_posterior(self.score_model, of_rows, self._levels(steps), n, condition=told, **how)
        return self.encoding.data_values(rows)

    def _check_conditional(self, on: str, asked: dict[str, Any]) -> None:
        """Refuse what has no part in samples given something, and models without a score."""
        refused = [name for name, value in asked.items() if value is not None]
        if refused:
            raise SettingError(f"{refused[0]} has no part in samples given {on}; leave it out")
        self.check_gives_score("conditional distribution")

    def _levels(self, steps: int | None) -> Tensor:
        """Return the levels that conditional draws walk, where the score model is."""
        steps = IMPUTATION_STEPS if steps is None else steps
        check_count("steps", steps)
        levels = Geometric(sigma_min=self.lowest, sigma_max=self.plan.sigma_max).grid(steps)
        return levels.to(self.device, weight_dtype(self.score_model, torch.float32))

    def _drawn(
        self, values: Tensor, known: Tensor, *, label: Any, context: Any, steps: int | None, **how: Any
    ) -> Tensor:
        """Return values of the data, the unknown ones drawn; `draw_given` has the other arguments."""
        sigmas = self._levels(steps)
        told = self.told_of(label, context, len(values))
        return draw_given(self.score_model, self.encoding, values, known, sigmas, condition=told, **how)

"""What a fitted model keeps, and what follows from it at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.data import Encoding
from ncsn.errors import DataError, SettingError
from ncsn.methods import Method, NetworkFactory, name_of
from ncsn.model.checks import cast_rows
from ncsn.model.contexts import context_rows
from ncsn.model.moments import Moments
from ncsn.model.walk import steps_of
from ncsn.parts import filled
from ncsn.plan import Plan
from ncsn.score import NO_CONTEXT, NO_LABEL, ScoreModel, denoised_from_score, evaluate, evaluation_mode, weight_dtype
from ncsn.training import Validation


@dataclass(eq=False)
class Fitted:
    """The parts of a fitted model, as `Model` names them."""

    encoding: Encoding
    plan: Plan
    method: Method
    score_model: nn.Module
    moments: Moments
    loss_curve: list[tuple[int, float]] = field(default_factory=list)
    network: NetworkFactory | str | None = None
    contexts: Encoding | None = None
    validation: Validation | None = None

    @property
    def name(self) -> str:
        """What the method is called."""
        return name_of(self.method)

    @property
    def lowest(self) -> float:
        """The smallest level to ask the score model for."""
        return self.method.lowest(self.plan)

    @property
    def device(self) -> torch.device:
        """Where the score model is."""
        return next(self.score_model.parameters()).device

    @property
    def steps(self) -> int:
        """How many steps the method's own sampler takes."""
        walk, extra = filled(self.method.walk, self.plan), getattr(self.method.sampler, "extra_levels", 0)
        return steps_of(self.method.steps, walk, self.plan, extra)

    def rows(self, X: Any) -> Tensor:
        """Return data as rows in the type of the score model's weights, on its device: what it takes."""
        return self._cast(self.encoding.encode(X))

    def known_rows(self, X: Any, generator: torch.Generator | None = None) -> Tensor:
        """Return data as `rows` does, those left out that have missing cells where training had none.

        Args:
            X: Rows like those that were fitted; a category that training never saw stands for one that it did.
            generator: Source of what is drawn for atoms; the middle of it when None.
        """
        values = self.encoding.values(X, gaps=True, unseen=True)
        rows = self._cast(self.encoding.rows(values, generator))
        return rows[rows.flatten(1).isfinite().all(1)]

    def _cast(self, rows: Tensor) -> Tensor:
        return cast_rows(rows, self.device, weight_dtype(self.score_model, torch.float32))

    def told(
        self, codes: Tensor | None, n: int, where: torch.device | None = None, context: Any = None
    ) -> dict[str, Tensor] | None:
        """Return what the score model is told of ``n`` rows; a network of one's own always of each that it knows.

        Raises:
            DataError: A context is not like those that were fitted.
            SettingError: There are no contexts, or too many or too few.
        """
        told, own = context_rows(self.contexts, context, n), self.network is not None
        if own and codes is None and self.encoding.classes is not None:
            codes = torch.full((n,), NO_LABEL)
        if own and told is None and self.contexts is not None:
            told = torch.full((n, self.plan.context_dim), NO_CONTEXT)
        said = {"label": codes, "context": told}
        return {name: each.to(where or self.device) for name, each in said.items() if each is not None} or None

    def mean_given(self, model: ScoreModel, sigma: float, told: Mapping[str, Any]) -> Tensor:
        """Return the mean of the rows given what the score model is told of each, ``(N, *shape)``, by the score at a large level.

        Where noise is far above the spread of the data, the denoised point hardly depends on the noisy one.

        Args:
            model: The score model of rows, perhaps guided.
            sigma: The level.
            told: Keyword arguments of the score model, ``context`` among them.
        """
        mean = self._cast(self.moments.means[:1])[0].to(told["context"].device)
        points = mean.expand(len(told["context"]), *mean.shape)
        level = mean.new_tensor(sigma)
        with evaluation_mode(model):
            return denoised_from_score(points, level, evaluate(model, points, level, told))

    def check_same_data(self, encoding: Encoding, contexts: Encoding | None, called: str) -> None:
        """Refuse a model of other data, labels or contexts than these.

        Args:
            encoding: That of the data.
            contexts: That of their contexts, or None.
            called: What messages call the model.

        Raises:
            DataError: It was fitted on others.
        """
        if not self.encoding.same_data(encoding):
            raise DataError(f"the {called} was fitted on other data: fit both on the same rows")
        if not self.encoding.fits(encoding):
            raise DataError(f"the {called} has other classes: fit both with the same labels, or both without")
        own = self.contexts
        if own is not contexts and (own is None or contexts is None or not own.same_data(contexts)):
            raise DataError(f"the {called} has other contexts: fit both with the same, or both without")

    def check_gives_score(self, wanted: str) -> None:
        """Refuse what only a score model has.

        Raises:
            SettingError: The method gives no score.
        """
        if not self.method.gives_score:
            raise SettingError(
                f"a {self.name} model has no {wanted}: it knows where the flow ends; take another method"
            )

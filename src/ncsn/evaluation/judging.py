"""A fitted model held against data that training never saw."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from ncsn.evaluation.comparison import Comparison, compare

if TYPE_CHECKING:
    # distances and figures do not wait for what trains
    from ncsn.model import Model

JUDGED_ROWS = 5000
"""Most samples that a run is judged by."""

JUDGED_PROBES = 4
"""Hutchinson's probes for the held-out log-likelihood of many dimensions: its mean over the rows averages them further."""


@dataclass(frozen=True)
class Evaluation:
    """How good a model is, on data that training never saw.

    Attributes:
        comparison: Distances, each beside the training set's own.
        log_likelihood: Mean log-density of the held-out rows, in nats and in the data's own units; None if not asked for.
        standardised_log_likelihood: The same in standardised units.
        sampler: How the samples were drawn.
    """

    comparison: Comparison
    log_likelihood: float | None
    standardised_log_likelihood: float | None
    sampler: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self) | {"comparison": self.comparison.to_dict()}

    def __str__(self) -> str:
        lines = [str(self.comparison)]
        if self.log_likelihood is not None:
            lines.append(
                f"held-out log-likelihood: {self.log_likelihood:.4g} nats a row in the data's own units, "
                f"{self.standardised_log_likelihood:.4g} in standardised units"
            )
        return "\n".join([*lines, f"samples: {self.sampler}"])


def judge(
    model: Model,
    training: Any,
    held_out: Any,
    *,
    seed: int = 0,
    rows: int = JUDGED_ROWS,
    log_likelihood: bool = True,
    **sampling: Any,
) -> Evaluation:
    """Draw samples and hold them against data that training never saw.

    Args:
        model: A fitted model.
        training: The rows it was fitted on.
        held_out: Rows that it never saw.
        seed: Seed of the samples and of the measures.
        rows: Most samples, and most held-out rows for the log-likelihood.
        log_likelihood: Whether to compute the held-out log-density, which takes the most time; a consistency model has none.
        **sampling: Passed to `Model.sample`.

    Returns:
        The judgement.
    """

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    samples = model.sample(min(len(training), rows), generator=seeded(), **sampling)
    comparison = compare(samples, held_out, training, generator=seeded())
    density = standardised = None
    if log_likelihood and model.method.gives_score:
        some = held_out[:rows]
        log_p = model.log_density(some, n_probes=JUDGED_PROBES, tolerance=1e-4, generator=seeded())
        density = float(log_p.mean())
        standardised = float((log_p - model.encoding.log_det(model.encoding.values(some))).mean())
    options = ", ".join(f"{name}={value}" for name, value in sampling.items()) or "the method's own sampler"
    return Evaluation(comparison, density, standardised, f"{min(len(training), rows):,}, {options}")

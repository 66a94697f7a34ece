"""The table of methods: each is a row of parts, and nothing else asks which method it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import torch
from torch import nn

from ncsn.errors import SettingError, check_count
from ncsn.losses import Consistency, DenoisingScoreMatching, Objective, StableTarget
from ncsn.networks import PRECONDITIONINGS, ContextMean, PreconditionedScore, Preconditioning, ResidualMLP, UNetFactory
from ncsn.networks.preconditioning import preconditioned
from ncsn.noise import DDPM, SCHEDULES, Discrete, Geometric, Karras, Levels, LogNormal, Softened, UniformTime
from ncsn.parts import Part, filled, named, printed
from ncsn.plan import COUNTS, Plan
from ncsn.samplers import (
    Ancestral,
    AnnealedLangevin,
    AnySampler,
    DPMpp2M,
    Multistep,
    PredictorCorrector,
    sampler_of,
)
from ncsn.score import ScoreModel

__all__ = ["METHODS", "Method", "NetworkFactory", "method_named", "name_of"]

NetworkFactory = Callable[[Sequence[int], Plan, int], nn.Module]
"""Makes a network F: called as ``factory(shape, plan, n_classes)``; n_classes is 0 without labels, ``plan.context_dim`` without
contexts."""

FINE_LEVELS = 100
"""Least number of levels of NCSNv2, whose technique 2 asks for hundreds in many dimensions and for none in few."""

SDE_LEVELS = 100
"""Levels that the samplers of the Score SDE walk; with correction, two evaluations each."""


@dataclass(frozen=True, repr=False)
class Method(Part):
    """One row of the table. What a part leaves None is filled from the plan, by the field's name.

    Args:
        precondition: A name of `networks.PRECONDITIONINGS`, or a row of coefficients.
        train_on: The noise levels that training draws from.
        minimise: What training minimises: an object, or a function that is called as a `losses.Objective`.
        sampler: The sampler, by name or as an object.
        walk: The levels that it walks.
        steps: How many of them: a number, the name of a plan's setting, or None for as many as ``walk`` has.
        paper: Where it comes from.

    Raises:
        SettingError: A part is unknown or of another kind.

    >>> METHODS["ve_sde"].sampler, METHODS["ve_sde"].walk, METHODS["edm"].minimise
    (PredictorCorrector(), Geometric(), DenoisingScoreMatching(weighting='edm'))
    """

    precondition: str | Preconditioning
    train_on: Levels
    minimise: Objective
    sampler: AnySampler
    walk: Levels
    steps: int | str | None = None
    paper: str = ""

    def __post_init__(self) -> None:
        row = named("preconditioning", self.precondition, PRECONDITIONINGS)
        if not isinstance(row, Preconditioning):
            raise SettingError(f"precondition must be a name or a Preconditioning, not {row!r}")
        object.__setattr__(self, "precondition", row)
        for name in ("train_on", "walk"):
            family: Any = named("schedule", getattr(self, name), SCHEDULES)
            family = family() if isinstance(family, type) else family
            if not isinstance(family, Levels):
                raise SettingError(
                    f"{name} must be a family of noise levels, such as Karras() or Given([...]), not {family!r}"
                )
            object.__setattr__(self, name, family)
        if not callable(self.minimise) or isinstance(self.minimise, type):
            raise SettingError(
                f"minimise must be an objective, called as objective(model, batch), not {self.minimise!r}"
            )
        object.__setattr__(self, "sampler", sampler_of(self.sampler))
        for name, part in (("sampler", self.sampler), ("minimise", self.minimise)):
            if getattr(part, "takes_score", self.gives_score) != self.gives_score:
                what = "a score" if self.gives_score else "the end of the flow"
                raise SettingError(f"{name} {part!r} does not go with {self.precondition!r}, which gives {what}")
        if isinstance(self.steps, str):
            named("setting of the plan for steps", self.steps, COUNTS)
        elif self.steps is not None:
            check_count("steps", self.steps)
        elif not self.walk.fixed:
            raise SettingError(f"{self.walk!r} has no number of levels of its own: give steps")

    @property
    def _row(self) -> Preconditioning:
        return named("preconditioning", self.precondition, PRECONDITIONINGS)

    @property
    def gives_score(self) -> bool:
        """Whether the model is a score model, so that it has a log-density and takes every sampler but ``consistency``."""
        return self._row.gives_score

    @property
    def takes_teacher(self) -> bool:
        """Whether the method can distil a score model."""
        return getattr(self.minimise, "takes_teacher", False)

    def levels(self, plan: Plan) -> Levels:
        """Return the levels to train on."""
        return filled(self.train_on, plan)

    def lowest(self, plan: Plan) -> float:
        """Return the smallest level to ask the model for: that of the plan, or what training draws at the least."""
        return max(plan.sigma_min, float(self.levels(plan).quantile(torch.zeros((), dtype=torch.float64))))

    def objective(self, plan: Plan, teacher: ScoreModel | None = None) -> Objective:
        """Return what training minimises, taught by a score model if there is one."""
        objective = filled(self.minimise, plan)
        return objective if teacher is None else cast(Consistency, objective).taught_by(teacher)

    def build(
        self, plan: Plan, shape: Sequence[int], n_classes: int = 0, network: NetworkFactory | nn.Module | None = None
    ) -> PreconditionedScore:
        """Make the untrained model, in single precision unless a network of one's own has another.

        Args:
            plan: The settings, of which the network's size, the data's spread and sigma_min count here.
            shape: Shape of one row.
            n_classes: Number of class labels; 0 for none.
            network: A network F or what makes one; when None a UNet if the plan has its resolutions, else a residual
                perceptron.
        """
        if network is None:
            made: nn.Module = (
                UNetFactory()(shape, plan, n_classes) if plan.multipliers else self._perceptron(plan, shape, n_classes)
            )
            made = made.float()
        else:
            made = network if isinstance(network, nn.Module) else network(shape, plan, n_classes)
        mean = ContextMean(plan.context_dim, shape) if plan.context_mean == "linear" else None
        return preconditioned(made, self._row, plan.sigma_data, plan.sigma_min, mean)

    def _perceptron(self, plan: Plan, shape: Sequence[int], n_classes: int) -> ResidualMLP:
        # Where c_skip is 1 the linear part is left to the network. Elsewhere a gain is no gain but in few features, where
        # Fourier features draw the detail: with few rows of many features it costs likelihood.
        gain = not self._row.skips or plan.n_fourier > 0
        sizes: dict[str, Any] = {"n_fourier": plan.n_fourier, "dropout": plan.dropout, "n_classes": n_classes}
        sizes |= {name: getattr(plan, name) for name in ("context_dim", "context_shape", "context_width")}
        return ResidualMLP(shape, plan.width, plan.n_blocks, gain=gain, **sizes)


_vp, _sub_vp = UniformTime("vp"), UniformTime("sub_vp")
_corrected, _edm = PredictorCorrector(), DenoisingScoreMatching("edm")
_match = DenoisingScoreMatching(target=StableTarget(weight_from=0.2))
_fine = Discrete(at_least=FINE_LEVELS)

# fmt: off
METHODS: dict[str, Method] = {
    "ncsn": Method("scaled_score", Discrete(), _match, AnnealedLangevin(), Discrete(), None, "Song & Ermon 2019"),
    "ncsnv2": Method("scaled_score", _fine, _match, AnnealedLangevin(5), _fine, None, "Song & Ermon 2020"),
    "ddpm": Method("noise_vp", DDPM(), _match, Ancestral(), DDPM(), None, "Ho, Jain & Abbeel 2020"),
    "ddpm_cosine": Method("noise_vp", DDPM("cosine"), _match, Ancestral(), DDPM("cosine"), None, "Nichol & Dhariwal 2021"),
    "ve_sde": Method("scaled_score", Geometric(), _match, _corrected, Geometric(), SDE_LEVELS, "Song et al. 2021"),
    "vp_sde": Method("noise_vp", _vp, _match, _corrected, _vp, SDE_LEVELS, "Song et al. 2021"),
    "subvp_sde": Method("noise_sub_vp", _sub_vp, _match, _corrected, _sub_vp, SDE_LEVELS, "Song et al. 2021"),
    "edm": Method("edm", LogNormal(), _edm, DPMpp2M(), Softened(), "sampling_steps", "Karras et al. 2022"),
    "consistency": Method("consistency", LogNormal(), Consistency(), Multistep(), Karras(), 2, "Song et al. 2023"),
}
# fmt: on
"""Every method by its name; to add one, add its row."""


def method_named(method: str | Method) -> Method:
    """Return the method of a name, or the method given.

    Raises:
        SettingError: The method is unknown; the message names the nearest ones.
    """
    found = named("method", method, METHODS)
    if not isinstance(found, Method):
        raise SettingError(f"method must be a name or a Method, not {method!r}")
    return found


def name_of(method: Method) -> str:
    """Return a method's name in the table; one of your own is called by what tells it from the nearest row.

    >>> from dataclasses import replace
    >>> name_of(replace(METHODS["edm"], sampler="heun"))
    'edm with sampler=Heun()'
    """

    def differing(row: Method) -> list[str]:
        return [part.name for part in fields(Method) if getattr(row, part.name) != getattr(method, part.name)]

    name, row = min(METHODS.items(), key=lambda entry: len(differing(entry[1])))
    changed = [f"{part}={printed(getattr(method, part))}" for part in differing(row)]
    return " with ".join([name, *[", ".join(changed)] * bool(changed)])

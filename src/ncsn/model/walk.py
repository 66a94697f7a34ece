"""What a model walks: the sampler and the levels that were asked for, and what the method and the plan say of the rest."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ncsn.errors import SettingError, check_count
from ncsn.methods import Method, name_of
from ncsn.noise import SCHEDULES, Levels
from ncsn.parts import filled, named
from ncsn.plan import Plan
from ncsn.samplers import SAMPLERS, AnySampler, Sampler, sampler_of

AnyLevels = str | Levels | Tensor | Sequence[float]
"""A name of `noise.SCHEDULES`, a family of levels, or the levels themselves, descending."""


def walk_of(
    method: Method,
    plan: Plan,
    sampler: AnySampler | None,
    steps: int | None,
    levels: AnyLevels | None,
    options: dict[str, Any],
) -> tuple[Any, Tensor]:
    """Return the sampler, filled from the plan, and the levels to walk.

    Args:
        method: The method.
        plan: The settings.
        sampler: The sampler, or None for the method's own, as which also one of the same kind counts.
        steps: The number of steps, or None for the sampler's own.
        levels: The levels; when None the method's own, or those that the sampler is meant to walk.
        options: Options of the sampler.

    Raises:
        SettingError: A name or a count does not fit, the method does not take the sampler, or there are levels and steps.
        TypeError: The sampler has no such option.
    """
    mine = method.sampler
    kind = SAMPLERS.get(sampler) if isinstance(sampler, str) else sampler
    own = sampler is None or kind is type(mine) or (isinstance(sampler, Sampler) and type(sampler) is type(mine))
    chosen: Any = mine if own and (sampler is None or isinstance(sampler, str | type)) else sampler
    walker = filled(sampler_of(chosen, options), plan)
    if method.gives_score != getattr(walker, "takes_score", True):
        takes = "every sampler but 'consistency'" if method.gives_score else "the sampler 'consistency' alone"
        raise SettingError(f"a model of method {name_of(method)!r} takes {takes}, not {sampler!r}")
    if steps is not None:
        check_count("steps", steps)
    if levels is not None and not isinstance(levels, str | Levels):
        if steps is not None:
            raise SettingError("levels are walked as they are: give levels or steps, not both")
        return walker, torch.as_tensor(levels)
    meant = None if own else getattr(walker, "levels", None)
    family: Any = (meant or method.walk) if levels is None else named("schedule", levels, SCHEDULES)
    family = filled(
        family() if isinstance(family, type) else family, SimpleNamespace(sigma_min=method.lowest(plan)), plan
    )
    count = method.steps if own else getattr(walker, "steps", "sampling_steps")
    if levels is not None and family.count:
        count = None
    return walker, family.grid(steps_of(steps or count, family, plan) + getattr(walker, "extra_levels", 0))


def steps_of(steps: int | str | None, levels: Levels, plan: Plan) -> int:
    """Return a number of steps that may be a setting's name, or None for as many as there are levels."""
    if isinstance(steps, str):
        return int(getattr(plan, steps))
    return steps or levels.count or plan.sampling_steps

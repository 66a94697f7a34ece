"""What a model walks: the sampler and the levels that were asked for, and what the method and the plan say of the rest."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
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
    own = (
        sampler is None
        or sampler is mine
        or kind is type(mine)
        or (isinstance(sampler, Sampler) and type(sampler) is type(mine))
    )
    chosen: Any = mine if own and (sampler is None or isinstance(sampler, str | type)) else sampler
    walker = filled(sampler_of(chosen, options), plan)
    if method.gives_score != getattr(walker, "takes_score", True):
        # a function, which may be in the table too, takes scores
        takes = {name: getattr(kind, "takes_score", True) for name, kind in SAMPLERS.items()}
        fitting = ", ".join(name for name in takes if takes[name] == method.gives_score)
        asked = sampler if isinstance(sampler, str) else walker
        raise SettingError(f"a model of method {name_of(method)!r} takes the samplers {fitting}, not {asked!r}")
    if steps is not None:
        check_count("steps", steps)
    if levels is not None and not isinstance(levels, str | Levels | type):
        if steps is not None:
            raise SettingError("levels are walked as they are: give levels or steps, not both")
        if not isinstance(levels, Tensor | Sequence | np.ndarray):
            raise _no_levels(levels)
        return walker, torch.as_tensor(levels)
    meant = None if own else getattr(walker, "levels", None)
    family: Any = (meant or method.walk) if levels is None else named("schedule", levels, SCHEDULES)
    family = family() if isinstance(family, type) and issubclass(family, Levels) else family
    if not isinstance(family, Levels):
        raise _no_levels(family)
    family = filled(family, SimpleNamespace(sigma_min=method.lowest(plan)), plan)
    extra = getattr(walker, "extra_levels", 0)
    if steps is None and levels is not None and family.fixed:
        return walker, family.grid(family.count)
    usual: int | str | None = method.steps if own else getattr(walker, "steps", "sampling_steps")
    return walker, family.grid((steps or steps_of(usual, family, plan, extra)) + extra)


def steps_of(steps: int | str | None, levels: Levels, plan: Plan, extra: int = 0) -> int:
    """Return a number of steps that may be a setting's name, or None for as many as there are levels.

    Of a fixed number of levels, of which a sampler needs ``extra``, there are at most as many steps as they allow.
    """
    number = int(getattr(plan, steps) if isinstance(steps, str) else steps or levels.count or plan.sampling_steps)
    return number if levels.count is None else min(number, levels.count - extra)


def _no_levels(value: object) -> SettingError:
    return SettingError(f"levels must be a family of noise levels, or descending numbers, not {value!r}")

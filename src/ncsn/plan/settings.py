"""The plan: every setting with its rule and its reason, and how it is made.

Lengths (noise levels, distances) are in the units of the rows given, which are meant to be standardised. To let the data
choose one more setting, add its field to `Plan`, with a check and a rule; nothing else changes.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

import ncsn.plan.image_rules as images
import ncsn.plan.rules as rules
from ncsn.data import Augmentation, augmentation_named
from ncsn.errors import RunError, SettingError, check_count, check_number, unknown_name
from ncsn.parts import from_plain, to_plain
from ncsn.plan.measure import as_rows
from ncsn.plan.rules import Facts, Regime, Rule, constant, share_of_spread

PRECISIONS = ("no", "bf16", "fp16")
"""The precisions in which a network can be trained."""

CONTEXT_MEANS = ("none", "linear")
"""What a model adds to its network's answer of a context."""

Check = Callable[[str, Any, Mapping[str, Any]], Any]
"""Called with a setting's name, its value and those chosen before; returns the value in its type, or raises SettingError."""


@dataclass(frozen=True)
class Choice:
    """One setting: what it is called, its value, the rule that chose it (``"given"`` if the caller did), and why."""

    name: str
    value: Any
    rule: str
    reason: str


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows of a table as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _number(above: float | None = None, least: float | None = None) -> Check:
    def check(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
        check_number(name, value, above=above, least=least)
        return float(value)

    return check


def _integer(least: int) -> Check:
    def check(name: str, value: Any, chosen: Mapping[str, Any]) -> int:
        check_count(name, value, least)
        return int(value)

    return check


_finite, _positive, _not_negative, _count, _whole = (
    _number(),
    _number(above=0),
    _number(least=0),
    _integer(1),
    _integer(0),
)


def _share(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise SettingError(f"{name} must be at least 0 and below 1, not {value!r}")
    return float(value)


def _below_sigma_max(name: str, value: Any, chosen: Mapping[str, Any]) -> float:
    sigma_min, sigma_max = _positive(name, value, chosen), chosen["sigma_max"]
    if sigma_min >= sigma_max:
        raise SettingError(
            f"sigma_min must be below sigma_max, not {sigma_min:g} and {sigma_max:g}: change one of them"
        )
    return sigma_min


def _whole_numbers(name: str, value: Any, chosen: Mapping[str, Any]) -> tuple[int, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise SettingError(f"{name} must be whole numbers, such as (1, 2, 2), not {value!r}")
    return tuple(_count(name, each, chosen) for each in value)


def _precision(name: str, value: Any, chosen: Mapping[str, Any]) -> str:
    if value not in PRECISIONS:
        raise unknown_name("mixed precision", value, PRECISIONS)
    return str(value)


def _context_mean(name: str, value: Any, chosen: Mapping[str, Any]) -> str:
    if value not in CONTEXT_MEANS:
        raise unknown_name("context mean", value, CONTEXT_MEANS)
    return str(value)


def _augmentation(name: str, value: Any, chosen: Mapping[str, Any]) -> str | Augmentation:
    # as JSON returns it
    value = from_plain(value) if isinstance(value, Mapping) else value
    augmentation_named(value)
    return value


@dataclass(frozen=True)
class _Setting:
    """How a setting is checked, and the rules that choose it; None where it is no choice of such data.

    Attributes:
        check: Its check.
        rule: Its rule.
        images: That of images, where it is another.
        contexts: That of data with contexts, where it is another; a rule of images goes before it.
        told_images: That of data whose contexts are images, where it is another.
    """

    check: Check
    rule: Rule | None = None
    images: Rule | None = None
    contexts: Rule | None = None
    told_images: Rule | None = None

    def chosen_by(self, facts: Facts) -> Rule | None:
        """Return the rule for some data."""
        contexts = facts.contexts
        applying = (
            (self.told_images, contexts is not None and contexts.ndim > 2),
            (self.images, facts.regime is Regime.IMAGES),
            (self.contexts, contexts is not None),
        )
        return next((rule for rule, applies in applying if rule is not None and applies), self.rule)


def _setting(check: Check, rule: Rule, images: Rule | None = None, contexts: Rule | None = None) -> Any:
    """Return a setting with its rule, and those of images and of data with contexts where they are others."""
    return field(metadata={"setting": _Setting(check, rule, images, contexts)})


def _of(check: Check, without: Any, **rules: Rule) -> Any:
    """Return a setting that only some data have, by `_Setting`'s names; elsewhere it is ``without``, and no choice."""
    return field(default=without, metadata={"setting": _Setting(check, **rules)})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings for one data set; `make_plan` builds it, ``print`` shows it with the reasons.

    Each setting is chosen by its rule, after those above it.
    """

    n_rows: int
    """Number of rows, N."""
    n_features: int
    """Number of values in a row, D."""
    context_mean: str = _of(_context_mean, "none", contexts=rules.mean_given_contexts)
    """What is taken off the data before the network sees them: ``linear``, their regression on the contexts, or ``none``."""
    sigma_data: float = _setting(_positive, rules.standard_deviation)
    """Standard deviation of the data, over all entries; of what is left where the contexts' mean is taken off."""
    sigma_max: float = _setting(_positive, rules.farthest_rows)
    """Largest noise level."""
    sigma_min: float = _setting(_below_sigma_max, rules.below_the_finest, images.one_grey_step)
    """Smallest noise level."""
    n_sigmas: int = _setting(_count, rules.overlapping_levels)
    """Number of geometric noise levels, both ends included."""
    n_steps_per_sigma: int = _setting(_count, rules.langevin_steps)
    """Langevin steps per level."""
    langevin_step_size: float = _setting(_positive, rules.kept_variance)
    """Langevin step at sigma_min, in this library's convention (twice the paper's alpha): what technique 4 leads to at these
    levels, for information. A sampler takes it anew for the levels that it walks; give it one as ``step_size``."""
    log_sigma_mean: float = _setting(_finite, rules.middle_of_levels, images.levels_that_decide)
    """Mean of the logarithm of the levels that training draws, where they are log-normal."""
    log_sigma_spread: float = _setting(_positive, rules.share_of_range, images.levels_spread)
    """Its standard deviation."""
    width: int = _setting(_count, rules.units_by_columns, images.channels_by_device, rules.units_by_pairs)
    """Width of the network; of a UNet, channels at the finest resolution."""
    n_blocks: int = _setting(_count, constant("n_blocks"), images.blocks_by_device, rules.blocks_given_contexts)
    """Number of its residual blocks; of a UNet, at each resolution."""
    n_fourier: int = _setting(_whole, constant("n_fourier"))
    """Number of random Fourier projections of its input."""
    dropout: float = _setting(
        _share, constant("dropout", rules.dropout_by_rows), images.dropout_by_images, rules.dropout_given_contexts
    )
    """Share of hidden units that training leaves out."""
    batch_size: int = _setting(_count, constant("batch_size"), images.batch_by_device)
    """Rows a step."""
    training_steps: int = _setting(
        _count, constant("training_steps", rules.steps_by_rows), images.steps_by_images, rules.steps_given_contexts
    )
    """Optimiser steps."""
    learning_rate: float = _setting(_positive, rules.rate_by_width, images.rate_by_channels, rules.rate_given_contexts)
    """Highest learning rate."""
    validation_fraction: float = _setting(_share, rules.few_of_many)
    """Share of the rows that training does not see, whose loss says which of its averaged weights are kept; 0 for none."""
    target_from: float = _setting(
        _positive, share_of_spread("target_from"), contexts=rules.without_contexts("target_from")
    )
    """Noise level from which on the training target is averaged over the data."""
    weight_from: float = _setting(
        _positive, share_of_spread("weight_from"), contexts=rules.without_contexts("weight_from")
    )
    """Noise level at which such levels have half of their greater weight."""
    target_rows: int = _setting(_count, constant("target_rows"))
    """Most rows that the target is averaged over in a step."""
    sampling_steps: int = _setting(_count, constant("sampling_steps"))
    """Number of noise levels that the default sampler walks."""
    churn: float = _setting(_not_negative, constant("churn"))
    """Noise that it puts back on the way (Karras et al. 2022, S_churn)."""
    patch: int = _of(_count, 1, images=images.squares_to_channels)
    """Side of the squares of pixels that a UNet makes channels of; 1 for none."""
    multipliers: tuple[int, ...] = _of(_whole_numbers, (), images=images.resolutions)
    """Channels of a UNet at each resolution, in widths; none where the network is a residual perceptron."""
    attention: int = _of(_whole, 0, images=images.coarsest_attends)
    """Number of a UNet's coarsest resolutions that have self-attention."""
    mixed_precision: str = _of(_precision, "no", images=images.precision_by_device)
    """Precision in which the network trains and samples."""
    context_dim: int = _of(_count, 0, contexts=rules.numbers_of_contexts)
    """Numbers that a context is to the network; 0 without contexts."""
    condition_dropout: float = _of(_share, 0.1, contexts=constant("condition_dropout"))
    """Share of rows that are trained without their label or context, so that the model also knows the data without."""
    context_shape: tuple[int, ...] = _of(_whole_numbers, (), told_images=images.shape_of_contexts)
    """The shape of contexts that are images, ``(H, W)`` or ``(C, H, W)``; none of numbers in a row."""
    context_width: int = _of(_count, 16, told_images=images.channels_of_encoder)
    """Channels of the encoder of such contexts, at their finest resolution."""
    context_beside: int = _of(_whole, 0, told_images=images.beside_the_image)
    """Times that such contexts are enlarged to stand beside the image at a UNet's input; 0 where they do not."""
    augmentation: str | Augmentation = _of(  # noqa: RUF009 - a field, as those above
        _augmentation, "none", images=images.as_they_are
    )
    """How images are moved for training, which the network is told: a name of `data.AUGMENTATIONS`, or a
    `data.Augmentation`."""
    choices: tuple[Choice, ...] = ()
    """Each setting's value, rule and reason, in the order in which they were chosen."""

    def __str__(self) -> str:
        table = [("name", "value", "rule", "reason")]
        for choice in self.choices:
            value = f"{choice.value:.4g}" if isinstance(choice.value, float) else str(choice.value)
            table.append((choice.name, value, choice.rule, choice.reason))
        return "\n".join([f"{self.n_rows:,} rows x {self.n_features:,} features", *aligned(table)])

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain numbers, strings and lists, ready for JSON; `from_dict` reads it back."""
        choices = [
            {"name": c.name, "value": to_plain(c.value), "rule": c.rule, "reason": c.reason} for c in self.choices
        ]
        return {"n_rows": self.n_rows, "n_features": self.n_features, "choices": choices}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Plan:
        """Rebuild the plan that `to_dict` wrote.

        Args:
            saved: The dictionary, as it was or as JSON returns it.

        Raises:
            RunError: A setting is missing, unknown or malformed, as in a damaged file or another version's.
        """
        try:
            every = (Choice(**choice | {"name": _now_called(choice["name"])}) for choice in saved["choices"])
            saved_values = _SINCE | {choice.name: choice for choice in every if choice.name not in _DROPPED}
            if not saved_values.keys() <= _SETTINGS.keys():
                raise KeyError(*(saved_values.keys() - _SETTINGS.keys()))
            values: dict[str, Any] = {}
            for name, setting in _SETTINGS.items():
                # what only images or contexts have is not among others' choices
                if setting.rule is not None or name in saved_values:
                    values[name] = setting.check(name, saved_values[name].value, values)
            choices = tuple(replace(saved_values[name], value=value) for name, value in values.items())
            return cls(n_rows=saved["n_rows"], n_features=saved["n_features"], choices=choices, **values)
        except (KeyError, TypeError, SettingError) as error:
            raise RunError(f"the saved settings are damaged or another version's ({error!r}): train anew") from error


_SETTINGS: dict[str, _Setting] = {field.name: field.metadata["setting"] for field in fields(Plan) if field.metadata}


COUNTS = {name: name for name, setting in _SETTINGS.items() if setting.check in (_count, _whole)}
"""The settings that are whole numbers."""


_DROPPED = ("sigma_init", "ema_decay")
"""Settings that earlier runs saved, and that nothing reads."""

_SINCE = {"validation_fraction": Choice("validation_fraction", 0.0, "none", "trained before rows were held out")}
"""Settings that earlier runs did not have."""


def _now_called(name: str) -> str:
    """Return what a setting that version 0.1 saved is called now."""
    return {"step_size": "langevin_step_size"}.get(name, name)


def make_plan(
    x: npt.ArrayLike | Tensor,
    *,
    n_columns: int | None = None,
    n_rows: int | None = None,
    device: str = "cpu",
    contexts: Tensor | None = None,
    watched: bool = True,
    **given: Any,
) -> Plan:
    """Choose the settings for a data set, each by its rule.

    Args:
        x: Standardised data of shape ``(N, *shape)``, an array or a tensor on any device.
        n_columns: Number of columns that the rows come from, of a table; that of their values when None.
        n_rows: Number of all rows, where ``x`` are some of them at random.
        device: Where training will run: ``cpu``, ``cuda`` or ``mps``. Of images it decides how large a network is.
        contexts: What the network is told of each row besides, ``(N, C)`` or images; None without contexts.
        watched: Whether rows can be held out to watch the training by; not of a stream, nor by a method without a score.
        **given: Settings to take as they are, by their names in `Plan`; None means that the data choose.

    Returns:
        The plan. A million rows take no longer than a few thousand, but for a pass over the data.

    Raises:
        DataError: Fewer than two rows, values that are not finite, or rows that are all or nearly equal.
        SettingError: A given name is unknown, a value is out of range, or sigma_min is not below sigma_max.

    >>> rng = np.random.default_rng(0)
    >>> plan = make_plan(rng.standard_normal((1000, 2)), sigma_max=5.0)
    >>> plan.sigma_max, plan.choices[1].rule
    (5.0, 'given')
    """
    for name in given:
        if name not in _SETTINGS:
            raise unknown_name("setting", name, _SETTINGS)
    if given.get("langevin_step_size") is not None:
        raise SettingError("langevin_step_size follows from the levels: give a sampler its step_size instead")
    rows, chosen, choices = as_rows(x), dict[str, Any](), []
    shape = tuple(np.shape(x))[1:] or (1,)
    regime, n_rows = Regime.of(shape), n_rows or len(rows)
    facts = Facts(rows, chosen, regime, shape, n_columns or rows.shape[1], n_rows, device, watched, contexts)
    for name, setting in _SETTINGS.items():
        chooses = setting.chosen_by(facts)
        if given.get(name) is not None:
            value, by, reason = given[name], "given", "set by the caller"
        elif chooses is None:
            continue
        else:
            value, by, reason = chooses(facts)
        chosen[name] = setting.check(name, value, chosen)
        choices.append(Choice(name, chosen[name], by, reason))
    return Plan(n_rows=n_rows, n_features=rows.shape[1], choices=tuple(choices), **chosen)

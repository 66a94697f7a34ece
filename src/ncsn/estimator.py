"""The estimator: scikit-learn's face and the page's calls, over a `Model`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ncsn.data import Augmentation
from ncsn.errors import RunError, SettingError
from ncsn.methods import Method, NetworkFactory, method_named
from ncsn.model import Model, Networks, Stepper, fit_model
from ncsn.model.checks import PLANNED, as_given, checked_minutes, checkpoint_path, kept_of, validated
from ncsn.model.distribution import FittedDistribution
from ncsn.parts import from_plain
from ncsn.plan import PageSettings, Plan
from ncsn.randomness import seed_of, seeded
from ncsn.training import Progress, is_main_process

__all__ = ["NCSN"]


def _part(name: str, meaning: str) -> Any:
    """Return a property that is a part of the fitted model, and not there before."""

    def part(self: NCSN) -> Any:
        if "model_" not in vars(self):
            raise AttributeError(f"this NCSN is not fitted yet, so it has no {name}_")
        return getattr(self.model_, name)

    return property(part, doc=meaning)


class NCSN(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Noise-conditional score network as a density estimator (Song & Ermon 2019; Karras et al. 2022).

    What is None is chosen from the data by `plan.make_plan`; ``plan_`` says by which rule and why. Noise levels are in
    standardised units, where every column (of images: all pixels together) has mean 0 and standard deviation 1.

    The class also keeps the calls of a hand-written loop: with a ``score_net``, `train_step` takes one step on data as they
    are, and `sample` then draws by annealed Langevin dynamics.

    Args:
        score_net: A score model to train as it is, called as ``score_net(x, sigma)``, and with ``label=`` (-1 for none) and
            ``context=`` (rows of NaN for none) where there are labels and contexts; `fit` trains a copy. For a network F,
            which the method preconditions, give ``network`` instead.
        sigma_min: Smallest noise level.
        sigma_max: Largest noise level.
        n_sigmas: Number of discrete noise levels.
        lr: Highest learning rate.
        method: A name of `methods.METHODS`, or a `methods.Method`.
        network: A network F to precondition, called as ``network(x, c_noise)``, with ``label=`` where there are labels, and
            with ``context=``, numbers or images, where there are contexts, NaN for none: a module, of which `fit` trains a
            copy, or what makes one, ``factory(shape, plan, n_classes)``, where ``plan.context_dim`` is 0 without contexts. When
            None a `networks.UNet` for images, a residual perceptron for all else.
        training_steps: Optimiser steps.
        batch_size: Rows a step.
        width: Width of the network.
        n_blocks: Number of its residual blocks.
        dropout: Share of hidden units that training leaves out.
        condition_dropout: Share of rows that are trained without their label or context, which guidance asks for; 0 without it.
        validation_fraction: Share of the rows that training does not see: the averaged weights that know them best are kept; 0
            for the last ones.
        augmentation: How images are moved for training, which the network is told as ``augmentation=``, so that samples are as
            the images are: a name of `data.AUGMENTATIONS` (``none``, ``flips``, ``edm``), or a `data.Augmentation`.
        columns: What columns of a data frame are said to be, by name: one of `data.tables.KINDS`, such as ``category`` or
            ``drop``, or a mapping of ``kind`` and ``bounds``; those of contexts among them.
        device: ``cpu``, ``cuda``, ``mps``; the fastest there when None.
        mixed_precision: ``no``, ``bf16`` or ``fp16``, as Accelerate understands them; chosen by the device when None.
        accumulation: Parts that a batch is taken in, one after the other, so that a large one fits the memory.
        minutes: Time to train for, in place of ``training_steps``: a few steps are timed at first. It tells how long a training
            takes where nothing else comes between; the same seed gives the same model only where it leads to as many steps.
        compile: Whether `torch.compile` makes the network faster first, which takes a minute on a CPU and gains a tenth of each
            step there; of a UNet on a GPU when None.
        random_state: Seed, ``numpy.random.RandomState`` or ``torch.Generator``; torch's default generator when None.

    Attributes:
        model_: The fitted `model.Model`, whose parts ``plan_``, ``encoding_``, ``score_model_`` and ``loss_curve_`` are.
        n_features_in_: Number of columns; of images, of pixels.
        feature_names_in_: Names of the columns of a data frame, where all are strings.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal([3.0, -1.0], [2.0, 0.1], size=(500, 2))
    >>> model = NCSN(training_steps=50, random_state=0).fit(X)
    >>> model.sample(3).shape, model.score_samples(X[:4]).shape
    ((3, 2), (4,))
    """

    def __init__(
        self,
        score_net: nn.Module | None = None,
        sigma_min: float | None = None,
        sigma_max: float | None = None,
        n_sigmas: int | None = None,
        lr: float | None = None,
        *,
        method: str | Method = "edm",
        network: nn.Module | NetworkFactory | None = None,
        training_steps: int | None = None,
        batch_size: int | None = None,
        width: int | None = None,
        n_blocks: int | None = None,
        dropout: float | None = None,
        condition_dropout: float | None = None,
        validation_fraction: float | None = None,
        augmentation: str | Augmentation | None = None,
        columns: Mapping[str, Any] | None = None,
        device: str | None = None,
        mixed_precision: str | None = None,
        accumulation: int = 1,
        minutes: float | None = None,
        compile: bool | None = None,
        random_state: Any = None,
    ) -> None:
        self.score_net = score_net
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self.n_sigmas, self.lr, self.method, self.network = n_sigmas, lr, method, network
        self.training_steps, self.batch_size, self.width, self.n_blocks = training_steps, batch_size, width, n_blocks
        self.dropout, self.condition_dropout = dropout, condition_dropout
        self.validation_fraction, self.augmentation, self.columns = validation_fraction, augmentation, columns
        self.device, self.mixed_precision = device, mixed_precision
        self.accumulation, self.minutes, self.compile = accumulation, minutes, compile
        self.random_state = random_state

    @torch.inference_mode(False)
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        context: Any = None,
        sample_weight: Any = None,
        teacher: NCSN | Model | None = None,
        callback: Callable[[Progress], None] | None = None,
        checkpoint: str | Path | None = None,
        log: Any = None,
    ) -> Self:
        """Train on data in their own units. A fit that fails leaves an earlier one as it was.

        Args:
            X: Array, tensor or data frame, ``(N, D)``, or images in any form that `data.Encoding.fit` takes.
            y: Class label of each row, for a class-conditional model; None for none. A quantity, of which some are fractions, is
                a context of one column.
            context: What is known of each row, for a conditional model: array, tensor or data frame, ``(N, C)``, of any kinds of
                columns; or images, also by their folder's path; None for nothing. With ``y`` it is told both, or either.
            sample_weight: How much each row counts, ``(N,)``: a weight of 2 is the row twice, of 0 no row. All alike when None.
            teacher: A model fitted on the same data, which the method ``consistency`` distils, from whose weights it starts where
                the networks are the same; None to train from scratch.
            callback: Called with a `training.Progress` every 50 steps and after the last one.
            checkpoint: A file to which the training's state is written every 500 steps, and from which training goes on
                where it exists; the end is the same, bit for bit on a CPU, as without the break. It needs a random_state.
            log: A tracker of Accelerate that is told of the loss, by its name (``tensorboard``, ``wandb``, ...) or as an
                object, or several; its files go beside the checkpoint.

        Raises:
            DataError: The data are not finite, not numeric, too few or all equal, labels, contexts or weights do not fit them, or
                the teacher was fitted on others.
            SettingError: A setting is out of range or unknown, or the method cannot distil the teacher.
            DivergenceError: The loss is not finite; the last good checkpoint stays.
            RunError: The checkpoint cannot be written, is damaged, or of other data or settings.
        """
        seen = NCSN()
        validated(seen, X, None)
        path = None if checkpoint is None else checkpoint_path(checkpoint, self.random_state)
        model = fit_model(
            X,
            y,
            method=method_named(self.method),
            given=self._given() | {name: getattr(self, name) for name in PLANNED},
            networks=Networks(self.network, self.score_net),
            seed=seed_of(self.random_state),
            teacher=teacher._fitted() if isinstance(teacher, NCSN) else teacher,
            device=self.device,
            mixed_precision=self.mixed_precision,
            accumulation=self.accumulation,
            minutes=checked_minutes(self.minutes, self.training_steps),
            compile=self.compile,
            log=log,
            callback=callback,
            checkpoint=path,
            columns=self.columns,
            context=context,
            sample_weight=sample_weight,
        )
        # only now: what fails above leaves an earlier fit whole
        for name in ("_stepper", *_SEEN):
            self.__dict__.pop(name, None)
        self.__dict__.update({name: value for name, value in vars(seen).items() if name in _SEEN})
        self.model_ = model
        return self

    def _given(self) -> dict[str, Any]:
        """Return the settings that the page's loop has too, by the plan's names."""
        names = ("sigma_min", "sigma_max", "n_sigmas")
        return {name: getattr(self, name) for name in names} | {"learning_rate": self.lr}

    def _validated(self, X: Any, *, gaps: bool = False) -> Any:
        return validated(self, X, self.model_.encoding, gaps=gaps)

    def __sklearn_is_fitted__(self) -> bool:
        return "model_" in vars(self)

    plan_ = _part("plan", "The settings chosen.")
    encoding_ = _part("encoding", "How data become rows, and rows data.")
    score_model_ = _part("score_model", "The trained score model of rows.")
    loss_curve_ = _part("loss_curve", "Pairs of step and mean loss.")
    validation_ = _part("validation", "How the training went on rows that it did not see, or None.")

    @property
    def classes_(self) -> NDArray[Any] | None:
        """The labels, sorted, or None."""
        return self.encoding_.classes

    # Sampling, densities and scores

    def sample(
        self,
        n_samples: int = 1,
        n_steps_per_sigma: int | None = None,
        step_size: float | None = None,
        device: torch.device | str | None = None,
        *,
        random_state: Any = None,
        **how: Any,
    ) -> Any:
        """Draw samples, in the units and the container of the data that were fitted; `Model.sample` has all arguments.

        Args:
            n_samples: Number of samples. The first n of N samples of one seed are the same for every N.
            n_steps_per_sigma: Langevin steps at each level; with it, or with ``step_size``, the sampler is
                ``annealed_langevin``.
            step_size: Langevin's epsilon, of alpha_i = epsilon (sigma_i / sigma_min)^2; by technique 4 when None.
            device: Where to sample; where the model is when None.
            random_state: As in the class; the estimator's own when None.
            **how: All else that `Model.sample` takes, such as ``sampler``, ``steps``, ``label``, ``context``, ``guidance``,
                ``given``, ``measurement`` and ``generator``; and options of the sampler.

        Returns:
            Samples of shape ``(n_samples, *shape)``; after `train_step` a tensor. With ``return_log_density=True`` also their
            log-densities, as `score_samples` returns them.

        Raises:
            NotFittedError: Neither `fit` nor `train_step` was called. Other errors are those of `Model.sample`.
        """
        langevin = {"n_steps_per_sigma": n_steps_per_sigma, "step_size": step_size}
        if given := {name: value for name, value in langevin.items() if value is not None}:
            how.setdefault("sampler", "annealed_langevin")
        if isinstance(how.get("guide"), NCSN):
            how["guide"] = how["guide"]._fitted()
        model = self._stepper.model if "_stepper" in vars(self) else self._fitted()
        drawn = model.sample(n_samples, device=device, **self._seeded(how | given, random_state))
        return (drawn[0], as_given(*drawn)) if how.get("return_log_density") else drawn

    def impute(self, X: Any, *, random_state: Any = None, **how: Any) -> Any:
        """Fill missing values by draws from their distribution given the known ones: `Model.impute`, with its arguments.

        Args:
            X: Rows like those that were fitted, NaN (in a data frame also NA) where a value is missing; of images, pixels.
            random_state: As in the class; the estimator's own when None.
            **how: ``mask``, ``label``, ``context``, ``steps``, ``n_particles``, ``n_sweeps`` and the like.

        Returns:
            The rows in the container of ``X``, known values as given; of a data frame, in the types that were fitted.
        """
        model = self._fitted()
        model.check_gives_score("conditional distribution")
        self._validated(X, gaps=True)
        return model.impute(X, **self._seeded(how, random_state))

    def score_samples(self, X: Any, *, random_state: Any = None, **how: Any) -> Any:
        """Return the log-density of each row in nats, in the data's own units: `Model.log_density`, with its arguments.

        It is a tensor for a tensor, on its device, else an array.

        Args:
            X: Rows like those that were fitted.
            random_state: As in the class; the estimator's own when None.
            **how: ``label``, ``context``, and options of `likelihood.log_density`, such as ``trace``, ``n_probes`` and
                ``tolerance``.
        """
        model = self._fitted()
        model.check_gives_score("log-density")
        return as_given(X, model.log_density(self._validated(X), **self._seeded(how, random_state)))

    def bits_per_dimension(self, X: Any, *, random_state: Any = None, **how: Any) -> NDArray[Any]:
        """Return the bits a value of images of whole grey levels: `Model.bits_per_dimension`, with its arguments."""
        return self._fitted().bits_per_dimension(self._validated(X), **self._seeded(how, random_state)).numpy()

    def score(self, X: Any, y: Any = None, *, context: Any = None) -> float:
        """Return the mean log-likelihood of the rows in nats, the mean of `score_samples`; ``y`` is not used."""
        return float(self.score_samples(X, context=context).mean())

    def score_function(self, X: Any, sigma: float, *, label: Any = None, context: Any = None) -> Any:
        """Return the gradient of log p_sigma at each row, in the data's own units: `Model.score`.

        p_sigma is the density of the data with noise of ``sigma`` standard deviations added to each column.

        Args:
            X: Rows like those that were fitted.
            sigma: Noise level in standardised units, > 0.
            label: The class, or one for each row; None for all.
            context: The context, or one for each row, like those that were fitted; None for all.

        Returns:
            Scores in the shape of ``X``, 0 in constant columns: a tensor for a tensor, else an array.
        """
        model = self._fitted()
        model.check_gives_score("score")
        return as_given(X, model.score(self._validated(X), sigma, label=label, context=context))

    def distribution(self, context: Any = None, *, label: Any = None) -> FittedDistribution:
        """Return what was learned as one of `torch.distributions`; arguments and errors are those of `Model.distribution`."""
        return self._fitted().distribution(context, label=label)

    def _seeded(self, how: dict[str, Any], random_state: Any) -> dict[str, Any]:
        return seeded(how, random_state, self.random_state)

    def _fitted(self) -> Model:
        check_is_fitted(self)
        return self.model_

    # The page's own loop

    _stepper: Stepper

    @property
    def sigmas(self) -> Tensor:
        """The discrete noise levels, descending, ``(n_sigmas,)``."""
        plan = self.model_.plan if "model_" in vars(self) else None
        if isinstance(plan, Plan):
            return PageSettings(plan.sigma_min, plan.sigma_max, plan.n_sigmas).sigmas
        return PageSettings.of(**self._given()).sigmas

    def train_step(self, x: Tensor) -> dict[str, float]:
        """Take one step of Adam on a batch as it is, at random discrete levels; return its loss, under the weighting ``edm``.

        Args:
            x: Clean rows, ``(N, D)``, of about unit spread.

        Raises:
            SettingError: There is no ``score_net``, a setting is out of range, or the model was already fitted.
            DivergenceError: The loss is not finite; the weights are left as they were before the step.
        """
        if "_stepper" not in vars(self):
            if self.score_net is None:
                raise SettingError("train_step needs a score_net: NCSN(NCSNScoreNetwork(...)); or call fit(X)")
            if "model_" in vars(self):
                raise SettingError("fit has trained this model; for a loop of your own, take a new NCSN(score_net)")
            self._stepper = Stepper(self.score_net, PageSettings.of(**self._given()), self.random_state)
        return {"loss": self._stepper.step(x)}

    # Saving

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``config.json`` into a folder, which is made if needed; nothing is a pickle.

        A ``random_state`` that is an object, and a network that is one, are not kept. What else the folder holds stays. Of
        several processes, the main one writes. Errors are those of `Model.save`.
        """
        if is_main_process():
            self._fitted().save(folder, kept_of(self))

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        score_net: nn.Module | None = None,
        network: nn.Module | None = None,
        allow: Iterable[Any] = (),
    ) -> Self:
        """Read a model that `save` wrote, onto the CPU; arguments and errors are those of `Model.load`."""
        model, kept = Model.loaded(folder, score_net, network, allow)
        try:
            parameters = dict(kept.get("parameters", {}))
            if parameters.get("method") is None:
                parameters["method"] = model.method
            parameters["augmentation"] = from_plain(parameters.get("augmentation"))
            factory = model.network if not isinstance(model.network, str) else network
            estimator = cls(score_net if model.network == "score_net" else None, network=factory, **parameters)
            estimator.n_features_in_ = int(kept.get("n_features_in", math.prod(model.encoding.data_shape)))
            if kept.get("feature_names_in"):
                estimator.feature_names_in_ = np.array(kept["feature_names_in"], dtype=object)
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise RunError(f"{folder} is damaged or another version's ({error}); restore it or train anew") from error
        estimator.model_ = model
        return estimator


_SEEN = ("n_features_in_", "feature_names_in_")
"""What scikit-learn keeps of the data."""

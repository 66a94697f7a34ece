"""The estimator: fit, sample, score, save and load, in the data's own units and form."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from ncsn.data import Standardizer, check_values
from ncsn.distilling import score_to_distil
from ncsn.errors import DataError, RunError, check_count
from ncsn.files import digest_of
from ncsn.filling import fill
from ncsn.forms import Form, encode_labels, label_codes
from ncsn.guidance import ClassGuidance
from ncsn.likelihood import log_density
from ncsn.methods import Method, method_named
from ncsn.moments import Moments
from ncsn.networks.contract import check_contract, trainable
from ncsn.randomness import generator_of, reseed, restored_generators, seed_of
from ncsn.samplers import State, sample
from ncsn.saving import load_model, save_model
from ncsn.schedules import create_noise_schedule
from ncsn.stepping import Stepper, page_setting
from ncsn.training import Progress, Recipe, Trainer, is_main_process, make_accelerator
from ncsn.tuning import Plan, make_plan

__all__ = ["NCSN"]

GEOMETRIC_SAMPLERS = ("langevin", "annealed_langevin", "consistent_annealed")
"""Samplers whose steps are meant for geometric levels, whatever the method's own grid."""

STEPS = {
    "consistent_annealed": 100,
    "predictor_corrector": 100,
    "ancestral": 250,
    "reverse_sde": 250,
    "ddim": 50,
    "heun": 20,
}
"""Levels that a sampler walks where it is not the method's own; the others walk as many as the plan says."""


class NCSN(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Noise-conditional score network as a density estimator (Song & Ermon 2019; Karras et al. 2022).

    What is None is chosen from the data by `tuning.make_plan`; ``plan_`` says by which rule and why. Noise levels are in
    standardised units, where every column (of images: all pixels together) has mean 0 and standard deviation 1.

    The class also keeps the calls of a hand-written loop: with a ``score_net``, `train_step` takes one step on data as they
    are, and `sample` then draws by annealed Langevin dynamics.

    Args:
        score_net: A score model to train, called as ``score_net(x, sigma)``, and with ``label=`` (-1 for none) where there
            are labels; `fit` trains a copy. A residual perceptron when None.
        sigma_min: Smallest noise level.
        sigma_max: Largest noise level.
        n_sigmas: Number of discrete noise levels.
        lr: Highest learning rate.
        method: A name of `methods.METHODS`.
        training_steps: Optimiser steps.
        batch_size: Rows a step.
        width: Width of the network.
        n_blocks: Number of its residual blocks.
        dropout: Share of hidden units that training leaves out.
        device: ``cpu``, ``cuda``, ``mps``; the fastest there when None.
        mixed_precision: ``no``, ``bf16`` or ``fp16``, as Accelerate understands them.
        random_state: Seed, ``numpy.random.RandomState`` or ``torch.Generator``; torch's default generator when None.

    Attributes:
        plan_: The settings chosen, with rules and reasons.
        score_model_: The trained score model, in standardised units, of the columns that vary.
        standardizer_: The scaling between the data's units and the standardised ones.
        form_: The container, columns and types of the data, in which samples come back.
        moments_: Means and covariances of the standardised data, of all rows and of each class; of images, variances.
        loss_curve_: Pairs of step and mean loss.
        classes_: The labels, sorted, of a model fitted with labels; else None.
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
        method: str = "edm",
        training_steps: int | None = None,
        batch_size: int | None = None,
        width: int | None = None,
        n_blocks: int | None = None,
        dropout: float | None = None,
        device: str | None = None,
        mixed_precision: str = "no",
        random_state: Any = None,
    ) -> None:
        self.score_net = score_net
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max
        self.n_sigmas = n_sigmas
        self.lr = lr
        self.method = method
        self.training_steps = training_steps
        self.batch_size = batch_size
        self.width = width
        self.n_blocks = n_blocks
        self.dropout = dropout
        self.device = device
        self.mixed_precision = mixed_precision
        self.random_state = random_state

    # Fitting

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        teacher: NCSN | None = None,
        callback: Callable[[Progress], None] | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Train on data in their own units.

        Args:
            X: Array, tensor or data frame, ``(N, D)``, or images as an array or tensor, ``(N, H, W)`` or ``(N, C, H, W)``.
            y: Class label of each row, for a class-conditional model; None for none.
            teacher: A model fitted on the same data, which the method ``consistency`` distils; None to train from scratch.
            callback: Called with a `training.Progress` every 50 steps and after the last one.
            checkpoint: A file to which the training's state is written every 500 steps, and from which training goes on
                where it exists; the end is the same, bit for bit on a CPU, as without the break. It needs a random_state.

        Returns:
            The estimator itself.

        Raises:
            DataError: The data are not finite, not numeric, too few or all equal, the labels do not fit them, or the teacher
                was fitted on others.
            ValueError: A setting is out of range or unknown, or the method cannot distil the teacher.
            DivergenceError: The loss is not finite; the last good checkpoint stays.
            RunError: The checkpoint cannot be written, is damaged, or of other data or settings.
        """
        method = method_named(self.method)
        path = None if checkpoint is None else self._checkpoint_path(checkpoint)
        accelerator = make_accelerator(self.device, self.mixed_precision)
        values = self._checked(X, fitting=True)
        standardizer = Standardizer.fit(values)
        if bool(standardizer.constant.all()):
            raise DataError("every column is constant: there is nothing to learn")
        rows = _varying(standardizer, standardizer.transform(values))
        classes, labels = (None, None) if y is None else encode_labels(y, len(rows))
        plan = make_plan(rows.float(), **self._given())
        distilled = None if teacher is None else score_to_distil(teacher, self.method, values, y)
        # without a seed, each of several processes would draw its own
        seed = broadcast_object_list([seed_of(self.random_state)])[0]
        recipe = Recipe(
            levels=method.levels(plan),
            steps=plan.training_steps,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            warm_up=min(200, plan.training_steps // 5),
            ema_decay=plan.ema_decay,
            objective=method.objective(plan, None if distilled is None else distilled.to(accelerator.device)),
            target_rows=plan.target_rows,
            seed=seed,
        )
        score_model = self._untrained(
            method, plan, rows[:2].float(), None if labels is None else labels[:2], classes, seed
        )
        lesson = None if distilled is None else digest_of(distilled.state_dict())
        trainer = Trainer(score_model, rows.float(), recipe, labels, accelerator, settings=(plan, lesson))
        trainer.run(callback, path)
        self.__dict__.pop("_stepper", None)
        self.form_ = Form.of(X)
        self.standardizer_ = standardizer
        self.plan_ = plan
        self.classes_ = classes
        self.score_model_ = trainer.averaged_model
        self.loss_curve_ = trainer.curve
        self.moments_ = Moments.of(rows, labels, 0 if classes is None else len(classes))
        return self

    def _given(self) -> dict[str, Any]:
        return {
            "sigma_min": self.sigma_min,
            "sigma_max": self.sigma_max,
            "n_sigmas": self.n_sigmas,
            "learning_rate": self.lr,
            "training_steps": self.training_steps,
            "batch_size": self.batch_size,
            "width": self.width,
            "n_blocks": self.n_blocks,
            "dropout": self.dropout,
        }

    def _untrained(
        self,
        method: Method,
        plan: Plan,
        rows: Tensor,
        labels: Tensor | None,
        classes: NDArray[Any] | None,
        seed: int,
    ) -> nn.Module:
        """Return the score model to train: the method's, or a copy of the user's that passed on a few rows."""
        if self.score_net is not None:
            if not method.gives_score:
                raise ValueError(
                    f"method {self.method!r} makes its own network: leave score_net out, or take another method"
                )
            own = copy.deepcopy(trainable(self.score_net)).cpu()
            check_contract(own, rows, labels)
            return own
        with restored_generators(rows.device):
            reseed(rows.device, seed)
            return method.build(plan, rows.shape[1:], 0 if classes is None else len(classes))

    def _checkpoint_path(self, checkpoint: str | Path) -> Path:
        if self.random_state is None:
            raise ValueError("a checkpoint needs a random_state, such as 0, so that a later fit can go on from it")
        path = Path(checkpoint)
        if path.is_dir() or not path.parent.is_dir():
            raise RunError(f"cannot write checkpoint {path}: name a file in a folder that exists")
        return path

    def _checked(self, X: Any, fitting: bool = False, gaps: bool = False) -> Tensor:
        """Return the rows as float64 on the CPU, checked and with scikit-learn's attributes set or compared.

        With ``gaps`` values may be missing; they are NaN.
        """
        form = Form.of(X)
        values = X.detach().double().numpy(force=True) if isinstance(X, Tensor) else X
        values = np.asarray(values) if isinstance(values, list | tuple) else values
        if getattr(values, "ndim", 2) < 2:
            raise DataError(
                f"expected rows, (N, D) or (N, *shape), not {values.ndim} axes. Reshape your data by X.reshape(-1, 1) if it "
                "is one column, or by X.reshape(1, -1) if it is one row"
            )
        shape = tuple(np.asarray(values).shape[1:]) if form.kind != "frame" else (values.shape[1],)
        if not fitting:
            self.form_.check_columns(X)
            if max(len(shape), len(self.standardizer_.shape)) > 1 and shape != self.standardizer_.shape:
                raise DataError(f"rows of shape {shape} given; the model was fitted on {self.standardizer_.shape}")
        array = validate_data(
            self,
            values.reshape(len(values), math.prod(shape)) if len(shape) > 1 else values,
            reset=fitting,
            dtype=np.float64,
            ensure_all_finite=False,
            ensure_min_samples=2 if fitting else 1,
        )
        array = np.require(array, requirements=("C", "W")).reshape(-1, *shape)
        check_values("X", X if form.kind == "frame" else array, min_rows=1, gaps=gaps)
        return torch.from_numpy(array)

    # Sampling

    def sample(
        self,
        n_samples: int = 1,
        n_steps_per_sigma: int | None = None,
        step_size: float | None = None,
        device: torch.device | str | None = None,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        label: Any = None,
        guidance: float | None = None,
        denoise_last: bool = True,
        random_state: Any = None,
        chunk_size: int | None = None,
        callback: Callable[[State], None] | None = None,
        **options: Any,
    ) -> Any:
        """Draw samples, in the units and the form of the data that were fitted.

        Args:
            n_samples: Number of samples.
            n_steps_per_sigma: Langevin steps at each level; with it, or with ``step_size``, the sampler is
                ``annealed_langevin``.
            step_size: Langevin's epsilon, of alpha_i = epsilon (sigma_i / sigma_min)^2; by technique 4 when None.
            device: Where to sample; where the model is when None.
            sampler: A name of `samplers.SAMPLERS`; the method's own when None, and ``annealed_langevin`` after `train_step`.
            steps: Number of noise levels walked (by the sampler ``consistency``: of evaluations); the sampler's own when
                None.
            label: The class to draw, or one for each sample; None for any.
            guidance: Strength of classifier-free guidance, `guidance.ClassGuidance`: 1 is none, more keeps closer to what
                tells the class apart.
            denoise_last: Whether to end with the posterior mean at the last level.
            random_state: As in the class; the estimator's own when None.
            chunk_size: Samples walked together; it does not change the samples.
            callback: Called with each `samplers.State`, in standardised units.
            **options: Options of the sampler, such as ``churn``.

        Returns:
            Samples of shape ``(n_samples, *shape)``; after `train_step` a tensor.

        Raises:
            NotFittedError: Neither `fit` nor `train_step` was called.
            ValueError: Unknown sampler or label, one that the method does not take, guidance without a label, or a count that
                is not positive.
            TypeError: The sampler has no such option.
            DivergenceError: The samples left the finite numbers.
        """
        for name, count in (("n_samples", n_samples), ("n_steps_per_sigma", n_steps_per_sigma), ("steps", steps)):
            if count is not None:
                check_count(name, count)
        stepper: Stepper | None = vars(self).get("_stepper")
        if stepper is None:
            check_is_fitted(self, "score_model_")
        langevin = {"n_steps_per_sigma": n_steps_per_sigma, "step_size": step_size}
        options |= {name: value for name, value in langevin.items() if value is not None}
        method = method_named("ncsn" if stepper else self.method)
        if sampler is None:
            sampler = "annealed_langevin" if langevin.keys() & options.keys() else method.sampler
        if method.gives_score == (sampler == "consistency"):
            takes = "every sampler but 'consistency'" if method.gives_score else "the sampler 'consistency' alone"
            raise ValueError(f"a model of method {self.method!r} takes {takes}, not {sampler!r}")
        if stepper is None and sampler == method.sampler:
            options = method.options(self.plan_) | options
        if sampler == "annealed_langevin":
            options.setdefault("n_steps_per_sigma", 100 if stepper else self.plan_.n_steps_per_sigma)
        if sampler == "dpmpp_2m" and stepper is None:
            options.setdefault("spread", self.plan_.sigma_data)
        generator = generator_of(self.random_state if random_state is None else random_state)
        sigmas = self._levels(sampler, steps, method)
        codes = label_codes(vars(self).get("classes_"), label, int(n_samples))
        if stepper is None:
            # the Gaussian that the data, or those of the class, are next to at the largest noise level
            x_init = self.moments_.draw(int(n_samples), float(sigmas[0]), codes, generator).float()
            model, shape = self.score_model_, self.moments_.shape
        else:
            model, shape, x_init = stepper.average.model, stepper.shape, None
        if device is not None:
            model = copy.deepcopy(model).to(device)
        where = next(model.parameters()).device
        if guidance is not None:
            if not method.gives_score:
                raise ValueError(
                    f"a {self.method} model has no score to guide: leave guidance out, or take another method"
                )
            if codes is None:
                raise ValueError("guidance needs a label to guide to: give label")
            model = ClassGuidance(model, guidance)
        rows = sample(
            model,
            sigmas,
            int(n_samples),
            shape,
            sampler,
            x_init,
            denoise_last,
            generator,
            chunk_size=chunk_size,
            callback=callback,
            device=where,
            condition=None if codes is None else {"label": codes.to(where)},
            **options,
        )
        if stepper:
            return rows
        return self.form_.restore(self.standardizer_.inverse(self.whole_rows(rows)), device)

    def _levels(self, sampler: str, steps: int | None, method: Method) -> Tensor:
        """Return the levels that a sampler walks: on the method's own grid, or geometric ones for Langevin dynamics."""
        if not hasattr(self, "plan_"):
            sigma_min, sigma_max, n_sigmas = self._noise_range()
            return create_noise_schedule(sigma_min, sigma_max, steps or n_sigmas)
        plan = self.plan_
        if sampler == method.sampler:
            return method.grid(plan, steps or method.steps(plan))
        if sampler in GEOMETRIC_SAMPLERS:
            return create_noise_schedule(
                method.lowest(plan), plan.sigma_max, steps or STEPS.get(sampler, plan.n_sigmas)
            )
        return method.grid(plan, steps or STEPS.get(sampler, plan.sampling_steps))

    def whole_rows(self, rows: Tensor) -> Tensor:
        """Return rows of the model as float64 rows of all columns on the CPU, 0 in the constant ones."""
        rows = rows.cpu().double()
        if rows.ndim > 2:
            return rows
        whole = torch.zeros(len(rows), len(self.standardizer_.constant), dtype=torch.float64)
        whole[:, ~self.standardizer_.constant] = rows
        return whole

    def impute(
        self,
        X: Any,
        *,
        mask: Any = None,
        label: Any = None,
        steps: int = 50,
        random_state: Any = None,
        **options: Any,
    ) -> Any:
        """Fill missing values by draws from their distribution given the known ones, in the data's own units.

        The draws have the right mean, spread and weights of modes, not only plausible values (`guidance.imputation` says
        how). For several draws a row, repeat the row.

        Args:
            X: Rows like those that were fitted, NaN (in a data frame also NA) where a value is missing; of images, pixels.
            mask: True where a value is known, of the shape of ``X`` or of one row; the rest is filled.
                Where X is not NaN, when None. What it hides may be any finite number.
            label: The class of the rows, or one for each; None for any.
            steps: Number of noise levels walked, from the largest to the smallest.
            random_state: As in the class; the estimator's own when None.
            **options: Options of `guidance.impute`: ``n_particles``, ``n_sweeps``, ``denoise_last``, ``chunk_size`` and
                ``callback``.

        Returns:
            The rows in the form of ``X``, known values as given; of a data frame, in the types that were fitted.

        Raises:
            NotFittedError: The model is not fitted.
            DataError: The rows or the mask do not fit the model.
            ValueError: The label is unknown, a count is not positive, or the model is a consistency model.
            DivergenceError: A score led out of the finite numbers.

        References:
            Trippe et al. 2023; Corenflos et al. 2025.
        """
        self._check_gives_score("conditional distribution")
        check_count("steps", steps)
        values = self._checked(X, gaps=True)
        sigmas = create_noise_schedule(method_named(self.method).lowest(self.plan_), self.plan_.sigma_max, steps)
        seed = self.random_state if random_state is None else random_state
        return fill(self, X, values, mask, label, sigmas, seed, options)

    # Densities and scores

    def score_samples(self, X: Any, *, label: Any = None, **options: Any) -> NDArray[Any]:
        """Return the log-density of each row in nats, in the data's own units, by the probability-flow ODE.

        Columns that were constant in training count as given: a row that differs there (in single precision, which the
        network has) has log-density minus infinity.

        Args:
            X: Rows like those that were fitted.
            label: The class whose density is asked for, or one for each row; None for all.
            **options: Options of `likelihood.log_density`, such as ``trace``, ``n_probes`` and ``tolerance``.

        Returns:
            Log-densities of shape ``(N,)``.

        Raises:
            NotFittedError: The model is not fitted.
            DataError: The rows do not fit the model.
            ValueError: The label or an option is unknown.
            DivergenceError: A log-density is not finite.
        """
        self._check_gives_score("log-density")
        values = self._checked(X)
        rows = self._rows(values)
        codes = label_codes(self.classes_, label, len(rows))
        options.setdefault("generator", generator_of(self.random_state))
        log_p = torch.empty(len(rows), dtype=torch.float64)
        for group, mean, covariance in self.moments_.groups(codes, len(rows)):
            log_p[group] = log_density(
                self.score_model_,
                rows[group.to(rows.device)],
                method_named(self.method).lowest(self.plan_),
                self.plan_.sigma_max,
                mean=mean,
                covariance=covariance,
                condition=None if codes is None else {"label": codes[group].to(rows.device)},
                **options,
            ).to(log_p)
        log_p += self.standardizer_.log_det()
        if values.ndim == 2:
            constant = self.standardizer_.constant
            possible = values[:, constant].float() == self.standardizer_.mean[constant].float()
            log_p[~possible.all(dim=1)] = -torch.inf
        return log_p.numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood of the rows in nats: the mean of `score_samples`.

        Args:
            X: Rows like those that were fitted.
            y: Not used; there for scikit-learn's pipelines.
        """
        return float(self.score_samples(X).mean())

    def score_function(self, X: Any, sigma: float, *, label: Any = None) -> Any:
        """Return the gradient of log p_sigma at each row, in the data's own units.

        p_sigma is the density of the data with noise of ``sigma`` standard deviations added to each column.

        Args:
            X: Rows like those that were fitted.
            sigma: Noise level in standardised units, > 0.
            label: The class, or one for each row; None for all.

        Returns:
            Scores in the shape of ``X``, 0 in constant columns: a tensor for a tensor, else an array.

        Raises:
            NotFittedError: The model is not fitted.
            DataError: The rows do not fit the model.
            ValueError: ``sigma`` is not positive and finite, or the label is unknown.
        """
        self._check_gives_score("score")
        if not 0 < float(sigma) < math.inf:
            raise ValueError(f"sigma must be positive and finite, not {sigma}")
        rows = self._rows(self._checked(X))
        codes = label_codes(self.classes_, label, len(rows))
        condition = {} if codes is None else {"label": codes.to(rows.device)}
        with torch.no_grad():
            scores = self.score_model_(rows, torch.tensor(float(sigma), device=rows.device), **condition)
        scores = self.whole_rows(scores) / self.standardizer_.scale
        if isinstance(X, Tensor):
            return scores.to(X.device, X.dtype if X.is_floating_point() else torch.get_default_dtype())
        return scores.numpy()

    def _check_gives_score(self, wanted: str) -> None:
        check_is_fitted(self, "score_model_")
        if not method_named(self.method).gives_score:
            raise ValueError(
                f"a {self.method} model has no {wanted}: it knows where the flow ends; take another method"
            )

    def _rows(self, values: Tensor) -> Tensor:
        """Return the rows that the model takes: standardised, of the columns that vary, on its device."""
        device = next(self.score_model_.parameters()).device
        return _varying(self.standardizer_, self.standardizer_.transform(values)).float().to(device)

    # The page's own loop

    @property
    def sigmas(self) -> Tensor:
        """The discrete noise levels, descending, ``(n_sigmas,)``."""
        return create_noise_schedule(*self._noise_range())

    def _noise_range(self) -> tuple[float, float, int]:
        if hasattr(self, "plan_"):
            return self.plan_.sigma_min, self.plan_.sigma_max, self.plan_.n_sigmas
        return page_setting(self, "sigma_min"), page_setting(self, "sigma_max"), page_setting(self, "n_sigmas")

    def train_step(self, x: Tensor) -> dict[str, float]:
        """Take one step of Adam on a batch, at random discrete levels; the batch is used as it is, not standardised.

        Args:
            x: Clean rows, ``(N, D)``, of about unit spread.

        Returns:
            The loss, ``{"loss": float}``, under the weighting ``edm``.

        Raises:
            ValueError: There is no ``score_net``, a setting is out of range, or the model was already fitted.
            DivergenceError: The loss is not finite; the weights are left as they were before the step.
        """
        if self.score_net is None:
            raise ValueError("train_step needs a score_net: NCSN(NCSNScoreNetwork(input_dim=...)); or call fit(X)")
        if hasattr(self, "score_model_"):
            raise ValueError("fit has trained this model; for a loop of your own, take a new NCSN(score_net)")
        if not hasattr(self, "_stepper"):
            self._stepper = Stepper(self.score_net, self.sigmas, page_setting(self, "lr"), self.random_state)
        return {"loss": self._stepper.step(x)}

    # Saving

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``config.json`` into a folder, which is made if needed; nothing is a pickle.

        A ``random_state`` that is an object and the ``score_net`` are not kept. Of several processes, the main one writes.

        Args:
            folder: The folder; what else it holds stays.

        Raises:
            NotFittedError: The model is not fitted.
            RunError: The folder cannot be written, or a column's label has no plain form; what was there before stays.
        """
        check_is_fitted(self, "score_model_")
        if is_main_process():
            save_model(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, *, score_net: nn.Module | None = None) -> Self:
        """Read a model that `save` wrote, onto the CPU.

        Args:
            folder: The folder.
            score_net: The network's own object, where the model was fitted with one; a copy of it takes the weights.

        Returns:
            The fitted estimator.

        Raises:
            RunError: The folder holds no model, or a damaged or foreign one, or ``score_net`` does not fit it.
        """
        return load_model(cls, Path(folder), score_net)


def _varying(standardizer: Standardizer, rows: Tensor) -> Tensor:
    """Leave the constant columns out; images stay whole."""
    return rows[:, ~standardizer.constant] if rows.ndim == 2 else rows

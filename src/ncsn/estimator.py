"""The estimator: fit, sample, score, save and load, in the data's own units and form."""

from __future__ import annotations

import copy
import json
import numbers
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from accelerate import Accelerator
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from ncsn.data import Standardizer, as_float64, check_values
from ncsn.errors import DataError, DivergenceError, RunError
from ncsn.files import read_json, read_tensors, write_bytes, write_tensors
from ncsn.forms import Form
from ncsn.likelihood import log_density
from ncsn.losses import ncsn_loss
from ncsn.methods import Method, method_named
from ncsn.networks import ResidualMLP
from ncsn.preconditioning import PreconditionedScore
from ncsn.samplers import State, annealed_langevin_dynamics, sample
from ncsn.schedules import create_noise_schedule
from ncsn.training import MovingAverage, Progress, Recipe, Trainer, fingerprint
from ncsn.tuning import Plan, make_plan

__all__ = ["NCSN"]

PAGE_DEFAULTS = {"sigma_min": 0.01, "sigma_max": 10.0, "n_sigmas": 10, "lr": 1e-3}
"""What None stands for where `NCSN.train_step` is called without `fit`, so without data to choose from."""


class NCSN(DensityMixin, BaseEstimator):  # type: ignore[misc]
    """Noise-conditional score network as a density estimator (Song & Ermon 2019; Karras et al. 2022).

    What is None is chosen from the data by `tuning.make_plan`; ``plan_`` says by which rule and why. Noise levels are in
    standardised units, where every column (of images: all pixels together) has mean 0 and standard deviation 1.

    The class also keeps the calls of a hand-written loop: with a ``score_net``, `train_step` takes one step on data as they
    are, and `sample` then draws by annealed Langevin dynamics.

    Args:
        score_net: A score model to train, called as ``score_net(x, sigma)``; a residual perceptron when None.
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
        score_model_: The trained score model, in standardised units.
        standardizer_: The scaling between the data's units and the standardised ones.
        loss_curve_: Pairs of step and mean loss.
        classes_: The labels, sorted, of a model fitted with labels.
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
        callback: Callable[[Progress], None] | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Train on data in their own units.

        Args:
            X: Array, tensor or data frame, ``(N, D)``, or images as an array or tensor, ``(N, H, W)`` or ``(N, C, H, W)``.
            y: Class label of each row, for a class-conditional model; None for none.
            callback: Called with a `training.Progress` every 50 steps.
            checkpoint: A file to which the training's state is written every 500 steps, and from which training goes on
                where it exists; the end is the same, bit for bit on a CPU, as without the break.

        Returns:
            The estimator itself.

        Raises:
            DataError: The data are not finite, not numeric, too few or all equal.
            ValueError: A setting is out of range or unknown.
            DivergenceError: The loss is not finite.
            RunError: The checkpoint is damaged, or of other data or settings.
        """
        method = method_named(self.method)
        values = self._checked(X, fitting=True)
        standardizer = Standardizer.fit(values)
        if bool(standardizer.constant.all()):
            raise DataError("every column is constant: there is nothing to learn")
        varying = _varying(standardizer)
        rows = standardizer.transform(values)
        rows = (rows[:, varying] if rows.ndim == 2 else rows).float()
        plan = make_plan(rows, **self._given())
        classes, labels = self._encode_labels(y, len(rows))
        seed = _seed(self.random_state)
        recipe = Recipe(
            levels=method.levels(plan),
            steps=plan.training_steps,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            warm_up=min(200, plan.training_steps // 5),
            ema_decay=plan.ema_decay,
            weighting=method.weighting,
            target_from=plan.target_from,
            seed=seed,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = self._build(method, plan, tuple(rows.shape[1:]), 0 if classes is None else len(classes))
            trainer = Trainer(model, rows, recipe, labels, self._accelerator())
            curve: list[tuple[int, float]] = []
            if checkpoint is not None:
                checkpoint = Path(checkpoint)
                identity = fingerprint(rows, labels, recipe, str(model))
                if checkpoint.exists():
                    curve = trainer.resume(checkpoint, identity)

            def report(progress: Progress) -> None:
                curve.append((progress.step, progress.loss))
                if checkpoint is not None and (progress.step % 500 == 0 or progress.step == progress.steps):
                    trainer.save_checkpoint(checkpoint, identity, curve)
                if callback is not None:
                    callback(progress)

            trainer.run(report)
        self.form_ = Form.of(X)
        self.standardizer_ = standardizer
        self.plan_ = plan
        self.classes_ = classes
        self.score_model_ = trainer.averaged_model
        self.loss_curve_ = curve
        self._keep_moments(rows)
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

    def _build(self, method: Method, plan: Plan, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        if self.score_net is not None:
            return copy.deepcopy(self.score_net)
        network = ResidualMLP(
            shape,
            plan.width,
            plan.n_blocks,
            n_fourier=plan.n_fourier,
            dropout=plan.dropout,
            n_classes=n_classes,
        )
        return PreconditionedScore(network, method.preconditioning, plan.sigma_data)

    def _accelerator(self) -> Accelerator:
        return Accelerator(cpu=self.device == "cpu", mixed_precision=self.mixed_precision)

    def _keep_moments(self, rows: Tensor) -> None:
        """Keep the mean and covariance of the standardised data, where samples start and densities end."""
        model_device = next(self.score_model_.parameters()).device
        self.mean_ = rows.mean(0).to(model_device)
        flat = rows.flatten(1)
        small = flat.shape[1] <= 1024 and rows.ndim == 2
        self.covariance_ = (torch.cov(flat.T).reshape(flat.shape[1], -1) if small else rows.var(0)).to(model_device)

    def _checked(self, X: Any, fitting: bool = False) -> Tensor:
        """Return the rows as float64, checked and with scikit-learn's attributes set or compared."""
        ndim = getattr(X, "ndim", 2)
        if isinstance(X, Tensor) or ndim > 2:
            values = as_float64(X)
            if values.ndim < 2:
                raise DataError(
                    f"expected rows, (N, D) or (N, *shape), not shape {tuple(values.shape)}; reshape to (-1, 1)"
                )
            n_features = values[0].numel() if len(values) else 0
            if fitting:
                self.n_features_in_ = n_features
            elif tuple(values.shape[1:]) != self.standardizer_.shape:
                raise DataError(
                    f"rows of shape {tuple(values.shape[1:])} given; the model was fitted on {self.standardizer_.shape}"
                )
        else:
            if not fitting:
                self.form_.check_columns(X)
            array = validate_data(
                self,
                X,
                reset=fitting,
                dtype=np.float64,
                ensure_all_finite=False,
                ensure_min_samples=2 if fitting else 1,
            )
            values = torch.from_numpy(np.ascontiguousarray(array))
        check_values("X", X if hasattr(X, "columns") else values.numpy(force=True), min_rows=2 if fitting else 1)
        return values

    def _encode_labels(self, y: Any, n_rows: int) -> tuple[np.ndarray[Any, Any] | None, Tensor | None]:
        if y is None:
            return None, None
        labels = np.asarray(y).reshape(-1)
        if len(labels) != n_rows:
            raise DataError(f"{len(labels)} labels for {n_rows} rows; one label per row is needed")
        classes, codes = np.unique(labels, return_inverse=True)
        return classes, torch.from_numpy(codes)

    def _label_codes(self, label: Any, n: int) -> Tensor | None:
        """Return the index of each label, -1 for none."""
        if label is None:
            return None
        if self.classes_ is None:
            raise ValueError("the model was fitted without labels; fit(X, y) makes it class-conditional")
        wanted = np.asarray(label).reshape(-1)
        codes = np.searchsorted(self.classes_, wanted).clip(max=len(self.classes_) - 1)
        unknown = wanted[self.classes_[codes] != wanted]
        if len(unknown):
            raise ValueError(f"unknown label {unknown[0]!r}; known: {', '.join(map(str, self.classes_))}")
        if len(wanted) not in (1, n):
            raise ValueError(f"{len(wanted)} labels for {n} samples; give one, or one for each")
        return torch.from_numpy(codes).expand(n) if len(wanted) == 1 else torch.from_numpy(codes)

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
            sampler: A name of `samplers.SAMPLERS`; the method's own when None.
            steps: Number of noise levels walked; the method's own when None.
            label: The class to draw, or one for each sample; None for any.
            denoise_last: Whether to end with the posterior mean at the last level.
            random_state: As in the class; the estimator's own when None.
            chunk_size: Samples walked together; it does not change the samples.
            callback: Called with each `samplers.State`, in standardised units.
            **options: Options of the sampler, such as ``churn``.

        Returns:
            Samples of shape ``(n_samples, *shape)``; after `train_step` a tensor.

        Raises:
            NotFittedError: Neither `fit` nor `train_step` was called.
            ValueError: Unknown sampler or label, or a count that is not positive.
            DivergenceError: The samples left the finite numbers.
        """
        langevin = {"n_steps_per_sigma": n_steps_per_sigma, "step_size": step_size}
        options |= {name: value for name, value in langevin.items() if value is not None}
        generator = _generator(self.random_state if random_state is None else random_state)
        if not hasattr(self, "score_model_") and hasattr(self, "_stepper"):
            return self._sample_stepped(n_samples, n_steps_per_sigma, step_size, device, denoise_last, generator)
        check_is_fitted(self, "score_model_")
        _check_count("n_samples", n_samples)
        method = method_named(self.method)
        if sampler is None:
            sampler = "annealed_langevin" if {"n_steps_per_sigma", "step_size"} & set(options) else method.sampler
        own = sampler == method.sampler
        if own:
            options = {**method.options(self.plan_), **options}
        if sampler == "annealed_langevin":
            options.setdefault("n_steps_per_sigma", self.plan_.n_steps_per_sigma)
        sigmas = self._levels(sampler, steps, method)
        model = self.score_model_ if device is None else self.score_model_.to(device)
        mean = self.mean_.to(device or self.mean_.device)
        x_init = self._start(int(n_samples), sigmas, generator).to(mean.device)
        codes = self._label_codes(label, int(n_samples))
        rows = sample(
            model,
            sigmas,
            int(n_samples),
            tuple(mean.shape),
            sampler,
            x_init,
            denoise_last,
            generator,
            chunk_size=chunk_size,
            callback=callback,
            condition=None if codes is None else {"label": codes.to(mean.device)},
            **options,
        )
        return self._restored(rows)

    def _levels(self, sampler: str, steps: int | None, method: Method) -> Tensor:
        plan = self.plan_
        if steps is not None:
            _check_count("steps", steps)
        kind, own = method.schedule, method.steps(plan)
        if sampler != method.sampler and sampler in ("annealed_langevin", "langevin"):
            kind, own = "geometric", plan.n_sigmas
        return create_noise_schedule(plan.sigma_min, plan.sigma_max, steps or own, kind)

    def _start(self, n: int, sigmas: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw from the Gaussian that the data are at the largest noise level."""
        covariance = self.covariance_.cpu().double()
        noise = torch.randn(n, *self.mean_.shape, generator=generator, dtype=torch.float64)
        if covariance.ndim == 2 and self.mean_.ndim == 1:
            total = covariance + float(sigmas[0]) ** 2 * torch.eye(len(covariance), dtype=torch.float64)
            noise = noise @ torch.linalg.cholesky(total).T
        else:
            noise = noise * (covariance + float(sigmas[0]) ** 2).sqrt()
        return (noise + self.mean_.cpu()).float()

    def _restored(self, rows: Tensor) -> Any:
        rows = rows.cpu().double()
        if rows.ndim == 2:
            whole = torch.zeros(len(rows), len(self.standardizer_.constant), dtype=torch.float64)
            whole[:, _varying(self.standardizer_)] = rows
            rows = whole
        return self.form_.restore(self.standardizer_.inverse(rows))

    # Densities and scores

    def score_samples(self, X: Any, *, label: Any = None, **options: Any) -> np.ndarray[Any, Any]:
        """Return the log-density of each row in nats, in the data's own units, by the probability-flow ODE.

        Columns that were constant in training count as given: a row that differs there has log-density minus infinity.

        Args:
            X: Rows like those that were fitted.
            label: The class whose density is asked for, or one for each row; None for all.
            **options: Options of `likelihood.log_density`, such as ``trace``, ``n_probes`` and ``tolerance``.

        Returns:
            Log-densities of shape ``(N,)``.

        Raises:
            NotFittedError: The model is not fitted.
            DataError: The rows do not fit the model.
        """
        check_is_fitted(self, "score_model_")
        values = self._checked(X)
        rows, possible = self._standardised(values)
        codes = self._label_codes(label, len(rows))
        options.setdefault("generator", _generator(0 if self.random_state is None else self.random_state))
        log_p = log_density(
            self.score_model_,
            rows,
            self.plan_.sigma_min,
            self.plan_.sigma_max,
            mean=self.mean_,
            covariance=self.covariance_,
            condition=None if codes is None else {"label": codes.to(rows.device)},
            **options,
        )
        log_p = log_p.cpu().double() + self.standardizer_.log_det()
        return torch.where(possible, log_p, -torch.inf).numpy()

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
            Scores in the shape and form of ``X``; 0 in constant columns.

        Raises:
            NotFittedError: The model is not fitted.
            DataError: The rows do not fit the model.
            ValueError: ``sigma`` is not positive.
        """
        check_is_fitted(self, "score_model_")
        if not float(sigma) > 0:
            raise ValueError(f"sigma must be positive, not {sigma}")
        values = self._checked(X)
        rows, _ = self._standardised(values)
        codes = self._label_codes(label, len(rows))
        condition = {} if codes is None else {"label": codes.to(rows.device)}
        with torch.no_grad():
            scores = self.score_model_(rows, torch.tensor(float(sigma), device=rows.device), **condition)
        whole = torch.zeros_like(values)
        if values.ndim == 2:
            whole[:, _varying(self.standardizer_)] = scores.cpu().double()
        else:
            whole = scores.cpu().double()
        whole = whole / self.standardizer_.scale
        return whole.to(X.dtype) if isinstance(X, Tensor) and X.is_floating_point() else whole.numpy()

    def _standardised(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the model's rows, and which of them have the constant columns' values."""
        rows = self.standardizer_.transform(values.cpu())
        possible = torch.ones(len(rows), dtype=torch.bool)
        if rows.ndim == 2:
            varying = _varying(self.standardizer_)
            possible = (rows[:, ~varying] == 0).all(dim=1)
            rows = rows[:, varying]
        return rows.float().to(self.mean_.device), possible

    # The page's own loop

    @property
    def sigmas(self) -> Tensor:
        """The discrete noise levels, descending, ``(n_sigmas,)``."""
        if hasattr(self, "plan_"):
            return create_noise_schedule(self.plan_.sigma_min, self.plan_.sigma_max, self.plan_.n_sigmas)
        sigma_min, sigma_max, n_sigmas = (self._page_setting(name) for name in ("sigma_min", "sigma_max", "n_sigmas"))
        return create_noise_schedule(sigma_min, sigma_max, int(n_sigmas))

    def _page_setting(self, name: str) -> float:
        value = getattr(self, name)
        return PAGE_DEFAULTS[name] if value is None else value

    def train_step(self, x: Tensor) -> dict[str, float]:
        """Take one step of Adam on a batch, at random discrete levels; the batch is used as it is, not standardised.

        Args:
            x: Clean rows, ``(N, D)``, of about unit spread.

        Returns:
            The loss, ``{"loss": float}``.

        Raises:
            ValueError: There is no ``score_net``.
            DivergenceError: The loss is not finite; the weights are left as they were before the step.
        """
        if self.score_net is None:
            raise ValueError("train_step needs a score_net: NCSN(NCSNScoreNetwork(input_dim=...)); or call fit(X)")
        if not hasattr(self, "_stepper"):
            optimizer = torch.optim.Adam(self.score_net.parameters(), lr=self._page_setting("lr"))
            self._stepper = optimizer, MovingAverage(self.score_net, 0.999)
        optimizer, average = self._stepper
        self.score_net.train()
        optimizer.zero_grad()
        loss = ncsn_loss(self.score_net, x, self.sigmas)
        value = loss.item()
        if not np.isfinite(value):
            raise DivergenceError("the loss is not finite: check the batch for extreme values, or lower lr")
        loss.backward()
        optimizer.step()
        average.update()
        return {"loss": value}

    def _sample_stepped(
        self,
        n_samples: int,
        n_steps_per_sigma: int | None,
        step_size: float | None,
        device: torch.device | str | None,
        denoise_last: bool,
        generator: torch.Generator | None,
    ) -> Tensor:
        average = self._stepper[1].model
        input_dim = getattr(self.score_net, "input_dim", None)
        if input_dim is None:
            raise ValueError("sample needs score_net.input_dim, the number of columns; or call fit(X)")
        return annealed_langevin_dynamics(
            average if device is None else average.to(device),
            self.sigmas,
            n_samples,
            input_dim,
            100 if n_steps_per_sigma is None else n_steps_per_sigma,
            step_size,
            device or next(average.parameters()).device,
            denoise_last=denoise_last,
            generator=generator,
        )

    # Saving

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``config.json`` into a folder, which is made if needed; nothing is a pickle.

        Args:
            folder: The folder; what else it holds stays.

        Raises:
            NotFittedError: The model is not fitted.
            RunError: The folder cannot be written.
        """
        check_is_fitted(self, "score_model_")
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make folder {folder}: {error.strerror or error}; choose another") from error
        config = {
            "ncsn_version": version("ncsn"),
            "parameters": {k: _plain(v) for k, v in self.get_params(deep=False).items() if k != "score_net"},
            "custom_network": self.score_net is not None,
            "plan": self.plan_.to_dict(),
            "standardizer": self.standardizer_.to_dict(),
            "form": self.form_.to_dict(),
            "classes": None if self.classes_ is None else self.classes_.tolist(),
            "loss_curve": self.loss_curve_,
            "n_features_in": self.n_features_in_,
            "feature_names_in": getattr(self, "feature_names_in_", np.array([])).tolist() or None,
            "shape": list(self.mean_.shape),
        }
        tensors = {f"model.{name}": tensor for name, tensor in self.score_model_.state_dict().items()}
        write_tensors(folder / "model.safetensors", tensors | {"mean": self.mean_, "covariance": self.covariance_}, {})
        write_bytes(folder / "config.json", json.dumps(config, indent=1).encode())

    @classmethod
    def load(cls, folder: str | Path, *, score_net: nn.Module | None = None) -> Self:
        """Read a model that `save` wrote.

        Args:
            folder: The folder.
            score_net: The network's own object, where the model was fitted with one; its weights are replaced.

        Returns:
            The fitted estimator.

        Raises:
            RunError: The folder holds no model, or a damaged or foreign one.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json")
        tensors, _ = read_tensors(folder / "model.safetensors")
        try:
            if config["custom_network"] and score_net is None:
                raise RunError(
                    f"{folder} was trained with a network of its own; pass it: NCSN.load(folder, score_net=...)"
                )
            model = cls(score_net, **config["parameters"])
            model.plan_ = Plan.from_dict(config["plan"])
            model.standardizer_ = Standardizer.from_dict(config["standardizer"])
            model.form_ = Form.from_dict(config["form"])
            model.classes_ = None if config["classes"] is None else np.array(config["classes"])
            model.loss_curve_ = [(int(step), float(loss)) for step, loss in config["loss_curve"]]
            model.n_features_in_ = config["n_features_in"]
            if config["feature_names_in"]:
                model.feature_names_in_ = np.array(config["feature_names_in"], dtype=object)
            model.mean_, model.covariance_ = tensors.pop("mean"), tensors.pop("covariance")
            n_classes = 0 if model.classes_ is None else len(model.classes_)
            with torch.random.fork_rng():
                score_model = model._build(method_named(model.method), model.plan_, tuple(config["shape"]), n_classes)
            score_model.load_state_dict({name.removeprefix("model."): t for name, t in tensors.items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"{folder} is damaged or another version's ({error}); restore it or train anew") from error
        model.score_model_ = score_model.eval()
        return model


def _varying(standardizer: Standardizer) -> Tensor:
    return ~standardizer.constant


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")


def _plain(value: Any) -> Any:
    """Return a parameter as JSON knows it; a random state that is an object is not kept."""
    return value if value is None or isinstance(value, str | int | float | bool) else None


def _seed(random_state: Any) -> int:
    if random_state is None or isinstance(random_state, torch.Generator):
        return int(torch.randint(2**31, (), generator=random_state))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, numbers.Integral) and int(random_state) >= 0:
        return int(random_state)
    raise ValueError(
        f"random_state must be None, a whole number >= 0, a RandomState or a torch.Generator, not {random_state!r}"
    )


def _generator(random_state: Any) -> torch.Generator | None:
    """Return a generator on the CPU for a random state, or None for torch's default."""
    if random_state is None or isinstance(random_state, torch.Generator):
        return random_state
    return torch.Generator().manual_seed(_seed(random_state))

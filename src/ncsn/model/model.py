"""The fitted thing: how rows and data belong together, the settings, the method, and a score model of the rows."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ncsn.data import Encoding, as_float64
from ncsn.data.container import Container
from ncsn.errors import DataError, RunError, SettingError, check_count
from ncsn.guidance import ClassGuidance, impute
from ncsn.likelihood import log_density
from ncsn.methods import Method, NetworkFactory, name_of
from ncsn.model.moments import Moments
from ncsn.model.saving import read_model, write_model
from ncsn.model.walk import AnyLevels, steps_of, walk_of
from ncsn.noise import Geometric
from ncsn.parts import filled, from_plain, to_plain
from ncsn.plan import Plan
from ncsn.randomness import drawn_from
from ncsn.samplers import AnySampler, State, sample
from ncsn.score import NO_LABEL, evaluate, evaluation_mode, weight_dtype


@dataclass(eq=False)
class Model:
    """A fitted model: samples, log-densities, filled gaps and scores, in the data's own units and container.

    Args:
        encoding: Data in their own units <-> rows.
        plan: The settings.
        method: The method, a row of parts.
        score_model: The score model of rows; of some methods a model of the end of the flow.
        moments: Means and covariances of the rows, of all and of each class.
        loss_curve: Pairs of step and mean loss.
        network: Where the network came from: None for the library's, what makes it, or ``"network"`` or ``"score_net"``
            for an object that `load` must be given.
    """

    encoding: Encoding
    plan: Plan
    method: Method
    score_model: nn.Module
    moments: Moments
    loss_curve: list[tuple[int, float]] = field(default_factory=list)
    network: NetworkFactory | str | None = None

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

    def _cast(self, rows: Tensor) -> Tensor:
        return rows.to(self.device, weight_dtype(self.score_model, torch.float32))

    # Sampling

    def sample(
        self,
        n_samples: int = 1,
        *,
        sampler: AnySampler | None = None,
        steps: int | None = None,
        levels: AnyLevels | None = None,
        label: Any = None,
        guidance: float | None = None,
        x_init: Tensor | None = None,
        denoise_last: bool = True,
        generator: torch.Generator | None = None,
        chunk_size: int | None = None,
        callback: Callable[[State], None] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> Any:
        """Draw samples, in the units and the container of the data that were fitted.

        Args:
            n_samples: Number of samples. The first n of N samples of one seed are the same for every N (of ``ode``, up to its
                tolerance).
            sampler: A name of `samplers.SAMPLERS`, a `samplers.Sampler` or a generator function; the method's own when
                None. What it leaves None is filled from the plan.
            steps: Number of noise levels walked (by the sampler ``consistency``: of evaluations); the sampler's own when
                None.
            levels: The levels walked: a name of `noise.SCHEDULES`, a family of `noise.Levels`, or the levels themselves,
                descending, in standardised units; the method's own when None.
            label: The class to draw, or one for each sample; None for any.
            guidance: Strength of classifier-free guidance, `guidance.ClassGuidance`: 1 is none, more keeps closer to what
                tells the class apart.
            x_init: Start at the first level, in standardised units, ``(n_samples, *shape)``; when None the Gaussian that the
                data, or those of the class, are next to there.
            denoise_last: Whether to end with the posterior mean at the last level.
            generator: Source of randomness; torch's default when None.
            chunk_size: Samples walked together; it does not change the samples.
            callback: Called with each `samplers.State`, in standardised units.
            device: Where to sample; where the model is when None.
            dtype: Type in which to walk; that of ``x_init`` or of the levels when None, single precision by default.
            **options: Options of the sampler, such as ``churn``.

        Returns:
            Samples of shape ``(n_samples, *shape)``.

        Raises:
            SettingError: A name, label, count or option does not fit, or guidance has no label.
            TypeError: The sampler has no such option.
            DivergenceError: The samples left the finite numbers.
        """
        check_count("n_samples", n_samples)
        n_samples = int(n_samples)
        walker, sigmas = walk_of(self.method, self.plan, sampler, steps, levels, options)
        codes = self.encoding.codes(label, n_samples)
        where = self.device if device is None else torch.device(device)
        model = self.score_model if where == self.device else copy.deepcopy(self.score_model).to(where)
        if guidance is not None:
            self.check_gives_score("score to guide")
            if codes is None:
                raise SettingError("guidance needs a label to guide to: give label")
            model = ClassGuidance(model, guidance)

        def start(noise: Tensor, rows: Tensor) -> Tensor:
            return self.moments.place(noise, float(sigmas[0]), None if codes is None else codes[rows])

        rows = sample(
            model,
            sigmas,
            n_samples,
            self.encoding.shape,
            walker,
            start if x_init is None else torch.as_tensor(x_init),
            denoise_last,
            generator,
            chunk_size=chunk_size,
            callback=callback,
            device=where,
            dtype=dtype,
            condition=self._told(codes, n_samples, where),
        )
        return self.encoding.decode(rows, device)

    def _told(self, codes: Tensor | None, n: int, where: torch.device | None = None) -> dict[str, Tensor] | None:
        """Return what the score model is told of ``n`` rows; a network of one's own with classes always of a label."""
        if codes is None and self.encoding.classes is not None and self.network is not None:
            codes = torch.full((n,), NO_LABEL)
        return None if codes is None else {"label": codes.to(where or self.device)}

    # Densities, scores and gaps

    def check_gives_score(self, wanted: str) -> None:
        """Refuse what only a score model has.

        Raises:
            SettingError: The method gives no score.
        """
        if not self.method.gives_score:
            raise SettingError(
                f"a {self.name} model has no {wanted}: it knows where the flow ends; take another method"
            )

    def log_density(self, X: Any, *, label: Any = None, **options: Any) -> Tensor:
        """Return the log-density of each row in nats, in the data's own units, by the probability-flow ODE.

        Columns that were constant in training count as given: a row that differs there (in single precision, which the
        network has) has log-density minus infinity.

        Args:
            X: Rows like those that were fitted.
            label: The class whose density is asked for, or one for each row; None for all.
            **options: Options of `likelihood.log_density`, such as ``trace``, ``n_probes``, ``tolerance`` and ``generator``.

        Returns:
            Log-densities of shape ``(N,)``, float64.

        Raises:
            DataError: The rows do not fit the model.
            SettingError: The label or an option is unknown, or the method gives no score.
            DivergenceError: A log-density is not finite.
        """
        self.check_gives_score("log-density")
        values = self.encoding.values(X)
        rows = self._cast(self.encoding.rows(values))
        codes = self.encoding.codes(label, len(rows))
        log_p = torch.empty(len(rows), dtype=torch.float64)
        for group, mean, covariance in self.moments.groups(codes, len(rows)):
            log_p[group] = log_density(
                self.score_model,
                rows[group.to(rows.device)],
                self.lowest,
                self.plan.sigma_max,
                mean=mean,
                covariance=covariance,
                condition=self._told(None if codes is None else codes[group], len(group)),
                **options,
            ).to(log_p)
        return log_p + self.encoding.log_det(values)

    def score(self, X: Any, sigma: float, *, label: Any = None) -> Tensor:
        """Return the gradient of log p_sigma at each row, in the data's own units, float64.

        Args:
            X: Rows like those that were fitted.
            sigma: Noise level in standardised units, > 0.
            label: The class, or one for each row; None for all.

        Raises:
            DataError: The rows do not fit the model.
            SettingError: ``sigma`` is not positive and finite, the label is unknown, or the method gives no score.
        """
        self.check_gives_score("score")
        if not 0 < float(sigma) < math.inf:
            raise SettingError(f"sigma must be positive and finite, not {sigma}")
        values = self.encoding.values(X)
        rows = self._cast(self.encoding.rows(values))
        condition = self._told(self.encoding.codes(label, len(rows)), len(rows))
        with torch.no_grad(), evaluation_mode(self.score_model):
            scores = evaluate(self.score_model, rows, rows.new_tensor(float(sigma)), condition)
        return self.encoding.gradient(values, scores)

    def impute(
        self,
        X: Any,
        *,
        mask: Any = None,
        label: Any = None,
        steps: int = 50,
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
            steps: Number of noise levels walked, from the largest to the smallest.
            generator: Source of randomness; torch's default when None.
            **options: Options of `guidance.impute`: ``n_particles``, ``n_sweeps``, ``denoise_last``, ``chunk_size`` and
                ``callback``.

        Returns:
            The rows in the container of ``X``, known values as given; of a data frame, in the types that were fitted.

        Raises:
            DataError: The rows or the mask do not fit the model.
            SettingError: The label is unknown, a count is not positive, or the method gives no score.
            DivergenceError: A score led out of the finite numbers.
        """
        self.check_gives_score("conditional distribution")
        check_count("steps", steps)
        values = self.encoding.values(X, gaps=True)
        known = ~values.isnan() & _mask(mask, values)
        # what is not known must not reach the encoding, which a value of any size could overflow
        rows = self._cast(self.encoding.rows(torch.where(known, values, torch.zeros_like(values))))
        codes = self.encoding.codes(label, len(rows))
        family = Geometric(sigma_min=self.lowest, sigma_max=self.plan.sigma_max)
        drawn = impute(
            self.score_model,
            rows,
            self.encoding.known(known).to(rows.device),
            family.grid(steps).to(rows),
            generator=generator,
            condition=self._told(codes, len(rows)),
            **options,
        )
        filled_in = torch.where(known, values, self.encoding.data_values(drawn))
        container, fitted = Container.of(X), self.encoding.container
        # of a frame the fitted types: gaps have turned its whole numbers into fractions
        restored = (fitted if container.kind == fitted.kind == "frame" else container).restore(filled_in)
        if container.kind == "frame":
            restored.index = X.index
        return restored

    # Files

    def save(self, folder: str | Path, estimator: Mapping[str, Any] | None = None) -> None:
        """Write ``model.safetensors`` and ``config.json`` into a folder, which is made if needed.

        Args:
            folder: The folder; what else it holds stays.
            estimator: What an estimator keeps besides, as plain values.

        Raises:
            RunError: The folder cannot be written, a column's label has no plain form, or a part is code without an import
                path; what was there before stays.
        """
        try:
            parts = {"method": to_plain(self.method), "network": to_plain(self.network)}
        except SettingError as error:
            raise RunError(str(error)) from error
        config = parts | {
            "plan": self.plan.to_dict(),
            "encoding": self.encoding.to_dict(),
            "loss_curve": self.loss_curve,
            "estimator": dict(estimator or {}),
        }
        tensors = {f"model.{name}": tensor for name, tensor in self.score_model.state_dict().items()}
        write_model(Path(folder), config, tensors | self.moments.tensors())

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        score_net: nn.Module | None = None,
        network: nn.Module | None = None,
        allow: Iterable[Any] = (),
    ) -> Self:
        """Read a model that `save` wrote, onto the CPU.

        Args:
            folder: The folder.
            score_net: The score model's own object, where the model was fitted with one; a copy of it takes the weights.
            network: The network's own object, where the model was fitted with one; a copy of it takes the weights.
            allow: Import paths that parts of one's own may be taken from, as ``"package.module"`` or
                ``"package.module:Name"``, or these parts themselves. Nothing else is imported.

        Raises:
            RunError: The folder holds no model, or a damaged or foreign one, the network does not fit it, or it uses code of
                one's own that is not allowed.
        """
        return cls.loaded(folder, score_net, network, allow)[0]

    @classmethod
    def loaded(
        cls, folder: str | Path, score_net: nn.Module | None, network: nn.Module | None, allow: Iterable[Any]
    ) -> tuple[Self, dict[str, Any]]:
        """Return a model, as `load` does, and what an estimator kept beside it."""
        config, tensors = read_model(Path(folder))
        try:
            method, source = from_plain(config["method"], allow), from_plain(config["network"], allow)
            plan, encoding = Plan.from_dict(config["plan"]), Encoding.from_dict(config["encoding"])
            moments = Moments(tensors.pop("means"), tensors.pop("covariances"))
            curve = [(int(step), float(loss)) for step, loss in config["loss_curve"]]
            given: dict[str, Any] = {"score_net": score_net, "network": network}
            unasked = [name for name, value in given.items() if value is not None and name != source]
            if unasked:
                raise RunError(f"{folder} was not trained with a {unasked[0]} of its own: leave it out")
            own: Any = given[source] if isinstance(source, str) else source
            if isinstance(source, str) and not isinstance(own, nn.Module):
                raise RunError(
                    f"{folder} was trained with a network of its own; pass the module: NCSN.load(folder, {source}=...)"
                )
            own = copy.deepcopy(own).cpu() if isinstance(own, nn.Module) else own
            n_classes = 0 if encoding.classes is None else len(encoding.classes)
            with drawn_from(torch.Generator()):
                built = own if source == "score_net" else method.build(plan, encoding.shape, n_classes, own)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder} is damaged or another version's ({error}); restore it or train anew") from error
        try:
            built.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
        except RuntimeError as error:
            differs = str(error).splitlines()[-1].strip()
            what = "the network given is not the one" if source else "this version has another network than the one"
            raise RunError(f"{what} that {folder} was trained with: {differs}") from error
        return cls(encoding, plan, method, built.eval(), moments, curve, source), config.get("estimator", {})


def _mask(mask: Any, values: Tensor) -> Tensor:
    """Return which values a mask calls known, of the shape of the values."""
    if mask is None:
        return torch.ones_like(values, dtype=torch.bool)
    known = as_float64(mask).cpu()
    if known.shape not in (values.shape, values.shape[1:]) or bool(((known != 0) & (known != 1)).any()):
        raise DataError(
            f"mask must be booleans of shape {tuple(values.shape)} or {tuple(values.shape[1:])}, True where a value is known"
        )
    return known.bool().expand_as(values)

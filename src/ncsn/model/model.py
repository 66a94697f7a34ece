"""The fitted thing: how rows and data belong together, the settings, the method, and a score model of the rows."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ncsn.errors import DivergenceError, RunError, SettingError, check_count
from ncsn.guidance import LinearMeasurement
from ncsn.model.conditional import ConditionalModel
from ncsn.model.distribution import FittedDistribution
from ncsn.model.few_steps import fit_few_steps
from ncsn.model.guided import guided
from ncsn.model.saving import read_parts, write_model
from ncsn.model.sharing import common_generator, gathered, part_of_process
from ncsn.model.walk import AnyLevels, walk_of
from ncsn.parts import to_plain
from ncsn.samplers import AnySampler, FittedMultistep, State, sample
from ncsn.score import condition_rows, evaluate, evaluation_mode


@dataclass(eq=False)
class Model(ConditionalModel):
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
        contexts: How contexts become what the network is told; None of a model without.
        validation: How the training went on rows that it did not see, and which weights were kept; None where none were held
            out.
    """

    _solvers: dict[tuple[int, bool], FittedMultistep] = field(default_factory=dict, init=False, repr=False)

    # Sampling

    def sample(
        self,
        n_samples: int = 1,
        *,
        sampler: AnySampler | None = None,
        steps: int | None = None,
        levels: AnyLevels | None = None,
        label: Any = None,
        context: Any = None,
        guidance: float | None = None,
        guide: ConditionalModel | None = None,
        given: Any = None,
        measurement: LinearMeasurement | None = None,
        x_init: Tensor | None = None,
        denoise_last: bool = True,
        generator: torch.Generator | None = None,
        chunk_size: int | None = None,
        callback: Callable[[State], None] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        shared: bool = False,
        return_log_density: bool = False,
        **options: Any,
    ) -> Any:
        """Draw samples, in the units and the container of the data that were fitted.

        Args:
            n_samples: Number of samples. The first n of N samples of one seed are the same for every N (of ``ode``, up to its
                tolerance).
            sampler: A name of `samplers.SAMPLERS`, a `samplers.Sampler` or a generator function; the method's own when
                None. What it leaves None is filled from the plan.
            steps: Number of noise levels walked (by the sampler ``consistency``: of evaluations); the sampler's own when
                None. Up to 9 of the method ``edm``, where nothing else is said of the walk, are those of `few_steps`.
            levels: The levels walked: a name of `noise.SCHEDULES`, a family of `noise.Levels`, or the levels themselves,
                descending, in standardised units; the method's own when None.
            label: The class to draw, or one for each sample; None for any.
            context: The context to draw given, or one for each sample, like those that were fitted, or a value for each of their
                columns, ``{"age": 40}``; None for any.
            guidance: Strength of classifier-free guidance, `guidance.ClassGuidance`: 1 is none, more keeps closer to what
                tells the class and the context apart. With a ``guide`` that of `guidance.AutoGuidance`, which needs neither.
            guide: A worse model of the same data, which samples are led away from.
            given: What is known of the samples, of a table: a value for each of some columns, ``{"origin": "USA"}``; or a
                data frame of such columns, one row a sample, with gaps perhaps. The rest is drawn from its distribution
                given that, as `impute` does, whose options and ``steps`` are taken in place of a sampler's.
            measurement: What was measured of the samples, in the data's own units: samples are drawn given that, by
                `guidance.sample_posterior`, whose options and ``steps``, 50 when None, are taken in place of a sampler's.
                Of images, and of arrays and tables of numbers that are encoded by a scale.
            x_init: Start at the first level, in standardised units, ``(n_samples, *shape)``; when None the Gaussian that the
                data, or those of the class, are next to there.
            denoise_last: Whether to end with the posterior mean at the last level.
            generator: Source of randomness; torch's default when None.
            chunk_size: Samples walked together; it does not change the samples.
            callback: Called with each `samplers.State`, in standardised units.
            device: Where to sample; where the model is when None. Given known values or a measurement, where samples are put.
            dtype: Type in which to walk; that of ``x_init`` or of the levels when None, single precision by default.
            shared: Whether several processes, as ``torchrun`` or ``accelerate launch`` start them, share out the walk. Each has
                to call this with a generator of the same seed (without one the main process's is everyone's); each returns
                all samples, those of one process, and its callback sees its own.
            return_log_density: Whether to return the log-density of each sample besides, given its class and context, by
                `log_density`, which takes longer than the samples.
            **options: Options of the sampler, such as ``churn``.

        Returns:
            Samples of shape ``(n_samples, *shape)``; with their log-densities a pair of both.

        Raises:
            DataError: A context is not like those that were fitted, or the guide was fitted on other data, labels or
                contexts.
            SettingError: A name, label, count or option does not fit, guidance has nothing to guide to, or no row is as given.
            TypeError: The sampler has no such option.
            DivergenceError: The samples left the finite numbers.
        """
        check_count("n_samples", n_samples)
        n_samples = int(n_samples)
        if return_log_density:
            self._check_has_density(guidance, guide)
        asked: dict[str, Any] = {"sampler": sampler, "levels": levels, "guidance": guidance, "guide": guide}
        asked["x_init"] = x_init
        if given is not None or measurement is not None:
            asked |= {"dtype": dtype, "return_log_density": return_log_density or None}
            how = {"label": label, "context": context, "steps": steps}
            how |= {"denoise_last": denoise_last, "chunk_size": chunk_size}
            if measurement is not None:
                asked |= {"given": given, "shared": shared or None}
            elif shared:
                generator = common_generator(generator)
                how |= {"part": part_of_process(), "joined": gathered}
            draw, what = (self._given, given) if measurement is None else (self._measured, measurement)
            drawn = draw(what, n_samples, asked, generator=generator, callback=callback, **how, **options)
            return self.encoding.container.restore(drawn, device)
        codes = self.encoding.codes(label, n_samples)
        unsaid = denoise_last and context is None and all(value is None for value in (asked | options).values())
        if unsaid and self._fits(steps):
            sampler, steps = self.few_steps(int(steps or 0), labelled=codes is not None), None
        walker, sigmas = walk_of(self.method, self.plan, sampler, steps, levels, options)
        where = self.device if device is None else torch.device(device)
        told = self.told(codes, n_samples, where, context)
        model = self.score_model if where == self.device else copy.deepcopy(self.score_model).to(where)
        if guidance is not None or guide is not None:
            model = guided(self, model, guidance, guide, codes is not None or context is not None)

        def start(noise: Tensor, rows: Tensor) -> Tensor:
            sigma, some = float(sigmas[0]), condition_rows(told, n_samples, rows)
            # only a score tells the mean
            tells = context is not None and self.method.gives_score
            with torch.no_grad():
                centre = self.mean_given(model, sigma, some) if tells else None
            return self.moments.place(noise, sigma, None if codes is None else codes[rows], centre)

        with self._precision(where):
            rows = sample(
                model,
                sigmas,
                n_samples,
                self.encoding.shape,
                walker,
                start if x_init is None else torch.as_tensor(x_init),
                denoise_last,
                common_generator(generator) if shared else generator,
                chunk_size=chunk_size,
                callback=callback,
                device=where,
                dtype=dtype,
                condition=told,
                part=part_of_process() if shared else (0, 1),
            )
        drawn = self.encoding.decode(gathered(rows) if shared else rows, device)
        if not return_log_density:
            return drawn
        return drawn, self.log_density(drawn, label=label, context=context, generator=generator)

    def _check_has_density(self, guidance: float | None, guide: Any) -> None:
        self.check_gives_score("log-density")
        if guide is not None or (guidance is not None and guidance != 1):
            raise SettingError(
                "guided samples have no log-density that is known: leave guidance or return_log_density out"
            )

    def distribution(self, context: Any = None, *, label: Any = None) -> FittedDistribution:
        """Return what the model learned as one of `torch.distributions`, with ``sample``, ``rsample`` and ``log_prob``.

        Args:
            context: One context, or several, which are a batch, as in `sample`; None for all data.
            label: The class; None for all.

        Raises:
            DataError: The data were a table, or the contexts are not like those that were fitted.
            SettingError: The label is unknown, there are no contexts, or the method gives no score.
        """
        return FittedDistribution(self, context, label=label)

    def _fits(self, steps: int | None) -> bool:
        """Return whether samples of so many steps are those of `few_steps`, where nothing else is said of the walk."""
        few = isinstance(steps, int) and 1 <= steps <= getattr(self.method.sampler, "fitted_up_to", 0)
        return few and not self.method.walk.fixed

    def few_steps(self, steps: int, *, labelled: bool = False) -> FittedMultistep:
        """Return the sampler of so many evaluations that is fitted to the model, as `samplers.fit_multistep` says.

        It is found when it is first asked for, which takes about 50 evaluations of some hundred rows, from noise that is
        always the same, so that it does not depend on seeds, and kept.

        Args:
            steps: Number of evaluations.
            labelled: Whether it is for samples of classes.

        Raises:
            SettingError: The count is not positive or above 50, the model has no classes, or the method gives no score.
        """
        self.check_gives_score("score to fit a solver to")
        if labelled and self.encoding.classes is None:
            raise SettingError("the model was trained without labels: leave labelled out")
        if (steps, labelled) not in self._solvers:
            with self._precision(self.device):
                self._solvers[steps, labelled] = fit_few_steps(self, steps, labelled)
        return self._solvers[steps, labelled]

    def _precision(self, where: torch.device) -> torch.autocast:
        """Return the context of walks: as it was trained; a perceptron's layers gain nothing from less precision."""
        less = self.plan.multipliers and self.plan.mixed_precision == "bf16" and where.type != "mps"
        return torch.autocast(where.type, torch.bfloat16, enabled=bool(less))

    # Scores

    def score(self, X: Any, sigma: float, *, label: Any = None, context: Any = None) -> Tensor:
        """Return the gradient of log p_sigma at each row, in the data's own units, float64.

        Args:
            X: Rows like those that were fitted.
            sigma: Noise level in standardised units, > 0.
            label: The class, or one for each row; None for all.
            context: The context, or one for each row, as in `sample`; None for all.

        Raises:
            DataError: The rows or the contexts do not fit the model.
            SettingError: ``sigma`` is not positive and finite, the label is unknown, or the method gives no score.
            DivergenceError: A score is not finite.
        """
        self.check_gives_score("score")
        if not 0 < float(sigma) < math.inf:
            raise SettingError(f"sigma must be positive and finite, not {sigma}")
        values = self.encoding.values(X)
        rows = self._cast(self.encoding.rows(values))
        condition = self.told(self.encoding.codes(label, len(rows)), len(rows), context=context)
        with torch.no_grad(), evaluation_mode(self.score_model):
            scores = evaluate(self.score_model, rows, rows.new_tensor(float(sigma)), condition)
        wrong = ~scores.flatten(1).isfinite().all(1)
        if bool(wrong.any()):
            row = int(wrong.int().argmax()) + 1
            raise DivergenceError(f"the score of row {row} is not finite: it lies too far out, or sigma is too small")
        return self.encoding.gradient(values, scores)

    # Files

    def save(
        self,
        folder: str | Path,
        estimator: Mapping[str, Any] | None = None,
        entries: Mapping[str, Any] | None = None,
    ) -> None:
        """Write ``model.safetensors`` and ``config.json`` into a folder, which is made if needed.

        Args:
            folder: The folder; what else it holds stays.
            estimator: What an estimator keeps besides, as plain values.
            entries: Further entries of ``config.json``, as plain values.

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
            "contexts": None if self.contexts is None else self.contexts.to_dict(),
            "loss_curve": self.loss_curve,
            "validation": None if self.validation is None else asdict(self.validation),
            "estimator": dict(estimator or {}),
            **(entries or {}),
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
        parts, kept = read_parts(Path(folder), score_net, network, allow)
        return cls(**parts), kept

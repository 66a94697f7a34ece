"""The fitted thing: how rows and data belong together, the settings, the method, and a score model of the rows."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ncsn.errors import RunError, SettingError, check_count
from ncsn.guidance import ClassGuidance
from ncsn.model.distribution import FittedDistribution
from ncsn.model.flow import FlowModel
from ncsn.model.given import draw_given, known_cells, put_into, values_given
from ncsn.model.saving import read_parts, write_model
from ncsn.model.sharing import common_generator, gathered, part_of_process
from ncsn.model.walk import AnyLevels, walk_of
from ncsn.noise import Geometric
from ncsn.parts import to_plain
from ncsn.samplers import AnySampler, State, sample
from ncsn.score import condition_rows, evaluate, evaluation_mode

IMPUTATION_STEPS = 50
"""Noise levels that draws given known values walk unless told."""


@dataclass(eq=False)
class Model(FlowModel):
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
    """

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
        given: Any = None,
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
                None.
            levels: The levels walked: a name of `noise.SCHEDULES`, a family of `noise.Levels`, or the levels themselves,
                descending, in standardised units; the method's own when None.
            label: The class to draw, or one for each sample; None for any.
            context: The context to draw given, or one for each sample, like those that were fitted, or a value for each of their
                columns, ``{"age": 40}``; None for any.
            guidance: Strength of classifier-free guidance, `guidance.ClassGuidance`: 1 is none, more keeps closer to what
                tells the class and the context apart.
            given: What is known of the samples, of a table: a value for each of some columns, ``{"origin": "USA"}``; or a
                data frame of such columns, one row a sample, with gaps perhaps. The rest is drawn from its distribution
                given that, as `impute` does, whose options and ``steps`` are taken in place of a sampler's.
            x_init: Start at the first level, in standardised units, ``(n_samples, *shape)``; when None the Gaussian that the
                data, or those of the class, are next to there.
            denoise_last: Whether to end with the posterior mean at the last level.
            generator: Source of randomness; torch's default when None.
            chunk_size: Samples walked together; it does not change the samples.
            callback: Called with each `samplers.State`, in standardised units.
            device: Where to sample; where the model is when None.
            dtype: Type in which to walk; that of ``x_init`` or of the levels when None, single precision by default.
            shared: Whether several processes, as ``torchrun`` or ``accelerate launch`` start them, share out the walk. Each has
                to call this with a generator of the same seed (without one the main process's is everyone's); each returns
                all samples, those of one process, and its callback sees its own. Not with ``given``.
            return_log_density: Whether to return the log-density of each sample besides, given its class and context, by
                `log_density`, which takes longer than the samples.
            **options: Options of the sampler, such as ``churn``.

        Returns:
            Samples of shape ``(n_samples, *shape)``; with their log-densities a pair of both.

        Raises:
            DataError: A context is not like those that were fitted.
            SettingError: A name, label, count or option does not fit, guidance has nothing to guide to, or no row is as given.
            TypeError: The sampler has no such option.
            DivergenceError: The samples left the finite numbers.
        """
        check_count("n_samples", n_samples)
        n_samples = int(n_samples)
        if return_log_density:
            self._check_has_density(guidance)
        if given is not None:
            asked = {"sampler": sampler, "levels": levels, "guidance": guidance, "x_init": x_init, "dtype": dtype}
            asked |= {"shared": shared or None, "return_log_density": return_log_density or None}
            how = {
                "label": label,
                "context": context,
                "steps": steps,
                "denoise_last": denoise_last,
                "chunk_size": chunk_size,
            }
            drawn = self._given(given, n_samples, asked, generator=generator, callback=callback, **how, **options)
            return self.encoding.container.restore(drawn, device)
        walker, sigmas = walk_of(self.method, self.plan, sampler, steps, levels, options)
        where = self.device if device is None else torch.device(device)
        codes = self.encoding.codes(label, n_samples)
        told = self.told(codes, n_samples, where, context)
        model = self.score_model if where == self.device else copy.deepcopy(self.score_model).to(where)
        if guidance is not None:
            model = self._guided(model, guidance, codes is not None or context is not None)

        def start(noise: Tensor, rows: Tensor) -> Tensor:
            sigma, some = float(sigmas[0]), condition_rows(told, n_samples, rows)
            # only a score tells the mean
            tells = context is not None and self.method.gives_score
            with torch.no_grad():
                centre = self.mean_given(model, sigma, some) if tells else None
            return self.moments.place(noise, sigma, None if codes is None else codes[rows], centre)

        # as it was trained: a perceptron's layers gain nothing from less precision
        less = self.plan.multipliers and self.plan.mixed_precision == "bf16" and where.type != "mps"
        with torch.autocast(where.type, torch.bfloat16, enabled=bool(less)):
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

    def _guided(self, model: nn.Module, weight: float, is_told: bool) -> nn.Module:
        """Return a score model that is guided to what it is told, once there is something."""
        self.check_gives_score("score to guide")
        known = ["label"] if self.contexts is None else ["label", "context"]
        if not is_told:
            needed = " or ".join(f"a {name}" for name in known)
            raise SettingError(f"guidance needs {needed} to guide to: give {' or '.join(known)}")
        return ClassGuidance(model, weight)

    def _check_has_density(self, guidance: float | None) -> None:
        self.check_gives_score("log-density")
        if guidance is not None and guidance != 1:
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

    # Scores and gaps

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
        """
        self.check_gives_score("score")
        if not 0 < float(sigma) < math.inf:
            raise SettingError(f"sigma must be positive and finite, not {sigma}")
        values = self.encoding.values(X)
        rows = self._cast(self.encoding.rows(values))
        condition = self.told(self.encoding.codes(label, len(rows)), len(rows), context=context)
        with torch.no_grad(), evaluation_mode(self.score_model):
            scores = evaluate(self.score_model, rows, rows.new_tensor(float(sigma)), condition)
        return self.encoding.gradient(values, scores)

    def impute(
        self,
        X: Any,
        *,
        mask: Any = None,
        label: Any = None,
        context: Any = None,
        steps: int | None = None,
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
            context: The context of the rows, or one for each, as in `sample`; None for any.
            steps: Number of noise levels walked, from the largest to the smallest; 50 when None.
            generator: Source of randomness; torch's default when None.
            **options: Options of `guidance.impute`: ``n_particles``, ``n_sweeps``, ``denoise_last``, ``chunk_size`` and
                ``callback``.

        Returns:
            The rows in the container of ``X``, known values as given; of a data frame, in the types that were fitted.

        Raises:
            DataError: The rows, the mask or the contexts do not fit the model.
            SettingError: The label is unknown, a count is not positive, or the method gives no score.
            DivergenceError: A score led out of the finite numbers.
        """
        self.check_gives_score("conditional distribution")
        values = self.encoding.values(X, gaps=True)
        known = known_cells(X, values, mask)
        how = {"label": label, "context": context, "steps": steps, "generator": generator}
        drawn = self._drawn(values, known, complete=True, **how, **options)
        return put_into(X, self.encoding, drawn, known)

    def _given(self, given: Any, n: int, asked: dict[str, Any], **how: Any) -> Tensor:
        """Return values of ``n`` samples given some columns, once nothing is asked that has no part in that."""
        refused = [name for name, value in asked.items() if value is not None]
        if refused:
            raise SettingError(f"{refused[0]} has no part in samples given some columns; leave it out")
        self.check_gives_score("conditional distribution")
        return self._drawn(*values_given(self.encoding, given, n), complete=False, **how)

    def _drawn(
        self, values: Tensor, known: Tensor, *, label: Any, context: Any, steps: int | None, **how: Any
    ) -> Tensor:
        """Return values of the data, the unknown ones drawn; `draw_given` has the other arguments."""
        steps = IMPUTATION_STEPS if steps is None else steps
        check_count("steps", steps)
        sigmas = Geometric(sigma_min=self.lowest, sigma_max=self.plan.sigma_max).grid(steps).to(self._cast(values[:0]))
        told = self.told(self.encoding.codes(label, len(values)), len(values), context=context)
        return draw_given(self.score_model, self.encoding, values, known, sigmas, condition=told, **how)

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
            "contexts": None if self.contexts is None else self.contexts.to_dict(),
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
        parts, kept = read_parts(Path(folder), score_net, network, allow)
        return cls(**parts), kept

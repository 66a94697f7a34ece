"""The fitted thing: how rows and data belong together, the settings, the method, and a score model of the rows."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ncsn.errors import RunError, SettingError, check_count
from ncsn.model.few_steps import fit_few_steps
from ncsn.model.flow import FlowModel
from ncsn.model.given import draw_given, known_cells, put_into, values_given
from ncsn.model.guided import guided
from ncsn.model.saving import read_parts, write_model
from ncsn.model.sharing import common_generator, gathered, part_of_process
from ncsn.model.walk import AnyLevels, walk_of
from ncsn.noise import Geometric
from ncsn.parts import to_plain
from ncsn.samplers import AnySampler, FittedMultistep, State, sample
from ncsn.score import evaluate, evaluation_mode

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
        guidance: float | None = None,
        guide: FlowModel | None = None,
        given: Any = None,
        x_init: Tensor | None = None,
        denoise_last: bool = True,
        generator: torch.Generator | None = None,
        chunk_size: int | None = None,
        callback: Callable[[State], None] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        shared: bool = False,
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
            guidance: Strength of classifier-free guidance, `guidance.ClassGuidance`: 1 is none, more keeps closer to what
                tells the class apart. With a ``guide`` that of `guidance.AutoGuidance`, which needs no label.
            guide: A worse model of the same data, which samples are led away from.
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
            **options: Options of the sampler, such as ``churn``.

        Returns:
            Samples of shape ``(n_samples, *shape)``.

        Raises:
            SettingError: A name, label, count or option does not fit, guidance has neither label nor guide, or no row is as
                given.
            DataError: The guide was fitted on other data or labels.
            TypeError: The sampler has no such option.
            DivergenceError: The samples left the finite numbers.
        """
        check_count("n_samples", n_samples)
        n_samples = int(n_samples)
        asked: dict[str, Any] = {"sampler": sampler, "levels": levels, "guidance": guidance, "guide": guide}
        asked["x_init"] = x_init
        if given is not None:
            asked |= {"dtype": dtype, "shared": shared or None}
            how = {"label": label, "steps": steps, "denoise_last": denoise_last, "chunk_size": chunk_size}
            drawn = self._given(given, n_samples, asked, generator=generator, callback=callback, **how, **options)
            return self.encoding.container.restore(drawn, device)
        codes = self.encoding.codes(label, n_samples)
        unsaid = denoise_last and all(value is None for value in (asked | options).values())
        if unsaid and self._fits(steps):
            sampler, steps = self.few_steps(int(steps or 0), labelled=codes is not None), None
        walker, sigmas = walk_of(self.method, self.plan, sampler, steps, levels, options)
        where = self.device if device is None else torch.device(device)
        model = self.score_model if where == self.device else copy.deepcopy(self.score_model).to(where)
        if guidance is not None or guide is not None:
            model = guided(self, model, guidance, guide, codes is not None)

        def start(noise: Tensor, rows: Tensor) -> Tensor:
            return self.moments.place(noise, float(sigmas[0]), None if codes is None else codes[rows])

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
                condition=self._told(codes, n_samples, where),
                part=part_of_process() if shared else (0, 1),
            )
        return self.encoding.decode(gathered(rows) if shared else rows, device)

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

    # Scores and gaps

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
            steps: Number of noise levels walked, from the largest to the smallest; 50 when None.
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
        values = self.encoding.values(X, gaps=True)
        known = known_cells(X, values, mask)
        how = {"label": label, "steps": steps, "generator": generator}
        drawn = self._drawn(values, known, complete=True, **how, **options)
        return put_into(X, self.encoding, drawn, known)

    def _given(self, given: Any, n: int, asked: dict[str, Any], **how: Any) -> Tensor:
        """Return values of ``n`` samples given some columns, once nothing is asked that has no part in that."""
        refused = [name for name, value in asked.items() if value is not None]
        if refused:
            raise SettingError(f"{refused[0]} has no part in samples given some columns; leave it out")
        self.check_gives_score("conditional distribution")
        return self._drawn(*values_given(self.encoding, given, n), complete=False, **how)

    def _drawn(self, values: Tensor, known: Tensor, *, label: Any, steps: int | None, **how: Any) -> Tensor:
        """Return values of the data, the unknown ones drawn; `draw_given` has the other arguments."""
        steps = IMPUTATION_STEPS if steps is None else steps
        check_count("steps", steps)
        sigmas = Geometric(sigma_min=self.lowest, sigma_max=self.plan.sigma_max).grid(steps).to(self._cast(values[:0]))
        told = self._told(self.encoding.codes(label, len(values)), len(values))
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

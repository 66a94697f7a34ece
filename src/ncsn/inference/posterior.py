"""Posteriors of a simulator's parameters, learned from simulations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn

from ncsn.data import as_float64
from ncsn.errors import DataError, RunError, SettingError, check_count
from ncsn.estimator import NCSN
from ncsn.files import read_json
from ncsn.inference.network import ObservationFactory
from ncsn.inference.plain_priors import parts_from_plain, prior_to_plain
from ncsn.inference.prior import AnyPrior, Prior
from ncsn.inference.sets import contexts_of, n_summaries, scale_of
from ncsn.inference.several import given_several
from ncsn.inference.simulation import Simulator, bars, check_finite
from ncsn.model import Model
from ncsn.model.checks import kept_of
from ncsn.randomness import global_draws, seed_of, seeded
from ncsn.training import Progress

Simulations = int | tuple[Any, Any]
"""How many to run, or pairs that were run: parameters ``(N, D)`` and what was observed of each, ``(N, *shape)``."""


class Posterior:
    """The posterior of a simulator's parameters given what is observed: a score model of parameters, told the observation.

    Parameters are learned without bounds, so that no draw lies outside the prior's support. One training answers for every
    observation.

    Args:
        simulate: The simulator, called with parameters ``(n, D)`` for observations ``(n, *shape)``; None where simulations are
            given to `fit`.
        prior: A `torch.distributions.Distribution` of vectors, or one of one number for each parameter; or
            a `Prior`.
        numpy: Whether the simulator is called with arrays; with tensors else.
        simulation_batch_size: Parameters that it is called with at once; 1 calls it with one vector at a time.
        exchangeable: Whether an observation, ``(k, d)``, is a set of k that came about alike and independently of each other,
            so that their order means nothing; training then draws it anew, and so has more to learn from.
        random_state: Seed of simulations that draw by torch's default generator, of the training and of the draws.
        **settings: Those of `NCSN`, such as ``training_steps`` and ``batch_size``; the network is an
            `ObservationAtInput` unless told.

    Raises:
        SettingError: The prior is none, or a setting is out of range.

    References:
        Sharrock et al. 2024 (neural posterior score estimation); Geffner et al. 2023.

    >>> from torch.distributions import Uniform
    >>> def simulate(theta):
    ...     return theta + 0.1 * torch.randn(theta.shape)
    >>> posterior = Posterior(simulate, Uniform(torch.zeros(2), torch.ones(2)), random_state=0, training_steps=10)
    >>> posterior.fit(200).sample(5, x=torch.tensor([0.3, 0.6])).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        simulate: Callable[[Any], Any] | None,
        prior: AnyPrior | Prior,
        *,
        numpy: bool = False,
        simulation_batch_size: int = 1000,
        exchangeable: bool = False,
        random_state: Any = None,
        **settings: Any,
    ) -> None:
        self.prior = prior if isinstance(prior, Prior) else Prior(prior)
        self.simulate = None if simulate is None else Simulator(simulate, numpy, simulation_batch_size)
        self.random_state = random_state
        self.exchangeable = exchangeable
        self._own = settings.get("score_net") is None and settings.get("network") is None
        if exchangeable and not self._own:
            raise SettingError("exchangeable is told to the library's network: leave out network and score_net")
        # without an observation it is the prior, which is soon learned, and which several observations ask for
        self.estimator = NCSN(random_state=random_state, **({"condition_dropout": 0.03} | settings))

    def fit(self, simulations: Simulations, *, progress: bool = False, **how: Any) -> Self:
        """Simulate parameters of the prior, and learn their posterior.

        Args:
            simulations: How many to run; or a pair of parameters ``(N, D)``, drawn from the prior, and observations
                ``(N, *shape)``.
            progress: Whether bars show how far it has come.
            **how: ``checkpoint`` and ``log`` of `NCSN.fit`.

        Raises:
            DataError: Simulations are not finite, too few, or parameters lie outside the prior's support.
            SettingError: There is no simulator, or a setting is out of range. Other errors are those of `NCSN.fit`.
        """
        with bars(progress) as bar:
            theta, x = self._pairs(simulations, bar)
            told = None

            def callback(done: Progress) -> None:
                nonlocal told
                told = told or bar("training", done.steps)
                if told is not None:
                    told(done.step)

            scale, factory = None, ObservationFactory()
            if self.exchangeable:
                k, dim = x.flatten(2).shape[1:]
                scale, factory = scale_of(x.double()), ObservationFactory(k, n_summaries(k, dim))
            if self._own:
                self.estimator.set_params(network=factory)
            contexts = contexts_of(x, scale)
            self.prior = self.prior.fitted(theta, contexts)
            free = self.prior.to_free(theta)
            self.estimator.fit(free, context=contexts, callback=callback if progress else None, **how)
        self.shape_, self._scale = tuple(x.shape[1:]), scale
        return self

    def _pairs(self, simulations: Simulations, bar: Callable[..., Any]) -> tuple[Tensor, Tensor]:
        """Return parameters ``(N, D)`` and observations ``(N, *shape)``, at least one axis of them."""
        if isinstance(simulations, tuple):
            if len(simulations) != 2:
                raise SettingError(f"simulations must be a count or a pair (theta, x), not {len(simulations)} things")
            theta, x = self.prior.checked(simulations[0]), as_float64(simulations[1]).cpu()
            if x.ndim == 0 or len(x) != len(theta):
                raise DataError(
                    f"{len(theta)} rows of theta, and x of shape {tuple(x.shape)}: one x for each is needed"
                )
            check_finite(x, theta)
        else:
            check_count("simulations", simulations, 2)
            theta, x = self.simulated(simulations, told=bar("simulations", simulations))
        if self.exchangeable and x.ndim != 3:
            raise DataError(f"exchangeable observations are sets, (k, d) each, not of shape {tuple(x.shape[1:])}")
        return theta, x[:, None] if x.ndim == 1 else x

    def simulated(
        self, n: int, *, random_state: Any = None, told: Callable[[int], None] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return parameters of the prior, ``(n, D)``, and a simulation of each, ``(n, *shape)``.

        Args:
            n: How many.
            random_state: Seed of torch's default generator meanwhile; the posterior's own when None.
            told: Called with the number done, after each batch.

        Raises:
            SettingError: There is no simulator.
            DataError: A simulation is not finite.
        """
        simulator = self._simulator()
        with global_draws(torch.device("cpu"), seed_of(self.random_state if random_state is None else random_state)):
            theta = self.prior.sample(n)
            return theta, simulator(theta, told)

    def _simulator(self) -> Simulator:
        if self.simulate is None:
            raise SettingError("there is no simulator: make the posterior with one, Posterior(simulate, prior)")
        return self.simulate

    # Files

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``config.json`` into a folder, which is made if needed.

        The simulator is code, which is not saved. A prior of `torch.distributions` that is made of numbers is; `load` has to be
        given any other.

        Raises:
            NotFittedError: `fit` was not called.
            RunError: The folder cannot be written, or the network is code without an import path.
        """
        self._check_fitted()
        entry = {
            "prior": prior_to_plain(self.prior),
            "ends": self.prior.ends.tolist(),
            "shape": list(self.shape_),
            "exchangeable": self.exchangeable,
            "scale": None if self._scale is None else self._scale.tolist(),
        }
        self.model_.save(folder, kept_of(self.estimator), {"posterior": entry})

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        simulate: Callable[[Any], Any] | None = None,
        prior: AnyPrior | None = None,
        numpy: bool = False,
        simulation_batch_size: int = 1000,
        score_net: nn.Module | None = None,
        network: nn.Module | None = None,
        allow: Iterable[Any] = (),
    ) -> Self:
        """Read a posterior that `save` wrote, onto the CPU; it draws, and gives densities, as the one that was saved.

        Args:
            folder: The folder.
            simulate: The simulator, for what needs it, such as `simulated`.
            prior: The prior, where it was not saved.
            numpy: As in `Posterior`, like ``simulation_batch_size``.
            simulation_batch_size: As in `Posterior`.
            score_net: As in `NCSN.load`, like ``network`` and ``allow``.
            network: As in `NCSN.load`.
            allow: As in `NCSN.load`.

        Raises:
            RunError: The folder holds no posterior, or a damaged one, or its prior was not saved and is not given. Other errors
                are those of `NCSN.load`.
            SettingError: The prior is none.
        """
        allow = (allow,) if isinstance(allow, str) else tuple(allow)
        estimator = NCSN.load(folder, score_net=score_net, network=network, allow=(ObservationFactory, *allow))
        entry = read_json(Path(folder) / "config.json").get("posterior")
        if entry is None:
            raise RunError(f"{folder} holds a model, and no posterior: load it by NCSN.load")
        if prior is None and entry["prior"] is None:
            raise RunError(
                f"{folder}: its prior is more than numbers and was not saved; give Posterior.load(folder, prior=...)"
            )
        try:
            parts = prior if prior is not None else parts_from_plain(entry["prior"])
            known = Prior(parts, torch.tensor(entry["ends"], dtype=torch.float64))
            shape, exchangeable = tuple(map(int, entry["shape"])), bool(entry["exchangeable"])
            scale = None if entry["scale"] is None else torch.tensor(entry["scale"], dtype=torch.float64)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder} is damaged or another version's ({error}); restore it or train anew") from error
        how: Any = {"numpy": numpy, "simulation_batch_size": simulation_batch_size}
        loaded = cls(simulate, known, exchangeable=exchangeable, random_state=estimator.random_state, **how)
        loaded._own = isinstance(estimator.network, ObservationFactory)
        loaded.estimator, loaded.shape_, loaded._scale = estimator, shape, scale
        return loaded

    # Draws and densities

    def sample(self, n: int | Sequence[int] = 1, *, x: Any, **how: Any) -> Tensor:
        """Draw parameters of the posterior given an observation.

        Args:
            n: How many, or the shape that they come in, as in ``(1000,)``.
            x: What is observed, of the shape of one simulation; or several independent observations of the same parameters,
                ``(m, *shape)``.
            **how: Those of `NCSN.sample`, such as ``random_state`` and ``steps``.

        Returns:
            Parameters, ``(n, D)``, in the prior's type; none lies outside its support.

        Raises:
            DataError: The observation has another shape, or is not finite.
            NotFittedError: `fit` was not called. Other errors are those of `NCSN.sample`.
        """
        shape = tuple(n) if isinstance(n, Sequence) else (n,)
        model, contexts = self._given(x)
        free = self._drawn(model, math.prod(shape), contexts, how)
        return self.prior.from_free(free).reshape(*shape, self.prior.dim)

    def sample_batched(self, n: int, *, x: Any, **how: Any) -> Tensor:
        """Draw parameters of the posterior given each of several observations.

        Args:
            n: How many for each.
            x: What is observed, ``(M, *shape)``, each of parameters of its own.
            **how: As in `sample`.

        Returns:
            Parameters, ``(n, M, D)``. Errors are those of `sample`.
        """
        contexts = self._contexts(x)
        free = self._drawn(self.model_, n * len(contexts), contexts.repeat(n, 1), how)
        return self.prior.from_free(free).reshape(n, len(contexts), self.prior.dim)

    def log_prob(self, theta: Any, *, x: Any, **how: Any) -> Tensor:
        """Return the log-density of the posterior at parameters, in nats.

        Given several observations it is the sum of the log-densities given each, less those of the prior that are counted too
        often; it then lacks a constant, the logarithm of how probable the observations are together.

        Args:
            theta: Parameters, ``(N, D)``.
            x: What is observed, as in `sample`.
            **how: Options of `Model.log_density`, such as ``tolerance``.

        Returns:
            Log-densities, ``(N,)``, float64; minus infinity outside the prior's support.

        Raises:
            DataError: Parameters or observations have another shape. Other errors are those of `Model.log_density`.
        """
        theta, contexts = self.prior.checked(theta), self._contexts(x)
        inside = self.prior.inside(theta)
        total = torch.full((len(theta),), -torch.inf, dtype=torch.float64)
        some, m = theta[inside], len(contexts)
        if len(some):
            free = self.prior.to_free(some)
            given = self.model_.log_density(free.repeat(m, 1), context=contexts.repeat_interleave(len(some), 0), **how)
            each = given.reshape(m, -1) - self.prior.log_slope(free)
            total[inside] = each.sum(0) - ((m - 1) * self.prior.log_prob(some) if m > 1 else 0.0)
        return total

    def map(self, *, x: Any, n_starts: int = 200, n_steps: int = 20, **how: Any) -> Tensor:
        """Return the parameters of the largest posterior density, ``(D,)``: the maximum a posteriori.

        From the best of some draws it climbs the score of the smallest level, by the covariance of the draws, as far as the
        density rises.

        Args:
            x: What is observed, as in `sample`.
            n_starts: Draws, the best of which is the start.
            n_steps: Most steps.
            **how: As in `sample`, for the draws.

        Raises:
            DataError: The observation has another shape. Other errors are those of `sample`.
        """
        check_count("n_starts", n_starts, 2)
        check_count("n_steps", n_steps, 0)
        draws = self.sample(n_starts, x=x, **how)
        free = self.prior.to_free(draws)
        spread = free.T.cov().reshape(free.shape[1], -1)
        tries = torch.logspace(0, -7, 8, base=2, dtype=torch.float64)[:, None]

        def height(points: Tensor) -> Tensor:
            return self.log_prob(self.prior.from_free(points, torch.float64), x=x)

        heights = height(free)
        best, highest = free[heights.argmax()], heights.max()
        for _ in range(n_steps):
            points = best + tries * (spread @ self._slope(best, x))
            heights = height(points)
            if not heights.max() > highest + 1e-4:
                break
            best, highest = points[heights.argmax()], heights.max()
        return self.prior.from_free(best[None])[0]

    def _slope(self, free: Tensor, x: Any) -> Tensor:
        """Return the gradient of the log-density of parameters, by numbers without bounds ``(F,)``."""
        contexts, model = self._contexts(x), self.model_
        m = len(contexts)
        given = model.score(free.expand(m, -1), model.lowest, context=contexts).sum(0)
        with torch.enable_grad():
            at = free[None].clone().requires_grad_()
            # each has its slope taken off, and the prior, which is counted too often, has none of it
            rest = -m * self.prior.log_slope(at) + 0 * at.sum()
            if m > 1:
                rest = rest - (m - 1) * self.prior.log_prob(self.prior.from_free(at, torch.float64))
            (slope,) = torch.autograd.grad(rest.sum(), at)
        return given + slope[0]

    def _drawn(self, model: Model, n: int, contexts: Tensor | None, how: dict[str, Any]) -> Tensor:
        """Return draws without bounds, ``(n, F)``, by a generator or a random state, the posterior's own if there is none."""
        random_state = how.pop("random_state", None)
        drawn: Tensor = model.sample(n, context=contexts, **seeded(how, random_state, self.random_state))
        return drawn

    @property
    def model_(self) -> Model:
        """The fitted model of the parameters without bounds.

        Raises:
            NotFittedError: `fit` was not called.
        """
        self._check_fitted()
        return self.estimator.model_

    def _check_fitted(self) -> None:
        if not hasattr(self, "shape_"):
            raise NotFittedError(
                "the posterior knows no simulations yet: call fit first, as posterior.fit(10_000), or Posterior.load"
            )

    def _contexts(self, x: Any) -> Tensor:
        """Return observations as rows, ``(m, C)``, float64.

        Raises:
            DataError: They have another shape than the simulations, or are not finite.
        """
        self._check_fitted()
        values = as_float64(x).cpu()
        values = values[None] if tuple(values.shape) == self.shape_ else values
        if values.ndim == 1 and self.shape_ == (1,):
            values = values[:, None]
        if tuple(values.shape[1:]) != self.shape_ or not len(values):
            raise DataError(
                f"x has shape {tuple(values.shape)}; one observation has {self.shape_}, several have {('m', *self.shape_)}"
            )
        if not bool(values.isfinite().all()):
            raise DataError("x is not finite: an observation has to be as the simulations were")
        return contexts_of(values, self._scale)

    def _given(self, x: Any) -> tuple[Model, Tensor | None]:
        """Return a model of the parameters, and the context that it has to be told; None for none."""
        contexts, model = self._contexts(x), self.model_
        return (model, contexts) if len(contexts) == 1 else (given_several(model, contexts), None)

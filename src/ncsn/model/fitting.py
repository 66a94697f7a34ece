"""How a model is fitted: encoding, plan, network, training."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.data import Encoding, augmentation_named
from ncsn.errors import DataError, SettingError
from ncsn.files import digest_of
from ncsn.methods import Method, NetworkFactory, name_of
from ncsn.model.model import Model
from ncsn.model.moments import Moments
from ncsn.model.training_data import TrainingData
from ncsn.networks import PreconditionedScore
from ncsn.networks.contract import check_call, say_what_is_trained, trainable
from ncsn.plan import Choice, Plan
from ncsn.plan.measure import regression
from ncsn.randomness import drawn_from, seed_from
from ncsn.score import NO_CONTEXT, NO_LABEL, weight_dtype
from ncsn.training import Batches, Progress, Recipe, Trainer, agreed, make_accelerator, steps_of

RESIDUAL_ROWS = 10_000
"""Most rows that the spread about the means that contexts tell is taken of."""

TUNING_RATE = 0.25
"""Share of the usual learning rate at which a student goes on from its teacher's weights."""


@dataclass(frozen=True, eq=False)
class Networks:
    """The network that is to be trained; the library's own where both are None.

    Args:
        network: A network F, or what makes one, which the method preconditions.
        score_net: A score model, which is trained as it is.

    Raises:
        SettingError: Both are given, or the network is none or preconditioned already.
    """

    network: nn.Module | NetworkFactory | None = None
    score_net: nn.Module | None = None

    def __post_init__(self) -> None:
        if self.network is not None and self.score_net is not None:
            raise SettingError(
                "give network (a network F that the method preconditions) or score_net (a score), not both"
            )
        if isinstance(self.network, PreconditionedScore):
            raise SettingError("network is preconditioned already: give it as score_net, or the network inside")
        if self.network is not None and not callable(self.network):
            raise SettingError(f"network must be a module or make one, not {self.network!r}")

    @property
    def source(self) -> NetworkFactory | str | None:
        """Where the network comes from, as a `Model` keeps it."""
        if self.score_net is not None:
            return "score_net"
        return "network" if isinstance(self.network, nn.Module) else self.network

    def _check_moves(self, plan: Plan, rows: Tensor) -> None:
        """Refuse an augmentation where nothing can be moved, or the library's network is not told of it."""
        if rows.ndim not in (3, 4):
            shape = tuple(rows.shape[1:])
            raise SettingError(f"augmentation moves images, not rows of shape {shape}: take augmentation='none'")
        if self.network is None and self.score_net is None and not plan.multipliers:
            raise SettingError(
                "augmentation is told to a UNet, not to the perceptron that images this small have: take "
                "augmentation='none', or a network that takes augmentation="
            )

    def _made(self, plan: Plan, rows: Tensor, n_classes: int) -> nn.Module:
        """Return what the factory makes."""
        factory: Any = self.network
        try:
            made = factory(rows.shape[1:], plan, n_classes)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            name = getattr(factory, "__qualname__", repr(factory))
            raise SettingError(f"network={name}, called as {name}(shape, plan, n_classes), fails: {error}") from error
        return trainable(made, "network")

    def untrained(
        self,
        method: Method,
        plan: Plan,
        rows: Tensor,
        labels: Tensor | None,
        n_classes: int,
        contexts: Tensor | None = None,
    ) -> nn.Module:
        """Return the model to train, a copy of what was given, once it answered on two rows.

        Raises:
            SettingError: It cannot be trained, or does not keep its contract.
        """
        # no label and the last one, which an embedding of too few lacks
        condition = {} if labels is None else {"label": torch.tensor([NO_LABEL, n_classes - 1])}
        if contexts is not None:
            # and none, which a row of NaN stands for
            condition["context"] = contexts.clone()
            condition["context"][1:] = NO_CONTEXT
        augmentation_dim = augmentation_named(plan.augmentation).dim
        if augmentation_dim:
            self._check_moves(plan, rows)
            condition["augmentation"] = rows.new_zeros(2, augmentation_dim)
        if self.score_net is not None:
            if not method.gives_score:
                raise SettingError(
                    f"method {name_of(method)!r} makes its own network: leave score_net out, or take another method"
                )
            own = copy.deepcopy(trainable(self.score_net)).cpu()
            say_what_is_trained(self.score_net)
            check_call(own, rows.to(weight_dtype(own, rows.dtype)), condition)
            return own
        if self.network is None:
            return method.build(plan, rows.shape[1:], n_classes)
        made = copy.deepcopy(self.network) if isinstance(self.network, nn.Module) else self._made(plan, rows, n_classes)
        model = method.build(plan, rows.shape[1:], n_classes, made).cpu()
        check_call(
            trainable(model.network, "network"),
            rows.to(weight_dtype(model.network, rows.dtype)),
            condition,
            name="network",
        )
        return model


def fit_model(
    X: Any,
    y: Any = None,
    *,
    method: Method,
    given: Mapping[str, Any],
    networks: Networks,
    seed: int,
    teacher: Model | None = None,
    device: str | None = None,
    mixed_precision: str | None = None,
    accumulation: int = 1,
    minutes: float | None = None,
    log: Any = None,
    compile: bool | None = None,
    callback: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
    columns: Mapping[str, Any] | None = None,
    context: Any = None,
    sample_weight: Any = None,
) -> Model:
    """Fit a model to data.

    Args:
        X: Data in their own units: array, tensor or data frame.
        y: Class label of each row, or None.
        method: The method.
        given: Settings of the plan that are not left to the data, by name.
        networks: The network.
        seed: Seed of every draw.
        teacher: A model fitted on the same data, for a method that distils it; where its network is the same, and scaled in
            the same way, training starts from its weights, at a lower learning rate.
        device: As in `training.make_accelerator`.
        mixed_precision: As in `training.make_accelerator`; from the plan when None.
        accumulation: Parts that a batch is taken in.
        minutes: Time to train for, which a few steps' time makes a number of steps of; None where the plan says how many.
        log: As in `training.make_accelerator`.
        compile: Whether `torch.compile` makes the network faster first; of a UNet on a GPU when None.
        callback: As in `training.Trainer.run`.
        checkpoint: As in `training.Trainer.run`.
        columns: What columns of a data frame are said to be, as in `data.Encoding.fit`.
        context: What is known of each row: array, tensor or data frame, or None.
        sample_weight: How much each row counts, ``(N,)``, or None for all alike.

    Raises:
        DataError: The data cannot be used, or the teacher was fitted on others.
        SettingError: A setting is out of range or unknown, or the method cannot distil the teacher.
        DivergenceError: The loss is not finite; the last good checkpoint stays.
        RunError: The checkpoint cannot be written, is damaged, or of other data or settings.
    """
    seed = agreed(seed, device)
    data = TrainingData.of(X, y, columns, seed, context, sample_weight)
    encoding, codes, n_classes = data.encoding, data.codes, data.n_classes
    told = None if data.told is None else data.told[:2]
    settings = {**given, "mixed_precision": mixed_precision, "watched": method.gives_score}
    plan = data.plan(device, **settings)
    accelerator = make_accelerator(device, plan.mixed_precision, log, None if checkpoint is None else checkpoint.parent)
    check_validation(method, plan)
    batches, held_out = data.held_out(plan.validation_fraction, seed)
    distilled = None
    if teacher is not None:
        distilled = score_to_distil(teacher, method, encoding, data.contexts, plan).to(accelerator.device)
    # weights and buffers in single precision, whatever torch's default is, from a generator of their own
    with drawn_from(torch.Generator().manual_seed(seed_from(seed))):
        labels = None if codes is None else codes[:2]
        untrained = networks.untrained(method, plan, data.some[:2], labels, n_classes, told)
    _take_mean(untrained, data)
    warm = distilled is not None and start_from(distilled, untrained)

    exact = None
    if checkpoint is not None and encoding.images is None:
        # rows of single precision do not tell data apart that differ by less
        exact = digest_of({"values": encoding.values(X, gaps=True, unseen=True)})

    def trainer_by(plan: Plan, model: nn.Module) -> Trainer:
        recipe = recipe_of(method, plan, distilled, accumulation=accumulation, seed=seed)
        lesson = None if distilled is None else digest_of(distilled.state_dict())
        told_apart = [plan.to_dict(), lesson, exact]
        return Trainer(model, batches, recipe, None, accelerator, settings=told_apart, held_out=held_out)

    def made_faster(model: nn.Module) -> nn.Module:
        if compile or (compile is None and accelerator.device.type == "cuda" and plan.multipliers):
            getattr(model, "network", model).compile()
        return model

    if minutes is not None:
        if checkpoint is not None and checkpoint.exists():
            steps = steps_of(checkpoint)
        else:
            seconds = trainer_by(plan, made_faster(copy.deepcopy(untrained))).seconds_a_step()
            steps = max(1, agreed(round(60 * minutes / seconds), device))
        plan = data.plan(device, **settings | {"training_steps": steps})
    if warm and given.get("learning_rate") is None:
        plan = gentler(plan)
    trainer = trainer_by(plan, made_faster(untrained))
    # before a stream's training puts other rows in the place of those that the plan was made for
    moments = data.moments

    def model() -> Model:
        watched = None if trainer.watch is None else trainer.watch.result
        parts = plan, method, trainer.averaged_model, moments, trainer.curve, networks.source, data.contexts, watched
        # of all rows, those held out too
        return with_residual(Model(encoding, *parts), data.batches.to(trainer.batches.device, trainer.batches.dtype))

    if log is not None:
        accelerator.init_trackers("ncsn", {choice.name: str(choice.value) for choice in plan.choices})
    trainer.run(None if callback is None else lambda progress: callback(replace(progress, model=model)), checkpoint)
    if log is not None:
        accelerator.end_training()
    return model()


def _take_mean(untrained: nn.Module, data: TrainingData) -> None:
    """Give a model the mean that contexts tell of the rows, where it takes one off."""
    mean = untrained.context_mean if isinstance(untrained, PreconditionedScore) else None
    if mean is not None and data.told is not None:
        mean.set_to(*regression(data.some, data.told))


def check_validation(method: Method, plan: Plan) -> None:
    """Refuse rows held out for a method that has no score to watch by them.

    Raises:
        SettingError: There are such rows.
    """
    if plan.validation_fraction and not method.gives_score:
        raise SettingError(
            f"method {name_of(method)!r} has no score to hold rows out for: leave validation_fraction out"
        )


def recipe_of(method: Method, plan: Plan, teacher: nn.Module | None, **how: Any) -> Recipe:
    """Return how a method trains by a plan, taught by a score model if there is one; ``how`` goes to the `Recipe`."""
    return Recipe(
        levels=method.levels(plan),
        steps=plan.training_steps,
        batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        warm_up=min(200, plan.training_steps // 5),
        objective=method.objective(plan, teacher),
        condition_dropout=plan.condition_dropout,
        augmentation=augmentation_named(plan.augmentation),
        **how,
    )


def with_residual(model: Model, batches: Batches) -> Model:
    """Return a model that knows how far rows lie from the mean that their contexts tell, where it has contexts.

    Args:
        model: The model.
        batches: What it was trained on, on its device.
    """
    if batches.contexts is None or not model.method.gives_score:
        return model
    rows = torch.arange(len(batches), device=batches.device)
    if len(rows) > RESIDUAL_ROWS or batches.weights is not None:
        rows = batches.draw(RESIDUAL_ROWS, torch.Generator(batches.device).manual_seed(0))
    with torch.no_grad():
        centre = model.mean_given(model.score_model, model.plan.sigma_max, batches.told(rows))
    residual = Moments.of((batches.rows(rows) - centre).cpu().double()).covariances[0]
    return replace(model, moments=replace(model.moments, residual=residual))


def score_to_distil(
    teacher: Model, method: Method, encoding: Encoding, contexts: Encoding | None = None, plan: Plan | None = None
) -> nn.Module:
    """Return a copy of a teacher's score model, once it is known to be of these data and of use.

    Args:
        teacher: A fitted model.
        method: The method that distils it.
        encoding: The encoding of the rows to train on.
        contexts: That of their contexts.
        plan: The settings to train by, where they are known.

    Raises:
        SettingError: The method distils no teacher, or it would be told of an augmentation that it does not take.
        DataError: The teacher has no score, or was fitted on other rows, labels or contexts.
    """
    if not method.takes_teacher:
        raise SettingError(f"method {name_of(method)!r} cannot distil a teacher of method {teacher.name!r}")
    if not teacher.method.gives_score:
        raise DataError(
            f"method {name_of(method)!r} cannot distil a teacher of method {teacher.name!r}: take one with a score"
        )
    teacher.check_same_data(encoding, contexts, "teacher")
    told = augmentation_named(teacher.plan.augmentation).dim
    if plan is not None and augmentation_named(plan.augmentation).dim and not told:
        raise SettingError("the teacher was trained without augmentation and cannot be told: take augmentation='none'")
    return copy.deepcopy(teacher.score_model).eval()


def start_from(teacher: nn.Module, untrained: nn.Module) -> bool:
    """Give a model the weights of a teacher whose network is the same and is asked in the same way, and return whether it was.

    What EDM's network tells of a point is where the flow begins to lead, from which to where it ends it is not far (Geng et
    al. 2024, easy consistency tuning).
    """
    if not isinstance(teacher, PreconditionedScore) or not isinstance(untrained, PreconditionedScore):
        return False
    sigma = torch.tensor([0.1, 1.0, 10.0], device=next(teacher.parameters()).device)
    asked, known = (each.preconditioning.coefficients(sigma) for each in (untrained, teacher))
    weights, own = teacher.network.state_dict(), untrained.network.state_dict()
    same = {name: each.shape for name, each in weights.items()} == {name: each.shape for name, each in own.items()}
    if not (same and torch.equal(asked.c_in, known.c_in) and torch.equal(asked.c_noise, known.c_noise)):
        return False
    untrained.network.load_state_dict(weights)
    return True


def gentler(plan: Plan) -> Plan:
    """Return a plan with the learning rate of a training that goes on from trained weights, which the usual one would undo."""
    rate = plan.learning_rate * TUNING_RATE
    said = Choice("learning_rate", rate, f"{TUNING_RATE:g} of the usual", "training starts from the teacher's weights")
    choices = tuple(said if choice.name == said.name else choice for choice in plan.choices)
    return replace(plan, learning_rate=rate, choices=choices)

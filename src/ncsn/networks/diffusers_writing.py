"""UNets of the library diffusers that were trained here, written as its pipelines run them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ncsn.errors import RunError, SettingError, unknown_name
from ncsn.networks.diffusers import DiffusersNetwork
from ncsn.networks.diffusers_reading import library
from ncsn.networks.diffusers_times import DiffusersTimes, EDMVelocity, ScoreAtSigma
from ncsn.networks.preconditioning import EDM, NoisePrediction, PreconditionedScore, Preconditioning, ScaledScore
from ncsn.noise import Levels, VariancePreserving
from ncsn.noise.processes import process_named
from ncsn.parts import filled
from ncsn.randomness import drawn_from
from ncsn.samplers import PredictorCorrector

N_TIMES = 1000
"""Whole times of a pipeline that is written; as many as DDPM has."""

WRITTEN = (
    "to_diffusers writes a UNet2DModel of diffusers, trained as NCSN(network=DiffusersNetwork(unet)) by a method that predicts "
    "noise (vp), EDM's output or the scaled score"
)


def to_diffusers(
    model: Any,
    folder: str | Path,
    *,
    label: Any = None,
    levels: Levels | Tensor | Sequence[float] | None = None,
    scheduler: str | None = None,
) -> Path:
    """Write a UNet of diffusers that was trained here, or read by `from_diffusers`, as a pipeline's folder.

    The same function of x and sigma is written in diffusers' own coordinates. Networks of noise, and of EDM with a spread of
    1, become those of a ``DDPMPipeline``, with 1,000 times and an embedding for each of them; networks of the scaled score
    become NCSN++'s, with Fourier features of log sigma, for a ``ScoreSdeVePipeline`` (which has three channels). Samples are
    in the units of the rows, which a model standardises: ``model.encoding.decode`` gives them back in the data's own.

    Args:
        model: A fitted `NCSN` or `Model`, or a score model.
        folder: Where to; ``unet/``, ``scheduler/`` and ``model_index.json`` are put there.
        label: Of a UNet with classes the one that the pipeline draws; any when None.
        levels: The levels of the times, a family with ends or the levels themselves; those that the model's method walks when
            None. A network that has times already keeps them.
        scheduler: ``edm`` to write a network of EDM for ``EDMEulerScheduler`` and ``EDMDPMSolverMultistepScheduler``, whose
            coefficients are its own; no pipeline of diffusers calls these without conditions, so that there is no
            ``model_index.json``. None for what a pipeline runs.

    Returns:
        The folder.

    Raises:
        SettingError: The network is none of diffusers, its coordinate has no place there, levels are missing, or an argument
            does not fit.
        RunError: The folder cannot be written.
    """
    diffusers = library()
    fitted = getattr(model, "model_", model)
    score_model = getattr(fitted, "score_model", fitted)
    network = getattr(score_model, "network", None)
    if not isinstance(score_model, PreconditionedScore) or not isinstance(network, DiffusersNetwork):
        raise SettingError(
            f"{type(network or score_model).__name__} has no place in a pipeline of diffusers: {WRITTEN}"
        )
    if not isinstance(network.unet, diffusers.UNet2DModel):
        raise SettingError(f"{type(network.unet).__name__} is no UNet2DModel: {WRITTEN}")
    if scheduler not in (None, "edm"):
        raise unknown_name("scheduler to write for", scheduler, ["edm"])
    row, folder = score_model.preconditioning, Path(folder)
    unet = _UNet(network, _size(network.unet, fitted), _code(network, fitted, label))
    try:
        if scheduler == "edm":
            walked = _edm_scheduler(row, _levels(fitted, levels), diffusers)
            unet.as_it_is().save_pretrained(folder / "unet", safe_serialization=True)
            walked.save_pretrained(folder / "scheduler")
        else:
            made = _pipeline(row, unet, lambda: _levels(fitted, levels), diffusers)
            made.save_pretrained(folder, safe_serialization=True)
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}; choose another folder") from error
    return folder


@dataclass(frozen=True, eq=False)
class _UNet:
    """A network's UNet, the size of its images, and which class embedding goes into what is written of it, if it has any."""

    network: DiffusersNetwork
    size: Any
    code: int | None

    def changed(self, config: Mapping[str, Any] | None = None, weights: Mapping[str, Tensor] | None = None) -> Any:
        """Return a copy with other settings and weights, without classes and without a learned variance."""
        unet: Any = self.network.unet
        settings = {name: value for name, value in unet.config.items() if not name.startswith("_")}
        state = {name: tensor.detach().cpu().clone() for name, tensor in unet.state_dict().items()} | dict(
            weights or {}
        )
        if self.code is not None:
            # it is added to the embedding of the time, whose last layer has a bias
            state["time_embedding.linear_2.bias"] += state.pop("class_embedding.weight")[self.code]
            settings["num_class_embeds"] = None
        channels = settings["in_channels"]
        if settings["out_channels"] != channels:
            # a learned variance, which a network here leaves out too
            state |= {name: state[name][:channels] for name in ("conv_out.weight", "conv_out.bias")}
            settings["out_channels"] = channels
        with drawn_from(torch.Generator()):
            made: Any = type(unet)(**settings | {"sample_size": self.size} | dict(config or {}))
        # by torch's own `to`: that of diffusers warns
        nn.Module.to(made, unet.dtype)
        made.load_state_dict(state)
        return made.eval()

    def as_it_is(self) -> Any:
        """Return a copy that is told of the coordinate itself."""
        if self.network.time_scale != 1:
            raise SettingError(
                f"time_scale is {self.network.time_scale:g}, and the scheduler tells its UNet of the coordinate itself: train "
                "DiffusersNetwork(unet, time_scale=1.0)"
            )
        return self.changed()

    def of_whole_times(self, coordinates: Tensor, sign: float) -> Any:
        """Return a copy that is told of a place in a table of coordinates, with an embedding for each, and its output's sign."""
        unet = self._positional()
        with torch.no_grad():
            table = (
                unet.time_proj(self.network.time_scale * coordinates.to(unet.device, unet.dtype)).cpu().to(unet.dtype)
            )
        last = {name: sign * tensor.cpu() for name, tensor in unet.conv_out.state_dict(prefix="conv_out.").items()}
        return self.changed(
            {"time_embedding_type": "learned", "num_train_timesteps": len(table)}, {"time_proj.weight": table} | last
        )

    def of_sigma(self) -> Any:
        """Return a copy that is told of sigma and divides by it, where this one is told of log sigma."""
        unet = self._positional()
        settings, first = unet.config, unet.time_embedding.linear_1.weight.detach().cpu()
        width = settings["block_out_channels"][0]
        half = width // 2
        places = torch.arange(half, dtype=torch.float64) / (half - settings["freq_shift"])
        frequencies = torch.zeros(width, dtype=torch.float64)
        frequencies[:half] = self.network.time_scale * torch.exp(-math.log(10_000) * places) / (2 * math.pi)
        # of twice as many features, all sines first, those of no frequency have no weight
        parts = first[:, :half], first[:, half : 2 * half]
        sines, cosines = parts[::-1] if settings["flip_sin_to_cos"] else parts
        layer = first.new_zeros(len(first), 2 * width)
        layer[:, :half], layer[:, width : width + half] = sines, cosines
        weights = {"time_proj.weight": frequencies.to(first), "time_embedding.linear_1.weight": layer}
        return self.changed({"time_embedding_type": "fourier"}, weights)

    def _positional(self) -> Any:
        unet: Any = self.network.unet
        kind = unet.config["time_embedding_type"]
        if kind != "positional" or any(hasattr(block, "skip_conv") for block in unet.up_blocks):
            raise SettingError(
                f"a UNet with time_embedding_type {kind!r} or skip blocks is written only with the coordinate that "
                "diffusers gives it; train one with 'positional' and without"
            )
        return unet


def _pipeline(row: Preconditioning, unet: _UNet, levels: Callable[[], Tensor], diffusers: Any) -> Any:
    """Return the pipeline that walks a network of a row."""
    if isinstance(row, ScaledScore | ScoreAtSigma):
        sigmas = levels()
        walked = diffusers.ScoreSdeVeScheduler(
            num_train_timesteps=N_TIMES,
            snr=PredictorCorrector().snr,
            sigma_min=float(sigmas[-1]),
            sigma_max=float(sigmas[0]),
            # with its own 1e-5 the network would be told of other levels than those that are walked
            sampling_eps=1e-7,
        )
        made = unet.as_it_is() if isinstance(row, ScoreAtSigma) else unet.of_sigma()
        return diffusers.ScoreSdeVePipeline(made, walked)
    if isinstance(row, DiffusersTimes):
        times, made = row, unet.as_it_is()
    else:
        spread, prediction, sign = _as_prediction(row)
        times = _times(levels() / spread, prediction)
        made = unet.of_whole_times(row.coefficients(times.sigmas * spread).c_noise, sign)
    walked = diffusers.DDPMScheduler(
        num_train_timesteps=len(times.betas),
        trained_betas=list(times.betas),
        prediction_type=times.prediction,
        clip_sample=False,
        timestep_spacing="trailing",
    )
    return diffusers.DDPMPipeline(made, walked)


def _as_prediction(row: Preconditioning) -> tuple[float, str, float]:
    """Return the spread in whose units a row's network makes a prediction of diffusers, which one, and its sign."""
    if isinstance(row, NoisePrediction) and isinstance(process_named(row.process), VariancePreserving):
        return 1.0, "epsilon", 1.0
    if isinstance(row, EDM):
        # D = x / (1 + sigma^2) + F sigma / sqrt(1 + sigma^2): F is minus the velocity
        return row.sigma_data or 1.0, "v_prediction", 1.0 if isinstance(row, EDMVelocity) else -1.0
    raise SettingError(f"a network in the row {row!r} has no place in a pipeline of diffusers: {WRITTEN}")


def _times(levels: Tensor, prediction: str) -> DiffusersTimes:
    """Return the row of whole times at descending levels."""
    ascending = levels.flip(0)
    log_alpha_bar = -torch.log1p(ascending.square())
    betas = -torch.expm1(log_alpha_bar.diff(prepend=log_alpha_bar.new_zeros(1)))
    row = DiffusersTimes(tuple(betas.float().tolist()), prediction)
    if len(row.sigmas) < len(levels) or not bool((row.sigmas.diff() > 0).all()):
        raise SettingError(
            f"{len(levels)} levels from {ascending[0]:g} are too close for the single precision of diffusers' schedulers: "
            "give levels= that are fewer or begin higher"
        )
    return row


def _edm_scheduler(row: Preconditioning, levels: Tensor, diffusers: Any) -> Any:
    if not isinstance(row, EDM):
        raise SettingError(f"scheduler='edm' is for networks of EDM's row, not of {row!r}; leave it out")
    return diffusers.EDMEulerScheduler(
        sigma_min=float(levels[-1]),
        sigma_max=float(levels[0]),
        sigma_data=row.sigma_data or 1.0,
        prediction_type="v_prediction" if isinstance(row, EDMVelocity) else "epsilon",
    )


def _levels(fitted: Any, levels: Levels | Tensor | Sequence[float] | None) -> Tensor:
    """Return the levels of the times, descending, float64."""
    family: Any = levels
    if levels is None:
        if not hasattr(fitted, "plan"):
            raise SettingError(
                "a score model alone does not say which levels are walked: give levels=, such as "
                "Karras(sigma_min=0.01, sigma_max=80.0)"
            )
        family = filled(fitted.method.walk, SimpleNamespace(sigma_min=fitted.lowest), fitted.plan)
    if isinstance(family, Levels):
        return family.grid(min(N_TIMES, family.count or N_TIMES), torch.float64)
    given = torch.as_tensor(family, dtype=torch.float64).cpu()
    if given.ndim != 1 or len(given) < 2 or bool((given <= 0).any()) or bool((given.diff() >= 0).any()):
        raise SettingError("levels must be at least two positive numbers that descend, or a family of noise levels")
    return given


def _size(unet: Any, fitted: Any) -> Any:
    """Return the size of the images, which a pipeline has to know."""
    if unet.config["sample_size"] is not None:
        return unet.config["sample_size"]
    if not hasattr(fitted, "encoding"):
        raise SettingError("the UNet does not say the size of its images: make it with sample_size=")
    height, width = fitted.encoding.shape[-2:]
    return height if height == width else [height, width]


def _code(network: DiffusersNetwork, fitted: Any, label: Any) -> int | None:
    """Return which class embedding stands for a label; None where the UNet has no classes."""
    if not network.has_classes:
        if label is not None:
            raise SettingError("this UNet has no classes: leave label out")
        return None
    embedding = network.unet.class_embedding
    if not isinstance(embedding, nn.Embedding):
        raise SettingError("this UNet is told of classes by other than a table of embeddings, which is not written")
    if label is not None and hasattr(fitted, "encoding"):
        label = int(fitted.encoding.codes(label, 1)[0])
    place = int(network.embedding_of(label))
    if not 0 <= place < embedding.num_embeddings:
        raise SettingError(
            f"label must be a class of the UNet, which has {embedding.num_embeddings} embeddings, not {label!r}"
        )
    return place

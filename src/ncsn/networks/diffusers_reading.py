"""Models of the library diffusers, read from their folders as score models in sigma."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ncsn.errors import RunError, SettingError
from ncsn.networks.diffusers import DiffusersNetwork
from ncsn.networks.diffusers_times import ScoreAtSigma, row_of
from ncsn.networks.preconditioning import PreconditionedScore, Preconditioning

READ = (
    "from_diffusers reads a folder with config.json and diffusion_pytorch_model.safetensors of a UNet2DModel, or a pipeline's "
    "folder with unet/ and scheduler/"
)


def from_diffusers(
    model: str | Path | nn.Module,
    *,
    scheduler: Any = None,
    prediction: str | None = None,
    no_label: int | None = None,
) -> PreconditionedScore:
    """Read a UNet of the library diffusers as a score model in sigma, in the units that it was trained in (mostly -1 to 1).

    Networks of DDPM (whole times, which are interpolated in log sigma), of EDM's schedulers and of the VE SDE (NCSN++: the
    score at time sigma) are read. A network with an embedding a time, as `to_diffusers` writes, answers between two as at the
    nearer one. Nothing is downloaded, and no pickle is read.

    Args:
        model: A folder, of a ``UNet2DModel`` or of a pipeline; or the ``UNet2DModel`` itself, which is not copied.
        scheduler: A scheduler of diffusers, its folder, or its configuration; that of the folder when None. A UNet with
            Fourier features of the time, which is NCSN++'s, needs none.
        prediction: ``epsilon``, ``v_prediction`` or ``sample``; what the scheduler says when None.
        no_label: 0 where the first of its class embeddings stands for no label, as in a UNet trained by this library; None
            where all stand for classes.

    Returns:
        A score model, called as ``score_model(x, sigma)``, with ``label=`` where the UNet has classes; in evaluation mode,
        on the CPU, if it was read from a folder.

    Raises:
        RunError: There is no such folder, or it holds another kind of model, a pickle, or damaged files.
        SettingError: The library diffusers is missing; there is no scheduler, or one whose network is no score model; or the
            UNet is told of classes by vectors.
    """
    diffusers = library()
    if isinstance(model, nn.Module):
        unet = model
    else:
        folder = Path(model)
        unet = _read_unet(folder, diffusers)
        scheduler = _scheduler_beside(folder) if scheduler is None else scheduler
    kind = getattr(getattr(unet, "config", None), "class_embed_type", None)
    if kind == "identity":
        raise SettingError("this UNet is told of classes by vectors (class_embed_type 'identity'), which is not read")
    row = _row(unet, scheduler, prediction, diffusers)
    network = DiffusersNetwork(unet, time_scale=1.0, no_label=no_label)
    return PreconditionedScore(network, row, sigma_data=row.sigma_data or 1.0)


def library() -> Any:
    """Return the library diffusers.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import diffusers
    except ImportError as error:
        raise SettingError(f"the library diffusers is needed ({error}): pip install diffusers") from error
    return diffusers


def _read_unet(folder: Path, diffusers: Any) -> nn.Module:
    if not folder.is_dir():
        raise RunError(f"no such folder: {folder}; nothing is downloaded. {READ}")
    place = folder / "unet" if (folder / "unet").is_dir() else folder
    if not (place / "config.json").is_file():
        raise RunError(f"{place} has no config.json. {READ}")
    kind = _json(place / "config.json").get("_class_name")
    if kind != "UNet2DModel":
        raise RunError(f"{place} holds {kind or 'no model of diffusers'}. {READ}")
    if not list(place.glob("*.safetensors")):
        pickled = [file.name for file in sorted(place.glob("*.bin"))]
        found = f"{pickled[0]} is a pickle, which is not read" if pickled else "there are no weights"
        raise RunError(f"{place}: {found}. {READ}")
    try:
        unet: nn.Module = diffusers.UNet2DModel.from_pretrained(
            place, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
        )
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{place} is damaged or another version's ({first}); get it anew") from error
    return unet.eval()


def _scheduler_beside(folder: Path) -> Path | None:
    """Return where a model's scheduler lies: in a pipeline's folder, or beside its ``unet/``."""
    places = [folder / "scheduler", folder, folder.parent / "scheduler"]
    return next((place for place in places if (place / "scheduler_config.json").is_file()), None)


def _row(unet: nn.Module, scheduler: Any, prediction: str | None, diffusers: Any) -> Preconditioning:
    fourier = getattr(getattr(unet, "config", None), "time_embedding_type", None) == "fourier"
    if scheduler is None and fourier:
        return ScoreAtSigma()
    if scheduler is None:
        raise SettingError(
            "the scheduler is missing, which says the noise level of each time: give scheduler=, such as "
            "diffusers.DDPMScheduler(beta_schedule='linear')"
        )
    row = row_of(_scheduler(scheduler, diffusers), prediction)
    if fourier and not isinstance(row, ScoreAtSigma):
        raise SettingError("a UNet with Fourier features of the time returns the score at sigma: leave scheduler out")
    return row


def _scheduler(scheduler: Any, diffusers: Any) -> Any:
    """Return the scheduler that a folder or a configuration describes, or the one given."""
    if isinstance(scheduler, str | Path):
        file = Path(scheduler) / "scheduler_config.json"
        if not file.is_file():
            raise RunError(f"no such file: {file}; give the folder of a scheduler of diffusers")
        scheduler = _json(file)
    if not isinstance(scheduler, Mapping):
        if not hasattr(scheduler, "config"):
            raise SettingError(
                f"scheduler must be a scheduler of diffusers, its folder or configuration, not {scheduler!r}"
            )
        return scheduler
    kind = getattr(diffusers, str(scheduler.get("_class_name")), None)
    if kind is None or not str(scheduler["_class_name"]).endswith("Scheduler"):
        raise RunError(f"the configuration names no scheduler of diffusers, but {scheduler.get('_class_name')!r}")
    return kind.from_config({name: value for name, value in scheduler.items()})


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise RunError(f"{file} cannot be read or is damaged ({error}); get it anew") from error
    if not isinstance(content, dict):
        raise RunError(f"{file} is no configuration of diffusers. {READ}")
    return content

"""Models of diffusers as score models in sigma: step for step what its own schedulers walk, and read from their folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor, nn

from ncsn.errors import RunError, SettingError
from ncsn.networks import DiffusersTimes, PreconditionedScore, ddim_of, from_diffusers, levels_of
from ncsn.samplers import sample

from .unets import NCSNPP, alpha, assert_same, corrected, images, piped, random_unet, walked

PREDICTIONS = ["epsilon", "v_prediction", "sample"]
SCHEDULES = ["linear", "scaled_linear", "squaredcos_cap_v2"]
UNET = random_unet()


def read(scheduler: Any, unet: Any = UNET, **how: Any) -> PreconditionedScore:
    return from_diffusers(unet, scheduler=scheduler, **how)


def divided(states: list[Tensor], sigmas: Tensor) -> list[Tensor]:
    """States of alpha x, each at the level that the model is called at next, as x."""
    return [state / alpha(sigma) for state, sigma in zip(states, [*sigmas[1:], 0.0], strict=True)]


# The walks of its schedulers


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize(
    ("schedule", "prediction"),
    [*((schedule, "epsilon") for schedule in SCHEDULES), ("linear", "v_prediction"), ("linear", "sample")],
)
def test_ddim_step_for_step(schedule: str, prediction: str, spacing: str) -> None:
    how: dict[str, Any] = {"beta_schedule": schedule, "prediction_type": prediction, "timestep_spacing": spacing}
    scheduler = diffusers.DDIMScheduler(clip_sample=False, **how)
    # its own arithmetic is then in double precision, from levels that stay those of single precision
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    # 12 does not divide 1,000
    sigmas, x = levels_of(scheduler, 12), images()
    expected = divided(piped(scheduler, UNET, x, 12), sigmas)
    assert_same(walked(ddim_of(scheduler, 12), read(scheduler), x / alpha(sigmas[0]), sigmas), expected, 1e-9)


@pytest.mark.parametrize(("spacing", "offset", "last"), [("trailing", 0, True), ("leading", 1, False)])
def test_where_the_steps_lead_to_the_times_it_is_ddim(spacing: str, offset: int, last: bool) -> None:
    scheduler = diffusers.DDIMScheduler(
        clip_sample=False, timestep_spacing=spacing, steps_offset=offset, set_alpha_to_one=last
    )
    sigmas, x = levels_of(scheduler, 10), images()
    states = piped(scheduler, UNET, x, 10)
    model, start = read(scheduler), x / alpha(sigmas[0])
    assert_same(walked(ddim_of(scheduler, 10), model, start, sigmas), divided(states, sigmas))
    # without set_alpha_to_one the last step leads to the level of time 0
    same = slice(None) if last else slice(-1)
    assert_same(walked("ddim", model, start, sigmas)[same], divided(states, sigmas)[same])


def test_ddims_linspace_calls_the_model_at_other_levels_than_its_samples_are_at() -> None:
    """The cause of a difference of hundreds: a step leads to t - 1000 // n, and the next time is further down."""
    scheduler = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="linspace")
    scheduler.set_timesteps(25)
    times = scheduler.timesteps.tolist()
    assert times[:3] == [999, 957, 916]
    levels = DiffusersTimes(tuple(scheduler.betas.tolist())).sigmas
    found = torch.tensor(ddim_of(scheduler, 25).landings, dtype=torch.float64)
    torch.testing.assert_close(found[:-1], levels[[t - 40 for t in times[:-1]]])
    assert found[-1] == 0
    assert not torch.allclose(found[:-1], levels_of(scheduler, 25)[1:], rtol=0.01)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddpm_step_for_step(prediction: str) -> None:
    scheduler = diffusers.DDPMScheduler(prediction_type=prediction, clip_sample=False, timestep_spacing="trailing")
    sigmas, x = levels_of(scheduler, 20), images()
    expected = divided(piped(scheduler, UNET, x, 20), sigmas)
    assert_same(walked("ancestral", read(scheduler), x / alpha(sigmas[0]), sigmas), expected)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", [{"use_karras_sigmas": True}, {"timestep_spacing": "trailing"}, {}])
def test_heun_step_for_step(spacing: dict[str, Any], prediction: str) -> None:
    """Its levels and their differences are in single precision, and `linspace` interpolates times in sigma, not its log."""
    scheduler = diffusers.HeunDiscreteScheduler(prediction_type=prediction, **spacing)
    sigmas = levels_of(scheduler, 12)
    x = images(scale=float(sigmas[0]))
    states = piped(scheduler, UNET, x, 12)
    assert_same(walked("heun", read(scheduler), x, sigmas), states[1::2] + states[-1:])


@pytest.mark.parametrize("n", [5, 15])
def test_dpm_solver_step_for_step(n: int) -> None:
    """To 1e-4 where values are in the hundreds: it computes in single precision."""
    scheduler = diffusers.DPMSolverMultistepScheduler(timestep_spacing="trailing")
    sigmas, x = levels_of(scheduler, n), images()
    expected = divided(piped(scheduler, UNET, x, n), sigmas)
    assert_same(walked("dpmpp_2m", read(scheduler), x / alpha(sigmas[0]), sigmas), expected, 1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(
    ("kind", "sampler"), [("EDMEulerScheduler", "ddim"), ("EDMDPMSolverMultistepScheduler", "dpmpp_2m")]
)
def test_edm_step_for_step(kind: str, sampler: str, prediction: str) -> None:
    scheduler = getattr(diffusers, kind)(prediction_type=prediction, sigma_data=0.7)
    sigmas = levels_of(scheduler, 12)
    x = images(scale=float(sigmas[0]))
    expected = piped(scheduler, UNET, x, 12)
    assert_same(walked(sampler, read(scheduler), x, sigmas), expected, 1e-6)


def test_ncsnpp_returns_the_score_at_sigma() -> None:
    unet, x = random_unet(**NCSNPP), images()
    model = from_diffusers(unet)
    for sigma in (0.0078125, 1.0, 50.0):
        with torch.no_grad():
            expected = unet(x, torch.tensor(sigma).double()).sample
            torch.testing.assert_close(model(x, torch.tensor(sigma).double()), expected)
        assert 0.01 < float(expected.std()) * sigma < 10


def test_ncsnpp_is_sampled_as_its_pipeline_does() -> None:
    unet = random_unet(**NCSNPP).float()
    # with its usual end of time the pipeline calls the model at other levels than those that it walks
    scheduler = diffusers.ScoreSdeVeScheduler(sigma_min=0.05, sigma_max=20.0, snr=0.16, sampling_eps=1e-7)
    x = images(scale=20.0).float()
    expected = corrected(scheduler, unet, x, 10)
    sigmas = levels_of(scheduler, 10)
    found = walked("predictor_corrector", from_diffusers(unet, scheduler=scheduler), x, sigmas)
    assert_same(found[1::2], expected)


# Between the times, and labels


def test_times_are_interpolated_in_log_sigma() -> None:
    scheduler = diffusers.EulerDiscreteScheduler()
    row = DiffusersTimes(tuple(scheduler.betas.tolist()))
    sigmas = torch.tensor([0.001, 0.01, 0.02, 0.3, 1.0, 7.0, 157.0, 1000.0], dtype=torch.float64)
    # what its schedulers do where levels lie between the times
    logs = (((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5).log().double().numpy()
    expected = [float(scheduler._sigma_to_t(sigma.numpy(), logs)) for sigma in sigmas]
    torch.testing.assert_close(row.time(sigmas), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-3)
    assert (expected[0], expected[-1]) == (0.0, 999.0)


def test_levels_of_a_batch_are_those_of_its_rows() -> None:
    model, x = read(diffusers.DDPMScheduler(prediction_type="v_prediction")), images(3)
    sigmas = torch.tensor([0.05, 1.0, 30.0], dtype=torch.float64)
    with torch.no_grad():
        together = model(x, sigmas)
        apart = [model(x[k : k + 1], sigma) for k, sigma in enumerate(sigmas)]
    torch.testing.assert_close(together, torch.cat(apart))


def test_labels_are_its_own_classes_and_there_has_to_be_one() -> None:
    unet, x, scheduler = random_unet(num_class_embeds=3), images(), diffusers.DDIMScheduler(clip_sample=False)
    model = read(scheduler, unet)
    labels = torch.tensor([2, 0])
    sigmas = levels_of(scheduler, 10)
    expected = divided(piped(scheduler, unet, x, 10, class_labels=labels), sigmas)
    assert_same(walked("ddim", model, x / alpha(sigmas[0]), sigmas, label=labels), expected)
    with pytest.raises(SettingError, match="this UNet has no embedding for no label: give the class, as label="):
        model(x, torch.tensor(1.0))
    with torch.no_grad():
        first = read(scheduler, unet, no_label=0)(x, torch.tensor(1.0, dtype=torch.float64))
        torch.testing.assert_close(first, model(x, torch.tensor(1.0, dtype=torch.float64), label=0))
    with pytest.raises(SettingError, match="no_label must be 0, the first class embedding, or None, not 3"):
        read(scheduler, unet, no_label=3)


def test_a_learned_variance_is_left_out() -> None:
    unet, x, scheduler = random_unet(out_channels=6), images(), diffusers.DDIMScheduler(clip_sample=False)
    sigmas = levels_of(scheduler, 10)
    expected = divided(piped(scheduler, unet, x, 10), sigmas)
    assert_same(walked("ddim", read(scheduler, unet), x / alpha(sigmas[0]), sigmas), expected)


# Folders


def test_folders_of_a_pipeline_and_of_a_unet_are_read(tmp_path: Path) -> None:
    unet, x, sigma = random_unet().float(), images().float(), torch.tensor(2.0)
    scheduler = diffusers.DDIMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    diffusers.DDIMPipeline(unet, scheduler).save_pretrained(tmp_path / "pipeline")
    # as the first models of diffusers lie: all in one folder
    unet.save_pretrained(tmp_path / "flat")
    scheduler.save_pretrained(tmp_path / "flat")
    unet.save_pretrained(tmp_path / "alone")
    with torch.no_grad():
        expected = read(scheduler, unet)(x, sigma)
        for folder in (tmp_path / "pipeline", tmp_path / "pipeline" / "unet", str(tmp_path / "flat")):
            torch.testing.assert_close(from_diffusers(folder)(x, sigma), expected)
        for said in (scheduler, tmp_path / "flat", dict(scheduler.config) | {"_class_name": "DDIMScheduler"}):
            torch.testing.assert_close(from_diffusers(tmp_path / "alone", scheduler=said)(x, sigma), expected)
        noise = from_diffusers(tmp_path / "flat", prediction="epsilon")
        row = noise.preconditioning.coefficients(sigma)
        assert (float(row.c_skip), float(row.c_out)) == (1.0, -2.0)
    with pytest.raises(SettingError, match=r"the scheduler is missing, .* give scheduler=, such as diffusers\.DDPM"):
        from_diffusers(tmp_path / "alone")


def test_what_is_no_model_of_diffusers_is_refused(tmp_path: Path) -> None:
    reads = "from_diffusers reads a folder with config.json and diffusion_pytorch_model.safetensors of a UNet2DModel"
    with pytest.raises(RunError, match=f"no such folder: .*google/ddpm-cat; nothing is downloaded. {reads}"):
        from_diffusers(tmp_path / "google/ddpm-cat")
    with pytest.raises(RunError, match=f"has no config.json. {reads}"):
        from_diffusers(tmp_path)
    config = tmp_path / "config.json"
    config.write_text('{"_class_name": "UNet2DConditionModel"}')
    with pytest.raises(RunError, match=f"holds UNet2DConditionModel. {reads}"):
        from_diffusers(tmp_path)
    config.write_text("{")
    with pytest.raises(RunError, match=r"config\.json cannot be read or is damaged"):
        from_diffusers(tmp_path)
    random_unet().save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(RunError, match=r"diffusion_pytorch_model\.bin is a pickle, which is not read"):
        from_diffusers(tmp_path)
    (tmp_path / "diffusion_pytorch_model.bin").unlink()
    with pytest.raises(RunError, match="there are no weights"):
        from_diffusers(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match="is damaged or another version's"):
        from_diffusers(tmp_path)
    assert "UNet2DModel" in json.loads(config.read_text())["_class_name"]


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (diffusers.FlowMatchEulerDiscreteScheduler(), "FlowMatchEulerDiscreteScheduler is not read"),
        (diffusers.CMStochasticIterativeScheduler(), "not those of flow matching or consistency models"),
        (diffusers.DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction"), "is not read"),
        (diffusers.DDPMScheduler(prediction_type="flow"), "unknown prediction 'flow'"),
        ("no/such/folder", "no such file"),
        ({"_class_name": "os"}, "names no scheduler of diffusers, but 'os'"),
        (3, "scheduler must be a scheduler of diffusers, its folder or configuration, not 3"),
    ],
)
def test_other_schedulers_are_refused(scheduler: Any, message: str) -> None:
    with pytest.raises((RunError, SettingError), match=message):
        read(scheduler)


def test_other_networks_are_refused() -> None:
    with pytest.raises(SettingError, match="told of classes by vectors"):
        read(diffusers.DDPMScheduler(), random_unet(class_embed_type="identity"))
    with pytest.raises(SettingError, match="returns the score at sigma: leave scheduler out"):
        read(diffusers.DDPMScheduler(), random_unet(**NCSNPP))


def test_levels_that_cannot_be_walked_are_refused() -> None:
    for scheduler in (
        diffusers.DDIMScheduler(rescale_betas_zero_snr=True, timestep_spacing="trailing"),
        diffusers.DDIMInverseScheduler(),
        diffusers.PNDMScheduler(),
    ):
        with pytest.raises(SettingError, match="does not walk finite levels that descend"):
            levels_of(scheduler, 10)
    with pytest.raises(SettingError, match="ddim_of takes a DDIMScheduler, not DDPMScheduler"):
        ddim_of(diffusers.DDPMScheduler(), 10)
    with pytest.raises(SettingError, match="10 landings do not go with 5 levels"):
        sample(nn.Identity(), torch.arange(5, 0, -1.0), 1, 2, ddim_of(diffusers.DDIMScheduler(), 10))
    with pytest.raises(SettingError, match="betas must be at least two numbers above 0"):
        DiffusersTimes()


def test_a_model_of_zero_terminal_snr_is_read_up_to_its_last_finite_level() -> None:
    model = read(diffusers.DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction"))
    row = model.preconditioning
    assert isinstance(row, DiffusersTimes)
    assert (len(row.betas), len(row.sigmas)) == (1000, 999)
    with torch.no_grad():
        assert bool(model(images(), torch.tensor(500.0)).isfinite().all())

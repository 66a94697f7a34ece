"""What was trained here as diffusers' pipelines run it: step for step the samples of this library's samplers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ncsn import METHODS, NCSN
from ncsn.errors import RunError, SettingError
from ncsn.methods import name_of
from ncsn.networks import (
    DiffusersNetwork,
    DiffusersTimes,
    PreconditionedScore,
    ResidualMLP,
    ddim_of,
    from_diffusers,
    levels_of,
    to_diffusers,
)
from ncsn.noise import DDPM, Geometric, Karras

from .unets import NCSNPP, SHAPE, alpha, assert_same, corrected, images, piped, random_unet, walked

ENDS: dict[str, float] = {"sigma_min": 0.02, "sigma_max": 40.0}


def trained(
    row: Any = "noise_vp", time_scale: float = 8.0, sigma_data: float = 1.0, **unet: Any
) -> PreconditionedScore:
    network = DiffusersNetwork(random_unet(**unet).float(), time_scale)
    return PreconditionedScore(network, row, sigma_data).eval()


def in_double(pipeline: Any) -> Any:
    pipeline.unet.double()
    return pipeline


def in_x(states: list[Tensor], sigmas: Tensor) -> list[Tensor]:
    return [state / alpha(sigma) for state, sigma in zip(states, [*sigmas[1:], 0.0], strict=True)]


# Each row


@pytest.mark.parametrize("betas", ["linear", "cosine"])
def test_a_network_of_noise_becomes_a_ddpm_pipelines(betas: str, tmp_path: Path) -> None:
    model = trained("noise_vp")
    assert to_diffusers(model, tmp_path / "ddpm", levels=DDPM(betas)) == tmp_path / "ddpm"
    pipeline = in_double(diffusers.DDPMPipeline.from_pretrained(tmp_path / "ddpm"))
    # DDPM's own levels, to what single precision leaves of them
    torch.testing.assert_close(levels_of(pipeline.scheduler, 1000), DDPM(betas).table, rtol=2e-3, atol=0)
    sigmas, x = levels_of(pipeline.scheduler, 20), images()
    expected = in_x(piped(pipeline.scheduler, pipeline.unet, x, 20), sigmas)
    assert_same(walked("ancestral", model.double(), x / alpha(sigmas[0]), sigmas), expected)


def test_the_same_folder_is_a_ddim_pipelines(tmp_path: Path) -> None:
    model = trained("noise_vp", block_out_channels=(12, 16), flip_sin_to_cos=False, freq_shift=1)
    to_diffusers(model, tmp_path, levels=DDPM())
    pipeline = in_double(diffusers.DDIMPipeline.from_pretrained(tmp_path))
    sigmas, x = levels_of(pipeline.scheduler, 12), images()
    expected = in_x(piped(pipeline.scheduler, pipeline.unet, x, 12), sigmas)
    sampler = ddim_of(pipeline.scheduler, 12)
    assert_same(walked(sampler, model.double(), x / alpha(sigmas[0]), sigmas), expected)


@pytest.mark.parametrize("sigma_data", [1.0, 0.5])
def test_a_network_of_edm_becomes_one_of_velocity(sigma_data: float, tmp_path: Path) -> None:
    model = trained("edm", sigma_data=sigma_data)
    to_diffusers(model, tmp_path, levels=Karras(**ENDS))
    pipeline = in_double(diffusers.DDIMPipeline.from_pretrained(tmp_path))
    assert pipeline.scheduler.config["prediction_type"] == "v_prediction"
    sigmas, x = levels_of(pipeline.scheduler, 20), images()
    assert float(sigmas[0]) * sigma_data == pytest.approx(40.0, rel=1e-3)
    # it walks x in units of the data's spread
    expected = [sigma_data * state for state in in_x(piped(pipeline.scheduler, pipeline.unet, x, 20), sigmas)]
    found = walked("ddim", model.double(), sigma_data * x / alpha(sigmas[0]), sigma_data * sigmas)
    assert_same(found, expected)


@pytest.mark.parametrize(("kind", "sampler"), [("Euler", "ddim"), ("DPMSolverMultistep", "dpmpp_2m")])
def test_a_network_of_edm_is_written_for_its_schedulers(kind: str, sampler: str, tmp_path: Path) -> None:
    model = trained("edm", time_scale=1.0, sigma_data=0.7)
    to_diffusers(model, tmp_path, levels=Karras(**ENDS), scheduler="edm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scheduler", "unet"]
    scheduler = getattr(diffusers, f"EDM{kind}Scheduler").from_pretrained(tmp_path / "scheduler")
    unet = diffusers.UNet2DModel.from_pretrained(tmp_path / "unet").double()
    sigmas = levels_of(scheduler, 12)
    torch.testing.assert_close(sigmas, Karras(**ENDS).grid(12, torch.float64), rtol=1e-5, atol=0)
    x = images(scale=float(sigmas[0]))
    assert_same(walked(sampler, model.double(), x, sigmas), piped(scheduler, unet, x, 12))
    # and back
    torch.testing.assert_close(from_diffusers(tmp_path)(x.float(), sigmas[3]), model.float()(x.float(), sigmas[3]))


def test_a_network_of_the_scaled_score_becomes_ncsnpps(tmp_path: Path) -> None:
    model = trained("scaled_score")
    to_diffusers(model, tmp_path, levels=Geometric(**ENDS))
    pipeline = diffusers.ScoreSdeVePipeline.from_pretrained(tmp_path)
    sigmas = levels_of(pipeline.scheduler, 10)
    torch.testing.assert_close(sigmas, Geometric(**ENDS).grid(10, torch.float64), rtol=1e-5, atol=0)
    x = images(scale=40.0).float()
    found = walked("predictor_corrector", model, x, sigmas)
    assert_same(found[1::2], corrected(pipeline.scheduler, pipeline.unet, x, 10))
    # the same function of sigma, between the levels too
    with torch.no_grad():
        score = pipeline.unet(x, torch.full((2,), 0.37)).sample
        torch.testing.assert_close(score, model(x, torch.tensor(0.37)), rtol=1e-4, atol=1e-4)


def test_a_learned_variance_is_left_out(tmp_path: Path) -> None:
    model = trained("edm", out_channels=6)
    to_diffusers(model, tmp_path, levels=Karras(**ENDS))
    pipeline = in_double(diffusers.DDPMPipeline.from_pretrained(tmp_path))
    sigmas, x = levels_of(pipeline.scheduler, 10), images()
    expected = in_x(piped(pipeline.scheduler, pipeline.unet, x, 10), sigmas)
    assert_same(walked("ancestral", model.double(), x / alpha(sigmas[0]), sigmas), expected)


@pytest.mark.parametrize("label", [None, 1])
def test_the_class_that_is_drawn_is_written_into_the_network(label: int | None, tmp_path: Path) -> None:
    model = trained("noise_vp", num_class_embeds=4)
    to_diffusers(model, tmp_path, label=label, levels=DDPM())
    pipeline = in_double(diffusers.DDIMPipeline.from_pretrained(tmp_path))
    sigmas, x = levels_of(pipeline.scheduler, 10), images()
    expected = in_x(piped(pipeline.scheduler, pipeline.unet, x, 10), sigmas)
    told = {} if label is None else {"label": label}
    assert_same(walked("ddim", model.double(), x / alpha(sigmas[0]), sigmas, **told), expected)
    with pytest.raises(SettingError, match="label must be a class of the UNet, which has 4 embeddings, not 3"):
        to_diffusers(model, tmp_path, label=3, levels=DDPM())


@pytest.mark.parametrize(
    ("scheduler", "changes"),
    [
        (diffusers.DDIMScheduler(beta_schedule="scaled_linear", prediction_type="sample"), {}),
        (diffusers.ScoreSdeVeScheduler(), NCSNPP),
    ],
)
def test_what_was_read_is_written_as_it_was(scheduler: Any, changes: dict[str, Any], tmp_path: Path) -> None:
    unet = random_unet(**changes).float()
    model = from_diffusers(unet, scheduler=scheduler)
    to_diffusers(model, tmp_path, levels=Geometric(**ENDS))
    again: Any = from_diffusers(tmp_path)
    assert again.preconditioning == model.preconditioning
    for name, tensor in again.network.unet.state_dict().items():
        assert torch.equal(tensor, unet.state_dict()[name])


# Fitted models


@pytest.mark.parametrize(
    ("method", "sampler"), [("ddpm", "ancestral"), ("vp_sde", "ancestral"), ("edm", "ancestral"), ("ve_sde", None)]
)
def test_a_fitted_model_and_its_pipeline_draw_the_same(method: str, sampler: str | None, tmp_path: Path) -> None:
    data = np.random.default_rng(0).random((20, *SHAPE))
    network = DiffusersNetwork(random_unet(sample_size=None).float())
    model = NCSN(method=method, network=network, training_steps=2, batch_size=8, random_state=0).fit(data)
    to_diffusers(model, tmp_path)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tmp_path)
    assert pipeline.unet.config["sample_size"] == 8
    sigmas, x = levels_of(pipeline.scheduler, 10), images().float()
    walk: Any = sampler or METHODS[method].sampler
    if sampler is None:
        assert type(pipeline).__name__ == "ScoreSdeVePipeline"
        start = float(sigmas[0]) * x
        last = corrected(pipeline.scheduler, pipeline.unet, start, 10)[-1]
    else:
        assert type(pipeline).__name__ == "DDPMPipeline"
        start = x / alpha(sigmas[0]).float()
        last = piped(pipeline.scheduler, pipeline.unet, x, 10)[-1]
    found = walked(walk, model.score_model_, start, sigmas)[-1]
    assert_same([found], [last])
    torch.testing.assert_close(model.encoding_.decode(last), model.encoding_.decode(found), rtol=1e-4, atol=1e-4)
    # it runs as a pipeline
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(2, num_inference_steps=3, output_type="np").images
    assert drawn.shape == (2, 8, 8, 3)


def test_a_fitted_model_of_classes_writes_the_class_that_is_called(tmp_path: Path) -> None:
    data, kinds = np.random.default_rng(0).random((20, *SHAPE)), np.array(["a", "b"] * 10)
    network = DiffusersNetwork(random_unet(num_class_embeds=3).float())
    model = NCSN(method="ddpm", network=network, training_steps=2, batch_size=8, random_state=0).fit(data, kinds)
    to_diffusers(model, tmp_path, label="b")
    pipeline = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    sigmas, x = levels_of(pipeline.scheduler, 10), images().float()
    expected = piped(pipeline.scheduler, pipeline.unet, x, 10)[-1]
    found = walked("ancestral", model.score_model_, x / alpha(sigmas[0]).float(), sigmas, label=torch.tensor(1))[-1]
    assert_same([found], [expected])
    with pytest.raises(SettingError, match="'c'"):
        to_diffusers(model, tmp_path, label="c")


def test_a_unet_trained_in_the_times_of_diffusers_is_written_as_it_is(tmp_path: Path) -> None:
    row = DiffusersTimes(tuple(diffusers.DDPMScheduler().betas.tolist()), "v_prediction")
    method = replace(METHODS["ddpm"], precondition=row)
    assert name_of(method) == "ddpm with precondition=DiffusersTimes(prediction='v_prediction')"
    data = np.random.default_rng(0).random((20, *SHAPE))
    network = DiffusersNetwork(random_unet().float(), time_scale=1.0)
    fitted = NCSN(method=method, network=network, training_steps=2, batch_size=8, random_state=0).fit(data)
    fitted.save(tmp_path / "run")
    model = NCSN.load(tmp_path / "run", network=network)
    to_diffusers(model, tmp_path / "pipeline")
    again: Any = from_diffusers(tmp_path / "pipeline")
    assert (again.preconditioning.betas, again.preconditioning.prediction) == (row.betas, row.prediction)
    x = images().float()
    with torch.no_grad():
        for sigma in (0.01, 0.37, 150.0):
            torch.testing.assert_close(again(x, torch.tensor(sigma)), model.score_model_(x, torch.tensor(sigma)))


# What cannot be written


def test_what_has_no_place_in_a_pipeline_is_refused(tmp_path: Path) -> None:
    writes = "to_diffusers writes a UNet2DModel of diffusers"
    own = PreconditionedScore(ResidualMLP(SHAPE, 8, 1), "edm")
    with pytest.raises(SettingError, match=f"ResidualMLP has no place in a pipeline of diffusers: {writes}"):
        to_diffusers(own, tmp_path)
    with pytest.raises(SettingError, match=f"Linear has no place in a pipeline of diffusers: {writes}"):
        to_diffusers(nn.Linear(2, 2), tmp_path)
    with pytest.raises(SettingError, match="Identity is no UNet2DModel"):
        to_diffusers(PreconditionedScore(DiffusersNetwork(nn.Identity()), "edm"), tmp_path)
    for row in ("noise_sub_vp", "raw_score", "consistency"):
        with pytest.raises(SettingError, match=r"a network in the row .* has no place in a pipeline of diffusers"):
            to_diffusers(trained(row), tmp_path, levels=DDPM())
    with pytest.raises(SettingError, match="time_embedding_type 'learned' or skip blocks is written only"):
        to_diffusers(
            trained("edm", time_embedding_type="learned", num_train_timesteps=9), tmp_path, levels=Karras(**ENDS)
        )
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    cases: list[tuple[PreconditionedScore, dict[str, Any], str]] = [
        (trained("edm"), {}, r"a score model alone does not say which levels are walked: give levels="),
        (trained("edm"), {"scheduler": "edm", "levels": Karras(**ENDS)}, r"time_scale is 8, .* time_scale=1\.0"),
        (trained("noise_vp"), {"scheduler": "edm", "levels": DDPM()}, "scheduler='edm' is for networks of EDM's row"),
        (trained("edm"), {"scheduler": "heun"}, "unknown scheduler to write for 'heun'"),
        (trained("edm"), {"levels": [1.0, 2.0]}, "levels must be at least two positive numbers that descend"),
        (trained("edm"), {"levels": Karras(sigma_min=1e-5, sigma_max=80.0)}, "too close for the single precision"),
        (trained("edm"), {"label": 0}, "this UNet has no classes: leave label out"),
        (trained("edm", sample_size=None), {"levels": DDPM()}, "does not say the size of its images"),
    ]
    for model, how, message in cases:
        with pytest.raises(SettingError, match=message):
            to_diffusers(model, tmp_path, **how)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        to_diffusers(trained("edm"), tmp_path / "file", levels=Karras(**ENDS))


def test_writing_leaves_the_network_and_the_random_state_as_they_were(tmp_path: Path) -> None:
    model = trained("edm")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    to_diffusers(model, tmp_path, levels=Karras(**ENDS))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    named = json.loads((tmp_path / "model_index.json").read_text())
    assert (named["_class_name"], named["unet"]) == ("DDPMPipeline", ["diffusers", "UNet2DModel"])

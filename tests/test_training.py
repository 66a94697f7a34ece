"""The training loop: closed forms, exact scores, and resumed runs bit for bit."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ncsn import files, training
from ncsn.errors import DivergenceError, RunError
from ncsn.exact import EmpiricalScore
from ncsn.losses import DenoisingScoreMatching
from ncsn.networks import ResidualMLP
from ncsn.networks import PreconditionedScore
from ncsn.noise import LogUniformLevels
from ncsn.training import MovingAverage, Progress, Recipe, Trainer, is_main_process, make_accelerator

RECIPE = Recipe(LogUniformLevels(0.05, 5.0), steps=60, batch_size=32, learning_rate=3e-3, warm_up=10, seed=5)


def two_clusters(n: int = 200) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    signs = 2.0 * torch.randint(0, 2, (n, 1), generator=generator) - 1
    return signs * torch.tensor([0.9, 0.8]) + 0.1 * torch.randn(n, 2, generator=generator)


def small_model(n_classes: int = 0, dropout: float = 0.0) -> PreconditionedScore:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return PreconditionedScore(ResidualMLP((2,), 16, 1, dropout=dropout, n_classes=n_classes))


def same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# Learning rate, clipping, moving average


def test_learning_rate_rises_to_its_height_and_falls_to_nothing() -> None:
    recipe = replace(RECIPE, steps=1000, learning_rate=2.0, warm_up=100)
    rates = [recipe.learning_rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[500] == pytest.approx(1.0)
    assert 0 < rates[999] < 1e-5
    assert all(a < b for a, b in pairwise(rates[:100]))
    assert all(a > b for a, b in pairwise(rates[100:]))
    assert sum(replace(recipe, warm_up=0).learning_rate_at(step) for step in range(1000)) == pytest.approx(1001)


def test_first_step_moves_each_weight_by_the_learning_rate() -> None:
    # Adam's first step is the sign of the gradient, whatever its size; without a gradient there is no step
    model = small_model()
    before = [weight.detach().clone() for weight in model.parameters()]
    trainer = Trainer(model, two_clusters(), replace(RECIPE, steps=1000, learning_rate=0.04, warm_up=4))
    with pytest.raises(KeyboardInterrupt):
        trainer.run(interrupt_at(1))
    moved = torch.cat([(a.detach() - b).abs().flatten() for a, b in zip(model.parameters(), before, strict=True)])
    assert float(moved.max()) == pytest.approx(0.01, rel=1e-3)


def interrupt_at(step: int) -> Any:
    def callback(progress: Progress) -> None:
        if progress.step >= step:
            raise KeyboardInterrupt

    return callback


@pytest.fixture(autouse=True)
def frequent_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "REPORT_EVERY", 1)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 5)


def test_gradients_are_clipped() -> None:
    def norms(clip_norm: float) -> list[float]:
        found = []

        def callback(progress: Progress) -> None:
            gradients = [w.grad for w in progress.trainer.score_model.parameters() if w.grad is not None]
            found.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))

        Trainer(small_model(), two_clusters(), replace(RECIPE, clip_norm=clip_norm)).run(callback)
        return found

    free = norms(1e9)
    limit = float(np.median(free))
    clipped = norms(limit)
    assert max(clipped) <= limit * (1 + 1e-5) < max(free)
    assert clipped[0] == pytest.approx(min(free[0], limit), rel=1e-5)


def linear(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def weight_of(average: MovingAverage) -> float:
    return float(average.model.get_parameter("weight"))


def test_moving_average_forgets_the_first_weights_at_once() -> None:
    model = linear(1e6)
    average = MovingAverage(model, decay=0.999)
    nn.init.constant_(model.weight, 3.0)
    average.update()
    assert weight_of(average) == 3.0


def test_moving_average_of_a_ramp() -> None:
    # while it is young, the average of 1, 2, 3, ... solves its recursion as 0.9 n + 0.1; of decay d it lags by d / (1 - d)
    model = linear(0.0)
    young, old = MovingAverage(model, decay=0.999999), MovingAverage(model, decay=0.75)
    for n in range(1, 401):
        nn.init.constant_(model.weight, float(n))
        young.update()
        old.update()
        assert weight_of(young) == pytest.approx(0.9 * n + 0.1, rel=1e-5)
    assert weight_of(old) == pytest.approx(400 - 3, rel=1e-5)


def test_moving_average_leaves_the_model_alone_and_takes_its_buffers() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(model, decay=0.9)
    model(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average.update()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(average.model.get_buffer("1.running_mean"), before["1.running_mean"])
    assert int(average.model.get_buffer("1.num_batches_tracked")) == 1
    assert not any(weight.requires_grad for weight in average.model.parameters())


# What training reaches


@pytest.mark.parametrize("target_from", [math.inf, 0.2], ids=["denoising", "stable targets"])
def test_training_approaches_the_exact_score(target_from: float) -> None:
    data = two_clusters()
    recipe = replace(
        RECIPE,
        steps=400,
        batch_size=128,
        ema_decay=0.98,
        objective=DenoisingScoreMatching("edm", target_from),
        learning_rate=1e-2,
    )
    trainer = Trainer(PreconditionedScore(ResidualMLP((2,), 32, 1)), data, recipe)
    untrained = small_model()
    trainer.run()
    exact = EmpiricalScore(data)
    for level in (0.3, 1.0, 3.0):
        sigma = torch.tensor(level)
        x = data + level * torch.randn(data.shape, generator=torch.Generator().manual_seed(2))
        truth = exact(x, sigma)

        def error(model: nn.Module, x: Tensor = x, sigma: Tensor = sigma, truth: Tensor = truth) -> float:
            with torch.no_grad():
                return float((model(x, sigma) - truth).square().mean())

        assert error(trainer.averaged_model) < 0.15 * error(untrained)


def test_curve_holds_the_mean_loss_of_the_steps_between_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    each = Trainer(small_model(), two_clusters(), RECIPE)
    each.run()
    assert [step for step, _ in each.curve] == list(range(1, 61))
    monkeypatch.setattr(training, "REPORT_EVERY", 25)
    reported: list[Progress] = []
    grouped = Trainer(small_model(), two_clusters(), RECIPE)
    grouped.run(reported.append)
    losses = np.array([loss for _, loss in each.curve])
    expected = [(25, losses[:25].mean()), (50, losses[25:50].mean()), (60, losses[50:].mean())]
    assert [step for step, _ in grouped.curve] == [25, 50, 60]
    np.testing.assert_allclose([loss for _, loss in grouped.curve], [loss for _, loss in expected], rtol=1e-5)
    assert [(p.step, p.steps, p.loss) for p in reported] == [(step, 60, loss) for step, loss in grouped.curve]


def test_labels_are_given_and_sometimes_left_out() -> None:
    seen: list[Tensor] = []

    class Recording(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
            seen.append(torch.stack([label.float(), x[:, 0]]))
            return self.weight * x

    # rows of class k lie at 100 k, so that a given label can be told from its row
    labels = torch.arange(3).repeat(50)
    data = 100.0 * labels[:, None].expand(-1, 2)
    Trainer(Recording(), data, replace(RECIPE, batch_size=100, label_dropout=0.1), labels).run()
    label, position = torch.cat(seen, dim=1)
    given = label >= 0
    assert torch.equal(label[given], (position[given] / 100).round())
    assert float((~given).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_global_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002  # the global generator is what is looked at
    expected = torch.rand(2), np.random.rand(2)  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    Trainer(small_model(dropout=0.5), two_clusters(), RECIPE).run()
    assert torch.equal(torch.rand(2), expected[0])
    np.testing.assert_array_equal(np.random.rand(2), expected[1])  # noqa: NPY002


def test_seed_decides_the_run() -> None:
    def trained(seed: int) -> nn.Module:
        trainer = Trainer(small_model(dropout=0.3), two_clusters(), replace(RECIPE, seed=seed))
        trainer.run()
        return trainer.averaged_model

    assert same(trained(1), trained(1))
    # seeds that agree in their lower bits are different seeds
    assert not same(trained(1), trained(1 + 2**22))


# Divergence


class Spoiled(nn.Module):
    """Goes wrong at one call of its training: in its value, or in its gradient alone."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__()
        self.inner = small_model()
        self.at, self.what, self.calls = at, what, 0

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        score: Tensor = self.inner(x, sigma)
        self.calls += self.training
        if self.training and self.calls == self.at:
            if self.what == "value":
                return score * torch.nan
            score.register_hook(lambda gradient: gradient * torch.inf)
        return score


@pytest.mark.parametrize("what", ["value", "gradient"])
def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path, what: str) -> None:
    path = tmp_path / "checkpoint"
    # step 15 is one of a checkpoint, which must not take the spoiled weights
    trainer = Trainer(Spoiled(15, what), two_clusters(), RECIPE)
    with pytest.raises(DivergenceError, match=r"not finite between steps 14 and 15: lower the learning rate \(0.003\)"):
        trainer.run(checkpoint=path)
    resumed = Trainer(Spoiled(0, what), two_clusters(), RECIPE)
    resumed.resume(path)
    assert resumed.step == 10
    assert len(resumed.curve) == 10
    resumed.run()
    whole = Trainer(Spoiled(0, what), two_clusters(), RECIPE)
    whole.run()
    assert same(resumed.averaged_model, whole.averaged_model)


def test_divergence_by_a_huge_learning_rate() -> None:
    with pytest.raises(DivergenceError):
        Trainer(small_model(), two_clusters(), replace(RECIPE, learning_rate=1e30)).run()


# Resuming

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.4},
    "labels": {"labels": True},
    "some targets": {"recipe": replace(RECIPE, objective=DenoisingScoreMatching("edm", 0.2), target_rows=50)},
}


def trainer_of(dropout: float = 0.0, labels: bool = False, recipe: Recipe = RECIPE) -> Trainer:
    data = two_clusters()
    codes = (data[:, 0] > 0).long() if labels else None
    return Trainer(small_model(2 if labels else 0, dropout), data, recipe, codes)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stop", [5, 34, 60])
def test_resumed_run_ends_as_the_uninterrupted_one(tmp_path: Path, variant: str, stop: int) -> None:
    whole = trainer_of(**VARIANTS[variant])
    whole.run()
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trainer_of(**VARIANTS[variant]).run(interrupt_at(stop), path)
    torch.rand(7)
    resumed = trainer_of(**VARIANTS[variant])
    resumed.run(checkpoint=path)
    assert same(resumed.averaged_model, whole.averaged_model)
    assert same(resumed.score_model, whole.score_model)
    assert resumed.curve == whole.curve
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_batch_statistics_resume(tmp_path: Path) -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.inner = nn.BatchNorm1d(2), small_model()

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            score: Tensor = self.inner(self.norm(x), sigma)
            return score

    whole = Trainer(Normed(), two_clusters(), RECIPE)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(Normed(), two_clusters(), RECIPE).run(interrupt_at(22), tmp_path / "checkpoint")
    resumed = Trainer(Normed(), two_clusters(), RECIPE)
    resumed.run(checkpoint=tmp_path / "checkpoint")
    assert same(resumed.averaged_model, whole.averaged_model)
    assert float(whole.averaged_model.get_buffer("norm.running_var")[0]) > 1.5


def other_trainer(difference: str) -> Trainer:
    data, labels, model, recipe = two_clusters(), None, small_model(), RECIPE
    if difference == "data":
        data[7, 1] += 1e-6
    elif difference == "order":
        data = data.flip(0)
    elif difference == "labels":
        labels, model = torch.zeros(len(data), dtype=torch.long), small_model(1)
    elif difference == "network":
        model = PreconditionedScore(ResidualMLP((2,), 17, 1))
    elif difference == "steps":
        recipe = replace(RECIPE, steps=61)
    elif difference == "seed":
        recipe = replace(RECIPE, seed=6)
    elif difference == "precision":
        return Trainer(model, data, recipe, accelerator=make_accelerator("cpu", "bf16"))
    elif difference == "settings":
        return Trainer(model, data, recipe, settings={"dropout": 0.1})
    return Trainer(model, data, recipe, labels)


@pytest.mark.parametrize("difference", ["data", "order", "labels", "network", "steps", "seed", "precision", "settings"])
def test_checkpoint_of_another_training_is_refused(tmp_path: Path, difference: str) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trainer_of().run(interrupt_at(10), path)
    content = path.read_bytes()
    with pytest.raises(RunError, match=r"is no checkpoint of this training: .* differ; go on with the same ones, or"):
        other_trainer(difference).run(checkpoint=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "foreign", "text"])
def test_damaged_and_foreign_checkpoints_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trainer_of().run(interrupt_at(10), path)
    content = path.read_bytes()
    if damage == "foreign":
        save_file({"x": torch.zeros(2)}, path)
    else:
        flipped = content[:-100] + bytes([content[-100] ^ 4]) + content[-99:]
        damaged = {"empty": b"", "truncated": content[:-1], "flipped": flipped, "text": b"step,loss\n1,2\n"}
        path.write_bytes(damaged[damage])
    trainer = trainer_of()
    with pytest.raises(RunError, match=r"damaged|not written by ncsn") as caught:
        trainer.run(checkpoint=path)
    assert "\n" not in str(caught.value)
    assert trainer.step == 0


def test_checkpoint_is_no_pickle_and_says_where_training_stands(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trainer_of().run(interrupt_at(12), tmp_path / "checkpoint")
    _, metadata = files.read_tensors(tmp_path / "checkpoint")
    assert metadata["step"] == 10
    assert [step for step, _ in metadata["curve"]] == list(range(1, 11))


# Killed processes


def train_until_killed(path: str, die: str, at: int) -> None:
    """Train with a checkpoint every 5 steps; ``die`` while a checkpoint is written, or wait for the parent's signal."""
    training.REPORT_EVERY, training.CHECKPOINT_EVERY = 1, 5
    torch.set_num_threads(1)
    writes = 0

    def kill(*args: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == at:
            os.kill(os.getpid(), signal.SIGKILL)

    class Half:
        """A file whose process dies after half of what it writes."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            kill()
            self.file.write(content[len(content) // 2 :])

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    if die == "half written":
        vars(files)["open"] = lambda *args: Half(open(*args))  # noqa: SIM115
    elif die == "written":
        os.fsync = kill  # type: ignore[assignment]
    elif die == "renamed":
        rename = os.replace

        def replace_and_die(source: Any, target: Any) -> None:
            rename(source, target)
            kill()

        os.replace = replace_and_die  # type: ignore[assignment]
    trainer_of(dropout=0.3).run(checkpoint=Path(path))


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """Processes that start from a clean server, so that PyTorch is imported once and no thread is forked."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])
    with pytest.MonkeyPatch.context() as patch:
        # where the server finds this module
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        yield context


@pytest.fixture(scope="module")
def uninterrupted() -> Trainer:
    trainer = trainer_of(dropout=0.3)
    trainer.run()
    return trainer


def check_resumes(path: Path, uninterrupted: Trainer) -> None:
    resumed = trainer_of(dropout=0.3)
    resumed.run(checkpoint=path)
    assert same(resumed.averaged_model, uninterrupted.averaged_model)
    assert same(resumed.score_model, uninterrupted.score_model)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("die", "at", "checkpoint_at"),
    [("half written", 1, None), ("half written", 3, 10), ("written", 3, 10), ("renamed", 3, 15)],
)
def test_killed_while_writing_a_checkpoint(
    processes: Any, uninterrupted: Trainer, tmp_path: Path, die: str, at: int, checkpoint_at: int | None
) -> None:
    path = tmp_path / "checkpoint"
    process: BaseProcess = processes.Process(target=train_until_killed, args=(str(path), die, at))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    if checkpoint_at is None:
        assert not path.exists()
    else:
        _, metadata = files.read_tensors(path)
        assert metadata["step"] == checkpoint_at
    check_resumes(path, uninterrupted)


def test_killed_again_and_again_at_any_moment(processes: Any, uninterrupted: Trainer, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    delays = np.random.default_rng(0).uniform(0, 0.1, 3)
    for delay in delays:
        process: BaseProcess = processes.Process(target=train_until_killed, args=(str(path), "by the parent", 0))
        process.start()
        before = path.stat().st_mtime_ns if path.exists() else 0
        while process.is_alive() and (not path.exists() or path.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.join(60)
    check_resumes(path, uninterrupted)


# Several processes


def train_as_one_of_several(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    training.REPORT_EVERY, training.CHECKPOINT_EVERY = 5, 20
    torch.manual_seed(rank)
    own = Path(folder) / str(rank)
    # each begins with other weights, and with other rows in its batches
    model = PreconditionedScore(ResidualMLP((2,), 16, 1))
    nn.init.normal_(model.network.get_parameter("output.weight"))
    trainer = Trainer(model, two_clusters(), RECIPE, accelerator=make_accelerator("cpu"))
    trainer.run(checkpoint=own / "checkpoint")
    told = {"curve": trainer.curve, "main": is_main_process()}
    files.write_bytes(own / "weights", files.pack_tensors(trainer.averaged_model.state_dict(), told))
    torch.distributed.destroy_process_group()


def test_two_processes_agree_and_one_writes(processes: Any, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers: list[BaseProcess] = []
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        workers.append(processes.Process(target=train_as_one_of_several, args=(rank, port, str(tmp_path))))
        workers[-1].start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    (first, told_first), (second, told_second) = (
        files.read_tensors(tmp_path / str(rank) / "weights") for rank in range(2)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert told_first["curve"] == told_second["curve"]
    assert (told_first["main"], told_second["main"]) == (True, False)
    assert (tmp_path / "0" / "checkpoint").exists()
    assert not (tmp_path / "1" / "checkpoint").exists()


# Devices


def test_unknown_and_absent_devices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown device 'gpu'; did you mean 'cpu'\? known: cpu, cuda, mps"):
        make_accelerator("gpu")
    with pytest.raises(ValueError, match="unknown mixed precision 'bf61'; did you mean 'bf16'"):
        make_accelerator("cpu", "bf61")
    absent = "mps" if torch.cuda.is_available() or not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ValueError, match=rf"device '{absent}' is not there; device=None takes '(cpu|cuda|mps)'"):
        make_accelerator(absent)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has fp16")
def test_precision_that_a_device_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="cpu has no fp16; take mixed_precision='no'"):
        make_accelerator(None, "fp16")


def test_precision_can_change_within_a_process() -> None:
    assert make_accelerator("cpu", "bf16").mixed_precision == "bf16"
    assert make_accelerator("cpu", "no").mixed_precision == "no"
    assert make_accelerator("cpu").device.type == "cpu"


def test_mixed_precision_rounds_within_the_network_and_not_after_training() -> None:
    seen: set[torch.dtype] = set()

    class Recording(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            seen.add(y.dtype)
            return y

    model = small_model()
    model.network.output = Recording(16, 2)
    trainer = Trainer(model, two_clusters(), RECIPE, accelerator=make_accelerator("cpu", "bf16"))
    trainer.run()
    assert seen == {torch.bfloat16}
    assert {weight.dtype for weight in trainer.averaged_model.parameters()} == {torch.float32}
    seen.clear()
    trainer.averaged_model(torch.zeros(3, 2), torch.tensor(1.0))
    assert seen == {torch.float32}

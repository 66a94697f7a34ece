"""Digits of MNIST on few cores: what a network learns in a given time, beside a UNet of diffusers with the same levels and time.

    python benchmarks/images.py quality --data mnist.npz --seconds 240 --seeds 3 --peer
    python benchmarks/images.py quality --data mnist.npz --seconds 3600 --threads 2 --settings '{"n_blocks": 2}'
    python benchmarks/images.py steps
    python benchmarks/images.py quality --data mnist.npz --method ncsnv2 --walks '{"annealed Langevin": {}}'
    python benchmarks/images.py processes

The data are 8,000 of the training digits, drawn by seed 0, with their classes; samples have the classes of training rows. The
judge is a small convolutional network that is trained on the same digits, at least 98.5% right on the 10,000 test digits. The
Fréchet distance is that of 2,000 samples to the test digits in its 64 features; its floor that of 2,000 training digits.
"Confident" is the share that it reads with a probability above 0.9, "as asked" the share that it reads as the class drawn.
Seconds are CPU seconds of all threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ncsn import NCSN
from ncsn.evaluation import frechet_distance
from ncsn.networks import DiffusersNetwork, PreconditionedScore, UNet
from ncsn.noise import LogNormal
from ncsn.training import Batches, Recipe, Trainer, make_accelerator

N_TRAINING = 8000
LEAST_ACCURACY = 0.985

Pixels = NDArray[np.uint8]


class Judge(nn.Module):
    """A small convolutional network, whose last layer but one has the features."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * 49, 64),
            nn.ReLU(),
        )
        self.read = nn.Sequential(nn.Dropout(0.3), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        answer: Tensor = self.read(self.seen(x))
        return answer

    @torch.no_grad()
    def judged(self, pixels: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return features and probabilities."""
        features = torch.cat([self.seen(part) for part in as_input(pixels).split(1000)])
        return features.double().numpy(), self.read(features).softmax(1).double().numpy()


def as_input(pixels: Pixels) -> Tensor:
    """Return images as the judge takes them."""
    return torch.from_numpy(pixels).float().div(255).unsqueeze(1)


def trained_judge(x: Pixels, y: NDArray[np.int64], x_test: Pixels, y_test: NDArray[np.int64]) -> Judge:
    """Train a judge, and see that it is one."""
    torch.manual_seed(0)
    judge, epochs = Judge(), 10
    images, labels = as_input(x), torch.from_numpy(y)
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * -(-len(x) // 64))
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            moved = images[rows].roll(torch.randint(-2, 3, (2,)).tolist(), (2, 3))
            optimizer.zero_grad()
            functional.cross_entropy(judge(moved), labels[rows]).backward()
            optimizer.step()
            rate.step()
    judge.eval()
    accuracy = float((judge.judged(x_test)[1].argmax(1) == y_test).mean())
    print(f"the judge reads {accuracy:.2%} of the test digits", flush=True)
    if accuracy < LEAST_ACCURACY:
        raise SystemExit("that is no judge")
    return judge


def digits(path: str, n: int = N_TRAINING) -> tuple[Pixels, NDArray[np.int64], Pixels, NDArray[np.int64]]:
    """Return training and test digits with their classes."""
    with np.load(path) as file:
        rows = np.sort(np.random.default_rng(0).choice(len(file["x"]), n, replace=False))
        labels = file["y"].astype(np.int64), file["y_test"].astype(np.int64)
        return file["x"][rows], labels[0][rows], file["x_test"], labels[1]


def diffusers_unet(shape: Any, plan: Any, n_classes: int) -> nn.Module:
    """Make a UNet of diffusers of about as many channels; its attention too is at the coarsest resolution alone."""
    from diffusers import UNet2DModel

    widths = tuple(plan.width * multiplier for multiplier in plan.multipliers)
    plain = len(widths) - 1
    return DiffusersNetwork(
        UNet2DModel(
            sample_size=shape[-1],
            in_channels=1,
            out_channels=1,
            layers_per_block=plan.n_blocks,
            block_out_channels=widths,
            norm_num_groups=8,
            down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",),
            up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * plain,
            num_class_embeds=n_classes + 1 if n_classes else None,
        )
    )


def steps_within(seconds: float, make: Callable[[int], NCSN], x: Pixels, y: NDArray[np.int64]) -> int:
    """Return how many steps take some CPU seconds."""

    def cpu(steps: int) -> float:
        start = time.process_time()
        make(steps).fit(x[:1000], y[:1000])
        return time.process_time() - start

    cpu(2)
    return round(seconds / ((cpu(60) - cpu(20)) / 40))


def quality(asked: argparse.Namespace, network: Any, seed: int, judge: Judge) -> common.Figures:
    """Train for some time, and judge samples."""
    x, y, x_test, _ = digits(asked.data)

    def make(steps: int | None) -> NCSN:
        return NCSN(training_steps=steps, network=network, method=asked.method, random_state=seed, **asked.settings)

    steps = steps_within(asked.seconds, make, x, y)
    start = time.process_time()
    model = make(steps).fit(x, y)
    figures = {"CPU s": time.process_time() - start, "steps": float(steps)}
    held, _ = judge.judged(x_test)
    classes = y[np.random.default_rng(seed).permutation(len(y))[: asked.samples]]
    for name, how in asked.walks.items():
        start = time.process_time()
        drawn = model.sample(len(classes), label=classes, random_state=seed, **how)
        taken = 1000 * (time.process_time() - start) / len(classes)
        features, read = judge.judged(drawn)
        figures |= {
            f"{name}: Fréchet": frechet_distance(features, held),
            f"{name}: confident": float((read.max(1) > 0.9).mean()),
            f"{name}: as asked": float((read.argmax(1) == classes).mean()),
            f"{name}: ms": taken,
        }
        if asked.pictures:
            from ncsn.data import save_samples

            order = np.argsort(classes[:400], kind="stable")
            name = f"{asked.method}_{'peer' if network else 'ncsn'}_{name}_{seed}.png".replace(" ", "_")
            save_samples(drawn[:400][order], asked.pictures / name)
    return figures


def run_quality(asked: argparse.Namespace) -> None:
    """Print the figures of a training in some time."""
    x, y, x_test, y_test = digits(asked.data)
    judge = trained_judge(x, y, x_test, y_test)
    (known, read), (held, _) = judge.judged(x), judge.judged(x_test)
    for part in range(3):
        some = known[part * asked.samples : (part + 1) * asked.samples]
        print(f"floor: {frechet_distance(some, held):.2f}; confident {(read.max(1) > 0.9).mean():.3f}")
    networks: dict[str, Any] = {} if asked.peer_alone else {"ncsn": None}
    networks |= {"diffusers' UNet": diffusers_unet} if asked.peer or asked.peer_alone else {}
    runs = []
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        runs.append({name: quality(asked, network, seed, judge) for name, network in networks.items()})
        print(json.dumps(runs[-1]), flush=True)
    common.spread("images", runs)


def run_steps(asked: argparse.Namespace) -> None:
    """Print the time of a step of training and of an evaluation, interleaved, of networks of about as many weights."""
    from diffusers import UNet2DModel

    rows = torch.randn(1000, 28, 28, generator=torch.Generator().manual_seed(0))
    shape = (28, 28)
    networks: dict[str, Callable[[], nn.Module]] = {
        "ncsn": lambda: UNet(shape, 48, (1, 2, 2), 1),
        "ncsn, squares of 2 x 2": lambda: UNet(shape, 56, (1, 2), 2, patch=2),
        "diffusers": lambda: diffusers_like(UNet2DModel),
    }
    if find_spec("denoising_diffusion_pytorch") is None:
        print("denoising-diffusion-pytorch is not installed, so it is left out")
    else:
        unet = import_module("denoising_diffusion_pytorch").Unet
        networks["denoising-diffusion-pytorch"] = lambda: _Timed(unet(dim=28, dim_mults=(1, 2, 2), channels=1))
    for precision in ("no", "bf16"):
        accelerator = make_accelerator("cpu", precision)
        trainers = {}
        for name, make in networks.items():
            torch.manual_seed(0)
            levels = LogNormal(sigma_min=0.01, sigma_max=50, log_sigma_mean=-0.3, log_sigma_spread=1.5)
            recipe = Recipe(levels, steps=10_000, batch_size=64, learning_rate=1e-3)
            network = make()
            trainers[name] = Trainer(PreconditionedScore(network), Batches(rows), recipe, None, accelerator)
            print(f"{name}: {sum(weight.numel() for weight in network.parameters()):,} weights")
        times: dict[str, list[float]] = {name: [] for name in trainers}
        for _ in range(asked.rounds):
            for name, trainer in trainers.items():
                times[name].append(trainer.seconds_a_step(2, 0.0))
        median = {name: 1000 * statistics.median(values) for name, values in times.items()}
        shown = ", ".join(f"{name} {value:.0f} ms ({median['ncsn'] / value:.2f})" for name, value in median.items())
        print(f"a step of 64 in {precision}: {shown}", flush=True)


def diffusers_like(kind: Any) -> nn.Module:
    """Make diffusers' UNet of 32, 64 and 64 channels."""
    blocks = ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D")
    sizes = {"layers_per_block": 1, "block_out_channels": (32, 64, 64), "norm_num_groups": 8}
    down, up = blocks
    unet = kind(sample_size=28, in_channels=1, out_channels=1, **sizes, down_block_types=down, up_block_types=up)
    return DiffusersNetwork(unet)


class _Timed(nn.Module):
    """A network that wants four axes and a time of its own scale."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        answer: Tensor = self.unet(x.unsqueeze(1), (8 * noise).expand(len(x)))
        return answer.squeeze(1)


_WORKER = """
import json, sys, time
import torch
torch.set_num_threads(int(sys.argv[1]))
from ncsn.networks import PreconditionedScore, UNet
from ncsn.noise import LogNormal
from ncsn.training import Batches, Recipe, Trainer, make_accelerator
torch.manual_seed(0)
rows = torch.randn(2000, 28, 28, generator=torch.Generator().manual_seed(0))
levels = LogNormal(sigma_min=0.01, sigma_max=50, log_sigma_mean=-0.3, log_sigma_spread=1.5)
recipe = Recipe(levels, steps=int(sys.argv[3]), batch_size=64, learning_rate=1e-3)
trainer = Trainer(PreconditionedScore(UNet((28, 28), 32, (1, 2, 2), 1)), Batches(rows), recipe, None, make_accelerator("cpu"))
start = time.perf_counter()
trainer.run()
if trainer.accelerator.is_main_process:
    open(sys.argv[2], "w").write(json.dumps({"seconds": time.perf_counter() - start, "curve": trainer.curve}))
"""


def run_processes(asked: argparse.Namespace) -> None:
    """Print the time of two processes of one thread beside that of one process of two, and how far their losses differ."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "worker.py"
        script.write_text(_WORKER)
        told = {}
        launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
        for name, command, threads in (("one", [sys.executable], 2), ("two", launch, 1)):
            out = str(Path(folder) / name)
            subprocess.run([*command, str(script), str(threads), out, str(asked.rounds * 10)], check=True)
            told[name] = json.loads(Path(out).read_text())
        losses = [np.array([loss for _, loss in told[name]["curve"]]) for name in told]
        print(
            f"one process of two threads {told['one']['seconds']:.1f} s, two processes of one {told['two']['seconds']:.1f} s, "
            f"ratio {told['two']['seconds'] / told['one']['seconds']:.2f}; losses differ by "
            f"{np.abs(losses[1] / losses[0] - 1).max():.1e} of their value at most"
        )


PARTS = {"quality": run_quality, "steps": run_steps, "processes": run_processes}


def main() -> None:
    """Run a part and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", help="an .npz file of x, y, x_test and y_test")
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--method", default="edm")
    parser.add_argument("--peer", action="store_true", help="diffusers' UNet too")
    parser.add_argument("--peer-alone", action="store_true", help="diffusers' UNet and not ncsn's")
    parser.add_argument("--settings", type=json.loads, default={}, help="of NCSN, as JSON")
    parser.add_argument(
        "--walks",
        type=json.loads,
        default={"40": {}, "24": {"steps": 24, "churn": 0}, "20 guided": {"steps": 20, "guidance": 1.5}},
        help="how samples are drawn, arguments of `sample` by name, as JSON",
    )
    parser.add_argument("--pictures", type=Path, help="a folder for grids of samples")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.part == "quality" and asked.data is None:
        parser.error("quality needs --data")
    PARTS[asked.part](asked)


if __name__ == "__main__":
    main()

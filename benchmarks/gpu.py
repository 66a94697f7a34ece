"""What runs on a GPU: the plan's UNet beside diffusers' of as many channels, and a fit in the plane beside the CPU's.

    python benchmarks/gpu.py --images --data mnist.npz --seconds 300 --peer-seconds 60
    python benchmarks/gpu.py --plane

Images: all of the training digits, in bf16 and compiled, as the plan has it for the device; images a second, trained and
sampled, and the Fréchet distance of samples in the features of the judge of `images.py`. Without ``--data`` there are random
images, and no judge. The plane: 5,000 points of the Swiss roll, all defaults; seconds to fit and for 50,000 samples, and their
sliced W2 as a multiple of the training set's own. ``--device cpu`` tries the script.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import common
import numpy as np
import torch
from images import Judge, diffusers_unet, digits, trained_judge

from ncsn import NCSN, sliced_wasserstein2, swiss_roll
from ncsn.evaluation import frechet_distance
from ncsn.training import Progress


class Clock:
    """A callback that measures a training from its first report on, after compilation."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None
        self.last = (0, 0.0)

    def __call__(self, progress: Progress) -> None:
        """Note a step and its time."""
        self.last = (progress.step, time.perf_counter())
        self.first = self.first or self.last

    @property
    def steps_a_second(self) -> float:
        """Steps a second between the first and the last report."""
        (first, start), (last, end) = self.first or self.last, self.last
        return (last - first) / (end - start) if end > start else float("nan")


def images(asked: argparse.Namespace) -> None:
    """Print images a second and the distance, of both networks."""
    judge, held = None, None
    if asked.data is None:
        generator = np.random.default_rng(0)
        x, y = generator.integers(0, 256, (asked.rows, 28, 28), dtype=np.uint8), generator.integers(0, 10, asked.rows)
    else:
        x, y, x_test, y_test = digits(asked.data, asked.rows)
        torch.set_num_threads(min(4, torch.get_num_threads()))
        judge = trained_judge(x[:8000], y[:8000], x_test, y_test)
        held = judge.judged(x_test)[0]
    peer_seconds = asked.seconds if asked.peer_seconds is None else asked.peer_seconds
    rows = {}
    for name, network, seconds in (("ncsn", None, asked.seconds), ("diffusers' UNet", diffusers_unet, peer_seconds)):
        rows[name] = _measured(asked, seconds, network, x, y, judge, held)
        # what is known is kept where a lease ends early
        common.spread(f"images on {_where(asked.device)}", [rows])


def _where(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def plane(asked: argparse.Namespace) -> None:
    """Print the time of a fit and of samples on the device, compiled and not, and on the CPU."""
    points, held_out = (swiss_roll(n, torch.Generator().manual_seed(n)) for n in (5000, 50_000))

    def distance(samples: torch.Tensor) -> float:
        return sliced_wasserstein2(samples, held_out, generator=torch.Generator().manual_seed(0))

    ways = {"cuda": False, "cuda, compiled": True, "cpu": False} if asked.device == "cuda" else {"cpu": False}
    rows = {}
    for name, compiled in ways.items():
        start = time.perf_counter()
        device = "cpu" if name == "cpu" else asked.device
        model = NCSN(random_state=0, device=device, compile=compiled, training_steps=asked.steps).fit(points)
        fitted = time.perf_counter()
        samples = model.sample(asked.samples, random_state=0)
        sampled = time.perf_counter()
        ratio = distance(samples) / distance(points)
        rows[name] = {"fit s": fitted - start, "sample s": sampled - fitted, "x the training set's": ratio}
    common.spread(f"the plane on {_where(asked.device)}", [rows])


def _measured(
    asked: argparse.Namespace, seconds: float, network: Any, x: Any, y: Any, judge: Judge | None, held: Any
) -> common.Figures:
    clock = Clock()
    settings: dict[str, Any] = {
        "minutes": seconds / 60,
        "device": asked.device,
        "random_state": 0,
        "width": asked.width,
    }
    model = NCSN(network=network, **settings).fit(x, y, callback=clock)
    labels = np.arange(asked.samples) % 10
    model.sample(min(64, asked.samples), label=0)
    start = time.perf_counter()
    drawn = model.sample(asked.samples, label=labels, random_state=0)
    seconds = time.perf_counter() - start
    figures = {
        "weights": float(sum(weight.numel() for weight in model.score_model_.parameters())),
        "steps": float(model.plan_.training_steps),
        "trained a second": clock.steps_a_second * model.plan_.batch_size,
        "sampled a second": asked.samples / seconds,
    }
    if judge is not None:
        figures["Fréchet"] = frechet_distance(judge.judged(np.asarray(drawn))[0], held)
    return figures


def main() -> None:
    """Run what is asked for and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--plane", action="store_true")
    parser.add_argument("--data", help="an .npz file of x, y, x_test and y_test")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--peer-seconds", type=float, help="for diffusers' UNet; as long as ours when not given")
    parser.add_argument("--steps", type=int, help="of the fit in the plane; the plan's when not given")
    parser.add_argument("--width", type=int, help="channels; the plan's when not given")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    asked = parser.parse_args()
    if not (asked.images or asked.plane):
        parser.error("give --images or --plane")
    if asked.plane:
        plane(asked)
    if asked.images:
        images(asked)


if __name__ == "__main__":
    main()

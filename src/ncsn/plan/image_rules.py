"""The rules of images that a UNet is trained on, by their size, their number and the device, and of contexts that are images.

The figures are of MNIST on one core (`benchmarks/images.py`); those of a GPU follow Karras et al. 2022.
"""

import math

import torch

from ncsn.plan.measure import grey_step
from ncsn.plan.rules import LEAST_SIDE, SIGMA_MIN_BOUNDS, Answer, Facts, Regime

COARSEST_SIDE = 8
FINEST_SIDE_ON_CPU = 40
EPOCHS = 250
SMALL_SIDE = 16
SMALL_STEPS, CPU_STEPS, GPU_STEPS = 5000, 3000, 20_000
FEW_IMAGES, MANY_IMAGES = 5_000, 10_000
ENCODER_WIDTH = 16
SIGMA_MIN = 0.01
LOG_SIGMA_MEAN, LOG_SIGMA_SPREAD = -0.3, 1.5


def has_bf16(device: str) -> bool:
    """Return whether a device computes in bf16 faster than in single precision."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def _side(facts: Facts) -> int:
    return max(facts.shape[-2:])


def one_grey_step(facts: Facts) -> Answer:
    """Within bounds; a constant of images without steps."""
    step, spread = grey_step(facts.rows), facts.chosen["sigma_data"]
    if step is None:
        return SIGMA_MIN * spread, f"{SIGMA_MIN:g} sigma_data", "these images have no steps of grey"
    low, high = (bound * spread for bound in SIGMA_MIN_BOUNDS)
    reason = f"{step:.2g} from one value of a pixel to the next: finer noise would teach the rounding"
    return min(max(step, low), high), "one step of grey" + ", within bounds" * (not low <= step <= high), reason


def squares_to_channels(facts: Facts) -> Answer:
    """As many as leave few pixels on a CPU, none elsewhere."""
    halvings = math.ceil(math.log2(_side(facts) / FINEST_SIDE_ON_CPU)) if facts.device == "cpu" else 0
    reason = "squares of pixels that become channels: on a CPU a finer resolution costs more than it gains"
    return 2 ** max(0, halvings), f"1 up to {FINEST_SIDE_ON_CPU} pixels, or on a GPU", reason


def resolutions(facts: Facts) -> Answer:
    """Halved until the coarsest is small."""
    finest = math.ceil(_side(facts) / facts.chosen["patch"])
    halvings = max(1, math.ceil(math.log2(finest / COARSEST_SIDE)))
    rule = f"a UNet from {LEAST_SIDE} pixels on, halved to {COARSEST_SIDE}, once at least"
    return (
        (1, *[2] * halvings),
        rule,
        "channels of each resolution, in widths; a perceptron cannot carry so many values",
    )


def coarsest_attends(facts: Facts) -> Answer:
    """The coarsest resolution alone."""
    return (
        1,
        "the coarsest resolution",
        "its few pixels see all others; at finer ones attention costs more than it gains",
    )


def precision_by_device(facts: Facts) -> Answer:
    """bf16 where it is faster."""
    if has_bf16(facts.device):
        return "bf16", f"the {facts.device} has it", "half of the time of single precision"
    return "no", f"the {facts.device} has no bf16", "single precision"


def levels_that_decide(facts: Facts) -> Answer:
    """Higher for more pixels."""
    value = LOG_SIGMA_MEAN + max(0.0, math.log(_side(facts) / 32))
    reason = "where images are decided; more pixels average more noise away (Hoogeboom et al. 2023)"
    return value, f"{LOG_SIGMA_MEAN:g} + log(side / 32) from 32 on", reason


def levels_spread(facts: Facts) -> Answer:
    """A constant."""
    return LOG_SIGMA_SPREAD, f"{LOG_SIGMA_SPREAD:g} for images", "standard deviation of the log-normal levels"


def channels_by_device(facts: Facts) -> Answer:
    """Few on a CPU."""
    value = 32 if facts.device == "cpu" else 64 if facts.n_rows < MANY_IMAGES else 128
    return value, f"32 on a CPU; 64, or 128 from {MANY_IMAGES:,} images", "channels at the finest resolution"


def blocks_by_device(facts: Facts) -> Answer:
    """Few on a CPU."""
    return 1 if facts.device == "cpu" else 3, "1 on a CPU, 3 elsewhere", "at each resolution, down and up again"


def dropout_by_images(facts: Facts) -> Answer:
    """Some for few."""
    return 0.1 if facts.n_rows < FEW_IMAGES else 0.0, f"0.1 below {FEW_IMAGES:,} images", "few are learnt by heart"


def batch_by_device(facts: Facts) -> Answer:
    """Larger where it is free."""
    return 64 if facts.device == "cpu" else 256, "64 on a CPU, 256 elsewhere", "half as many take as many steps"


def steps_by_images(facts: Facts) -> Answer:
    """As long as somebody waits, but no more than the images bear."""
    most = GPU_STEPS if facts.device != "cpu" else SMALL_STEPS if _side(facts) < SMALL_SIDE else CPU_STEPS
    value = int(min(most, max(500, EPOCHS * facts.n_rows / facts.chosen["batch_size"])))
    return value, f"{EPOCHS} epochs, 500 to {most:,}", "more gains more where there are images enough: give minutes"


def rate_by_channels(facts: Facts) -> Answer:
    """In inverse proportion."""
    return 4e-3 * 32 / facts.chosen["width"], "0.004 at width 32", "wider layers take smaller steps"


def as_they_are(facts: Facts) -> Answer:
    """A constant."""
    return "none", "none for all images", "in the plan's steps the moved images cost more than they teach"


def shape_of_contexts(facts: Facts) -> Answer:
    """As encoded."""
    value = () if facts.contexts is None else tuple(facts.contexts.shape[1:])
    return value, "the contexts, encoded", "contexts are images: a convolutional encoder embeds them"


def channels_of_encoder(facts: Facts) -> Answer:
    """A half of the UNet's; a constant where there is none."""
    if facts.regime is Regime.IMAGES:
        return max(1, facts.chosen["width"] // 2), "half of the UNet's", "what is known is simpler than what is drawn"
    return (
        ENCODER_WIDTH,
        f"{ENCODER_WIDTH} where the data are no images",
        "channels at the finest resolution of contexts",
    )


def beside_the_image(facts: Facts) -> Answer:
    """As many times as make a context of the image's size."""
    sides = [] if facts.contexts is None else facts.contexts.shape[-2:]
    times = {own / told for own, told in zip(facts.shape[-2:], sides, strict=False)}
    if facts.regime is not Regime.IMAGES:
        return 0, "0 without a UNet", "a perceptron has no pixels to put others beside"
    if len(times) == 1 and (factor := times.pop()).is_integer():
        reason = "each pixel sees what is known of its place, as in SR3 and Palette (Saharia et al. 2021, 2022)"
        return int(factor), "to the image's size", reason
    return (
        0,
        "0 for other sizes",
        "no whole number of times makes a context of the image's size: its embedding alone is told",
    )

"""What the studio shows, as Python that makes the same."""

from __future__ import annotations

from collections.abc import Iterable

from ncsn.studio.learning import PAGE_LAYERS, Learning
from ncsn.studio.settings import Settings
from ncsn.studio.walking import MOST_GIVEN, POSTERIOR, SWEEPS, Walks, levels_of, options_of

_HEAD = '''"""What the studio showed: the same points, network and particles, to the last bit on the same machine."""

from dataclasses import replace

import torch

import ncsn
from ncsn.model import recipe_of
from ncsn.randomness import drawn_from
from ncsn.training import Trainer, make_accelerator
'''


def code_of(learning: Learning, walks: Walks | None) -> str:
    """Return Python that makes ``X``, ``learned`` where there was a training, and ``drawn`` where particles were walked."""
    settings = learning.settings
    blocks: list[Iterable[str]] = [["# the points, and their exact score", *learning.source.code]]
    blocks.append(["# noise levels, network and training from the data", *_plan(settings)])
    steps = learning.step if walks is None or settings.score == "exact" else walks.learned_at
    if learning.step:
        blocks.append([f"# the training, of which {learning.step:,} of {settings.steps:,} steps are taken"])
        blocks[-1] = [*blocks[-1], *_training(settings, learning.source.n_labels, steps)]
    if learning.step and settings.printed:
        blocks.append(["# the page's network as it is printed there", *_printed(settings, steps)])
    if walks is not None:
        blocks.append(["# the particles", *_walks(learning)])
    return "\n".join([_HEAD, *("\n".join([*block, ""]) for block in blocks)])


def _plan(settings: Settings) -> list[str]:
    given = f"width={settings.width}, training_steps={settings.steps}, batch_size={settings.batch_size}"
    if settings.learning_rate is not None:
        given += f", learning_rate={settings.learning_rate}"
    lines = [f"plan = ncsn.make_plan(X, {given})", f'method = ncsn.METHODS["{settings.method}"]']
    if settings.train_on is not None:
        lines.append(f'method = replace(method, train_on="{settings.train_on}")')
    if settings.weighting is not None:
        lines.append(f'method = replace(method, minimise=replace(method.minimise, weighting="{settings.weighting}"))')
    return lines


def _network(settings: Settings, name: str, made: str) -> list[str]:
    return [f"with drawn_from(torch.Generator().manual_seed({settings.seed})):", f"    {name} = {made}"]


def _trainer(settings: Settings, name: str, method: str, labels: str, steps: int) -> list[str]:
    return [
        f"recipe = recipe_of({method}, plan, None, seed={settings.seed})",
        f'trainer = Trainer({name}, X, recipe, {labels}, make_accelerator("cpu"))',
        f"trainer.advance({steps})",
    ]


def _training(settings: Settings, n_labels: int, steps: int) -> list[str]:
    made = f"method.build(plan, (2,), {n_labels if settings.labels else 0})"
    if settings.network == "page":
        made = f"ncsn.NCSNScoreNetwork(2, [{settings.width}] * {PAGE_LAYERS})"
    return [
        *_network(settings, "network", made),
        *_trainer(settings, "network", "method", "labels" if settings.labels else "None", steps),
        "learned = trainer.averaged_model",
    ]


def _printed(settings: Settings, steps: int) -> list[str]:
    return [
        "from ncsn.studio.printed import PrintedNetwork",
        "",
        'plain = replace(ncsn.METHODS["ncsn"], minimise=ncsn.DenoisingScoreMatching("sigma2"))',
        *_network(settings, "network", f"PrintedNetwork(2, [{settings.width}] * {PAGE_LAYERS})"),
        *_trainer(settings, "network", "plain", "None", steps),
        "printed = trainer.averaged_model",
    ]


def _walks(learning: Learning) -> list[str]:
    settings, ends, score = learning.settings, learning.ends, learning.settings.score
    told = learning.condition(score)
    lines = [f"ends = {ends[0]!r}, {ends[1]!r}", "drawn = {}"]
    if score != "exact" and not learning.step:
        lines += _training(settings, learning.source.n_labels, 0)
    if settings.guidance != 1 and told:
        lines.append(f"guided = ncsn.ClassGuidance({score}, {settings.guidance})")
        score = "guided"
    condition = f", condition={told}" if told else ""
    draws = f"generator=torch.Generator().manual_seed({settings.seed + 1})"
    grid = f'ncsn.create_noise_schedule(*ends, {settings.levels}, "{settings.grid}")'
    if settings.measured:
        angle = f"torch.tensor({settings.angle}).double().deg2rad()"
        return [
            *lines,
            f"angle = {angle}",
            f"measurement = ncsn.LinearMeasurement([[angle.cos(), angle.sin()]], [{settings.offset}], {settings.noise})",
            f"n = {min(settings.particles, MOST_GIVEN)}",
            f"levels = {grid}",
            f'drawn["{POSTERIOR}"] = ncsn.sample_posterior(',
            f"    {score}, measurement, levels, n, n_sweeps={SWEEPS}, {draws}{condition}",
            ")",
        ]
    n = settings.particles
    lines.append(f"start = ends[1] * torch.randn({n}, 2, generator=torch.Generator().manual_seed({settings.seed}))")
    for name in settings.samplers:
        levels = levels_of(settings, name, ends)
        chosen = options_of(settings, name, levels, learning.plan.sigma_data)
        options = "".join(f", {key}={value!r}" for key, value in chosen.items())
        last = "" if len(levels) > 1 else ", denoise_last=False"
        lines += [
            f"sigmas = {grid if len(levels) > 1 else f'torch.tensor([{settings.sigma}])'}",
            f'drawn["{name}"] = ncsn.sample(',
            f'    {score}, sigmas, {n}, 2, "{name}", x_init=start{last}, {draws}{condition}{options}',
            ")",
        ]
    return lines

"""Noise in blocks of rows, and the model that counts."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ncsn.errors import SettingError
from ncsn.exact import EmpiricalScore
from ncsn.samplers import CountedModel, Noise, Sampler, sample
from ncsn.samplers.base import GROUP

from .common import at_origin, points, variance_is


def test_noise_is_standard_normal_and_new_in_every_block_and_draw() -> None:
    noise = Noise(1, 0, 1000, torch.device("cpu"))
    x = torch.empty(2500, 4, dtype=torch.float64)
    draws = [noise.like(x), noise.like(x)]
    for draw in draws:
        assert draw.dtype == torch.float64
        assert abs(draw.mean()) < 4 / math.sqrt(draw.numel())
        assert variance_is(draw, 1.0)
    parts = [part for draw in draws for part in (draw[:500], draw[1000:1500], draw[2000:])]
    for a, b in itertools.combinations(parts, 2):
        assert abs((a * b).mean()) < 4 / math.sqrt(a.numel())


def test_noise_does_not_depend_on_the_layout() -> None:
    rows, columns = torch.empty(2500, 4), torch.empty(4, 2500).T
    first, second = (Noise(1, 0, 1000, torch.device("cpu")).like(x) for x in (rows, columns))
    assert torch.equal(first, second)


def test_a_counted_model_carries_its_condition() -> None:
    model = CountedModel(EmpiricalScore(torch.tensor([[0.0], [4.0]]), labels=[0, 1]), {"label": 1})
    torch.testing.assert_close(model.denoise(torch.zeros(3, 1), torch.tensor(2.0)), torch.full((3, 1), 4.0))
    assert model.evaluations == 1


def test_the_noise_of_a_row_depends_neither_on_how_many_there_are_nor_on_where_the_walk_begins() -> None:
    def drawn(first: int, rows: int) -> list[Tensor]:
        noise = Noise(5, first, 100, torch.device("cpu"))
        return [noise.like(torch.empty(rows, 3)) for _ in range(2)]

    whole = drawn(0, 1000)
    for first, rows in ((0, 1), (0, 99), (0, 101), (3, 250), (9, 100)):
        for part, all_rows in zip(drawn(first, rows), whole, strict=True):
            assert torch.equal(part, all_rows[100 * first : 100 * first + rows])


def test_means_are_over_groups_of_64_within_blocks() -> None:
    values = points(250)
    means = Noise(0, 0, 100, torch.device("cpu")).group_means(values)
    starts = [0, 64, 100, 164, 200, 250]
    for start, end in itertools.pairwise(starts):
        torch.testing.assert_close(means[start:end], values[start:end].mean().expand(end - start))
    alone = Noise(0, 0, 1, torch.device("cpu")).group_means(values)
    assert torch.equal(alone, values)
    # of any length and type, as of a loop over blocks and groups
    for n, block in ((1, 1), (63, 64), (64, 64), (65, 64), (129, 128), (300, 37), (300, 1000)):
        for some in (points(n), points(n).float()):
            slow = [group.mean().expand(len(group)) for rows in some.split(block) for group in rows.split(GROUP)]
            means = Noise(0, 0, block, torch.device("cpu")).group_means(some)
            assert means.dtype == some.dtype
            torch.testing.assert_close(means, torch.cat(slow))


def test_a_sampler_without_a_step_says_what_it_lacks() -> None:
    @dataclass(frozen=True, repr=False)
    class Still(Sampler):
        pass

    with pytest.raises(SettingError, match="Still is no sampler yet: give it a method step, or walk"):
        sample(at_origin(2), torch.tensor([2.0, 1.0]), 4, 2, Still())

"""What is kept of a walk."""

import pytest
import torch
from torch import Tensor

from ncsn.errors import SettingError
from ncsn.samplers import Recorder, State, sample

from .common import at_origin, generator, levels


def walked(n: int, count: int, most: int, chunk_size: int | None = None) -> tuple[list[State], list[State], Tensor]:
    """Return the states kept, all states, and the samples."""
    kept, seen = Recorder(most), []

    def both(state: State) -> None:
        kept(state)
        seen.append(state)

    x = sample(
        at_origin(64),
        levels(0.1, 8.0, count),
        n,
        64,
        "ddim",
        generator=generator(),
        chunk_size=chunk_size,
        callback=both,
    )
    return kept.states, seen, x


@pytest.mark.parametrize(("count", "steps"), [(3, [0, 1, 2, 3]), (12, [0, 4, 8, 12]), (33, [0, 16, 32, 33])])
def test_evenly_spaced_states_are_kept_and_both_ends(count: int, steps: list[int]) -> None:
    kept, seen, x = walked(10, count, most=5)
    assert [state.step for state in kept] == steps
    for state in kept:
        assert state.sigma == seen[state.step].sigma
        assert torch.equal(state.x, seen[state.step].x)
    assert torch.equal(kept[-1].x, x)


@pytest.mark.parametrize("most", [2, 3, 7, 100])
def test_no_more_are_kept_than_asked_for(most: int) -> None:
    kept, seen, _ = walked(2, 50, most)
    assert len(kept) <= most
    assert (kept[0].step, kept[-1].step) == (0, 50)
    assert most < 100 or len(kept) == len(seen)


def test_chunks_are_put_together() -> None:
    whole = walked(150, 9, most=4)[0]
    parts = walked(150, 9, most=4, chunk_size=64)[0]
    assert [state.step for state in parts] == [state.step for state in whole]
    for one, other in zip(parts, whole, strict=True):
        assert torch.equal(one.x, other.x)


def test_nothing_walked_is_nothing_kept_and_too_few_are_refused() -> None:
    assert Recorder().states == []
    for most in (0, 1):
        with pytest.raises(SettingError, match="at least"):
            Recorder(most)
    uneven = Recorder()
    for step in (0, 1, 0, 1, 2):
        uneven(State(step, 1.0, torch.zeros(2, 2), None, step))
    with pytest.raises(SettingError, match="the chunks of this walk took different numbers of steps"):
        _ = uneven.states

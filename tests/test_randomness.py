"""Random states, and draws that leave PyTorch's global generators alone, against those generators themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncsn.networks import NCSNScoreNetwork, ResidualMLP
from ncsn.randomness import drawn_from, generator_of, global_draws, repeated_draws, seed_from, seed_of

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Seeds and generators


@pytest.mark.parametrize("number", [0, 7, 2**32 - 1, np.int64(7), np.uint32(7)])
def test_whole_numbers_are_seeds_themselves(number: Any) -> None:
    assert seed_of(number) == int(number)
    assert type(seed_of(number)) is int


def test_generators_give_seeds_and_go_on() -> None:
    first, second = generator(3), generator(3)
    seeds = [seed_of(first) for _ in range(3)]
    assert seeds == [seed_of(second) for _ in range(3)]
    assert len(set(seeds)) == 3
    states = np.random.RandomState(3), np.random.RandomState(3)
    assert [seed_of(states[0]) for _ in range(3)] == [seed_of(states[1]) for _ in range(3)]
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_none_is_a_draw_of_torchs_default_generator() -> None:
    torch.manual_seed(3)
    seeds = [seed_of(None) for _ in range(3)]
    assert len(set(seeds)) == 3
    torch.manual_seed(3)
    assert [seed_of(None) for _ in range(3)] == seeds


@pytest.mark.parametrize("wrong", [-1, 2**32, 1.5, "7", np.random.default_rng(0), (1, 2), np.float64(3)])
def test_what_is_no_random_state_is_refused(wrong: Any) -> None:
    for function in (seed_of, generator_of):
        with pytest.raises(
            ValueError, match=r"random_state must be None, a whole number from 0 to 2\*\*32 - 1, a numpy"
        ):
            function(wrong)


def test_generators_of_random_states() -> None:
    own = generator(3)
    assert generator_of(own) is own
    assert generator_of(None) is None
    for state in (7, np.int64(7)):
        found = generator_of(state)
        assert found is not None
        assert torch.equal(torch.rand(3, generator=found), torch.rand(3, generator=generator(7)))
    found = generator_of(np.random.RandomState(3))
    assert found is not None
    assert found.initial_seed() == seed_of(np.random.RandomState(3))


def test_seeds_of_several_numbers_are_the_same_in_every_process() -> None:
    assert seed_from(5, 17, 0) == 17_498_838_248_433_716_819
    assert seed_from(0) == 15_793_235_383_387_715_774
    numbers = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**32 - 1, 0, 0), (1, 2**22, 0), (1 + 2**22, 0, 0)]
    assert len({seed_from(*given) for given in numbers}) == len(numbers)
    # the global generators take any of them
    generator().manual_seed(seed_from(0))


# Draws from a generator


def drawn(function: Callable[[], Any]) -> list[Tensor]:
    found = function()
    return [found] if isinstance(found, Tensor) else [value.detach() for value in found]


def check_drawn_as_by_the_global_generator(function: Callable[[], Any]) -> None:
    """Check that a function draws from a generator what it would draw from the global one of the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        expected = [drawn(function) for _ in range(2)]
    state = torch.get_rng_state()
    with drawn_from(generator(11)):
        found = [drawn(function) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    for ours, theirs in zip(chain(*found), chain(*expected), strict=True):
        assert torch.equal(ours, theirs)
    # the generator goes on between two draws
    assert not all(torch.equal(a, b) for a, b in zip(*found, strict=True))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(3, 4),
    "convolution": lambda: nn.Conv2d(3, 4, 3),
    "embedding": lambda: nn.Embedding(5, 3),
    "bilinear": lambda: nn.Bilinear(2, 3, 4),
    "recurrent": lambda: nn.LSTM(3, 4),
    "attention": lambda: nn.MultiheadAttention(8, 2),
    "transformer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
    "the residual perceptron": lambda: ResidualMLP((3,), 8, 2, n_fourier=4, n_classes=2, gain=True),
    "the page's network": lambda: NCSNScoreNetwork(3, [8, 8]),
}


@pytest.mark.parametrize("make", MODULES.values(), ids=list(MODULES))
def test_first_weights_are_those_of_a_seeded_global_generator(make: Callable[[], nn.Module]) -> None:
    def weights() -> Iterable[Tensor]:
        module = make()
        return [*module.parameters(), *module.buffers()]

    check_drawn_as_by_the_global_generator(weights)


EMPTY, HALVES = (4, 5), torch.full((20,), 0.5)

FUNCTIONS: dict[str, Callable[[], Tensor]] = {
    "rand": lambda: torch.rand(EMPTY),
    "randn": lambda: torch.randn(EMPTY),
    "complex": lambda: torch.randn(EMPTY, dtype=torch.complex64),
    "randint": lambda: torch.randint(1000, EMPTY),
    "randperm": lambda: torch.randperm(20),
    "normal": lambda: torch.normal(0.0, 1.0, EMPTY),
    "bernoulli": lambda: torch.bernoulli(HALVES),
    "multinomial": lambda: torch.multinomial(HALVES, 5),
    "poisson": lambda: torch.poisson(20 * HALVES),
    "bernoulli_": lambda: torch.empty(EMPTY).bernoulli_(0.5),
    "cauchy_": lambda: torch.empty(EMPTY).cauchy_(),
    "exponential_": lambda: torch.empty(EMPTY).exponential_(),
    "geometric_": lambda: torch.empty(EMPTY).geometric_(0.1),
    "log_normal_": lambda: torch.empty(EMPTY).log_normal_(),
    "normal_": lambda: torch.empty(EMPTY).normal_(),
    "random_": lambda: torch.empty(EMPTY).random_(),
    "uniform_": lambda: torch.empty(EMPTY).uniform_(),
    "init.kaiming_normal_": lambda: nn.init.kaiming_normal_(torch.empty(EMPTY)),
    "init.kaiming_uniform_": lambda: nn.init.kaiming_uniform_(torch.empty(EMPTY)),
    "init.xavier_normal_": lambda: nn.init.xavier_normal_(torch.empty(EMPTY)),
    "init.xavier_uniform_": lambda: nn.init.xavier_uniform_(torch.empty(EMPTY)),
    "init.normal_": lambda: nn.init.normal_(torch.empty(EMPTY)),
    "init.uniform_": lambda: nn.init.uniform_(torch.empty(EMPTY)),
    "init.orthogonal_": lambda: nn.init.orthogonal_(torch.empty(EMPTY)),
    "init.sparse_": lambda: nn.init.sparse_(torch.empty(EMPTY), 0.3),
    "init.trunc_normal_": lambda: nn.init.trunc_normal_(torch.empty(EMPTY)),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_torchs_random_functions_draw_what_the_global_generator_would(function: Callable[[], Tensor]) -> None:
    check_drawn_as_by_the_global_generator(function)


POINTS = torch.linspace(-2, 2, 200).reshape(50, 4)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dropout_is_torchs_own(p: float, inplace: bool, dtype: torch.dtype) -> None:
    check_drawn_as_by_the_global_generator(lambda: functional.dropout(POINTS.to(dtype, copy=True), p, True, inplace))
    layer = nn.Dropout(p, inplace)
    check_drawn_as_by_the_global_generator(lambda: layer(POINTS.to(dtype, copy=True)))


def test_the_gradient_of_dropout_is_torchs_own() -> None:
    def gradient() -> Tensor:
        x = POINTS.clone().requires_grad_()
        return torch.autograd.grad(functional.dropout(x, 0.3).square().sum(), x)[0]

    check_drawn_as_by_the_global_generator(gradient)


def test_a_network_with_dropout_is_as_with_the_global_generator() -> None:
    with drawn_from(generator()):
        network = ResidualMLP((4,), 16, 2, dropout=0.4)
        nn.init.normal_(network.output.weight)
    check_drawn_as_by_the_global_generator(lambda: network.train()(POINTS, torch.tensor(0.3)).detach())


def test_dropout_that_drops_nothing_or_all_needs_no_draw() -> None:
    random = generator()
    state = random.get_state()
    with drawn_from(random):
        assert functional.dropout(POINTS, 0.5, training=False) is POINTS
        assert torch.equal(functional.dropout(POINTS, 0.0), POINTS)
        assert torch.equal(random.get_state(), state)
        assert not functional.dropout(POINTS, 1.0).any()


def test_a_generator_that_is_given_is_the_one() -> None:
    random = generator()
    state = random.get_state()
    with drawn_from(random):
        own = torch.rand(3, generator=generator(5))
    assert torch.equal(own, torch.rand(3, generator=generator(5)))
    assert torch.equal(random.get_state(), state)


def test_the_inner_of_two_generators_draws() -> None:
    outer, inner = generator(1), generator(2)
    with drawn_from(outer):
        before = torch.rand(3)
        with drawn_from(inner):
            within = torch.rand(3)
        after = torch.rand(3)
    expected = generator(1)
    assert torch.equal(before, torch.rand(3, generator=expected))
    assert torch.equal(within, torch.rand(3, generator=generator(2)))
    assert torch.equal(after, torch.rand(3, generator=expected))


def test_afterwards_the_global_generator_draws_again() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    with pytest.raises(KeyboardInterrupt), drawn_from(generator()):
        torch.rand(3)
        raise KeyboardInterrupt
    assert torch.equal(torch.rand(3), expected)


def in_another_thread(function: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_other_threads_draw_from_their_own() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    with drawn_from(generator()):
        assert torch.equal(in_another_thread(lambda: torch.rand(3)), expected)


# Draws from the global generators


def test_global_draws_are_seeded_and_put_back() -> None:
    state = torch.get_rng_state()
    found = []
    for seed in (1, 1, 2):
        with global_draws(CPU, seed):
            found.append(torch.rand(3))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found[0], torch.rand(3, generator=generator(1)))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_global_draws_are_put_back_after_an_error() -> None:
    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt), global_draws(CPU, 1):
        torch.rand(3)
        raise KeyboardInterrupt
    assert torch.equal(torch.get_rng_state(), state)


def test_global_draws_within_global_draws() -> None:
    state = torch.get_rng_state()
    with global_draws(CPU, 1):
        before = torch.rand(3)
        with global_draws(CPU, 2):
            within = torch.rand(3)
        after = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    expected = generator(1)
    assert torch.equal(before, torch.rand(3, generator=expected))
    assert torch.equal(within, torch.rand(3, generator=generator(2)))
    assert torch.equal(after, torch.rand(3, generator=expected))


def test_threads_take_turns_with_the_global_generators() -> None:
    state = torch.get_rng_state()
    found: dict[int, Tensor] = {}

    def draw(seed: int) -> None:
        with global_draws(CPU, seed):
            found[seed] = torch.cat([torch.rand(1) for _ in range(200)])

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, values in found.items():
        random = generator(seed)
        assert torch.equal(values, torch.cat([torch.rand(1, generator=random) for _ in range(200)]))
    assert len(found) == 4
    assert torch.equal(torch.get_rng_state(), state)


# Draws once more


def test_repeated_draws_of_a_generator() -> None:
    random = generator(3)
    state = torch.get_rng_state()
    with drawn_from(random):
        with repeated_draws(CPU):
            first = functional.dropout(POINTS, 0.5)
        again, other = functional.dropout(POINTS, 0.5), functional.dropout(POINTS, 0.5)
    assert torch.equal(first, again)
    assert not torch.equal(again, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_repeated_draws_of_the_global_generator() -> None:
    with global_draws(CPU, 3):
        with repeated_draws(CPU):
            first = torch.rand(3)
        again, other = torch.rand(3), torch.rand(3)
    assert torch.equal(first, again)
    assert not torch.equal(again, other)

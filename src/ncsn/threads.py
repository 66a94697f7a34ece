"""How many threads PyTorch computes with: of small networks more of them wait for each other than they gain."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

A_THREAD = 10**8
"""Multiplications in one call of a network from which on a further thread pays: it gains a seventh or less where the cores are
idle, and on a busy machine, where operators wait for the slowest of their threads, the call takes several times as long."""

SAYING = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables of the environment by which a user says how many threads it shall be."""

_changing = threading.Lock()
_running: list[int] = []
_own = threading.local()


@contextmanager
def threads_that_pay(model: object, n_rows: int) -> Iterator[None]:
    """Let PyTorch take no more threads than pay for calls of a network, and put their number back in the end.

    It never takes more than ``torch.get_num_threads()`` says. Where the environment says how many (`SAYING`), these are taken;
    and what is on a GPU, has convolutions, or has no weights, such as an exact score, keeps all.

    Args:
        model: The network, or a model made of it.
        n_rows: Rows of a call.
    """
    paying = None if any(name in os.environ for name in SAYING) else _paying(model, n_rows)
    if paying is None:
        yield
        return
    with _changing:
        # what another Python thread has changed for now is not the user's number
        users = _running[0] if _running else torch.get_num_threads()
        _running.append(users)
    outer: int | None = getattr(_own, "taken", None)
    taken = _own.taken = min(users, paying)
    _take(taken)
    try:
        yield
    finally:
        _own.taken = outer
        with _changing:
            _running.pop()
            # unless a callback has asked for others
            if torch.get_num_threads() == taken:
                _take(users if outer is None else outer)


def _take(threads: int) -> None:
    # the call itself is not free
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _paying(model: object, n_rows: int) -> int | None:
    """Return how many threads pay; None where that cannot be told from the weights, each used once a row."""
    weights = list(model.parameters()) if isinstance(model, nn.Module) else []
    if not weights or any(weight.ndim > 2 or weight.device.type != "cpu" for weight in weights):
        return None
    return max(1, n_rows * sum(weight.numel() for weight in weights) // A_THREAD)

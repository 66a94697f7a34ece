"""One walk of several processes: which samples each takes, and all of them together."""

import torch
from torch import Tensor

from ncsn.randomness import seed_of


def part_of_process() -> tuple[int, int]:
    """Return the number of this process, and of how many; 0 of 1 where it is alone."""
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def common_generator(generator: torch.Generator | None) -> torch.Generator | None:
    """Return the generator, or where several processes have none, one with the main one's seed for all."""
    if generator is not None or part_of_process()[1] == 1:
        return generator
    seed = [seed_of(None)]
    torch.distributed.broadcast_object_list(seed, 0)
    return torch.Generator().manual_seed(seed[0])


def gathered(rows: Tensor) -> Tensor:
    """Return the rows of all processes, in the order of these, on the CPU; where this one is alone, the rows."""
    count = part_of_process()[1]
    if count == 1:
        return rows
    parts = [rows] * count
    torch.distributed.all_gather_object(parts, rows.cpu())
    return torch.cat(parts)

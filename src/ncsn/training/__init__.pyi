"""The public names of this room: one table, read by type checkers and, lazily, at run time."""

from .average import MovingAverage as MovingAverage
from .batches import (
    Batches as Batches,
    StreamBatches as StreamBatches,
)
from .checkpoint import steps_of as steps_of
from .devices import (
    agreed as agreed,
    make_accelerator as make_accelerator,
)
from .processes import (
    device_type as device_type,
    is_main_process as is_main_process,
    n_processes as n_processes,
)
from .recipe import Recipe as Recipe
from .trainer import (
    CHECKPOINT_EVERY as CHECKPOINT_EVERY,
    Progress as Progress,
    Trainer as Trainer,
)
from .validation import (
    Look as Look,
    Validation as Validation,
)

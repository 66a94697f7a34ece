"""Servers that tests start as processes of their own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

PATIENCE = 120.0
"""Seconds that a machine with much else to do may take to start one."""


def free_port() -> int:
    """Return a port that nothing listens to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until something listens to a port, or patience ends."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


@contextmanager
def served(command: Sequence[str], port: int, **options: Any) -> Iterator[str]:
    """Run a server, and give its address once it listens."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options) as process:
        wait_for(port)
        yield f"http://127.0.0.1:{port}/"
        process.terminate()

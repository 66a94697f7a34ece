"""What holds for all tests."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

# networks as small as the tests' take longer on two threads than on one; processes that tests start read it too
os.environ.setdefault("OMP_NUM_THREADS", "1")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium: the one that CHROMIUM names, or the one in the path."""
    api = pytest.importorskip("playwright.sync_api")
    named = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if named is None:
        pytest.fail("no Chromium here: install it, or say where it is in CHROMIUM")
    with api.sync_playwright() as playwright:
        # of the machine's own user the sandbox asks for more than a container has
        started = playwright.chromium.launch(executable_path=named, args=["--no-sandbox"])
        yield started
        started.close()

"""What holds for all tests."""

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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


PREFERENCES = """
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""


class Measured(SimpleHTTPRequestHandler):
    """Serves a folder and beside it a page, `measuring`, and keeps what that posts to `measured`."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, page: str, posted: "queue.Queue[Any]", **options: Any) -> None:
        self.page, self.posted = page.encode(), posted
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        """Answer with the page, or with a file."""
        if self.path != "/measuring":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def do_POST(self) -> None:
        """Keep what is posted."""
        self.posted.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def in_firefox(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, str], Any]:
    """Open a page in Firefox, over the files of a folder, and return what its script posts; nothing else has to drive it.

    It is the Firefox that FIREFOX names, or the one in the path; without one, tests are left out.
    """
    named = os.environ.get("FIREFOX") or shutil.which("firefox") or shutil.which("firefox-esr")
    if named is None:
        pytest.skip("no Firefox here: install it, or say where it is in FIREFOX")

    def opened(folder: Path, page: str) -> Any:
        profile = tmp_path_factory.mktemp("profile")
        (profile / "user.js").write_text(PREFERENCES, encoding="utf-8")
        posted: queue.Queue[Any] = queue.Queue()
        handler = partial(Measured, directory=str(folder), page=page, posted=posted)
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            where = f"http://127.0.0.1:{server.server_port}/measuring"
            command = [named, "--headless", "--no-remote", "--profile", str(profile), where]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                try:
                    # a machine with much else to do may take so many seconds
                    return posted.get(timeout=300)
                finally:
                    process.terminate()
                    server.shutdown()

    return opened

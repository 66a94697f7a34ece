"""The widget in JupyterLab, in a browser: `make test-studio`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import free_port, served

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = pytest.mark.browser

PATIENCE = 60_000
"""Milliseconds that JupyterLab and a kernel may take to start, on a machine with much else to do."""

CELLS = (
    "from ncsn.studio import Studio\nstudio = Studio('rings', width=16, particles=20)\nstudio",
    "print('steps taken:', studio.session.learning.step)",
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Serve JupyterLab over a folder with a notebook, with settings of its own."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"c{k}", "source": text, "metadata": {}, "outputs": [], "execution_count": None}
        for k, text in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "studio.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    port = free_port()
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "RUNTIME", "DATA")}
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={tmp_path}"]
    with served(command, port, env=os.environ | folders | {"IPYTHONDIR": str(tmp_path / "ipython")}) as address:
        yield address


def run_cell(page: Page, cell: Locator) -> None:
    """Run a cell, again where JupyterLab forgets it because its kernel is not there yet."""
    prompt = cell.locator(".jp-InputPrompt")
    for _ in range(PATIENCE // 1000):
        prompt.click()
        page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name=run]").click()
        page.wait_for_timeout(1000)
        if prompt.inner_text() != "[ ]:":
            return
    pytest.fail("the cell was not run")


def test_the_widget_lives_in_a_cell(browser: Browser, lab: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith((lab, "data:", "blob:")) else wrong.append(asked.url))
    page.goto(f"{lab}lab/tree/studio.ipynb")
    cells = page.locator(".jp-Notebook .jp-Cell")
    run_cell(page, cells.first)
    studio = page.locator(".ncsn")
    expect(studio.locator(".field figcaption").first).to_have_text("exact score", timeout=PATIENCE)
    studio.locator(".training").get_by_role("button", name="one step").click()
    expect(studio.locator(".told")).to_contain_text("step 1 of 2,000", timeout=PATIENCE)
    # the studio's keys are its own while it has the focus, and the notebook's commands stay away
    studio.locator(".data canvas").press("p")
    expect(studio.locator(".particles figcaption")).to_have_text(["langevin", "annealed langevin"], timeout=PATIENCE)
    studio.locator(".data canvas").press("p")
    # and the page's session is the cell's
    run_cell(page, cells.nth(1))
    expect(cells.nth(1)).to_contain_text("steps taken: 1", timeout=PATIENCE)
    context.close()
    assert wrong == []

"""The server: what it serves, to whom, and that the page's parts are one module. The widget, without a browser."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from starlette.testclient import TestClient

import ncsn.studio.guide
from ncsn import DataError, SettingError
from ncsn.studio import Studio
from ncsn.studio.messages import unpacked
from ncsn.studio.pages import FILES, MODULES, module
from ncsn.studio.server import MOST_SESSIONS, make_app, serve

GUIDE = ncsn.studio.guide.CHECKOUT / "docs" / "guide"


@pytest.fixture
def client() -> TestClient:
    return TestClient(make_app(), base_url="http://127.0.0.1")


def asked(client: TestClient, question: Any, name: str = "me") -> Any:
    return client.post("/ask", content=json.dumps(question), headers={"X-Studio": name})


def test_each_page_has_a_session_of_its_own(client: TestClient) -> None:
    asked(client, {"settings": {"data": "rings"}}, "one")
    for name, data in (("one", "rings"), ("two", "moons")):
        head, _ = unpacked(asked(client, {"do": {"hello": 1}}, name).content)
        assert head["settings"]["data"] == data
    for number in range(MOST_SESSIONS):
        asked(client, {}, f"other {number}")
    head, _ = unpacked(asked(client, {"do": {"hello": 1}}, "one").content)
    assert head["settings"]["data"] == "moons"


def test_only_this_machines_own_page_is_answered(client: TestClient) -> None:
    assert client.get("/").status_code == 200
    # a page of another host that leads to this address, and one that cannot send the header
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.post("/ask", content="{}").status_code == 403
    assert asked(client, [1]).status_code == 400
    assert client.post("/ask", content="{", headers={"X-Studio": "me"}).status_code == 400
    answer = client.get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers


def test_the_guide_is_there_and_nothing_else(client: TestClient) -> None:
    page = client.get("/guide/sampling")
    assert page.status_code == 200 and '<h1 id="sampling">Sampling</h1>' in page.text
    links = {each.split("#")[0] for each in re.findall(r'<a href="([^"#:]+[^":]*)"', page.text)}
    assert links and all(client.get(f"/guide/{link}").status_code == 200 for link in links)
    for name in ("none", "..%2Fquickstart", "sampling.md"):
        assert client.get(f"/guide/{name}").status_code == 404


@pytest.mark.parametrize("path", sorted(GUIDE.glob("*.md")), ids=lambda path: path.stem)
def test_pages_of_the_guide_are_shown_as_they_are_meant(client: TestClient, path: Path) -> None:
    page = client.get(f"/guide/{path.stem}").text
    source = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    # each formula between dollars, of a line or of its own
    formulas = re.findall(r"\$\$.+?\$\$|\$[^$]+\$", source, re.DOTALL)
    assert page.count("<math") == len(formulas)
    told = re.sub(r"<(pre|code|math).*?</\1>", "", page, flags=re.DOTALL)
    assert "$" not in told and "!!!" not in told and "\\" not in told
    assert page.count('class="admonition-title"') == source.count("\n!!! ")


def test_links_to_a_part_of_a_page_lead_there(client: TestClient) -> None:
    pages = {path.stem: client.get(f"/guide/{path.stem}").text for path in GUIDE.glob("*.md")}
    links = {(name, *link) for name, page in pages.items() for link in re.findall(r'href="([a-z_]*)#([^"]+)"', page)}
    assert len(links) > 3
    assert [each for each in links if f'id="{each[2]}"' not in pages[each[1] or each[0]]] == []


def test_formulas_have_their_font(client: TestClient) -> None:
    assert "/fonts/STIXTwoMath.woff2" in client.get("/studio.css").text
    assert client.get("/fonts/STIXTwoMath.woff2").content[:4] == b"wOF2"


def test_all_files_make_one_module_that_asks_no_other_host() -> None:
    assert {f"{name}.js" for name in MODULES} == {path.name for path in FILES.glob("*.js")}
    text = module()
    assert "\nimport " not in text and text.count("\nexport ") == 2
    assert "http://" not in text and "https://" not in text
    assert all(len(path.read_text().splitlines()) <= 400 for path in FILES.glob("*.js"))


def test_each_explanation_leads_to_a_page_of_the_guide(client: TestClient) -> None:
    text = (FILES / "explanations.js").read_text()
    pages = {line.rsplit('", "', 1)[1].split('"')[0] for line in text.splitlines() if line.startswith("  ")}
    assert len(pages) > 5
    for page in pages:
        assert client.get(f"/guide/{page}").status_code == 200, page


def test_a_widget_answers_with_the_questions_number() -> None:
    studio = Studio("rings", width=16)
    sent: list[Any] = []
    widget: Any = type("Widget", (), {"send": lambda self, content, buffers: sent.append((content, buffers))})()
    studio._answer(widget, {"number": 7, "question": {"do": {"points": 1}}}, [])
    content, buffers = sent[0]
    assert content == {"number": 7}
    head, arrays = unpacked(buffers[0])
    assert head["state"]["labels"] == 4 and arrays["points"].shape == (1000, 2)
    assert "mount" in studio.widget._esm
    bundle = studio._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in str(bundle)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda x: pd.DataFrame(x, columns=["u", "v"])])
def test_a_widget_takes_points(kind: Any) -> None:
    points = np.random.default_rng(0).normal([3, -2], [1, 4], (40, 2))
    studio = Studio(kind(points))
    _, arrays = unpacked(studio.session.answer({"do": {"points": 1}}))
    expected = (points - points.mean(0)) / points.std(0, ddof=1)
    np.testing.assert_allclose(np.sort(arrays["points"], 0), np.sort(expected, 0), atol=1e-4)
    copied: dict[str, Any] = {"data": pd.DataFrame(points, columns=studio.session.source.code[1].split("'")[1::2])}
    exec(unpacked(studio.session.answer({"do": {"code": 1}}))[0]["code"], copied)
    np.testing.assert_allclose(copied["X"], arrays["points"], atol=1e-6)


def test_a_widget_refuses_what_it_cannot_show() -> None:
    with pytest.raises(DataError, match=r"points of the plane, \(N, 2\), not \(5, 3\)"):
        Studio(np.zeros((5, 3)))
    with pytest.raises(SettingError, match="unknown toy set 'moon'; did you mean 'moons'"):
        Studio("moon")
    with pytest.raises(SettingError, match="unknown setting 'colour'"):
        Studio("moons", colour="red")


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SettingError, match="choose another with --port"):
            serve(other.getsockname()[1], opens=False)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("uvicorn", "from ncsn.app.cli import app, main; sys.argv = ['ncsn', 'studio']; main()"),
        ("anywidget", "from ncsn.studio import Studio; Studio().widget"),
    ],
)
def test_what_is_not_installed_is_said(missing: str, line: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; {line}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'ncsn[studio]'" in done.stderr.splitlines()[-1]

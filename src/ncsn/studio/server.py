"""``ncsn studio``: the page on loopback, each with a session of its own."""

from __future__ import annotations

import json
import socket
import threading
import webbrowser
from collections import OrderedDict
from collections.abc import Callable

from ncsn.errors import SettingError
from ncsn.studio.guide import FONT, font, guide_html
from ncsn.studio.pages import module, style
from ncsn.studio.session import Session

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, PlainTextResponse, Response
    from starlette.routing import Route
except ImportError as error:
    raise SettingError("the studio needs Starlette and uvicorn: pip install 'ncsn[studio]'") from error

HOST = "127.0.0.1"

MOST_SESSIONS = 8
"""Pages that are remembered; the one that was asked least lately is forgotten."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>ncsn studio</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/studio.css">
</head>
<body class="ncsn-page">
<div id="studio"></div>
<script type="module">
import { mount } from "/studio.js";
mount(document.getElementById("studio"));
</script>
</body>
</html>
"""

_GUIDE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>ncsn guide</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/studio.css">
</head>
<body class="ncsn-guide">PAGE</body>
</html>
"""

_LETTERS = f"""
@font-face {{ font-family: "STIX Two Math"; src: url("/fonts/{FONT}") format("woff2"); font-display: swap; }}
"""

_HEADERS = {
    # nothing is asked of any other host, and no other page may show or ask this one
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def _file(path: str, content: Callable[[], str | bytes | None], kind: str) -> Route:
    async def answer(request: Request) -> Response:
        found = content()
        return Response(found, 404 if found is None else 200, media_type=kind, headers=_HEADERS)

    return Route(path, answer)


def make_app() -> Starlette:
    """Return the application: the page, its module and style, the guide, and the answers to its questions."""
    sessions: OrderedDict[str, Session] = OrderedDict()
    lock = threading.Lock()

    def session(name: str) -> Session:
        with lock:
            found = sessions.pop(name, None) or Session()
            sessions[name] = found
            if len(sessions) > MOST_SESSIONS:
                sessions.popitem(last=False)
            return found

    async def guide(request: Request) -> Response:
        shown = guide_html(request.path_params["name"])
        if shown is None:
            return PlainTextResponse("there is no such page of the guide", 404, headers=_HEADERS)
        return HTMLResponse(_GUIDE.replace("PAGE", shown), headers=_HEADERS)

    async def ask(request: Request) -> Response:
        # another site's page cannot send this header without asking first, which nothing here allows
        name = request.headers.get("x-studio", "")
        if not name or len(name) > 64:
            return PlainTextResponse("a question needs the header X-Studio", 403, headers=_HEADERS)
        try:
            question = json.loads(await request.body())
        except (RecursionError, ValueError):
            question = None
        if not isinstance(question, dict):
            return PlainTextResponse("a question is a JSON object", 400, headers=_HEADERS)
        # work takes its time, in which other pages are answered
        answer = await run_in_threadpool(session(name).answer, question)
        return Response(answer, media_type="application/octet-stream", headers=_HEADERS)

    routes = [
        _file("/", lambda: _PAGE, "text/html"),
        _file("/studio.js", module, "text/javascript"),
        _file("/studio.css", lambda: style() + _LETTERS, "text/css"),
        _file(f"/fonts/{FONT}", font, "font/woff2"),
        Route("/guide/{name}", guide),
        Route("/ask", ask, methods=["POST"]),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


def serve(port: int = 0, *, opens: bool = True) -> None:
    """Serve the studio on loopback until it is interrupted.

    Args:
        port: The port; a free one when 0.
        opens: Whether to open the page in the browser.

    Raises:
        SettingError: The port is taken.
    """
    import torch

    # networks this small are faster on one thread
    torch.set_num_threads(1)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        raise SettingError(f"port {port} cannot be used ({error.strerror}): choose another with --port") from error
    address = f"http://{HOST}:{listening.getsockname()[1]}/"
    print(f"the studio is at {address}; stop with Ctrl-C", flush=True)  # noqa: T201
    if opens:
        threading.Timer(1.0, webbrowser.open, [address]).start()
    uvicorn.Server(uvicorn.Config(make_app(), log_level="warning")).run([listening])

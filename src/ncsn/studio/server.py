"""``ncsn studio``: the page on loopback, each with a session of its own."""

from __future__ import annotations

import json
import re
import socket
import threading
import webbrowser
from collections import OrderedDict

from ncsn.errors import SettingError
from ncsn.studio.pages import guide_page, module, style
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
<style>body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
pre { overflow-x: auto; } img { display: none; } table { display: block; overflow-x: auto; }</style>
</head>
<body>%s</body>
</html>
"""

_HEADERS = {
    # nothing is asked of any other host, and no other page may show or ask this one
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


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

    async def page(request: Request) -> Response:
        return HTMLResponse(_PAGE, headers=_HEADERS)

    async def script(request: Request) -> Response:
        return Response(module(), media_type="text/javascript", headers=_HEADERS)

    async def sheet(request: Request) -> Response:
        return Response(style(), media_type="text/css", headers=_HEADERS)

    async def guide(request: Request) -> Response:
        from markdown_it import MarkdownIt

        text = guide_page(request.path_params["name"])
        if text is None:
            return PlainTextResponse("there is no such page of the guide", 404, headers=_HEADERS)
        html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        # the guide's own pages are here, others are not
        html = re.sub(r'<a href="\.\./[^"]*">(.*?)</a>', r"\1", html).replace(".md", "")
        return HTMLResponse(_GUIDE % html, headers=_HEADERS)

    async def ask(request: Request) -> Response:
        # another site's page cannot send this header without asking first, which nothing here allows
        name = request.headers.get("x-studio", "")
        if not name or len(name) > 64:
            return PlainTextResponse("a question needs the header X-Studio", 403, headers=_HEADERS)
        try:
            question = json.loads(await request.body())
        except ValueError:
            question = None
        if not isinstance(question, dict):
            return PlainTextResponse("a question is a JSON object", 400, headers=_HEADERS)
        # work takes its time, in which other pages are answered
        answer = await run_in_threadpool(session(name).answer, question)
        return Response(answer, media_type="application/octet-stream", headers=_HEADERS)

    routes = [
        Route("/", page),
        Route("/studio.js", script),
        Route("/studio.css", sheet),
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

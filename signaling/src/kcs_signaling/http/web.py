"""The web client's files: `/` and `/m/{meeting_id}` are its page, `/assets/` never change."""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

_UNBUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>KCS Meetings</title>
<h1>KCS Meetings</h1>
<p>The service runs, but it has no web client to show.
<p>Build it with <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code> and name the
result in <code>KCS_HTTP__WEB_DIR</code> (<code>make run</code> does both).
</html>
"""


class _Files(StaticFiles):
    """Vite names assets by their content: kept for a year; everything else is asked for again."""

    def __init__(self, directory: Path, cache_control: str):
        super().__init__(directory=directory, check_dir=False)
        self._cache_control = cache_control

    def file_response(
        self,
        full_path: "str | os.PathLike[str]",
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = self._cache_control
        return response


def add_web(app: FastAPI, web_dir: Path | None) -> None:
    """Serves the built client in `web_dir`; without one, `/` says how to build it.

    Comes after all other routes: its last one takes every path.
    """
    index = web_dir / "index.html" if web_dir else None

    async def page() -> Response:
        if index is None or not index.is_file():
            return HTMLResponse(_UNBUILT)
        return FileResponse(index, headers={"Cache-Control": "no-cache"})

    app.add_api_route("/", page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/m/{meeting_id}", page, methods=["GET", "HEAD"], include_in_schema=False)
    if web_dir is not None:
        immutable = "public, max-age=31536000, immutable"
        app.mount("/assets", _Files(web_dir / "assets", immutable))
        app.mount("/", _Files(web_dir, "no-cache"))

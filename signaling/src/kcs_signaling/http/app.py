"""The FastAPI app: everything of signaling that is not Socket.IO.

A request passes `AnswerHeaders` (headers of every answer), CORS, `Guard` (body cap, last resort)
and reaches a route; what the route raises leaves as a problem (`problems`).
"""

from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from kcs_signaling.accounts import Passwords
from kcs_signaling.http import (
    audit,
    auth,
    breakouts,
    chat,
    debug,
    external,
    happenings,
    internal,
    links,
    me,
    meetings,
    operations,
    recordings,
    sessions,
    webrtc,
)
from kcs_signaling.http.middleware import AnswerHeaders, Guard, security_headers
from kcs_signaling.http.needs import RestServices
from kcs_signaling.http.problems import Problem, add_handlers, documented
from kcs_signaling.http.web import add_web
from kcs_signaling.service.nodes import RoomNodes

_PARTS = (
    auth,
    sessions,
    external,
    meetings,
    links,
    happenings,
    chat,
    breakouts,
    recordings,
    debug,
    me,
    audit,
    webrtc,
    operations,
    internal,
)
_REFERENCE = "#/components/schemas/{model}"


class _Rest(FastAPI):
    """FastAPI whose schema has our problem (see `problems.documented`) instead of its own."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is not None:
            return self.openapi_schema
        schema = super().openapi()
        models = schema["components"]["schemas"]
        problem = Problem.model_json_schema(ref_template=_REFERENCE)
        models.update(problem.pop("$defs"), Problem=problem)
        # FastAPI's own 422 stands where a path is any text, which nothing can be wrong with.
        for name in ("HTTPValidationError", "ValidationError"):
            models.pop(name, None)
        for operation in (op for path in schema["paths"].values() for op in path.values()):
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
            if "requestBody" in operation:  # answered before a route sees it
                operation["responses"] |= {str(k): v for k, v in documented(400, 408, 413).items()}
        return schema


def build_http(services: RestServices) -> FastAPI:
    """The app over these services; it opens and closes nothing by itself."""
    app = _Rest(
        title="KCS Meetings",
        version="1",
        description="Tokens, meetings, and what is on record of them. "
        "Errors are `application/problem+json` (RFC 9457).",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.state.capabilities = webrtc.Capabilities(services.placement)
    app.state.nodes = RoomNodes(services.placement, services.nodes)
    app.state.passwords = Passwords() if services.settings.auth.local_accounts else None
    for part in _PARTS:
        app.include_router(part.router)
    add_handlers(app)
    http = services.settings.http
    add_web(app, http.web_dir)
    app.add_middleware(Guard)  # the one added last is the outermost
    app.add_middleware(
        CORSMiddleware,
        allow_origins=http.allowed_origins,
        allow_methods=["DELETE", "GET", "PATCH", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match"],
        expose_headers=["ETag", "Retry-After"],
    )
    app.add_middleware(AnswerHeaders, headers=security_headers(http.public_url))
    return app

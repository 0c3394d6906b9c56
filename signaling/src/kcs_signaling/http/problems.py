"""Errors on the wire: `application/problem+json` (RFC 9457) with the guide's code beside.

Every error of REST leaves through here; a problem never quotes what the client sent.
"""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from kcs_signaling.accounts import WrongPassword
from kcs_signaling.errors import InvalidRequest, NotFound, SignalingError, Unavailable
from kcs_signaling.tokens import BadToken

MEDIA_TYPE = "application/problem+json"
_MAX_FIELDS = 20
_MAX_FIELD_LENGTH = 64

_STATUS: Mapping[str, int] = {
    "MEETING_NOT_FOUND": 404,
    "ACCESS_DENIED": 403,
    "MEETING_FULL": 409,
    "DECLARED_ELSEWHERE": 409,
    "NOT_CONFIGURED": 404,
    "MEETING_ENDED": 410,
    "RATE_LIMIT_EXCEEDED": 429,
    "INVALID_REQUEST": 400,
    "NOT_FOUND": 404,
    "PRECONDITION_FAILED": 412,
    "PRECONDITION_REQUIRED": 428,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "INVALID_CURSOR": 422,
    "NO_CAPACITY": 503,
    "UNAVAILABLE": 503,
}
"""Any other code is 500."""
_EXAMPLES: Mapping[int, str] = {
    **{status: code for code, status in _STATUS.items()},
    401: "ACCESS_DENIED",
    408: "INVALID_REQUEST",
    413: "INVALID_REQUEST",
    404: "MEETING_NOT_FOUND",
    422: "INVALID_REQUEST",
    503: "UNAVAILABLE",
}
"""The code that a documented status mostly comes with."""


class FieldProblem(BaseModel):
    """A field of the request that is not what it must be."""

    field: str = Field(description="Where it is, such as `body.max_participants`.")
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field("about:blank", description="`title` is the phrase of `status`.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do, for a person.")
    code: str = Field(description="What happened, for a program.")
    errors: list[FieldProblem] | None = Field(
        None, description="With status 422: the fields that are wrong."
    )
    reasons: dict[str, str] | None = Field(
        None, description="With `/readyz`: what is not ready, by part."
    )


class PreconditionFailed(SignalingError):
    """It has changed since the client read it."""

    code = "PRECONDITION_FAILED"


class PreconditionRequired(SignalingError):
    """A change must say which state it changes."""

    code = "PRECONDITION_REQUIRED"


class NotReady(Unavailable):
    """Parts that this service needs do not answer."""

    def __init__(self, reasons: dict[str, str]):
        super().__init__(f"not ready: {', '.join(sorted(reasons))}", retry_after_s=1)
        self.reasons = reasons


def problem(
    error: SignalingError,
    *,
    status: int | None = None,
    fields: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response for an error; `status` when the code alone does not say it."""
    if status is None:
        unknown = isinstance(error, BadToken | WrongPassword)
        status = 401 if unknown else _STATUS.get(error.code, 500)
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        code=error.code,
        errors=list(fields) if fields is not None else None,
        reasons=error.reasons if isinstance(error, NotReady) else None,
    )
    more = dict(headers or {})
    if status == 401:
        more["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        more["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    return JSONResponse(body.model_dump(exclude_none=True), status, more, MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    phrase, code = HTTPStatus(status).phrase, _EXAMPLES[status]
    example: dict[str, Any] = {"type": "about:blank", "title": phrase, "status": status}
    example |= {"detail": "What happened and what to do.", "code": code}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    headers = _RETRY_AFTER if status == 429 else {}
    return {"description": phrase, "content": {MEDIA_TYPE: content}, **headers}


def with_header(name: str, description: str, example: str) -> dict[str, Any]:
    """The `responses` entry of an answer that has a header worth knowing."""
    schema = {"type": "string"}
    return {"headers": {name: {"description": description, "schema": schema, "example": example}}}


_RETRY_AFTER = with_header("Retry-After", "In how many s to try again.", "30")


def add_handlers(app: FastAPI) -> None:
    """Renders what routes raise; what they should not raise is `middleware.Guard`'s."""

    @app.exception_handler(SignalingError)
    async def _signaling(_: Request, error: SignalingError) -> JSONResponse:
        return problem(error)

    @app.exception_handler(RedisError)
    async def _redis(_: Request, __: RedisError) -> JSONResponse:
        return problem(Unavailable("placement does not answer", retry_after_s=1))

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> JSONResponse:
        fields = [
            FieldProblem(field=_name(e["loc"]), message=str(e["msg"])[:200])
            for e in error.errors()[:_MAX_FIELDS]
        ]
        return problem(InvalidRequest("fields of the request are wrong"), status=422, fields=fields)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        kind = NotFound if error.status_code == 404 else InvalidRequest
        detail = "there is nothing here" if error.status_code == 404 else str(error.detail)
        return problem(kind(detail), status=error.status_code, headers=error.headers)


def _name(location: Sequence[object]) -> str:
    """`body.settings.default_role`: names of extra fields are the client's, so they are cut."""
    text = ".".join(str(part) for part in location)
    return text.encode("ascii", "backslashreplace").decode()[:_MAX_FIELD_LENGTH]

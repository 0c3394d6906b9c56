"""Signaling's internal API: nothing else in the operator talks to it.

Every call has an end, and comes back typed or as one of the errors below.

SignalingAway (Temporary)     it does not answer, or has no time
SignalingRefused (Permanent)  it does not take what was said: the text says why
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, SecretStr, ValidationError

from kcs_contracts.ids import MeetingId
from kcs_contracts.internal_api import (
    MEETINGS_PATH,
    DeclaredMeeting,
    DeclaredPage,
    Registered,
    Registration,
)
from kcs_operator.errors import Permanent, Temporary
from kcs_operator.tracing import call

_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=2)
_CONNECTIONS = 16
_PAGES_AT_MOST = 10_000
_M = TypeVar("_M", bound=BaseModel)


class _Field(BaseModel):
    field: str = ""
    message: str = ""


class _Problem(BaseModel):
    """What we read of an error (RFC 9457); anything else there is ignored."""

    code: str = ""
    detail: str = ""
    errors: tuple[_Field, ...] | None = None


class SignalingAway(Temporary):
    """It cannot be asked now; `reason` is one word for a condition."""

    def __init__(self, message: str, reason: str = "SignalingAway"):
        super().__init__(message)
        self.reason = reason


class SignalingRefused(Permanent):
    """It does not take the meeting as it is."""


class Signaling:
    """Declared meetings of one namespace, at signaling."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: SecretStr, namespace: str):
        self._session, self._url = session, url.rstrip("/") + MEETINGS_PATH
        self._key, self._namespace = key, namespace

    async def register(self, meeting_id: MeetingId, wanted: Registration) -> Registered:
        """Registers the meeting or changes it; the same again changes nothing.

        Raises:
            SignalingAway, SignalingRefused: see above.
        """
        answer = await self._call("PUT", f"/{quote(meeting_id)}", {}, wanted)
        return _read(Registered, answer)

    async def end(self, meeting_id: MeetingId) -> None:
        """Ends the meeting for all; done when it was ended, or is not there.

        Raises:
            SignalingAway, SignalingRefused: see above.
        """
        await self._call("DELETE", f"/{quote(meeting_id)}", {"namespace": self._namespace})

    async def declared(self) -> list[DeclaredMeeting]:
        """All meetings that are declared in the namespace and were not ended by `end`.

        Raises:
            SignalingAway, SignalingRefused: see above.
        """
        found: list[DeclaredMeeting] = []
        query = {"namespace": self._namespace}
        for _ in range(_PAGES_AT_MOST):
            page = _read(DeclaredPage, await self._call("GET", "", query))
            found += page.items
            if page.next is None:
                return found
            query["cursor"] = page.next
        raise SignalingAway("signaling's list of declared meetings has no end")

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Registration | None = None
    ) -> bytes:
        with call("signaling", method):
            return await self._send(method, path, query, body)

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Registration | None
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = body.model_dump_json(exclude_unset=True)
        try:
            async with self._session.request(
                method,
                self._url + path,
                params=query,
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as response:
                answer, status = await response.read(), response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SignalingAway(f"signaling does not answer ({type(error).__name__})") from error
        if status < 300:
            return answer
        raise _error(status, answer)


def _error(status: int, answer: bytes) -> SignalingAway | SignalingRefused:
    problem = _problem(answer)
    if problem.code == "NOT_CONFIGURED":
        return SignalingAway("signaling has no KCS_INTERNAL__KEY", "NotConfigured")
    if status == 401:
        text = "signaling has another KCS_INTERNAL__KEY than KCS_SIGNALING__KEY"
        return SignalingAway(text, "NotConfigured")
    if status in (400, 403, 409, 422):
        wrong = [f"{each.field}: {each.message}" for each in problem.errors or ()]
        said = "; ".join([problem.detail or f"status {status}", *wrong])
        return SignalingRefused(said[:1000])
    return SignalingAway(f"signaling answers {status} {problem.code}".strip())


def _problem(answer: bytes) -> _Problem:
    try:
        return _Problem.model_validate_json(answer)
    except ValidationError:
        return _Problem()


def _read(model: type[_M], answer: bytes) -> _M:
    try:
        return model.model_validate_json(answer)
    except ValidationError as error:
        raise SignalingAway("signaling's answer cannot be read") from error


@asynccontextmanager
async def open_signaling(url: str, key: SecretStr, namespace: str) -> AsyncIterator[Signaling]:
    """A client with connections of its own; closes them at the end."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        timeout=_TIMEOUT,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    async with session:
        yield Signaling(session, url, key, namespace)

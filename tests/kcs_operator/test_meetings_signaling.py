"""The client of signaling's internal API: what comes back is typed, or an error that says why."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from pydantic import SecretStr

from kcs_contracts.ids import MeetingId
from kcs_contracts.internal_api import Registration
from kcs_operator.signaling import Signaling, SignalingAway, SignalingRefused, open_signaling

ID = MeetingId("abc-defg-hij")
WANTED = Registration(
    namespace="talks",
    name="lab",
    display_name="Lab",
    host_id="ada",
    max_participants=9,
    expected_participants=3,
)
Answer = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Signaling]:
    """A client of a server that answers so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with open_signaling(
            f"http://127.0.0.1:{port}/", SecretStr("the-key"), "talks"
        ) as client:
            yield client
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (404, '{"code": "NOT_CONFIGURED", "detail": "x"}', SignalingAway, "no KCS_INTERNAL__KEY"),
        (401, '{"code": "ACCESS_DENIED"}', SignalingAway, "another KCS_INTERNAL__KEY"),
        (404, '{"code": "NOT_FOUND"}', SignalingAway, "404 NOT_FOUND"),  # an older one
        (409, '{"code": "DECLARED_ELSEWHERE", "detail": "not yours"}', SignalingRefused, "yours"),
        (
            422,
            '{"detail": "wrong", "errors": [{"field": "body.host_id", "message": "no id"}]}',
            SignalingRefused,
            "wrong; body.host_id: no id",
        ),
        (422, "<html>", SignalingRefused, "status 422"),
        (429, "{}", SignalingAway, "429"),
        (500, "", SignalingAway, "500"),
        (503, '{"code": "UNAVAILABLE"}', SignalingAway, "503 UNAVAILABLE"),
        (200, "{}", SignalingAway, "cannot be read"),
        (200, "nothing", SignalingAway, "cannot be read"),
        (302, "", SignalingAway, "302"),
    ],
)
async def test_each_answer_that_is_none_says_why(
    status: int, body: str, error: type[Exception], says: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="application/problem+json")

    async with answering(answer) as signaling:
        with pytest.raises(error, match=says) as caught:
            await signaling.register(ID, WANTED)
    assert "the-key" not in str(caught.value)


async def test_the_key_and_only_what_is_said_are_sent() -> None:
    seen: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.text()
        seen.append((request.method, request.headers["Authorization"], body))
        return web.Response(status=204)

    async with answering(answer) as signaling:
        with pytest.raises(SignalingAway):
            await signaling.register(ID, WANTED)
        await signaling.end(ID)
    (put, delete) = seen
    assert put[:2] == ("PUT", "Bearer the-key")
    assert '"settings"' not in put[2]
    assert delete == ("DELETE", "Bearer the-key", "")


async def test_pages_are_followed_to_the_last() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.query["namespace"] == "talks"
        page = int(request.query.get("cursor", "0"))
        item = f'{{"id": "m-{page}", "name": "n", "ended_at": null}}'
        following = f'"{page + 1}"' if page < 3 else "null"
        return web.Response(text=f'{{"items": [{item}], "next": {following}}}')

    async with answering(answer) as signaling:
        assert [each.id for each in await signaling.declared()] == ["m-0", "m-1", "m-2", "m-3"]


async def test_nobody_there_is_away() -> None:
    async with open_signaling("http://127.0.0.1:1", SecretStr(""), "talks") as signaling:
        with pytest.raises(SignalingAway, match="does not answer"):
            await signaling.end(ID)

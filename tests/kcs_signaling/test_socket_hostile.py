"""What a socket may not do: that socket is closed, and nobody else notices."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.signaling import ORIGIN, Client, RawSocket, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.rooms import Role

OpenRaw = Callable[..., Awaitable[RawSocket]]


@pytest.fixture
async def raw() -> AsyncIterator[OpenRaw]:
    """Opens raw sockets that are closed at the end."""
    async with AsyncExitStack() as stack:

        async def open_one(url: str, **headers: str) -> RawSocket:
            one = await RawSocket.open(url, **headers)
            stack.push_async_callback(one.close)
            return one

        yield open_one


async def refusals(signaling: Signaling, reason: str) -> float:
    """How many sockets were refused for that."""
    name = f'kcs_signaling_sockets_refused_total{{reason="{reason}"}} '
    for line in (await signaling.metrics()).splitlines():
        if line.startswith(name):
            return float(line.removeprefix(name))
    return 0


@pytest.mark.parametrize(
    "packet",
    [
        '51-/meeting,["room:join",{"_placeholder":true,"num":0}]',
        '510000-/meeting,7["room:join",{"_placeholder":true,"num":0}]',
        '61-/meeting,1[{"_placeholder":true,"num":0}]',
    ],
)
async def test_announced_attachments_are_refused_with_an_error_and_not_waited_for(
    signaling: Signaling, raw: OpenRaw, packet: str
) -> None:
    ann = await raw(signaling.url)
    await ann.join("/meeting", signaling.access("ann"))

    await ann.ws.send_str("4" + packet)

    error, *_ = await ann.rest()
    assert error.startswith('42/meeting,["room:error"')
    assert "binary" in error


async def test_the_refusal_names_the_meeting_that_the_socket_is_in(
    signaling: Signaling, node: FakeNode, raw: OpenRaw
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await raw(signaling.url)
    await ann.join("/meeting", signaling.access("ann"))
    await ann.ws.send_str(f'42/meeting,["room:join",{{"meeting_id":"{meeting}"}}]')
    assert "room:joined" in await ann.text()

    await ann.ws.send_str('451-/meeting,["room:join",{"_placeholder":true,"num":0}]')

    error, *_ = await ann.rest()
    name, payload = json.loads(error.removeprefix("42/meeting,"))
    assert (name, payload["meeting_id"]) == ("room:error", meeting)
    assert (payload["code"], payload["event"]) == ("INVALID_REQUEST", None)


async def test_in_the_client_dialect_the_error_event_tells_of_refused_attachments(
    signaling: Signaling, raw: OpenRaw
) -> None:
    ann = await raw(signaling.url)
    await ann.join("/", signaling.access("ann"))

    await ann.ws.send_str('451-["join-meeting",{"_placeholder":true,"num":0}]')

    (error,) = await ann.rest()
    name, payload = json.loads(error.removeprefix("42"))
    assert (name, payload["code"]) == ("error", "INVALID_REQUEST")


@pytest.mark.parametrize("frame", [b"\x00\x01", b"4" * 100])
async def test_a_binary_message_closes_the_socket(
    signaling: Signaling, raw: OpenRaw, frame: bytes
) -> None:
    ann = await raw(signaling.url)
    await ann.join("/meeting", signaling.access("ann"))

    await ann.ws.send_bytes(frame)

    assert await ann.rest(2) == []


async def test_a_message_over_64_kib_closes_the_socket_and_one_below_does_not(
    signaling: Signaling, raw: OpenRaw
) -> None:
    ann = await raw(signaling.url)
    await ann.join("/meeting", signaling.access("ann"))
    before = await refusals(signaling, "too_long")

    await ann.ws.send_str('42/meeting,1["x","' + "a" * 65_000 + '"]')
    assert "UNKNOWN_EVENT" in await ann.text()
    await ann.ws.send_str('42/meeting,2["x","' + "a" * 66_000 + '"]')

    assert await ann.rest(2) == []
    assert await refusals(signaling, "too_long") == before + 1


@pytest.mark.parametrize(
    "text",
    [
        "4",
        "49",
        "4x",
        "42/meeting,",
        "42/meeting,{}",
        "42/meeting,[]",
        "42/meeting,[1]",
        '42/meeting,["a"',
        '42/meeting,99999999999999["room:join",{}]',
        "42/meeting," + "[" * 30_000,
        "7",
        "z",
        "",
        "2",
        '42["join-meeting",{}]',
        "bAAAA",
    ],
)
async def test_a_malformed_packet_closes_that_socket_alone(
    signaling: Signaling, raw: OpenRaw, text: str
) -> None:
    ann = await raw(signaling.url)
    bob = await raw(signaling.url)
    await ann.join("/meeting", signaling.access("ann"))
    await bob.join("/meeting", signaling.access("bob"))

    await ann.ws.send_str(text)

    await ann.rest(2)
    assert ann.ws.closed
    await bob.ws.send_str('42/meeting,1["x"]')
    assert "UNKNOWN_EVENT" in await bob.text()


async def test_a_socket_without_a_namespace_is_closed_after_2_s(
    signaling: Signaling, raw: OpenRaw
) -> None:
    began = time.monotonic()
    silent = await raw(signaling.url)
    lost = await raw(signaling.url)

    await lost.ws.send_str("40/elsewhere,")
    assert "Invalid namespace" in await lost.text()

    assert await silent.rest(4) == []
    assert time.monotonic() - began > 1.7
    assert await lost.rest(4) == []


async def test_a_socket_that_leaves_its_namespace_is_closed_after_2_s(
    signaling: Signaling, raw: OpenRaw
) -> None:
    ann = await raw(signaling.url)
    await ann.join("/meeting", signaling.access("ann"))
    await asyncio.sleep(2.2)
    await ann.ws.send_str('42/meeting,1["x"]')
    assert "UNKNOWN_EVENT" in await ann.text()

    began = time.monotonic()
    await ann.ws.send_str("41/meeting,")

    assert await ann.rest(4) == []
    assert time.monotonic() - began > 1.7


async def test_bad_tokens_do_not_let_in(signaling: Signaling, raw: OpenRaw) -> None:
    good = signaling.access("ann")
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = {"kid": signaling.tokens.signer_kid}
    public = signaling.key.public_key()
    as_hmac_key = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)[-32:]

    def signed(**changes: object) -> str:
        return jwt.encode(claims | changes, signaling.key, algorithm="EdDSA", headers=kid)

    now = int(time.time())
    bad: dict[str, Any] = {
        "expired": signed(iat=now - 100, exp=now - 10),
        "unsigned": jwt.encode(claims, None, algorithm="none", headers=kid),
        "HS256 with the public key": jwt.encode(
            claims, as_hmac_key, algorithm="HS256", headers=kid
        ),
        "audience": signed(aud="kcs-node"),
        "refresh": signaling.tokens.refresh(signaling.tokens.verify(good))[0],
        "cut": good[:-4],
        "none": None,
        "number": 7,
        "long": "a" * 20_000,
        "object": {"token": good},
    }
    for kind, token in bad.items():
        socket = await raw(signaling.url)
        await socket.ws.send_str("40/meeting," + json.dumps({"token": token}))
        answer = await socket.text()
        assert answer == '44/meeting,{"message":"Authentication failed"}', kind
    bare = await raw(signaling.url)
    await bare.ws.send_str("40/meeting,")
    assert "Authentication failed" in await bare.text()
    mended = await raw(signaling.url)
    await mended.join("/meeting", good)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": ORIGIN + ".evil.example"},
        {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
        {
            "Origin": "https://evil.example",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https",
            "Host": "evil.example",
        },
    ],
)
async def test_a_foreign_origin_is_refused_whatever_the_proxy_headers_say(
    signaling: Signaling, headers: dict[str, str]
) -> None:
    polling = f"{signaling.url}/socket.io/?EIO=4&transport=polling"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await RawSocket.open(signaling.url, **headers)
    assert refused.value.status == 403
    async with aiohttp.ClientSession() as session:
        async with session.get(polling, headers=headers) as answer:
            assert answer.status == 403
        async with session.post(polling, headers=headers, data="40") as answer:
            assert answer.status == 403


async def test_the_host_itself_is_not_an_allowed_origin_unless_it_is_listed(
    signaling: Signaling,
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await RawSocket.open(signaling.url, Origin=signaling.url)


async def test_the_query_may_name_a_meeting_and_whatever_else_is_short(
    signaling: Signaling,
) -> None:
    polling = f"{signaling.url}/socket.io/?EIO=4&transport=polling"
    before = await refusals(signaling, "too_long")
    async with aiohttp.ClientSession(headers={"Origin": ORIGIN}) as session:
        for field in (
            "meeting=abc-defg-hij",
            "meeting=%ff%00&meeting=&=&x",
            "meeting=" + "m" * 900,
        ):
            async with session.get(f"{polling}&{field}") as answer:
                assert answer.status == 200
        async with session.get(f"{polling}&meeting={'m' * 2000}") as answer:
            assert answer.status == 414
        websocket = f"{signaling.url}/socket.io/?EIO=4&transport=websocket&meeting={'m' * 2000}"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(websocket)
        assert refused.value.status == 403
    assert await refusals(signaling, "too_long") == before + 2


async def test_a_listed_origin_connects(signaling: Signaling, raw: OpenRaw) -> None:
    page = await raw(signaling.url, Origin=ORIGIN)
    await page.join("/meeting", signaling.access("ann"))


async def test_a_missing_origin_is_refused_where_the_setting_says_so(
    own_signaling: Callable[..., Awaitable[Signaling]], raw: OpenRaw
) -> None:
    strict = await own_signaling(KCS_HTTP__ALLOW_MISSING_ORIGIN="false")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await RawSocket.open(strict.url)
    await raw(strict.url, Origin=ORIGIN)


@pytest.mark.parametrize("origins", ["[]", '["*"]', "", "https://a.b", None])
async def test_an_empty_or_open_allow_list_does_not_start(
    own_signaling: Callable[..., Awaitable[Signaling]], origins: str | None
) -> None:
    with pytest.raises(RuntimeError, match=r"signaling ended.*KCS_HTTP.*ALLOWED_ORIGINS"):
        await own_signaling(KCS_HTTP__ALLOWED_ORIGINS=origins)


async def test_without_any_setting_of_http_it_does_not_start_and_names_the_allow_list(
    own_signaling: Callable[..., Awaitable[Signaling]],
) -> None:
    with pytest.raises(RuntimeError, match=r"signaling ended.*KCS_HTTP.*ALLOWED_ORIGINS"):
        await own_signaling(KCS_HTTP__ALLOWED_ORIGINS=None, KCS_HTTP__PORT=None)


async def test_too_many_waiting_commands_close_the_socket_with_an_error(
    signaling: Signaling, node: FakeNode, clients: MakeClient, raw: OpenRaw
) -> None:
    meeting = await signaling.create_meeting("ann")
    bob = await clients(signaling, "/meeting", "bob")
    await bob.get("room:join", {"meeting_id": meeting})
    ann = await raw(signaling.url)
    await ann.join("/meeting", signaling.access("ann"))
    held = asyncio.Event()
    node.before = lambda op: held.wait() if isinstance(op, api.OpenRoom) else None

    join = f'["room:join",{{"meeting_id":"{meeting}"}}]'
    for number in range(80):
        await ann.ws.send_str(f"42/meeting,{number}{join}")

    texts = await ann.rest()
    assert "room:error" in texts[-1]
    assert "too many commands" in texts[-1]
    held.set()
    assert (await bob.ask("x"))["error"]["code"] == "UNKNOWN_EVENT"


async def test_a_socket_that_does_not_read_is_closed_and_the_others_get_all(
    signaling: Signaling, node: FakeNode, clients: MakeClient, raw: OpenRaw
) -> None:
    meeting = await signaling.create_meeting("ann")
    node.capabilities = {"x": "x" * 1_000_000}  # comes twice with each of 20 answers to a join
    bob = await clients(signaling, "/meeting", "bob")
    await bob.get("room:join", {"meeting_id": meeting})
    slow = await raw(signaling.url)
    await slow.join("/meeting", signaling.access("slow"))
    before = await refusals(signaling, "slow_consumer")
    slow.pause_reading()

    async def keep_asking() -> None:
        for _ in range(2000):
            await slow.ws.send_str(f'42/meeting,1["room:join",{{"meeting_id":"{meeting}"}}]')
            await asyncio.sleep(0.01)

    with pytest.raises(aiohttp.ClientConnectionResetError):
        await keep_asking()

    assert await refusals(signaling, "slow_consumer") == before + 1
    assert (await bob.hears("participant:joined"))["user_id"] == "slow"
    assert (await bob.ask("x"))["error"]["code"] == "UNKNOWN_EVENT"


async def test_polling_works_and_upgrades(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    polling = await clients(signaling, "/meeting", "ann", transports=("polling",))
    both = await clients(signaling, "/meeting", "bob", transports=("polling", "websocket"))

    await polling.get("room:join", {"meeting_id": meeting})
    await both.get("room:join", {"meeting_id": meeting})

    assert polling.sio.transport() == "polling"
    assert both.sio.transport() == "websocket"
    assert (await polling.hears("participant:joined"))["user_id"] == "bob"


async def test_polling_has_the_same_caps(signaling: Signaling) -> None:
    base = f"{signaling.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:

        async def opened() -> str:
            async with session.get(base) as answer:
                return base + "&sid=" + str(json.loads((await answer.text())[1:])["sid"])

        async def posted(url: str, body: str) -> int:
            async with session.post(url, data=body) as answer:
                return answer.status

        async def alive(url: str) -> bool:
            return await posted(url, "40/x,") == 200

        too_long = await opened()
        assert await posted(too_long, "4" + "a" * 70_000) == 400
        assert not await alive(too_long)

        too_many = await opened()
        assert await posted(too_many, "\x1e".join(["6"] * 17)) == 400
        assert not await alive(too_many)

        binary = await opened()
        await posted(binary, "bAAAA")
        assert not await alive(binary)

        fine = await opened()
        assert await alive(fine)
        async with session.get(base + "&j=0") as answer:
            assert answer.status == 400


async def test_a_polling_session_that_is_never_used_is_forgotten(signaling: Signaling) -> None:
    base = f"{signaling.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session:
        async with session.get(base) as answer:
            sid = json.loads((await answer.text())[1:])["sid"]
        await asyncio.sleep(4)
        async with session.get(f"{base}&sid={sid}") as answer:
            assert answer.status == 400


async def test_two_namespaces_on_one_socket_are_two_people_in_order(
    signaling: Signaling, node: FakeNode, raw: OpenRaw
) -> None:
    meeting = await signaling.create_meeting("ann")
    token = signaling.invited(meeting, "ann", Role.HOST)
    socket = await raw(signaling.url)
    await socket.join("/meeting", token)
    await socket.join("/", signaling.access("bob"))

    await socket.ws.send_str(f'42/meeting,1["room:join",{{"meeting_id":"{meeting}"}}]')
    await socket.ws.send_str(f'422["join-meeting",{{"meetingId":"{meeting}"}}]')

    texts = [await socket.text() for _ in range(5)]
    assert [text[:20] for text in texts[:2]] == ['42/meeting,["room:jo', '43/meeting,1[{"ok":t']
    assert any(text.startswith('432[{"ok":true') for text in texts[2:])


async def test_metrics_have_no_names_that_clients_make_up(
    signaling: Signaling, clients: MakeClient
) -> None:
    ann = await clients(signaling, "/meeting", "ann")
    await ann.refused("made-up-event-name")

    metrics = await signaling.metrics()

    assert "made-up-event-name" not in metrics
    assert 'event="unknown",result="UNKNOWN_EVENT"' in metrics
    assert 'kcs_signaling_sockets{namespace="/meeting"}' in metrics


async def test_logs_have_no_tokens(
    own_signaling: Callable[..., Awaitable[Signaling]], clients: Callable[..., Awaitable[Client]]
) -> None:
    signaling = await own_signaling()
    token = signaling.access("ann")
    ann = await clients(signaling, "/meeting", "ann", token=token)
    await ann.refused("room:join", {"meeting_id": token})
    await ann.close()
    await signaling.stop()
    assert token.rsplit(".", 1)[1] not in json.dumps(signaling.lines)

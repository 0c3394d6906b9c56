"""Who may control a node: tickets and epochs."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kcs_contracts import node_api as api
from kcs_contracts.ids import Epoch, MeetingId, ParticipantId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Source

MEETING = MeetingId("abc-defg-hij")
EPOCH = Epoch(1000)
OPEN = b'{"ops": [{"op": "open_room"}]}'


def _claims(process: Any, **changed: Any) -> dict[str, Any]:
    claims = {
        "aud": "kcs-node",
        "exp": int(time.time()) + 30,
        "meeting": MEETING,
        "node": process.name,
        "boot": process.boot,
        "epoch": EPOCH,
    }
    return {key: value for key, value in {**claims, **changed}.items() if value is not None}


def _sign(key: Any, claims: dict[str, Any], **header: Any) -> str:
    headers = {"kid": "test-key", "typ": "kcs-ticket", **header}
    return jwt.encode(claims, key, algorithm="EdDSA", headers=headers)


async def test_a_valid_ticket_is_taken(node: Any, signing: Any) -> None:
    status, _ = await node.post(_sign(signing.key, _claims(node)), OPEN)
    assert status == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1},
        {"exp": int(time.time()) + 3600},
        {"exp": None},
        {"aud": "kcs-meetings"},
        {"aud": None},
        {"meeting": "other-meeting"},
        {"meeting": None},
        {"node": "other-node"},
        {"boot": "other-life"},
        {"epoch": "soon"},
        {"epoch": None},
    ],
)
async def test_a_ticket_with_a_wrong_claim_is_refused(
    node: Any, signing: Any, changed: dict[str, Any]
) -> None:
    status, answer = await node.post(_sign(signing.key, _claims(node, **changed)), OPEN)
    assert (status, answer["error"]["code"]) == (401, "BAD_TICKET")
    assert (await node.text("/v1/node"))[1].count('"rooms":0') == 1


async def test_a_forged_unsigned_or_missing_ticket_is_refused(node: Any, signing: Any) -> None:
    claims = _claims(node)
    unsigned = jwt.encode(
        claims, None, algorithm="none", headers={"kid": "test-key", "typ": "kcs-ticket"}
    )
    symmetric = jwt.encode(
        claims, "k" * 32, algorithm="HS256", headers={"kid": "test-key", "typ": "kcs-ticket"}
    )
    good = _sign(signing.key, claims)
    bad = [
        None,
        "",
        "not-a-token",
        unsigned,
        symmetric,
        _sign(Ed25519PrivateKey.generate(), claims),
        _sign(signing.key, claims, kid="unknown"),
        _sign(signing.key, claims, typ="JWT"),
        good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB"),
    ]
    for ticket in bad:
        status, answer = await node.post(ticket, OPEN)
        assert (status, answer["error"]["code"]) == (401, "BAD_TICKET"), ticket


async def test_a_ticket_below_the_highest_epoch_is_stale(node: Any, people: Any) -> None:
    meeting = MeetingId("fenced")
    await people.join("ann", meeting=meeting, epoch=Epoch(1001))
    describe = api.DescribeParticipant(participant_id=ParticipantId("ann"))
    assert await node.refused(describe, meeting=meeting, epoch=EPOCH) == (409, "STALE_EPOCH")
    await node.answers(api.CloseRoom(), meeting=meeting, epoch=Epoch(1001))
    assert await node.refused(api.OpenRoom(), meeting=meeting, epoch=EPOCH) == (409, "STALE_EPOCH")


async def test_a_higher_epoch_gets_a_room_of_its_own(node: Any, people: Any, vp8: Any) -> None:
    where = {"meeting": MeetingId("renewed")}
    await people.join("ann", **where)
    await people.produce("ann", Source.CAMERA, vp8, **where)
    _, media = await node.answers(
        api.OpenRoom(),
        api.DescribeParticipant(participant_id=ParticipantId("ann")),
        **where,
        epoch=Epoch(2000),
    )
    assert (media.transports, media.producers) == ((), ())
    await node.answers(api.CloseRoom(), **where, epoch=Epoch(2000))


async def test_keys_that_come_after_the_node_started_are_taken(
    start_node: Any, signing: Any, tmp_path: Path
) -> None:
    later = tmp_path / "later.json"
    node = await start_node(KCS_TICKETS__JWKS=str(later))
    status, answer = await node.post(_sign(signing.key, _claims(node)), OPEN)
    assert (status, answer["error"]["code"]) == (401, "BAD_TICKET")
    assert "does not have signaling's keys yet" in answer["error"]["message"]
    later.write_text(json.dumps({"keys": [signing.jwk()]}))
    await node.line("ticket_keys")
    status, _ = await node.post(_sign(signing.key, _claims(node)), OPEN)
    assert status == 200


async def test_keys_come_from_signaling_and_a_rotated_one_is_fetched_at_once(
    start_node: Any, signing: Any
) -> None:
    kids, fetches = ["test-key"], 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal fetches
        fetches += 1
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"keys": [signing.jwk(kid) for kid in kids]}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        node = await start_node(KCS_TICKETS__JWKS=f"http://127.0.0.1:{port}/jwks.json")
        await node.line("ticket_keys")
        kids.append("rotated")
        await asyncio.sleep(5)  # a look for an unknown key is taken at most every 5 s
        status, _ = await node.post(_sign(signing.key, _claims(node), kid="rotated"), OPEN)
        assert status == 200
        before = fetches
        for _ in range(20):
            await node.post(_sign(signing.key, _claims(node), kid="guessed"), OPEN)
        assert fetches == before


async def test_secrets_are_in_no_log(
    node: Any, people: Any, signing: Any, dtls: Any, placement: Placement
) -> None:
    ticket = _sign(signing.key, _claims(node))
    await node.post(ticket, OPEN)
    await node.post(ticket + "x", OPEN)
    await people.join("ann")
    (made,) = await node.answers(
        api.CreateTransport(participant_id=ParticipantId("ann"), direction="recv")
    )
    connect = api.ConnectTransport(
        participant_id=ParticipantId("ann"), transport_id=made.transport_id, dtls_parameters=dtls
    )
    await node.results(connect, connect)
    text = node.log.read_text()
    assert node.lines()
    for secret in (ticket, ticket.rpartition(".")[2], made.ice_parameters["password"], "82:82"):
        assert secret not in text

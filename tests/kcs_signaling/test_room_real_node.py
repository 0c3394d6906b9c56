"""Both dialects over a real SFU node: its own ids, its own refusals, its worker's death."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.signaling import Client

from kcs_dev.api import access_token, new_meeting
from kcs_dev.stack import LocalStack

OPUS: dict[str, Any] = {
    "mid": "0",
    "codecs": [
        {
            "mimeType": "audio/opus",
            "payloadType": 111,
            "clockRate": 48000,
            "channels": 2,
            "parameters": {"useinbandfec": 1},
            "rtcpFeedback": [],
        }
    ],
    "headerExtensions": [],
    "encodings": [{"ssrc": 11223344}],
    "rtcp": {"cname": "ann", "reducedSize": True},
}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[LocalStack]:
    async with LocalStack(tmp_path / "stack") as running:
        yield running


@pytest.fixture
async def pair(stack: LocalStack) -> AsyncIterator[tuple[Client, Client, str]]:
    """Ann in `/meeting` and Bob in `/`, both in the meeting of that id."""
    meeting = await new_meeting(stack.url, "ann")
    ann, bob = Client("/meeting"), Client("/")
    await ann.connect(stack.url, await access_token(stack.url, "ann", "Ann"))
    await bob.connect(stack.url, await access_token(stack.url, "bob", "Bob"))
    yield ann, bob, meeting
    await ann.close()
    await bob.close()


async def test_the_dialects_exchange_streams_over_the_node(
    stack: LocalStack, pair: tuple[Client, Client, str]
) -> None:
    ann, bob, meeting = pair
    joined = await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("join-meeting", {"meetingId": meeting})
    capabilities = joined["rtp_capabilities"]
    send = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    assert send["ice_candidates"]
    assert send["dtls_parameters"]["fingerprints"]
    await bob.get("create-transport", {"meetingId": meeting, "direction": "recv"})
    mic = {"transport_id": send["transport_id"], "kind": "audio", "rtp_parameters": OPUS}
    producer = (await ann.get("produce", mic))["producer_id"]

    told = await bob.hears("new-producer")
    assert told["producerId"] == producer
    consume = {
        "meetingId": meeting,
        "producerParticipantId": told["participantId"],
        "kind": "audio",
        "rtpCapabilities": capabilities,
    }
    subscribed = await bob.get("consume", consume)
    assert subscribed["rtpParameters"]["codecs"][0]["mimeType"] == "audio/opus"
    await bob.get("resume-consumer", {"consumerId": subscribed["id"]})

    assert (
        await bob.refused(
            "connect-transport",
            {
                "transportId": send["transport_id"],
                "dtlsParameters": send["dtls_parameters"],
            },
        )
        == "NOT_FOUND"
    )
    for nonsense in ({}, {"codecs": []}, {**OPUS, "codecs": [{"mimeType": "audio/none"}]}):
        assert await ann.refused("produce", {**mic, "rtp_parameters": nonsense}) == (
            "INVALID_REQUEST"
        )
    nothing = {**consume, "rtpCapabilities": {"codecs": [], "headerExtensions": []}}
    assert await bob.refused("consume", nothing) == "CANNOT_CONSUME"
    assert (
        await ann.refused(
            "transport:connect",
            {
                "transport_id": send["transport_id"],
                "dtls_parameters": {"fingerprints": "x"},
            },
        )
        == "INVALID_REQUEST"
    )

    await ann.get("produce:close", {"producer_id": producer})
    assert (await bob.hears("producer-closed"))["producerId"] == producer


async def test_when_the_worker_dies_people_stay_and_media_starts_anew(
    stack: LocalStack, pair: tuple[Client, Client, str]
) -> None:
    ann, bob, meeting = pair
    joined = await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("join-meeting", {"meetingId": meeting})
    send = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    mic = {"transport_id": send["transport_id"], "kind": "audio", "rtp_parameters": OPUS}
    await ann.get("produce", mic)
    for worker in psutil.Process(stack.nodes[0].child.process.pid).children():
        os.kill(worker.pid, signal.SIGKILL)

    reset = await ann.hears("media:reset")

    assert reset["epoch"] == joined["media"]["epoch"]
    assert reset["generation"] > joined["media"]["generation"]
    assert (await bob.hears("media:reset"))["reason"] == "worker_died"
    again = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    producer = await ann.get("produce", {**mic, "transport_id": again["transport_id"]})
    await bob.get("create-transport", {"meetingId": meeting, "direction": "recv"})
    assert (await bob.hears("new-producer"))["producerId"] == producer["producer_id"]
    assert not [name for name, _ in bob.heard if name == "participant-left"]

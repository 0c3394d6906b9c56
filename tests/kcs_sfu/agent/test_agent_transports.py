"""A transport whose browser goes away, through a real worker."""

import asyncio
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from kcs_contracts import node_api as api
from kcs_contracts.events import PUBLISHED, bus_channel
from kcs_contracts.ids import MeetingId, ParticipantId, ProducerId, SessionId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Participant, Producer, Role, Source

from .browser import browser

ANN = ParticipantId("ann")
MEETING = MeetingId("abc-defg-hij")


async def dtls_state_becomes(wanted: str | None, node: Any, epoch: int) -> None:
    """Of Ann's transport, as the worker sees it; None: the node has closed it."""
    state: str | None = "unknown"
    async with asyncio.timeout(10):
        while state != wanted:
            await asyncio.sleep(0.05)
            (result,) = (await node.results(api.GetStats(participant_id=ANN), epoch=epoch)).results
            stats = (
                [entry for [entry] in result.answer.transports.values()] if result.answer else []
            )
            state = stats[0]["dtlsState"] if stats else None


async def test_a_browser_that_closes_its_connection_takes_its_streams_along(
    redis: Redis, start_node: Any, placement: Placement, opus: Any, tmp_path: Path
) -> None:
    node = await start_node()
    epoch = (await placement.assign(MEETING, warmup_ms=0)).epoch
    await placement.join(
        MEETING,
        Participant(
            id=ANN, display_name="Ann", role=Role.HOST, session=SessionId("s"), joined_at_ms=0
        ),
        limit=10,
    )
    _, made, produced = await node.answers(
        api.OpenRoom(),
        api.CreateTransport(participant_id=ANN, direction="send"),
        api.Produce(participant_id=ANN, source=Source.MIC, rtp_parameters=opus),
        epoch=epoch,
    )

    async def connect(dtls: dict[str, Any]) -> None:
        connect = api.ConnectTransport(
            participant_id=ANN, transport_id=made.transport_id, dtls_parameters=dtls
        )
        await node.answers(connect, epoch=epoch)

    producer = Producer(id=ProducerId(produced.producer_id), participant_id=ANN, source=Source.MIC)
    await placement.open_producer(MEETING, producer, epoch=epoch, generation=0)
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(bus_channel(MEETING))
    async with browser(made, connect, tmp_path) as anns:
        await dtls_state_becomes("connected", node, epoch)
        anns.openssl.stdin.close()  # openssl says goodbye: DTLS close_notify, as a closed tab does
        await dtls_state_becomes(None, node, epoch)
    async with asyncio.timeout(3):
        message = await anext(aiter(pubsub.listen()))
    event = PUBLISHED.validate_json(message["data"]).event
    assert (event.type, event.producer_id) == ("producer_closed", produced.producer_id)
    (media,) = await node.answers(api.DescribeParticipant(participant_id=ANN), epoch=epoch)
    assert (media.transports, media.producers) == ((), ())
    await pubsub.aclose()

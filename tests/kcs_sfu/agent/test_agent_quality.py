"""What a node measures of its media: connections, traffic, loss, jitter, round trips."""

import asyncio
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kcs_contracts import node_api as api
from kcs_contracts.ids import ParticipantId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Source
from kcs_sfu.agent import connection

from .browser import Browser, browser, connected
from .inside import Inside, until
from .streams import voice

ANN, BEN = ParticipantId("ann"), ParticipantId("ben")
JITTER = struct.pack(">I", 480)
"""10 ms by the clock of Opus."""
DTLS = {
    "role": "client",
    "fingerprints": [{"algorithm": "sha-256", "value": ":".join(["82"] * 32)}],
}


@pytest.fixture
async def inside(start_inside: Any) -> Inside:
    """A node whose network carries little."""
    started: Inside = await start_inside(egress_mbps=0.01)
    return started


def metric(inside: Inside, line: str) -> float:
    """The value of a sample; 0 when there is none."""
    for text in inside.metrics.render().decode().splitlines():
        if text.startswith(line + " "):
            return float(text.rpartition(" ")[2])
    return 0.0


async def talking(end: Browser) -> None:
    """A voice whose packets come unevenly."""
    for n in range(100_000):
        end.send(voice(n, 11111))
        await asyncio.sleep(0.01 if n % 2 else 0.03)


async def reporting(end: Browser) -> None:
    """Answers each sender report as if the answer took 30 ms on its way (RFC 3550)."""
    seen = 0
    while True:
        for packet in end.rtcp[seen:]:
            seen += 1
            if packet[1] == 200:
                await asyncio.sleep(0.03)
                report = packet[4:8] + bytes(8) + JITTER + packet[10:14] + struct.pack(">I", 1)
                end.send_rtcp(struct.pack(">BBHI", 0x81, 201, 7, 1) + report)
        await asyncio.sleep(0.02)


async def test_a_sweep_samples_traffic_loss_jitter_and_round_trips(
    inside: Inside, placement: Placement, opus: Any, vp8: Any, tmp_path: Path
) -> None:
    (opened,) = await inside.answers(api.OpenRoom())
    async with (
        connected(inside, ANN, "send", tmp_path) as anns,
        connected(inside, BEN, "recv", tmp_path) as bens,
        asyncio.TaskGroup() as group,
    ):
        producing = [
            api.Produce(participant_id=ANN, source=source, rtp_parameters=rtp)
            for source, rtp in ((Source.MIC, opus), (Source.CAMERA, vp8))
        ]
        consuming = [
            api.Consume(
                participant_id=BEN,
                producer_id=produced.producer_id,
                rtp_capabilities=opened.rtp_capabilities,
                paused=False,
            )
            for produced in await inside.answers(*producing)
        ]
        await inside.answers(*consuming)
        tasks = [group.create_task(work) for work in (talking(anns), reporting(bens))]
        consumer = next(iter(inside.room.participants[BEN].consumers.values()))
        await until(lambda: len(bens.received) > 100, within_s=15)
        async with asyncio.timeout(15):  # the worker reports every few seconds
            while not (await consumer.get_stats())[0]["roundTripTime"]:
                await asyncio.sleep(0.1)
        await inside.node.sweep.once()
        traffic = [
            metric(inside, f'kcs_sfu_network_bytes_total{{direction="{d}"}}') for d in ("in", "out")
        ]
        assert all(bytes_ > 5_000 for bytes_ in traffic)
        await inside.node.sweep.once()
        again = metric(inside, 'kcs_sfu_network_bytes_total{direction="in"}')
        assert traffic[0] < again < 2 * traffic[0]  # counted once
        for task in tasks:
            task.cancel()

    assert metric(inside, 'kcs_sfu_jitter_seconds_count{direction="in"}') == 2
    assert 0 < metric(inside, 'kcs_sfu_jitter_seconds_sum{direction="in"}') / 2 < 0.5
    assert metric(inside, 'kcs_sfu_jitter_seconds_sum{direction="out"}') == pytest.approx(0.02)
    round_trips = 'kcs_sfu_rtt_seconds_{}{{direction="out"}}'
    assert metric(inside, round_trips.format("count")) == 2
    assert 0.02 < metric(inside, round_trips.format("sum")) / 2 < 5
    assert metric(inside, 'kcs_sfu_packet_loss_ratio_bucket{direction="out",le="0.0"}') == 2
    sent = metric(inside, 'kcs_sfu_network_bits_per_second{direction="out"}')
    assert 5_000 < sent < 100_000
    assert metric(inside, "kcs_sfu_network_available_bits_per_second") == 1_500_000
    assert metric(inside, 'kcs_sfu_connections_total{outcome="connected"}') == 2

    async with asyncio.timeout(5):  # told with the next lease: the node is full
        while (await placement.nodes())[0].load < sent / 10_000 * 0.99:
            await asyncio.sleep(0.1)


async def test_connections_that_fail_are_counted_by_what_failed(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(direction: api.Direction) -> None:
        (made,) = await inside.answers(api.CreateTransport(participant_id=ANN, direction=direction))
        connect = api.ConnectTransport(
            participant_id=ANN, transport_id=made.transport_id, dtls_parameters=DTLS
        )
        await inside.answers(connect)

    def outcome(name: str) -> float:
        return metric(inside, f'kcs_sfu_connections_total{{outcome="{name}"}}')

    await inside.answers(api.OpenRoom(), api.CreateTransport(participant_id=BEN, direction="send"))
    with monkeypatch.context() as impatient:
        impatient.setattr(connection, "PATIENCE_S", 0.3)
        await attempt("send")
        await until(lambda: outcome("ice_failed") == 1, within_s=10)
    await attempt("recv")
    await inside.answers(api.CloseParticipant(participant_id=ANN))
    assert outcome("abandoned") == 1
    (made,) = await inside.answers(api.CreateTransport(participant_id=ANN, direction="recv"))

    async def lie(_: dict[str, Any]) -> None:
        """Announces another certificate than the one that it will show."""
        connect = api.ConnectTransport(
            participant_id=ANN, transport_id=made.transport_id, dtls_parameters=DTLS
        )
        await inside.answers(connect)

    with suppress(AssertionError):  # openssl sees the handshake fail
        async with browser(made, lie, tmp_path):
            pass
    await until(lambda: outcome("dtls_failed") == 1, within_s=10)
    await inside.answers(api.CloseRoom())
    assert [outcome(name) for name in ("connected", "ice_failed", "abandoned")] == [0, 1, 1]

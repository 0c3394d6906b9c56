"""Streams that a test makes by hand and feeds into a room by DirectTransports: voices, pictures."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kcs_contracts.ids import ParticipantId
from kcs_contracts.rooms import Source
from kcs_sfu.agent.priorities import Sender
from kcs_sfu.mediasoup.direct_transport import DirectTransport
from kcs_sfu.mediasoup.producer import Producer

from .inside import Inside

LAYERS = ((4, 300), (1, 1000), (1, 1100))
"""A picture's: ticks from frame to frame, and bytes of each: 26, 330 and 360 kbit/s on the wire."""
_TICK_S = 1 / 40
_REPORT_TICKS = 20
_CLOCK_HZ = 90_000


async def produce(
    inside: Inside, who: ParticipantId, source: Source, ssrc: int, rtp: Any
) -> Producer:
    """A producer whose packets the test makes; a picture's layers have three SSRCs in a row."""
    transport = await inside.room.home.router.create_direct_transport()
    ssrcs = range(ssrc, ssrc + 3) if source.kind == "video" else (ssrc,)
    parameters = {**rtp, "encodings": [{"ssrc": n} for n in ssrcs], "mid": str(ssrc)}
    producer = await transport.produce(kind=source.kind, rtp_parameters=parameters)
    inside.room.senders[producer.id] = Sender(who, source)
    if source is Source.MIC:
        await inside.room.speakers.add(producer.id)
    return producer


async def microphone(inside: Inside, who: ParticipantId, ssrc: int, opus: Any) -> Producer:
    """A microphone."""
    return await produce(inside, who, Source.MIC, ssrc, opus)


def voice(sequence: int, ssrc: int, level: int = 20) -> bytes:
    """20 ms of somebody who speaks with that level, in -dBov (RFC 6464)."""
    header = struct.pack(">BBHII", 0x90, 111, sequence & 0xFFFF, sequence * 960, ssrc)
    return header + struct.pack(">HHBBH", 0xBEDE, 1, 10 << 4, 0x80 | level, 0) + b"opus" * 10


@asynccontextmanager
async def speaking(producer: Producer, ssrc: int, level: int = 20) -> AsyncIterator[None]:
    """Sends a packet every 20 ms."""

    async def speak() -> None:
        for n in range(10_000):
            producer.send(voice(n, ssrc, level))
            await asyncio.sleep(0.02)

    async with _running(speak()):
        yield


@asynccontextmanager
async def filming(*pictures: tuple[Producer, int]) -> AsyncIterator[None]:
    """Sends the three layers of each, given with its first SSRC, and their sender reports."""

    async def film() -> None:
        started = time.monotonic()
        for tick in range(100_000):
            for producer, ssrc in pictures:
                _film(producer, ssrc, tick)
            await asyncio.sleep(max(0.0, started + (tick + 1) * _TICK_S - time.monotonic()))

    async with _running(film()):
        yield


def _film(producer: Producer, ssrc: int, tick: int) -> None:
    for layer, (ticks, size) in enumerate(LAYERS):
        if tick % ticks == 0:
            producer.send(_frame(tick // ticks, tick, ssrc + layer, size))
        if tick % _REPORT_TICKS == 0 and isinstance(producer.transport, DirectTransport):
            producer.transport.send_rtcp(_sender_report(tick, ssrc + layer))


def _frame(sequence: int, tick: int, ssrc: int, size: int) -> bytes:
    """A VP8 key frame of one packet: payload descriptor with a picture id (RFC 7741)."""
    at = round(tick * _TICK_S * _CLOCK_HZ)
    header = struct.pack(">BBHII", 0x80, 0x80 | 96, sequence & 0xFFFF, at, ssrc)
    descriptor = bytes([0x90, 0x80, 0x80 | (sequence >> 8 & 0x7F), sequence & 0xFF])
    return header + descriptor + bytes([0x10, 2, 0, 0x9D, 0x01, 0x2A, 64, 1, 240, 0]) + bytes(size)


def _sender_report(tick: int, ssrc: int) -> bytes:
    """All layers share the clock (RFC 3550)."""
    seconds = tick * _TICK_S
    ntp = (3_900_000_000 << 32) + round(seconds * 2**32)
    return struct.pack(
        ">BBHIQIII", 0x80, 200, 6, ssrc, ntp, round(seconds * _CLOCK_HZ), tick, tick * 1000
    )


@asynccontextmanager
async def _running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

"""Our driver doing what node_driver.js does: the same commands and answers, one JSON per line.

    python bench/driver/our_driver.py

It runs on uvloop, as the node agent does.
"""

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from kcs_sfu.mediasoup import Consumer, Worker, WorkerSettings
from kcs_sfu.mediasoup.events import ProducerPaused, ProducerResumed, Volumes
from kcs_sfu.mediasoup.transport_types import ListenInfo

LISTEN: ListenInfo = {"protocol": "udp", "ip": "127.0.0.1"}
Answer = dict[str, int]


class Driver:
    """The commands."""

    async def start(
        self, *, worker_bin: str, media_codecs: Any, producer: Any, audio: Any, capabilities: Any
    ) -> Answer:
        """Makes a video producer, an audio producer, and ten transports to consume on."""
        self.capabilities = capabilities
        self.worker = await Worker.create(WorkerSettings(bin=worker_bin))
        self.router = await self.worker.create_router(media_codecs=media_codecs)
        self.source = await self.router.create_plain_transport(listen_info=LISTEN, comedia=True)
        self.producer = await self.source.produce(kind="video", rtp_parameters=producer)
        self.audio = await self.source.produce(kind="audio", rtp_parameters=audio)
        self.transports = [
            await self.router.create_webrtc_transport(listen_infos=[LISTEN]) for _ in range(10)
        ]
        return {"port": self.source.tuple["localPort"]}

    async def consume(self, i: int) -> Consumer:
        """One consumer."""
        return await self.transports[i % 10].consume(
            producer_id=self.producer.id, rtp_capabilities=self.capabilities, paused=True
        )

    async def consumers(self, *, count: int, batch: int) -> Answer:
        """Creates, resumes and closes `count` consumers, `batch` at a time."""

        async def one(i: int) -> None:
            consumer = await self.consume(i)
            await consumer.resume()
            consumer.close()

        before = time.process_time_ns()
        for _ in range(0, count, batch):
            await asyncio.gather(*map(one, range(batch)))
        return {"count": count, "cpu_us": (time.process_time_ns() - before) // 1000}

    async def pauses(self, *, consumers: int, rounds: int) -> Answer:
        """Each pause and resume of a producer is one notification to each of its consumers."""
        count = 0
        all_heard = asyncio.Event()

        def heard(_: object) -> None:
            nonlocal count
            count += 1
            if count % (2 * consumers) == 0:
                all_heard.set()

        every = await asyncio.gather(*map(self.consume, range(consumers)))
        for consumer in every:
            consumer.on(ProducerPaused, heard)
            consumer.on(ProducerResumed, heard)
        before = time.process_time_ns()
        for _ in range(rounds):
            await self.producer.pause()
            await self.producer.resume()
            await all_heard.wait()
            all_heard.clear()
        after = time.process_time_ns()
        for consumer in every:
            consumer.close()
        return {"count": count, "cpu_us": (after - before) // 1000}

    async def volumes(self, *, observers: int, seconds: int) -> Answer:
        """Audio levels, from many observers of one speaker."""
        count = 0

        def heard(event: Volumes) -> None:
            nonlocal count
            count += len(event.volumes)

        every = []
        for _ in range(observers):
            observer = await self.router.create_audio_level_observer(
                interval_ms=250, max_entries=10, threshold=-127
            )
            await observer.add_producer(producer_id=self.audio.id)
            observer.on(Volumes, heard)
            every.append(observer)
        count = 0
        before = time.process_time_ns()
        await asyncio.sleep(seconds)
        answer = {"count": count, "cpu_us": (time.process_time_ns() - before) // 1000}
        for observer in every:
            observer.close()
        return answer


async def main() -> None:
    """Reads commands until the end of the input."""
    driver = Driver()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        print(json.dumps(await getattr(driver, request.pop("command"))(**request)), flush=True)
    driver.worker.close()


if __name__ == "__main__":
    uvloop.run(main())

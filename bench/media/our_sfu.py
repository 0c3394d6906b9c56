"""Our driver with one producer and many SRTP consumers, on uvloop as in the node agent.

The control API gives browsers no plain transports, so this drives the driver itself. It reads a
line of JSON (what to make), prints one (the worker's pid, the producer's port), ends with stdin.
"""

import asyncio
import json
import sys

import uvloop

from kcs_sfu.mediasoup.transport_types import ListenInfo
from kcs_sfu.mediasoup.worker import Worker, WorkerSettings

LISTEN: ListenInfo = {"protocol": "udp", "ip": "127.0.0.1"}


async def main() -> None:
    """Serves one request."""
    request = json.loads(await asyncio.to_thread(sys.stdin.readline))
    worker = await Worker.create(WorkerSettings(bin=request["worker_bin"]))
    router = await worker.create_router(media_codecs=request["media_codecs"])
    source = await router.create_plain_transport(listen_info=LISTEN, comedia=True)
    producer = await source.produce(kind="video", rtp_parameters=request["rtp_parameters"])
    srtp = request["srtp_parameters"]
    for _ in range(request["consumers"]):
        transport = await router.create_plain_transport(
            listen_info=LISTEN, enable_srtp=True, srtp_crypto_suite=srtp["cryptoSuite"]
        )
        await transport.connect(
            ip=LISTEN["ip"], port=request["receiver_port"], srtp_parameters=srtp
        )
        await transport.consume(producer_id=producer.id, rtp_capabilities=router.rtp_capabilities)
    ready = {"worker_pid": worker.pid, "producer_port": source.tuple["localPort"]}
    print(json.dumps(ready), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    worker.close()
    await worker.wait_closed()


if __name__ == "__main__":
    uvloop.run(main())

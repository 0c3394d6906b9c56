"""The life of a worker process."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kcs_sfu.mediasoup import ChannelClosed, InvalidRtp, UnsupportedError, Worker
from kcs_sfu.mediasoup.events import Closed
from kcs_sfu.mediasoup.rtp_parameters import RouterRtpCodecCapability

from .conftest import MEDIA_CODECS, StartWorker

PARENT = """
import asyncio, sys, uvloop
from kcs_sfu.mediasoup import Worker, WorkerSettings
async def main():
    worker = await Worker.create(WorkerSettings(bin=sys.argv[1]))
    print(worker.pid, flush=True)
    await asyncio.sleep(60)
uvloop.run(main())
"""


def _alive(pid: int) -> bool:
    try:
        # A zombie that waits for a parent to reap it is not alive.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_worker_answers_until_it_is_closed_and_then_ends_by_itself(worker: Worker) -> None:
    closed: list[Closed] = []
    worker.on(Closed, closed.append)
    dump = await worker.dump()
    assert dump["pid"] == worker.pid
    usage = await worker.get_resource_usage()
    assert usage["ru_maxrss"] > 1000
    await worker.update_settings(log_level="debug", log_tags=["info", "ice"])
    await worker.update_settings(log_level="none", log_tags=[])
    worker.close()
    worker.close()
    assert closed == [Closed("closed")]
    assert await asyncio.wait_for(worker.wait_closed(), 2) == 0
    assert not _alive(worker.pid)
    assert not worker.died
    with pytest.raises(ChannelClosed):
        await worker.dump()


async def test_a_worker_dies_with_its_parent(worker_bin: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, worker_bin, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    assert _alive(pid)
    parent.kill()
    await parent.wait()
    deadline = time.monotonic() + 1
    for _ in range(100):
        if not _alive(pid):
            break
        await asyncio.sleep(0.01)
    assert not _alive(pid)
    assert time.monotonic() < deadline


async def test_a_worker_that_does_not_end_after_close_is_killed(start_worker: StartWorker) -> None:
    worker = await start_worker()
    os.kill(worker.pid, signal.SIGSTOP)
    worker.close()
    assert await asyncio.wait_for(worker.wait_closed(), 5) == -signal.SIGKILL


async def test_ctrl_c_in_the_terminal_does_not_reach_the_worker(worker: Worker) -> None:
    assert os.getpgid(worker.pid) == worker.pid


async def test_a_worker_has_no_descriptor_of_ours_but_its_channel(worker: Worker) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, False)
    try:
        ours = {os.readlink(f"/proc/self/fd/{fd}") for fd in (read, write)}
        theirs = set()
        for fd in os.listdir(f"/proc/{worker.pid}/fd"):
            theirs.add(os.readlink(f"/proc/{worker.pid}/fd/{fd}"))
        assert not ours & theirs
        sockets = [name for name in theirs if name.startswith("socket:")]
        assert len(sockets) == 2
    finally:
        os.close(read)
        os.close(write)


async def test_closing_a_worker_closes_everything_in_it_with_the_reason(worker: Worker) -> None:
    router = await worker.create_router(media_codecs=MEDIA_CODECS)
    server = await worker.create_webrtc_server(
        listen_infos=[{"protocol": "udp", "ip": "127.0.0.1"}]
    )
    transport = await router.create_webrtc_transport(webrtc_server=server)
    observer = await router.create_audio_level_observer()
    order: list[tuple[str, str]] = []
    for name, entity in (
        ("router", router),
        ("server", server),
        ("transport", transport),
        ("observer", observer),
    ):
        entity.on(Closed, lambda event, name=name: order.append((name, event.reason)))
    worker.close()
    assert order == [
        ("transport", "routerclose"),
        ("observer", "routerclose"),
        ("router", "workerclose"),
        ("server", "workerclose"),
    ]
    assert transport.ice_state == "closed"


async def test_a_router_is_refused_codecs_that_mediasoup_lacks(worker: Worker) -> None:
    codec: RouterRtpCodecCapability = {
        "kind": "audio",
        "mimeType": "audio/nonsense",
        "clockRate": 8000,
    }
    with pytest.raises(UnsupportedError):
        await worker.create_router(media_codecs=[codec])
    incomplete: Any = {"kind": "audio"}
    with pytest.raises(InvalidRtp):
        await worker.create_router(media_codecs=[incomplete])
    assert (await worker.dump())["routerIds"] == []


async def test_a_router_appears_in_the_worker_and_goes_again(worker: Worker) -> None:
    router = await worker.create_router(media_codecs=MEDIA_CODECS, app_data={"room": "r1"})
    assert router.app_data == {"room": "r1"}
    assert (await worker.dump())["routerIds"] == [router.id]
    router.close()
    assert (await worker.dump())["routerIds"] == []
    assert worker.routers == set()


async def test_what_the_worker_logs_goes_to_the_log(
    start_worker: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await start_worker(log_level="warn")
    router = await worker.create_router()
    with pytest.raises(Exception, match="port bind failed"):
        await router.create_plain_transport(listen_info={"protocol": "udp", "ip": "192.0.2.1"})
    assert f"[pid:{worker.pid}]" in caplog.text
    assert "handshake" not in caplog.text

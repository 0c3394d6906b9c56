"""What the driver promises when a worker, or a caller, does not behave."""

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kcs_sfu.mediasoup import (
    ChannelClosed,
    MalformedFrame,
    NotFoundError,
    ObjectClosed,
    RequestRejected,
    RequestTimeout,
    Router,
    Worker,
    WorkerDied,
    WorkerSettings,
    WorkerStartError,
)
from kcs_sfu.mediasoup import worker as worker_module
from kcs_sfu.mediasoup.channel import Channel
from kcs_sfu.mediasoup.encode import _encode, build, encode_notification
from kcs_sfu.mediasoup.events import Closed, Died, ProducerScoreChange
from kcs_sfu.mediasoup.fbs.Message.Body import Body as MessageBody
from kcs_sfu.mediasoup.fbs.Notification.Body import Body as NotificationBody
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Producer.ScoreNotification import ScoreNotificationT
from kcs_sfu.mediasoup.fbs.Response.Response import ResponseT
from kcs_sfu.mediasoup.rtp_parameters import RtpParameters
from kcs_sfu.mediasoup.transport_types import ListenInfo

from .conftest import MEDIA_CODECS, StartWorker

LISTEN: ListenInfo = {"protocol": "udp", "ip": "127.0.0.1"}


@pytest.fixture
def fake(tmp_path: Path) -> Callable[[str], dict[str, object]]:
    """Settings for a worker that misbehaves in the given way (see fake_worker.py)."""

    def settings(mode: str) -> dict[str, object]:
        script = tmp_path / "worker"
        program = Path(__file__).with_name("fake_worker.py")
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return {"bin": str(script), "env": {"FAKE_WORKER": mode}}

    return settings


@contextmanager
def held(worker: Worker) -> Iterator[None]:
    """The worker does nothing: nobody answers, or the test does in its place."""
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)


@contextmanager
def impatient(channel: Channel) -> Iterator[None]:
    """Requests time out soon; those that were sent before are answered."""
    usual, channel._timeout = channel._timeout, 0.3
    if channel._sweep is not None:
        channel._sweep.cancel()
        channel._sweep = None
    try:
        yield
    finally:
        channel._timeout = usual


def refusal(number: int) -> bytes:
    """The answer to that request."""
    return _encode(MessageBody.Response, build(ResponseT, id=number, error="Error", reason="no"))


async def test_a_worker_killed_while_requests_wait_fails_all_of_them_at_once(
    worker: Worker,
) -> None:
    router = await worker.create_router(media_codecs=MEDIA_CODECS)
    seen: list[object] = []
    worker.on(Died, seen.append)
    router.on(Closed, seen.append)
    os.kill(worker.pid, signal.SIGSTOP)
    waiting = [asyncio.ensure_future(router.dump()) for _ in range(50)]
    await asyncio.sleep(0.05)
    os.kill(worker.pid, signal.SIGKILL)
    started = time.monotonic()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert time.monotonic() - started < 3  # long before they time out
    assert all(isinstance(result, WorkerDied) for result in results)
    assert worker.died
    assert worker.closed
    assert router.closed
    assert seen[0] == Closed("workerclose")
    assert isinstance(seen[1], Died)
    assert isinstance(seen[1].error, WorkerDied)
    assert seen[1].error.exit_status == -signal.SIGKILL
    with pytest.raises(WorkerDied):
        await worker.dump()


async def test_a_request_without_an_answer_times_out_and_the_late_answer_is_ignored(
    worker: Worker,
) -> None:
    router = await worker.create_router()
    with held(worker), impatient(router._channel), pytest.raises(RequestTimeout):
        await router.dump()
    assert (await router.dump())["id"] == router.id  # the late answer came before this one
    assert not worker.closed


async def test_what_a_timed_out_request_created_is_closed_in_the_worker(worker: Worker) -> None:
    router = await worker.create_router()
    with held(worker), impatient(router._channel), pytest.raises(RequestTimeout):
        await router.create_plain_transport(listen_info=LISTEN)
    assert (await router.dump())["transportIds"] == []
    assert router.transports == {}


async def test_what_a_cancelled_request_created_is_closed_in_the_worker(router: Router) -> None:
    for delay in (0, 0, 0.0005, 0.001, 0.002):
        task = asyncio.ensure_future(router.create_plain_transport(listen_info=LISTEN))
        await asyncio.sleep(delay)
        task.cancel()
        [result] = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(result, BaseException):
            result.close()
    assert (await router.dump())["transportIds"] == []


async def test_a_cancelled_caller_leaves_the_channel_sound_for_the_others(router: Router) -> None:
    tasks = [asyncio.ensure_future(router.dump()) for _ in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert all(isinstance(r, dict) and r["id"] == router.id for r in results[1::2])


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_an_event_read_soon_after_an_answer_waits_until_those_who_asked_have_gone_on(
    worker: Worker, router: Router, audio_parameters: RtpParameters, turns: int
) -> None:
    transport = await router.create_plain_transport(listen_info=LISTEN)
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    channel, seen = router._channel, list[str]()
    producer.on(ProducerScoreChange, lambda _: seen.append("event"))

    async def ask() -> None:
        await asyncio.gather(asyncio.ensure_future(producer.pause()))
        seen.append("answer")

    with held(worker):
        asking = asyncio.ensure_future(ask())
        await asyncio.sleep(0.01)
        answer = build(ResponseT, id=channel._next_id, accepted=True)
        channel.feed(_encode(MessageBody.Response, answer))
        for _ in range(turns):
            await asyncio.sleep(0)
        body = build(ScoreNotificationT, scores=[])
        kind = NotificationBody.Producer_ScoreNotification
        channel.feed(encode_notification(Event.PRODUCER_SCORE, producer.id, kind, body))
        await asking
        async with asyncio.timeout(10):
            while "event" not in seen:
                await asyncio.sleep(0)
    assert seen == ["answer", "event"]


@pytest.mark.parametrize("reads", [1, 3])
async def test_answers_and_events_are_told_in_the_order_of_the_worker(
    worker: Worker, router: Router, audio_parameters: RtpParameters, reads: int
) -> None:
    transport = await router.create_plain_transport(listen_info=LISTEN)
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    channel, seen = router._channel, list[str]()
    producer.on(ProducerScoreChange, lambda _: seen.append("event"))

    async def ask(name: str) -> None:
        await asyncio.gather(asyncio.ensure_future(router.dump()), return_exceptions=True)
        seen.append(name)

    with held(worker):
        asking = [asyncio.ensure_future(ask(name)) for name in ("first", "second", "third")]
        await asyncio.sleep(0.01)
        third = channel._next_id
        score = build(ScoreNotificationT, scores=[])
        event = encode_notification(
            Event.PRODUCER_SCORE, producer.id, NotificationBody.Producer_ScoreNotification, score
        )
        first, second, last = (refusal(number) for number in (third - 2, third - 1, third))
        pieces = [first + event, second, event + last]
        for piece in pieces if reads == len(pieces) else [b"".join(pieces)]:
            channel.feed(piece)
            await asyncio.sleep(0)
        await asyncio.gather(*asking)
    assert seen == ["first", "event", "second", "event", "third"]


async def test_an_answer_that_waits_when_the_channel_closes_fails_like_those_that_never_came(
    worker: Worker, router: Router
) -> None:
    channel = router._channel
    with held(worker):
        asking = [asyncio.ensure_future(router.dump()) for _ in range(2)]
        await asyncio.sleep(0.01)
        event = encode_notification(Event.WORKER_RUNNING, "nobody")
        channel.feed(refusal(channel._next_id - 1) + event + refusal(channel._next_id))
        worker.close()
        refused, unanswered = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(refused, RequestRejected)
    assert isinstance(unanswered, ChannelClosed)


@pytest.mark.parametrize("waits", [True, False])
async def test_an_event_that_we_fail_at_ends_the_worker_and_leaves_no_request_without_an_end(
    worker: Worker, router: Router, caplog: pytest.LogCaptureFixture, waits: bool
) -> None:
    channel = router._channel

    def mistaken(*_: object) -> None:
        raise TypeError("a mistake of ours")

    channel.handlers[b"somebody"] = mistaken
    with held(worker):
        asking = [asyncio.ensure_future(router.dump()) for _ in range(2)]
        await asyncio.sleep(0.01)
        event = encode_notification(Event.WORKER_RUNNING, "somebody")
        answers = refusal(channel._next_id - 1), refusal(channel._next_id)
        channel.feed(event.join(answers) if waits else event + answers[1])
        async with asyncio.timeout(4):  # before they would time out
            first, second = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, RequestRejected if waits else MalformedFrame)
    assert isinstance(second, MalformedFrame)
    assert "could not be taken: TypeError('a mistake of ours')" in str(second)
    assert "could not be taken: TypeError('a mistake of ours')" in caplog.text
    assert worker.died


async def test_a_call_on_a_closed_object_fails_by_itself_and_sends_nothing(
    router: Router, audio_parameters: RtpParameters
) -> None:
    transport = await router.create_plain_transport(listen_info=LISTEN)
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    consumer = await transport.consume(
        producer_id=producer.id, rtp_capabilities=router.rtp_capabilities
    )
    transport.close()
    sent = router._channel._next_id
    for call in (
        producer.pause,
        consumer.resume,
        consumer.request_key_frame,
        lambda: consumer.set_preferred_layers(spatial_layer=1),
        transport.get_stats,
        lambda: transport.produce(kind="audio", rtp_parameters=audio_parameters),
        lambda: transport.consume(
            producer_id=producer.id, rtp_capabilities=router.rtp_capabilities
        ),
    ):
        with pytest.raises(ObjectClosed):
            await call()
    assert router._channel._next_id == sent


async def test_a_request_that_the_worker_refuses_raises_its_reason(
    router: Router, audio_parameters: RtpParameters
) -> None:
    transport = await router.create_plain_transport(listen_info=LISTEN)
    with pytest.raises(RequestRejected, match=r"192\.0\.2\.1"):
        await router.create_plain_transport(listen_info={"protocol": "udp", "ip": "192.0.2.1"})
    with pytest.raises(NotFoundError):
        await transport.consume(producer_id="nobody", rtp_capabilities=router.rtp_capabilities)
    await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    with pytest.raises(RequestRejected, match="11111111"):
        await transport.produce(kind="audio", rtp_parameters={**audio_parameters, "mid": "ANOTHER"})


@pytest.mark.parametrize("mode", ["too long", "undecodable", "zeros"])
async def test_a_malformed_message_closes_the_channel_and_kills_the_worker(
    start_worker: StartWorker, fake: Callable[[str], dict[str, object]], mode: str
) -> None:
    worker = await start_worker(**fake(mode))
    died: list[Died] = []
    worker.on(Died, died.append)
    results = await asyncio.gather(
        worker.dump(), worker.get_resource_usage(), return_exceptions=True
    )
    assert all(isinstance(result, MalformedFrame) for result in results)
    assert isinstance(died[0].error, MalformedFrame)
    assert await asyncio.wait_for(worker.wait_closed(), 10) == -signal.SIGKILL


async def test_a_worker_that_hangs_up_is_killed_and_its_requests_fail(
    start_worker: StartWorker, fake: Callable[[str], dict[str, object]]
) -> None:
    worker = await start_worker(**fake("hangs up"))
    with pytest.raises(WorkerDied):
        await asyncio.wait_for(worker.dump(), 10)
    assert worker.died


async def test_a_message_may_arrive_in_any_pieces(
    start_worker: StartWorker, fake: Callable[[str], dict[str, object]]
) -> None:
    worker = await start_worker(**fake("byte by byte"))
    await worker.update_settings(log_level="error")


async def test_a_worker_of_another_version_is_refused_with_its_path_and_the_wanted_version(
    start_worker: StartWorker, fake: Callable[[str], dict[str, object]]
) -> None:
    settings = fake("other version")
    with pytest.raises(WorkerStartError, match=r"is not mediasoup-worker 3\.27\.1") as error:
        await start_worker(**settings)
    assert str(settings["bin"]) in str(error.value)


async def test_a_worker_that_finds_its_settings_wrong_says_so(
    start_worker: StartWorker,
    fake: Callable[[str], dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "_HANG_UP_GRACE_S", 10)  # Python may take long to exit
    with pytest.raises(WorkerStartError, match="settings wrong"):
        await start_worker(**fake("wrong settings"))
    with pytest.raises(WorkerStartError, match="settings wrong"):
        await start_worker(dtls_certificate_file="/no/such/file", dtls_private_key_file="/none")


async def test_a_worker_that_never_comes_up_is_killed(
    start_worker: StartWorker, fake: Callable[[str], dict[str, object]]
) -> None:
    with pytest.raises(WorkerStartError, match="did not report"):
        await start_worker(**fake("silent"), start_timeout=0.5)


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable", "no program"])
async def test_a_binary_that_cannot_be_run_is_named_with_what_to_do(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "worker"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\0nothing that runs")
        path.chmod(0o755 if kind == "no program" else 0o644)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(WorkerStartError, match=rf"cannot be run at {path}: .*build\.sh"):
        await Worker.create(WorkerSettings(bin=str(path)))
    assert os.listdir("/proc/self/fd") == before


async def test_a_start_that_is_cancelled_leaves_no_process(worker_bin: str) -> None:
    def children() -> str:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    before = children()
    for turns in range(6):
        start = asyncio.ensure_future(Worker.create(WorkerSettings(bin=worker_bin)))
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
    async with asyncio.timeout(10):
        while children() != before:
            await asyncio.sleep(0.01)


async def test_closing_a_worker_fails_what_waits_for_it(worker: Worker) -> None:
    task = asyncio.ensure_future(worker.dump())
    await asyncio.sleep(0)
    worker.close()
    with pytest.raises(ChannelClosed):
        await task
    assert await worker.wait_closed() == 0


async def test_a_listener_that_raises_is_logged_and_keeps_nobody_else_from_hearing(
    router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Closed] = []

    def broken(_: Closed) -> None:
        raise RuntimeError("broken listener")

    router.on(Closed, broken)
    unsubscribe = router.on(Closed, lambda _: heard.append(Closed("died")))
    unsubscribe()
    router.on(Closed, heard.append)
    router.close()
    assert heard == [Closed("closed")]
    assert "broken listener" in caplog.text

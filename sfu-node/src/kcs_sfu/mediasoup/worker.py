"""A mediasoup-worker process: where everything of the driver begins.

    worker = await Worker.create(WorkerSettings(log_level="warn"))
    router = await worker.create_router(media_codecs=[...])

close() tells the process to end and kills it if it does not within `_GRACE_S`. A process that dies,
or that sends nonsense and is killed for it, takes all its routers along and is announced by `Died`.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from kcs_sfu.mediasoup import close_requests, ortc
from kcs_sfu.mediasoup.channel import HANDSHAKE_ID, Channel
from kcs_sfu.mediasoup.close_requests import closing_if_abandoned
from kcs_sfu.mediasoup.emitter import Emitter
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.entity import AppData, unpack
from kcs_sfu.mediasoup.errors import (
    ChannelClosed,
    MediasoupError,
    NotFoundError,
    ObjectClosed,
    WorkerDied,
    WorkerStartError,
)
from kcs_sfu.mediasoup.events import Closed, Died
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.Worker.CreateRouterRequest import CreateRouterRequestT
from kcs_sfu.mediasoup.fbs.Worker.CreateWebRtcServerRequest import CreateWebRtcServerRequestT
from kcs_sfu.mediasoup.fbs.Worker.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.Worker.ResourceUsageResponse import ResourceUsageResponseT
from kcs_sfu.mediasoup.fbs.Worker.UpdateSettingsRequest import UpdateSettingsRequestT
from kcs_sfu.mediasoup.ids import RouterId, WebRtcServerId, new_uuid
from kcs_sfu.mediasoup.listen import listen_info_to_fbs
from kcs_sfu.mediasoup.parse import Json, plain
from kcs_sfu.mediasoup.process import WorkerProcess
from kcs_sfu.mediasoup.router import Router
from kcs_sfu.mediasoup.rtp_parameters import RouterRtpCodecCapability
from kcs_sfu.mediasoup.stats import WorkerResourceUsage
from kcs_sfu.mediasoup.transport_types import ListenInfo
from kcs_sfu.mediasoup.version import MEDIASOUP_VERSION, WORKER_NAME
from kcs_sfu.mediasoup.webrtc_server import WebRtcServer

if TYPE_CHECKING:
    from collections.abc import Awaitable

WorkerLogLevel = Literal["debug", "warn", "error", "none"]
WorkerLogTag = Literal[
    "info",
    "ice",
    "dtls",
    "rtp",
    "srtp",
    "rtcp",
    "rtx",
    "bwe",
    "score",
    "simulcast",
    "svc",
    "sctp",
    "message",
]

_GRACE_S = 2.0
"""How long a worker may take to end by itself after close()."""

_HANG_UP_GRACE_S = 0.25
"""The same after it has hung up: one that is about to exit does so, and its status tells why."""

_HOW_TO_GET_IT = "Build it with sfu-node/worker/build.sh, or set MEDIASOUP_WORKER_BIN."

_EXIT_REASONS = {
    41: "it found no MEDIASOUP_VERSION in its environment",
    42: "it found its settings wrong",
}


def default_worker_bin() -> str:
    """`MEDIASOUP_WORKER_BIN`, else where `sfu-node/worker/build.sh` puts the worker."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    built = Path(cache) / "kcs-meetings" / WORKER_NAME
    return os.environ.get("MEDIASOUP_WORKER_BIN") or str(built)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How to start a worker. Source: mediasoup's WorkerSettings, without the deprecated ones."""

    bin: str | None = None
    """Path of the binary; None: `default_worker_bin()`."""
    log_level: WorkerLogLevel = "error"
    log_tags: tuple[WorkerLogTag, ...] = ()
    dtls_certificate_file: str | None = None
    """PEM. None: the worker makes a certificate of its own."""
    dtls_private_key_file: str | None = None
    libwebrtc_field_trials: str | None = None
    """For experts; a wrong value makes the worker crash."""
    env: Mapping[str, str] | None = None
    """Added to this process's environment."""
    request_timeout: float = 5.0
    """Seconds until a request fails with RequestTimeout."""
    start_timeout: float = 10.0
    """Seconds until a worker that does not come up is killed."""

    def arguments(self) -> list[str]:
        """The command line without the binary."""
        args = [f"--logLevel={self.log_level}", *(f"--logTag={tag}" for tag in self.log_tags)]
        for name, value in (
            ("dtlsCertificateFile", self.dtls_certificate_file),
            ("dtlsPrivateKeyFile", self.dtls_private_key_file),
            ("libwebrtcFieldTrials", self.libwebrtc_field_trials),
        ):
            if value:
                args.append(f"--{name}={value}")
        return args


class Worker(Emitter):
    """One worker process. Emits `Closed`; when it dies by itself, `Closed("died")`, then `Died`."""

    def __init__(self, settings: WorkerSettings, app_data: AppData | None) -> None:
        """Use Worker.create()."""
        super().__init__()
        self.app_data: AppData = {} if app_data is None else app_data
        self.routers: set[Router] = set()
        self.webrtc_servers: set[WebRtcServer] = set()
        self._settings = settings
        self._bin = settings.bin or default_worker_bin()
        self._closed = self._died = False
        loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = loop.create_future()
        self._running: asyncio.Future[None] = loop.create_future()
        self._killer: asyncio.TimerHandle | None = None
        self._channel = Channel(request_timeout=settings.request_timeout, on_lost=self._on_lost)

    @classmethod
    async def create(
        cls, settings: WorkerSettings | None = None, *, app_data: AppData | None = None
    ) -> "Worker":
        """Starts a worker and waits until it answers. Raises WorkerStartError."""
        worker = cls(settings or WorkerSettings(), app_data)
        try:
            await worker._start()
        except BaseException:
            worker.close()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def closed(self) -> bool:
        """Whether it was closed or has died."""
        return self._closed

    @property
    def died(self) -> bool:
        """Whether it ended by itself."""
        return self._died

    def close(self) -> None:
        """Ends the process, and closes all its routers and servers. Does not wait for the end."""
        if self._closed:
            return
        self._closed = True
        if hasattr(self, "_process") and self._process.exit_status is None:
            loop = asyncio.get_running_loop()
            self._killer = loop.call_later(_GRACE_S, self._process.kill)
            if self._running.done():
                self._channel.notify(Event.WORKER_CLOSE)
            else:
                self._process.kill()
        self._channel.close(ChannelClosed("the worker was closed"))
        self._close_children()
        self._emit(Closed("closed"))

    async def wait_closed(self) -> int:
        """Waits until the process is gone. Its exit status as in `subprocess`."""
        return await asyncio.shield(self._exited)

    async def create_router(
        self,
        *,
        media_codecs: Sequence[RouterRtpCodecCapability] = (),
        app_data: AppData | None = None,
    ) -> Router:
        """A router for these codecs. Raises InvalidRtp, UnsupportedError."""
        self._check_open()
        capabilities = ortc.generate_router_rtp_capabilities(list(media_codecs))
        router_id = RouterId(new_uuid())
        with closing_if_abandoned(self._channel, close_requests.ROUTER, b"", router_id):
            await self._channel.request(
                Method.WORKER_CREATE_ROUTER,
                "",
                Body.Worker_CreateRouterRequest,
                build(CreateRouterRequestT, routerId=router_id),
            )
        self._check_open()
        router = Router(self, self._channel, router_id, capabilities, app_data)
        self.routers.add(router)
        return router

    async def create_webrtc_server(
        self, *, listen_infos: Sequence[ListenInfo], app_data: AppData | None = None
    ) -> WebRtcServer:
        """Ports that many transports share."""
        self._check_open()
        server_id = WebRtcServerId(new_uuid())
        body = build(
            CreateWebRtcServerRequestT,
            webRtcServerId=server_id,
            listenInfos=[listen_info_to_fbs(info) for info in listen_infos],
        )
        with closing_if_abandoned(self._channel, close_requests.WEBRTC_SERVER, b"", server_id):
            await self._channel.request(
                Method.WORKER_CREATE_WEBRTCSERVER, "", Body.Worker_CreateWebRtcServerRequest, body
            )
        self._check_open()
        server = WebRtcServer(self, self._channel, server_id, app_data)
        self.webrtc_servers.add(server)
        return server

    async def update_settings(
        self,
        *,
        log_level: WorkerLogLevel | None = None,
        log_tags: Sequence[WorkerLogTag] | None = None,
    ) -> None:
        """Changes what the worker logs."""
        self._check_open()
        tags = None if log_tags is None else list(log_tags)
        await self._channel.request(
            Method.WORKER_UPDATE_SETTINGS,
            "",
            Body.Worker_UpdateSettingsRequest,
            build(UpdateSettingsRequestT, logLevel=log_level, logTags=tags),
        )

    async def get_resource_usage(self) -> WorkerResourceUsage:
        """What the process has used so far."""
        self._check_open()
        reply = await self._channel.request(Method.WORKER_GET_RESOURCE_USAGE)
        usage = vars(unpack(ResourceUsageResponseT, reply)).items()
        return cast(WorkerResourceUsage, {f"ru_{name[2:].lower()}": value for name, value in usage})

    async def dump(self) -> Json:
        """The worker's own view of itself, with mediasoup's keys."""
        self._check_open()
        dump: Json = plain(unpack(DumpResponseT, await self._channel.request(Method.WORKER_DUMP)))
        return dump

    # Start

    async def _start(self) -> None:
        argv = [self._bin, *self._settings.arguments()]
        env = {**os.environ, **(self._settings.env or {}), "MEDIASOUP_VERSION": MEDIASOUP_VERSION}
        try:
            self._process = WorkerProcess(argv, env)
        except OSError as error:
            raise WorkerStartError(
                f"mediasoup-worker {MEDIASOUP_VERSION} cannot be run at {self._bin}: "
                f"{error.strerror}. {_HOW_TO_GET_IT}"
            ) from error
        self._channel.handlers[str(self.pid).encode()] = self._on_notification
        await self._process.watch(self._on_exit)
        await self._channel.open(self._process)
        await self._started(self._running, "it did not report that it runs")
        await self._started(self._handshake(), "it did not answer")

    async def _started(self, step: "Awaitable[Any]", otherwise: str) -> None:
        """Waits for a step of the start; whatever goes wrong becomes a WorkerStartError."""
        try:
            await asyncio.wait_for(step, self._settings.start_timeout)
        except ChannelClosed as error:
            status = error.exit_status if isinstance(error, WorkerDied) else None
            reason = _EXIT_REASONS.get(status or 0, str(error))
            raise WorkerStartError(f"mediasoup-worker at {self._bin} ended: {reason}") from error
        except TimeoutError as error:
            seconds = self._settings.start_timeout
            raise WorkerStartError(
                f"mediasoup-worker at {self._bin}: {otherwise} within {seconds} s"
            ) from error

    async def _handshake(self) -> None:
        """Makes sure that both sides number requests alike.

        The binary does not tell its version (MEDIASOUP_VERSION only travels the other way). But it
        names the method of a request that it cannot deliver, and the last method's number shifts
        with every method that a version adds or drops.
        """
        try:
            await self._channel.request(Method.RTPOBSERVER_REMOVE_PRODUCER, HANDSHAKE_ID)
        except NotFoundError as error:
            method = re.search(r"\[method:(.*?)\]", str(error))
            if method is not None and method[1] == "rtpObserver.removeProducer":
                return
        except MediasoupError as error:
            if isinstance(error, ChannelClosed | TimeoutError):
                raise
        raise WorkerStartError(
            f"{self._bin} is not mediasoup-worker {MEDIASOUP_VERSION}: it has other requests. "
            f"{_HOW_TO_GET_IT}"
        )

    # End

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        if event == Event.WORKER_RUNNING and not self._running.done():
            self._running.set_result(None)

    def _on_lost(self, error: ChannelClosed | None) -> None:
        """The channel is gone: so must be the process. Its exit status then says what happened."""
        if error is not None:
            self._process.kill()
            self._die(error)
        elif self._process.exit_status is None:
            loop = asyncio.get_running_loop()
            self._killer = loop.call_later(_HANG_UP_GRACE_S, self._process.kill)

    def _on_exit(self, status: int) -> None:
        if self._killer is not None:
            self._killer.cancel()
        self._exited.set_result(status)
        self._die(WorkerDied(self.pid, status))

    def _die(self, error: ChannelClosed) -> None:
        if self._closed:
            return
        if not self._running.done():
            self._running.set_exception(error)
        self._closed = self._died = True
        self._channel.close(error)
        self._close_children()
        self._emit(Closed("died"))
        self._emit(Died(error))

    def _close_children(self) -> None:
        for router in list(self.routers):
            router._worker_closed()
        self.routers.clear()
        for server in list(self.webrtc_servers):
            server._worker_closed()
        self.webrtc_servers.clear()

    def _check_open(self) -> None:
        self._channel.check()
        if self._closed:
            raise ObjectClosed("the worker is closed")

"""The entry point `kcs-signaling`: settings in, uvicorn around the application, logs as JSON.

SIGTERM and SIGINT close the sockets, so that clients reconnect to another replica, and end the
process within 3 s; presences stay for whoever comes back. A database that does not answer then
takes up to 5 s more, for what calls have still to write, one that is slow up to 10.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys

import structlog
import uvicorn
import uvloop
from pydantic import ValidationError
from pydantic_settings import SettingsError
from redis.exceptions import RedisError
from structlog.typing import Processor

from kcs_contracts.logs import in_metadata, log_loop_error, nameless_traceback
from kcs_contracts.placement import PlacementError
from kcs_signaling.adapters.websockets import Link
from kcs_signaling.app import build
from kcs_signaling.errors import SignalingError
from kcs_signaling.keys import KeyUnusable, load_key
from kcs_signaling.pseudonyms import Pseudonyms
from kcs_signaling.services import Services, open_services
from kcs_signaling.settings import LIST_EXAMPLE, Settings

_log = structlog.get_logger()
_GRACE_S = 2


class Server(uvicorn.Server):
    """uvicorn that says where it listens, closes sockets at once, and leaves signals to us."""

    def __init__(self, services: Services):
        settings = services.settings
        self._app = build(services)
        config = uvicorn.Config(
            self._app,
            host=settings.http.host,
            port=settings.http.port,
            ws=Link,
            http="httptools",
            loop="none",
            lifespan="on",
            ws_max_size=settings.socket.max_message_bytes,
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # Engine.IO has its own
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # whose X-Forwarded-For is believed, `adapters.addresses` says
            timeout_graceful_shutdown=_GRACE_S,
        )
        super().__init__(config)
        self._host = settings.http.host

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            _log.info("signaling_ready", url=f"http://{self._host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()  # first, so that nobody reconnects to this process
        await self._app.sockets.close()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Ends the service; a second time, without waiting."""
        self.force_exit = self.should_exit
        self.should_exit = True


async def serve(settings: Settings) -> None:
    """Runs the service until it is told to stop."""
    async with open_services(settings) as services:
        try:
            await asyncio.wait_for(services.placement.load(), 2)
        except (RedisError, PlacementError, OSError, TimeoutError) as error:
            _log.warning("redis_away_at_start", error=type(error).__name__)
        server = Server(services)
        gc.collect()
        gc.freeze()  # what is there by now stays: full collections would take 0.1 s more for it
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_loop_error)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        await server._serve()
        if not server.started:
            raise SystemExit(1)


def configure_logs(pseudonyms: Pseudonyms) -> None:
    """One JSON object per line on standard output, libraries' warnings too; none names anybody."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Processor] = [
        pseudonyms,
        structlog.processors.ExceptionRenderer(nameless_traceback),
        in_metadata,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    forget = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[forget, *rendered]
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def main() -> None:
    """Runs `kcs-signaling`."""
    try:
        settings = Settings()
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            name = "__".join(str(part).upper() for part in each["loc"])
            print(f"KCS_{name}: {each['msg']}" if name else each["msg"], file=sys.stderr)
        raise SystemExit(2) from None
    except SettingsError as error:
        print(f"{error}: lists are written as JSON, {LIST_EXAMPLE}", file=sys.stderr)
        raise SystemExit(2) from None
    try:
        configure_logs(Pseudonyms(load_key(settings.auth.key_file)))
        uvloop.run(serve(settings))
    except (KeyUnusable, SignalingError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()

"""The process of the operator: every replica serves, one leads.

The leader runs kopf's watches, which fill a cache, and a loop per pool over it. When the lease is
lost, the process ends: the next one begins with a fresh look. SIGTERM lets go of the lease.
`kcs-operator` exits with 0 after a signal, 1 when it lost the lease or failed, 2 for bad settings.
"""

import asyncio
import signal
import sys
from contextlib import suppress

import kopf
import structlog
import uvloop
from aiohttp import ClientSession
from pydantic import ValidationError

from kcs_contracts.logs import log_loop_error
from kcs_contracts.placement import Placement, connect
from kcs_operator import logs
from kcs_operator.cluster import Cluster
from kcs_operator.errors import OperatorError
from kcs_operator.handlers import watching
from kcs_operator.handlers.pools import Pools
from kcs_operator.handlers.watching import Cache
from kcs_operator.leadership import Leadership, LeadershipLost
from kcs_operator.loop import Loop
from kcs_operator.serving import serving
from kcs_operator.settings import Settings

_log = structlog.get_logger(__name__)
_RESYNC_S = 300.0
"""How often everything is listed: an object that vanished in a gap of a watch is found then."""
_AGAIN_S = 2.0


def main() -> None:
    """Entry point of `kcs-operator`."""
    logs.configure()
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = "KCS_" + "__".join(str(part) for part in problem["loc"]).upper()
            _log.error("bad_setting", setting=name, error=problem["msg"])
        sys.exit(2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(log_loop_error)
        sys.exit(runner.run(serve(settings)))


async def serve(settings: Settings) -> int:
    """Runs one replica until a signal ends it; answers the exit status."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    redis = connect(settings.redis.url.get_secret_value())
    group = settings.operator
    try:
        async with (
            await Cluster.connect(group.namespace) as cluster,
            serving(cluster, settings.http) as port,
        ):
            _log.info("operator_started", namespace=group.namespace, port=port)
            operator = Operator(cluster, Placement(redis), settings)
            return await operator.run(stop)
    except OSError as error:
        _log.error("operator_not_started", error=str(error))
        return 1
    finally:
        await redis.aclose()


class Operator:
    """One replica: waits for the lease, leads, lets go."""

    def __init__(self, cluster: Cluster, placement: Placement, settings: Settings):
        self._cluster, self._placement, self._settings = cluster, placement, settings
        group = settings.operator
        self._leadership = Leadership(
            cluster, group.lease_name, group.identity, group.lease_seconds
        )

    async def run(self, stop: asyncio.Event) -> int:
        """Until `stop`, or until the lease is lost; answers the exit status."""
        work = asyncio.create_task(self._lead(stop))
        waits = asyncio.create_task(stop.wait())
        await asyncio.wait((work, waits), return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()
        stopped = stop.is_set()
        work.cancel()
        with suppress(asyncio.CancelledError):
            try:
                await work
            except* LeadershipLost:
                _log.error("leadership_lost", error="the lease was not renewed in time")
            except* Exception as errors:
                _log.error("operator_failed", exc_info=errors)
        await self._leadership.release()
        return 0 if stopped else 1

    async def _lead(self, stop: asyncio.Event) -> None:
        await self._leadership.acquire()
        cache = Cache()
        async with ClientSession() as session, asyncio.TaskGroup() as group:
            leader = Leader(self._cluster, self._placement, cache, self._settings, session)
            group.create_task(self._leadership.hold())
            group.create_task(leader.watch(stop))
            group.create_task(leader.resync())
            group.create_task(leader.run(group))


class Leader:
    """What the leading replica does."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        cache: Cache,
        settings: Settings,
        session: ClientSession,
    ):
        self._cluster, self._cache, self._settings = cluster, cache, settings
        self._pools = Pools(cluster, placement, cache, settings, session)
        self._loops: dict[str, tuple[Loop, asyncio.Task[None]]] = {}
        self._listed = asyncio.Event()

    async def watch(self, stop: asyncio.Event) -> None:
        """kopf's watches, begun again whenever they fail.

        kopf takes the signals over and returns after one: that is the operator's end too.
        """
        while True:
            try:
                while not await self._cluster.serves_our_kinds():
                    _log.warning("kinds_missing", hint="apply the chart's crds/")
                    await asyncio.sleep(_AGAIN_S)
                await kopf.operator(
                    registry=watching.registry(self._cache),
                    settings=watching.settings(),
                    namespaces=[self._settings.operator.namespace],
                    standalone=True,
                )
                stop.set()
                return
            except Exception as error:
                _log.warning("watch_failed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_AGAIN_S)

    async def resync(self) -> None:
        """Lists everything: at the start, so that nothing is decided before, and now and then."""
        while True:
            try:
                await self._list()
                self._listed.set()
                pause = _RESYNC_S
            except OperatorError as error:
                _log.warning("list_failed", error=str(error))
                pause = _AGAIN_S
            await asyncio.sleep(pause)

    async def run(self, group: asyncio.TaskGroup) -> None:
        """A loop per pool, as pools come and go."""
        await self._listed.wait()
        self._cache.listen(self._touch)
        while True:
            for name in self._cache.pools:
                if name not in self._loops:
                    loop = Loop(
                        "SFUPool", name, self._pools.reconcile, self._settings.operator.tick_seconds
                    )
                    self._loops[name] = (loop, group.create_task(loop.run()))
            for name in [name for name in self._loops if name not in self._cache.pools]:
                self._loops.pop(name)[1].cancel()
                self._pools.forget(name)
            self._cache.changed.clear()
            await self._cache.changed.wait()

    def _touch(self, kind: str, pool: str) -> None:
        if pool in self._loops:
            self._loops[pool][0].touch()

    async def _list(self) -> None:
        await watching.fill(self._cache, self._cluster)

"""What the leading replica does: kopf's watches fill a cache, and loops look at what is in it.

A loop per pool, and one for what pools that are gone left behind; the workers, the sweep and the
review of `Meetings`. All begin when everything has been listed once, so that nothing is taken for
lost that was not seen yet.
"""

import asyncio
import signal

import kopf
import structlog
from aiohttp import ClientSession

from kcs_contracts.placement import Placement
from kcs_operator.cluster import Cluster
from kcs_operator.errors import OperatorError
from kcs_operator.handlers import watching
from kcs_operator.handlers.meetings import Meetings
from kcs_operator.handlers.pools import Pools
from kcs_operator.handlers.turn import sweep
from kcs_operator.handlers.watching import Cache
from kcs_operator.loop import Loop
from kcs_operator.settings import Settings
from kcs_operator.signaling import Signaling

_log = structlog.get_logger(__name__)
_AGAIN_S = 2.0
_SWEEP_S = 5.0
_END_S = 5.0
"""What kopf's tasks get to end in."""


def heed_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set `stop`, whoever took them before."""
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)


class Leader:
    """What the leading replica does."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        cache: Cache,
        settings: Settings,
        session: ClientSession,
        signaling: Signaling,
    ):
        self._cluster, self._cache, self._settings = cluster, cache, settings
        self._placement = placement
        self._meetings = Meetings(
            cluster,
            placement,
            signaling,
            cache,
            settings,
            lambda pool: self._pools.start_seconds(pool),
        )
        self._pools = Pools(cluster, placement, cache, settings, session, self._meetings.scheduled)
        self._loops: dict[str, tuple[Loop, asyncio.Task[None]]] = {}
        self._listed = asyncio.Event()

    async def watch(self, stop: asyncio.Event) -> None:
        """kopf's watches, begun again whenever they fail. When kopf ends as if it had been told to,
        that is the operator's end too.
        """
        while True:
            try:
                while not await self._cluster.serves_our_kinds():
                    _log.warning("kinds_missing", hint="apply the chart's crds/")
                    await asyncio.sleep(_AGAIN_S)
                await self._run_kopf(stop)
                stop.set()
                return
            except Exception as error:
                _log.warning("watch_failed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_AGAIN_S)

    async def _run_kopf(self, stop: asyncio.Event) -> None:
        """Until it ends or fails.

        Not by `kopf.operator`: at its end that cancels every task that was begun after it, our
        loops among them.
        """
        tasks = await kopf.spawn_tasks(
            registry=watching.registry(self._cache),
            settings=watching.settings(),
            namespaces=[self._settings.operator.namespace],
            standalone=True,
        )
        heed_signals(stop)  # kopf has just taken them, and would keep them after its end
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_END_S)
        for task in done:
            if task.cancelled():
                raise OperatorError("kopf ended one of its own tasks")
            task.result()

    async def resync(self) -> None:
        """Lists everything: at the start, so that nothing is decided before, and now and then."""
        while True:
            try:
                await watching.fill(self._cache, self._cluster)
            except OperatorError as error:
                _log.warning("list_failed", error=str(error))
                await asyncio.sleep(_AGAIN_S)
            else:
                self._listed.set()
                await watching.until_due(self._cache)

    async def meetings(self) -> None:
        """Meetings, once everything is listed."""
        await self._listed.wait()
        await self._meetings.run()

    async def pools(self) -> None:
        """A loop per pool, as pools come and go."""
        await self._listed.wait()
        self._cache.listen(self._touch)
        async with asyncio.TaskGroup() as group:
            swept = Loop("TurnServers", "all", self._sweep, _SWEEP_S)
            group.create_task(swept.run())
            await self._follow(group)

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        while True:
            for name in self._cache.pools:
                if name not in self._loops:
                    loop = Loop(
                        "SFUPool", name, self._pools.reconcile, self._settings.operator.tick_seconds
                    )
                    self._loops[name] = (loop, group.create_task(loop.run()))
                    self._touch("pools", name)
            for name in [name for name in self._loops if name not in self._cache.pools]:
                task = self._loops.pop(name)[1]
                task.cancel()
                await asyncio.wait((task,))  # its last words would make metrics anew
                self._pools.forget(name)
            self._cache.changed.clear()
            await self._cache.changed.wait()

    async def _sweep(self, _: str) -> None:
        await sweep(self._placement, self._cache)

    def _touch(self, kind: str, pool: str) -> None:
        if kind == "meetings" or pool not in self._loops:
            return
        body = self._cache.pools.get(pool) if kind == "pools" else None
        self._loops[pool][0].touch(body["metadata"]["generation"] if body else None)

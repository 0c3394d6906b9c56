"""The process of the operator: every replica serves, one leads.

What the leader does, `leading` says. When the lease is lost, the process ends before the lease is
over, whatever hangs: the next one begins with a fresh look. SIGTERM lets go of the lease.
`kcs-operator` exits with 0 after a signal, 1 when it lost the lease or failed, 2 for bad settings.
"""

import asyncio
import os
import sys
from typing import NoReturn

import structlog
import uvloop
from aiohttp import ClientSession
from pydantic import ValidationError
from redis.asyncio import Redis

from kcs_contracts import logs
from kcs_contracts.placement import connect
from kcs_operator.cluster import Cluster
from kcs_operator.errors import OperatorError
from kcs_operator.handlers.watching import Cache
from kcs_operator.leadership import Leadership, LeadershipLost, LeadersPlacement
from kcs_operator.leading import Leader, heed_signals
from kcs_operator.serving import serving
from kcs_operator.settings import Settings
from kcs_operator.signaling import open_signaling
from kcs_operator.tracing import tracing

_log = structlog.get_logger(__name__)
_END_S = 7.0
"""What the leader's work gets to end in after a signal; the pod has 20 s for all."""


def main() -> None:
    """Entry point of `kcs-operator`."""
    logs.configure(quiet=("asyncio", "kopf"))
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = "KCS_" + "__".join(str(part) for part in problem["loc"]).upper()
            _log.error("bad_setting", setting=name, error=problem["msg"])
        sys.exit(2)
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    runner.get_loop().set_exception_handler(logs.log_loop_error)
    # the runner is not closed: tasks of kopf shield themselves from that while a request hangs
    _end(runner.run(serve(settings)))


async def serve(settings: Settings) -> int:
    """Runs one replica until a signal ends it; answers the exit status."""
    stop = asyncio.Event()
    heed_signals(stop)
    redis = connect(settings.redis.url.get_secret_value())
    group = settings.operator
    try:
        async with (
            # closed last: what the others do at their end is told too
            tracing(settings.tracing.endpoint, group.namespace, group.identity),
            await Cluster.connect(group.namespace) as cluster,
            serving(cluster, settings.http) as port,
        ):
            _log.info("operator_started", namespace=group.namespace, port=port)
            operator = Operator(cluster, redis, settings)
            return await operator.run(stop)
    except (OSError, OperatorError) as error:
        _log.error("operator_not_started", error=str(error))
        return 1
    finally:
        await redis.aclose()


class Operator:
    """One replica: waits for the lease, leads, lets go."""

    def __init__(self, cluster: Cluster, redis: Redis, settings: Settings):
        self._cluster, self._redis, self._settings = cluster, redis, settings
        group = settings.operator
        self._leadership = Leadership(
            cluster, group.lease_name, group.identity, group.lease_seconds, group.lease_role
        )

    async def run(self, stop: asyncio.Event) -> int:
        """Until `stop`, or until the lease is lost; answers the exit status."""
        work = asyncio.create_task(self._lead(stop))
        ends = [asyncio.create_task(each.wait()) for each in (stop, self._leadership.lost)]
        await asyncio.wait((work, *ends), return_when=asyncio.FIRST_COMPLETED)
        stopped, lost = stop.is_set(), self._leadership.lost.is_set()
        if lost:
            _log.error("leadership_lost", error="the lease was not renewed in time")
        self._leadership.resign()
        for each in (work, *ends):
            each.cancel()
        # a lease that was lost is another's after the last third of its duration
        seconds = self._settings.operator.lease_seconds / 3
        await asyncio.wait((work,), timeout=min(_END_S, seconds) if lost else _END_S)
        if not work.done():
            _log.error("operator_hangs", error="a task did not end: the process does")
            _end(1)
        _say_failure(work)
        await self._leadership.release()
        return 0 if stopped else 1

    async def _lead(self, stop: asyncio.Event) -> None:
        await self._leadership.acquire()
        cache = Cache()
        cluster = self._cluster.writing_while(self._leadership.leads)
        placement = LeadersPlacement(self._redis, self._leadership.leads)
        asked = self._settings.signaling
        async with (
            ClientSession() as session,
            open_signaling(asked.url, asked.key, self._cluster.namespace) as signaling,
            asyncio.TaskGroup() as group,
        ):
            leader = Leader(cluster, placement, cache, self._settings, session, signaling)
            group.create_task(self._leadership.hold())
            for work in (leader.watch(stop), leader.resync(), leader.meetings(), leader.pools()):
                group.create_task(work)


def _say_failure(work: asyncio.Task[None]) -> None:
    error = None if work.cancelled() else work.exception()
    if isinstance(error, BaseExceptionGroup):
        error = error.split(LeadershipLost)[1]
    if error is not None:
        _log.error("operator_failed", exc_info=error)


def _end(status: int) -> NoReturn:
    """At once, whatever still runs."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

"""Two never lead at once, whatever hangs; and somebody leads as soon as it is safe."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, sfu_pool, until
from tests.support.virtual_time import VirtualLoop, virtually

from kcs_contracts.ids import MeetingId, NodeName
from kcs_contracts.placement import Placement
from kcs_contracts.turn_servers import TurnServer
from kcs_operator.cluster import Cluster, Object
from kcs_operator.errors import AlreadyThere, ApiAway, Conflict, NotFound, NotLeading
from kcs_operator.leadership import Leadership, LeadershipLost, LeadersPlacement

SECONDS = 15
_versions = itertools.count(1)
"""Of all stores: a version that came twice would look as if nothing had changed."""


class Leases:
    """An API server with one Lease, optimistic locking, and bad days, for one client.

    Args:
        delay: how long a request takes to arrive, and its answer to come back.
    """

    namespace = "ns"

    def __init__(self, store: dict[str, Object], delay: Callable[[], float]):
        self._store, self._delay = store, delay

    async def get(self, _: str, name: str) -> Object:
        return await self._ask(lambda: self._found(name))

    async def create(self, _: str, body: Object) -> Object:
        def create() -> Object:
            if self._store:
                raise AlreadyThere
            return self._put(body)

        return await self._ask(create)

    async def replace(self, _: str, name: str, body: Object) -> Object:
        def replace() -> Object:
            found = self._found(name)["metadata"]["resourceVersion"]
            if found != body["metadata"]["resourceVersion"]:
                raise Conflict
            return self._put(body)

        return await self._ask(replace)

    async def _ask(self, work: Callable[[], Object]) -> Object:
        # what was sent arrives, whether or not somebody waits for it still
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Object] = loop.create_future()

        def arrive() -> None:
            try:
                found = work()
            except Exception as error:
                loop.call_later(self._delay(), _settle, answer, error)
            else:
                loop.call_later(self._delay(), _settle, answer, found)

        loop.call_later(self._delay(), arrive)
        return await answer

    def _found(self, name: str) -> Object:
        if not self._store:
            raise NotFound
        found = self._store[name]
        return {"metadata": {**found["metadata"]}, "spec": {**found["spec"]}}

    def _put(self, body: Object) -> Object:
        version = str(next(_versions))
        meta = {**body["metadata"], "resourceVersion": version}
        self._store["lease"] = {"metadata": meta, "spec": {**body["spec"]}}
        return self._store["lease"]


def _settle(answer: asyncio.Future[Object], result: Object | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def leadership(leases: Any, identity: str, loop: asyncio.AbstractEventLoop) -> Leadership:
    return Leadership(leases, "lease", identity, SECONDS, clock=loop.time)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0, 0.6))
def test_two_never_lead_at_once_and_nobody_waits_for_ever(seed: int, badness: float) -> None:
    """Three replicas; requests and answers are late by up to a minute, or hang for ever. A process
    that lost the lease is begun again, as the kubelet does; some stop in good order."""
    rng = random.Random(seed)
    store: dict[str, Object] = {}
    terms: list[str] = []

    async def world() -> None:
        loop = asyncio.get_running_loop()
        quiet = loop.time() + 300

        def delay() -> float:
            if loop.time() > quiet or rng.random() > badness:
                return rng.uniform(0, 0.1)
            return rng.choice([rng.uniform(0, 3), rng.uniform(0, 15), rng.uniform(0, 60), 1e9])

        current: dict[str, Leadership] = {}

        async def replica(name: str) -> None:
            for life in itertools.count():
                mine = current[name] = leadership(Leases(store, delay), f"{name}{life}", loop)
                await mine.acquire()
                terms.append(name)
                with suppress(LeadershipLost, TimeoutError):
                    async with asyncio.timeout(rng.uniform(1, 300)):
                        await mine.hold()
                assert not mine.leads()
                await mine.release()

        async def look() -> None:
            while True:
                assert sum(each.leads() for each in current.values()) <= 1, loop.time()
                await asyncio.sleep(rng.uniform(0, 2))

        tasks = [asyncio.create_task(replica(name)) for name in "abc"]
        watcher = asyncio.create_task(look())
        await asyncio.wait((watcher, *tasks), timeout=300, return_when=asyncio.FIRST_COMPLETED)
        before = len(terms)
        await asyncio.wait((watcher, *tasks), timeout=200, return_when=asyncio.FIRST_COMPLETED)
        held = any(each.leads() for each in current.values())
        assert held or len(terms) > before, "when the API server is well again, somebody leads"
        for each in (watcher, *tasks):
            if each.done():
                each.result()
            each.cancel()

    virtually(world())


@pytest.mark.parametrize("ignores_cancellation", [False, True])
def test_a_leader_whose_renewal_hangs_stops_at_two_thirds(ignores_cancellation: bool) -> None:
    store: dict[str, Object] = {}

    async def world() -> None:
        loop = asyncio.get_running_loop()
        hangs = False
        leases = Leases(store, lambda: 1e9 if hangs else 0.01)
        if ignores_cancellation:
            ask = leases._ask

            async def stubborn(work: Callable[[], Object]) -> Object:
                while hangs:
                    with suppress(asyncio.CancelledError):
                        await asyncio.sleep(1e9)
                return await ask(work)

            leases._ask = stubborn  # type: ignore[method-assign]
        first = leadership(leases, "a", loop)
        await first.acquire()
        begun = loop.time() - 0.04  # two requests, each there and back
        hangs = True
        hold = asyncio.create_task(first.hold())
        with pytest.raises(LeadershipLost):
            await hold
        assert first.lost.is_set()
        assert loop.time() - begun == pytest.approx(SECONDS * 2 / 3)
        assert not first.leads()
        other = leadership(Leases(store, lambda: 0.01), "b", loop)
        await other.acquire()
        assert loop.time() - begun > SECONDS
        hangs = False

    virtually(world())


def test_a_process_that_was_stopped_for_a_while_does_not_lead_when_it_goes_on() -> None:
    async def world() -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        mine = leadership(Leases({}, lambda: 0.01), "a", loop)
        await mine.acquire()
        assert mine.leads()
        loop.now += SECONDS
        assert not mine.leads()

    virtually(world())


def test_a_lease_that_somebody_deletes_is_not_taken_while_its_holder_may_still_lead() -> None:
    store: dict[str, Object] = {}

    async def world() -> None:
        loop = asyncio.get_running_loop()
        first, other = (leadership(Leases(store, lambda: 0.01), name, loop) for name in "ab")
        await first.acquire()
        begun = loop.time()
        follows = asyncio.create_task(other.acquire())
        await asyncio.sleep(5)
        store.clear()
        await follows
        assert loop.time() - begun > SECONDS
        assert other.leads()
        assert not first.leads()

    virtually(world())


def test_whose_lease_somebody_deletes_has_it_again_with_the_next_renewal() -> None:
    store: dict[str, Object] = {}

    async def world() -> None:
        loop = asyncio.get_running_loop()
        mine = leadership(Leases(store, lambda: 0.01), "a", loop)
        await mine.acquire()
        hold = asyncio.create_task(mine.hold())
        await asyncio.sleep(1)
        store.clear()
        await asyncio.sleep(SECONDS / 5)
        assert store["lease"]["spec"]["holderIdentity"] == "a"
        assert mine.leads()
        hold.cancel()

    virtually(world())


async def test_the_lease_belongs_to_the_role_so_that_it_goes_with_it(
    namespace: Namespace, api: Cluster
) -> None:
    first = Leadership(api, "kcs-operator", "a", 5)  # an operator that did not do this yet
    await first.acquire()
    await first.release()
    namespace.kubectl("create", "role", "ours", "--verb=get", "--resource=pods")
    other = Leadership(api, "kcs-operator", "b", 5, role="ours")
    await other.acquire()
    (owner,) = (await api.get("leases", "kcs-operator"))["metadata"]["ownerReferences"]
    assert owner["uid"] == namespace.get("role", "ours")["metadata"]["uid"]
    assert (owner["kind"], owner["name"]) == ("Role", "ours")
    namespace.kubectl("delete", "lease", "kcs-operator")
    namespace.kubectl("delete", "role", "ours")
    third = Leadership(api, "kcs-operator", "c", 5, role="ours")
    await third.acquire()
    assert third.leads(), "without its Role, too"
    assert "ownerReferences" not in (await api.get("leases", "kcs-operator"))["metadata"]


async def test_who_leads_no_more_changes_nothing_in_redis(redis: Redis) -> None:
    node, leading = NodeName("n1"), True
    await Placement(redis).load()
    placement = LeadersPlacement(redis, lambda: leading)
    await placement.drain(node)
    await placement.set_strategy("pool", "spread")
    leading = False
    server = TurnServer(host="192.0.2.1", region="", udp_port=3478)
    for call in (
        placement.undrain(node),
        placement.set_strategy("pool", "packed"),
        placement.issue_turn_servers("pool", [server]),
        placement.assign(MeetingId("m"), warmup_ms=0),
        placement.nodes(),
    ):
        with pytest.raises(NotLeading):
            await call
    assert await redis.smembers("kcs:drained") == {b"n1"}
    assert await redis.hgetall("kcs:pools") == {b"pool": b"spread"}
    assert await Placement(redis).issued_turn_servers("pool") == ()


def test_failures_that_pass_are_borne() -> None:
    async def world() -> None:
        loop = asyncio.get_running_loop()
        leases = Leases({}, lambda: 0.01)
        mine = leadership(leases, "a", loop)
        await mine.acquire()
        ask, failures = leases._ask, 0

        async def away(work: Callable[[], Object]) -> Object:
            nonlocal failures
            failures += 1
            if loop.time() % 20 < 5:
                raise ApiAway("503")
            return await ask(work)

        leases._ask = away  # type: ignore[method-assign]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(200):
                await mine.hold()
        assert failures > 20
        assert not mine.leads(), "who does not hold does not lead"

    virtually(world())


async def test_while_the_api_server_is_frozen_the_leader_stops_and_no_other_begins(
    namespace: Namespace, api: Cluster
) -> None:
    first, other = (Leadership(api, "kcs-operator", name, 5) for name in "ab")
    await first.acquire()
    begun = time.monotonic()
    follows = asyncio.create_task(other.acquire())
    hold = asyncio.create_task(first.hold())
    await asyncio.sleep(2.5)  # it has been renewed since
    assert first.leads()
    frozen = namespace.kubernetes.frozen()
    await asyncio.to_thread(frozen.__enter__)
    froze = time.monotonic()
    try:
        with pytest.raises(LeadershipLost):
            await asyncio.wait_for(hold, 10)
        lost = time.monotonic()
        assert begun + 5 * 2 / 3 < lost < froze + 5  # in virtual time it is two thirds exactly
        assert not first.leads()
        await asyncio.sleep(3)
        assert not other.leads()
    finally:
        await asyncio.to_thread(frozen.__exit__, None, None, None)
    await asyncio.wait_for(follows, 20)
    assert time.monotonic() - lost > 5 / 3
    assert other.leads()
    assert not first.leads()
    fenced = api.writing_while(first.leads)
    with pytest.raises(NotLeading):
        await fenced.create("sfupools", sfu_pool())
    with pytest.raises(NotLeading):
        await fenced.in_namespace("default").create("sfupools", sfu_pool())
    assert await fenced.get("leases", "kcs-operator"), "it may still read"
    await other.release()


async def test_an_operator_whose_api_server_is_frozen_ends_before_its_lease_is_over(
    namespace: Namespace, api: Cluster, new_operator: Callable[..., OperatorProcess]
) -> None:
    operator = new_operator(KCS_OPERATOR__LEASE_SECONDS="5")
    await operator.leads()
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}))

    async def made() -> bool:
        return bool(await api.list("pods"))

    await until(made, "a pod is made")
    frozen = namespace.kubernetes.frozen()
    await asyncio.to_thread(frozen.__enter__)
    froze = time.monotonic()
    try:
        lost = None
        while time.monotonic() < froze + 8 and lost is None:
            await asyncio.sleep(0.05)
            if any(each["event"] == "leadership_lost" for each in operator.lines()):
                lost = time.monotonic() - froze
        assert lost is not None
        assert lost < 5
    finally:
        await asyncio.to_thread(frozen.__exit__, None, None, None)
    assert operator.wait() == 1


async def test_a_signal_lets_another_lead_at_once(
    namespace: Namespace, new_operator: Callable[..., OperatorProcess]
) -> None:
    env = {"KCS_OPERATOR__LEASE_SECONDS": "60"}
    first = new_operator(**env)
    await first.leads()
    other = new_operator(**env)
    await asyncio.sleep(3)
    assert not any(each["event"] == "leading" for each in other.lines())
    assert first.stop() == 0
    await other.leads()
    assert not any(each["event"] == "operator_hangs" for each in first.lines())

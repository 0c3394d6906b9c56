"""What is decided of coturn pods, and what is taken from their exporters: no cluster is needed."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession, web
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from kcs_contracts.labels import Role
from kcs_contracts.placement import Placement
from kcs_contracts.resources.v1alpha1 import Drain, PodState, SFUPoolSpec, Turn, Update
from kcs_contracts.turn_servers import TurnServer
from kcs_operator.decisions.observed import ObservedPod
from kcs_operator.decisions.pods import TEMPLATE_CHANGED, Goal, plan
from kcs_operator.decisions.turn import (
    Egress,
    Loads,
    TurnLoad,
    TurnPod,
    observe_turn,
    servers_to_issue,
    settled_s,
    update_of,
    wanted_turn,
)
from kcs_operator.decisions.turn_secrets import Taken, TurnSecrets, next_step, waited_for
from kcs_operator.turn_metrics import TurnMetrics

NOW = 1_000_000.0
SETTLED_S = settled_s(300)
SPEC = SFUPoolSpec(region="eu")
OLD, NEW, NEXT = "an-old-secret-of-20", "a-new-secret-of-20!", "the-next-secret-of20"
TURN: dict[str, Any] = {"replicas": {"min": 1, "max": 3}, "targetAllocations": 10}
NO_PORTS = (
    "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't have free ports "
    "for the requested pod ports."
)
NO_SUCH_NODE = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."


def seen(name: str, **more: Any) -> ObservedPod:
    fields: dict[str, Any] = {
        "name": name,
        "uid": name,
        "role": Role.TURN,
        "template_hash": "new",
        "slot": 0,
        "created_at": NOW - 1000,
        "ready": True,
        "served": True,
        "address": "10.10.0.1",
    }
    return ObservedPod(**(fields | more))


def pod(name: str, **more: Any) -> TurnPod:
    return TurnPod(**vars(seen(name, **more)), load_known=True)


def body(phase: str = "Running", message: str = "", **ports: int) -> dict[str, Any]:
    every = ports or {"turn-udp": 3478, "turn-tcp": 3478}
    listed = [{"name": name, "containerPort": port} for name, port in every.items()]
    why = {"type": "PodScheduled", "reason": "Unschedulable", "message": message}
    return {
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "injected"}, {"name": "coturn", "ports": listed}]},
        "status": {"phase": phase, "conditions": [why] if message else []},
    }


def observed(found: ObservedPod, loads: Loads | None = None, **more: Any) -> TurnPod:
    return observe_turn(found, body(**more), loads or Loads(), (), SPEC, NOW)


def leaves(found: TurnPod, age: float, deadline: str = "1h") -> bool:
    drained = replace(found, drain_reason=TEMPLATE_CHANGED, draining_since=NOW - age)
    goal = Goal(0, "new", 3, drain=Drain(deadline=deadline), settled_s=SETTLED_S)
    return bool(plan([drained], goal, NOW).delete)


def test_a_pod_that_was_never_heard_from_is_occupied_until_the_deadline() -> None:
    silent = observed(seen("a"))
    assert silent.occupied
    assert silent.participants == 0, "it does not count for the number of pods"
    assert not leaves(silent, SETTLED_S + 100)
    assert leaves(silent, 3600 + 100)


def test_a_pod_stays_as_long_as_credentials_name_it() -> None:
    found = replace(pod("a", marked=True), drain_reason="x", draining_since=NOW - 40)
    for credential_seconds, goes in ((10, True), (11, False)):
        goal = Goal(0, "new", 3, settled_s=settled_s(credential_seconds))
        assert bool(plan([found], goal, NOW).delete) == goes


def test_a_pod_that_said_it_is_empty_counts_as_such_for_a_moment_only() -> None:
    loads, found = Loads(), seen("a")
    loads.add({"a": TurnLoad(0, 0)}, [found], NOW)
    assert leaves(observed(found, loads), SETTLED_S + 100)
    loads.add({}, [found], NOW + 20)
    assert not observe_turn(found, body(), loads, (), SPEC, NOW + 29).occupied
    assert observe_turn(found, body(), loads, (), SPEC, NOW + 31).occupied


def test_a_pod_that_never_ran_is_empty() -> None:
    never = observed(seen("a", ready=False, served=False), phase="Pending")
    assert not never.occupied
    assert leaves(never, SETTLED_S + 100)


@pytest.mark.parametrize(
    ("state", "occupied"),
    [({"running": {}}, True), ({"waiting": {"reason": "CrashLoopBackOff"}}, False)],
)
def test_a_pod_between_two_starts_is_empty(state: dict[str, Any], occupied: bool) -> None:
    crashes = body()
    crashes["status"]["containerStatuses"] = [{"state": state, "restartCount": 3}]
    found = observe_turn(seen("a", ready=False), crashes, Loads(), (), SPEC, NOW)
    assert found.occupied == occupied


def test_a_pod_that_is_lost_holds_up_nobody() -> None:
    lost = seen("a", ready=False, missing_since=NOW - 60)
    assert not observed(lost).occupied
    assert observed(replace(lost, missing_since=NOW - 20)).occupied
    goal = Goal(1, "new", 3, settled_s=SETTLED_S)
    assert plan([observed(lost)], goal, NOW).delete, "its ports are free for the next one"


def test_a_silent_pod_keeps_what_it_said_for_the_number_of_pods() -> None:
    loads, found = Loads(), [seen("a"), seen("b")]
    loads.add({"a": TurnLoad(7, 0), "b": TurnLoad(2, 0)}, found, NOW)
    loads.add({"b": TurnLoad(3, 0)}, found, NOW + 100)
    assert loads.of("a", NOW + 100) == (7, False)
    assert loads.of("b", NOW + 100) == (3, True)
    loads.add({}, found[1:], NOW + 100)
    assert loads.of("a", NOW + 100) == (0, False), "it is gone"


def test_a_pods_server_has_its_own_ports() -> None:
    found = observe_turn(
        seen("a"), body(**{"turn-udp": 3479, "turn-tls": 5349}), Loads(), (), SPEC, NOW
    )
    assert found.server == TurnServer(
        host="10.10.0.1", region="eu", udp_port=3479, tcp_port=None, tls_port=5349
    )
    assert found.marked, "it is not on the list"


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (None, None),
        ("turn.example.org", "turn.example.org"),
        ("*.turn.example.org", "10-10-0-1.turn.example.org"),
    ],
)
def test_over_tls_a_pod_has_a_name_of_its_certificate(host: str | None, told: str | None) -> None:
    tls = {"secretName": "turn-tls", "host": host}
    spec = SFUPoolSpec.model_validate({"turn": {**TURN, "tls": tls}})
    found = observe_turn(seen("a"), body(**{"turn-tls": 5349}), Loads(), (), spec, NOW)
    assert found.server is not None
    assert (found.server.host, found.server.tls_host) == ("10.10.0.1", told)


@pytest.mark.parametrize("address", ["", "2001:db8::1", "a b"])
def test_an_address_that_browsers_cannot_be_told_is_not_issued(address: str) -> None:
    found = observed(seen("a", address=address))
    assert found.server is None
    assert servers_to_issue([found], [], NOW) == ()


def test_the_list_has_ready_pods_that_stay_in_an_order_that_does_not_change() -> None:
    def at(name: str, host: str, **more: Any) -> TurnPod:
        return replace(pod(name, **more), server=TurnServer(host=host))

    one, two = at("a", "10.10.0.2"), at("b", "10.10.0.1")
    rest = [at("c", "10.10.0.3", ready=False), at("d", "10.10.0.4", drain_reason="x")]
    leaving = at("e", "10.10.0.5")
    for pods in ([one, two, *rest, leaving], [leaving, *rest, two, one]):
        hosts = [each.host for each in servers_to_issue(pods, [leaving], NOW)]
        assert hosts == ["10.10.0.1", "10.10.0.2"]


class Machines:
    """Kubernetes nodes with room for one coturn pod each, and a pool that is updated on them."""

    def __init__(self, count: int, desired: int, update: Update):
        self.count, self.desired, self.update = count, desired, update
        self.now, self.number = NOW, 0
        self.pods = [self._made("old", ready=number < count) for number in range(desired)]

    def _made(self, template_hash: str, ready: bool) -> TurnPod:
        self.number += 1
        found = pod(f"p{self.number}", template_hash=template_hash, ready=ready, served=ready)
        return replace(found, unschedulable=not ready, crowded_out=not ready, slot=self.number)

    def step(self) -> int:
        """One look; answers how many are ready and stay."""
        update = update_of(self.update, self.pods, "new", self.desired, self.now)
        goal = Goal(self.desired, "new", 1000, update=update, settled_s=SETTLED_S)
        steps = plan(self.pods, goal, self.now)
        gone = {each.uid for each in steps.delete}
        drained = {each.uid: why for each, why in steps.drain}
        back = {each.uid for each in steps.undrain}
        self.pods = [self._next(each, drained, back) for each in self.pods if each.uid not in gone]
        self.pods += [self._made("new", ready=False) for _ in steps.create_slots]
        free = self.count - sum(not each.unschedulable for each in self.pods)
        for index, each in enumerate(self.pods):
            if each.unschedulable and not each.draining and free > 0:
                free -= 1
                self.pods[index] = replace(
                    each, unschedulable=False, crowded_out=False, ready=True, served=True
                )
        self.now += 10
        return sum(each.state(self.now) is PodState.READY for each in self.pods)

    def _next(self, found: TurnPod, drained: dict[str, str], back: set[str]) -> TurnPod:
        if found.uid in back:
            return replace(found, drain_reason=None, draining_since=None, marked=False)
        if found.uid in drained:
            return replace(
                found, drain_reason=drained[found.uid], draining_since=self.now, marked=True
            )
        return found


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 4),
    desired=st.integers(1, 5),
    surge=st.integers(0, 2),
    unavailable=st.integers(0, 2),
)
def test_an_update_ends_where_every_machine_has_an_old_pod_and_takes_one_at_a_time(
    count: int, desired: int, surge: int, unavailable: int
) -> None:
    if not surge and not unavailable:
        return
    update = Update(max_surge=surge, max_unavailable=unavailable)
    machines = Machines(count, desired, update)
    most = min(count, desired)
    for _ in range(400):
        ready = machines.step()
        assert ready >= most - max(1, unavailable)
    serving = [each for each in machines.pods if not each.draining]
    assert {each.template_hash for each in serving} == {"new"}
    assert sum(each.ready for each in serving) == most


def test_no_working_pod_goes_for_a_template_that_fits_no_machine() -> None:
    pods = [pod("a", template_hash="old"), pod("b", ready=False, served=False)]
    for message, lets_go in ((NO_PORTS, 1), (NO_SUCH_NODE, 0)):
        waits = replace(seen("b", ready=False, served=False), unschedulable=True)
        pods[1] = observed(waits, phase="Pending", message=message)
        assert update_of(Update(), pods, "new", 1, NOW).max_unavailable == lets_go


@pytest.mark.parametrize(
    ("has", "take_both", "now", "after"),
    [
        (TurnSecrets((OLD,), 0, True), True, 86399, None),
        (TurnSecrets((OLD,), 0, True), False, 86400, ((OLD, NEXT), False)),
        (TurnSecrets((OLD, NEW), 0, False), False, 9e9, None),
        (TurnSecrets((OLD, NEW), 0, False), True, 1, ((NEW, OLD), True)),
        (TurnSecrets((NEW, OLD), 0, True), True, 599, None),
        (TurnSecrets((NEW, OLD), 0, True), True, 600, ((NEW,), True)),
    ],
)
def test_the_steps_of_a_change_of_secrets(
    has: TurnSecrets, take_both: bool, now: float, after: tuple[tuple[str, ...], bool] | None
) -> None:
    step = next_step(has, NEXT, days=1, pods_take_both=take_both, now=now)
    assert (step and (step.secrets, step.signs_newest)) == after


def test_secrets_never_change_when_told_so() -> None:
    assert (
        next_step(TurnSecrets((OLD,), 0, True), NEXT, days=0, pods_take_both=True, now=9e9) is None
    )


@pytest.mark.parametrize(
    ("taken", "waits"),
    [
        ({}, ("a", "b")),
        ({"a": Taken((NEW, OLD), NOW - 20)}, ("b",)),
        ({"a": Taken((NEW, OLD), NOW - 20), "b": Taken((OLD,), NOW - 900)}, ("b",)),
        ({"a": Taken((NEW, OLD), NOW - 20), "b": Taken((NEW, OLD), NOW - 5)}, ("b",)),
        ({"a": Taken((NEW, OLD), NOW - 20), "b": Taken((NEW, OLD), NOW - 10)}, ()),
        ({name: Taken((NEW, OLD), NOW - 20) for name in "abc"} | {"c": Taken((OLD,), 0)}, ()),
    ],
)
def test_a_change_waits_for_the_pods_of_every_pool(
    taken: dict[str, Taken], waits: tuple[str, ...]
) -> None:
    assert waited_for(["b", "a"], taken, [OLD, NEW], NOW) == waits


@pytest.mark.parametrize(
    ("allocations", "mbps", "pods"),
    [(0, 0, 1), (10, 0, 1), (11, 0, 2), (0, 501, 2), (500, 0, 3)],
)
def test_the_number_of_coturn_pods(allocations: int, mbps: float, pods: int) -> None:
    assert wanted_turn(Turn.model_validate(TURN), allocations, mbps) == pods


def test_egress_is_the_growth_of_the_counters_and_a_restart_is_no_flood() -> None:
    egress, (a, b) = Egress(), (pod("a"), pod("b"))
    assert egress.add({"a": TurnLoad(0, 0)}, [a], 0) == 0
    assert egress.add({"a": TurnLoad(0, 1_250_000)}, [a], 1) == 10
    assert egress.add({"a": TurnLoad(0, 100), "b": TurnLoad(0, 10**9)}, [a, b], 2) == 10
    assert egress.add({"b": TurnLoad(0, 10**9)}, [b], 3) == 0


def test_a_pod_that_is_silent_for_a_while_keeps_its_rate_and_sent_it_meanwhile() -> None:
    egress, pods = Egress(), [pod("a"), pod("b")]
    for second in range(10):
        heard = {"b": TurnLoad(0, second * 1_250_000)}
        if second < 2 or second > 7:
            heard["a"] = TurnLoad(0, second * 1_250_000)
        found = egress.add(heard, pods, second)
        assert found == (20 if second else 0)
    assert egress.add({}, pods[:1], 10) == 10, "the other one is gone"


SAID = 'kcs_turn_allocations{pool="p"} 3\nkcs_turn_egress_bytes_total{side="client"} 40\n'


class Answers:
    """A server that answers with these parts."""

    def __init__(self) -> None:
        self.status, self.parts = 200, [SAID]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        found = web.StreamResponse(status=self.status, headers={"Location": "/elsewhere"})
        await found.prepare(request)
        for part in self.parts:
            await found.write(part.encode())
        await found.write_eof()
        return found


@pytest.fixture
async def answers() -> AsyncIterator[tuple[Answers, str]]:
    found, app = Answers(), web.Application()
    app.router.add_get("/metrics", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield found, f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "parts", "load"),
    [
        (200, [SAID], TurnLoad(3, 40)),
        (200, ["# HELP x " + "y" * 60_000 + "\n"] * 8 + [SAID], TurnLoad(3, 40)),
        (200, ["# HELP x " + "y" * 60_000 + "\n"] * 20 + [SAID], None),
        (200, [""], None),
        (200, ["kcs_turn_allocations 3\n"], None),
        (200, [SAID.replace(" 3", " NaN")], None),
        (200, [SAID.replace(" 3", " +Inf")], None),
        (200, [SAID.replace(" 3", " -1")], None),
        (200, ["kcs_turn_allocations{ 3\n"], None),
        (302, [SAID], None),
        (503, [SAID], None),
    ],
)
async def test_only_a_whole_answer_that_says_who_is_connected_counts(
    answers: tuple[Answers, str], status: int, parts: Sequence[str], load: TurnLoad | None
) -> None:
    server, url = answers
    server.status, server.parts = status, list(parts)
    async with ClientSession() as session:
        found = await TurnMetrics(session).read({"u": url, "nobody": "http://127.0.0.1:9/metrics"})
    assert found == ({} if load is None else {"u": load})


async def test_the_list_of_servers_names_its_pools_and_bears_what_is_malformed(
    redis: Redis,
) -> None:
    placement = Placement(redis)
    servers = (TurnServer(host="10.10.0.1"), TurnServer(host="10.10.0.2", tls_port=443))
    await placement.issue_turn_servers("b", servers)
    await redis.hset("kcs:turn_servers", "a", '[{"host": 1}')
    assert await placement.turn_pools() == ("a", "b")
    assert await placement.issued_turn_servers("a") == ()
    assert await placement.issued_turn_servers("b") == servers
    assert await placement.turn_servers() == servers
    await placement.issue_turn_servers("a", ())
    assert await placement.turn_pools() == ("b",)

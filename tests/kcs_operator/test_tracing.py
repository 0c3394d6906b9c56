"""Traces: each reconciliation arrives with what it asked of others, and nobody waits for them."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.support.declared import declared
from tests.support.kubernetes import Namespace
from tests.support.operator import OperatorProcess, Pods, sfu_pool, until
from tests.support.otlp import Receiver, Span

from kcs_operator.tracing import call, reconciliation, tracing

OFTEN = {"OTEL_BSP_SCHEDULE_DELAY": "200"}
"""Spans are sent so many ms after they ended."""
AWAY = "http://127.0.0.1:1"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as found:
        yield found


async def arrived(receiver: Receiver, name: str, **about: str) -> Span:
    async def there() -> bool:
        return receiver.first(name, **about) is not None

    await until(there, f"{name} {about} arrived")
    found = receiver.first(name, **about)
    assert found is not None
    return found


async def test_a_pool_s_reconciliation_arrives_with_what_it_asked_of_others(
    namespace: Namespace,
    pods: Pods,
    receiver: Receiver,
    new_operator: Callable[..., OperatorProcess],
) -> None:
    operator = new_operator(KCS_TRACING__ENDPOINT=receiver.url, **OFTEN)
    await operator.leads()
    namespace.apply(sfu_pool("traced", replicas={"min": 1, "max": 1}))
    first = await arrived(receiver, "reconcile SFUPool", kcs_trigger="start")
    assert (first.parent, first.failed, first.service) == (b"", False, "kcs-operator")
    assert first.about == {
        "kcs.kind": "SFUPool",
        "kcs.name": "traced",
        "kcs.trigger": "start",
        "kcs.outcome": "ok",
    }
    asked = {each.name: each for each in receiver.within(first)}
    assert {"redis kcs_unmet", "kubernetes POST pods", "kubernetes PATCH sfupools"} <= set(asked)
    assert asked["kubernetes POST pods"].about["kcs.name"].startswith("traced-")
    assert await arrived(receiver, "reconcile SFUPool", kcs_trigger="change")
    assert await arrived(receiver, "reconcile SFUPool", kcs_trigger="tick")
    assert await arrived(receiver, "reconcile MeetingSweep", kcs_outcome="ok")
    assert operator.stop() == 0


async def test_what_failed_says_the_errors_class_and_names_nobody(
    namespace: Namespace, receiver: Receiver, new_operator: Callable[..., OperatorProcess]
) -> None:
    told = {"KCS_SIGNALING__URL": AWAY, "KCS_SIGNALING__KEY": "the-internal-key"}
    operator = new_operator(KCS_TRACING__ENDPOINT=receiver.url, **told, **OFTEN)
    await operator.leads()
    namespace.apply(declared("standup", host="ada-of-london"))
    again = await arrived(receiver, "reconcile Meeting", kcs_trigger="retry")
    assert again.failed
    assert again.about["kcs.name"] == "standup"
    assert again.about["kcs.outcome"] == "temporary"
    assert again.about["error.type"] == "SignalingAway"
    (asked,) = [s for s in receiver.within(again) if s.about["kcs.system"] == "signaling"]
    assert (asked.name, asked.failed) == ("signaling PUT", True)
    assert asked.about["error.type"] == "SignalingAway"
    assert operator.stop() == 0
    for secret in (b"ada-of-london", b"Lab meeting", b"the-internal-key"):
        assert secret not in receiver.raw


async def test_what_ended_last_is_sent_before_the_operator_ends(
    namespace: Namespace, receiver: Receiver, new_operator: Callable[..., OperatorProcess]
) -> None:
    seldom = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2048"}
    operator = new_operator(KCS_TRACING__ENDPOINT=receiver.url, **seldom)
    await operator.leads()
    namespace.apply(sfu_pool("traced", replicas={"min": 1, "max": 1}))

    async def made() -> bool:
        return any(each["event"] == "pod_created" for each in operator.lines())

    await until(made, "the pool was looked at")
    assert receiver.spans == []
    # as nobody may block the loop that the receiver runs in
    stopping = threading.Thread(target=operator.stop)
    stopping.start()
    assert await arrived(receiver, "kubernetes POST pods")
    stopping.join()
    assert operator.wait() == 0


@pytest.fixture(params=["away", "silent"])
def lost(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where nobody takes traces: nobody listens there, or who listens never answers."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        yield AWAY if request.param == "away" else f"http://127.0.0.1:{deaf.getsockname()[1]}"


async def test_without_its_receiver_the_operator_works_and_ends_as_ever(
    lost: str, namespace: Namespace, pods: Pods, new_operator: Callable[..., OperatorProcess]
) -> None:
    operator = new_operator(KCS_TRACING__ENDPOINT=lost, **OFTEN)
    await operator.leads()
    for number in (1, 2):
        namespace.apply(sfu_pool("traced", replicas={"min": number, "max": 2}))

        async def so_many(number: int = number) -> bool:
            return len(pods.of("traced")) == number

        await until(so_many, f"{number} pods")
    assert operator.stop() == 0
    failed = [each for each in operator.lines() if each["event"] == "reconcile_failed"]
    assert not [each for each in failed if each["metadata"]["kind"] == "SFUPool"]


async def test_without_an_endpoint_there_is_no_thread_and_nothing_is_recorded() -> None:
    before = threading.enumerate()
    async with tracing("", "talks", "operator-1"):
        with reconciliation("SFUPool", "pool", "tick") as ends, call("redis", "kcs_unmet"):
            ends("ok")
        assert threading.enumerate() == before


def test_a_variable_of_opentelemetry_that_does_not_fit_ends_it_and_says_so(tmp_path: Path) -> None:
    env = {"KCS_TRACING__ENDPOINT": AWAY, "OTEL_BSP_MAX_QUEUE_SIZE": "1"}
    operator = OperatorProcess(tmp_path, tmp_path / "none", "talks", "redis://127.0.0.1:1/0", env)
    assert operator.start().wait() == 1
    (line,) = [each for each in operator.lines() if each["event"] == "operator_not_started"]
    assert "OTEL_* does not fit" in line["metadata"]["error"]

"""A namespace with our kinds in it, an operator for it, and its pods."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.support.coturn_pods import Exporter
from tests.support.kubernetes import Kubernetes, Namespace
from tests.support.operator import OperatorProcess, Pods, connect

from kcs_contracts.placement import Placement
from kcs_operator.cluster import Cluster

CRDS = Path(__file__).resolve().parents[2] / "crds"


@pytest.fixture(scope="session")
def kinds(api_server: Kubernetes) -> Kubernetes:
    """The API server with our kinds."""
    api_server.kubectl("apply", "--server-side", "-f", str(CRDS))
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))
    # their storage comes a moment later; kubectl asks again where the server says 429
    api_server.kubectl("get", "sfupools,meetings", "--all-namespaces")
    return api_server


@pytest.fixture
def namespace(kinds: Kubernetes) -> Namespace:
    """This test's own."""
    return kinds.new_namespace()


@pytest.fixture
async def api(namespace: Namespace) -> AsyncIterator[Cluster]:
    """The operator's own client, as an administrator."""
    async with await connect(namespace.kubeconfig, namespace.name) as found:
        yield found


@pytest.fixture
async def placement(redis: Redis) -> Placement:
    """Of an empty Redis."""
    found = Placement(redis)
    await found.load()
    return found


@pytest.fixture
async def pods(api: Cluster, placement: Placement) -> AsyncIterator[Pods]:
    """What runs the pods of this test's namespace."""
    async with Pods(api, placement) as found:
        yield found


@pytest.fixture
def new_operator(
    tmp_path: Path, namespace: Namespace, redis_url: str, redis: Redis
) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators for this namespace, with variables of the environment; ends them."""
    started: list[OperatorProcess] = []

    def start(**env: str) -> OperatorProcess:
        found = OperatorProcess(tmp_path, namespace.kubeconfig, namespace.name, redis_url, env)
        started.append(found)
        return found.start()

    yield start
    for each in started:
        each.close()


@pytest.fixture
async def operator(new_operator: Callable[..., OperatorProcess]) -> OperatorProcess:
    """One that leads."""
    found = new_operator()
    await found.leads()
    return found


@pytest.fixture
async def exporters() -> AsyncIterator[list[Exporter]]:
    """On addresses that a test gives its coturn pods."""
    found = [Exporter(f"127.0.7.{number}") for number in range(1, 11)]
    for each in found:
        await each.start()
    yield found
    for each in found:
        await each.stop()

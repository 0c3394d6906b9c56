"""coturn pods of a namespace as tests see them, and what stands for their exporters."""

import base64
import json
from typing import Any

from aiohttp import web
from tests.support.kubernetes import Namespace

from kcs_contracts.placement import Placement
from kcs_operator.cluster import Cluster
from kcs_operator.errors import NotFound

OLD = "an-old-secret-of-20"
TURN: dict[str, Any] = {
    "replicas": {"min": 1, "max": 3},
    "targetAllocations": 10,
    "portRange": {"first": 50000, "last": 50099},
}


class Exporter:
    """What a coturn pod's exporter says, on one of loopback's addresses."""

    def __init__(self, host: str):
        self.host, self.allocations = host, 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listens where the operator asks."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, 9641).start()

    async def stop(self) -> None:
        """Ends."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        text = (
            "# TYPE kcs_turn_allocations gauge\n"
            f'kcs_turn_allocations{{pool="pool"}} {self.allocations}\n'
            "# TYPE kcs_turn_egress_bytes counter\n"
            'kcs_turn_egress_bytes_total{pool="pool",side="client"} 1000\n'
        )
        return web.Response(text=text)


def put_secret(namespace: Namespace, *secrets: str) -> None:
    """The one that coturn and signaling share."""
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "kcs-meetings-turn"},
            "stringData": {"secrets": json.dumps(secrets)},
        }
    )


async def issued(placement: Placement) -> set[str]:
    """Where browsers are sent."""
    return {each.host for each in await placement.turn_servers()}


async def turn_pods(api: Cluster, pool: str = "pool") -> list[dict[str, Any]]:
    """All that are there."""
    return await api.list("pods", f"meetings.kcs.dev/role=turn,meetings.kcs.dev/pool={pool}")


def config_of(pod: dict[str, Any]) -> str:
    """The Secret with its configuration."""
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "config"]
    name: str = volume["secret"]["secretName"]
    return name


async def configs_of(api: Cluster, pool: str) -> list[str]:
    """The configurations of the coturn pods that do not drain."""
    drained = "meetings.kcs.dev/drain-requested"
    staying = [
        pod
        for pod in await turn_pods(api, pool)
        if drained not in pod["metadata"].get("annotations", {})
    ]
    secrets = [await api.get("secrets", config_of(pod)) for pod in staying]
    return [base64.b64decode(each["data"]["turnserver.conf"]).decode() for each in secrets]


async def turn_config(api: Cluster) -> str:
    """The configuration of the one coturn pod that stays."""
    (found,) = await configs_of(api, "pool")
    return found


async def peers_of(api: Cluster, pool: str = "pool") -> list[set[str]]:
    """What each of the pool's coturn pods may relay to."""
    found = [
        pod["metadata"].get("annotations", {}).get("meetings.kcs.dev/sfu-addresses", "")
        for pod in await turn_pods(api, pool)
    ]
    return [set(each.split(",")) - {""} for each in found]


async def secrets_of(api: Cluster) -> list[str]:
    """What coturn and signaling share."""
    found = await api.get("secrets", "kcs-meetings-turn")
    read: list[str] = json.loads(base64.b64decode(found["data"]["secrets"]))
    return read


async def is_gone(api: Cluster, secret: str) -> bool:
    """There is no such Secret."""
    try:
        await api.get("secrets", secret)
    except NotFound:
        return True
    return False

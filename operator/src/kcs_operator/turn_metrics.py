"""What coturn pods say of themselves: nothing else asks their exporters."""

import asyncio
from collections.abc import Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout
from prometheus_client.parser import text_string_to_metric_families

from kcs_operator.decisions.turn import TurnLoad

_TIMEOUT = ClientTimeout(total=2)
_LARGEST = 1 << 20


class TurnMetrics:
    """Asks all pods at once; who does not answer is not in the answer."""

    def __init__(self, session: ClientSession):
        self._session = session

    async def read(self, urls: Mapping[str, str]) -> dict[str, TurnLoad]:
        """The loads by UID; `urls` are those of the pods' metrics, by UID."""
        loads = await asyncio.gather(*(self._one(url) for url in urls.values()))
        return {uid: load for uid, load in zip(urls, loads, strict=True) if load is not None}

    async def _one(self, url: str) -> TurnLoad | None:
        try:
            async with self._session.get(url, timeout=_TIMEOUT) as answer:
                text = (await answer.content.read(_LARGEST)).decode(errors="replace")
            return _load(text)
        except (ClientError, OSError, TimeoutError, ValueError):
            return None


def _load(text: str) -> TurnLoad:
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return TurnLoad(
        allocations=int(sums.get("kcs_turn_allocations", 0)),
        egress_bytes=int(sums.get("kcs_turn_egress_bytes_total", 0)),
    )

"""What coturn pods say of themselves: nothing else asks their exporters."""

import asyncio
import math
from collections.abc import Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout
from prometheus_client.parser import text_string_to_metric_families

from kcs_operator.decisions.turn import TurnLoad
from kcs_operator.tracing import call

_TIMEOUT = ClientTimeout(total=2)
_LARGEST = 1 << 20
_ALLOCATIONS = "kcs_turn_allocations"
_EGRESS = "kcs_turn_egress_bytes_total"


class TurnMetrics:
    """Asks all pods at once; who does not answer, or not wholly, is not in the answer."""

    def __init__(self, session: ClientSession):
        self._session = session

    async def read(self, urls: Mapping[str, str]) -> dict[str, TurnLoad]:
        """The loads by UID; `urls` are those of the pods' metrics, by UID."""
        with call("coturn", "metrics"):
            loads = await asyncio.gather(*(self._one(url) for url in urls.values()))
        return {uid: load for uid, load in zip(urls, loads, strict=True) if load is not None}

    async def _one(self, url: str) -> TurnLoad | None:
        try:
            return _load(await self._text(url))
        except (ClientError, OSError, TimeoutError, ValueError, LookupError):
            return None

    async def _text(self, url: str) -> str:
        """All of it: a part may lack the very line that says who is connected."""
        read = bytearray()
        async with self._session.get(url, timeout=_TIMEOUT, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"answered {answer.status}")
            async for part in answer.content.iter_any():
                read += part
                if len(read) > _LARGEST:
                    raise ValueError("too long")
        return read.decode()


def _load(text: str) -> TurnLoad:
    """Raises ValueError or LookupError where it does not say all that is asked."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    allocations, egress = sums[_ALLOCATIONS], sums[_EGRESS]
    if not (0 <= allocations < math.inf and 0 <= egress < math.inf):
        raise ValueError("counts are numbers from 0")
    return TurnLoad(int(allocations), int(egress))

"""How many coturn pods there should be: by allocations and by what they send."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kcs_contracts.resources.v1alpha1 import Turn

SETTLED_S = 330.0
"""A coturn pod that left the list is not deleted for so long: credentials that were given out with
it are good for 300 s."""


@dataclass(frozen=True)
class TurnLoad:
    """What one coturn pod does."""

    allocations: int
    egress_bytes: int
    """Sent in all, since it started."""


def wanted_turn(turn: Turn, allocations: int, egress_mbps: float) -> int:
    """The number for this moment, before stabilisation."""
    by_allocations = allocations / turn.target_allocations
    by_egress = egress_mbps / turn.target_egress_mbps
    pods = math.ceil(max(by_allocations, by_egress) - 1e-6)
    return max(turn.replicas.min, min(turn.replicas.max, pods))


class Egress:
    """Turns counters of bytes into Mbit/s, over all pods; a counter that fell began anew."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, float] = {}

    def add(self, loads: Sequence[tuple[str, TurnLoad]], now: float) -> float:
        """Takes a sample of each pod, by UID; answers the sum."""
        rates = {}
        for uid, load in loads:
            at, before = self._last.get(uid, (now, load.egress_bytes))
            if now > at and load.egress_bytes >= before:
                rates[uid] = (load.egress_bytes - before) * 8 / 1e6 / (now - at)
            else:
                rates[uid] = self._rates.get(uid, 0.0)
            self._last[uid] = (now, load.egress_bytes)
        present = {uid for uid, _ in loads}
        self._last = {uid: value for uid, value in self._last.items() if uid in present}
        self._rates = rates
        return sum(rates.values())

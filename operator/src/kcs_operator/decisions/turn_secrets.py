"""When coturn's shared secret changes: never at once, as two are valid at a time.

A second secret is added; when every coturn pod of every pool takes both, the new one goes first
and signs; when all credentials of the old one are over, it goes. Each step is seen from the Secret
alone. Signaling signs for the pods of all pools with one secret, so a single pool whose pods are
not replaced (it is paused, or they find no Kubernetes node) holds up the change.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

_RETIRES_S = 600.0
"""Between the new secret's going first and the old one's end: a kubelet shows signaling the new
file within two minutes, and what was signed until then is good for 300 s."""
_SEEN_S = 10.0
"""Signaling reads the list of coturn pods every 5 s: those that left it are not signed for then."""


@dataclass(frozen=True)
class TurnSecrets:
    """The Secret: the first signs."""

    secrets: tuple[str, ...]
    changed_at: float
    """When a step was taken last."""
    signs_newest: bool
    """The newest is the first."""


@dataclass(frozen=True)
class Taken:
    """All coturn pods of a pool that browsers are told of take these secrets."""

    secrets: tuple[str, ...]
    """As of `for_hash`."""
    since: float


def next_step(
    now_has: TurnSecrets, new: str, *, days: float, pods_take_both: bool, now: float
) -> TurnSecrets | None:
    """The Secret after the next step; None when none is due. `new` is a fresh secret."""
    age = now - now_has.changed_at
    if len(now_has.secrets) == 1:
        due = days > 0 and age >= days * 86400
        return TurnSecrets((now_has.secrets[0], new), now, signs_newest=False) if due else None
    old_first = not now_has.signs_newest
    if old_first:
        return (
            TurnSecrets(now_has.secrets[::-1], now, signs_newest=True) if pods_take_both else None
        )
    return TurnSecrets(now_has.secrets[:1], now, signs_newest=True) if age >= _RETIRES_S else None


def waited_for(
    pools: Collection[str], taken: Mapping[str, Taken], secrets: Sequence[str], now: float
) -> tuple[str, ...]:
    """Of the pools with coturn pods, those whose pods do not all take these secrets yet."""
    wanted = for_hash(secrets)

    def takes(pool: str) -> bool:
        found = taken.get(pool)
        return found is not None and found.secrets == wanted and now - found.since >= _SEEN_S

    return tuple(sorted(pool for pool in pools if not takes(pool)))


def for_hash(secrets: Sequence[str]) -> tuple[str, ...]:
    """In an order that does not change when another one signs: coturn takes all of them."""
    return tuple(sorted(secrets))

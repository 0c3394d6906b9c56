"""When coturn's shared secret changes: never at once, as two are valid at a time.

A second secret is added; when every coturn pod takes both, the new one goes first and signs; when
all credentials of the old one are over, it goes. Each step is seen from the Secret alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_RETIRES_S = 600.0
"""Between the new secret's going first and the old one's end: a kubelet shows signaling the new
file within two minutes, and what was signed until then is good for 300 s."""


@dataclass(frozen=True)
class TurnSecrets:
    """The Secret: the first signs."""

    secrets: tuple[str, ...]
    changed_at: float
    """When a step was taken last."""
    signs_newest: bool
    """The newest is the first."""


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


def for_hash(secrets: Sequence[str]) -> list[str]:
    """In an order that does not change when another one signs: coturn takes all of them."""
    return sorted(secrets)

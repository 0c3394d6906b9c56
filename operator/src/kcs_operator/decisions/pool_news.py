"""What is told of a pool as events: what changed between two of its statuses."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from kcs_contracts.resources.v1alpha1 import Condition, SFUPoolStatus

_AS_WANTED = ("Starting", "ScaledToZero")
"""Reasons for which no pod is ready, and nothing is wrong."""
_TOLD_BY_SCALING = "Progressing"


class News(NamedTuple):
    """One event."""

    reason: str
    note: str
    type: Literal["Normal", "Warning"] = "Normal"
    action: str = "Reconcile"


def news(before: SFUPoolStatus, after: SFUPoolStatus) -> Iterator[News]:
    """How many pods there should be, and conditions that came or went.

    Of a condition that was not there before only trouble is told, and so is other trouble in the
    place of the former.
    """
    was, now = before.desired_replicas, after.desired_replicas
    if was != now:
        text = f"{was} to {now} SFU pods: {after.last_scale_reason}"
        yield News("ScaledUp" if now > was else "ScaledDown", text, action="Scale")
    former = {each.type: each for each in before.conditions}
    for each in after.conditions:
        old = former.get(each.type)
        if each.type == _TOLD_BY_SCALING or (old is not None and _same(old, each)):
            continue
        if _is_bad(each):
            yield News(each.reason, each.message, "Warning")
        elif old is not None and (old.status != each.status or _is_bad(old)):
            yield News(each.reason, each.message)


def _same(old: Condition, new: Condition) -> bool:
    return (old.status, old.reason) == (new.status, new.reason)


def _is_bad(each: Condition) -> bool:
    is_good = (each.type == "Available") == (each.status == "True")
    return not is_good and each.reason not in _AS_WANTED

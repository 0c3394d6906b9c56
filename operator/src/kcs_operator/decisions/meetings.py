"""What is said of a Meeting: its status, from its spec, its registration and where it is.

Pure: who calls brings the time. A Meeting's life costs few writes: one when it is registered (with
the reservation, where its time has come), one when people come, one when it ends; and one at its
start where nobody has come by then. Counts alone are told once a minute.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from kcs_contracts.ids import MeetingId
from kcs_contracts.internal_api import Registered, Registration
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.resources.v1alpha1 import Condition, MeetingPhase, MeetingSpec, MeetingStatus
from kcs_contracts.resources.v1alpha1.common import duration_of
from kcs_contracts.resources.v1alpha1.meeting import SecretRef

COUNT_EVERY_S = 60.0
"""Least time between two writes of a status that differ in the number of people alone."""
_LATE_S = 60.0
"""A meeting that is registered so long after its start began without it."""
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_ORDER = ("Registered", "Placed", "Migrating")
_NOT_SENT = {"e2ee", "recording"}
"""Settings of the object that signaling has no such field for; they can only be false yet."""


class Where(NamedTuple):
    """A meeting as placement knows it."""

    node: str = ""
    """Its home; empty when it has none."""
    epoch: int = 0
    people: int = 0
    alive: bool = False
    """The home's lease holds."""
    migrating: bool = False
    """Its home drains, or it has a second home already."""
    over: bool = False
    """It was ended."""


class Token(NamedTuple):
    """The host's token, in its Secret."""

    secret: str
    expires_at: str


class Placing(NamedTuple):
    """What came of the look for room."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    node: str = ""
    epoch: int = 0


NOT_YET = Placing("Unknown", "NotYet", "Room is reserved shortly before schedule.start.")
NO_CAPACITY = Placing(
    "False", "NoCapacity", "No SFU pod has room for expectedParticipants; it is tried again."
)
IN_THE_PAST = Placing(
    "False",
    "InThePast",
    "The planned time is over, so no room is kept: set schedule.start to a time to come.",
)
_NO_NODE = Placing(
    "False", "NoNode", "No SFU pod has the meeting now; one is found for whoever comes."
)
OVER = Placing("False", "Ended", "The meeting is over.")


def no_such_pool(name: str) -> Placing:
    """The spec names a pool that is not there."""
    text = f'There is no SFUPool "{name}" in this namespace: make it, or change poolRef.'
    return Placing("False", "NoSuchPool", text)


def placed_at(node: str, epoch: int) -> Placing:
    """A node keeps room for it, or has it."""
    return Placing("True", "OnNode", "An SFU pod has it, or keeps room for it.", node, epoch)


def meeting_id_of(uid: str) -> MeetingId:
    """A meeting id such as people's own ones (`ids.new_meeting_id`), the same for the same UID."""
    bits = int.from_bytes(hashlib.sha256(f"kcs-meeting:{uid}".encode()).digest()[:8])
    text = "".join(_ALPHABET[(bits >> (5 * place)) % 32] for place in range(10))
    return MeetingId(f"{text[:3]}-{text[3:7]}-{text[7:]}")


def times_of(spec: MeetingSpec) -> tuple[float | None, float | None]:
    """When it starts and when it is planned to be over, in Unix s; None without a schedule.

    Raises:
        ValueError: the start is no time.
    """
    if spec.schedule is None:
        return None, None
    start = datetime.fromisoformat(spec.schedule.start)
    length = duration_of(spec.schedule.duration)
    return start.timestamp(), (start + length).timestamp()


def registration_of(namespace: str, name: str, spec: MeetingSpec) -> Registration:
    """What signaling is told.

    Raises:
        ValueError: something in the spec cannot be registered; the text says what.
    """
    start, end = times_of(spec)
    settings = spec.settings.model_dump(exclude=_NOT_SENT)
    return Registration(
        namespace=namespace,
        name=name,
        display_name=spec.display_name,
        host_id=spec.host,
        starts_at=None if start is None else datetime.fromtimestamp(start, UTC),
        duration_minutes=None if start is None or end is None else max(1, int(end - start) // 60),
        max_participants=spec.max_participants,
        expected_participants=spec.expected_participants,
        region=spec.region,
        pool=spec.pool_ref.name if spec.pool_ref else "",
        settings=RoomSettings.model_validate(settings),
    )


def first_placing(
    spec: MeetingSpec, pools: Iterable[str], ahead_s: float, now: float
) -> Placing | None:
    """What is known before anybody asks placement for room; None: ask it now."""
    start, end = times_of(spec)
    if end is not None and end <= now:
        return IN_THE_PAST
    if spec.pool_ref is not None and spec.pool_ref.name not in pools:
        return no_such_pool(spec.pool_ref.name)
    return NOT_YET if start is not None and start - ahead_s > now else None


def registered(
    before: MeetingStatus,
    spec: MeetingSpec,
    generation: int,
    answer: Registered,
    token: Token | None,
    placing: Placing | None,
    now: float,
) -> MeetingStatus:
    """The status of a meeting that signaling knows.

    Args:
        token: None when another's Secret has the name of the meeting's own.
        placing: None when it has begun: then the sweep says where it is.
    """
    if answer.ended_at is not None:
        ended_at = answer.ended_at.timestamp()
        over = over_status(before, ended_at, now)
        return over.model_copy(update={"observed_generation": generation})
    start, _ = times_of(spec)
    late = start is not None and start < now - _LATE_S and before.started_at is None
    told = ("Registered", "People can join by joinURL.")
    if late:
        told = ("StartIsPast", "schedule.start had passed already: people can join by joinURL.")
    if token is None:
        told = (
            "SecretTaken",
            "A Secret with this meeting's name and -host is there already and is not its own: "
            "remove it, and the host's token comes.",
        )
    status = before.model_copy(
        update={
            "observed_generation": generation,
            "meeting_id": str(answer.id),
            "join_url": answer.join_url,
        }
    )
    if token is not None:
        ref = SecretRef(name=token.secret)
        update = {"token_secret_ref": ref, "token_expires_at": token.expires_at}
        status = status.model_copy(update=update)
    news = Condition(
        type="Registered",
        status="True",
        reason=told[0],
        message=told[1],
        observed_generation=generation,
    )
    status = _with(status, now, news)
    return status if placing is None else with_placing(status, placing, now)


def refused(before: MeetingStatus, generation: int, text: str, now: float) -> MeetingStatus:
    """Signaling does not take the meeting as it is declared."""
    news = Condition(
        type="Registered",
        status="False",
        reason="Refused",
        message=text[:1000],
        observed_generation=generation,
    )
    goes_on = before.phase in (MeetingPhase.ACTIVE, MeetingPhase.ENDED)
    phase = before.phase if goes_on else MeetingPhase.FAILED
    update = {"observed_generation": generation, "phase": phase}
    return _with(before.model_copy(update=update), now, news)


def unreachable(before: MeetingStatus, reason: str, text: str, now: float) -> MeetingStatus:
    """Signaling could not be asked, for a while already."""
    news = Condition(type="Registered", status="False", reason=reason, message=text[:1000])
    return _with(before, now, news)


def with_placing(before: MeetingStatus, placing: Placing, now: float) -> MeetingStatus:
    """With the outcome of the look for room; a meeting that has begun stays Active."""
    update: dict[str, Any] = {"node": placing.node or None, "epoch": placing.epoch or None}
    if before.phase is not MeetingPhase.ACTIVE:
        update["phase"] = _phase(placing)
    return _with(before.model_copy(update=update), now, _placed(placing), _moves(False))


def _phase(placing: Placing) -> MeetingPhase:
    if placing.status == "True":
        return MeetingPhase.READY
    return MeetingPhase.FAILED if placing.reason == IN_THE_PAST.reason else MeetingPhase.SCHEDULED


def projected(before: MeetingStatus, where: Where, now: float, *, lost: bool) -> MeetingStatus:
    """The status after a look at placement.

    Args:
        lost: the home has been dead for long enough to be told.
    """
    if before.phase is MeetingPhase.ENDED:
        return before
    if where.over:
        return over_status(before, now, now)
    update: dict[str, Any] = {"participants": where.people}
    if where.people > 0:
        update["phase"] = MeetingPhase.ACTIVE
        update["started_at"] = before.started_at or timestamp(now)
    if where.node and where.alive:
        update |= {"node": where.node, "epoch": where.epoch}
        if before.phase is not MeetingPhase.ACTIVE and where.people == 0:
            update["phase"] = MeetingPhase.READY
        news = (_placed(placed_at(where.node, where.epoch)), _moves(where.migrating))
        return _with(before.model_copy(update=update), now, *news)
    if lost and before.node:
        update |= {"node": None, "epoch": None}
        return _with(before.model_copy(update=update), now, _placed(_NO_NODE), _moves(False))
    return before.model_copy(update=update)


def over_status(before: MeetingStatus, ended_at: float, now: float) -> MeetingStatus:
    """The meeting has ended; that is final."""
    update = {
        "phase": MeetingPhase.ENDED,
        "node": None,
        "epoch": None,
        "participants": 0,
        "ended_at": before.ended_at or timestamp(ended_at),
    }
    news = (_placed(OVER), _moves(False))
    return _with(before.model_copy(update=update), now, *news)


def due_in(before: MeetingStatus, after: MeetingStatus, since_s: float, least_s: float) -> float:
    """In how many s a status is to be written, `since_s` after the last write; infinite: never."""
    if after == before:
        return float("inf")
    only_count = after.model_copy(update={"participants": before.participants}) == before
    return max(0.0, (max(COUNT_EVERY_S, least_s) if only_count else least_s) - since_s)


def status_patch(before: Mapping[str, Any], after: MeetingStatus) -> dict[str, Any]:
    """The merge patch from a status as the API has it: what differs, null for what is gone."""
    wanted = after.to_json()
    known = {field.alias or name for name, field in MeetingStatus.model_fields.items()}
    gone = {key: None for key in before if key in known and key not in wanted}
    return gone | {key: value for key, value in wanted.items() if before.get(key) != value}


def condition(status: MeetingStatus, kind: str) -> Condition | None:
    """One of its conditions."""
    return next((each for each in status.conditions if each.type == kind), None)


def timestamp(seconds: float) -> str:
    """Unix s as Kubernetes writes times."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _placed(placing: Placing) -> Condition:
    return Condition(
        type="Placed", status=placing.status, reason=placing.reason, message=placing.message
    )


def _moves(migrating: bool) -> Condition:
    if migrating:
        text = "Its SFU pod drains: the meeting moves to another."
        return Condition(type="Migrating", status="True", reason="Draining", message=text)
    return Condition(type="Migrating", status="False", reason="Settled")


def _with(status: MeetingStatus, now: float, *news: Condition) -> MeetingStatus:
    found = {each.type: each for each in status.conditions}
    for each in news:
        before = found.get(each.type)
        found[each.type] = each.told_after(before, timestamp(now))
    order = [name for name in _ORDER if name in found]
    return status.model_copy(update={"conditions": tuple(found[name] for name in order)})

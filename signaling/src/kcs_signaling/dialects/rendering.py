"""What happens in a room, as `/meeting` tells it: each domain event becomes events for some peers.

Pure: the dialects send what comes out; `/` takes the same for all that the client guide has no
words of its own for.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kcs_contracts.events import (
    ActiveSpeaker,
    AtNext,
    AudioLevels,
    BreakoutClosing,
    BreakoutMoved,
    BreakoutTold,
    ChatDeleted,
    ChatPosted,
    DomainEvent,
    MediaMigrating,
    MediaMoved,
    MediaReset,
    MediaToggled,
    MeetingEnded,
    MoveAbandoned,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    PeopleAdded,
    ProducerClosed,
    ProducerOpened,
    ProducerPaused,
    Reacted,
    RoomChanged,
    Typed,
    WaitingJoined,
    WaitingLeft,
)
from kcs_contracts.ids import Epoch, ParticipantId
from kcs_contracts.protocol.roles import Action, allows
from kcs_contracts.rooms import MediaKind, Participant, Producer
from kcs_signaling.dialects import views
from kcs_signaling.rooms.peer import Peer, Room
from kcs_signaling.rooms.permissions import is_host, may_unmute_self
from kcs_signaling.service.chat import may_see

Reached = Callable[[Peer], bool]


class Told(NamedTuple):
    """One event for one peer, for those that `to` picks, or (None) for all."""

    name: str
    payload: Mapping[str, Any]
    to: Peer | Reached | None = None


def reached(told: Told, peers: list[Peer]) -> list[Peer]:
    """Those of the peers, all of one audience, whom it is for."""
    to = told.to
    if to is None:
        return peers
    if isinstance(to, Peer):
        return [to] if peers and to.audience is peers[0].audience else []
    return [peer for peer in peers if to(peer)]


def rendered(room: Room, event: DomainEvent) -> Iterator[Told]:
    """What to say of an event that is in the room's state already."""
    match event:
        case ProducerOpened() | ProducerPaused() | ProducerClosed() | MediaToggled():
            yield from _media(room, event)
        case MediaMigrating() | AtNext() | MediaMoved() | MoveAbandoned():
            yield from _moving(room, event)
        case MediaReset(reason=reason, epoch=epoch, generation=generation):
            plane = {"reason": reason, "epoch": epoch, "generation": generation}
            yield Told("media:reset", {"meeting_id": room.id, **plane})
        case ActiveSpeaker(participant_id=speaker):
            yield Told("speaker:active", {"meeting_id": room.id, "user_id": speaker})
        case AudioLevels(levels=levels):
            loud = [{"user_id": who, "level": level} for who, level in levels.items()]
            yield Told("audio:levels", {"meeting_id": room.id, "levels": loud})
        case ChatPosted() | ChatDeleted() | Typed() | Reacted():
            yield from _chat(room, event)
        case BreakoutMoved() | BreakoutTold() | BreakoutClosing():
            yield from _breakouts(room, event)
        case RoomChanged():
            yield from _room_changed(room, event)
        case MeetingEnded(reason=reason, return_to=return_to):
            ended = {"meeting_id": room.id, "reason": reason, "return_to": return_to}
            yield Told("room:closed", ended)
        case _:
            yield from _people(room, event)


# --- people --------------------------------------------------------------------------------------


def _people(room: Room, event: DomainEvent) -> Iterator[Told]:
    meeting = {"meeting_id": room.id}
    match event:
        case ParticipantJoined(participant=who):
            joined = {"user_id": who.id, "display_name": who.display_name, "role": who.role}
            yield Told("participant:joined", {**meeting, **joined}, others(who.id))
        case ParticipantLeft(participant_id=gone, reason=reason):
            left = {**meeting, "user_id": gone, "reason": reason}
            yield Told("participant:left", left, others(gone))
        case ParticipantChanged():
            yield from _changed(room, event)
        case WaitingJoined(person=waits):
            yield Told("waiting:added", {**meeting, **views.waiting_person(waits)}, _may_admit)
        case WaitingLeft(participant_id=gone, outcome=outcome):
            decided = {**meeting, "user_id": gone, "outcome": outcome}
            yield Told("waiting:left", decided, _may_admit)
        case PeopleAdded(user_ids=user_ids, emails=emails, by=by):
            added = {**meeting, "user_ids": list(user_ids), "emails": emails, "by": by}
            yield Told("participant:added", added)


def _changed(room: Room, event: ParticipantChanged) -> Iterator[Told]:
    who, named = event.participant, _named(room, event.participant)
    match event.what:
        case "role":
            old = event.old_role or who.role
            roles = {"old_role": old, "new_role": who.role}
            yield Told(
                "participant:role:changed",
                {"meeting_id": room.id, "user_id": who.id, **roles},
            )
            if is_host(who.role) and not is_host(old):
                yield from what_hosts_see(room, who.id)
        case "audio_muted":
            yield from _muted(room, event, "audio", who.audio_muted)
        case "video_muted":
            yield from _muted(room, event, "video", who.video_muted)
        case "hand_raised_at_ms" if who.hand_raised_at_ms is not None:
            yield Told("hand:raised", {**named, "timestamp": views.at_ms(who.hand_raised_at_ms)})
        case "hand_raised_at_ms":
            yield Told("hand:lowered", {"meeting_id": room.id, "user_id": who.id})
        case "screen_sharing":
            name = "screen:started" if who.screen_sharing else "screen:stopped"
            yield Told(name, {**named, "timestamp": _now()})
        case "quality" if who.quality is not None:
            quality = {"meeting_id": room.id, "user_id": who.id, "quality": who.quality}
            yield Told("connection:quality", quality)
    if event.what != "quality":
        updated = {"meeting_id": room.id, "user_id": who.id, "updates": views.person(who)}
        yield Told("participant:updated", updated)


def _muted(room: Room, event: ParticipantChanged, kind: MediaKind, muted: bool) -> Iterator[Told]:
    if event.by is None:
        return  # they unmuted themselves
    target, live = event.participant, room.state.live
    host = room.state.participants.get(event.by)
    yield Told(
        "participant:muted",
        {
            "meeting_id": room.id,
            "target_user_id": target.id,
            "moderator_name": host.display_name if host else "",
            "kind": kind,
            "muted": muted,
        },
    )
    if muted:
        may = may_unmute_self(target.role, live.settings)
        told = {"kind": kind, "reason": event.note, "may_unmute": may}
        yield Told("muted:by-host", {"meeting_id": room.id, **told}, _only(target.id))


def what_hosts_see(room: Room, who: ParticipantId) -> Iterator[Told]:
    """Whoever has just become a host hears who waits, and about the breakout rooms."""
    for waits in room.state.waiting.values():
        added = {"meeting_id": room.id, **views.waiting_person(waits)}
        yield Told("waiting:added", added, _only(who))
    if now := views.breakouts_in(room.state, for_host=True):
        yield Told("breakout:updated", now, _only(who))


# --- media ---------------------------------------------------------------------------------------


def _media(room: Room, event: DomainEvent) -> Iterator[Told]:
    match event:
        case ProducerOpened(producer=producer):
            yield Told("new-producer", views.stream(producer), others(producer.participant_id))
        case ProducerPaused(producer_id=which, participant_id=who, paused=paused):
            name = "producer:paused" if paused else "producer:resumed"
            yield Told(name, {"producer_id": which, "user_id": who}, others(who))
        case ProducerClosed(producer_id=which, participant_id=who, source=source):
            closed = {"producer_id": which, "user_id": who, "source": source}
            yield Told("producer:closed", closed, others(who))
            yield from _consumers_closed(room, event)
        case MediaToggled(participant_id=who, kind=kind, enabled=enabled):
            toggled = {"user_id": who, "kind": kind, "enabled": enabled}
            yield Told("participant:media:updated", {"meeting_id": room.id, **toggled})


def _moving(room: Room, event: DomainEvent) -> Iterator[Told]:
    """Those who were told of the move hear how it goes; when it is done, all others build anew."""
    meeting = {"meeting_id": room.id}
    match event:
        case MediaMigrating(epoch=epoch) if room.state.next and room.state.next.epoch == epoch:
            yield Told("media:migrate", views.migration(room.state) or {}, _crossing(epoch))
        case AtNext(epoch=epoch, event=stream):
            yield from _stream_at_next(room, epoch, stream)
        case MoveAbandoned(epoch=epoch):
            over = {**meeting, "epoch": epoch, "generation": 0, "done": False}
            yield Told("media:migrated", over, _crossing(epoch))
        case MediaMoved(epoch=epoch, generation=generation):
            plane = {**meeting, "epoch": epoch, "generation": generation}
            yield Told("media:migrated", {**plane, "done": True}, _crossed(epoch))
            yield Told("media:reset", {**plane, "reason": "moved"}, _not_crossed(epoch))
            for producer in room.state.producers.values():
                to = _not_crossed(epoch, producer.participant_id)
                yield Told("new-producer", views.stream(producer), to)


def _stream_at_next(
    room: Room, epoch: Epoch, event: ProducerOpened | ProducerPaused | ProducerClosed
) -> Iterator[Told]:
    if isinstance(event, ProducerClosed):
        paused, source = False, event.source
        producer = Producer(
            id=event.producer_id, participant_id=event.participant_id, source=source, paused=paused
        )
        yield from _consumers_closed(room, event)
    elif isinstance(event, ProducerOpened):
        producer = event.producer
    else:
        known = (room.state.producers_at(epoch) or {}).get(event.producer_id)
        if known is None:
            return
        producer = known
    gone = isinstance(event, ProducerClosed)
    told = {"epoch": epoch, "stream": views.stream(producer), "gone": gone}
    to = _crossing(epoch, producer.participant_id)
    yield Told("media:migrate:stream", {"meeting_id": room.id, **told}, to)


def _consumers_closed(room: Room, event: ProducerClosed) -> Iterator[Told]:
    for peer in room.peers.values():
        consumer = peer.seat.consumers.get(event.producer_id) if peer.seat else None
        if consumer is not None:
            ended = {"producer_id": event.producer_id, "reason": event.reason}
            yield Told("consumer:closed", {"consumer_id": consumer, **ended}, peer)


# --- chat ----------------------------------------------------------------------------------------


def _chat(room: Room, event: DomainEvent) -> Iterator[Told]:
    match event:
        case ChatPosted():
            yield Told("chat:message", views.posted(room.id, event), sees(event))
        case ChatDeleted(message_id=which):
            yield Told("chat:deleted", {"meeting_id": room.id, "message_id": which})
        case Typed(participant_id=who, typing=typing):
            told = {"meeting_id": room.id, "user_id": who, "is_typing": typing}
            yield Told("chat:typing", told, others(who))
        case Reacted(participant_id=who, emoji=emoji, at_ms=at_ms):
            known = room.state.participants.get(who)
            name = known.display_name if known else ""
            told = {"user_id": who, "display_name": name, "emoji": emoji}
            moment = {"timestamp": views.at_ms(at_ms)}
            yield Told("reaction:received", {"meeting_id": room.id, **told, **moment})


# --- the meeting ---------------------------------------------------------------------------------


def _room_changed(room: Room, event: RoomChanged) -> Iterator[Told]:
    live = room.state.live
    match event.field:
        case "settings":
            locked = {"meeting_id": room.id, "locked": live.settings.locked}
            yield Told("room:locked", locked)
            if (now := views.live_settings(live)) is not None:
                yield Told("room:settings:changed", {"meeting_id": room.id, "settings": now})
        case "spotlight":
            lit = {"meeting_id": room.id, "target_user_id": live.spotlight}
            yield Told("participant:spotlighted", lit)
        case "layout" if live.layout is not None:
            chosen = {"layout": live.layout, "user_id": event.by or "", "for_all": True}
            yield Told("layout:changed", {"meeting_id": room.id, **chosen})
        case "breakouts":
            for host in (True, False):
                shown = views.breakouts_in(room.state, for_host=host)
                if shown is not None:
                    yield Told("breakout:updated", shown, _leads if host else _follows)


def _breakouts(room: Room, event: DomainEvent) -> Iterator[Told]:
    match event:
        case BreakoutMoved(participant_id=who, display_name=name, room_id=where, inside=inside):
            moved = {"room_id": where, "user_id": who, "display_name": name, "inside": inside}
            yield Told("breakout:moved", {"meeting_id": room.id, **moved}, _leads)
        case BreakoutTold(main=main, text=text, display_name=name):
            said = {"message": text, "display_name": name, "room_id": room.id}
            yield Told("breakout:message", {"meeting_id": main, **said})
        case BreakoutClosing(main=main, seconds=seconds):
            yield Told("breakout:closing", {"meeting_id": main, "seconds": seconds})


# --- whom ----------------------------------------------------------------------------------------


def others(who: ParticipantId) -> Reached:
    """All but them."""
    return lambda peer: peer.seat is None or peer.seat.participant_id != who


def _only(who: ParticipantId) -> Reached:
    return lambda peer: peer.seat is not None and peer.seat.participant_id == who


def _crossing(epoch: Epoch, but: ParticipantId | None = None) -> Reached:
    """Those who were told that the meeting moves there."""
    return lambda peer: (
        peer.seat is not None and peer.seat.crossing == epoch and peer.seat.participant_id != but
    )


def _crossed(epoch: Epoch) -> Reached:
    return lambda peer: peer.seat is not None and peer.seat.crossed == epoch


def _not_crossed(epoch: Epoch, but: ParticipantId | None = None) -> Reached:
    return lambda peer: (
        peer.seat is None or (peer.seat.crossed != epoch and peer.seat.participant_id != but)
    )


def sees(said: ChatPosted) -> Reached:
    """Whoever may read it."""
    return lambda peer: peer.seat is not None and may_see(said, peer.seat)


def _leads(peer: Peer) -> bool:
    return peer.seat is not None and is_host(peer.seat.role)


def _follows(peer: Peer) -> bool:
    return not _leads(peer)


def _may_admit(peer: Peer) -> bool:
    return peer.seat is not None and allows(peer.seat.role, Action.ADMIT)


def _named(room: Room, who: Participant) -> dict[str, Any]:
    return {"meeting_id": room.id, "user_id": who.id, "display_name": who.display_name}


def _now() -> str:
    return views.at_ms(datetime.now(UTC).timestamp() * 1000)

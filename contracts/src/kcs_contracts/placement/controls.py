"""What hosts do about people, what people do about themselves, and what holds in the meeting."""

from collections.abc import Sequence
from typing import Any

from kcs_contracts.ids import MeetingId, ParticipantId, SessionId
from kcs_contracts.live import Live, LiveField, as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.models import JsonObject
from kcs_contracts.placement.functions import Functions, pairs
from kcs_contracts.placement.homes import assignment_of
from kcs_contracts.rooms import Assignment, Breakouts, MediaKind, Quality, Role


class Controls(Functions):
    """The part of `Placement` about host controls. Who may is asked before."""

    # --- the waiting room ------------------------------------------------------------------------

    async def admit(
        self, meeting_id: MeetingId, who: Sequence[ParticipantId] = ()
    ) -> list[ParticipantId]:
        """Lets people in, all that wait if nobody is named; answers who it was.

        Publishes `WaitingLeft("admitted")` each; their own next `join` is not held up any more.
        """
        (admitted,) = await self._call("kcs_admit", meeting_id, *who)
        return [ParticipantId(each) for each in admitted]

    async def deny(self, meeting_id: MeetingId, who: ParticipantId, note: str = "") -> bool:
        """Turns somebody away; False when they do not wait."""
        (done,) = await self._call("kcs_deny", meeting_id, who, note)
        return bool(done)

    async def welcome(
        self, meeting_id: MeetingId, who: Sequence[ParticipantId], role: Role | None = None
    ) -> None:
        """From now on they come in without approval, even if they were removed before.

        With `role`, they have that when they come; whoever is there, and any host, keeps theirs.

        Whoever waits comes in now, as `admit` does it.

        Raises:
            MeetingIsOver: it was ended.
        """
        if who:
            await self._call("kcs_welcome", meeting_id, role or "", *who)

    async def expel(
        self, meeting_id: MeetingId, who: ParticipantId, note: str = "", *, absent: bool = False
    ) -> bool:
        """Removes somebody, from its breakout rooms too, and keeps them out until they are welcome
        again.

        False when they are neither in nor waiting; `absent` marks them all the same.
        """
        (done,) = await self._call("kcs_expel", meeting_id, who, note, int(absent))
        return bool(done)

    async def close_breakouts(
        self,
        main: MeetingId,
        before: Breakouts,
        after: Breakouts,
        by: ParticipantId | None = None,
    ) -> list[Assignment] | None:
        """Ends all breakout rooms of `before`, as `end` does, and says `after` of them.

        Answers where their media is, for the caller to close it; a node that nobody tells is told
        at its next renewal.

        None, and nothing is changed, when `before` is not what holds any more.

        Raises:
            MeetingIsOver: the main meeting was ended.
        """
        texts = (as_json(before), as_json(after), by or "")
        done, homes = await self._call("kcs_close_breakouts", main, *texts)
        if not done:
            return None
        return [assignment_of(MeetingId(room), home) for room, *home in homes]

    # --- people ----------------------------------------------------------------------------------

    async def change_role(
        self, meeting_id: MeetingId, who: ParticipantId, role: Role, by: ParticipantId
    ) -> list[MeetingId]:
        """Gives somebody a role that stays theirs in the main meeting and its breakout rooms,
        whichever of them is named here; answers in which they are, none if they are not in.

        Whoever is host in the host's place, and is made host, stays it when the host is back.
        """
        (places,) = await self._call("kcs_change_role", meeting_id, who, role, by)
        return [MeetingId(place) for place in places]

    async def mute(
        self,
        meeting_id: MeetingId,
        who: ParticipantId,
        kind: MediaKind,
        muted: bool,
        by: ParticipantId | None = None,
        note: str = "",
    ) -> list[MeetingId]:
        """Marks somebody as muted, their stream as paused and their flag as off; or takes the mark
        away, and nothing else. Wherever they are in the meeting, as `change_role`.

        Publishes `ParticipantChanged`, `ProducerPaused`, `MediaToggled`, as far as they change.
        """
        (places,) = await self._call("kcs_mute", meeting_id, who, kind, int(muted), by or "", note)
        return [MeetingId(place) for place in places]

    async def hand(
        self, meeting_id: MeetingId, who: ParticipantId, up: bool, by: ParticipantId | None = None
    ) -> bool:
        """Raises or lowers a hand; False when they are not in."""
        (done,) = await self._call("kcs_hand", meeting_id, who, int(up), by or "")
        return bool(done)

    async def start_screen(
        self, meeting_id: MeetingId, who: ParticipantId, session: SessionId
    ) -> None:
        """Takes one of the places for shared screens.

        Raises:
            NotInMeeting: that session does not speak for them.
            ScreensTaken: there is no place.
        """
        await self._call("kcs_start_screen", meeting_id, who, session)

    async def stop_screen(self, meeting_id: MeetingId, who: ParticipantId) -> bool:
        """Gives the place back; the producers are closed apart. False when they are not in."""
        (done,) = await self._call("kcs_stop_screen", meeting_id, who)
        return bool(done)

    async def report_stats(
        self, meeting_id: MeetingId, who: ParticipantId, stats: JsonObject, quality: Quality
    ) -> bool:
        """Keeps what a client reported, for a minute; False when they are not in.

        Publishes `ParticipantChanged("quality")` if that changes it.
        """
        (done,) = await self._call("kcs_report_stats", meeting_id, who, as_json(stats), quality)
        return bool(done)

    async def reported_stats(self, meeting_id: MeetingId) -> list[str]:
        """What clients reported within the last minute, as JSON."""
        (texts,) = await self._call("kcs_reported_stats", meeting_id)
        return list(texts)

    async def forget_person(self, meeting_id: MeetingId, who: ParticipantId) -> None:
        """Takes every trace of a person out of the meeting, the person included."""
        await self._call("kcs_forget", meeting_id, who)
        while (now := (await self.live(meeting_id)).breakouts) and who in now.assignments:
            others = {w: room for w, room in now.assignments.items() if w != who}
            after = now.model_copy(update={"assignments": others})
            await self.change_live(meeting_id, "breakouts", after, expected=now)

    # --- what holds ------------------------------------------------------------------------------

    async def live(self, meeting_id: MeetingId) -> Live:
        """What holds in the meeting now."""
        (flat,) = await self._call("kcs_live", meeting_id)
        return Live(pairs(flat))

    async def change_live(
        self,
        meeting_id: MeetingId,
        field: LiveField,
        value: Any,
        by: ParticipantId | None = None,
        *,
        expected: Any = ...,
    ) -> bool:
        """Sets a field of `Live`, or takes it away (None); publishes `RoomChanged` if it changes.

        False, and nothing is changed, when the field is not `expected` any more.

        Raises:
            MeetingIsOver: it was ended.
        """
        texts = [_text(value), by or ""]
        if expected is not ...:
            texts.append(_text(expected))
        (done,) = await self._call("kcs_change_live", meeting_id, field, *texts)
        return bool(done)

    async def update_settings(
        self, meeting_id: MeetingId, settings: RoomSettings, by: ParticipantId | None = None
    ) -> None:
        """New settings for a running meeting. See `change_live`."""
        await self.change_live(meeting_id, "settings", settings, by)

    async def set_debug(self, meeting_id: MeetingId, until_ms: int) -> None:
        """Logs the meeting in detail until then (Unix ms; 0: no longer). See `change_live`."""
        await self.change_live(meeting_id, "debug_until_ms", until_ms or None)

    async def breakouts(self, meeting_id: MeetingId) -> Breakouts | None:
        """The meeting's breakout rooms."""
        return (await self.live(meeting_id)).breakouts


def _text(value: Any) -> str:
    return "" if value is None else as_json(value)

"""Streams: what participants send. One producer per participant and source."""

from collections.abc import Iterable
from typing import Literal

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, ProducerId
from kcs_contracts.placement.functions import Functions
from kcs_contracts.rooms import Producer, Role


class Streams(Functions):
    """The part of `Placement` about producers.

    The media flags of the participant follow: on while a producer of that source is there and
    not paused; a screen counts as shared from `start_screen` on, paused or not. Each change is
    published after the producer's own event, as `MediaToggled`, or as `ParticipantChanged` for
    `screen_sharing`. A `MediaReset` clears the producers and leaves the flags, as the people are
    about to send again. What a host muted stays paused and off, whatever is asked for.
    """

    async def open_producer(
        self,
        meeting_id: MeetingId,
        producer: Producer,
        *,
        epoch: Epoch,
        generation: Generation,
        roles: Iterable[Role] = Role,
    ) -> ProducerId | None:
        """Makes a producer known: `ProducerOpened`, then `MediaToggled` if the flag changes.

        A producer that the participant already has of this source is taken out first
        (`ProducerClosed`) and its id answered: the caller closes it at the node. Opening the
        same id again changes nothing.

        `roles`: those that may send it, asked of the participant's of this moment.

        Raises:
            NotInMeeting: the participant is not in the meeting.
            MayNotSend: their role is not among `roles` (any more).
            StaleEpoch: the media was reset or moved since it was opened at the node.
            ScreensTaken: it is a screen, and as many are shared as may be.
        """
        (older,) = await self._call(
            "kcs_open_producer", meeting_id, producer.model_dump_json(), epoch, generation, *roles
        )
        return ProducerId(older) if older else None

    async def pause_producer(
        self,
        meeting_id: MeetingId,
        producer_id: ProducerId,
        participant_id: ParticipantId,
        paused: bool,
    ) -> bool:
        """Publishes `ProducerPaused` if that changes it. False when it is not the participant's."""
        (done,) = await self._call(
            "kcs_pause_producer", meeting_id, producer_id, participant_id, int(paused)
        )
        return bool(done)

    async def close_producer(
        self,
        meeting_id: MeetingId,
        producer_id: ProducerId,
        participant_id: ParticipantId | None,
        reason: Literal["closed", "transport_closed", "participant_left"] = "closed",
    ) -> bool:
        """Takes it out and publishes `ProducerClosed`.

        False when there is none, or it is not `participant_id`'s (None, as nodes say: anybody's).
        """
        (done,) = await self._call(
            "kcs_close_producer", meeting_id, producer_id, participant_id or "", reason
        )
        return bool(done)

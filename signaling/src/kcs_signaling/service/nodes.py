"""Operations on a meeting's home, found and asked as the room needs it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId
from kcs_contracts.models import Contract
from kcs_contracts.node_api import (
    MAX_OPERATIONS,
    Answer,
    CloseParticipant,
    CloseRoom,
    OpenRoom,
    Operation,
    Result,
)
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Assignment
from kcs_signaling import errors
from kcs_signaling.ports import NodeControl, NodeRefused, NodeUnreachable
from kcs_signaling.rooms.peer import Room
from kcs_signaling.service.guard import RETRY_AFTER_S, redis_calls

_log = structlog.get_logger()
Reason = Literal["ended_by_host", "expired", "deleted", "idle", "breakout_closed"]
_OUTDATED = ("STALE_EPOCH", "BAD_TICKET")
_DISMISSED_WITHIN_S = 1.0


class Done(Contract):
    """What a batch came to: its answers, and the media plane that they speak of."""

    answers: tuple[Answer, ...]
    epoch: Epoch
    generation: Generation


@dataclass(frozen=True)
class _Outcome:
    """What came of each operation of a batch, and the media plane that they speak of."""

    outcomes: Sequence[Answer | errors.SignalingError]
    epoch: Epoch
    generation: Generation

    def all_done(self) -> Done:
        """The answers, if nothing failed; else the first failure is raised."""
        answers = []
        for outcome in self.outcomes:
            if isinstance(outcome, errors.SignalingError):
                raise outcome
            answers.append(outcome)
        return Done(answers=tuple(answers), epoch=self.epoch, generation=self.generation)


class RoomNodes:
    """Asks the homes of meetings."""

    def __init__(self, placement: Placement, nodes: NodeControl):
        self._placement, self._nodes = placement, nodes

    async def ask(self, room: Room, *ops: Operation, epoch: Epoch | None = None) -> Done:
        """The operations' answers; the first that failed raises.

        With `epoch`, at the home of that epoch: the present one, or the one that the meeting is
        moving to.

        Raises:
            SignalingError: what the node's error means to a client.
            NotFound: the meeting has no home of that epoch (any more).
        """
        return (await self._attempt(room, ops, epoch)).all_done()

    async def try_each(
        self, room: Room, *ops: Operation, epoch: Epoch | None = None
    ) -> Sequence[Answer | errors.SignalingError]:
        """Each operation's own outcome, in their order; see `ask`.

        Raises:
            SignalingError: none of them was done.
        """
        return (await self._attempt(room, ops, epoch)).outcomes

    async def ask_all(self, room: Room, *ops: Operation) -> None:
        """At the home, and at the next one while the meeting moves: which is given up, if what must
        hold there cannot be had.

        Raises:
            SignalingError: as `ask`, of the home.
        """
        await self.ask(room, *ops)
        plane = room.state.next
        if plane is None:
            return
        try:
            await self.ask(room, OpenRoom(), *ops, epoch=plane.epoch)
        except errors.SignalingError as error:
            _log.warning("move_given_up", meeting_id=room.id, node=plane.node, error=error.code)
            async with redis_calls():
                await self._placement.abandon_move(room.id, plane.epoch)

    async def _attempt(
        self, room: Room, ops: Sequence[Operation], epoch: Epoch | None
    ) -> "_Outcome":
        if epoch in (None, room.state.epoch):
            return await self._attempt_home(room, ops, epoch)
        home = await self._next_home(room, epoch)
        done = await self._ask(home, *ops)
        if room.state.producers_at(epoch) is None:
            raise _just_reset()
        return done

    async def _attempt_home(
        self, room: Room, ops: Sequence[Operation], epoch: Epoch | None
    ) -> "_Outcome":
        """At the room's home, or, where that has changed, at its new one."""
        home = room.state.assignment or await self._home_of(room)
        plane = (room.state.epoch, room.state.generation)
        try:
            done = await self._ask(home, *ops)
        except _Outdated as error:
            newer = await self._home_of(room)
            if newer == home:
                raise _unavailable() from error
            if epoch not in (None, newer.epoch):
                raise _no_such_home() from error
            done = await self._ask(newer, *ops)
        now = (room.state.epoch, room.state.generation)
        if now not in (plane, (done.epoch, done.generation)):
            raise _just_reset()
        return done

    async def ask_home(self, home: Assignment, *ops: Operation) -> Done:
        """The same as `ask`, where the home is known."""
        done = await self._ask(home, *ops)
        return done.all_done()

    async def _ask(self, home: Assignment, *ops: Operation) -> "_Outcome":
        try:
            results = await self._nodes.call(home, ops)
        except NodeRefused as refused:
            raise _refusal(refused) from refused
        except NodeUnreachable as error:
            _log.warning("node_unreachable", meeting_id=home.meeting_id, node=home.node)
            raise _unavailable() from error
        outcomes = [_outcome(result) for result in results.results]
        return _Outcome(outcomes, home.epoch, results.generation)

    async def tell(self, meeting_id: MeetingId, *ops: Operation) -> bool:
        """Asks for something that nobody waits for, such as tidying; what fails is logged.

        Of a meeting that is moving, both its homes are asked. False when that failed, or there is
        nobody to ask.
        """
        try:
            async with redis_calls():
                homes = await self._placement.homes(meeting_id)
        except errors.SignalingError as error:
            _log.info("node_not_told", meeting_id=meeting_id, error=error.code)
            return False
        told = await asyncio.gather(*(self.tell_home(home, *ops) for home in homes))
        return bool(told) and all(told)

    async def tell_home(self, home: Assignment, *ops: Operation) -> bool:
        """The same as `tell`, where the home is known, or was."""
        try:
            await self.ask_home(home, *ops)
        except errors.SignalingError as error:
            _log.info("node_not_told", meeting_id=home.meeting_id, error=error.code)
            return False
        return True

    async def dismiss(self, meeting_id: MeetingId, *who: ParticipantId) -> None:
        """Closes what those had who are out of the meeting. Where that fails, or takes longer than
        anybody should wait for it, the node is asked again (`service.departures`)."""
        with suppress(TimeoutError, errors.SignalingError):
            async with asyncio.timeout(_DISMISSED_WITHIN_S):
                for start in range(0, len(who), MAX_OPERATIONS):
                    some = who[start : start + MAX_OPERATIONS]
                    ops = [CloseParticipant(participant_id=each) for each in some]
                    if not await self.tell(meeting_id, *ops):
                        return
                    async with redis_calls():
                        await self._placement.closed(meeting_id, some)

    async def end(self, meeting_id: MeetingId, reason: Reason) -> bool:
        """Ends what runs of a meeting: in placement, and its media, whatever clients do.

        False when nothing did.
        """
        async with redis_calls():
            homes = await self._placement.homes(meeting_id)
            ended = await self._placement.end(meeting_id, reason)
        await asyncio.gather(*(self.tell_home(home, CloseRoom()) for home in homes))
        return ended

    async def _next_home(self, room: Room, epoch: Epoch | None) -> Assignment:
        """Where the meeting is moving to, if that is in this epoch."""
        plane = room.state.next
        if plane is None or plane.epoch != epoch:
            raise _no_such_home()
        if plane.assignment is None:
            async with redis_calls():
                homes = await self._placement.homes(room.id)
            plane.assignment = next((each for each in homes if each.epoch == epoch), None)
        if plane.assignment is None:
            raise _no_such_home()
        return plane.assignment

    async def _home_of(self, room: Room) -> Assignment:
        async with redis_calls():
            home = await self._placement.assignment(room.id)
        if home is None:
            raise _unavailable()
        if home.epoch >= room.state.epoch:
            room.state.assignment = home
        return home


class _Outdated(errors.Unavailable):
    """The node is not the meeting's home any more."""


def _refusal(refused: NodeRefused) -> errors.SignalingError:
    if refused.code in _OUTDATED:
        return _Outdated("the meeting is moving; try again", retry_after_s=RETRY_AFTER_S)
    return _error(refused.code, str(refused))


def _outcome(result: Result) -> Answer | errors.SignalingError:
    if result.error is not None:
        return _error(result.error.code, result.error.message)
    assert result.answer is not None
    return result.answer


def _error(code: str, message: str) -> errors.SignalingError:
    match code:
        case "NOT_FOUND":
            return errors.NotFound("you have no such transport, producer or consumer")
        case "INVALID":
            return errors.InvalidRequest(f"the media server refuses it: {message[:200]}")
        case "CANNOT_CONSUME":
            return errors.CannotConsume("your device cannot play this stream")
        case "MUTED":
            return errors.AccessDenied("a host muted you")
        case "LIMIT":
            return errors.InvalidRequest("you have as many of these as you may")
    return _unavailable()


def _no_such_home() -> errors.NotFound:
    return errors.NotFound("that media server is not the meeting's (any more); negotiate again")


def _just_reset() -> errors.Unavailable:
    return errors.Unavailable(
        "the meeting's media has just been reset; negotiate again", retry_after_s=0.1
    )


def _unavailable() -> errors.Unavailable:
    return errors.Unavailable(
        "the media server does not answer; try again", retry_after_s=RETRY_AFTER_S
    )

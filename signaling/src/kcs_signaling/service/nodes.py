"""Operations on a meeting's home, found and asked as the room needs it."""

from typing import TypeVar

import structlog

from kcs_contracts.ids import Epoch, Generation, MeetingId
from kcs_contracts.models import Contract
from kcs_contracts.node_api import Answer, Operation, Result
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Assignment
from kcs_signaling import errors
from kcs_signaling.ports import NodeControl, NodeRefused, NodeUnreachable
from kcs_signaling.rooms.peer import Room
from kcs_signaling.service.guard import RETRY_AFTER_S, redis_calls

_log = structlog.get_logger()
_OUTDATED = ("STALE_EPOCH", "BAD_TICKET")
A = TypeVar("A", bound=Contract)


class Done(Contract):
    """What a batch came to: its answers, and the media plane that they speak of."""

    answers: tuple[Answer, ...]
    epoch: Epoch
    generation: Generation


class RoomNodes:
    """Asks the homes of meetings."""

    def __init__(self, placement: Placement, nodes: NodeControl):
        self._placement, self._nodes = placement, nodes

    async def ask(self, room: Room, *ops: Operation) -> Done:
        """The operations' answers; the first that failed raises.

        Raises:
            SignalingError: what the node's error means to a client.
        """
        home = room.state.assignment or await self._home_of(room)
        plane = (room.state.epoch, room.state.generation)
        try:
            done = await self.ask_home(home, *ops)
        except _Outdated as error:
            newer = await self._home_of(room)
            if newer == home:
                raise _unavailable() from error
            done = await self.ask_home(newer, *ops)
        now = (room.state.epoch, room.state.generation)
        if now not in (plane, (done.epoch, done.generation)):
            raise errors.Unavailable(
                "the meeting's media has just been reset; negotiate again", retry_after_s=0.1
            )
        return done

    async def ask_home(self, home: Assignment, *ops: Operation) -> Done:
        """The same, where the home is known."""
        try:
            results = await self._nodes.call(home, ops)
        except NodeRefused as refused:
            raise _refusal(refused) from refused
        except NodeUnreachable as error:
            _log.warning("node_unreachable", meeting_id=home.meeting_id, node=home.node)
            raise _unavailable() from error
        answers = tuple(_answer(result) for result in results.results)
        return Done(answers=answers, epoch=home.epoch, generation=results.generation)

    async def tell(self, meeting_id: MeetingId, *ops: Operation) -> None:
        """Asks for something that nobody waits for, such as tidying; what fails is logged."""
        try:
            async with redis_calls():
                home = await self._placement.assignment(meeting_id)
            if home is not None:
                await self.ask_home(home, *ops)
        except errors.SignalingError as error:
            _log.info("node_not_told", meeting_id=meeting_id, error=str(error))

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


def _answer(result: Result) -> Answer:
    if result.error is not None:
        raise _error(result.error.code, result.error.message)
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
        case "LIMIT":
            return errors.InvalidRequest("you have as many of these as you may")
    return _unavailable()


def _unavailable() -> errors.Unavailable:
    return errors.Unavailable(
        "the media server does not answer; try again", retry_after_s=RETRY_AFTER_S
    )

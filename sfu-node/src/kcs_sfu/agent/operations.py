"""A batch of operations, run in order.

A failure is that operation's result; the others stand. Neighbouring `Consume`s run at once, as
the driver then writes them to the worker in one go: a newcomer to a large room sends many.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from kcs_contracts import node_api as api
from kcs_contracts.ids import Epoch, MeetingId
from kcs_sfu.agent.errors import OperationFailed, node_error
from kcs_sfu.agent.handlers import HANDLERS, Batch
from kcs_sfu.agent.metrics import Metrics
from kcs_sfu.agent.node import Node
from kcs_sfu.agent.room import Room


async def run(
    node: Node, metrics: Metrics, meeting_id: MeetingId, epoch: Epoch, ops: Sequence[api.Operation]
) -> api.Results:
    """Runs the batch, all of it on one media plane: when that is reset, the rest is UNAVAILABLE.

    Raises:
        BatchRefused: STALE_EPOCH or NOT_ADMITTING; nothing was run.
    """
    room = node.enter(meeting_id, epoch)
    _check(node, room, ops)
    if room is not None:
        with suppress(OperationFailed):
            await room.usable()
    batch = Batch(node, metrics, meeting_id, node.plane(meeting_id))
    results: list[api.Result] = []
    for group in _groups(ops):
        results += await asyncio.gather(*(_run_one(batch, op) for op in group))
    return api.Results(generation=batch.plane[1], results=tuple(results))


def _check(node: Node, room: Room | None, ops: Sequence[api.Operation]) -> None:
    """Refuses the batch if it brings somebody new and the node does not admit."""
    here = room.participants if room else {}
    if room is None and any(isinstance(op, api.OpenRoom) for op in ops):
        node.check_admission(new_room=True)
    elif any(isinstance(op, api.CreateTransport) and op.participant_id not in here for op in ops):
        node.check_admission(new_room=False)


def _groups(ops: Sequence[api.Operation]) -> Iterator[list[api.Operation]]:
    """Single operations, but neighbouring `Consume`s of different streams together."""
    group: list[api.Operation] = []
    seen: set[tuple[str, str]] = set()
    for op in ops:
        key = (op.participant_id, op.producer_id) if isinstance(op, api.Consume) else None
        if group and (key is None or key in seen):
            yield group
            group, seen = [], set()
        if key is None:
            yield [op]
        else:
            group.append(op)
            seen.add(key)
    if group:
        yield group


async def _run_one(batch: Batch, op: api.Operation) -> api.Result:
    started = time.perf_counter()
    result = await _result(batch, op)
    seconds = time.perf_counter() - started
    outcome = result.error.code if result.error else "ok"
    batch.metrics.operation(op.op, outcome, seconds)
    who, ms = getattr(op, "participant_id", None), round(seconds * 1000, 2)
    batch.node.detail(batch.meeting_id)("operation", who, op=op.op, result=outcome, ms=ms)
    return result


async def _result(batch: Batch, op: api.Operation) -> api.Result:
    try:
        if batch.was_reset:
            raise _reset()
        answer = await HANDLERS[type(op)](batch, op)
        if batch.was_reset:
            raise _reset()
    except Exception as error:
        # Whatever a handler met on the way: the cause was the reset.
        return api.Result(error=node_error(_reset() if batch.was_reset else error))
    return api.Result(answer=answer)


def _reset() -> OperationFailed:
    return OperationFailed("UNAVAILABLE", "the meeting's media was reset meanwhile")

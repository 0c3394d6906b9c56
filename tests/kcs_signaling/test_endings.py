"""The end of a meeting: for all, at the node too."""

from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.support.fake_node import FakeNode
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId


async def test_the_media_of_an_ended_meeting_and_of_its_breakout_rooms_ends_at_the_node(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    here = {"meeting_id": meeting}
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    await ann.get("room:join", here)
    await bob.get("room:join", here)
    await sending(ann, meeting)
    await ann.get("breakout:create", {**here, "count": 1, "choose": True})
    await ann.get("breakout:open", here)
    room = f"{meeting}:1"
    await bob.get("room:join", {"meeting_id": room})
    assert {MeetingId(meeting), MeetingId(room)} <= node.rooms.keys()

    await ann.get("breakout:close", here)
    assert MeetingId(room) not in node.rooms
    assert (await bob.hears("room:closed"))["return_to"] == meeting

    await ann.get("room:end", here)
    assert MeetingId(meeting) not in node.rooms

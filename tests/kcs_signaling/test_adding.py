"""People are added to a call: what those who add them get to hold, and what they cannot."""

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.seats import connected, join, named, refused_join, seated
from tests.support.signaling import Signaling

from kcs_contracts.rooms import Role

BOTH = ("/meeting", "/")


@pytest.mark.parametrize("namespace", BOTH)
async def test_no_link_speaks_for_somebody_with_an_account(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal")
    await seated(signaling, clients, meeting, "hal")
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST, namespace)
    people = named(cora, meeting, user_ids=["hal", "amy"], role="attendee")

    added = await cora.get("participant:add", people)

    links = [each.get("join_url") or each["joinUrl"] for each in added["invitations"]]
    assert [link.rpartition("/")[2] for link in links] == [meeting, meeting]


async def test_whoever_is_added_with_a_role_has_it_and_the_host_keeps_theirs(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST)
    people = {"user_ids": ["amy", "hal"], "role": "attendee"}
    await cora.get("participant:add", {"meeting_id": meeting, **people})

    for who, role in (("amy", "attendee"), ("hal", "host")):
        client = await connected(signaling, clients, meeting, who)
        assert (await join(client, meeting))["your_role"] == role


async def test_a_co_host_cannot_keep_the_host_out_who_is_on_the_way_back_from_a_breakout_room(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST)
    await hal.get("breakout:create", {"meeting_id": meeting, "count": 1})
    await hal.get("breakout:open", {"meeting_id": meeting})
    await join(hal, f"{meeting}:1")
    await cora.get("breakout:close", {"meeting_id": meeting})
    await hal.hears("room:closed")

    at_hal = {"meeting_id": meeting, "target_user_id": "hal"}
    assert await cora.refused("participant:remove", at_hal) == "ACCESS_DENIED"

    assert (await join(hal, meeting))["your_role"] == "host"
    await hal.get("participant:remove", {**at_hal, "target_user_id": "cora"})
    assert await refused_join(cora, meeting) == "ACCESS_DENIED"

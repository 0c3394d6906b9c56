"""People count once as they come, and once as they go, by how they went."""

from prometheus_client.parser import text_string_to_metric_families
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.signaling import Signaling


async def counts(signaling: Signaling) -> dict[str, float]:
    """Who joined, and who left by which reason."""
    found = {"joined": 0.0, "left": 0.0, "removed": 0.0, "ended": 0.0}
    for family in text_string_to_metric_families(await signaling.metrics()):
        for sample in family.samples:
            if sample.name == "kcs_signaling_participants_joined_total":
                found["joined"] = sample.value
            elif sample.name == "kcs_signaling_participants_left_total":
                found[sample.labels["reason"]] = sample.value
    found.pop("timeout", None)  # those of other tests
    return found


async def test_people_count_as_they_come_and_by_how_they_go(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    named = {"meeting_id": meeting}
    before = await counts(signaling)
    ann, bob, cy, dee = [
        await clients(signaling, "/meeting", user) for user in ("ann", "bob", "cy", "dee")
    ]
    for client in (ann, bob, cy, dee):
        await client.get("room:join", named)
    await dee.get("room:join", named)  # again: she is there already
    await bob.get("room:leave", named)
    await ann.get("participant:remove", {**named, "target_user_id": "cy"})
    await cy.hears("removed:from-meeting")
    await ann.get("room:end", named)
    await dee.hears("room:closed")

    after = await counts(signaling)

    changed = {name: after[name] - before[name] for name in after}
    assert changed == {"joined": 4, "left": 1, "removed": 1, "ended": 2}

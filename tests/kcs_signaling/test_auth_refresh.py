"""A new token for a socket that stays: `auth:refresh`, in both dialects."""

import asyncio
import time

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.contract import declared
from tests.support.fake_node import FakeNode
from tests.support.signaling import ISSUER, Client, Signaling

from kcs_contracts.ids import UserId
from kcs_contracts.rooms import Role
from kcs_signaling.tokens import Tokens, User

LIFE_S = 7.0
DIALECTS = pytest.mark.parametrize("namespace", ["/meeting", "/"])


def short_lived(signaling: Signaling, user: str, life_s: float = LIFE_S) -> str:
    """An access token that ends in so many seconds; below 0 it has ended."""
    then = time.time() - 15 * 60 + life_s
    tokens = Tokens(
        signaling.key, issuer=ISSUER, access_minutes=15, refresh_days=7, now=lambda: then
    )
    return tokens.access(User(user_id=UserId(user), user_name=user.title()))


class Person:
    """Somebody who speaks one of the dialects, and means one meeting."""

    def __init__(self, client: Client, meeting: str):
        self.client, ours = client, client.namespace == "/meeting"
        self._named = {"meeting_id" if ours else "meetingId": meeting}
        self._join, self._leave = (
            ("room:join", "room:leave") if ours else ("join-meeting", "leave-meeting")
        )

    async def join(self) -> None:
        await self.client.get(self._join, self._named)

    async def may_not_join(self) -> None:
        assert await self.client.refused(self._join, self._named) == "ACCESS_DENIED"

    async def leave(self) -> None:
        await self.client.get(self._leave, self._named)

    async def toggle(self) -> None:
        await self.client.get("media:toggle", {**self._named, "kind": "audio", "enabled": True})

    async def refresh(self, token: str) -> None:
        answer = await self.client.get("auth:refresh", {"token": token})
        (until,) = answer.values()
        assert until > time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 10 * 60))


@DIALECTS
async def test_with_a_new_token_a_socket_does_all_it_did_after_the_first_one_has_ended(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("host")
    declared(namespace)  # takes its time once, and the tokens do not wait
    until = time.time() + LIFE_S
    ann, bob = [
        Person(
            await clients(signaling, namespace, name, token=short_lived(signaling, name)), meeting
        )
        for name in ("ann", "bob")
    ]
    await ann.join()
    await bob.join()

    await ann.refresh(signaling.access("ann"))

    await asyncio.sleep(until + 0.1 - time.time())
    for person in (ann, bob):  # whoever is in stays in
        await person.toggle()
        await person.leave()
    await ann.join()
    await bob.may_not_join()
    await bob.refresh(signaling.access("bob"))
    await bob.join()


@DIALECTS
async def test_a_token_of_somebody_else_of_another_meeting_or_of_the_past_changes_nothing(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting, other = [await signaling.create_meeting("host") for _ in range(2)]
    ann = Person(await clients(signaling, namespace, "ann"), meeting)
    await ann.join()
    bearer = signaling.tokens.verify(signaling.access("ann"))
    refused = {
        "another user's": signaling.access("bob"),
        "another user's, for this meeting": signaling.invited(meeting, "bob", Role.HOST),
        "for another meeting": signaling.invited(other, "ann", Role.HOST),
        "expired": short_lived(signaling, "ann", -2.0),
        "good for another exchange": signaling.tokens.refresh(bearer)[0],
        "cut": signaling.access("ann")[:-4],
        "none at all": "hello",
    }

    for kind, token in refused.items():
        code = await ann.client.refused("auth:refresh", {"token": token})
        assert code == "ACCESS_DENIED", kind

    await ann.toggle()
    await ann.leave()
    await ann.join()


async def test_a_new_token_of_another_role_does_not_change_the_role_that_one_has_in_the_room(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("host")
    ann = await clients(signaling, "/meeting", "ann")
    joined = await ann.get("room:join", {"meeting_id": meeting})

    await ann.get("auth:refresh", {"token": signaling.invited(meeting, "ann", Role.HOST)})

    assert await ann.refused("room:lock", {"meeting_id": meeting, "locked": True}) == (
        "ACCESS_DENIED"
    )
    now = await ann.get("room:snapshot", {"meeting_id": meeting})
    assert now["your_role"] == joined["your_role"] == "presenter"


async def test_before_joining_a_token_of_ones_own_for_any_meeting_will_do(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting, other = [await signaling.create_meeting("host") for _ in range(2)]
    ann = await clients(signaling, "/meeting", "ann")

    await ann.get("auth:refresh", {"token": signaling.invited(meeting, "ann", Role.ATTENDEE)})

    joined = await ann.get("room:join", {"meeting_id": meeting})
    assert joined["your_role"] == "attendee"
    await ann.get("room:leave", {"meeting_id": meeting})
    assert await ann.refused("room:join", {"meeting_id": other}) == "ACCESS_DENIED"

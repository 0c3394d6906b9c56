"""People are added to a call: what those who add them get to hold, and what they cannot."""

import asyncio
import time

import aiohttp
import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.rest.smtp import REFUSED, smtp_server
from tests.kcs_signaling.test_room_survival import OwnSignaling
from tests.support.fake_node import FakeNode
from tests.support.seats import WAITING, connected, join, named, refused_join, seated
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


@pytest.mark.parametrize("namespace", BOTH)
async def test_whoever_waits_in_a_locked_meeting_and_is_added_comes_in(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal", settings={"require_host_approval": True})
    hal = await seated(signaling, clients, meeting, "hal")
    wes = await seated(signaling, clients, meeting, "wes", namespace=namespace)
    await wes.hears(WAITING[namespace])
    await hal.get("room:lock", {"meeting_id": meeting, "locked": True})

    await hal.get("participant:add", {"meeting_id": meeting, "user_ids": ["wes"]})

    joined = "participant-joined" if namespace == "/" else "room:joined"
    await wes.hears(joined)
    assert (await hal.hears("participant:joined"))["user_id"] == "wes"


def mail_settings(port: int) -> dict[str, str]:
    return {
        "KCS_MAIL__HOST": "127.0.0.1",
        "KCS_MAIL__PORT": str(port),
        "KCS_MAIL__SECURITY": "none",
        "KCS_MAIL__SENDER": "meetings@example.org",
        "KCS_MAIL__TIMEOUT_SECONDS": "20",
    }


async def invitations(server: Signaling, meeting: str) -> dict[str, bool]:
    """Which of those who were invited got a mail, as REST says it."""
    url = f"{server.url}/api/v1/meetings/{meeting}/invitations?limit=100"
    headers = {"Authorization": f"Bearer {server.access('hal')}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        found = await answer.json()
    return {each["email"]: each["sent"] for each in found["items"]}


async def test_the_answer_says_which_mails_the_server_took(
    own_signaling: OwnSignaling, node: FakeNode, clients: MakeClient
) -> None:
    async with smtp_server() as mailbox:
        server = await own_signaling(**mail_settings(mailbox.port))
        meeting = await server.create_meeting("hal")
        hal = await seated(server, clients, meeting, "hal")
        emails = ["amy@example.org", REFUSED]

        added = await hal.get("participant:add", {"meeting_id": meeting, "emails": emails})

        told = {each["email"]: (each["sent"], each["mail"]) for each in added["invitations"]}
        assert told == {"amy@example.org": (True, "sent"), REFUSED: (False, "not_sent")}
        assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [["amy@example.org"]]
        assert await invitations(server, meeting) == {"amy@example.org": True, REFUSED: False}


async def test_a_mail_server_that_hangs_holds_up_no_commands_and_links_work_at_once(
    own_signaling: OwnSignaling, node: FakeNode, clients: MakeClient
) -> None:
    opened = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await opened.wait()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with silent:
        server = await own_signaling(**mail_settings(silent.sockets[0].getsockname()[1]))
        meeting = await server.create_meeting("hal", settings={"require_host_approval": True})
        hal = await seated(server, clients, meeting, "hal")
        emails = [f"p{n}@example.org" for n in range(30)]
        began = time.monotonic()

        added = await hal.get("participant:add", {"meeting_id": meeting, "emails": emails})
        await hal.get("hand:raise", {"meeting_id": meeting})

        assert time.monotonic() - began < 8
        told = [(each["sent"], each["mail"]) for each in added["invitations"]]
        assert told == [(False, "sending")] * 30
        token = added["invitations"][0]["join_url"].partition("#token=")[2]
        guest = await clients(server, "/meeting", "", token=token)
        assert (await join(guest, meeting))["your_role"] == "presenter"
        assert await invitations(server, meeting) == dict.fromkeys(emails, False)
        stopping = time.monotonic()
        await server.stop()  # mails on their way are given up
        assert time.monotonic() - stopping < 15
        opened.set()


async def test_a_mail_that_goes_out_later_is_on_record(
    own_signaling: OwnSignaling, node: FakeNode, clients: MakeClient
) -> None:
    async with smtp_server() as mailbox:

        async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(4)  # an answer waits for 2 s
            there, back = await asyncio.open_connection("127.0.0.1", mailbox.port)
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

        slow = await asyncio.start_server(late, "127.0.0.1", 0)
        async with slow:
            server = await own_signaling(**mail_settings(slow.sockets[0].getsockname()[1]))
            meeting = await server.create_meeting("hal")
            hal = await seated(server, clients, meeting, "hal")
            emails = ["amy@example.org"]

            added = await hal.get("participant:add", {"meeting_id": meeting, "emails": emails})

            assert added["invitations"][0]["mail"] == "sending"
            deadline = time.monotonic() + 20
            while await invitations(server, meeting) != {"amy@example.org": True}:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            assert len(mailbox.envelopes) == 1


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()

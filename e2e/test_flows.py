"""The six flows of the architecture guide, each with three people in Chromium."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from playwright.async_api import expect
from tests.support.signaling import Client

from kcs_contracts.ids import MeetingId
from kcs_dev.api import access_token, new_meeting
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.stack import LocalStack

StartStack = Callable[..., Awaitable[LocalStack]]
Enter = Callable[[LocalStack, Chromium, str, str], Awaitable[Person]]


class Flow:
    """A meeting of Hal's, and the people who come."""

    def __init__(self, stack: LocalStack, chromium: Chromium, meeting: MeetingId):
        self.stack, self.chromium, self.meeting = stack, chromium, meeting

    @classmethod
    async def begin(cls, stack: LocalStack, chromium: Chromium, **fields: object) -> "Flow":
        return cls(stack, chromium, await new_meeting(stack.url, "hal", **fields))

    async def token(self, user: str, role: str) -> str:
        """A meeting token, made by the host over REST."""
        bearer = {"Authorization": f"Bearer {await access_token(self.stack.url, 'hal', 'Hal')}"}
        person = {"user_id": user, "display_name": user.title(), "role": role}
        url = f"{self.stack.url}/api/v1/meetings/{self.meeting}/tokens"
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.post(url, json=person, headers=bearer) as answer,
        ):
            return str((await answer.json())["meeting_token"])

    async def come(
        self, user: str, role: str = "presenter", *, waits: bool = False, more: str = ""
    ) -> Person:
        """Somebody who opens their link and joins."""
        person = await self.chromium.person()
        link = f"{self.stack.url}/m/{self.meeting}?name={user.title()}&join=1{more}"
        await person.page.goto(f"{link}#token={await self.token(user, role)}")
        if waits:
            await expect(person.page.get_by_test_id("waiting-page")).to_be_visible()
        else:
            await until(person.joined, f"{user} has joined")
        return person


def press(person: Person, button: str) -> Awaitable[None]:
    return person.page.get_by_test_id(f"{button}-button").click()


async def control(host: Person, what: str, whom: str) -> None:
    """Opens the list of people and does something about somebody."""
    panel = host.page.get_by_test_id("people-panel")
    if not await panel.is_visible():
        await press(host, "people")
    await host.page.get_by_test_id(f"person-menu-{whom}").click()
    await host.page.get_by_test_id(f"{what}-{whom}").click()


async def gets(person: Person, videos: int, audios: int, who: str) -> None:
    async def so_many() -> bool:
        return await person.live_count() == (videos, audios)

    await until(so_many, f"{who} gets {videos} videos and {audios} audios", 20)


async def test_flow_1_three_people_join_with_audio_only(
    start_stack: StartStack, chromium: Chromium
) -> None:
    flow = await Flow.begin(await start_stack(), chromium)
    people = [
        await flow.come("hal", "host", more="&video=0"),
        await flow.come("ben", more="&video=0"),
        await flow.come("cy", "attendee", more="&video=0"),
    ]
    for person in people:
        await gets(person, 0, 2, "everybody")
        await expect(person.page.get_by_test_id("participant-count")).to_have_text("3")
        assert len(await person.tiles()) == 2


async def test_flow_2_a_camera_that_goes_on_in_the_call_comes_to_all(
    start_stack: StartStack, chromium: Chromium
) -> None:
    flow = await Flow.begin(await start_stack(), chromium)
    hal = await flow.come("hal", "host", more="&video=0")
    ben = await flow.come("ben", more="&video=0")
    cy = await flow.come("cy", "attendee", more="&video=0")
    await gets(hal, 0, 2, "hal")

    await press(cy, "camera")

    await gets(hal, 1, 2, "hal")
    await gets(ben, 1, 2, "ben")
    tile = hal.page.get_by_test_id("tile-cy")
    await expect(tile.locator("video")).to_be_visible()
    await press(cy, "camera")
    await gets(ben, 0, 2, "ben")


async def test_flow_3_two_share_their_screens_at_once_or_one_by_setting(
    start_stack: StartStack, chromium: Chromium
) -> None:
    flow = await Flow.begin(await start_stack(), chromium)
    hal = await flow.come("hal", "host", more="&video=0")
    ben = await flow.come("ben", more="&video=0")
    cy = await flow.come("cy", more="&video=0")

    await press(ben, "screen")
    await gets(hal, 1, 3, "hal")  # the screen, and its sound
    await press(cy, "screen")
    await gets(hal, 1, 4, "hal")  # both sounds; one of the screens is large, the other held back
    large = hal.page.get_by_test_id("shared-screen")
    for name in ("Cy", "Ben"):
        choice = hal.page.get_by_test_id("screen-choice").get_by_role("button", name=name)
        await choice.click()
        await expect(large).to_have_text(f"{name} is presenting")
        await gets(hal, 1, 4, "hal")
    await press(hal, "screen")
    await expect(hal.page.get_by_text("already")).to_be_visible()  # both places are taken

    await cy.page.get_by_test_id("stop-sharing").click()
    await gets(hal, 1, 3, "hal")
    await press(hal, "people")
    await press(hal, "meeting-settings")
    await hal.page.get_by_test_id("setting-several_screens").uncheck()
    await hal.page.get_by_test_id("settings-done").click()
    await press(cy, "screen")
    await expect(cy.page.get_by_text("already")).to_be_visible()

    await control(hal, "stop-screen", "ben")
    await gets(hal, 0, 2, "hal")
    await expect(ben.page.get_by_test_id("sharing-banner")).to_have_count(0)
    await press(cy, "screen")
    await gets(ben, 1, 3, "ben")


async def test_flow_4_added_people_come_in_without_approval_and_all_others_wait(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack()
    flow = await Flow.begin(stack, chromium, settings={"require_host_approval": True})
    hal = await flow.come("hal", "host")
    ben = await flow.come("ben", waits=True)
    cy = await flow.come("cy", "attendee", waits=True)
    assert await ben.received() == {}
    assert await ben.page.get_by_text("Hal").count() == 0  # who waits learns no name

    await press(hal, "people")
    await hal.page.get_by_test_id("admit-ben").click()
    await until(ben.joined, "ben is let in", 10)
    await until(lambda: everybody_gets_everybody([hal, ben]), "hal and ben talk", 20)
    await hal.page.get_by_test_id("deny-cy").click()
    await expect(cy.page.get_by_test_id("waiting-page")).to_have_count(0)
    assert not await cy.joined()

    await press(hal, "add-people")
    await hal.page.get_by_test_id("add-email").fill("dee@example.org")
    await hal.page.get_by_test_id("add-email-send").click()
    invited = hal.page.get_by_test_id("invited")
    await expect(invited).to_have_count(1)
    link = (
        await invited.get_by_role("textbox")
        .or_(invited.get_by_role("link"))
        .first.evaluate("each => each.value || each.href")
    )
    address, _, fragment = str(link).partition("#")
    dee = await chromium.person()
    await dee.page.goto(f"{address}?name=Dee&join=1#{fragment}")
    await until(dee.joined, "dee is in without approval")
    await until(lambda: everybody_gets_everybody([hal, ben, dee]), "the three talk", 20)


async def test_flow_5_who_is_muted_by_a_host_is_silent_even_if_their_client_takes_no_notice(
    start_stack: StartStack, chromium: Chromium, enter_with_the_guides_client: Enter
) -> None:
    flow = await Flow.begin(await start_stack(), chromium)
    hal = await flow.come("hal", "host", more="&video=0")
    ben = await flow.come("ben", more="&video=0")
    # the guide's sample has no handler for being muted: it goes on sending
    gus = await enter_with_the_guides_client(flow.stack, chromium, flow.meeting, "Gus")
    await gets(hal, 1, 2, "hal")

    await control(hal, "mute", "gus")
    await gets(hal, 1, 1, "hal")
    await gets(ben, 1, 1, "ben")
    sent = await _audio_sent(gus)

    async def sends_on() -> bool:
        return await _audio_sent(gus) > sent

    await until(sends_on, "the guide's client sends on")
    await gets(hal, 1, 1, "hal")
    assert not await gus.page.evaluate("client.producers.get('audio').paused")

    await press(hal, "people")  # closes the panel
    await control(hal, "mute", "ben")
    await gets(hal, 1, 0, "hal")
    await expect(ben.page.get_by_test_id("notice").filter(has_text="Hal muted you")).to_be_visible()
    await press(ben, "mic")  # by setting, they may unmute themselves
    await gets(hal, 1, 1, "hal")


async def _audio_sent(person: Person) -> int:
    """How many packets the guide's client has sent of its microphone."""
    stats = "(async () => [...(await client.producers.get('audio').getStats()).values()])()"
    reports: list[dict[str, Any]] = await person.page.evaluate(stats)
    return sum(each["packetsSent"] for each in reports if each["type"] == "outbound-rtp")


async def test_flow_6_a_host_who_asks_for_a_live_stream_is_told_that_there_is_none(
    start_stack: StartStack, chromium: Chromium
) -> None:
    flow = await Flow.begin(await start_stack(), chromium)
    people = [
        await flow.come("hal", "host", more="&video=0"),
        await flow.come("ben", more="&video=0"),
        await flow.come("cy", "attendee", more="&video=0"),
    ]
    await gets(people[0], 0, 2, "hal")
    here: dict[str, Any] = {"meeting_id": flow.meeting}
    codes = {}
    for role in ("co_host", "presenter", "attendee", "guest"):
        client = await Client("/meeting").connect(flow.stack.url, await flow.token(role, role))
        await client.get("room:join", here)
        for event in ("stream:start", "stream:stop", "recording:start"):
            codes[role, event] = await client.refused(event, here)
        await client.close()
    assert (
        codes["co_host", "stream:start"] == codes["co_host", "stream:stop"] == "STREAMING_DISABLED"
    )
    assert codes["co_host", "recording:start"] == "RECORDING_DISABLED"
    for role in ("presenter", "attendee", "guest"):
        assert codes[role, "stream:start"] == "ACCESS_DENIED"
        assert codes[role, "recording:start"] == "UNAUTHORIZED_RECORDING"
    await gets(people[0], 0, 2, "hal")  # nobody noticed anything

"""Our browser client as people use it: from the first page to the last, button by button."""

import re
from collections.abc import Awaitable, Callable

import aiohttp
from playwright.async_api import Locator, expect

from kcs_dev.api import access_token, new_meeting
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.stack import LocalStack

StartStack = Callable[..., Awaitable[LocalStack]]


def _press(person: Person, button: str) -> Awaitable[None]:
    return person.page.get_by_test_id(f"{button}-button").click()


def _gets(person: Person, videos: int, audios: int) -> Awaitable[float]:
    async def so_many() -> bool:
        return await person.live_count() == (videos, audios)

    return until(so_many, f"{videos} videos and {audios} audios are live", 15)


async def _plays(video: Locator) -> None:
    """Waits until two different frames were shown."""

    async def frames() -> int:
        script = "video => video.getVideoPlaybackQuality().totalVideoFrames"
        return int(await video.evaluate(script))

    first = await frames()

    async def more() -> bool:
        return await frames() > first + 1

    await until(more, "the picture moves", 10)


async def _call_of_two(stack: LocalStack, chromium: Chromium) -> tuple[Person, Person, Locator]:
    """Ann, Ben, and Ben's tile at Ann's page."""
    link = f"{stack.url}/m/{await new_meeting(stack.url)}"
    ann, ben = [await chromium.join(link, name) for name in ("Ann", "Ben")]
    await until(lambda: everybody_gets_everybody([ann, ben]), "both see and hear each other")
    (ben_id,) = await ann.tiles()
    return ann, ben, ann.page.get_by_test_id(f"tile-{ben_id}")


async def _says(person: Person, title: str) -> None:
    """Waits until the page says only that, and its camera is off."""
    await expect(person.page.get_by_role("heading")).to_have_text(title)
    assert await person.page.locator("video").count() == 0


async def test_a_meeting_starts_on_the_first_page_and_goes_through_the_lobby_with_a_preview(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack()
    ann, ben = await chromium.person(), await chromium.person()
    await ann.page.goto(stack.url)
    await _press(ann, "new-meeting")
    await ann.page.wait_for_url("**/m/*")
    await ben.page.goto(stack.url)
    await ben.page.get_by_label("Meeting code or link").fill(ann.page.url)
    await ben.page.keyboard.press("Enter")
    for person, name in ((ann, "Ann"), (ben, "Ben")):
        await _plays(person.page.get_by_test_id("preview"))
        assert await person.status() == "lobby"
        await expect(person.page.get_by_test_id("join-button")).to_be_disabled()
        await person.page.get_by_test_id("name-input").fill(name)
        await _press(person, "join")
        await until(person.joined, f"{name} has joined")
    await until(lambda: everybody_gets_everybody([ann, ben]), "both see and hear each other")
    (ben_id,) = await ann.tiles()
    label = ann.page.get_by_test_id(f"tile-{ben_id}").locator("figcaption")
    await expect(label).to_have_text("Ben")
    await expect(ann.page.get_by_test_id("participant-count")).to_have_text("2")


async def test_who_mutes_is_not_heard_and_whose_camera_is_off_is_shown_by_initials(
    start_stack: StartStack, chromium: Chromium
) -> None:
    ann, ben, tile = await _call_of_two(await start_stack(), chromium)
    mic_off, picture = tile.locator("figcaption svg"), tile.locator("video")
    await expect(mic_off).to_have_count(0)

    await _press(ben, "mic")
    await _gets(ann, videos=1, audios=0)
    await expect(mic_off).to_be_visible()
    await expect(tile).to_have_attribute("aria-label", "Ben, muted")
    await _press(ben, "mic")
    await _gets(ann, videos=1, audios=1)
    await expect(mic_off).to_have_count(0)

    await _press(ben, "camera")
    await _gets(ann, videos=0, audios=1)
    await expect(picture).to_be_hidden()
    await expect(tile.get_by_text("B", exact=True)).to_be_visible()
    await _press(ben, "camera")
    await _gets(ann, videos=1, audios=1)
    await expect(picture).to_be_visible()
    await _plays(picture)


async def test_a_shared_screen_comes_to_the_others_with_its_sound_and_goes_when_it_is_stopped(
    start_stack: StartStack, chromium: Chromium
) -> None:
    ann, ben, tile = await _call_of_two(await start_stack(), chromium)
    videos, screen = ann.page.locator("video"), ann.page.get_by_test_id("shared-screen")
    await expect(videos).to_have_count(2)

    await _press(ben, "screen")
    await _gets(ann, videos=2, audios=2)
    await expect(videos).to_have_count(3)
    await expect(screen).to_have_text("Ben is presenting")
    await _plays(screen.locator("video"))
    await _plays(tile.locator("video"))

    await ben.page.get_by_role("button", name="Stop sharing", exact=True).click()
    await _gets(ann, videos=1, audios=1)
    await expect(screen).to_have_count(0)
    await expect(videos).to_have_count(2)


async def test_a_wrong_code_and_an_ended_meeting_each_get_a_page_that_says_so(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack()
    stray = await chromium.person()
    for query in ("", "?name=Ann&join=1"):
        await stray.page.goto(f"{stack.url}/m/no-such-meeting{query}")
        await _says(stray, "There is no such meeting")
        assert await stray.status() == "failed"

    meeting = await new_meeting(stack.url)
    ann = await chromium.join(f"{stack.url}/m/{meeting}", "Ann")
    bearer = {"Authorization": f"Bearer {await access_token(stack.url, 'host', 'Host')}"}
    async with aiohttp.ClientSession(raise_for_status=True, headers=bearer) as http:
        await http.post(f"{stack.url}/api/v1/meetings/{meeting}/end")
    await _says(ann, "This meeting has ended")
    assert await ann.status() == "left"
    for query in ("", "?name=Late&join=1"):
        await stray.page.goto(f"{stack.url}/m/{meeting}{query}")
        await _says(stray, "This meeting has ended")
    await stray.page.get_by_role("button", name="Start page").click()
    await expect(stray.page).to_have_url(re.compile(r":\d+/$"))


async def test_who_joins_from_a_second_page_leaves_the_first_and_can_take_the_call_back(
    start_stack: StartStack, chromium: Chromium
) -> None:
    ann, ben, _ = await _call_of_two(await start_stack(), chromium)
    (ben_id,) = await ann.tiles()
    second = await chromium.person()
    await second.page.add_init_script(f"sessionStorage.setItem('kcs.user', '{ben_id}')")
    await second.page.goto(ben.page.url)
    await until(second.joined, "Ben has joined from the second page")
    await _says(ben, "You joined from another place")
    await until(lambda: everybody_gets_everybody([ann, second]), "the call goes on there")
    assert await ann.tiles() == [ben_id]

    await ben.page.get_by_role("button", name="Take it back here").click()
    await until(ben.joined, "Ben has joined from the first page again")
    await _says(second, "You joined from another place")
    await until(lambda: everybody_gets_everybody([ann, ben]), "the call goes on at the first page")
    assert await ann.tiles() == [ben_id]

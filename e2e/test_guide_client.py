"""The client guide's own sample, word for word, against the server; and with the other dialect."""

from collections.abc import Awaitable, Callable

from kcs_dev.api import Inspector, new_meeting
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.stack import LocalStack

StartStack = Callable[..., Awaitable[LocalStack]]
Enter = Callable[..., Awaitable[Person]]


async def test_the_guides_sample_client_talks_with_two_others_and_with_the_other_dialect(
    start_stack: StartStack, chromium: Chromium, enter_with_the_guides_client: Enter
) -> None:
    stack = await start_stack()
    meeting = await new_meeting(stack.url)
    first = await enter_with_the_guides_client(stack, chromium, meeting, "Gus")
    ours = await chromium.join(f"{stack.url}/m/{meeting}", "Ann")
    people = [first, ours]
    await until(
        lambda: everybody_gets_everybody(people), "the sample and our client see each other", 20
    )

    late = await enter_with_the_guides_client(stack, chromium, meeting, "Liv")
    people.append(late)
    await until(
        lambda: everybody_gets_everybody(people),
        "who joins late sees and hears both, and they it",
        20,
    )

    assert len(await ours.tiles()) == 2
    joined = [data for kind, data in await first.page.evaluate("client.events") if kind == "joined"]
    assert [data["userName"] for data in joined] == ["Gus", "Ann", "Liv"]
    assert joined[-1]["participantCount"] == 3
    for sample in (first, late):
        events = await sample.page.evaluate("client.events")
        assert [data for kind, data in events if kind == "error"] == []

    await first.page.evaluate("client.leaveMeeting()")
    people.remove(first)
    await until(lambda: everybody_gets_everybody(people), "the two others go on", 10)
    assert await ours.tiles() == ["liv"]


async def test_a_guest_with_the_guides_sample_client_sees_the_others_and_sends_nothing(
    start_stack: StartStack, chromium: Chromium, enter_with_the_guides_client: Enter
) -> None:
    stack = await start_stack()
    meeting = await new_meeting(stack.url, "ann", settings={"default_role": "guest"})
    ann = await enter_with_the_guides_client(stack, chromium, meeting, "Ann")
    gus = await enter_with_the_guides_client(stack, chromium, meeting, "Gus", sends=False)

    async def gus_gets_ann() -> bool:
        return await gus.live_count() == (1, 1)

    await until(gus_gets_ann, "the guest sees and hears the host", 20)

    refused = await gus.page.evaluate("send().then(() => null, (error) => error.code)")
    assert refused == "ACCESS_DENIED"
    assert await gus_gets_ann()
    assert await ann.live_count() == (0, 0)


async def test_a_consumer_gets_the_simulcast_layer_that_it_asks_for(
    start_stack: StartStack, chromium: Chromium, enter_with_the_guides_client: Enter
) -> None:
    stack = await start_stack()
    meeting = await new_meeting(stack.url)
    sender = await enter_with_the_guides_client(stack, chromium, meeting, "Sam")
    receiver = await enter_with_the_guides_client(stack, chromium, meeting, "Rae")
    await until(lambda: everybody_gets_everybody([sender, receiver]), "both see each other", 20)
    for quality, height in (("low", 180), ("high", 720), ("medium", 360), ("low", 180)):
        await receiver.page.evaluate(
            "([meetingId, quality]) => client.socket.emit('quality:change', "
            "{ meetingId, participantId: 'sam', quality })",
            [meeting, quality],
        )

        async def that_layer_comes(height: int = height) -> bool:
            videos = [s for s in await receiver.live() if s.kind == "video"]
            return [s.height for s in videos] == [height]

        await until(that_layer_comes, f"{quality} is {height} lines high", 20)

    inspector = Inspector(stack)
    stats = await inspector.stats(meeting, "sam")
    layers = [reports for reports in stats.producers.values() if len(reports) == 3]
    assert len(layers) == 1, "the camera was sent in three layers"
    await inspector.close()

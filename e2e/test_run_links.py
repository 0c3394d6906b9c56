"""The links that `make run` prints: one makes its reader the host, the other one does not."""

from collections.abc import Awaitable, Callable

from kcs_contracts.ids import MeetingId
from kcs_dev.api import Inspector
from kcs_dev.browser import Chromium
from kcs_dev.run import new_meeting
from kcs_dev.stack import LocalStack


async def test_the_links_of_make_run_let_a_host_and_others_in(
    start_stack: Callable[..., Awaitable[LocalStack]], chromium: Chromium
) -> None:
    stack = await start_stack()
    links = await new_meeting(stack.url)
    address, fragment = links.host.split("#")
    assert address == links.guests
    host = await chromium.person()
    await host.page.goto(f"{address}?name=Hal&join=1#{fragment}")
    await chromium.join(links.guests, "Ann")
    await host.page.wait_for_selector('[data-testid="status"][data-status="joined"]')

    inspector = Inspector(stack)
    snapshot = await inspector.snapshot(MeetingId(links.guests.rsplit("/", 1)[1]))
    await inspector.close()

    roles = {person.display_name: person.role.value for person in snapshot.participants}
    assert roles["Hal"] == "host"
    assert roles["Ann"] not in ("host", "co_host")

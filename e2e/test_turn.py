"""People whose network lets nothing through but a TURN server: a real coturn, a real Chromium."""

import asyncio
import base64
import hashlib
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from kcs_contracts.coturn import CoturnTls
from kcs_contracts.ids import MeetingId
from kcs_dev.api import Inspector, new_meeting
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.coturn import RELAY_IP, Coturn, certify
from kcs_dev.processes import free_port
from kcs_dev.stack import LocalStack

StartStack = Callable[..., Awaitable[LocalStack]]
StartCoturn = Callable[..., Awaitable[Coturn]]


@pytest.fixture
async def start_coturn(tmp_path: Path) -> AsyncIterator[StartCoturn]:
    """Starts a coturn with these fields of `CoturnConfig`; it is stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(**more: Any) -> Coturn:
            return await stack.enter_async_context(Coturn(tmp_path / "coturn", **more))

        yield start


async def turn_names(person: Person) -> set[str]:
    """The user names of the TURN credentials that the browser would use now."""
    script = """() => window.kcsConnections
      .filter((pc) => pc.connectionState !== 'closed')
      .flatMap((pc) => pc.getConfiguration().iceServers.map((each) => each.username))
      .filter((name) => name)"""
    return set(await person.page.evaluate(script))


async def remote_addresses(stack: LocalStack, meeting: MeetingId) -> dict[str, set[str]]:
    """From where the SFU gets each participant's media, as its transports' tuples say."""
    inspector = Inspector(stack)
    seen = {}
    for participant in (await inspector.snapshot(meeting)).participants:
        stats = await inspector.stats(meeting, participant.id)
        assert len(stats.transports) == 2
        tuples = [reports[0]["iceSelectedTuple"] for reports in stats.transports.values()]
        seen[participant.display_name] = {each["remoteIp"] for each in tuples}
    await inspector.close()
    return seen


@pytest.mark.parametrize("listeners", [{"tcp": False}, {"udp": False}], ids=["udp", "tcp"])
async def test_a_browser_that_may_only_relay_gets_and_sends_media_through_coturn(
    start_stack: StartStack,
    start_coturn: StartCoturn,
    chromium: Chromium,
    listeners: dict[str, bool],
) -> None:
    coturn = await start_coturn(**listeners)
    stack = await start_stack(env=coturn.env)
    meeting = await new_meeting(stack.url)
    ann = await chromium.join(f"{stack.url}/m/{meeting}", "Ann")
    ben = await chromium.join(f"{stack.url}/m/{meeting}", "Ben", relay=True)

    await until(lambda: everybody_gets_everybody([ann, ben]), "both see and hear each other", 30)

    addresses = await remote_addresses(stack, meeting)
    assert addresses["Ben"] == {RELAY_IP}
    assert RELAY_IP not in addresses["Ann"], "who can go directly does"


async def test_a_browser_that_may_only_relay_gets_media_through_coturn_over_tls(
    start_stack: StartStack, start_coturn: StartCoturn, tmp_path: Path
) -> None:
    """As from a network that lets nothing out but HTTPS."""
    tls = CoturnTls(port=free_port(), certificate=tmp_path / "tls.crt", key=tmp_path / "tls.key")
    certify(tls.certificate, tls.key, "IP:127.0.0.1")
    coturn = await start_coturn(udp=False, tcp=False, tls=tls)
    stack = await start_stack(env=coturn.env)
    link = f"{stack.url}/m/{await new_meeting(stack.url)}"
    trusting = (f"--ignore-certificate-errors-spki-list={key_hash(tls)}",)
    async with Chromium(extra=trusting) as browser:
        ann = await browser.join(link, "Ann", relay=True)
        ben = await browser.join(link, "Ben")
        await until(
            lambda: everybody_gets_everybody([ann, ben]), "both see and hear each other", 30
        )
        assert {way.relay for way in await ann.ways()} == {
            f"turns:127.0.0.1:{tls.port}?transport=tcp"
        }
    async with Chromium() as stranger:
        cy = await stranger.join(link, "Cy", relay=True)
        await asyncio.sleep(5)
        assert await cy.ways() == set(), (
            "a certificate that nobody vouches for is believed by nobody"
        )


def key_hash(tls: CoturnTls) -> str:
    """By which a browser may be told to trust the certificate."""
    key = ["openssl", "rsa", "-in", str(tls.key), "-pubout", "-outform", "DER"]
    public = subprocess.run(key, check=True, capture_output=True).stdout
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


async def test_credentials_are_renewed_so_that_media_comes_back_when_coturn_restarts_later(
    start_stack: StartStack, start_coturn: StartCoturn, chromium: Chromium
) -> None:
    ttl_s = 10
    coturn = await start_coturn()
    stack = await start_stack(env={**coturn.env, "KCS_TURN__CREDENTIAL_SECONDS": str(ttl_s)})
    meeting = await new_meeting(stack.url)
    link = f"{stack.url}/m/{meeting}"
    people = [await chromium.join(link, name, relay=True) for name in ("Ann", "Ben")]
    await until(lambda: everybody_gets_everybody(people), "both see and hear each other", 30)
    names = [await turn_names(person) for person in people]
    before = {id_ for person in people for id_ in await person.received()}
    await asyncio.sleep(ttl_s + 1)
    await until(lambda: everybody_gets_everybody(people), "who is connected stays connected", 10)
    assert {id_ for person in people for id_ in await person.received()} == before
    for person, old in zip(people, names, strict=True):
        fresh = await turn_names(person)
        assert fresh, "there are connections"
        assert all(int(name.split(":")[0]) > time.time() for name in fresh)
        assert len({name.split(":")[1] for name in fresh | old}) == 1, "the same user's"

    await coturn.stop()
    await coturn.start()

    await until(lambda: everybody_gets_everybody(people), "both see and hear each other again", 40)
    after = {id_ for person in people for id_ in await person.received()}
    assert after == before, "ICE was restarted: the same streams go on"


async def test_who_wants_a_relay_where_there_is_none_is_told_so(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack()
    meeting = await new_meeting(stack.url)
    ann = await chromium.person()
    await ann.page.goto(f"{stack.url}/m/{meeting}?name=Ann&join=1&relay=1")
    await ann.page.get_by_text("There is no media relay here").wait_for(timeout=15_000)

"""People in real browsers: Chromium with a fake camera and microphone, driven by Playwright.

What a person sees and hears is read from `RTCPeerConnection.getStats()`: an init script keeps
every peer connection that the page makes. The client itself knows nothing of it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright

CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks,"
    "LocalNetworkAccessChecksWebSockets,LocalNetworkAccessChecksWebRTC",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
)
_PROBATOR = 1234
"""mediasoup's stream of padding, by which a worker measures bandwidth: nobody sees it."""
_KEEP_CONNECTIONS = """
(() => {
  const Native = window.RTCPeerConnection;
  const kept = (window.kcsConnections = []);
  window.RTCPeerConnection = class extends Native {
    constructor(...args) { super(...args); kept.push(this); }
  };
  window.kcsStats = async () => {
    const all = [];
    for (const pc of kept) {
      if (pc.connectionState === 'closed') continue;
      (await pc.getStats()).forEach((report) => all.push({ ...report }));
    }
    return all;
  };
})();
"""


@dataclass(frozen=True)
class Received:
    """One incoming stream, as `getStats` tells it."""

    ssrc: int
    kind: str
    track: str
    progress: float
    """Frames decoded, or audio energy: rises while media is seen or heard."""
    packets: int
    height: int
    """Of the frames, in pixels; 0 for audio."""


@dataclass(frozen=True)
class Way:
    """The way that the media of one connection takes, as ICE chose it."""

    relay: str
    """URL of the TURN server; empty: none is on the way."""
    host: str
    """Where it ends, with the port: at the SFU node."""
    port: int


class Person:
    """One page of one browser."""

    def __init__(self, context: BrowserContext, page: Page):
        self.context, self.page = context, page
        self.log: list[str] = []
        page.on("console", lambda message: self.log.append(message.text))
        page.on("pageerror", lambda error: self.log.append(f"page error: {error}"))

    async def received(self) -> dict[int, Received]:
        """All incoming streams, by SSRC."""
        reports: list[dict[str, Any]] = await self.page.evaluate("window.kcsStats()")
        streams = [r for r in reports if r["type"] == "inbound-rtp" and r["ssrc"] != _PROBATOR]
        return {r["ssrc"]: _received(r) for r in streams}

    async def ways(self) -> set[Way]:
        """Those of all connections."""
        reports: list[dict[str, Any]] = await self.page.evaluate("window.kcsStats()")
        by_id = {each["id"]: each for each in reports}
        chosen = {r["selectedCandidatePairId"] for r in reports if "selectedCandidatePairId" in r}
        return {_way(by_id, by_id[each]) for each in chosen}

    async def live(self, pause_s: float = 0.7) -> list[Received]:
        """The incoming streams whose frames or energy rose within the pause."""
        before = await self.received()
        await asyncio.sleep(pause_s)
        after = await self.received()
        return [
            s for ssrc, s in after.items() if ssrc in before and s.progress > before[ssrc].progress
        ]

    async def live_count(self, pause_s: float = 1.1) -> tuple[int, int]:
        """How many (videos, audios) are live now. The fake microphone beeps once a second."""
        live = await self.live(pause_s)
        return sum(s.kind == "video" for s in live), sum(s.kind == "audio" for s in live)

    async def status(self) -> str | None:
        """What our client says of itself: joining, joined, reconnecting, left or failed."""
        return await self.page.get_attribute('[data-testid="status"]', "data-status")

    async def joined(self) -> bool:
        """Whether our client says that it is in the meeting."""
        return await self.status() == "joined"

    async def tiles(self) -> list[str]:
        """The user ids of the others' tiles."""
        script = "tiles => tiles.map(t => t.dataset.userId)"
        others = '[data-testid^="tile-"]:not([data-testid="tile-self"])'
        ids: list[str] = await self.page.eval_on_selector_all(others, script)
        return sorted(ids)


def _way(by_id: dict[str, dict[str, Any]], pair: dict[str, Any]) -> Way:
    ours, theirs = by_id[pair["localCandidateId"]], by_id[pair["remoteCandidateId"]]
    relay = ours.get("url", "") if ours["candidateType"] == "relay" else ""
    return Way(relay=relay, host=theirs["address"], port=theirs["port"])


def _received(report: dict[str, Any]) -> Received:
    kind = report["kind"]
    progress = report.get("framesDecoded" if kind == "video" else "totalAudioEnergy", 0)
    return Received(
        ssrc=report["ssrc"],
        kind=kind,
        track=report.get("trackIdentifier", ""),
        progress=progress,
        packets=report.get("packetsReceived", 0),
        height=report.get("frameHeight", 0),
    )


class Chromium:
    """A browser with a fake camera of `fps` frames a second; an async context manager.

    `program` is what is started, such as a script that starts Chromium in another network.
    """

    def __init__(self, fps: int = 10, extra: tuple[str, ...] = (), program: str = CHROMIUM):
        self._program = program
        self._arguments = [
            *_ARGUMENTS,
            f"--use-fake-device-for-media-stream=device-count=1,fps={fps}",
            *extra,
        ]
        self._playwright: Playwright
        self._browser: Browser
        self.people: list[Person] = []

    async def __aenter__(self) -> Self:
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(
            executable_path=self._program, args=self._arguments
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._browser.close()
        await self._playwright.stop()

    async def person(self) -> Person:
        """Somebody with a browser profile of their own and an empty page."""
        context = await self._browser.new_context(viewport={"width": 1280, "height": 800})
        await context.add_init_script(_KEEP_CONNECTIONS)
        person = Person(context, await context.new_page())
        self.people.append(person)
        return person

    async def join(self, link: str, name: str, *, relay: bool = False) -> Person:
        """Somebody who opens our client's link and joins with that name; `relay`: their browser may
        use a TURN server alone."""
        person = await self.person()
        await person.page.goto(f"{link}?name={name}&join=1{'&relay=1' if relay else ''}")
        await until(person.joined, f"{name} has joined")
        return person


async def until(check: Callable[[], Awaitable[bool]], what: str, timeout_s: float = 20) -> float:
    """Waits until `check` holds; returns how long that took, in s.

    Raises:
        AssertionError: it did not hold in time.
    """
    began = time.monotonic()
    while True:
        held = await check()
        took = time.monotonic() - began
        if took > timeout_s:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
        if held:
            return took
        await asyncio.sleep(0.1)


async def everybody_gets_everybody(people: Sequence[Person]) -> bool:
    """Whether each gets moving pictures and sound from every other one, and from nobody twice."""
    others = len(people) - 1
    counts = await asyncio.gather(*(person.live_count() for person in people))
    return all(count == (others, others) for count in counts)

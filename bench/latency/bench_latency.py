"""Picture latency from one browser to another: a clock is painted into it and read out of it.

    python bench/latency/bench_latency.py

Ann's camera is a canvas that shows the time; Ben's page reads it out of each frame that it shows
and compares it with its own clock, which is the same one: both pages run in one Chromium.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kcs_dev.api import new_meeting
from kcs_dev.browser import Chromium, Person, until
from kcs_dev.measure import Figure, at_most, percentile, save
from kcs_dev.stack import LocalStack

CLOCK = (Path(__file__).parent / "clock.js").read_text()
METHOD = (
    "Two people in our web client, in two pages of one headless Chromium with software encoding;"
    " the whole system of `make run` beside it on the same machine. Ann's camera is a canvas with"
    " the time in ms as black and white cells and a check sum, painted for each frame; Ben reads"
    " it by requestVideoFrameCallback and takes the frame's presentationTime. So it spans paint,"
    " capture, encoding, both ways over the SFU, jitter buffer, decoding and presentation. 'Direct'"
    " is the same camera over a peer connection between the two pages without an SFU: what the"
    " browsers cost by themselves."
)
_OTHERS = '[data-testid^="tile-"]:not([data-testid="tile-self"]) video'


@dataclass(frozen=True)
class Picture:
    """The camera."""

    width: int
    height: int
    fps: int


@dataclass(frozen=True)
class Seen:
    """What Ben saw in the measured time."""

    seconds: list[float]
    frames: int
    unreadable: int
    height: int
    """Of the frames that came last, in pixels."""


async def _watch(ben: Person, videos: str, seconds: float) -> Seen:
    """Reads the clock in the video that matches, after 5 s for the bandwidth estimate to rise."""
    await ben.page.evaluate("s => kcsWatch(document.querySelector(s))", videos)
    await asyncio.sleep(5)
    await ben.page.evaluate("Object.assign(kcsLatencies, {seconds: [], frames: 0, unreadable: 0})")
    await asyncio.sleep(seconds)
    seen = Seen(**await ben.page.evaluate("kcsLatencies"))
    if len(seen.seconds) < seconds * 5:
        raise SystemExit(f"the clock was read in {len(seen.seconds)} of {seen.frames} frames")
    return seen


@asynccontextmanager
async def _two(picture: Picture) -> AsyncIterator[tuple[Chromium, Person, Person]]:
    async with Chromium() as browser:
        ann, ben = await browser.person(), await browser.person()
        for person in (ann, ben):
            await person.context.add_init_script(CLOCK)
        camera = f"kcsClockCamera({picture.width}, {picture.height}, {picture.fps});"
        await ann.context.add_init_script(camera)
        # Ben's own camera costs little: what is measured is Ann's.
        await ben.context.add_init_script("kcsClockCamera(160, 90, 5);")
        yield browser, ann, ben


async def _through_the_sfu(picture: Picture, seconds: float) -> Seen:
    with tempfile.TemporaryDirectory() as directory:
        async with LocalStack(Path(directory)) as stack, _two(picture) as (_, ann, ben):
            link = f"{stack.url}/m/{await new_meeting(stack.url)}"
            for person, name in ((ann, "Ann"), (ben, "Ben")):
                await person.page.goto(f"{link}?name={name}&join=1")
                await until(person.joined, f"{name} has joined")

            async def ann_is_seen() -> bool:
                ready = "s => document.querySelector(s)?.readyState >= 2"
                return bool(await ben.page.evaluate(ready, _OTHERS))

            await until(ann_is_seen, "Ben sees Ann")
            return await _watch(ben, _OTHERS, seconds)


_OFFER = """async ([width, height, fps]) => {
  window.pc = new RTCPeerConnection();
  pc.addTrack(kcsClockStream(width, height, fps).getVideoTracks()[0]);
  await pc.setLocalDescription();
  while (pc.iceGatheringState !== 'complete') await new Promise((r) => setTimeout(r, 20));
  return pc.localDescription.toJSON();
}"""
_ANSWER = """async (offer) => {
  window.pc = new RTCPeerConnection();
  const video = document.body.appendChild(document.createElement('video'));
  Object.assign(video, { muted: true, autoplay: true, width: 640, height: 360 });
  pc.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); };
  await pc.setRemoteDescription(offer);
  await pc.setLocalDescription();
  while (pc.iceGatheringState !== 'complete') await new Promise((r) => setTimeout(r, 20));
  return pc.localDescription.toJSON();
}"""


async def _direct(picture: Picture, seconds: float) -> Seen:
    async with _two(picture) as (_, ann, ben):
        size = [picture.width, picture.height, picture.fps]
        for person in (ann, ben):
            blank = "http://127.0.0.1/blank"
            await person.page.route(blank, lambda r: r.fulfill(content_type="text/html", body=""))
            await person.page.goto(blank)
        answer = await ben.page.evaluate(_ANSWER, await ann.page.evaluate(_OFFER, size))
        await ann.page.evaluate("answer => pc.setRemoteDescription(answer)", answer)
        return await _watch(ben, "video", seconds)


def _figures(sfu: Seen, direct: Seen) -> list[Figure]:
    def ms(seen: Seen, percent: float) -> float:
        return percentile(seen.seconds, percent) * 1e3

    return [
        at_most("picture latency p50, browser to browser", ms(sfu, 50), "ms", 100),
        at_most("picture latency p95, browser to browser", ms(sfu, 95), "ms", 100, "guide: 500"),
        Figure("picture latency p50, direct, no SFU", ms(direct, 50), "ms"),
        Figure("picture latency p95, direct, no SFU", ms(direct, 95), "ms"),
        Figure("what the SFU adds at p50", ms(sfu, 50) - ms(direct, 50), "ms"),
        Figure("height of the frames that came, of simulcast", sfu.height, "lines"),
    ]


def _kept(seen: Seen) -> dict[str, Any]:
    values = {f"p{p}_ms": percentile(seen.seconds, p) * 1e3 for p in (1, 25, 50, 75, 95, 99, 100)}
    return {**asdict(seen), "seconds": None, **values}


async def _all(picture: Picture, seconds: float) -> None:
    direct = await _direct(picture, seconds)
    sfu = await _through_the_sfu(picture, seconds)
    samples = {"picture": asdict(picture), "sfu": _kept(sfu), "direct": _kept(direct)}
    save("latency", METHOD, _figures(sfu, direct), samples)


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--fps", type=int, default=30)
    arguments = parser.parse_args()
    picture = Picture(arguments.width, arguments.height, arguments.fps)
    asyncio.run(_all(picture, arguments.seconds))


if __name__ == "__main__":
    main()

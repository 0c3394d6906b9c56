"""How long somebody saw or heard nothing: noted in the page, read once at the end."""

import itertools
from dataclasses import dataclass

from kcs_dev.browser import Person

_WATCH = """
() => {
  if (window.kcsWatched) { window.kcsWatched.begin(); return; }
  let frames = {}, sounds = [], before = {}, most = { videos: 0, tiles: 0, sounds: 0 };
  const watched = new WeakSet();
  const watch = (video, who) => {
    if (watched.has(video)) return;
    watched.add(video);
    const next = () => {
      (frames[who] ??= []).push(performance.now());
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  };
  setInterval(() => {
    const others = '[data-testid^="tile-"]:not([data-testid="tile-self"])';
    const tiles = [...document.querySelectorAll(others)];
    const people = new Set(tiles.map((tile) => tile.dataset.userId));
    most.tiles = Math.max(most.tiles, tiles.length - people.size);
    for (const tile of tiles) {
      const videos = tile.querySelectorAll('video');
      most.videos = Math.max(most.videos, videos.length);
      if (videos[0]) watch(videos[0], tile.dataset.userId);
    }
    const playing = [...document.querySelectorAll('audio')].filter(({ srcObject }) =>
      srcObject?.getAudioTracks().some((track) => track.readyState === 'live'));
    most.sounds = Math.max(most.sounds, playing.length);
  }, 10);
  setInterval(async () => {
    const at = performance.now();
    let more = false;
    for (const each of await window.kcsStats()) {
      if (each.type !== 'inbound-rtp' || each.kind !== 'audio') continue;
      more ||= each.packetsReceived > (before[each.ssrc] ?? 0);
      before[each.ssrc] = each.packetsReceived;
    }
    if (more) sounds.push(at);
  }, 100);
  window.kcsWatched = {
    begin: () => { frames = {}; sounds = []; most = { videos: 0, tiles: 0, sounds: 0 }; },
    read: () => {
      const tiles = [...document.querySelectorAll('[data-testid^="tile-"]')];
      const here = new Set(tiles.map((tile) => tile.dataset.userId));
      const kept = Object.fromEntries(Object.entries(frames).filter(([who]) => here.has(who)));
      return { frames: kept, sounds, most, now: performance.now() };
    },
  };
}
"""


@dataclass(frozen=True)
class Gaps:
    """The longest times without anything new, in s."""

    pictures: float
    """Of whoever was worst."""
    sound: float
    """Without any sound at all."""
    people: int
    """Whose pictures were seen."""
    tiles_twice: int
    """Tiles that somebody had beyond one, at most."""
    videos: int
    """Pictures in one tile, at most."""
    sounds: int
    """People whose sound played at a time, at most."""

    @property
    def twice(self) -> int:
        """How often anybody was there beyond once, in tiles and pictures."""
        return self.tiles_twice + max(0, self.videos - 1)


async def watch(*people: Person) -> None:
    """From now on, gaps of what these people see and hear are noted; anew at each call."""
    for person in people:
        await person.page.evaluate(_WATCH)


async def gaps(person: Person) -> Gaps:
    """Since `watch`, of those who are there now. One that lasts counts as long as it has lasted."""
    seen = await person.page.evaluate("window.kcsWatched.read()")
    now = seen["now"]
    pictures = [_longest(times, now) for times in seen["frames"].values()]
    most = seen["most"]
    return Gaps(
        pictures=max(pictures, default=float("inf")),
        sound=_longest(seen["sounds"], now),
        people=len(pictures),
        tiles_twice=most["tiles"],
        videos=most["videos"],
        sounds=most["sounds"],
    )


def _longest(times: list[float], now: float) -> float:
    pairs = itertools.pairwise([*times, now])
    return max((b - a for a, b in pairs), default=float("inf")) / 1000

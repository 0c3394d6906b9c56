"""How much later people are answered while somebody floods the service with bad events.

    python bench/signaling/bench_flood.py [--rounds N]

`tests.support.flood` is who does; the people are in another process than she is, as in life.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from kcs_dev.api import access_token, new_meeting
from kcs_dev.measure import Figure, at_most, percentile, save
from kcs_dev.raw_socket import RawSocket
from kcs_dev.stack import ROOT, LocalStack

METHOD = (
    "One signaling process, one SFU node. Ann sends media:toggle over and over, 10 ms apart, for"
    " 4 s while it is quiet and for 4 s while Eve, in a process of her own, sends malformed and"
    " refused events as fast as she can: patient, her inbox full all the time over a socket in each"
    " namespace; hasty, 640 at once, and again as soon as she is closed for that. p99 of Ann's"
    " acknowledgements; medians of the rounds. Limits are off: with them Ann would be refused as"
    " well. Everything shares two cores; Eve has a lower priority, as she has a machine of her own"
    " in life."
)
MEASURED_S, PAUSE_S, GOAL_MS = 4.0, 0.01, 50.0
MANNERS = ("patient", "hasty")


@asynccontextmanager
async def _eve(url: str, meeting: str, manner: str) -> AsyncIterator[None]:
    token = await access_token(url, "eve", "Eve")
    argv = ("nice", "-n", "10", sys.executable, "-m", "tests.support.flood", manner, url, meeting)
    process = await asyncio.create_subprocess_exec(
        *argv, token, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"at it\n"
        yield
    finally:
        process.terminate()
        printed, _ = await process.communicate()
        print(f"  {manner}: {json.loads(printed)}", flush=True)


async def _p99_ms(ann: RawSocket, meeting: str) -> float:
    took, until = [], time.monotonic() + MEASURED_S
    for enabled in itertools.cycle((True, False)):
        began = time.perf_counter()
        await ann.request(
            "media:toggle", {"meeting_id": meeting, "kind": "audio", "enabled": enabled}
        )
        took.append((time.perf_counter() - began) * 1000)
        if time.monotonic() > until:
            return percentile(took, 99)
        await asyncio.sleep(PAUSE_S)
    raise AssertionError


async def _measure(home: Path, rounds: int) -> dict[str, Any]:
    samples: dict[str, Any] = {manner: [] for manner in MANNERS}
    async with LocalStack(home, env={"KCS_LIMITS__ENABLED": "false"}) as stack:
        meeting = await new_meeting(stack.url)
        ann = await RawSocket.connect(
            stack.url, "/meeting", await access_token(stack.url, "ann", "Ann")
        )
        await ann.request("room:join", {"meeting_id": meeting})
        for _ in range(rounds):
            for manner in MANNERS:
                quiet = await _p99_ms(ann, meeting)
                async with _eve(stack.url, meeting, manner):
                    flooded = await _p99_ms(ann, meeting)
                samples[manner].append({"quiet_ms": quiet, "flooded_ms": flooded})
        ann.close()
    return samples


def _figures(samples: dict[str, Any]) -> list[Figure]:
    figures = []
    for manner in MANNERS:
        quiet = median(each["quiet_ms"] for each in samples[manner])
        later = median(each["flooded_ms"] - each["quiet_ms"] for each in samples[manner])
        note = f"{quiet:.1f} ms when it is quiet"
        figures.append(
            at_most(f"p99 later while somebody floods, {manner}", later, "ms", GOAL_MS, note)
        )
    return figures


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        samples = asyncio.run(_measure(Path(directory) / "stack", wanted.rounds))
    save("flood", METHOD, _figures(samples), samples)


if __name__ == "__main__":
    main()

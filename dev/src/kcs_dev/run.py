"""`make run`: the whole system on this machine, with links to a meeting, until Ctrl-C."""

import asyncio
import os
import signal
import sys
import time
from typing import NamedTuple

import aiohttp

from kcs_dev.processes import StartFailed, accepts
from kcs_dev.stack import ROOT, LocalStack

_STATE = ROOT / ".run"


class Links(NamedTuple):
    """Two ways into the same meeting."""

    host: str
    """Whoever opens it is the host: for one browser, as it speaks for one person."""
    guests: str
    """Everybody else, in as many browsers as they like."""


async def new_meeting(url: str) -> Links:
    """A meeting to begin with."""
    person = {"user_id": "make-run", "user_name": "Host", "email": "", "campus_id": ""}
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        async with http.post(f"{url}/api/v1/auth/token", json=person) as answer:
            token = (await answer.json())["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        async with http.post(f"{url}/api/v1/meetings", json={}, headers=bearer) as answer:
            made = await answer.json()
    link = f"{url}/m/{made['id']}"
    return Links(host=f"{link}#token={made['meeting_token']}", guests=link)


async def _first_to_end(stack: LocalStack, stopped: asyncio.Event) -> str | None:
    """Waits for Ctrl-C (None) or for a child that ended by itself (its name)."""
    waits = {asyncio.create_task(c.process.wait(), name=c.name): c for c in stack.children}
    stop = asyncio.create_task(stopped.wait())
    done, pending = await asyncio.wait({stop, *waits}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return None if stop in done else next(iter(done)).get_name()


async def _run(port: int) -> int:
    began = time.monotonic()
    if await accepts(port):
        print(f"Port {port} is taken. Choose another one: KCS_HTTP__PORT=8081 make run")
        return 1
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print("Starting Redis, signaling and one SFU node ...", flush=True)
    async with LocalStack(_STATE, port=port) as stack:
        links = await new_meeting(stack.url)
        print(
            f"\nReady after {time.monotonic() - began:.1f} s. Open each in a browser of its own:\n"
        )
        print(f"    for the host:       {links.host}")
        print(f"    for everybody else: {links.guests}\n")
        print(f"Logs are in {_STATE.name}/. Ctrl-C stops everything.", flush=True)
        ended = await _first_to_end(stack, stopped)
        if ended:
            child = next(c for c in stack.children if c.name == ended)
            print(f"\n{ended} ended by itself; its last words:\n{child.tail()}")
            return 1
        print("\nStopping ...", flush=True)
    return 0


def main() -> None:
    """The entry point: `python -m kcs_dev.run`."""
    os.chdir(ROOT)
    _STATE.mkdir(exist_ok=True)
    for old in _STATE.glob("*.log"):
        old.unlink()
    try:
        code = asyncio.run(_run(int(os.environ.get("KCS_HTTP__PORT", "8080"))))
    except StartFailed as error:
        print(f"\n{error}\n\nLogs are in {_STATE}/.")
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()

"""burst_crowd.py URL MEETINGS EXPECTED: meetings are made, and at a word their hosts join at once.

Runs in the cluster's network. It says "ready" when all meetings are made and all hosts connected;
a line on its input begins. Who is refused asks again each second. At the end it prints, as JSON,
how often and how long each was refused; when its input ends, the hosts end their meetings.
"""

import asyncio
import sys
import time

import aiohttp
import orjson

from kcs_dev.api import access_token
from kcs_dev.raw_socket import RawSocket, Refused

_PATIENCE_S = 180.0


async def main(url: str, meetings: int, expected: int) -> None:
    """All of it."""
    sockets, ids, bearers = [], [], []
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        for number in range(meetings):
            token = await access_token(url, f"burst-{number}", f"Burst {number}")
            bearer = {"Authorization": f"Bearer {token}"}
            wanted = {"display_name": "Burst", "expected_participants": expected}
            async with http.post(f"{url}/api/v1/meetings", json=wanted, headers=bearer) as answer:
                ids.append((await answer.json())["id"])
            bearers.append(bearer)
            sockets.append(await RawSocket.connect(url, "/meeting", token, timeout_s=30))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = time.time()
        joins = (_join(socket, meeting) for socket, meeting in zip(sockets, ids, strict=True))
        waits = await asyncio.gather(*joins)
        told = {
            "began": began,
            "refused": [refused for refused, _ in waits],
            "waited_s": [waited for _, waited in waits],
        }
        print(orjson.dumps(told).decode(), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for meeting, bearer in zip(ids, bearers, strict=True):
            async with http.post(f"{url}/api/v1/meetings/{meeting}/end", headers=bearer):
                pass
    for socket in sockets:
        socket.close()


async def _join(socket: RawSocket, meeting: str) -> tuple[int, float]:
    began, refused = time.monotonic(), 0
    while True:
        try:
            await socket.request("room:join", {"meeting_id": meeting}, timeout_s=30)
        except Refused as error:
            if "NO_CAPACITY" not in str(error) or time.monotonic() - began > _PATIENCE_S:
                raise
            refused += 1
            await asyncio.sleep(1)
        else:
            return refused, time.monotonic() - began


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))

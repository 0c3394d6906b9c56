"""bots.py URL MEETINGS PEOPLE: fills meetings, says "all there", leaves when its input ends."""

import asyncio
import sys
import time

import aiohttp

from kcs_dev.api import access_token, new_meeting
from kcs_dev.raw_socket import RawSocket, Refused


async def main(url: str, meetings: int, people: int) -> None:
    """Holds the sockets until standard input ends; then the host ends each meeting."""
    sockets, ids = [], []
    for number in range(meetings):
        meeting = await new_meeting(url, f"bot-{number}-0")
        ids.append(meeting)
        for one in range(people):
            name = f"bot-{number}-{one}"
            token = await access_token(url, name, name)
            socket = await RawSocket.connect(url, "/meeting", token, timeout_s=30)
            await _join(socket, meeting)
            sockets.append(socket)
    print("all there", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for number, meeting in enumerate(ids):
        bearer = {"Authorization": f"Bearer {await access_token(url, f'bot-{number}-0', 'Bot')}"}
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.post(f"{url}/api/v1/meetings/{meeting}/end", headers=bearer),
        ):
            pass
    for socket in sockets:
        socket.close()


async def _join(socket: RawSocket, meeting: str) -> None:
    """As people do: who finds no room tries again."""
    deadline = time.monotonic() + 120
    while True:
        try:
            await socket.request("room:join", {"meeting_id": meeting})
        except Refused:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(2)
        else:
            return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))

"""One child process: started, awaited until ready, stopped by pid, never left behind.

A child has a session of its own, so that a Ctrl-C reaches only the parent, which stops its
children in order; and the kernel ends it when the parent dies in any other way.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp


class StartFailed(Exception):
    """A child did not become ready; the message ends with the last lines of its log."""


class Child:
    """A running child process whose output goes to a log file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path):
        self.name, self.process, self.log = name, process, log

    @classmethod
    async def start(
        cls, name: str, argv: Sequence[str], *, env: Mapping[str, str], log: Path
    ) -> "Child":
        """Starts the program with `env` on top of this process's environment."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *_dying_with_parent(),
                *argv,
                env={**os.environ, **env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self.process.returncode is None

    async def ready(self, check: Callable[[], Awaitable[bool]], timeout_s: float = 20) -> None:
        """Waits until `check` holds.

        Raises:
            StartFailed: the process ended, or the time ran out.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not await check():
                    if not self.running:
                        raise StartFailed(f"{self.name} ended at its start\n{self.tail()}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise StartFailed(
                f"{self.name} was not ready after {timeout_s:.0f} s\n{self.tail()}"
            ) from None

    def kill(self) -> None:
        """`kill -9`, as a crash would be; `stop` still has to be called."""
        self.process.kill()

    async def stop(self, timeout_s: float = 10) -> int:
        """Asks the process to end, insists after `timeout_s`, and returns its exit code."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _dying_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def free_port() -> int:
    """A port of 127.0.0.1 that is free now for TCP and UDP.

    It lies outside of the range from which the kernel takes ports for connections, so that none of
    these takes it before it is used.
    """
    while True:
        port = random.randrange(10_000, 30_000)
        with (
            contextlib.suppress(OSError),
            socket.socket() as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


async def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 200 now."""
    try:
        timeout = aiohttp.ClientTimeout(total=1)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def accepts(port: int) -> bool:
    """Whether somebody listens on that port of 127.0.0.1 now."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True

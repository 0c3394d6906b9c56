"""A real `kcs-signaling` process, and clients of its two dialects."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import socketio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support.contract import declared

from kcs_contracts.ids import MeetingId, UserId, new_meeting_id
from kcs_contracts.rooms import Role
from kcs_signaling.keys import create_key, load_key
from kcs_signaling.tokens import Tokens, User

ORIGIN = "https://meet.example.org"
ISSUER = "kcs-meetings"


class Signaling:
    """One process; `start` and `stop` as often as wanted, on the same Redis and database."""

    def __init__(self, home: Path, redis_url: str, **settings: str | None):
        self.home, self.redis_url = home, redis_url
        self.url = ""
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._log = home / f"log-{secrets.token_hex(4)}"
        key = home / "key.pem"
        self.key: Ed25519PrivateKey = load_key(key) if key.exists() else create_key(key)
        self.tokens = Tokens(self.key, issuer=ISSUER, access_minutes=15, refresh_days=7)

    @property
    def environment(self) -> dict[str, str]:
        """What it is started with; a setting that is None is left out."""
        settings = {
            "PATH": os.environ["PATH"],
            "KCS_HTTP__PORT": "0",
            "KCS_HTTP__ALLOWED_ORIGINS": json.dumps([ORIGIN]),
            "KCS_AUTH__KEY_FILE": str(self.home / "key.pem"),
            "KCS_AUTH__ISSUER": ISSUER,
            "KCS_REDIS__URL": self.redis_url,
            "KCS_SQL__URL": f"sqlite+aiosqlite:///{self.home}/records.sqlite",
            **self._settings,
        }
        return {name: value for name, value in settings.items() if value is not None}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it logged; a line that is no JSON is an `event` by itself."""
        return [_line(text) for text in self._log.read_text().splitlines()]

    async def start(self) -> "Signaling":
        """Returns when it is ready."""
        already = len(self.lines) if self._log.exists() else 0
        argv = [sys.executable, "-m", "kcs_signaling.main"]
        with self._log.open("ab") as log:  # a pipe that nobody reads would hold the service up
            self._process = subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            ready = [each for each in self.lines[already:] if each["event"] == "signaling_ready"]
            if ready:
                self.url = ready[0]["metadata"]["url"]
                return self
            if self._process.poll() is not None:
                break
            await asyncio.sleep(0.02)
        raise RuntimeError(f"signaling ended: {self.lines}")

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Its exit status, and how long it took, in s."""
        assert self._process is not None
        began = time.monotonic()
        if self._process.poll() is None:
            self._process.send_signal(number)
        while self._process.poll() is None:
            assert time.monotonic() - began < 20, "signaling does not end"
            await asyncio.sleep(0.02)
        return self._process.returncode, time.monotonic() - began

    def access(self, user: str, name: str | None = None) -> str:
        """An access token."""
        return self.tokens.access(_person(user, name))

    def invited(self, meeting: str, user: str, role: Role) -> str:
        """A meeting token."""
        expires = time.time() + 3600
        return self.tokens.meeting(MeetingId(meeting), _person(user), role, expires_at=expires)

    async def create_meeting(self, host: str = "host", **fields: object) -> str:
        """A meeting by REST; its id."""
        headers = {"Authorization": f"Bearer {self.access(host)}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/api/v1/meetings", json=fields, headers=headers) as answer,
        ):
            assert answer.status == 201, await answer.text()
            return str((await answer.json())["id"])

    async def metrics(self) -> str:
        """What /metrics says."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/metrics") as answer,
        ):
            return await answer.text()


def _line(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except ValueError:
        return {"event": text}


def _person(user: str, name: str | None = None) -> User:
    return User(user_id=UserId(user), user_name=name or user.title())


class Client:
    """A socket in one namespace that remembers what it heard.

    All that it hears and is answered must be as it is declared: what is not is raised by the next
    call, or by `close` at the latest.
    """

    def __init__(self, namespace: str):
        self.namespace = namespace
        self.heard: list[tuple[str, Any]] = []
        self.came: list[tuple[str, float]] = []
        """All that was ever heard, and when (`time.monotonic`)."""
        self.faults: list[str] = []
        """What was not as declared, and has not been raised yet."""
        self._declared = declared(namespace)
        self.disconnects: list[str] = []
        self._news = asyncio.Condition()
        self._read = 0
        self.sio = socketio.AsyncClient(reconnection=False)
        self.sio.on("*", self._hear, namespace=namespace)
        self.sio.on("disconnect", self._gone, namespace=namespace)

    async def connect(
        self, url: str, token: str, transports: tuple[str, ...] = ("websocket",)
    ) -> "Client":
        await self.sio.connect(
            url,
            auth={"token": token},
            namespaces=[self.namespace],
            transports=list(transports),
        )
        return self

    async def close(self) -> None:
        await self.sio.disconnect()
        self._raise_faults()

    async def ask(self, event: str, payload: object = None, timeout_s: float = 8) -> Any:
        """The acknowledgement; a tuple as `payload` is several arguments."""
        namespace = self.namespace
        answer = await self.sio.call(event, payload, namespace=namespace, timeout=timeout_s)
        self.faults += self._declared.answered(event, answer)
        self._raise_faults()
        return answer

    async def get(self, event: str, payload: object = None) -> Any:
        """The data of an acknowledgement that must be ok."""
        answer = await self.ask(event, payload)
        assert answer["ok"], answer
        return answer["data"]

    async def refused(self, event: str, payload: object = None) -> str:
        """The code of an acknowledgement that must not be ok."""
        answer = await self.ask(event, payload)
        assert not answer["ok"], answer
        assert answer["error"]["message"]
        return str(answer["error"]["code"])

    async def emit(self, event: str, payload: object = None) -> None:
        await self.sio.emit(event, payload, namespace=self.namespace)

    async def hears(
        self, event: str, matching: Callable[[Any], bool] = lambda _: True, timeout_s: float = 5
    ) -> Any:
        """The payload of the next event of that name, heard before or not, each once."""

        def found() -> int | None:
            for index, (name, payload) in enumerate(self.heard):
                if name == event and matching(payload):
                    return index
            return None

        async with self._news:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait_for(lambda: self.faults or found() is not None)
            except TimeoutError:
                raise AssertionError(f"no {event} in {self.heard}") from None
            self._raise_faults()
            index = found()
            assert index is not None
            return self.heard.pop(index)[1]

    async def settle(self) -> None:
        """Waits until the server has handled what this client sent before."""
        await self.ask("no-such-event")

    async def _hear(self, event: str, *args: Any) -> None:
        self.came.append((event, time.monotonic()))
        payload = args[0] if len(args) == 1 else args
        self.faults += self._declared.heard(event, payload)
        async with self._news:
            self.heard.append((event, payload))
            self._news.notify_all()

    def _raise_faults(self) -> None:
        faults, self.faults = self.faults, []
        assert not faults, "\n".join(faults)

    async def _gone(self, reason: str) -> None:
        async with self._news:
            self.disconnects.append(reason)
            self._news.notify_all()

    async def gone(self, timeout_s: float = 5) -> str:
        """Waits for the disconnect; its reason."""
        async with self._news, asyncio.timeout(timeout_s):
            await self._news.wait_for(lambda: bool(self.disconnects))
        return self.disconnects[0]


def some_meeting_id() -> str:
    """An id that nobody has."""
    return new_meeting_id()


class RawSocket:
    """A WebSocket that says whatever the test wants, with the Engine.IO handshake done."""

    def __init__(self, session: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse):
        self._session, self.ws = session, ws

    @classmethod
    async def open(cls, url: str, **headers: str) -> "RawSocket":
        session = aiohttp.ClientSession()
        try:
            ws = await session.ws_connect(
                f"{url}/socket.io/?EIO=4&transport=websocket", headers=headers, max_msg_size=0
            )
        except BaseException:
            await session.close()
            raise
        raw = cls(session, ws)
        assert (await raw.text())[0] == "0"
        return raw

    async def join(self, namespace: str, token: str) -> "RawSocket":
        """Connects to a namespace."""
        prefix = "" if namespace == "/" else namespace + ","
        await self.ws.send_str("40" + prefix + json.dumps({"token": token}))
        assert (await self.text()).startswith(f"40{prefix}")
        return self

    async def text(self, timeout_s: float = 5) -> str:
        """The next message; pings are left out. `""` is the end."""
        while True:
            message = await asyncio.wait_for(self.ws.receive(), timeout_s)
            if message.type != aiohttp.WSMsgType.TEXT:
                return ""
            if message.data != "2":
                return str(message.data)

    async def rest(self, timeout_s: float = 5) -> list[str]:
        """All messages until the server closes."""
        texts = []
        while text := await self.text(timeout_s):
            texts.append(text)
        return texts

    def pause_reading(self) -> None:
        """Takes nothing from the connection any more."""
        connection = self.ws._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.pause_reading()

    async def close(self) -> None:
        await self.ws.close()
        await self._session.close()

"""REST as people meet it: a real uvicorn on a free port over a real Redis and SQLite."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from redis.asyncio import Redis

from kcs_signaling.http.app import build_http
from kcs_signaling.keys import create_key
from kcs_signaling.services import Services, open_services
from kcs_signaling.settings import (
    AuthSettings,
    ExternalIssuerSettings,
    HttpSettings,
    InternalSettings,
    LimitSettings,
    MailSettings,
    RedisSettings,
    Settings,
    SqlSettings,
)
from kcs_signaling.tokens import User

ORIGIN = "https://meet.example.org"


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Rest:
    """A running service and a client of it."""

    services: Services
    port: int
    http: aiohttp.ClientSession
    ada: User = field(default_factory=lambda: User(user_id="ada", user_name="Ada"))
    bob: User = field(default_factory=lambda: User(user_id="bob", user_name="Bob"))

    async def call(
        self, method: str, path: str, *, token: str | None = None, **more: Any
    ) -> Answer:
        """One request, with a bearer token where given."""
        headers = more.pop("headers", {})
        if token is not None:
            headers = {"Authorization": f"Bearer {token}", **headers}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.request(method, url, headers=headers, **more) as response:
            return Answer(response.status, response.headers, await response.text())

    def access(self, user: User) -> str:
        """An access token for a user."""
        return self.services.tokens.access(user)

    async def meeting(self, host: User | None = None, **body: Any) -> Any:
        """A new meeting of Ada's, as the answer has it."""
        token = self.access(host or self.ada)
        answer = await self.call("POST", "/api/v1/meetings", token=token, json=body)
        assert answer.status == 201, answer.text
        return answer.json


StartRest = Callable[..., AbstractAsyncContextManager[Rest]]


@pytest.fixture
def start_rest(redis_url: str, tmp_path: Path) -> StartRest:
    """Starts a service: `async with start_rest(dev_login=False, web_dir=None, redis=URL)`."""

    @asynccontextmanager
    async def start(
        *,
        dev_login: bool = True,
        local_accounts: bool = False,
        web_dir: Path | None = None,
        redis: str = redis_url,
        mail: MailSettings | None = None,
        limits: LimitSettings | None = None,
        internal: InternalSettings | None = None,
        proxies: tuple[str, ...] = (),
        external: ExternalIssuerSettings | None = None,
        sql: str = f"sqlite+aiosqlite:///{tmp_path}/records.sqlite",
    ) -> AsyncIterator[Rest]:
        settings = Settings(
            http=HttpSettings(
                public_url=ORIGIN,
                allowed_origins=(ORIGIN,),
                web_dir=web_dir,
                trusted_proxies=proxies,
            ),
            auth=AuthSettings(
                key_file=tmp_path / "key.pem",
                dev_login=dev_login,
                local_accounts=local_accounts,
                external=external,
            ),
            mail=mail or MailSettings(),
            limits=limits or LimitSettings(),
            internal=internal or InternalSettings(),
            redis=RedisSettings(url=redis),
            sql=SqlSettings(url=sql),
        )
        key_file = settings.auth.key_file
        if not key_file.exists():
            create_key(key_file)
        async with (
            open_services(settings) as services,
            aiohttp.ClientSession() as http,
            _serve(services) as port,
        ):
            yield Rest(services, port, http)

    return start


@asynccontextmanager
async def _serve(services: Services) -> AsyncIterator[int]:
    config = uvicorn.Config(
        build_http(services), log_level="warning", lifespan="off", proxy_headers=False
    )
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        await task


@pytest.fixture
async def rest(redis: Redis, start_rest: StartRest) -> AsyncIterator[Rest]:
    """A service with the development login on, over an empty Redis and database."""
    async with start_rest() as running:
        yield running

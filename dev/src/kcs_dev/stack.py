"""Redis, SFU nodes and signaling replicas on this machine, wired to each other.

Redis starts first, then all others at once: a node waits by itself for signaling's keys. They stop
in the reverse order.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from kcs_dev.processes import Child, accepts, answers, free_port

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Service:
    """A child that answers HTTP."""

    child: Child
    url: str

    @property
    def port(self) -> int:
        """The port in its URL."""
        return int(self.url.rsplit(":", 1)[1])


@dataclass
class LocalStack:
    """The parts of a running system; an async context manager that starts and stops them.

    Args:
        directory: where state and logs are kept.
        port: of the first signaling replica; 0 takes a free one.
        env: more `KCS_*` settings, for every service.
    """

    directory: Path
    port: int = 0
    replicas: int = 1
    nodes_wanted: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[str, ...] = ()
    redis: Child | None = None
    redis_port: int = 0
    signaling: list[Service] = field(default_factory=list)
    nodes: list[Service] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The first signaling replica."""
        return self.signaling[0].url

    @property
    def redis_url(self) -> str:
        """URL of the Redis server."""
        return f"redis://127.0.0.1:{self.redis_port}/0"

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            await self.start_redis()
            first = self.port or free_port()
            ports = [first, *(free_port() for _ in range(self.replicas - 1))]
            origins = [f"http://{host}:{p}" for p in ports for host in ("127.0.0.1", "localhost")]
            self.origins = (*origins, *self.origins)
            names = [f"node-{number + 1}" for number in range(self.nodes_wanted)]
            await self._key()
            starts = [self.start_signaling(port) for port in ports]
            starts += [self.start_node(name, keys_at=ports[0]) for name in names]
            failed = await _all_of(starts)
            self.signaling.sort(key=lambda service: ports.index(service.port))
            self.nodes.sort(key=lambda service: names.index(service.child.name))
            if failed:
                raise failed
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stops all parts."""
        for service in (*reversed(self.nodes), *reversed(self.signaling)):
            await service.child.stop()
        if self.redis:
            await self.redis.stop()

    @property
    def children(self) -> list[Child]:
        """Every process of the stack."""
        parts = [*self.signaling, *self.nodes]
        return [*([self.redis] if self.redis else []), *(part.child for part in parts)]

    async def start_redis(self) -> None:
        """Starts Redis without persistence; on the same port when it ran before."""
        self.redis_port = port = self.redis_port or free_port()
        argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        argv += ["--appendonly", "no", "--dir", str(self.directory)]
        self.redis = await Child.start("Redis", argv, env={}, log=self.directory / "redis.log")
        await self.redis.ready(lambda: accepts(port))

    async def start_signaling(self, port: int) -> Service:
        """Starts a replica on that port and waits until it answers."""
        url = f"http://127.0.0.1:{port}"
        env = {
            "KCS_HTTP__PORT": str(port),
            "KCS_HTTP__PUBLIC_URL": url,
            "KCS_HTTP__ALLOWED_ORIGINS": json.dumps(self.origins),
            "KCS_AUTH__KEY_FILE": str(await self._key()),
            "KCS_AUTH__DEV_LOGIN": "true",
            "KCS_REDIS__URL": self.redis_url,
            "KCS_SQL__URL": f"sqlite+aiosqlite:///{self.directory}/kcs-meetings.sqlite",
            **self._web(),
            **self.env,
        }
        name = f"signaling-{port}"
        log = self.directory / f"{name}.log"
        child = await Child.start(name, [_tool("kcs-signaling")], env=env, log=log)
        service = Service(child, url)
        self.signaling.append(service)
        await child.ready(lambda: answers(f"{url}/healthz"))
        return service

    async def restart_signaling(self, service: Service) -> None:
        """Ends a replica and starts another one on its port."""
        await service.child.stop()
        self.signaling.remove(service)
        await self.start_signaling(service.port)

    async def start_node(self, name: str, *, keys_at: int = 0) -> Service:
        """Starts an SFU node and waits until it may host meetings.

        `keys_at` is the port of the signaling replica that it takes the keys from (0: the first).
        """
        keys = f"http://127.0.0.1:{keys_at}" if keys_at else self.url
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        settings = {
            "KCS_NODE__NAME": name,
            "KCS_CONTROL__PORT": str(port),
            "KCS_CONTROL__ADVERTISED_URL": url,
            "KCS_MEDIA__LISTEN_IP": "127.0.0.1",
            "KCS_REDIS__URL": self.redis_url,
            "KCS_TICKETS__JWKS": f"{keys}/.well-known/jwks.json",
            "KCS_DRAIN__DEADLINE_SECONDS": "0",
            **self.env,
        }
        log = self.directory / f"{name}.log"
        child = await Child.start(name, [_tool("kcs-sfu-node")], env=settings, log=log)
        service = Service(child, url)
        self.nodes.append(service)
        await child.ready(lambda: answers(f"{url}/readyz"))
        return service

    def node(self, name: str) -> Service:
        """The node of that name."""
        return next(node for node in self.nodes if node.child.name == name)

    async def _key(self) -> Path:
        key = self.directory / "signing-key.pem"
        if not key.exists():
            argv = [sys.executable, "-m", "kcs_signaling.keys", str(key)]
            maker = await Child.start("key", argv, env={}, log=self.directory / "key.log")
            await maker.process.wait()
        return key

    @staticmethod
    def _web() -> dict[str, str]:
        built = ROOT / "web" / "dist"
        return {"KCS_HTTP__WEB_DIR": str(built)} if built.is_dir() else {}


async def _all_of(starts: Sequence[Awaitable[Service]]) -> BaseException | None:
    """Waits for all of them, and tells what was wrong with the first that failed."""
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    return next((o for o in outcomes if isinstance(o, BaseException)), None)


def _tool(name: str) -> str:
    """An entry point of this distribution, beside the running interpreter."""
    return str(Path(os.path.abspath(sys.executable)).parent / name)

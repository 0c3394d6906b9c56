"""What operations and the web client ask of the service itself: health, metrics, config."""

import asyncio
from collections.abc import Awaitable
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from redis.exceptions import RedisError

from kcs_contracts.models import Contract
from kcs_signaling.errors import SignalingError
from kcs_signaling.http.needs import RestServices, Services
from kcs_signaling.http.problems import NotReady, documented
from kcs_signaling.metrics import DEPENDENCY_UP, NODES

_TIMEOUT_S = 2.0


class Config(Contract):
    """What the web client must know before anybody has a token."""

    name: str = Field(examples=["KCS Meetings"])
    dev_login: bool = Field(
        description="Whether `POST /api/v1/auth/token` lets anybody in.", examples=[False]
    )
    local_accounts: bool = Field(
        description="Whether people sign in with a password: `POST /api/v1/auth/session`.",
        examples=[True],
    )
    external_login: bool = Field(
        description="Whether browsers sign in with an identity provider: they go to "
        "`/api/v1/auth/external?to=/m/<id>` and come back to that page, signed in.",
        examples=[False],
    )


class Ready(Contract):
    """All that the service needs answers."""

    status: Literal["ready"] = "ready"
    nodes: int = Field(description="SFU nodes that are alive.")


router = APIRouter(tags=["operations"])


@router.get("/api/v1/config")
async def config(services: Services) -> Config:
    """Needs no token."""
    auth = services.settings.auth
    return Config(
        name="KCS Meetings",
        dev_login=auth.dev_login,
        local_accounts=auth.local_accounts,
        external_login=auth.external is not None and auth.external.login is not None,
    )


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """The process answers: for liveness, so it asks nobody else."""
    return "ok\n"


@router.get("/readyz", responses=documented(503))
async def readyz(services: Services) -> Ready:
    """Whether Redis, the database and at least one SFU node answer; else why not."""
    found, nodes = await _dependencies(services)
    if found["redis"] is None and not nodes:
        found["nodes"] = "no SFU node is alive"
    reasons = {part: reason for part, reason in found.items() if reason is not None}
    if reasons:
        raise NotReady(reasons)
    return Ready(nodes=nodes)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(services: Services) -> Response:
    """Prometheus metrics of this process, and whether what it needs answers."""
    found, nodes = await _dependencies(services)
    for part, reason in found.items():
        DEPENDENCY_UP.labels(part).set(reason is None)
    NODES.set(nodes)
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _dependencies(services: RestServices) -> tuple[dict[str, str | None], int]:
    """Why Redis and the database do not answer (None: they do), and how many nodes are alive."""
    redis, records, nodes = await asyncio.gather(
        _reason(_ping(services)), _reason(services.records.ping()), _alive(services)
    )
    return {"redis": redis, "database": records}, nodes


async def _ping(services: RestServices) -> None:
    await services.redis.ping()


async def _alive(services: RestServices) -> int:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return sum(node.alive for node in await services.placement.nodes())
    except (RedisError, TimeoutError):
        return 0


async def _reason(check: Awaitable[None]) -> str | None:
    """Why a check fails, in words that name no address or password; None when it does not."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await check
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    except (RedisError, OSError, SignalingError) as error:
        return f"not reachable ({type(error).__name__})"
    return None

"""Evictions: `kubectl drain` of a Kubernetes node asks for each pod, and this answers.

A webhook for `pods/eviction`. A pod of a pool is marked to drain and the eviction refused with
429, which `kubectl drain` tries again: the pod's meetings move, the operator deletes the pod when
it is empty, and the next try finds it gone. Even with no webhook, the pods' disruption budget
allows no eviction. Other pods, and what nobody understands, are let through.

The API server shows no credentials, and anything in the cluster may reach the port: only whoever
knows the webhook's secret path is answered.
"""

import hmac
from typing import Any

import structlog
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from kcs_contracts.labels import DRAIN_REQUESTED, MANAGED_BY, OPERATOR, POOL
from kcs_operator.cluster import Cluster
from kcs_operator.errors import NotFound, OperatorError
from kcs_operator.manifests.names import DRAINING_SINCE
from kcs_operator.metrics import EVICTIONS

_log = structlog.get_logger(__name__)
EVICTED = "Evicted"
_MAX_BODY = 256 * 1024


class _Request(BaseModel):
    uid: str = Field(max_length=128)
    name: str = Field(default="", max_length=253)
    namespace: str = Field(default="", max_length=63)
    dry_run: bool | None = Field(default=None, alias="dryRun")


class _Review(BaseModel):
    request: _Request


def application(cluster: Cluster, path: str) -> web.Application:
    """The webhook's application: `POST /evictions/<path>`, an AdmissionReview in and out."""
    app = web.Application(client_max_size=_MAX_BODY)

    async def review(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.match_info["path"].encode(), path.encode()):
            raise web.HTTPNotFound
        try:
            asked = _Review.model_validate_json(await request.read()).request
        except ValidationError:
            return web.Response(status=400, text="this takes an AdmissionReview\n")
        refusal = await _refusal(cluster, asked)
        EVICTIONS.labels(answer="refused" if refusal else "allowed").inc()
        return web.json_response(_answer(asked.uid, refusal))

    app.router.add_post("/evictions/{path}", review)
    return app


async def _refusal(cluster: Cluster, asked: _Request) -> str | None:
    """Why the eviction must wait; None lets it through."""
    if asked.namespace != cluster.namespace or not asked.name:
        return None
    try:
        pod = await cluster.get("pods", asked.name)
        labels = pod["metadata"].get("labels", {})
        if labels.get(MANAGED_BY) != OPERATOR or POOL not in labels:
            return None
        if not asked.dry_run and "deletionTimestamp" not in pod["metadata"]:
            await _mark(cluster, pod)
    except NotFound:
        return None
    except OperatorError as error:
        _log.warning("eviction_not_marked", error=str(error))
        return "the operator cannot mark the pod just now: try again"
    return "the pod drains: its meetings move first, then the operator deletes it"


async def _mark(cluster: Cluster, pod: dict[str, Any]) -> None:
    meta = pod["metadata"]
    if DRAIN_REQUESTED in meta.get("annotations", {}):
        return
    # the operator sets the time; one that was left of an earlier drain must not count
    wish = {DRAIN_REQUESTED: EVICTED, DRAINING_SINCE: None}
    notes = {"uid": meta["uid"], "annotations": wish}
    await cluster.patch("pods", meta["name"], {"metadata": notes})
    _log.info("pod_evicted", pod=meta["name"])


def _answer(uid: str, refusal: str | None) -> dict[str, Any]:
    response: dict[str, Any] = {"uid": uid, "allowed": refusal is None}
    if refusal is not None:
        response["status"] = {"code": 429, "reason": "TooManyRequests", "message": refusal}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    }

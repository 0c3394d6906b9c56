"""The Kubernetes API: nothing else in the operator talks to it.

Objects travel as JSON, as the API has them: typed models of pods would cost more CPU than all
that the operator does. Every call has an end, and its errors are those of `errors`. Reads come
from the watches (`handlers.watching`); here is what writes, and what is read once.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from aiohttp import ClientError
from kubernetes.aio import client, config

from kcs_contracts.resources.v1alpha1 import GROUP, VERSION
from kcs_operator.errors import (
    AlreadyThere,
    ApiAway,
    Conflict,
    Forbidden,
    NotFound,
    NotLeading,
    OperatorError,
    Refused,
)
from kcs_operator.metrics import API_WRITES
from kcs_operator.tracing import call

Object = dict[str, Any]
"""A Kubernetes object as JSON."""
_TIMEOUT_S = 10.0
_OWNER = "kcs-operator"

_PATHS = {
    "pods": "/api/v1/namespaces/{ns}/pods",
    "services": "/api/v1/namespaces/{ns}/services",
    "secrets": "/api/v1/namespaces/{ns}/secrets",
    "configmaps": "/api/v1/namespaces/{ns}/configmaps",
    "poddisruptionbudgets": "/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets",
    "leases": "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
    "events": "/apis/events.k8s.io/v1/namespaces/{ns}/events",
    "roles": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles",
    "sfupools": f"/apis/{GROUP}/{VERSION}/namespaces/{{ns}}/sfupools",
    "meetings": f"/apis/{GROUP}/{VERSION}/namespaces/{{ns}}/meetings",
}


class Listing(NamedTuple):
    """All objects of a kind, as they were at one time."""

    items: list[Object]
    version: str
    """The resource version of that time."""


class Cluster:
    """One namespace of a cluster. `async with` it, or call `close`."""

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        may_write: Callable[[], bool] = lambda: True,
    ):
        self._api, self.namespace = api, namespace
        self._may_write = may_write

    @classmethod
    async def connect(cls, namespace: str) -> Self:
        """With the pod's service account, else as `KUBECONFIG` says.

        Raises:
            OperatorError: neither leads to a cluster.
        """
        configuration = client.Configuration()
        # HTTPS_PROXY and the like are not looked up, which took a quarter of our CPU: an API server
        # in the cluster needs no proxy, kopf heeds none either, and a kubeconfig's proxy-url holds.
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            try:
                await config.load_kube_config(client_configuration=configuration)
            except (config.ConfigException, OSError) as error:
                text = f"neither a pod's service account nor KUBECONFIG names a cluster: {error}"
                raise OperatorError(text) from error
        return cls(client.ApiClient(configuration), namespace)

    async def close(self) -> None:
        """Closes the connections."""
        await self._api.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def in_namespace(self, namespace: str) -> "Cluster":
        """The same cluster's other namespace, over the same connections."""
        return Cluster(self._api, namespace, self._may_write)

    def writing_while(self, may_write: Callable[[], bool]) -> "Cluster":
        """The same, but each write is begun only if `may_write()`; else it raises NotLeading."""
        return Cluster(self._api, self.namespace, may_write)

    async def get(self, plural: str, name: str) -> Object:
        """The object; raises NotFound."""
        return await self._call("GET", plural, name)

    async def serves_our_kinds(self) -> bool:
        """Whether the CRDs are there and told of: a watch that began before would see nothing."""
        groups = await self._send("GET", "/apis")
        if GROUP not in {each["name"] for each in groups.get("groups", ())}:
            return False
        try:
            found = await self._send("GET", f"/apis/{GROUP}/{VERSION}")
        except NotFound:
            return False
        return {"sfupools", "meetings"} <= {each["name"] for each in found.get("resources", ())}

    async def list(self, plural: str, selector: str = "") -> list[Object]:
        """All objects of a kind that the label selector takes."""
        return (await self.listing(plural, selector)).items

    async def listing(self, plural: str, selector: str = "") -> Listing:
        """As `list`, with the resource version of the list."""
        query = {"labelSelector": selector} if selector else {}
        found = await self._call("GET", plural, query=query)
        version = found.get("metadata", {}).get("resourceVersion", "")
        return Listing(found.get("items", []), version)

    async def create(self, plural: str, body: Mapping[str, Any]) -> Object:
        """Makes it; raises AlreadyThere when an object of that name exists."""
        try:
            return await self._call("POST", plural, body=body)
        except Conflict as error:
            raise AlreadyThere(str(error)) from error

    async def apply(self, plural: str, body: Mapping[str, Any]) -> Object:
        """Makes it or brings it to what `body` says, by server-side apply.

        Nothing is written when nothing differs.
        """
        name = str(body["metadata"]["name"])
        query = {"fieldManager": _OWNER, "force": "true"}
        return await self._call(
            "PATCH", plural, name, query=query, body=body, media="application/apply-patch+yaml"
        )

    async def patch(self, plural: str, name: str, body: Mapping[str, Any]) -> Object:
        """A merge patch of the object; with `metadata.uid` in it, of that very object only."""
        return await self._call("PATCH", plural, name, body=body)

    async def patch_status(
        self, plural: str, name: str, status: Mapping[str, Any], uid: str | None = None
    ) -> Object:
        """A merge patch of the status subresource; with a UID, of that very object only."""
        body: dict[str, Any] = {"status": status}
        if uid is not None:
            body["metadata"] = {"uid": uid}
        return await self._call("PATCH", plural, f"{name}/status", body=body)

    async def patch_json(
        self, plural: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> Object:
        """A JSON patch (RFC 6902); raises Refused when one of its tests does not hold."""
        media = "application/json-patch+json"
        return await self._call("PATCH", plural, name, body=operations, media=media)

    async def replace(self, plural: str, name: str, body: Mapping[str, Any]) -> Object:
        """Puts it, if its resource version is still the one in `body`; else raises Conflict."""
        return await self._call("PUT", plural, name, body=body)

    async def delete(
        self, plural: str, name: str, uid: str | None = None, grace_s: int | None = None
    ) -> None:
        """Deletes it; done when it is gone already. With a UID, that very object only."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            await self._call("DELETE", plural, name, body=options)
        except NotFound:
            return
        except Conflict:
            if uid is None:
                raise

    async def _call(
        self,
        method: str,
        plural: str,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        media: str = "application/merge-patch+json",
    ) -> Object:
        if method != "GET" and not self._may_write():
            raise NotLeading("this replica does not lead any more")
        path = _PATHS[plural].format(ns=quote(self.namespace))
        path = f"{path}/{quote(name)}" if name else path
        about = name or _name_in(body)
        try:
            with call("kubernetes", f"{method} {plural}", about):
                return await self._send(method, path, query=query, body=body, media=media)
        finally:
            if method != "GET":
                API_WRITES.labels(kind=plural, verb=method.lower()).inc()

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        media: str = "application/json",
    ) -> Object:
        headers = {"Accept": "application/json"}
        headers["Content-Type"] = media if method == "PATCH" else "application/json"
        request = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._api.call_api(*request, _request_timeout=_TIMEOUT_S)
            data = await response.read()
        except (ClientError, OSError, TimeoutError) as error:
            raise ApiAway(f"the Kubernetes API does not answer: {type(error).__name__}") from error
        if response.status >= 400:
            raise _error(response.status, data, response.headers.get("Retry-After"))
        found: Object = json.loads(data)
        return found


def _name_in(body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> str:
    """Of an object that is to be made."""
    return str(body.get("metadata", {}).get("name", "")) if isinstance(body, Mapping) else ""


def _error(status: int, data: bytes, retry_after: str | None) -> OperatorError:
    try:
        message = str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        message = f"the Kubernetes API answered {status}"
    if status == 404:
        return NotFound(message)
    if status == 409:
        return Conflict(message)
    if status in (401, 403):
        return Forbidden(message)
    if status in (400, 405, 413, 415, 422):
        return Refused(message)
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return ApiAway(message, seconds)

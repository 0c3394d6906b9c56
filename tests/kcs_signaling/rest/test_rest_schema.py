"""Schemathesis over the whole OpenAPI document: what fits it and what does not, at a real process.

Examples follow from the document alone (`derandomize`), so that a failure can be had again.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from tests.support.signaling import Signaling

from kcs_contracts.placement import NodeLease, Placement, connect

EXAMPLES = 25
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
MEETING = "/api/v1/meetings/{meeting_id}"
OPERATIONS = [
    ("get", "/.well-known/jwks.json"),
    ("post", "/api/v1/auth/token"),
    ("post", "/api/v1/auth/refresh"),
    ("post", "/api/v1/auth/logout"),
    ("post", "/api/v1/auth/session"),
    ("post", "/api/v1/auth/session/refresh"),
    ("delete", "/api/v1/auth/session"),
    ("get", "/api/v1/meetings"),
    ("post", "/api/v1/meetings"),
    ("get", MEETING),
    ("patch", MEETING),
    ("delete", MEETING),
    ("post", f"{MEETING}/end"),
    ("post", f"{MEETING}/tokens"),
    ("get", f"{MEETING}/invitations"),
    ("post", f"{MEETING}/invitations"),
    ("get", f"{MEETING}/participants"),
    ("get", f"{MEETING}/chat"),
    ("get", f"{MEETING}/chat/export"),
    ("delete", f"{MEETING}/chat/{{message_id}}"),
    ("get", f"{MEETING}/breakouts"),
    ("get", f"{MEETING}/recordings"),
    ("get", f"{MEETING}/streams"),
    ("put", f"{MEETING}/debug"),
    ("get", "/api/v1/recordings/{recording_id}"),
    ("delete", "/api/v1/recordings/{recording_id}"),
    ("get", "/api/v1/recordings/{recording_id}/download"),
    ("get", f"{MEETING}/stats"),
    ("get", "/api/v1/me/export"),
    ("delete", "/api/v1/me"),
    ("get", "/api/v1/audit"),
    ("get", "/meeting/{meeting_id}/webrtc-config"),
    ("get", "/api/v1/config"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
]
TAKES_ANYTHING = {
    ("post", "/api/v1/auth/session/refresh"),
    ("delete", "/api/v1/auth/session"),
    ("get", "/.well-known/jwks.json"),
    ("get", "/meeting/{meeting_id}/webrtc-config"),
    ("get", "/api/v1/config"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}
"""Nothing can be wrong with a request to these."""
CASES = [(method, path, GenerationMode.POSITIVE) for method, path in OPERATIONS] + [
    (method, path, GenerationMode.NEGATIVE)
    for method, path in OPERATIONS
    if (method, path) not in TAKES_ANYTHING
]


@dataclass(frozen=True)
class Api:
    """The service, and its document as Schemathesis reads it."""

    service: Signaling
    schema: Any
    http: requests.Session
    checks: list[Any]


@pytest.fixture(scope="module")
def api(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    on = {"KCS_AUTH__DEV_LOGIN": "true", "KCS_AUTH__LOCAL_ACCOUNTS": "true"}
    service = Signaling(tmp_path_factory.mktemp("schema"), redis_url, **on)
    with asyncio.Runner() as runner, requests.Session() as http:
        runner.run(_node(redis_url))
        runner.run(service.start())
        load_all_checks()
        schema = schemathesis.openapi.from_dict(
            http.get(f"{service.url}/api/openapi.json", timeout=5).json()
        )
        yield Api(service, schema, http, [CHECKS.get_one(name) for name in CHECKED])
        runner.run(service.stop())


async def _node(redis_url: str) -> None:
    """What a node leaves in Redis, so that nothing is unavailable."""
    redis = connect(redis_url)
    placement = Placement(redis)
    lease = {"node": "n", "boot": "b", "control_url": "http://127.0.0.1:1"}
    await placement.renew(
        NodeLease.model_validate(lease | {"consumer_capacity": 500, "lease_ms": 600_000}), []
    )
    await placement.publish_capabilities({"codecs": [], "headerExtensions": []})
    await placement.settle()
    await redis.aclose()


def test_every_operation_of_the_document_is_tried(api: Api) -> None:
    found = {(each.ok().method, each.ok().path) for each in api.schema.get_all_operations()}
    assert found == set(OPERATIONS)


def test_every_body_and_every_error_has_an_example(api: Api) -> None:
    document = api.http.get(f"{api.service.url}/api/openapi.json", timeout=5).json()
    models = document["components"]["schemas"]
    for method, path in OPERATIONS:
        operation = document["paths"][path][method]
        if "requestBody" in operation:
            (content,) = operation["requestBody"]["content"].values()
            model = models[content["schema"]["$ref"].rpartition("/")[2]]
            fields = model["properties"].values()
            assert model.get("examples") or all("examples" in each for each in fields), path
        for status, answer in operation["responses"].items():
            if not status.startswith("2"):
                (content,) = answer["content"].values()
                assert content["example"]["status"] == int(status), path


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_no_request_brings_a_server_error_or_an_undocumented_answer(
    api: Api, method: str, path: str, mode: GenerationMode
) -> None:
    operation = api.schema[path][method]
    # people of this case alone: those of all of them together would meet their limits
    case_id = f"{OPERATIONS.index((method, path))}-{mode.value}"
    host, bob = (api.service.access(f"{name}-{case_id}") for name in ("host", "bob"))
    meeting = _meeting(api, host)
    tokens = [host, host, meeting["meeting_token"], bob, None]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def try_it(case: Any, data: Any) -> None:
        token = data.draw(st.sampled_from(tokens))
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if "meeting_id" in (case.path_parameters or {}) and data.draw(st.integers(0, 3)):
            case.path_parameters["meeting_id"] = meeting["id"]
            if method == "patch" and data.draw(st.booleans()):
                headers["If-Match"] = "*"
        answer = case.call(base_url=api.service.url, session=api.http, headers=headers, timeout=5)
        case.validate_response(answer, checks=api.checks)

    try_it()


def _meeting(api: Api, host: str) -> Any:
    headers = {"Authorization": f"Bearer {host}"}
    body = {"display_name": f"Made at {time.time():.0f}"}
    answer = api.http.post(
        f"{api.service.url}/api/v1/meetings", json=body, headers=headers, timeout=5
    )
    assert answer.status_code == 201, answer.text
    return answer.json()

"""What holds for all of REST: bodies, headers, problems, health, config, pages, schema."""

import asyncio
import contextlib
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from kcs_contracts.placement import NodeLease

CAPABILITIES = {"codecs": [{"kind": "audio", "mimeType": "audio/opus"}], "headerExtensions": []}
DEAD_REDIS = "redis://127.0.0.1:1/0"


async def raw(rest: Any, head: str, body: bytes = b"", *, wait_s: float = 5) -> bytes:
    """Bytes as they are, and what comes back until the service closes or `wait_s` is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(f"{head}\r\nHost: x\r\nConnection: close\r\n".encode() + body)
    answer = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            while piece := await reader.read(65536):
                answer += piece
    writer.close()
    return answer


async def alive(rest: Any) -> None:
    node = NodeLease(node="n1", boot="b1", control_url="http://n1", consumer_capacity=500)
    await rest.services.placement.renew(node, [])


@pytest.mark.parametrize("size", [64 * 1024 + 1, 5 * 1024 * 1024])
async def test_a_body_over_64_kib_is_refused(rest: Any, size: int) -> None:
    answer = await rest.call("POST", "/api/v1/auth/token", data=b" " * size)
    assert (answer.status, answer.json["code"]) == (413, "INVALID_REQUEST")
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_body_of_64_kib_is_read(rest: Any) -> None:
    login = json.dumps({"user_id": "ada", "user_name": "Ada"}).ljust(64 * 1024)
    headers = {"Content-Type": "application/json"}
    answer = await rest.call("POST", "/api/v1/auth/token", data=login, headers=headers)
    assert answer.status == 200


async def test_a_long_body_is_refused_before_it_has_arrived(rest: Any) -> None:
    started = time.monotonic()
    head = "POST /api/v1/auth/token HTTP/1.1\r\nContent-Length: 9999999"
    declared = await raw(rest, head, b"\r\n")
    assert declared.startswith(b"HTTP/1.1 413 ")
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    head = "POST /api/v1/auth/token HTTP/1.1\r\nTransfer-Encoding: chunked"
    endless = await raw(rest, head, b"\r\n" + piece * 2)
    assert endless.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"\xff\xfe", 422),
        (b"\xc3\x28", 400),
        (b"[" * 60_000, 400),
        (b'{"user_id": "a", "user_name": "\\ud800"}', 422),
        (b'{"user_id": "a", "user_name": "b", "\\ud800": 1}', 422),
        (b'{"user_id": "a", "user_name": "b", "' + b"k" * 60_000 + b'": 1}', 422),
        (b'{"user_id": NaN, "user_name": Infinity}', 422),
        (b'{"user_id": ' + b"9" * 5000 + b', "user_name": "b"}', 400),
        (b"null", 422),
        (b"", 422),
    ],
)
async def test_a_hostile_body_is_a_short_problem(rest: Any, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await rest.call("POST", "/api/v1/auth/token", data=body, headers=headers)
    assert (answer.status, answer.json["code"]) == (status, "INVALID_REQUEST")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.text) < 2000


async def test_a_request_of_another_content_type_is_not_parsed(rest: Any) -> None:
    body = json.dumps({"user_id": "ada", "user_name": "Ada"})
    headers = {"Content-Type": "text/plain"}
    answer = await rest.call("POST", "/api/v1/auth/token", data=body, headers=headers)
    assert answer.status == 422


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/api/v1/nothing", 404, "NOT_FOUND"),
        ("DELETE", "/api/v1/config", 405, "INVALID_REQUEST"),
        ("PUT", "/api/v1/auth/token", 405, "INVALID_REQUEST"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    rest: Any, method: str, path: str, status: int, code: str
) -> None:
    answer = await rest.call(method, path)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_every_answer_has_the_security_headers(rest: Any) -> None:
    answers = [
        await rest.call("GET", "/"),
        await rest.call("GET", "/nothing"),
        await rest.call("GET", "/api/v1/meetings/x"),
        await rest.call("GET", "/healthz"),
        await rest.call("POST", "/api/v1/auth/token", data=b" " * 70_000),
        await rest.call("OPTIONS", "/api/v1/config", headers={"Origin": "https://evil.example"}),
    ]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "connect-src 'self' wss://meet.example.org" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "camera=(self)" in answer.headers["Permissions-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"


async def test_pages_of_allowed_origins_alone_may_read_answers(rest: Any) -> None:
    for origin, allowed in (
        ("https://meet.example.org", True),
        ("https://evil.example", False),
        ("https://meet.example.org.evil.example", False),
        ("null", False),
    ):
        answer = await rest.call("GET", "/api/v1/config", headers={"Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = await rest.call("OPTIONS", "/api/v1/meetings", headers=asks)
        assert preflight.status == (200 if allowed else 400)


async def test_webrtc_config_is_unavailable_until_a_node_has_started(rest: Any) -> None:
    none_yet = await rest.call("GET", "/meeting/x/webrtc-config")
    assert (none_yet.status, none_yet.json["code"]) == (503, "UNAVAILABLE")
    assert int(none_yet.headers["Retry-After"]) > 0


async def test_webrtc_config_is_the_same_for_every_meeting_and_outlives_a_flush(rest: Any) -> None:
    await rest.services.placement.publish_capabilities(CAPABILITIES)
    meeting = await rest.meeting()
    known = await rest.call("GET", f"/meeting/{meeting['id']}/webrtc-config")
    assert known.status == 200
    assert known.json == {"rtpCapabilities": CAPABILITIES, "iceServers": []}
    unknown = await rest.call("GET", "/meeting/abc-defg-hij/webrtc-config")
    assert unknown.text == known.text
    await rest.services.redis.flushall()
    assert (await rest.call("GET", "/meeting/x/webrtc-config")).text == known.text


async def test_the_service_is_ready_when_redis_sql_and_a_node_are_there(rest: Any) -> None:
    alone = await rest.call("GET", "/readyz")
    assert (alone.status, list(alone.json["reasons"])) == (503, ["nodes"])
    await alive(rest)
    ready = await rest.call("GET", "/readyz")
    assert (ready.status, ready.json) == (200, {"status": "ready", "nodes": 1})


async def test_without_redis_it_lives_says_so_and_serves_what_needs_none(start_rest: Any) -> None:
    async with start_rest(redis=DEAD_REDIS) as rest:
        assert (await rest.call("GET", "/healthz")).status == 200
        ready = await rest.call("GET", "/readyz")
        assert (ready.status, list(ready.json["reasons"])) == (503, ["redis"])
        assert "127.0.0.1" not in ready.text
        meeting = await rest.meeting()
        path = f"/api/v1/meetings/{meeting['id']}"
        token = rest.access(rest.ada)
        assert (await rest.call("GET", path, token=token)).status == 200
        ended = await rest.call("POST", f"{path}/end", token=token)
        assert (ended.status, ended.json["code"]) == (503, "UNAVAILABLE")
        config = await rest.call("GET", "/meeting/x/webrtc-config")
        assert (config.status, config.json["code"]) == (503, "UNAVAILABLE")


async def test_an_end_that_placement_missed_is_made_up_by_asking_again(
    start_rest: Any, redis: Any
) -> None:
    async with start_rest(redis=DEAD_REDIS) as rest:
        meeting = await rest.meeting()
        token = meeting["meeting_token"]
        path = f"/api/v1/meetings/{meeting['id']}/end"
        assert (await rest.call("POST", path, token=token)).status == 503
    async with start_rest() as rest:
        token = rest.access(rest.ada)
        assert (await rest.call("POST", path, token=token)).status == 200
        assert await rest.services.placement.end(meeting["id"], "ended_by_host") is False


async def test_a_bug_is_a_problem_that_tells_nothing(rest: Any, tmp_path: Path) -> None:
    meeting = await rest.meeting()
    odd = "UPDATE meetings SET id = 'odd', default_role = 'king' WHERE id = ?"
    with sqlite3.connect(tmp_path / "records.sqlite") as writer:  # what no release of ours writes
        writer.execute(odd, [meeting["id"]])
    token = rest.access(rest.ada)
    with capture_logs() as logs:
        broken = await rest.call("GET", "/api/v1/meetings/odd", token=token)
    assert (broken.status, broken.json["code"]) == (500, "INTERNAL_ERROR")
    assert "king" not in broken.text
    assert broken.headers["Content-Type"] == "application/problem+json"
    assert broken.headers["X-Content-Type-Options"] == "nosniff"
    assert [entry["event"] for entry in logs] == ["http_request_failed"]
    assert token not in str(logs)


async def test_no_log_line_has_a_token(rest: Any) -> None:
    login = {"user_id": "ada", "user_name": "Ada"}
    with capture_logs() as logs:
        pair = (await rest.call("POST", "/api/v1/auth/token", json=login)).json
        token = pair["access_token"]
        meeting = (await rest.call("POST", "/api/v1/meetings", token=token, json={})).json
        path = f"/api/v1/meetings/{meeting['id']}"
        body = {"display_name": "Grace"}
        link = (await rest.call("POST", f"{path}/tokens", token=token, json=body)).json
        await rest.call("POST", f"{path}/end", token=token)
        old = {"refresh_token": pair["refresh_token"]}
        new = (await rest.call("POST", "/api/v1/auth/refresh", json=old)).json
        await rest.call("POST", "/api/v1/auth/refresh", json=old)
    assert [entry["event"] for entry in logs] == [
        "logged_in",
        "meeting_created",
        "meeting_token_made",
        "meeting_ended",
        "refresh_token_replayed",
    ]
    secrets = (*pair.values(), *new.values(), meeting["meeting_token"], link["meeting_token"])
    for secret in secrets:
        assert not isinstance(secret, str) or len(secret) < 10 or secret not in str(logs)


async def test_metrics_are_in_the_format_of_prometheus(rest: Any) -> None:
    answer = await rest.call("GET", "/metrics")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert "python_info" in names


def _values(metrics: str) -> dict[tuple[str, str], float]:
    """Samples by their name and the value of their only label."""
    families = text_string_to_metric_families(metrics)
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
        if len(sample.labels) < 2
    }


async def test_metrics_say_whether_what_the_service_needs_answers(
    start_rest: Any, postgres: Any
) -> None:
    async with start_rest(sql=postgres.new_database()) as rest:
        await alive(rest)
        told = _values((await rest.call("GET", "/metrics")).text)
        assert told["kcs_signaling_dependency_up", "redis"] == 1
        assert told["kcs_signaling_dependency_up", "database"] == 1
        assert told["kcs_signaling_nodes", ""] == 1
        assert told["kcs_signaling_memory_limit_bytes", ""] > 2**20
        postgres.stop()
        try:
            told = _values((await rest.call("GET", "/metrics")).text)
        finally:
            postgres.start()
        assert told["kcs_signaling_dependency_up", "redis"] == 1
        assert told["kcs_signaling_dependency_up", "database"] == 0
    async with start_rest(redis=DEAD_REDIS) as rest:
        told = _values((await rest.call("GET", "/metrics")).text)
        assert told["kcs_signaling_dependency_up", "redis"] == 0
        assert told["kcs_signaling_nodes", ""] == 0


async def test_without_a_web_client_the_page_says_how_to_build_it(rest: Any) -> None:
    for path in ("/", "/m/k7f-x2mq-9tb"):
        page = await rest.call("GET", path)
        assert page.status == 200
        assert page.headers["Content-Type"].startswith("text/html")
        assert "make run" in page.text


async def test_the_web_client_is_served_and_nothing_beside_it(
    start_rest: Any, tmp_path: Path
) -> None:
    web = tmp_path / "dist"
    (web / "assets").mkdir(parents=True)
    (web / "index.html").write_text("<title>client</title>")
    (web / "favicon.svg").write_text("<svg/>")
    (web / "assets" / "app-1a2b.js").write_text("let it = 1")
    (tmp_path / "secret.txt").write_text("SECRET")
    async with start_rest(web_dir=web) as rest:
        for path in ("/", "/m/k7f-x2mq-9tb", "/m/" + "x" * 500):
            page = await rest.call("GET", path)
            assert (page.status, page.text) == (200, "<title>client</title>")
            assert page.headers["Cache-Control"] == "no-cache"
        script = await rest.call("GET", "/assets/app-1a2b.js")
        assert script.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "javascript" in script.headers["Content-Type"]
        icon = await rest.call("GET", "/favicon.svg")
        assert (icon.status, icon.headers["Cache-Control"]) == (200, "no-cache")
        for path in ("/assets/none.js", "/none", "/assets"):
            missing = await rest.call("GET", path)
            assert (missing.status, missing.json["code"]) == (404, "NOT_FOUND")
        up = ("/../secret.txt", "/assets/../../secret.txt", "/%2e%2e/secret.txt", "//etc/passwd")
        for path in up:
            answer = await raw(rest, f"GET {path} HTTP/1.1", b"\r\n")
            assert answer.startswith(b"HTTP/1.1 404 "), path
            assert b"SECRET" not in answer


async def test_the_schema_describes_every_route_with_its_errors(rest: Any) -> None:
    answer = await rest.call("GET", "/api/openapi.json")
    schema = answer.json
    text = json.dumps(schema)
    assert "HTTPValidationError" not in text
    for reference in set(_references(schema)):
        name = reference.removeprefix("#/components/schemas/")
        assert name in schema["components"]["schemas"], reference
    paths = schema["paths"]
    assert {"/api/v1/auth/token", "/api/v1/meetings/{meeting_id}/tokens", "/readyz"} <= set(paths)
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation.get("description"), path
            ok = [code for code in operation["responses"] if code.startswith("2")]
            assert len(ok) == 1, path
            if "requestBody" in operation:
                assert "422" in operation["responses"], path
    new = schema["components"]["schemas"]
    assert new["NewMeeting"]["examples"]
    assert new["Login"]["examples"]
    create = paths["/api/v1/meetings"]["post"]
    assert create["security"]
    assert "application/problem+json" in create["responses"]["401"]["content"]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for item in value.values() for ref in _references(item)]
    if isinstance(value, list):
        return [ref for item in value for ref in _references(item)]
    return []

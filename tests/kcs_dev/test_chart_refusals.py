"""Wrong values are refused with a sentence that says what to do."""

from typing import Any

import pytest
from tests.support.chart import URL, Refused, render

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": ""}, "publicURL is empty: say where browsers reach the service"),
    ({"url": "meet.example.org"}, "is no address of a site: write it as https://meet.example.org"),
    ({"url": f"{URL}/meetings"}, "without a path"),
    ({"url": "http://meet.example.org"}, "browsers give camera and microphone to HTTPS pages only"),
    ({"signaling__replica": 3}, "'/signaling': additional properties 'replica' not allowed"),
    ({"signaling__replicas": 0}, "'/signaling/replicas': minimum: got 0, want 1"),
    ({"signaling__replicas": "three"}, "'/signaling/replicas': got string, want integer"),
    ({"signaling__allowedOrigins": ["*"]}, "* is no origin"),
    ({"signaling__allowedOrigins": ["https://a.org/x"]}, "https://a.org/x is no origin"),
    ({"signaling__trustedProxies": ["10.0.0.1"]}, "10.0.0.1 is no network of proxies"),
    ({"signaling__trustedProxies": ["0.0.0.0/0"]}, "would let every client choose its address"),
    ({"signaling__env": {"kcs mail": "x"}}, "invalid propertyName 'kcs mail'"),
    (
        {"signaling__autoscaling__minReplicas": 20},
        "signaling.autoscaling.minReplicas is above maxReplicas",
    ),
    (
        {"signaling__ingress__enabled": True, "signaling__gateway__enabled": True},
        "signaling.ingress and signaling.gateway are both enabled",
    ),
    ({"signaling__gateway__enabled": True}, "needs signaling.gateway.parentRefs"),
    (
        {"signaling__turnServers": [{"host": "turn.example.org"}]},
        "put their shared secret into a Secret and name it in secrets.turn",
    ),
    (
        {"operator__evictionWebhook__failurePolicy": "Maybe"},
        "'/operator/evictionWebhook/failurePolicy': value must be one of 'Fail', 'Ignore'",
    ),
    (
        {"operator__evictionWebhook__existingSecret": "own-webhook"},
        "Say it in operator.evictionWebhook.caBundle too",
    ),
    (
        {
            "operator__evictionWebhook__existingSecret": "own-webhook",
            "operator__evictionWebhook__caBundle": "-----BEGIN CERTIFICATE-----\nAA==\n",
        },
        "Say it in operator.evictionWebhook.path too",
    ),
    ({"operator__evictionWebhook__caBundle": "LS0tLS1C"}, "/caBundle': 'LS0tLS1C' does not match"),
    ({"operator__evictionWebhook__path": "guessed"}, "'guessed' does not match pattern"),
    ({"metrics__runbookURL": "docs/runbooks"}, "'/metrics/runbookURL': 'docs/runbooks' does not"),
    ({"redis__external__port": 0}, "'/redis/external/port': minimum: got 0, want 1"),
    (
        {"operator__tracing__endpoint": "collector:4318"},
        "is no receiver of traces: write it as http://collector.observability:4318",
    ),
    ({"operator__tracing__endpoint": "http://me:secret@collector:4318"}, "is no receiver"),
    ({"redis__builtIn": False}, "set redis.external.url or redis.external.existingSecret"),
    ({"redis__external__url": "redis://a"}, "set redis.builtIn=false"),
    (
        {"postgresql__builtIn": False},
        "set postgresql.external.url or postgresql.external.existingSecret",
    ),
    ({"postgresql__external__existingSecret": "db"}, "set postgresql.builtIn=false"),
    (
        {"postgresql__builtIn": False, "postgresql__external__url": "postgres://db/kcs"},
        "must begin with postgresql+asyncpg://",
    ),
    ({"pools__createNamespace": True}, "pools.createNamespace needs pools.namespace"),
    (
        {"pools__createNamespace": True, "pools__namespace": "kcs"},
        "is the release's own namespace",
    ),
    (
        {"pools__default__spec": {"exposure": {"mode": "HostNetwork"}}},
        "name these in networkPolicies.nodeCIDRs",
    ),
    ({"pools__default__name": "No Name"}, "'/pools/default/name': 'No Name' does not match"),
    ({"image__registry": "registry.example.org/"}, "'/image/registry'"),
]


@pytest.mark.parametrize(("values", "sentence"), WRONG, ids=[each[1][:40] for each in WRONG])
def test_it_says_what_is_wrong(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        render(**values)
    assert sentence in str(refused.value)


def test_localhost_needs_no_https() -> None:
    assert render(url="http://127.0.0.1:8080")
    assert render(url="http://node.test:8080", allowHTTP=True)

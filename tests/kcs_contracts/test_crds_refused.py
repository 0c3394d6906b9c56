"""Wrong objects: a real API server refuses each, with a sentence that helps to mend it."""

import json
from typing import Any

import pytest
from tests.support.kubernetes import KubectlError, Kubernetes, Namespace
from tests.support.resources import install_crds, meeting, pool
from tests.support.wrong_pools import DURATION, SMALL, WRONG_POOLS, Wrong


def scheduled(**fields: Any) -> dict[str, Any]:
    return meeting({"schedule": {"start": "2027-03-01T09:00:00Z", **fields}})


def without_host() -> dict[str, Any]:
    found = meeting()
    del found["spec"]["host"]
    return found


ZONED = "a time is written with its zone, as 2027-03-01T09:00:00Z"

WRONG_MEETINGS = (
    Wrong("a meeting without a host", without_host(), "spec.host", "Required value"),
    Wrong(
        "a meeting without a title",
        meeting({"displayName": ""}),
        "spec.displayName",
        "should be at least 1 chars long",
    ),
    Wrong(
        "a title that fits on no screen",
        meeting({"displayName": "x" * 201}),
        "spec.displayName",
        "may not be more than 200",
    ),
    Wrong(
        "a host's name instead of the id",
        meeting({"host": "Ada Lovelace"}),
        "spec.host",
        "a user id has letters, digits and _ . : @ -",
    ),
    Wrong(
        "more people expected than may come",
        meeting({"maxParticipants": 10}),
        "spec.expectedParticipants",
        "expectedParticipants (15) must not be above maxParticipants (10)",
    ),
    Wrong(
        "a meeting of one",
        meeting({"maxParticipants": 1, "expectedParticipants": 1}),
        "spec.maxParticipants",
        "should be greater than or equal to 2",
    ),
    Wrong(
        "a start without a zone",
        scheduled(start="2027-03-01T09:00:00"),
        "spec.schedule.start",
        ZONED,
    ),
    Wrong("a start in words", scheduled(start="tomorrow"), "spec.schedule.start", ZONED),
    Wrong(
        "a 30th of February",
        scheduled(start="2027-02-30T09:00:00Z"),
        "spec.schedule.start",
        ZONED,
    ),
    Wrong(
        "a schedule without a start",
        meeting({"schedule": {"duration": "1h"}}),
        "spec.schedule.start",
        "Required value",
    ),
    Wrong(
        "a meeting of two days",
        scheduled(duration="48h"),
        "spec.schedule.duration",
        "a meeting is planned for 1m to 24h",
    ),
    Wrong(
        "a meeting of no time",
        scheduled(duration="0s"),
        "spec.schedule.duration",
        "a meeting is planned for 1m to 24h",
    ),
    Wrong("a meeting in words", scheduled(duration="an hour"), "spec.schedule.duration", DURATION),
    Wrong(
        "a pool that no pool can be called",
        meeting({"poolRef": {"name": "Main Pool"}}),
        "spec.poolRef.name",
        SMALL,
    ),
    Wrong(
        "end-to-end encryption",
        meeting({"settings": {"e2ee": True}}),
        "spec.settings.e2ee",
        "end-to-end encryption is not there yet",
    ),
    Wrong(
        "a recording",
        meeting({"settings": {"recording": True}}),
        "spec.settings.recording",
        "recording is not there yet",
    ),
    Wrong(
        "a meeting that never idles",
        meeting({"settings": {"idleMinutes": 0}}),
        "spec.settings.idleMinutes",
        "should be greater than or equal to 1",
    ),
    Wrong(
        "a meeting's name that is too long for its Secret",
        meeting(name="a" * 53),
        "metadata.name",
        "a meeting's name has at most 52 small letters, digits and -",
    ),
)


@pytest.fixture(scope="module")
def namespace(api_server: Kubernetes) -> Namespace:
    install_crds(api_server)
    return api_server.new_namespace()


@pytest.mark.parametrize("wrong", [*WRONG_POOLS, *WRONG_MEETINGS], ids=lambda each: each.what)
def test_a_wrong_object_is_refused_with_a_sentence_that_helps(
    wrong: Wrong, namespace: Namespace
) -> None:
    said = refusal(namespace, wrong.object)
    assert wrong.field in said
    assert wrong.says in said
    assert "evaluat" not in said, "a rule failed instead of answering"
    assert len(faults(said)) <= 1, "one fault, one sentence"


def faults(said: str) -> list[str]:
    """Without the API server's remark that rules wait until all fields have the right types."""
    lines = [line for line in said.splitlines() if "Invalid value" in line]
    return [line for line in lines if "some validation rules were not checked" not in line]


CHANGES = (
    ("region", pool(), pool({"region": "eu-west"}), "spec.region", "region cannot be changed"),
    (
        "exposure",
        pool(),
        pool({"exposure": {"mode": "HostNetwork"}}),
        "spec.exposure.mode",
        "mode cannot be changed: make a second pool and delete this one",
    ),
    ("host", meeting(), meeting({"host": "ben"}), "spec.host", "host cannot be changed"),
    ("place", meeting(), meeting({"region": "eu"}), "spec.region", "region cannot be changed"),
)


@pytest.mark.parametrize(("what", "before", "after", "field", "says"), CHANGES)
def test_what_cannot_change_is_refused_on_update(
    what: str,
    before: dict[str, Any],
    after: dict[str, Any],
    field: str,
    says: str,
    namespace: Namespace,
) -> None:
    before, after = ({**each, "metadata": {"name": f"fixed-{what}"}} for each in (before, after))
    namespace.apply(before)
    said = refusal(namespace, after, "apply", "--server-side")
    assert field in said
    assert says in said
    changed = {**before, "spec": {**before["spec"], "paused": True}}
    if before["kind"] == "Meeting":
        changed = {**before, "spec": {**before["spec"], "maxParticipants": 50}}
    namespace.apply(changed)  # the rest may change


def refusal(namespace: Namespace, wrong: dict[str, Any], *command: str) -> str:
    arguments = command or ("create", "--validate=strict")
    with pytest.raises(KubectlError) as caught:
        namespace.kubectl(*arguments, "--dry-run=server", "-f", "-", stdin=json.dumps(wrong))
    return str(caught.value)

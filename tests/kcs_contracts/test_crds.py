"""Both kinds on a real API server: known, filled with defaults, scaled, listed and explained."""

import json
from typing import Any

import pytest
from tests.support.kubernetes import KubectlError, Kubernetes, Namespace
from tests.support.resources import CRDS, install_crds, meeting, pool

from kcs_contracts.generate.crds import KINDS, crd
from kcs_contracts.resources.v1alpha1 import (
    Condition,
    Meeting,
    MeetingPhase,
    MeetingSpec,
    MeetingStatus,
    PodState,
    PoolCapacity,
    PoolPod,
    PoolSchedule,
    Resource,
    RoleCounts,
    Schedule,
    SecretRef,
    SFUPool,
    SFUPoolSpec,
    SFUPoolStatus,
)

NOW = "2027-03-01T09:00:00Z"
POOL_STATUS = SFUPoolStatus(
    observed_generation=1,
    replicas=2,
    ready_replicas=2,
    desired_replicas=3,
    selector="meetings.kcs.dev/pool=main,meetings.kcs.dev/role=sfu",
    sfu=RoleCounts(ready=2, starting=1),
    turn=RoleCounts(ready=1),
    capacity=PoolCapacity(total=100, used=40, reserved=15, free=45),
    participants=41,
    meetings=4,
    last_scale_reason="Load",
    last_scale_time=NOW,
    pods=(PoolPod(name="main-sfu-a1b2c", state=PodState.READY, participants=41, load="0.41"),),
    conditions=(
        Condition(type="Available", status="True", reason="PodsReady", last_transition_time=NOW),
        Condition(type="Degraded", status="False", reason="AllWell", last_transition_time=NOW),
    ),
)
MEETING_STATUS = MeetingStatus(
    observed_generation=1,
    phase=MeetingPhase.ACTIVE,
    meeting_id="k7f-x2mq-9tb",
    join_url="https://meet.example.org/m/k7f-x2mq-9tb",
    token_secret_ref=SecretRef(name="town-hall-host"),
    node="main-sfu-a1b2c",
    epoch=1_900_000_000_000,
    participants=12,
    started_at=NOW,
    conditions=(
        Condition(type="Registered", status="True", reason="Registered", message="It is known."),
        Condition(type="Placed", status="True", reason="OnItsNode"),
    ),
)


@pytest.fixture(scope="module")
def kinds(api_server: Kubernetes) -> Kubernetes:
    """An API server that knows both kinds."""
    install_crds(api_server)
    return api_server


@pytest.fixture
def namespace(kinds: Kubernetes) -> Namespace:
    return kinds.new_namespace()


def with_status(namespace: Namespace, wanted: dict[str, Any], status: Resource) -> None:
    namespace.apply(wanted)
    target = (wanted["kind"].lower(), wanted["metadata"]["name"])
    patch = json.dumps({"status": status.to_json()})
    namespace.kubectl("patch", *target, "--subresource=status", "--type=merge", "-p", patch)


def rows(namespace: Namespace, *arguments: str) -> list[list[str]]:
    """What `kubectl get` prints, as cells; columns begin where their titles do."""
    head, *lines = namespace.kubectl("get", *arguments).splitlines()
    titles = [word for word in head.split("  ") if word.strip()]
    starts = [head.index(title.strip()) for title in titles]
    ends = [*starts[1:], None]
    cut = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines]
    return [[title.strip() for title in titles], *cut]


def test_the_api_server_takes_both_crds_as_structural(kinds: Kubernetes) -> None:
    for name in ("sfupools", "meetings"):
        found = kinds.get("crd", f"{name}.meetings.kcs.dev")
        conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
        assert conditions["Established"] == conditions["NamesAccepted"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"


def test_a_crd_that_is_applied_loses_nothing(kinds: Kubernetes) -> None:
    """The API server drops what it does not know, such as a misspelled keyword of a schema."""
    for kind in KINDS:
        ours = crd(kind)["spec"]["versions"][0]
        theirs = kinds.get("crd", f"{kind.plural}.meetings.kcs.dev")["spec"]["versions"][0]
        assert theirs["schema"] == ours["schema"]
        assert theirs["subresources"] == ours["subresources"]
        assert theirs.get("selectableFields") == ours.get("selectableFields")


@pytest.mark.parametrize(
    "spec",
    [{}, {"turn": {}}, {"turn": {"replicas": {"min": 0}, "tls": {"secretName": "tls"}}}],
    ids=["nothing", "TURN", "TURN with TLS"],
)
def test_a_pool_gets_the_models_defaults(spec: dict[str, Any], namespace: Namespace) -> None:
    namespace.apply(pool(spec))
    found = namespace.get("sfupool", "main")
    assert found["spec"] == SFUPoolSpec.model_validate(spec).to_json()
    assert "status" not in found, "nobody has said anything of it yet"


def test_a_pool_without_a_spec_is_one_of_defaults(namespace: Namespace) -> None:
    bare = pool()
    del bare["spec"]
    namespace.apply(bare)
    found = namespace.get("sfupool", "main")
    assert found["spec"] == SFUPool().spec.to_json()
    assert SFUPool.model_validate(found) == SFUPool()


def test_entries_of_a_list_get_their_defaults(namespace: Namespace) -> None:
    morning = {"name": "morning", "start": "07:45", "end": "10:00", "replicas": 2}
    namespace.apply(pool({"autoscaling": {"schedules": [morning]}}))
    found = namespace.get("sfupool", "main")["spec"]["autoscaling"]["schedules"]
    assert found == [PoolSchedule.model_validate(morning).to_json()]
    assert found[0]["days"] == ["Mon", "Tue", "Wed", "Thu", "Fri"]


def test_the_models_read_amounts_as_pods_have_them(namespace: Namespace) -> None:
    amounts = {"cpu": 2, "memory": ".5Gi", "ephemeral-storage": "1e9", "example.org/gpu": "100n"}
    namespace.apply(pool({"template": {"resources": {"limits": amounts}}}))
    found = SFUPool.model_validate(namespace.get("sfupool", "main"))
    assert found.spec.template.resources.limits == amounts


def test_a_meeting_gets_the_models_defaults(namespace: Namespace) -> None:
    wanted = meeting({"schedule": {"start": NOW}})
    namespace.apply(wanted)
    found = namespace.get("meeting", "town-hall")
    assert found["spec"] == MeetingSpec.model_validate(wanted["spec"]).to_json()
    assert (
        found["spec"]["schedule"]
        == Schedule(start=NOW).to_json()
        == {
            "start": NOW,
            "duration": "1h",
        }
    )
    assert "status" not in found


def test_what_the_operator_says_is_kept_as_it_says_it(namespace: Namespace) -> None:
    with_status(namespace, pool(), POOL_STATUS)
    with_status(namespace, meeting(), MEETING_STATUS)
    found = SFUPool.model_validate(namespace.get("sfupool", "main"))
    assert found.status == POOL_STATUS
    assert Meeting.model_validate(namespace.get("mtg", "town-hall")).status == MEETING_STATUS


def test_a_status_is_no_change_of_what_is_wanted(namespace: Namespace) -> None:
    with_status(namespace, pool(), POOL_STATUS)
    assert namespace.get("sfup", "main")["metadata"]["generation"] == 1
    namespace.apply({**pool(), "status": {"replicas": 7}})  # what people say of it is ignored
    assert namespace.get("sfup", "main")["status"]["replicas"] == 2
    namespace.apply(pool({"paused": True}))
    assert namespace.get("sfup", "main")["metadata"]["generation"] == 2


def test_kubectl_scale_says_how_many_are_desired(namespace: Namespace) -> None:
    namespace.apply(pool())
    namespace.kubectl("scale", "sfupool/main", "--replicas=2")
    found = namespace.get("sfup", "main")["spec"]
    assert found["replicas"] == {"min": 1, "max": 3, "desired": 2}
    namespace.kubectl("scale", "sfup/main", "--replicas=3", "--current-replicas=2")
    assert namespace.get("sfup", "main")["spec"]["replicas"]["desired"] == 3


def test_an_autoscaler_reads_pods_and_selector_from_the_scale(namespace: Namespace) -> None:
    with_status(namespace, pool({"replicas": {"desired": 3}}), POOL_STATUS)
    scale = json.loads(namespace.kubectl("get", "--raw", scale_of(namespace)))
    assert scale["kind"] == "Scale"
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 2, "selector": POOL_STATUS.selector}


def test_a_pool_that_follows_its_load_has_no_scale_to_read(namespace: Namespace) -> None:
    """Why the documentation asks for a first number before a HorizontalPodAutoscaler comes."""
    namespace.apply(pool())
    with pytest.raises(KubectlError, match=r"\.spec\.replicas\.desired.* does not exist"):
        namespace.kubectl("get", "--raw", scale_of(namespace))


def scale_of(namespace: Namespace) -> str:
    return f"/apis/meetings.kcs.dev/v1alpha1/namespaces/{namespace.name}/sfupools/main/scale"


def test_a_scale_beyond_all_bounds_is_refused(namespace: Namespace) -> None:
    namespace.apply(pool())
    with pytest.raises(KubectlError, match="less than or equal to 1000"):
        namespace.kubectl("scale", "sfup/main", "--replicas=1001")


def test_kubectl_get_tells_whether_a_pool_is_fine(namespace: Namespace) -> None:
    with_status(namespace, pool(), POOL_STATUS)
    head, cells = rows(namespace, "sfup")
    assert head == ["NAME", "DESIRED", "READY", "PEOPLE", "FREE", "AVAILABLE", "REASON", "AGE"]
    assert cells[:-1] == ["main", "3", "2", "41", "45", "True", "Load"]
    head, cells = rows(namespace, "sfup", "-o", "wide")
    more = dict(zip(head, cells, strict=True))
    assert more["MEETINGS"] == "4"
    assert (more["TURN"], more["MIN"], more["MAX"]) == ("1", "1", "3")
    assert (more["EXPOSURE"], more["PAUSED"], more["DEGRADED"]) == ("HostPort", "false", "False")


def test_kubectl_get_shows_meetings_like_a_departure_board(namespace: Namespace) -> None:
    wanted = meeting({"schedule": {"start": NOW}, "poolRef": {"name": "main"}})
    with_status(namespace, wanted, MEETING_STATUS)
    head, cells = rows(namespace, "mtg")
    assert head == ["NAME", "START", "PHASE", "PEOPLE", "POOL", "NODE", "NOTE", "AGE"]
    assert cells[:-1] == [
        *("town-hall", NOW, "Active", "12"),
        *("main", "main-sfu-a1b2c", "OnItsNode"),
    ]
    head, cells = rows(namespace, "mtg", "-o", "wide")
    more = dict(zip(head, cells, strict=True))
    assert more["JOIN URL"] == MEETING_STATUS.join_url
    assert (more["TITLE"], more["HOST"], more["EXPECTED"]) == ("Town hall", "ada", "15")


def test_one_command_lists_both_kinds(namespace: Namespace) -> None:
    namespace.apply(pool(), meeting())
    found = namespace.kubectl("get", "kcs", "-o", "name").split()
    assert found == ["meeting.meetings.kcs.dev/town-hall", "sfupool.meetings.kcs.dev/main"]


def test_meetings_can_be_chosen_by_phase_node_and_pool(namespace: Namespace) -> None:
    with_status(namespace, meeting({"poolRef": {"name": "main"}}), MEETING_STATUS)
    namespace.apply(meeting(name="quiet"))
    for field in ("status.phase=Active", "status.node=main-sfu-a1b2c", "spec.poolRef.name=main"):
        found = namespace.kubectl("get", "mtg", "--field-selector", field, "-o", "name")
        assert found.split() == ["meeting.meetings.kcs.dev/town-hall"]


def test_two_who_apply_an_entry_each_of_a_list_both_get_theirs(namespace: Namespace) -> None:
    for name in ("LOG_A", "LOG_B"):
        wanted = json.dumps(pool({"template": {"env": [{"name": name, "value": "1"}]}}))
        who = f"--field-manager={name.lower()}"
        namespace.kubectl("apply", "--server-side", who, "-f", "-", stdin=wanted)
    env = namespace.get("sfup", "main")["spec"]["template"]["env"]
    assert [each["name"] for each in env] == ["LOG_A", "LOG_B"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("sfupool", ["SFU pods, and coturn pods beside them, that follow the load of meetings."]),
        ("sfupool.spec.exposure", ["mode", "HostPort", "Default: first 40000, last 40999."]),
        ("sfupool.spec.exposure.mode", ["HostNetwork: the node's network", "Default: HostPort."]),
        ("sfup.spec.drain.deadline", ["Default: 1h.", "written as 90s, 10m or 1h30m"]),
        ("sfup.spec.turn", ["coturn pods; without it there are none.", "userQuota"]),
        ("mtg.spec.schedule", ["start <string> -required-", "2027-03-01T09:00:00Z"]),
        (
            "mtg.spec.expectedParticipants",
            ["expectedParticipants must not be above maxParticipants"],
        ),
    ],
)
def test_kubectl_explain_reads_like_documentation(
    path: str, says: list[str], kinds: Kubernetes
) -> None:
    said = " ".join(kinds.kubectl("explain", path).split())
    for text in says:
        assert text in said


@pytest.mark.parametrize("kind", ["sfupool", "meeting"])
def test_no_field_is_left_unexplained(kind: str, kinds: Kubernetes) -> None:
    found = kinds.get("crd", f"{kind}s.meetings.kcs.dev")["spec"]["versions"][0]["schema"]
    root = found["openAPIV3Schema"]["properties"]
    assert unexplained(root["spec"], "spec") + unexplained(root["status"], "status") == []


def unexplained(node: dict[str, Any], path: str) -> list[str]:
    missing = [] if node.get("description") else [path]
    for name, field in node.get("properties", {}).items():
        missing += unexplained(field, f"{path}.{name}")
        if "properties" in field.get("items", {}):
            missing += unexplained(field["items"], f"{path}.{name}[]")
    return missing


def test_the_pages_examples_are_taken(namespace: Namespace) -> None:
    page = (CRDS.parent / "docs/resources.md").read_text()
    examples = [part.split("```")[0] for part in page.split("```yaml\n")[1:]]
    assert len(examples) == 2
    for example in examples:
        arguments = ("create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "name")
        assert "meetings.kcs.dev/" in namespace.kubectl(*arguments, stdin=example)

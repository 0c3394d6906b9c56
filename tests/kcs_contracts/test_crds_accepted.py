"""What the models make comes through a real API server unchanged."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.client import ApiException, CustomObjectsApi
from kubernetes.config import new_client_from_config
from tests.support.kubernetes import Kubernetes, Namespace
from tests.support.resources import install_crds

from kcs_contracts.resources.v1alpha1 import (
    API_VERSION,
    AnnouncedAddressFrom,
    Capacity,
    Drain,
    EnvVar,
    Exposure,
    ExposureMode,
    MeetingSettings,
    MeetingSpec,
    PodTemplate,
    PoolRef,
    PoolReplicas,
    PoolSchedule,
    PortRange,
    Resources,
    Schedule,
    SFUPoolSpec,
    Turn,
    TurnReplicas,
    TurnTls,
    Update,
    duration_of,
)
from kcs_contracts.resources.v1alpha1.sfupool import Autoscaling

Draw = st.DrawFn
SMALL = "abcxyz019"
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def like(pattern: str, longest: int) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= longest)


def numbers(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


NAME = like("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", 63)
REGION = st.just("") | NAME
DURATION = st.one_of(
    like("[0-9]{1,5}h", 19),
    like("([0-9]{1,5}h)?[0-9]{1,5}m([0-9]{1,6}s)?", 19),
    like("[0-9]{1,6}s", 19),
)
TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)
LABEL_KEY = like("([a-z][a-z0-9]{0,9}\\.org/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", 70)
LABEL_VALUE = like("([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", 63)
LABELS = st.dictionaries(LABEL_KEY, LABEL_VALUE, max_size=4)
QUANTITY = like("[0-9]{1,15}(\\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?", 32) | numbers(0, 10**15)
QUANTITIES = st.dictionaries(st.sampled_from(["cpu", "memory", "example.org/x"]), QUANTITY)
CLOCK = like("([01][0-9]|2[0-3]):[0-5][0-9]", 5)
TIME = st.builds(
    lambda when, zone: when.isoformat() + zone,
    st.datetimes().map(lambda when: when.replace(year=max(when.year, 1000))),
    like("Z|[+-]0[0-9]:[0-5][0-9]", 6),
)
DAY = st.sampled_from(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
JSON = st.recursive(
    st.booleans() | numbers(-1000, 1000) | st.text(SMALL),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(SMALL, min_size=1), inner),
    max_leaves=4,
)
OBJECT = st.dictionaries(st.text(SMALL, min_size=1), JSON, max_size=3)


@st.composite
def port_ranges(draw: Draw, least: int, most: int, count: int) -> PortRange:
    first = draw(numbers(least, most - count + 1))
    return PortRange(first=first, last=draw(numbers(first + count - 1, most)))


@st.composite
def exposures(draw: Draw, count: int) -> Exposure:
    mode = draw(st.sampled_from(ExposureMode))
    of_services = {AnnouncedAddressFrom.LOAD_BALANCER}
    others = sorted(set(AnnouncedAddressFrom) - of_services)
    balanced = mode is ExposureMode.LOAD_BALANCER
    source = draw(st.sampled_from(sorted(of_services) if balanced else others))
    fixed = source is AnnouncedAddressFrom.FIXED
    bounds = (30000, 32767) if mode is ExposureMode.NODE_PORT else (10000, 45000)
    return Exposure(
        mode=mode,
        port_range=draw(port_ranges(*bounds, count)),
        announced_address_from=source,
        announced_address=draw(like("[A-Za-z0-9.:-]{1,60}", 60)) if fixed else None,
        tcp=draw(st.booleans()),
    )


@st.composite
def schedules(draw: Draw, name: str) -> PoolSchedule:
    start = draw(CLOCK)
    return PoolSchedule(
        name=name,
        days=tuple(draw(st.lists(DAY, min_size=1, unique=True))),
        start=start,
        end=draw(CLOCK.filter(lambda end: end != start)),
        time_zone=draw(st.sampled_from(["Etc/UTC", "Europe/Berlin", "America/Port-au-Prince"])),
        replicas=draw(numbers(0, 1000)),
    )


@st.composite
def autoscalings(draw: Draw) -> Autoscaling:
    names = draw(st.lists(NAME, max_size=3, unique=True))
    return Autoscaling(
        target_utilization=draw(st.floats(0.1, 1.0)),
        buffer=draw(numbers(0, 100)),
        schedules=tuple(draw(schedules(name)) for name in names),
        scale_down_stabilization=draw(DURATION),
    )


@st.composite
def turns(draw: Draw) -> Turn:
    least = draw(numbers(0, 1000))
    tls = st.tuples(NAME, st.just(443) | numbers(5000, 9000)).map(
        lambda each: TurnTls(secret_name=each[0], port=each[1])
    )
    return Turn(
        replicas=TurnReplicas(min=least, max=draw(numbers(max(1, least), 1000))),
        realm=draw(like("[A-Za-z0-9.-]{1,60}", 60)),
        port=draw(numbers(1024, 4999)),
        tls=draw(st.none() | tls),
        port_range=draw(port_ranges(46000, 65535, 100)),
        user_quota=draw(numbers(1, 1000)),
        target_allocations=draw(numbers(1, 100000)),
        target_egress_mbps=draw(numbers(1, 400000)),
    )


@st.composite
def templates(draw: Draw) -> PodTemplate:
    names = draw(st.lists(like("[A-JL-Za-z_][A-Za-z0-9_]{0,50}", 60), max_size=3, unique=True))
    return PodTemplate(
        image=draw(st.none() | st.just("kcs-meetings/sfu-node:0.1.0")),
        labels=draw(LABELS),
        annotations=draw(st.dictionaries(LABEL_KEY, TEXT, max_size=3)),
        node_selector=draw(LABELS),
        tolerations=tuple(draw(st.lists(OBJECT, max_size=2))),
        affinity=draw(st.none() | OBJECT),
        resources=Resources(requests=draw(QUANTITIES), limits=draw(QUANTITIES)),
        priority_class_name=draw(st.none() | NAME),
        env=tuple(EnvVar(name=name, value=draw(TEXT)) for name in names),
        image_pull_secrets=tuple(draw(st.lists(NAME, max_size=2, unique=True))),
    )


@st.composite
def pool_specs(draw: Draw) -> SFUPoolSpec:
    least, surge, workers = draw(numbers(0, 20)), draw(numbers(0, 10)), draw(numbers(1, 64))
    most = draw(numbers(max(1, least), 30))
    migrate, deadline = sorted([draw(DURATION), draw(DURATION)], key=duration_of)
    return SFUPoolSpec(
        replicas=PoolReplicas(min=least, max=most, desired=draw(st.none() | numbers(0, 1000))),
        placement=draw(st.sampled_from(["Packed", "Spread", "ConsistentHash"])),
        region=draw(REGION),
        capacity=Capacity(
            workers=workers,
            consumers_per_worker=draw(numbers(1, 10000)),
            egress_mbps=draw(numbers(0, 400000)),
        ),
        exposure=draw(exposures(workers * (most + surge))),
        autoscaling=draw(autoscalings()),
        drain=Drain(deadline=deadline, migrate_after=migrate, max_concurrent=draw(numbers(1, 100))),
        update=Update(max_surge=surge, max_unavailable=draw(numbers(0 if surge else 1, 100))),
        turn=draw(st.none() | turns()),
        template=draw(templates()),
        paused=draw(st.booleans()),
    )


@st.composite
def meeting_specs(draw: Draw) -> MeetingSpec:
    most = draw(numbers(2, 10000))
    length = st.one_of(
        numbers(60, 86400).map(lambda seconds: f"{seconds}s"),
        numbers(1, 23).map(lambda hours: f"{hours}h30m"),
    )
    flags = {
        name: draw(st.booleans())
        for name, field in MeetingSettings.model_fields.items()
        if field.annotation is bool and name not in ("e2ee", "recording")
    }
    return MeetingSpec(
        display_name=draw(TEXT.filter(bool)),
        host=draw(like("[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}", 64)),
        schedule=draw(st.none() | st.builds(Schedule, start=TIME, duration=length)),
        max_participants=most,
        expected_participants=draw(numbers(1, most)),
        region=draw(REGION),
        pool_ref=draw(st.none() | st.builds(PoolRef, name=NAME)),
        settings=MeetingSettings(idle_minutes=draw(numbers(1, 1440)), **flags),
    )


class Door:
    """The API server's answer to an object, without keeping it. One connection for all of them."""

    def __init__(self, namespace: Namespace):
        self._namespace = namespace.name
        client = new_client_from_config(config_file=str(namespace.kubeconfig))
        self._api = CustomObjectsApi(client)

    def spec_as_stored(self, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        wanted = {"apiVersion": API_VERSION, "kind": kind, "spec": spec}
        group, version = API_VERSION.split("/")
        try:
            found = self._api.create_namespaced_custom_object(
                group,
                version,
                self._namespace,
                f"{kind.lower()}s",
                {**wanted, "metadata": {"name": "any"}},
                dry_run="All",
                field_validation="Strict",
            )
        except ApiException as error:
            raise AssertionError(error.body) from None
        stored: dict[str, Any] = found["spec"]
        return stored


@pytest.fixture(scope="module")
def door(api_server: Kubernetes) -> Door:
    install_crds(api_server)
    return Door(api_server.new_namespace())


@FEW
@given(spec=pool_specs())
def test_every_pool_that_the_models_make_is_taken_as_it_is(spec: SFUPoolSpec, door: Door) -> None:
    found = door.spec_as_stored("SFUPool", spec.to_json())
    assert found == spec.to_json()
    assert SFUPoolSpec.model_validate(found) == spec


@FEW
@given(spec=meeting_specs())
def test_every_meeting_that_the_models_make_is_taken_as_it_is(
    spec: MeetingSpec, door: Door
) -> None:
    found = door.spec_as_stored("Meeting", spec.to_json())
    assert found == spec.to_json()
    assert MeetingSpec.model_validate(found) == spec

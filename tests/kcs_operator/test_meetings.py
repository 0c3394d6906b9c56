"""What is decided of a Meeting: tables, and what holds for every one of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcs_contracts.internal_api import Registered
from kcs_contracts.resources.v1alpha1 import MeetingPhase, MeetingSpec, MeetingStatus
from kcs_operator.decisions import meetings as decide
from kcs_operator.decisions.meeting_index import Index, scheduled_participants
from kcs_operator.decisions.meetings import Placing, Token, Where
from kcs_operator.manifests.meeting_secret import renewal, secret, secret_name

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
HERE = Where("n1", 7, 0, True)


def at(seconds: float) -> str:
    return decide.timestamp(NOW + seconds)


def spec(start_s: float | None = None, **fields: object) -> MeetingSpec:
    said: dict[str, object] = {"displayName": "Lab", "host": "ada", **fields}
    if start_s is not None:
        said["schedule"] = {"start": at(start_s), "duration": "1h"}
    return MeetingSpec.model_validate(said)


def answer(**fields: object) -> Registered:
    said: dict[str, Any] = {
        "id": "abc-defg-hij",
        "created": True,
        "ended_at": None,
        "join_url": "https://meet/m/abc-defg-hij",
        "host_token": "t",
        "host_url": "u",
        "host_token_expires_at": at(7200),
    }
    return Registered.model_validate(said | fields)


def status(placing: Placing = decide.NOT_YET, **fields: object) -> MeetingStatus:
    """Of a meeting that was just registered."""
    token = Token("lab-host", at(7200))
    found = decide.registered(MeetingStatus(), spec(), 1, answer(), token, placing, NOW)
    return found.model_copy(update=fields)


def reasons(found: MeetingStatus) -> dict[str, str]:
    return {each.type: each.reason for each in found.conditions}


# --- ids -----------------------------------------------------------------------------------------


def test_the_id_follows_from_the_uid_and_looks_like_all_meeting_ids() -> None:
    ids = {decide.meeting_id_of(f"uid-{n}") for n in range(1000)}
    assert len(ids) == 1000
    assert decide.meeting_id_of("uid-1") in ids
    assert all(len(each) == 12 and each[3] == each[8] == "-" for each in ids)


# --- what signaling is told ----------------------------------------------------------------------


def test_the_registration_says_what_the_spec_says() -> None:
    wanted = decide.registration_of(
        "talks", "lab", spec(600, region="eu", poolRef={"name": "main"}, expectedParticipants=7)
    )
    assert wanted.starts_at is not None
    assert wanted.starts_at.timestamp() == NOW + 600
    assert (wanted.duration_minutes, wanted.expected_participants) == (60, 7)
    assert (wanted.namespace, wanted.name, wanted.region, wanted.pool) == (
        "talks",
        "lab",
        "eu",
        "main",
    )
    sent = wanted.model_dump(exclude_unset=True)["settings"]
    assert set(sent) == {
        "require_host_approval",
        "allow_unmute_self",
        "guest_chat",
        "several_screens",
        "host_succession",
        "chat_history",
        "idle_minutes",
    }


# --- room ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start_s", "pool", "expected"),
    [
        (None, "", None),  # open at once: look for room now
        (3600, "", decide.NOT_YET),
        (61, "", decide.NOT_YET),
        (59, "", None),
        (-10, "", None),  # it runs already
        (-3599, "", None),
        (-3600, "", decide.IN_THE_PAST),
        (-86_400, "main", decide.IN_THE_PAST),
        (-86_400, "none", decide.IN_THE_PAST),
        (3600, "main", decide.NOT_YET),
        (None, "main", None),
        (None, "none", decide.no_such_pool("none")),
        (3600, "none", decide.no_such_pool("none")),
    ],
)
def test_what_is_known_of_its_room_before_placement_is_asked(
    start_s: float | None, pool: str, expected: Placing | None
) -> None:
    wanted = spec(start_s, **({"poolRef": {"name": pool}} if pool else {}))
    assert decide.first_placing(wanted, ["main"], 60, NOW) == expected


# --- the status ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("placing", "phase"),
    [
        (decide.NOT_YET, MeetingPhase.SCHEDULED),
        (decide.NO_CAPACITY, MeetingPhase.SCHEDULED),
        (decide.no_such_pool("x"), MeetingPhase.SCHEDULED),
        (decide.IN_THE_PAST, MeetingPhase.FAILED),
        (decide.placed_at("n1", 7), MeetingPhase.READY),
    ],
)
def test_the_phase_of_a_registered_meeting_follows_from_its_room(
    placing: Placing, phase: MeetingPhase
) -> None:
    found = status(placing)
    assert found.phase is phase
    assert reasons(found) == {
        "Registered": "Registered",
        "Placed": placing.reason,
        "Migrating": "Settled",
    }
    assert (found.node, found.epoch) == (placing.node or None, placing.epoch or None)


@pytest.mark.parametrize(
    ("start_s", "started", "reason"),
    [
        (None, None, "Registered"),
        (600, None, "Registered"),
        (-30, None, "Registered"),
        (-61, None, "StartIsPast"),
        (-61, "2027-01-15T07:00:00Z", "Registered"),
    ],
)
def test_a_start_that_is_past_is_said(
    start_s: float | None, started: str | None, reason: str
) -> None:
    before = MeetingStatus(started_at=started)
    token = Token("lab-host", at(7200))
    found = decide.registered(before, spec(start_s), 1, answer(), token, None, NOW)
    assert reasons(found)["Registered"] == reason


def test_one_that_is_over_at_signaling_is_over_here() -> None:
    over = answer(ended_at=at(-60))
    found = decide.registered(status(), spec(), 2, over, None, None, NOW)
    assert (found.phase, found.ended_at) == (MeetingPhase.ENDED, at(-60))
    assert (found.observed_generation, reasons(found)["Placed"]) == (2, "Ended")


ACTIVE = status(
    decide.placed_at("n1", 7), phase=MeetingPhase.ACTIVE, participants=3, started_at=at(-9)
)
READY = status(decide.placed_at("n1", 7))
GONE = Where("n1", 7, 0, False)


@pytest.mark.parametrize(
    ("before", "where", "lost", "phase", "node", "people", "placed"),
    [
        (READY, HERE, False, "Ready", "n1", 0, "OnNode"),
        (READY, HERE._replace(people=2), False, "Active", "n1", 2, "OnNode"),
        (status(), HERE._replace(people=1), False, "Active", "n1", 1, "OnNode"),
        (status(), HERE, False, "Ready", "n1", 0, "OnNode"),
        (status(decide.IN_THE_PAST), HERE._replace(people=1), False, "Active", "n1", 1, "OnNode"),
        (ACTIVE, HERE._replace(people=4), False, "Active", "n1", 4, "OnNode"),
        (ACTIVE, HERE, False, "Active", "n1", 0, "OnNode"),  # it goes on until it is ended
        (ACTIVE, Where("n2", 9, 3, True), False, "Active", "n2", 3, "OnNode"),
        (ACTIVE, GONE._replace(people=3), False, "Active", "n1", 3, "OnNode"),
        (ACTIVE, GONE._replace(people=3), True, "Active", None, 3, "NoNode"),
        (READY, GONE, True, "Ready", None, 0, "NoNode"),
        (ACTIVE, Where(), False, "Active", "n1", 0, "OnNode"),  # Redis was emptied
        (ACTIVE, Where(over=True), False, "Ended", None, 0, "Ended"),
        (READY, Where(over=True), True, "Ended", None, 0, "Ended"),
    ],
)
def test_the_projection_of_placement(
    before: MeetingStatus,
    where: Where,
    lost: bool,
    phase: str,
    node: str | None,
    people: int,
    placed: str,
) -> None:
    after = decide.projected(before, where, NOW + 60, lost=lost)
    assert (after.phase, after.node, after.participants) == (phase, node, people)
    assert reasons(after)["Placed"] == placed
    assert bool(after.ended_at) == (phase == "Ended")
    if phase == "Active":
        assert after.started_at == (before.started_at or at(60))


def test_a_move_is_said_while_it_lasts() -> None:
    moving = decide.projected(ACTIVE, HERE._replace(people=3, migrating=True), NOW + 5, lost=False)
    assert reasons(moving)["Migrating"] == "Draining"
    moved = decide.projected(moving, Where("n2", 8, 3, True), NOW + 9, lost=False)
    assert (reasons(moved)["Migrating"], moved.node, moved.epoch) == ("Settled", "n2", 8)


def test_what_is_over_stays_over() -> None:
    over = decide.over_status(ACTIVE, NOW, NOW)
    assert decide.projected(over, HERE._replace(people=9), NOW + 1, lost=False) == over
    assert decide.over_status(over, NOW + 60, NOW + 60) == over


wheres = st.builds(
    Where,
    st.sampled_from(["", "n1", "n2"]),
    st.integers(0, 9),
    st.integers(0, 9),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
befores = st.sampled_from(
    [
        MeetingStatus(),
        status(),
        READY,
        ACTIVE,
        status(decide.NO_CAPACITY),
        status(decide.IN_THE_PAST),
        decide.over_status(ACTIVE, NOW, NOW),
    ]
)


@given(befores, wheres, st.booleans())
def test_looking_again_changes_nothing_more(
    before: MeetingStatus, where: Where, lost: bool
) -> None:
    once = decide.projected(before, where, NOW, lost=lost)
    assert decide.projected(once, where, NOW + 3600, lost=lost) == once
    assert decide.due_in(once, once, 9e9, 5) == float("inf")


@given(befores, wheres, st.booleans())
def test_the_patch_makes_the_one_out_of_the_other_and_is_empty_for_the_same(
    before: MeetingStatus, where: Where, lost: bool
) -> None:
    after = decide.projected(before, where, NOW, lost=lost)
    there = before.to_json() | {"unknown": "stays"}
    patch = decide.status_patch(there, after)
    merged = {key: value for key, value in (there | patch).items() if value is not None}
    assert merged == after.to_json() | {"unknown": "stays"}
    assert decide.status_patch(merged, after) == {}


@given(befores, wheres, st.booleans())
def test_no_condition_has_a_time_in_its_words(
    before: MeetingStatus, where: Where, lost: bool
) -> None:
    after = decide.projected(before, where, NOW, lost=lost)
    assert not [each for each in after.conditions if any(c.isdigit() for c in each.message)]


@pytest.mark.parametrize(
    ("where", "since_s", "due"),
    [
        (HERE._replace(people=3), 0, float("inf")),  # as it is said
        (HERE._replace(people=4), 0, 60.0),
        (HERE._replace(people=4), 20, 40.0),
        (HERE._replace(people=4), 9e9, 0.0),
        (Where("n2", 8, 3, True), 0, 5.0),
        (Where("n2", 8, 4, True), 3, 2.0),
        (Where(over=True), 6, 0.0),
    ],
)
def test_counts_wait_a_minute_and_all_else_the_least_time(
    where: Where, since_s: float, due: float
) -> None:
    after = decide.projected(ACTIVE, where, NOW, lost=False)
    assert decide.due_in(ACTIVE, after, since_s, 5) == due


# --- which meetings there is something to do for -------------------------------------------------


def body(name: str, found: MeetingStatus | None = None, **fields: object) -> dict[str, Any]:
    start_s = fields.pop("start_s", None)
    wanted = spec(start_s, **fields)  # type: ignore[arg-type]
    uid = f"uid-{name}"
    said = found.model_copy(update={"meeting_id": decide.meeting_id_of(uid)}) if found else None
    return {
        "metadata": {
            "name": name,
            "namespace": "talks",
            "uid": uid,
            "generation": 1,
            "creationTimestamp": at(0),
        },
        "spec": wanted.to_json(),
        "status": said.to_json() if said else {},
    }


@pytest.mark.parametrize(
    ("found", "changes", "now_s", "settled"),
    [
        (None, {}, 0, False),
        (status(), {}, 0, False),  # a token of an open meeting that ends within a day
        (status(token_expires_at=at(90_000)), {}, 0, True),
        (status(token_expires_at=at(90_000)), {}, 4000, False),
        (status(), {"start_s": 600}, 0, True),
        (status(), {"start_s": 600}, 9000, True),  # its time is over
        (status(observed_generation=0), {"start_s": 600}, 0, False),
        (status(token_secret_ref=None), {"start_s": 600}, 0, False),
        (ACTIVE, {"start_s": 600}, 0, True),
        (ACTIVE, {"start_s": 600}, 7000, False),  # it runs on: its host may come back
        (decide.refused(MeetingStatus(), 1, "no", NOW), {}, 0, True),
        (decide.refused(MeetingStatus(), 0, "no", NOW), {}, 0, False),
        (decide.unreachable(status(), "SignalingAway", "no", NOW), {}, 0, False),
        (decide.over_status(ACTIVE, NOW, NOW), {}, 9e9, True),
    ],
)
def test_what_needs_to_be_registered(
    found: MeetingStatus | None, changes: dict[str, Any], now_s: float, settled: bool
) -> None:
    entry = Index().put(body("lab", found, **changes))
    assert entry.is_settled(NOW + now_s) is settled


def test_a_status_of_another_meeting_of_that_name_settles_nothing() -> None:
    mine = body("lab", status(), start_s=600)
    mine["metadata"]["uid"] = "another"
    assert not Index().put(mine).is_settled(NOW)


POOLS = {"a": "", "b": "eu", "c": "eu"}


@pytest.mark.parametrize(
    ("meetings", "expected"),
    [
        ([], {}),
        ([body("one", status(), start_s=60, expectedParticipants=40)], {"a": 40}),
        ([body("huge", status(), start_s=60, expectedParticipants=9000)], {"a": 45}),
        ([body("few", status(), start_s=60, expectedParticipants=2)], {"a": 15}),
        ([body("far", status(), start_s=700)], {}),
        ([body("late", status(), start_s=-60, expectedParticipants=20)], {"a": 20}),
        ([body("past", status(), start_s=-3601)], {}),
        ([body("open", status(decide.NO_CAPACITY), expectedParticipants=20)], {"a": 20}),
        ([body("placed", READY, start_s=60)], {}),
        ([body("runs", ACTIVE, start_s=60)], {}),
        ([body("new", None, start_s=60)], {}),  # not registered yet
        ([body("near", status(), start_s=60, region="eu")], {"b": 15}),
        ([body("abroad", status(), start_s=60, region="us")], {"a": 15}),
        ([body("mine", status(), start_s=60, poolRef={"name": "c"})], {"c": 15}),
        ([body("none", status(), start_s=60, poolRef={"name": "x"})], {}),
        (
            [
                body("x", status(), start_s=60, expectedParticipants=20),
                body("y", status(), start_s=300, expectedParticipants=30),
                body("z", status(), start_s=400, poolRef={"name": "b"}),
            ],
            {"a": 50, "b": 15},
        ),
    ],
)
def test_people_who_are_expected_soon_in_meetings_without_room(
    meetings: list[dict[str, Any]], expected: dict[str, int]
) -> None:
    index = Index()
    for each in meetings:
        index.put(each)
    found = {
        pool: scheduled_participants(index, pool, POOLS, NOW, 600, most=45)
        for pool in POOLS
        if scheduled_participants(index, pool, POOLS, NOW, 600, most=45)
    }
    assert found == expected


states = st.sampled_from([None, status(), READY, ACTIVE, decide.over_status(ACTIVE, NOW, NOW)])


@given(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.booleans(), states, st.integers(-99, 99)),
        max_size=40,
    )
)
def test_the_index_knows_the_same_as_whoever_looks_at_all(
    changes: list[tuple[str, bool, MeetingStatus | None, int]],
) -> None:
    index, there = Index(), dict[str, dict[str, Any]]()
    for name, gone, found, start_s in changes:
        if gone:
            index.remove(name)
            there.pop(name, None)
        else:
            there[name] = body(name, found, start_s=start_s)
            index.put(there[name])

    def names(phase: str) -> set[str]:
        return {n for n, each in there.items() if each["status"].get("phase") == phase}

    assert {each.name for each in index} == set(there)
    assert {each.name for each in index.active()} == names("Active")
    assert {each.name for each in index.ready_beyond(set())} == names("Ready")
    assert index.ready_beyond({"n1"}) == []
    assert {each.name for each in index.waiting(NOW + 99)} == names("Scheduled")
    starts = [each.starts_at for each in index.waiting(NOW + 99)]
    assert starts == sorted(starts)
    assert sum(index.phases.values()) == len(there)


# --- the Secret ----------------------------------------------------------------------------------


def test_the_secret_goes_with_its_meeting_and_has_the_hosts_way_in() -> None:
    made = secret(body("lab"), "release", "token", "https://x/#token=token")
    assert made["metadata"]["name"] == "lab-host"
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Meeting", "uid-lab", True)
    assert made["data"] == {"hostToken": "dG9rZW4=", "hostURL": "aHR0cHM6Ly94LyN0b2tlbj10b2tlbg=="}
    test, change = renewal(body("lab"), "token", "https://x/#token=token")
    assert (test["op"], test["value"]) == ("test", "uid-lab")
    assert change["value"] == made["data"]


@given(st.text("ab-.", min_size=1, max_size=253))
def test_secrets_have_names_of_their_own_that_are_not_too_long(name: str) -> None:
    assert len(secret_name(name)) <= 253
    assert secret_name(name).endswith("-host")
    assert secret_name(name) != secret_name(f"{name[:-1]}c")

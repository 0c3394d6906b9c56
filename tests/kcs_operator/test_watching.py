"""The cache takes reports in any order, and has what there is: nothing forgotten, no ghosts."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.declared import declared
from tests.support.kubernetes import Namespace
from tests.support.operator import sfu_pool

from kcs_contracts.labels import MANAGED_BY, OPERATOR, POOL
from kcs_operator.cluster import Cluster
from kcs_operator.handlers import watching
from kcs_operator.handlers.watching import Cache


def body(name: str, uid: str, version: int, pool: str = "a") -> dict[str, Any]:
    labels = {POOL: pool, MANAGED_BY: OPERATOR}
    meta = {"name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": meta}


def test_a_list_does_not_take_away_what_is_newer_than_it() -> None:
    cache = Cache()
    cache.put("pods", "new", body("new", "u1", 12))
    cache.put("pods", "old", body("old", "u2", 9))
    cache.replace("pods", [], "11")
    assert set(cache.pods) == {"new"}


def test_a_list_does_not_bring_back_what_was_deleted_since() -> None:
    cache = Cache()
    cache.put("pods", "a", body("a", "u1", 5))
    cache.drop("pods", body("a", "u1", 12))
    cache.replace("pods", [body("a", "u1", 5)], "11")
    cache.put("pods", "a", body("a", "u1", 6))
    assert cache.pods == {}
    assert cache.saw_deleted("u1")
    assert not cache.saw_deleted("u2")


def test_the_end_of_an_object_does_not_take_its_successor() -> None:
    cache = Cache()
    cache.put("meetings", "lab", body("lab", "u1", 5))
    cache.put("meetings", "lab", body("lab", "u2", 9))
    cache.put("meetings", "lab", body("lab", "u1", 7))
    cache.drop("meetings", body("lab", "u1", 8))
    assert cache.meetings["lab"]["metadata"]["uid"] == "u2"


def test_a_late_answer_does_not_bring_back_what_a_list_had_not() -> None:
    cache = Cache()
    cache.put("pods", "a", body("a", "u1", 5))
    cache.replace("pods", [], "11")
    cache.put("pods", "a", body("a", "u1", 7))
    assert cache.pods == {}
    cache.put("pods", "a", body("a", "u2", 12))
    assert set(cache.pods) == {"a"}


def test_the_state_of_a_backup_is_taken_as_it_is() -> None:
    cache = Cache()
    cache.replace("pods", [body("a", "u1", 90), body("b", "u2", 95)], "100")
    cache.drop("pods", body("c", "u3", 105))
    restored = [body("a", "u1", 40), body("c", "u3", 45)]
    cache.replace("pods", restored, "50")
    assert list(cache.pods.values()) == restored


def test_versions_that_are_no_numbers_are_taken_as_they_come() -> None:
    cache = Cache()
    one = body("a", "u1", 1)
    one["metadata"]["resourceVersion"] = "x"
    cache.put("pods", "a", one)
    assert set(cache.pods) == {"a"}
    cache.replace("pods", [], "y")
    assert cache.pods == {}


def test_listeners_hear_of_each_change_once_and_of_a_pods_pool() -> None:
    cache, heard = Cache(), list[tuple[str, str]]()
    cache.listen(lambda kind, name: heard.append((kind, name)))
    cache.put("pods", "p", body("p", "u1", 5, "alpha"))
    cache.put("pods", "p", body("p", "u1", 5, "alpha"))
    cache.put("meetings", "m", body("m", "u2", 6))
    cache.replace("pods", [], "7")
    cache.drop("pods", body("p", "u1", 7, "alpha"))
    assert heard == [("pods", "alpha"), ("meetings", "m"), ("pods", "alpha")]


class History:
    """One name's true story on an API server, and reports of it that may come late."""

    def __init__(self) -> None:
        self.version, self.uids = 0, 0
        self.now: dict[str, Any] | None = None
        self.states: list[dict[str, Any] | None] = [None]
        self.watch: list[tuple[bool, dict[str, Any]]] = []

    def change(self, what: str) -> None:
        if (what == "create") != (self.now is None):
            return
        self.version += 1
        if what == "create":
            self.uids += 1
        told = body("x", f"u{self.uids}", self.version)
        self.now = told if what != "delete" else None
        self.watch.append((what == "delete", told))
        self.states += [self.now]


steps = st.lists(
    st.one_of(
        st.sampled_from(["create", "change", "delete"]).map(lambda what: ("happen", what)),
        st.tuples(st.just("list"), st.integers(0, 3)),
        st.tuples(st.just("watch"), st.integers(1, 5)),
        st.tuples(st.just("answer"), st.integers(0, 30)),
        st.just(("gap", 0)),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(steps)
def test_whatever_comes_late_the_cache_ends_with_what_there_is(told: list[tuple[str, Any]]) -> None:
    """Lists arrive up to three changes late, answers to writes at any time, a watch may lose
    events; after one more list that was begun when all is quiet, the cache is right."""
    cache, true = Cache(), History()
    seen = listed = 0
    for what, how in told:
        if what == "happen":
            true.change(how)
        elif what == "watch":
            for gone, each in true.watch[seen : seen + how]:
                cache.drop("pods", each) if gone else cache.put("pods", "x", each)
            seen = min(len(true.watch), seen + how)
        elif what == "gap":
            seen = len(true.watch)
        elif what == "list":
            listed = max(listed, true.version - how)  # lists are asked for one after the other
            state = true.states[listed]
            cache.replace("pods", [state] if state else [], str(listed))
        elif true.watch:
            gone, each = true.watch[how % len(true.watch)]
            if not gone:
                cache.put("pods", "x", each)
        if seen == len(true.watch) and listed == true.version:
            assert cache.pods.get("x") == true.now
    for gone, each in true.watch[seen:]:
        cache.drop("pods", each) if gone else cache.put("pods", "x", each)
    cache.replace("pods", [true.now] if true.now else [], str(true.version))
    assert cache.pods.get("x") == true.now


async def test_a_list_of_a_watch_is_followed_by_a_list_of_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_QUIET_S", 0.05)
    cache = Cache()
    waits = asyncio.create_task(watching.until_due(cache))
    await asyncio.sleep(0.2)
    assert not waits.done()
    for _ in range(3):
        cache.relisted.set()
        await asyncio.sleep(0.03)
        assert not waits.done(), "the list goes on"
    await asyncio.wait_for(waits, 1)
    assert not cache.relisted.is_set()


async def test_a_list_on_the_real_api_server_takes_no_object_that_was_made_meanwhile(
    namespace: Namespace, api: Cluster
) -> None:
    cache = Cache()
    namespace.apply(sfu_pool("first", replicas={"min": 1, "max": 1}))
    await watching.fill(cache, api)
    listing = await api.listing("meetings")
    made = await api.create("meetings", declared())
    cache.put("meetings", "lab", made)
    cache.replace("meetings", listing.items, listing.version)
    assert set(cache.meetings) == {"lab"}
    late = await api.listing("meetings")
    await api.delete("meetings", "lab")
    cache.drop("meetings", made)
    cache.replace("meetings", late.items, late.version)
    assert cache.meetings == {}
    await watching.fill(cache, api)
    assert (set(cache.pools), cache.meetings) == ({"first"}, {})


async def test_who_manages_which_fields_is_not_kept(namespace: Namespace, api: Cluster) -> None:
    cache = Cache()
    namespace.apply(sfu_pool("first"))
    found = await api.listing("sfupools")
    assert all("managedFields" in each["metadata"] for each in found.items)
    cache.replace("pools", found.items, found.version)
    assert "managedFields" not in cache.pools["first"]["metadata"]

"""A call on a real cluster, from `helm install` to `helm uninstall`, and all that happens to it.

The tests are one story: each goes on where the one before has ended, with the same two people in
the same meeting, who must not notice more than the issue allows.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from e2e.cluster.installed import MEDIA, RELEASE, URL, Installed, until
from tests.support.kubernetes import KubectlError, Kubernetes

from kcs_dev.browser import Chromium, Person, everybody_gets_everybody
from kcs_dev.browser import until as seen
from kcs_dev.gaps import gaps, watch

pytestmark = pytest.mark.asyncio(loop_scope="module")

GAP_S = 2.0
LOST_S = 8.0


def pool(**spec: Any) -> dict[str, Any]:
    small = {"requests": {"cpu": "100m", "memory": "128Mi"}}  # the one node has two cores
    spec["template"] = {"resources": small, **spec.get("template", {})}
    quick = {
        "replicas": {"min": 1, "max": 3},
        "exposure": {"portRange": {"first": 40000, "last": 40019}},
        "autoscaling": {"scaleDownStabilization": "10s"},
        "drain": {"deadline": "10m", "migrateAfter": "5s"},
    }
    return {
        "apiVersion": "meetings.kcs.dev/v1alpha1",
        "kind": "SFUPool",
        "metadata": {"name": "talk"},
        "spec": {**quick, **spec},
    }


MEETING = {
    "apiVersion": "meetings.kcs.dev/v1alpha1",
    "kind": "Meeting",
    "metadata": {"name": "standup"},
    "spec": {"displayName": "Stand-up", "host": "ann"},
}


@pytest.fixture(scope="module")
def installed(real_cluster: Kubernetes) -> Iterator[Installed]:
    """The chart, installed, with a door to signaling."""
    found = Installed(real_cluster)
    found.install()
    with found.door():
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(
    installed: Installed, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Person]]:
    """The two, in their call, each in a browser of their own."""
    program = installed.chromium(tmp_path_factory.mktemp("chromium"))
    installed.apply(pool())
    installed.apply(MEETING)
    await until(lambda: installed.pool().get("readyReplicas") == 1, "a pod is ready", 120)
    await until(lambda: installed.meeting().get("phase") == "Ready", "the meeting is open")
    link = installed.meeting()["joinURL"]
    async with AsyncExitStack() as stack:
        found = []
        for name in ("Ann", "Ben"):
            browser = await stack.enter_async_context(Chromium(fps=5, program=program))
            found.append(await browser.join(link, name))
        await seen(lambda: everybody_gets_everybody(found), "the call runs", 60)
        yield found


async def all_gaps(people: list[Person]) -> tuple[float, float, int]:
    """The longest gaps of pictures and of sound of either, and how often anybody was there."""
    each = [await gaps(person) for person in people]
    return (
        max(one.pictures for one in each),
        max(one.sound for one in each),
        max(one.twice for one in each),
    )


async def test_a_declared_meeting_and_two_people_who_talk(
    installed: Installed, people: list[Person]
) -> None:
    await until(lambda: installed.meeting().get("participants") == 2, "the status counts them")
    found = installed.meeting()
    assert found["phase"] == "Active"
    assert found["joinURL"].startswith(URL)
    assert found["node"] in installed.pods()
    board = installed.kubectl("get", "mtg")
    assert "standup" in board
    assert "Active" in board


async def test_load_makes_a_second_pod_and_its_end_takes_one_without_a_cut(
    installed: Installed, people: list[Person]
) -> None:
    await watch(*people)
    with installed.bots(meetings=3):
        await until(lambda: installed.pool().get("readyReplicas", 0) >= 2, "a second pod")
        assert "reserved" in installed.pool()["lastScaleReason"]
    await until(lambda: len(installed.pods()) == 1, "one pod is left", 180)
    await seen(lambda: everybody_gets_everybody(people), "the call runs", 20)
    pictures, sound, twice = await all_gaps(people)
    print(f"scale up and down: pictures {pictures:.2f} s, sound {sound:.2f} s")
    assert (pictures <= GAP_S, sound <= GAP_S, twice) == (True, True, 0)


async def test_the_busy_pod_is_deleted_and_media_is_back_in_time(
    installed: Installed, people: list[Person]
) -> None:
    before = installed.meeting()
    await watch(*people)
    installed.kubectl("delete", "pod", before["node"], "--wait=false", "--grace-period=1")
    await until(lambda: installed.meeting().get("epoch", 0) > before["epoch"], "it has moved", 60)
    await seen(lambda: everybody_gets_everybody(people), "the call runs", 30)
    pictures, sound, twice = await all_gaps(people)
    print(f"pod deleted: pictures {pictures:.2f} s, sound {sound:.2f} s")
    assert (pictures <= LOST_S, sound <= LOST_S, twice) == (True, True, 0)
    assert installed.meeting()["node"] != before["node"]


async def test_a_rolling_update_during_the_call(installed: Installed, people: list[Person]) -> None:
    await until(lambda: len(installed.pods()) == 1, "one pod", 120)
    (old,) = installed.pods()
    await watch(*people)
    installed.apply(pool(template={"annotations": {"example.org/release": "two"}}))
    await until(
        lambda: old not in installed.pods() and len(installed.pods()) == 1, "a new pod", 180
    )
    await seen(lambda: everybody_gets_everybody(people), "the call runs", 20)
    pictures, sound, twice = await all_gaps(people)
    print(f"rolling update: pictures {pictures:.2f} s, sound {sound:.2f} s")
    assert (pictures <= GAP_S, sound <= GAP_S, twice) == (True, True, 0)


async def test_an_upgrade_of_the_release_during_the_call(
    installed: Installed, people: list[Person]
) -> None:
    before = set(installed.pods())
    await watch(*people)
    await asyncio.to_thread(installed.install, "--set-string", "operator.podAnnotations.again=yes")
    assert set(installed.pods()) == before, "an upgrade of the operator replaces no SFU pod"
    pictures, _, _ = await all_gaps(people)
    print(f"upgrade of the release: pictures {pictures:.2f} s")
    assert pictures <= GAP_S


async def test_joins_work_while_the_api_server_is_away(
    installed: Installed, people: list[Person], tmp_path: Path
) -> None:
    await watch(*people)
    link = installed.meeting()["joinURL"]
    with installed.cluster.stopped():
        began = time.monotonic()
        async with Chromium(fps=5, program=installed.chromium(tmp_path)) as browser:
            third = await browser.join(link, "Cy")
            three = [*people, third]
            await seen(lambda: everybody_gets_everybody(three), "three talk", 40)
        await asyncio.sleep(max(0.0, 60 - (time.monotonic() - began)))
        await seen(lambda: everybody_gets_everybody(people), "two talk", 40)
    pictures, _, _ = await all_gaps(people)
    print(f"API server away for 60 s: pictures {pictures:.2f} s")
    await until(lambda: installed.meeting().get("participants") == 2, "the status is right again")
    # a Kubernetes node that was not heard of for 40 s counts as lost, and its pods as not ready
    await until(installed.all_ready, "Kubernetes has found its node again", 120)


async def test_no_occupied_pod_is_lost_when_the_operator_dies_in_a_scale_down(
    installed: Installed, people: list[Person]
) -> None:
    await watch(*people)
    with installed.bots(meetings=3):
        await until(lambda: installed.pool().get("readyReplicas", 0) >= 2, "a second pod")

    def drains() -> bool:
        return any("drain-requested" in str(pod["metadata"]) for pod in installed.pods().values())

    await until(drains, "one drains", 120, every_s=0.1)
    installed.cluster.kubectl(
        "-n", RELEASE, "delete", "pods", "-l", "app.kubernetes.io/component=operator",
        "--grace-period=0", "--force",
    )  # fmt: skip
    await until(lambda: len(installed.pods()) == 1, "one pod is left", 180)
    await seen(lambda: everybody_gets_everybody(people), "the call runs", 20)
    pictures, sound, _ = await all_gaps(people)
    print(f"operator killed: pictures {pictures:.2f} s, sound {sound:.2f} s")
    assert (pictures <= GAP_S, sound <= GAP_S) == (True, True)


async def test_the_release_tests_itself(installed: Installed) -> None:
    told = await asyncio.to_thread(
        installed.cluster.helm, "test", RELEASE, "-n", RELEASE, "--logs", seconds=240
    )
    assert "Two bots held a call" in told


async def test_uninstall_leaves_nothing(installed: Installed) -> None:
    await asyncio.to_thread(
        installed.cluster.helm, "uninstall", RELEASE, "-n", RELEASE, "--wait", seconds=300
    )
    await until(lambda: not installed.get("pods")["items"], "no pod of the pool", 120)
    for kind in ("sfupools", "meetings", "poddisruptionbudgets", "services", "roles"):
        assert not installed.get(kind)["items"], kind
    await until(lambda: not installed.get("leases")["items"], "no Lease of the operator", 60)
    with pytest.raises(KubectlError):
        installed.cluster.kubectl(
            "get", "validatingwebhookconfiguration", f"{RELEASE}-operator-{RELEASE}"
        )
    await until(
        lambda: not installed.cluster.get("pods", "-n", RELEASE)["items"],
        "no pod of the release",
        60,
    )
    assert not installed.cluster.get("clusterroles", "-l", f"app.kubernetes.io/instance={RELEASE}")[
        "items"
    ]
    secrets = installed.cluster.get("secrets", "-n", MEDIA)["items"]
    assert [each["metadata"]["name"] for each in secrets] == []

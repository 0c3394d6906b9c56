"""What a pool says of itself while it starts, shrinks and fails, and what of that is told."""

from typing import Any

from kcs_contracts.labels import Role
from kcs_contracts.resources.v1alpha1 import SFUPool, SFUPoolStatus
from kcs_operator.decisions.observed import ObservedPod
from kcs_operator.decisions.pool_news import news
from kcs_operator.decisions.pool_status import Seen, status
from kcs_operator.decisions.scaling import Wanted

NOW = 1_000_000.0


def pod(*, age: float = 5, ready: bool = False, **more: Any) -> ObservedPod:
    fields: dict[str, Any] = {
        "name": "a",
        "uid": "u",
        "role": Role.SFU,
        "template_hash": "hash",
        "slot": 0,
        "created_at": NOW - age,
        "ready": ready,
        "alive": ready,
        "capacity": 50,
    }
    return ObservedPod(**{**fields, **more})


class Story:
    """A pool, and what was told of it so far."""

    def __init__(self) -> None:
        self.status = SFUPoolStatus()
        self.told: list[tuple[str, str]] = []

    def look(self, *pods: ObservedPod, desired: int = 1, problem: str = "") -> tuple[str, str]:
        """Availability after another look."""
        seen = Seen(
            name="pool",
            generation=1,
            pods=pods,
            sfu_hash="hash",
            turn_hash="",
            desired=desired,
            wanted=Wanted(desired, "Load", "participants: none"),
            desired_turn=0,
            start_seconds=0,
            problem=problem,
        )
        after = status(SFUPool(status=self.status), seen, NOW, "now")
        self.told += [(each.type, each.reason) for each in news(self.status, after)]
        self.status = after
        (found,) = [each for each in after.conditions if each.type == "Available"]
        return found.status, found.reason


def test_a_pool_that_starts_tells_a_normal_story() -> None:
    story = Story()
    assert story.look() == ("False", "Starting")
    assert story.look(pod()) == ("False", "Starting")
    assert story.look(pod(ready=True)) == ("True", "PodsReady")
    assert story.told == [("Normal", "ScaledUp"), ("Normal", "PodsReady")]


def test_so_does_one_that_may_have_no_pod() -> None:
    story = Story()
    assert story.look(desired=0) == ("False", "ScaledToZero")
    assert story.look(pod(age=3600, drain_reason="ScaledDown")) == ("False", "Starting")
    story.look(pod(ready=True))
    story.look(desired=0)
    assert story.told == [
        ("Normal", "ScaledUp"),
        ("Normal", "PodsReady"),
        ("Normal", "ScaledDown"),
        ("Normal", "ScaledToZero"),
    ]


def test_a_start_that_takes_long_is_trouble_and_told_once() -> None:
    story = Story()
    story.look(pod())
    for age in (121, 122, 5):  # and stays so until a pod is ready, also if that one is replaced
        assert story.look(pod(age=age)) == ("False", "NoPodReady")
    story.look(pod(ready=True))
    assert story.told[1:] == [("Warning", "NoPodReady"), ("Normal", "PodsReady")]


def test_a_pool_that_served_and_has_no_pod_is_in_trouble_at_once() -> None:
    story = Story()
    story.look(pod(ready=True))
    assert story.look(pod(age=1)) == ("False", "NoPodReady")
    assert story.told[-1] == ("Warning", "NoPodReady")


def test_other_trouble_in_the_place_of_the_first_is_told_and_its_end_too() -> None:
    story = Story()
    story.look(pod(ready=True))
    story.told.clear()
    story.look(pod(ready=True), problem="quota")
    story.look(pod(ready=True), problem="another quota")
    story.look(pod(ready=True), pod(name="b", ended=True))
    story.look(pod(ready=True))
    assert story.told == [
        ("Warning", "OperatorBlocked"),
        ("Warning", "PodsLost"),
        ("Normal", "AsExpected"),
    ]

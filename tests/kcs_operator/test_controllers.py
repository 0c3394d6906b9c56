"""What Kubernetes' own controllers do with our objects: autoscaling, and garbage collection."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.kubernetes import Kubernetes, Namespace
from tests.support.operator import connect, until
from tests.support.resources import install_crds, pool

from kcs_operator.leadership import Leadership

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """A Kubernetes with controllers that ends with these tests: they are busy also for nobody."""
    found = Kubernetes(tmp_path_factory.mktemp("kubernetes") / "controlled", controllers=True)
    found.start()
    try:
        install_crds(found)
        yield found
    finally:
        found.stop()


@pytest.fixture
def place(controlled: Kubernetes) -> Namespace:
    """A namespace whose objects are acted on."""
    return controlled.new_namespace()


def autoscaler() -> dict[str, Any]:
    """The guide's, but that it wants two pods at least: without measurements it does that alone."""
    blocks = GUIDE.read_text().split("```yaml\n")[1:]
    (text,) = [each.split("```")[0] for each in blocks if "HorizontalPodAutoscaler" in each]
    found: dict[str, Any] = yaml.safe_load(text)
    found["spec"]["minReplicas"] = 2
    return found


async def test_the_autoscaler_of_the_guide_scales_a_pool_that_has_a_first_number(
    place: Namespace,
) -> None:
    place.apply(pool(name="default"), autoscaler())

    async def says(reason: str) -> bool:
        conditions = place.get("hpa", "default").get("status", {}).get("conditions", ())
        return any(each["reason"] == reason for each in conditions)

    await until(lambda: says("FailedGetScale"), "it cannot read what nobody has said")
    place.kubectl("scale", "sfup/default", "--replicas=1")

    async def scaled() -> bool:
        return bool(place.get("sfup", "default")["spec"]["replicas"]["desired"] == 2)

    await until(scaled, "it says two")


async def test_the_operators_lease_goes_with_its_role(place: Namespace) -> None:
    place.kubectl("create", "role", "kcs-operator", "--verb=get", "--resource=pods")
    async with await connect(place.kubeconfig, place.name) as api:
        leads = Leadership(api, "kcs-operator", "a", 60, role="kcs-operator")
        await leads.acquire()
    assert place.get("lease", "kcs-operator")["spec"]["holderIdentity"] == "a"
    place.kubectl("delete", "role", "kcs-operator")

    async def gone() -> bool:
        return not place.get("leases")["items"]

    await until(gone, "no Lease is left")

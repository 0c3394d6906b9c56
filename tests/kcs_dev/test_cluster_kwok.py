"""Controllers, scheduler and nodes that seem to run pods."""

from tests.support.kubernetes import Kubernetes


def test_fifty_pods_run_on_ten_nodes_and_go_with_their_owner(kwok: Kubernetes) -> None:
    kwok.add_nodes(10, zones=("a", "b"))
    place = kwok.new_namespace()
    place.kubectl("create", "deployment", "many", "--image=localhost/nothing:1", "--replicas=50")
    place.kubectl("rollout", "status", "deployment/many", "--timeout=60s")
    pods = place.get("pods")["items"]
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert len({pod["status"]["podIP"] for pod in pods}) == 50
    assert {pod["spec"]["nodeName"] for pod in pods} == {f"fake-{number}" for number in range(10)}
    place.kubectl("delete", "deployment", "many")
    place.kubectl("wait", "--for=delete", "pod", "--all", "--timeout=60s")

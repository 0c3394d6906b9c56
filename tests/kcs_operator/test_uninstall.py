"""The chart's last step, with the operator gone: nothing of pools and meetings stays for ever."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.accounts import RELEASE, Account, grant, template
from tests.support.declared import declared
from tests.support.kubernetes import KubectlError, Namespace
from tests.support.operator import OperatorProcess, Pods, seat, sfu_pool, until

from kcs_contracts.labels import FINALIZER
from kcs_contracts.placement import Placement
from kcs_operator.cluster import Cluster

NAME = f"{RELEASE}-uninstall"
OURS = "meetings.kcs.dev"


class Uninstall:
    """The chart's hook: the program, with what its account may do."""

    def __init__(self, account: Account, kubeconfig: Path):
        self.account, self._kubeconfig = account, kubeconfig

    def __call__(self, *options: str, namespace: str = "") -> tuple[int, str]:
        """The exit status, and what it said."""
        argv = [sys.executable, "-m", "kcs_operator.uninstall"]
        argv += ["--namespace", namespace or self.account.namespace.name, *options]
        env = {"KUBECONFIG": str(self._kubeconfig)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def uninstall(namespace: Namespace, tmp_path: Path) -> Uninstall:
    grant(namespace, template(namespace.name, "uninstall"))
    account = Account(namespace, NAME)
    return Uninstall(account, account.kubeconfig(tmp_path))


@pytest.fixture
async def left_behind(
    namespace: Namespace,
    api: Cluster,
    new_operator: Callable[..., OperatorProcess],
    placement: Placement,
) -> AsyncIterator[None]:
    """A pool in whose call people are, and a meeting; their operator is dead."""
    async with Pods(api, placement) as pods:
        operator = new_operator()
        await operator.leads()
        namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}), declared())

        async def runs() -> bool:
            return len(pods.of("pool")) == 1

        await until(runs, "the pod runs")
        (node,) = pods.of("pool")
        await seat(placement, node, 3)

        async def held() -> bool:
            return (await finalizers(api, "sfupools", "pool")) == [FINALIZER]

        await until(held, "the pool has the finalizer")
        operator.kill()
        yield


async def finalizers(api: Cluster, plural: str, name: str) -> list[str]:
    found: list[str] = (await api.get(plural, name))["metadata"].get("finalizers", [])
    return found


async def test_what_would_stay_for_ever_goes(
    left_behind: None, namespace: Namespace, api: Cluster, uninstall: Uninstall
) -> None:
    await api.patch("meetings", "lab", {"metadata": {"finalizers": ["example.org/other"]}})
    namespace.kubectl("delete", "sfup", "pool", "--wait=false")
    assert await finalizers(api, "sfupools", "pool"), "by itself it does not go"
    status, said = uninstall("--delete", "--patience", "2")
    # no garbage collector runs here: the pool's pod is left, and that is an error
    assert (status, said) == (1, "not uninstalled: after 2 s: 1 pods of pools are there\n")
    assert await api.list("sfupools") == []
    assert await api.list("meetings") == []
    namespace.kubectl("delete", "pods", "--all", "--force", "--grace-period=0")
    assert uninstall("--delete", "--patience", "20") == (0, "")


async def test_without_delete_the_objects_stay_and_nothing_holds_them(
    left_behind: None, namespace: Namespace, api: Cluster, uninstall: Uninstall
) -> None:
    assert uninstall() == (0, "")
    assert await finalizers(api, "sfupools", "pool") == []
    assert len(await api.list("meetings")) == 1
    assert len(await api.list("pods")) == 1
    namespace.kubectl("delete", "sfup", "pool", "--timeout=10s")
    with pytest.raises(KubectlError):
        namespace.get("sfup", "pool")


async def test_finalizers_go_when_the_operator_is_gone_and_not_before(
    left_behind: None, namespace: Namespace, api: Cluster, tmp_path: Path
) -> None:
    keeps = ("--set", "uninstall.deleteObjects=false")
    objects = template(namespace.name, "uninstall", *keeps)
    grant(namespace, objects)
    account = Account(namespace, NAME)
    uninstall = Uninstall(account, account.kubeconfig(tmp_path))
    (job,) = [each for each in objects if each["kind"] == "Job"]
    (gone,) = [
        each
        for each in job["spec"]["template"]["spec"]["containers"][0]["args"]
        if each.startswith("--when-gone")
    ]
    labels = dict(each.split("=") for each in gone.split("/", 1)[1].split(","))
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "an-operator", "labels": labels},
            "spec": {"containers": [{"name": "operator", "image": "none"}]},
        }
    )
    status, said = uninstall(gone, "--patience", "2")
    assert (status, said) == (1, "not uninstalled: after 2 s: 1 pods of the operator are there\n")
    assert await finalizers(api, "sfupools", "pool") == [FINALIZER]
    namespace.kubectl("delete", "pod", "an-operator", "--force", "--grace-period=0")
    assert uninstall(gone) == (0, "")
    assert await finalizers(api, "sfupools", "pool") == []
    assert len(await api.list("meetings")) == 1
    namespace.kubectl("delete", "sfup", "pool", "--timeout=10s")
    everybody = Account(namespace, "default").rules(namespace.name)
    assert account.rules(namespace.name) - everybody == {
        *(
            (OURS, kind, "", verb)
            for kind in ("sfupools", "meetings")
            for verb in ("list", "patch")
        ),
        ("", "pods", "", "list"),
    }


async def test_it_writes_nothing_where_nothing_holds(
    namespace: Namespace, uninstall: Uninstall
) -> None:
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 2}), declared())
    assert uninstall() == (0, "")
    user = uninstall.account.user
    assert [each for each in namespace.writes() if each.user == user] == []


async def test_what_it_may_not_do_it_says(namespace: Namespace, uninstall: Uninstall) -> None:
    other = namespace.kubernetes.new_namespace()
    status, said = uninstall("--delete", namespace=other.name)
    assert status == 1
    assert said.startswith("not uninstalled: ")
    assert "forbidden" in said
    assert "Traceback" not in said


def test_its_account_may_do_this_and_no_more(namespace: Namespace, uninstall: Uninstall) -> None:
    everybody = Account(namespace, "default").rules(namespace.name)
    assert uninstall.account.rules(namespace.name) - everybody == {
        *((OURS, "sfupools", "", verb) for verb in ("list", "patch", "delete")),
        *((OURS, "meetings", "", verb) for verb in ("list", "patch", "delete")),
        ("", "pods", "", "list"),
    }

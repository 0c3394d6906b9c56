"""The API server that tests share, and those that they start and harm on their own."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.kubernetes import KubectlError, Kubernetes, Namespace


def _config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_objects_are_kept_and_wrong_ones_are_refused_with_a_sentence(cluster: Namespace) -> None:
    cluster.apply(_config_map("kept", greeting="hello"))
    assert cluster.get("configmap", "kept")["data"] == {"greeting": "hello"}
    with pytest.raises(KubectlError, match=r'"Not A Name".*a lowercase RFC 1123 subdomain'):
        cluster.apply(_config_map("Not A Name"))


def test_each_test_has_a_namespace_of_its_own_in_which_pods_may_be_created(
    api_server: Kubernetes, cluster: Namespace
) -> None:
    other = api_server.new_namespace()
    container = {"name": "main", "image": "localhost/nothing:1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waits"}}
    cluster.apply({**pod, "spec": {"containers": [container]}})
    assert cluster.get("pod", "waits")["status"]["phase"] == "Pending"
    assert other.get("pods")["items"] == []


def test_writes_are_told_one_by_one(cluster: Namespace) -> None:
    cluster.apply(_config_map("seen"))
    cluster.kubectl("annotate", "configmap", "seen", "why=test")
    cluster.get("configmap", "seen")
    with pytest.raises(KubectlError, match="forbidden"):
        cluster.kubectl("delete", "configmap", "seen", "--as", "nobody")
    writes = [write for write in _settled(cluster) if write[0] == "configmaps"]
    assert writes == [
        ("configmaps", "seen", "patch", 201),
        ("configmaps", "seen", "patch", 200),
        ("configmaps", "seen", "delete", 403),
    ]


def _settled(cluster: Namespace) -> list[tuple[str, str, str, int]]:
    time.sleep(0.3)  # an entry comes after its answer
    return [(write.resource, write.name, write.verb, write.status) for write in cluster.writes()]


def test_an_outage_of_the_api_server_loses_nothing(
    api_server: Kubernetes, cluster: Namespace
) -> None:
    cluster.apply(_config_map("kept", number="1"))
    with api_server.stopped(), pytest.raises(KubectlError, match="refused"):
        cluster.get("configmap", "kept")
    assert cluster.get("configmap", "kept")["data"] == {"number": "1"}
    with api_server.frozen(), pytest.raises(KubectlError, match="no answer"):
        cluster.kubectl("get", "configmap", "kept", seconds=2)
    assert cluster.get("configmap", "kept")["data"] == {"number": "1"}


def _processes_of(home: Path) -> list[int]:
    """Process ids that have this directory as theirs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            directory = os.readlink(process / "cwd")
        except OSError:
            continue
        if directory.removesuffix(" (deleted)") == str(home):
            found.append(int(process.name))
    return found


def test_nothing_is_left_of_a_stopped_one(api_server: Kubernetes, tmp_path: Path) -> None:
    second = Kubernetes(tmp_path / "second")
    second.start()
    etcd = (second.home / "etcd").resolve()
    assert etcd.is_dir()
    assert len(_processes_of(second.home)) >= 3
    assert api_server.kubectl("get", "--raw", "/readyz") == "ok"
    second.stop()
    assert _processes_of(second.home) == []
    assert not second.home.exists()
    assert not etcd.exists()
    assert api_server.kubectl("get", "--raw", "/readyz") == "ok"


def test_a_cluster_ends_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    cluster = Kubernetes(tmp_path / "watched")
    owner = subprocess.Popen(["sleep", "600"])
    cluster.start(owner=owner.pid)
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 20
    while _processes_of(cluster.home) or cluster.home.exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)

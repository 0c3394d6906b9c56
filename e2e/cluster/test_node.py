"""The real node: pods run, are reached by service and name, end in time; and nothing stays."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.kubernetes import KubectlError, Kubernetes, Namespace

NODE_IP, DNS_IP = "10.98.0.1", "10.98.0.10"


def _pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "localhost/pause:1", "imagePullPolicy": "Never"}
    metadata = {"name": name, "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], **spec},
    }


def test_pods_run_on_the_host_network_and_on_their_own(namespace: Namespace) -> None:
    namespace.apply(_pod("own"), _pod("host", hostNetwork=True))
    namespace.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    assert namespace.get("pod", "host")["status"]["podIP"] == NODE_IP
    assert namespace.get("pod", "own")["status"]["podIP"].startswith("10.97.0.")
    namespace.kubectl("delete", "pod", "--all", "--timeout=20s")  # SIGTERM is enough


def test_a_service_has_a_name_and_leads_to_its_pods(
    real_cluster: Kubernetes, namespace: Namespace
) -> None:
    ports = [{"port": 6443, "protocol": "TCP"}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"}}
    namespace.apply(
        _pod("api", hostNetwork=True),  # at whose address the API server listens
        {**service, "spec": {"selector": {"app": "api"}, "ports": ports}},
    )
    namespace.kubectl("wait", "--for=condition=Ready", "pod/api", "--timeout=60s")
    address = namespace.get("service", "api")["spec"]["clusterIP"]
    name = f"api.{namespace.name}.svc.cluster.local"
    script = f"{_LOOK_UP}\nprint(look_up({name!r}, {DNS_IP!r}))\nreach({address!r}, 6443)"
    found = subprocess.run(
        real_cluster.inside("python3", "-c", script), capture_output=True, text=True, timeout=30
    )
    assert (found.returncode, found.stdout.strip()) == (0, address), found.stderr


_LOOK_UP = """
import socket, struct, time

def look_up(name, server):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(1)
        for _ in range(10):
            udp.sendto(question, (server, 53))
            answer = udp.recv(512)
            if struct.unpack_from("!H", answer, 6)[0]:
                return socket.inet_ntoa(answer[-4:])
            time.sleep(0.5)

def reach(address, port):
    for _ in range(20):
        try:
            return socket.create_connection((address, port), timeout=1).close()
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"{address}:{port} does not answer")
"""


def _links() -> set[str]:
    return {link.name for link in Path("/sys/class/net").iterdir()}


def test_nothing_is_left_of_a_node(
    tmp_path: Path, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = _links()
    monkeypatch.setenv("CLUSTER_IMAGES", str(tmp_path / "none"))
    second = Kubernetes(tmp_path / "second", node=True)
    second.start()
    place = second.new_namespace()
    place.apply(_pod("runs"))
    place.kubectl("wait", "--for=condition=Ready", "pod/runs", "--timeout=60s")
    etcd = (second.home / "etcd").resolve()
    groups = [Path(file.read_text().strip()) for file in (second.home / "cgroup").iterdir()]
    assert all((group / "kubepods").is_dir() for group in groups)
    second.stop()
    left = [str(path) for path in (second.home, etcd, *groups) if path.exists()]
    assert left == []  # a group that is gone has no process: all of the cluster's were in them
    assert str(second.home) not in Path("/proc/mounts").read_text()
    assert _links() == links
    namespace.apply(_pod("still-served"))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/still-served", "--timeout=60s")


def test_an_outage_of_the_api_server_leaves_pods_running(
    real_cluster: Kubernetes, namespace: Namespace
) -> None:
    namespace.apply(_pod("runs"))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/runs", "--timeout=60s")
    with real_cluster.stopped(), pytest.raises(KubectlError, match="refused"):
        namespace.get("pod", "runs")
    (status,) = namespace.get("pod", "runs")["status"]["containerStatuses"]
    assert (status["ready"], status["restartCount"]) == (True, 0)

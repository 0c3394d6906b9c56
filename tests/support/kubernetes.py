"""A real Kubernetes for tests, started by `e2e/cluster/up.sh` and ended by `down.sh`.

Without more it is etcd and the API server: objects are validated, stored and watched, and nothing
acts on them. `controllers` adds the controllers and the scheduler, `kwok` nodes that seem to run
pods, `node` a real node. Tests share one and have a namespace each; who needs more than that starts
one of their own.
"""

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[2] / "e2e" / "cluster"
START_SECONDS = 180


class KubectlError(Exception):
    """What kubectl said when it failed; of a refused object, the API server's sentence."""


@dataclass(frozen=True)
class Write:
    """A write that the API server answered, from its audit log."""

    user: str
    agent: str
    verb: str
    resource: str  # with its subresource: pods/status
    namespace: str
    name: str
    status: int  # of HTTP


class Kubernetes:
    """A Kubernetes of this process's own.

    Args:
        home: a directory that is not there yet; it goes when the cluster stops.
        controllers: run the controller manager and the scheduler.
        kwok: run them and kwok; `add_nodes` then gives nodes.
        node: run them and, as root, a real node, all in a network of their own (see `inside`).
    """

    def __init__(
        self, home: Path, *, controllers: bool = False, kwok: bool = False, node: bool = False
    ):
        self.home = home
        self.kubeconfig = home / "admin.kubeconfig"
        self.programs = Path(_output([SCRIPTS / "build.sh", "--dir"]))
        self._controllers = controllers or kwok or node
        self._node = node
        self._options = ["--node"] if node else ["--fake-nodes"] if kwok else []
        if not self._controllers:
            self._options = ["--api-server"]
        self._numbers = itertools.count(1)

    def start(self, *, owner: int | None = None) -> None:
        """Returns when it is ready.

        Args:
            owner: the process with which it ends, where that is not this one.
        """
        if subprocess.run([SCRIPTS / "build.sh", "--is-built"]).returncode != 0:
            raise AssertionError("Kubernetes is not built yet (10 minutes): e2e/cluster/build.sh")
        self._run([SCRIPTS / "up.sh", *self._options, "--until", str(owner or os.getpid())])

    def stop(self) -> None:
        """Ends its processes and removes its directory."""
        self._run([SCRIPTS / "down.sh"])

    def _run(self, argv: Sequence[Path | str]) -> None:
        env = {**os.environ, "CLUSTER_DIR": str(self.home)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=START_SECONDS)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 60) -> str:
        """What kubectl prints; raises `KubectlError`."""
        argv = self.program("kubectl", *arguments)
        try:
            done = subprocess.run(
                argv, input=stdin, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"{arguments}: no answer in {seconds} s") from error
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip())
        return done.stdout

    def helm(self, *arguments: str, seconds: float = 120) -> str:
        """What helm prints; raises `subprocess.CalledProcessError`."""
        return _output(self.program("helm", *arguments), seconds=seconds)

    def inside(self, *argv: str) -> list[str]:
        """The command that runs a command in the cluster's network, which a real node has."""
        if not self._node:
            return list(argv)
        return ["nsenter", "--target", self._pid("namespaces-init"), "--net", *argv]

    def _in_all_namespaces(self, *argv: str) -> list[str]:
        if not self._node:
            return list(argv)
        namespaces = ["--net", "--mount", "--pid", "--ipc", "--uts", "--cgroup"]
        return ["nsenter", "--target", self._pid("namespaces-init"), *namespaces, *argv]

    def _pid(self, name: str) -> str:
        return (self.home / "pid" / name).read_text().strip()

    def program(self, name: str, *arguments: str) -> list[str]:
        """The command that runs kubectl or helm as the administrator."""
        program = str(self.programs / name)
        return self.inside(program, f"--kubeconfig={self.kubeconfig}", *arguments)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Creates or changes objects, as `kubectl apply --server-side` does."""
        items = {"apiVersion": "v1", "kind": "List", "items": objects}
        arguments = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        self.kubectl(*arguments, stdin=json.dumps(items))

    def get(self, *arguments: str) -> dict[str, Any]:
        """An object, or a list with its `items`, as the API server has it."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def new_namespace(self) -> "Namespace":
        """A fresh namespace in which pods may be created."""
        name = f"test-{next(self._numbers)}"
        self.kubectl("create", "namespace", name)
        if self._controllers:
            arguments = ("--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
            self.kubectl("wait", *arguments)
        else:
            self.kubectl("create", "serviceaccount", "default", "-n", name)
        return Namespace(self, name)

    def add_nodes(self, count: int, *, cpu: str = "32", zones: Sequence[str] = ("a",)) -> None:
        """Fake nodes `fake-0` and so on, spread over zones; needs `kwok`."""
        nodes = [_fake_node(n, cpu, zones[n % len(zones)]) for n in range(count)]
        items = {"apiVersion": "v1", "kind": "List", "items": nodes}
        self.kubectl("create", "-f", "-", stdin=json.dumps(items))
        self.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The API server is gone, as when its machine died; it comes back on the same port."""
        self._signal(signal.SIGKILL)
        try:
            yield
        finally:
            start = str(self.home / "start" / "kube-apiserver")
            subprocess.run(self._in_all_namespaces(start), check=True)
            self._wait_until_ready()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The API server accepts connections and answers nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)
            self._wait_until_ready()

    def _signal(self, number: signal.Signals) -> None:
        kill = ("kill", f"-{number.value}", self._pid("kube-apiserver"))
        subprocess.run(self._in_all_namespaces(*kill), check=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.kubectl("get", "--raw", "/readyz", "--request-timeout=5s")
            except KubectlError:
                assert time.monotonic() < deadline, "the API server did not come back"
                time.sleep(0.1)
            else:
                return

    def writes(self, namespace: str | None = None) -> list[Write]:
        """Every write since the start, in order; in one namespace or in all.

        A write may be missing some milliseconds after its answer.
        """
        lines = (self.home / "log" / "audit.jsonl").read_text().split("\n")
        found = [_write(json.loads(line)) for line in lines[:-1]]  # one may be half written
        return [write for write in found if namespace in (None, write.namespace)]


@dataclass(frozen=True)
class Namespace:
    """One test's part of a cluster; all commands go to this namespace."""

    kubernetes: Kubernetes
    name: str

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator of the whole cluster."""
        return self.kubernetes.kubeconfig

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 60) -> str:
        """As `Kubernetes.kubectl`."""
        argv = ("--namespace", self.name, *arguments)
        return self.kubernetes.kubectl(*argv, stdin=stdin, seconds=seconds)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """As `Kubernetes.apply`; objects need not name the namespace."""
        placed = [
            {**wanted, "metadata": {"namespace": self.name, **wanted["metadata"]}}
            for wanted in objects
        ]
        self.kubernetes.apply(*placed)

    def get(self, *arguments: str) -> dict[str, Any]:
        """As `Kubernetes.get`."""
        return self.kubernetes.get("--namespace", self.name, *arguments)

    def writes(self) -> list[Write]:
        """As `Kubernetes.writes`."""
        return self.kubernetes.writes(self.name)


def _output(argv: Sequence[Path | str], seconds: float = 60) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds)
    return done.stdout.strip()


def _fake_node(number: int, cpu: str, zone: str) -> dict[str, Any]:
    name = f"fake-{number}"
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
    size = {"cpu": cpu, "memory": "256Gi", "pods": "110"}
    annotations = {"kwok.x-k8s.io/node": "fake"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "status": {"allocatable": size, "capacity": size},
    }


def _write(entry: dict[str, Any]) -> Write:
    target = entry.get("objectRef", {})
    parts = [target.get("resource", ""), target.get("subresource", "")]
    return Write(
        user=entry["user"]["username"],
        agent=entry.get("userAgent", ""),
        verb=entry["verb"],
        resource="/".join(part for part in parts if part),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        status=entry["responseStatus"]["code"],
    )

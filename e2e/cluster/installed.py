"""The chart on a real node, as `install.sh` puts it there, and what the tests do with it.

Browsers and bots run in the cluster's network; `http://127.0.0.1:8080` leads to signaling there.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.kubernetes import SCRIPTS, KubectlError, Kubernetes

RELEASE, MEDIA = "kcs", "kcs-media"
URL = "http://127.0.0.1:8080"
_INSTALL_S = 400
_VALUES = (
    "--set-string",
    "signaling.env.KCS_AUTH__DEV_LOGIN=true",
    "--set-string",
    "signaling.env.KCS_LIMITS__ENABLED=false",
    "--set",
    "pools.default.enabled=false,pools.createNamespace=false",
)
_MEDIA_NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": MEDIA,
        "labels": {"pod-security.kubernetes.io/enforce": "privileged"},  # for ports of the host
    },
}


class Installed:
    """The release in a cluster."""

    def __init__(self, cluster: Kubernetes):
        self.cluster = cluster

    def install(self, *options: str) -> None:
        """Installs the chart, or upgrades it; returns when all of it is ready."""
        self.cluster.apply(_MEDIA_NAMESPACE)
        env = {**os.environ, "CLUSTER_DIR": str(self.cluster.home)}
        done = subprocess.run(
            [SCRIPTS / "install.sh", *_VALUES, *options],
            env=env,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 60) -> str:
        """In the pools' namespace."""
        return self.cluster.kubectl("-n", MEDIA, *arguments, stdin=stdin, seconds=seconds)

    def get(self, *arguments: str) -> dict[str, Any]:
        """An object of the pools' namespace."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def apply(self, body: dict[str, Any]) -> None:
        """As `kubectl apply` does it."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def pods(self, which: str = "meetings.kcs.dev/role=sfu") -> dict[str, dict[str, Any]]:
        """The pods of pools that have not been deleted, by name: the SFU pods, or those with other
        labels."""
        found = self.get("pods", "-l", which)["items"]
        return {
            pod["metadata"]["name"]: pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        }

    def pool(self, name: str = "talk") -> dict[str, Any]:
        """The status of the pool."""
        status: dict[str, Any] = self.get("sfupool", name).get("status", {})
        return status

    def meeting(self, name: str = "standup") -> dict[str, Any]:
        """The status of the declared meeting."""
        status: dict[str, Any] = self.get("meeting", name).get("status", {})
        return status

    def all_ready(self) -> bool:
        """Whether Kubernetes takes the node and all pods of the release for ready."""
        nodes = self.cluster.get("nodes")["items"]
        pods = self.cluster.get("pods", "-n", RELEASE)["items"]
        return all(
            condition["status"] == "True"
            for each in (*nodes, *pods)
            for condition in each["status"]["conditions"]
            if condition["type"] == "Ready"
        )

    @contextmanager
    def door(self) -> Iterator[None]:
        """`URL` leads to signaling, in the cluster's network."""
        service = self.cluster.get("service", f"{RELEASE}-signaling", "-n", RELEASE)
        address = service["spec"]["clusterIP"]
        pid = (self.cluster.home / "pid" / "namespaces-init").read_text().strip()
        forward = [sys.executable, str(SCRIPTS / "forward.py"), pid, f"8080:{address}:8080"]
        process = subprocess.Popen(self.cluster.inside(*forward))
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)

    def chromium(self, home: Path) -> str:
        """A program that starts Chromium in the cluster's network."""
        script = home / "chromium-inside"
        command = " ".join(self.cluster.inside("/usr/bin/chromium"))
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
        return str(script)

    @contextmanager
    def bots(self, meetings: int, people: int = 2) -> Iterator[None]:
        """So many meetings with so many bots each, until left."""
        bots = Path(__file__).parent / "bots.py"
        argv = [sys.executable, str(bots), URL, str(meetings), str(people)]
        process = subprocess.Popen(
            self.cluster.inside(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line == "all there\n", line or "the bots failed"
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()  # they leave and end their meetings
            process.wait(timeout=30)


async def until(
    check: Callable[[], bool], what: str, seconds: float = 90, every_s: float = 0.5
) -> float:
    """Waits until it holds, without holding up the browsers; how long that took, in s."""
    began = time.monotonic()
    while True:
        try:
            held = await asyncio.to_thread(check)
        except KubectlError:
            held = False
        if held:
            return time.monotonic() - began
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(every_s)


async def holds(check: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
    """It holds all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert await check(), what
        await asyncio.sleep(0.5)

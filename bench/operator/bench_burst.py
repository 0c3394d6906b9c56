"""From need to a pod that is Ready, and who was refused meanwhile: a burst on a real node.

    python -m bench.operator.bench_burst        as root: it starts a cluster of its own

The chart is installed as `e2e/cluster/install.sh` does it; the pods are real, and so are the joins.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from e2e.cluster.installed import URL, Installed
from tests.support.kubernetes import Kubernetes

from kcs_dev.measure import Figure, percentile, save

METHOD = (
    "A real Kubernetes on one node of this machine, images on the node, the chart installed. A pool"
    " of 1 to 4 pods of 50 people; with one pod ready, {meetings} meetings that expect 20 people"
    " each are made by REST, and their hosts join at the same moment, each over an own socket; who"
    " is refused asks again each second. Each meeting keeps room for 20, so two have room on a"
    " pod. Pods' times are the API server's, which has whole seconds. Each round begins with"
    " one pod."
)
_CROWD = Path(__file__).with_name("burst_crowd.py")
_POOL = {
    "apiVersion": "meetings.kcs.dev/v1alpha1",
    "kind": "SFUPool",
    "metadata": {"name": "talk"},
    "spec": {
        "replicas": {"min": 1, "max": 4},
        "exposure": {"portRange": {"first": 40000, "last": 40019}},
        "autoscaling": {"scaleDownStabilization": "10s"},
        # four of them fit on the one node, whatever else asks for its two cores
        "template": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
    },
}
MEETINGS, EXPECTED = 6, 20


@dataclass(frozen=True)
class Round:
    """One burst."""

    refused: int
    """Hosts who were refused at least once."""
    refusals: int
    longest_wait_s: float
    starts_s: tuple[float, ...]
    """From creation to Ready, of each pod that the burst made."""
    first_ready_s: float
    """From the burst to the first new pod's being Ready."""
    last_ready_s: float


def _round(installed: Installed, meetings: int) -> Round:
    before = set(installed.pods())
    argv = [sys.executable, str(_CROWD), URL, str(meetings), str(EXPECTED)]
    crowd = subprocess.Popen(
        installed.cluster.inside(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    if crowd.stdout.readline() != "ready\n":
        raise SystemExit("the crowd failed, see above")
    crowd.stdin.write("go\n")
    crowd.stdin.flush()
    line = crowd.stdout.readline()
    if not line:
        raise SystemExit("somebody did not get in, see above")
    told = orjson.loads(line)
    times = _times_of_new(installed, before)
    crowd.stdin.close()  # they end their meetings
    crowd.wait(timeout=60)
    return Round(
        refused=sum(1 for each in told["refused"] if each),
        refusals=sum(told["refused"]),
        longest_wait_s=max(told["waited_s"]),
        starts_s=tuple(ready - created for created, ready in times),
        first_ready_s=min(ready for _, ready in times) - told["began"],
        last_ready_s=max(ready for _, ready in times) - told["began"],
    )


def _times_of_new(installed: Installed, before: set[str]) -> list[tuple[float, float]]:
    """Of all pods that the burst made, once they are Ready.

    People come in before that: a node takes meetings as soon as it has a lease.
    """
    deadline = time.monotonic() + 60
    while True:
        found = [_times(pod) for name, pod in installed.pods().items() if name not in before]
        times = [each for each in found if each is not None]
        if times and len(times) == len(found):
            return times
        if time.monotonic() > deadline:
            raise SystemExit(f"new pods did not become Ready: {len(times)} of {len(found)}")
        time.sleep(0.5)


def _times(pod: Mapping[str, Any]) -> tuple[float, float] | None:
    """When it was made and when it became Ready; None when it is not yet."""
    for each in pod.get("status", {}).get("conditions", ()):
        if each["type"] == "Ready" and each["status"] == "True":
            created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
            ready = datetime.fromisoformat(each["lastTransitionTime"])
            return created.timestamp(), ready.timestamp()
    return None


def _one_pod(installed: Installed) -> None:
    """Waits until one pod is ready and no other is there."""
    deadline = time.monotonic() + 300
    while len(installed.pods()) != 1 or installed.pool().get("readyReplicas") != 1:
        if time.monotonic() > deadline:
            raise SystemExit(f"not one pod: {installed.pool()}")
        time.sleep(1)


def _figures(rounds: list[Round]) -> list[Figure]:
    starts = [start for each in rounds for start in each.starts_s]
    waits = [each.longest_wait_s for each in rounds]
    return [
        Figure("pod: creation to Ready, median", median(starts), "s"),
        Figure("pod: creation to Ready, longest", max(starts), "s"),
        Figure("burst to the first new pod Ready", median(r.first_ready_s for r in rounds), "s"),
        Figure("burst to the last new pod Ready", median(r.last_ready_s for r in rounds), "s"),
        Figure(
            "meetings refused at first",
            median(each.refused for each in rounds),
            "meetings",
            note=f"of {MEETINGS}; {median(each.refusals for each in rounds):g} refusals in all",
        ),
        Figure("longest wait of a host", percentile(waits, 50), "s"),
    ]


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as directory:
        cluster = Kubernetes(Path(directory) / "node", node=True)
        cluster.start()
        try:
            installed = Installed(cluster)
            installed.install()
            installed.apply(_POOL)
            with installed.door():
                for number in range(arguments.rounds):
                    _one_pod(installed)
                    found = _round(installed, MEETINGS)
                    print(f"  round {number}: {found}", flush=True)
                    rounds.append(found)
        finally:
            cluster.stop()
    kept = {
        "start_s": median(start for each in rounds for start in each.starts_s),
        "rounds": [asdict(each) for each in rounds],
    }
    save("burst", METHOD.format(meetings=MEETINGS), _figures(rounds), kept)


if __name__ == "__main__":
    main()

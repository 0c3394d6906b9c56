"""`make bench`: runs the benchmarks one after the other, each in a process of its own.

    python bench/run.py [NAME ...]

Each prints its figures and keeps its run in bench/results/<name>.json; at the end the table in
docs/performance.md is written from these.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDERS = {"sockets": "signaling", "flood": "signaling", "burst": "operator"}
"""Where a benchmark stands that has no folder of its own name."""
PARTS = {"PYTHONPATH": str(HERE.parent)}
"""Some share modules with each other, or with the tests: `bench.simulate.demand`."""
NAMES = (
    "driver",
    "signaling",
    "sockets",
    "flood",
    "joins",
    "bus",
    "replicas",
    "media",
    "latency",
    "memory",
    "turn",
    "placement",
    "operator",
    "burst",
    "simulate",
)


def main() -> int:
    """Returns how many benchmarks failed to run; a goal that is missed is not a failure."""
    wanted = sys.argv[1:] or NAMES
    if unknown := set(wanted) - set(NAMES):
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(NAMES)}.")
        return 2
    failed, env = [], {**os.environ, **PARTS}
    for name in wanted:
        print(f"\n== {name}", flush=True)
        script = HERE / FOLDERS.get(name, name) / f"bench_{name}.py"
        if subprocess.run([sys.executable, script], cwd=HERE.parent, env=env).returncode:
            failed.append(name)
    subprocess.run([sys.executable, HERE / "report.py"], cwd=HERE.parent, check=True)
    if failed:
        print(f"\nThese did not run to their end: {', '.join(failed)}.")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())

"""`make bench`: runs the benchmarks one after the other, each in a process of its own.

    python bench/run.py [NAME ...]

Each prints its figures and keeps its run in bench/results/<name>.json; at the end the table in
docs/performance.md is written from these.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FOLDERS = {"sockets": "signaling"}
"""Where a benchmark stands that has no folder of its own name."""
NAMES = (
    "driver",
    "signaling",
    "sockets",
    "joins",
    "bus",
    "replicas",
    "media",
    "latency",
    "memory",
)


def main() -> int:
    """Returns how many benchmarks failed to run; a goal that is missed is not a failure."""
    wanted = sys.argv[1:] or NAMES
    if unknown := set(wanted) - set(NAMES):
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(NAMES)}.")
        return 2
    failed = []
    for name in wanted:
        print(f"\n== {name}", flush=True)
        script = HERE / FOLDERS.get(name, name) / f"bench_{name}.py"
        if subprocess.run([sys.executable, script], cwd=HERE.parent).returncode:
            failed.append(name)
    subprocess.run([sys.executable, HERE / "report.py"], cwd=HERE.parent, check=True)
    if failed:
        print(f"\nThese did not run to their end: {', '.join(failed)}.")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())

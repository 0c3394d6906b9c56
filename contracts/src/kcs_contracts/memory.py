"""How much memory a service may use: what its metrics are compared with."""

from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MACHINE = Path("/proc/meminfo")


def memory_limit_bytes(cgroup: Path = _CGROUP_LIMIT, machine: Path = _MACHINE) -> int:
    """The container's limit (cgroup v2), else all that the machine has; 0 when neither is known."""
    found = [_container(cgroup), _total(machine)]
    return min((each for each in found if each), default=0)


def _container(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max": no limit
        return 0


def _total(path: Path) -> int:
    try:
        lines = path.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0

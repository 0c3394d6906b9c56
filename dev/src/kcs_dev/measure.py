"""What every benchmark needs: CPU and memory of a process, percentiles, Node packages, a record.

A benchmark measures and calls `save`, which prints each figure on a line and keeps the run as
`bench/results/<name>.json`; `bench/report.py` writes these into docs/performance.md.
"""

import hashlib
import math
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from kcs_dev.stack import ROOT

RESULTS = ROOT / "bench" / "results"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kcs-meetings"
_PACKAGES = ("python-socketio", "uvicorn", "websockets", "uvloop", "aiohttp", "redis", "pydantic")

_LOAD_AT_START = round(os.getloadavg()[0], 2)


@dataclass(frozen=True)
class Figure:
    """One measured number, and the goal that it was held against."""

    name: str
    value: float
    unit: str
    goal: str = ""
    """In words; empty where there is none."""
    met: bool | None = None
    note: str = ""

    def __str__(self) -> str:
        verdict = {True: "met", False: "NOT met", None: ""}[self.met]
        goal = f"   (goal {self.goal}: {verdict})" if self.goal else ""
        return f"{self.name:<64}{_short(self.value):>10} {self.unit}{goal}"


def at_most(name: str, value: float, unit: str, goal: float, note: str = "") -> Figure:
    """A figure whose goal is a bound from above."""
    return Figure(name, value, unit, f"<= {goal:g} {unit}", value <= goal, note)


def save(name: str, method: str, figures: Sequence[Figure], samples: dict[str, Any]) -> None:
    """Prints the figures and keeps the run; `samples` is what they were computed from."""
    for figure in figures:
        print(figure, flush=True)
    run = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "method": method,
        "figures": [asdict(figure) for figure in figures],
        "samples": samples,
    }
    RESULTS.mkdir(exist_ok=True)
    new = RESULTS / f"{name}.json.tmp"
    new.write_bytes(orjson.dumps(run, option=orjson.OPT_INDENT_2) + b"\n")
    new.replace(RESULTS / f"{name}.json")


def cpu_s(pid: int) -> float:
    """User and system time that the process has used, all threads, to the nanosecond.

    Source: clock_getcpuclockid(3); the kernel's encoding of a process's CPU clock.
    """
    return time.clock_gettime((~pid << 3) | 2)


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident and proportional set size: PSS counts a shared page once among its sharers."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {key: int(rest.split()[0]) for key, rest in (line.split(":") for line in rollup)}
    return kib["Rss"] / 1024, kib["Pss"] / 1024


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def node_modules(package: Path) -> Path:
    """The packages that `package` (with package.json and package-lock.json) names, in the cache.

    Install scripts do not run: pure JavaScript, and mediasoup takes our worker.
    """
    files = [package / name for name in ("package.json", "package-lock.json", ".npmrc")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    home = CACHE / f"bench-{package.name}-{digest}"
    if not (home / "node_modules").is_dir():
        print(f"npm packages of bench/{package.name} ...", flush=True)
        home.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, home)
        argv = ["npm", "ci", "--ignore-scripts", "--silent", "--no-progress"]
        subprocess.run(argv, cwd=home, check=True)
    return home / "node_modules"


def c_program(source: Path, *libraries: str) -> Path:
    """The C program of that one source file, compiled into the cache."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    program = CACHE / f"bench-{source.stem}-{digest}"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(".new")
        links = [f"-l{library}" for library in libraries]
        flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", str(fresh)]
        subprocess.run(["cc", *flags, str(source), *links], check=True)
        fresh.replace(program)
    return program


def machine() -> dict[str, Any]:
    """What the run ran on. The load before it tells whether anything else was busy."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "kernel": platform.release(),
        "load_average_at_start": _LOAD_AT_START,
        "versions": {
            "python": platform.python_version(),
            "node": _line("node", "--version").removeprefix("v"),
            "Redis server": _line("redis-server", "--version").split()[2].removeprefix("v="),
            **{name: version(name) for name in _PACKAGES},
        },
    }


def _line(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"

"""How much memory a service may use."""

from pathlib import Path

import pytest

from kcs_contracts.memory import memory_limit_bytes

MEMINFO = "MemTotal:       1000 kB\nMemFree:         500 kB\n"


@pytest.mark.parametrize(
    ("cgroup", "meminfo", "limit"),
    [
        ("4096\n", MEMINFO, 4096),
        ("max\n", MEMINFO, 1_024_000),
        (None, MEMINFO, 1_024_000),
        ("9223372036854771712\n", MEMINFO, 1_024_000),
        ("4096\n", None, 4096),
        ("max\n", "nothing of the kind\n", 0),
        (None, None, 0),
    ],
)
def test_it_is_the_containers_limit_or_what_the_machine_has(
    tmp_path: Path, cgroup: str | None, meminfo: str | None, limit: int
) -> None:
    for name, text in (("cgroup", cgroup), ("meminfo", meminfo)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert memory_limit_bytes(tmp_path / "cgroup", tmp_path / "meminfo") == limit


def test_this_machine_has_some() -> None:
    assert memory_limit_bytes() > 2**20

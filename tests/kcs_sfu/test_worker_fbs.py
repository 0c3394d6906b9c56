"""The generated code of the worker's messages is what its .fbs files say."""

import filecmp
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kcs_sfu import mediasoup
from kcs_sfu.mediasoup.version import MEDIASOUP_VERSION

ROOT = Path(__file__).parents[2]
FLATC = "2.0.8"
"""Bookworm's; other versions generate other code."""


def test_the_generated_messages_are_not_stale(tmp_path: Path) -> None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kcs-meetings"
    package = cache / f"node-mediasoup-{MEDIASOUP_VERSION}" / "node_modules" / "mediasoup"
    if not package.exists():
        pytest.skip(f"{package} is missing; test_ortc.py installs it")
    if shutil.which("flatc") is None or FLATC not in subprocess.getoutput("flatc --version"):
        pytest.skip(f"flatc {FLATC} is missing (Debian: flatbuffers-compiler)")
    script = ROOT / "sfu-node" / "worker" / "generate_fbs.sh"
    fresh = tmp_path / "fbs"
    subprocess.run([script, package / "worker" / "fbs", fresh], check=True)
    committed = Path(mediasoup.__file__).parent / "fbs"
    names = sorted(p.relative_to(fresh) for p in fresh.rglob("*.py"))
    assert names == sorted(p.relative_to(committed) for p in committed.rglob("*.py"))
    _, different, broken = filecmp.cmpfiles(fresh, committed, names, shallow=False)
    assert (different, broken) == ([], []), f"run {script} and commit the result"

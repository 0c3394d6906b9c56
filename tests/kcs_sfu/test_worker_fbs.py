"""What follows from the worker's sources is up to date: generated code, and the built binary."""

import filecmp
import hashlib
import subprocess
from pathlib import Path

import pytest

from kcs_sfu import mediasoup
from kcs_sfu.mediasoup.version import WORKER_NAME

WORKER = Path(__file__).parents[2] / "sfu-node" / "worker"

RECIPE_SHA256 = "aa3f16f43052c6f0bdfd7f2acaa0c7a06ea4d80fe5c77b9955d40ef685dc4519"
"""Of build.sh and overlay/, as of the WORKER_RECIPE in version.py."""


def test_the_generated_messages_are_not_stale(node_mediasoup: Path, tmp_path: Path) -> None:
    script = WORKER / "generate_fbs.sh"
    package = node_mediasoup / "node_modules" / "mediasoup"
    fresh = tmp_path / "fbs"
    done = subprocess.run(
        [script, package / "worker" / "fbs", fresh], capture_output=True, text=True
    )
    if done.returncode:
        pytest.fail(done.stderr)
    committed = Path(mediasoup.__file__).parent / "fbs"
    names = sorted(p.relative_to(fresh) for p in fresh.rglob("*.py"))
    assert names == sorted(p.relative_to(committed) for p in committed.rglob("*.py"))
    _, different, broken = filecmp.cmpfiles(fresh, committed, names, shallow=False)
    assert (different, broken) == ([], []), "run `make generate` and commit the result"


def test_a_changed_build_is_a_new_binary_in_the_cache() -> None:
    digest = hashlib.sha256()
    overlay = sorted(path for path in (WORKER / "overlay").rglob("*") if path.is_file())
    for path in (WORKER / "build.sh", *overlay):
        digest.update(f"{path.relative_to(WORKER)}\0".encode() + path.read_bytes() + b"\0")
    assert digest.hexdigest() == RECIPE_SHA256, (
        "sfu-node/worker's build.sh or overlay/ changed: if the binary changes with it, raise "
        "WORKER_RECIPE in version.py, or nobody who has one builds anew; then set RECIPE_SHA256"
    )
    named = subprocess.run([WORKER / "build.sh", "--name"], capture_output=True, text=True)
    assert named.stdout.strip() == WORKER_NAME

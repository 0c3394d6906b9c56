"""How Kubernetes' programs get into the cache; a script stands in for the Go compiler."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.kubernetes import SCRIPTS

BUILD = SCRIPTS / "build.sh"
GO = """#!/bin/bash
case $1 in
  env) echo "go${GO_VERSION:-1.26.0}" ;;
  list) seq 20 ;;
  build)
    echo once >>"$XDG_CACHE_HOME/builds"
    seq 20
    [ -z "$GO_FAILS" ] || { echo "kube/main.go:1: no such thing"; exit 1; }
    sleep 1
    for argument; do case $argument in */.*/) out=$argument ;; esac; done
    for program in kube dns pause kwok; do touch "$out/$program"; chmod +x "$out/$program"; done ;;
esac
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An empty cache, and a `go` that compiles in a second."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    path = f"{go.parent}:{os.environ['PATH']}"
    found = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": path}
    found.pop("KUBEBUILDER_ASSETS", None)
    (tmp_path / "cache").mkdir()
    return found


def _run(env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUILD, *options], env=env, capture_output=True, text=True, timeout=60)


def test_two_callers_at_once_build_once(env: dict[str, str], tmp_path: Path) -> None:
    directory = Path(_run(env, "--dir").stdout.strip())
    assert directory.is_relative_to(tmp_path / "cache" / "kcs-meetings" / "kubernetes")
    assert _run(env, "--is-built").returncode == 1
    callers = [
        subprocess.Popen([BUILD], env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = "".join(caller.communicate(timeout=60)[0] for caller in callers)
    assert [caller.returncode for caller in callers] == [0, 0]
    assert (tmp_path / "cache" / "builds").read_text() == "once\n"
    assert "50 %" in said
    assert _run(env, "--is-built").returncode == 0
    assert {"etcd", "kube-apiserver", "kubectl", "helm", "coredns", "kwok"} <= {
        program.name for program in directory.iterdir()
    }
    assert (_run(env).returncode, _run(env).stdout) == (0, "")


def test_a_build_that_fails_says_why_and_leaves_nothing(env: dict[str, str]) -> None:
    failed = _run({**env, "GO_FAILS": "yes"})
    assert failed.returncode == 1
    assert "no such thing" in failed.stderr
    assert "the compiler failed" in failed.stderr
    assert _run(env, "--is-built").returncode == 1
    assert _run(env).returncode == 0


def test_an_old_go_is_told_what_is_needed(env: dict[str, str]) -> None:
    failed = _run({**env, "GO_VERSION": "1.24.9"})
    assert failed.returncode == 1
    assert "Go 1.26 or newer is needed, this is 1.24.9" in failed.stderr


def test_ready_made_programs_are_taken(env: dict[str, str], tmp_path: Path) -> None:
    env["KUBEBUILDER_ASSETS"] = str(tmp_path / "assets")
    refused = _run(env)
    assert refused.returncode == 1
    assert "there is no kube-apiserver in KUBEBUILDER_ASSETS" in refused.stderr
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "kube-apiserver").touch(mode=0o755)
    assert _run(env).returncode == 0
    assert _run(env, "--dir").stdout.strip() == env["KUBEBUILDER_ASSETS"]

"""The chart as Helm renders it, without a cluster."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.support.kubernetes import SCRIPTS

CHART = SCRIPTS.parents[1] / "charts" / "kcs-meetings"
URL = "https://meet.example.org"
HOOK = "helm.sh/hook"
PROMETHEUS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
"""Kinds of prometheus-operator."""


class Refused(Exception):
    """Helm did not render: what it said."""


@cache
def _helm() -> Path:
    done = subprocess.run([SCRIPTS / "build.sh", "--dir"], capture_output=True, text=True)
    helm = Path(done.stdout.strip()) / "helm"
    assert helm.exists(), "helm is not built yet (10 minutes): e2e/cluster/build.sh"
    return helm


def helm(*arguments: str | Path) -> str:
    """What helm prints; raises `Refused`."""
    done = subprocess.run([_helm(), *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Refused(done.stderr.strip())
    return done.stdout


def render(*, apis: Sequence[str] = (), url: str = URL, **values: object) -> list[dict[str, Any]]:
    """All objects, hooks too, of a release `kcs` in the namespace `kcs`.

    `apis` are kinds that the cluster has, `values` go over the chart's own; `a__b` is `a.b`.
    """
    settings = [f"publicURL={json.dumps(url)}"]
    settings += [f"{name.replace('__', '.')}={json.dumps(value)}" for name, value in values.items()]
    options = [option for each in settings for option in ("--set-json", each)]
    options += [option for each in apis for option in ("--api-versions", each)]
    text = helm("template", "kcs", CHART, "--namespace", "kcs", *options)
    return [each for each in yaml.safe_load_all(text) if each]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one object of that kind and name."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the objects make pods of: name, and the pod's `metadata` and `spec`."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each
        elif "template" in each.get("spec", {}) and each["kind"] != "SFUPool":
            yield each["metadata"]["name"], each["spec"]["template"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the pod, those that initialise it too."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]

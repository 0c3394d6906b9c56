"""Service accounts of the chart on a real API server: what Helm renders is what they may do."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.support.chart import CHART, URL, helm
from tests.support.kubernetes import Namespace

RELEASE = "kcs"
_RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


def template(namespace: str, name: str, *options: str) -> list[dict[str, Any]]:
    """The objects of one of the chart's templates, of a release in that namespace."""
    arguments = ("--namespace", namespace, "--set", f"publicURL={URL}", *options)
    text = helm("template", RELEASE, CHART, "--show-only", f"templates/{name}.yaml", *arguments)
    return [each for each in yaml.safe_load_all(text) if each]


def grant(namespace: Namespace, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Applies the accounts among the objects, and all that gives them rights; answers these."""
    rights = [each for each in objects if each["kind"] in _RIGHTS]
    namespace.apply(*rights)
    return rights


@dataclass(frozen=True)
class Account:
    """A service account and the rights that it has."""

    namespace: Namespace
    name: str

    @property
    def user(self) -> str:
        """Its name as a user, as the audit log has it."""
        return f"system:serviceaccount:{self.namespace.name}:{self.name}"

    def kubeconfig(self, folder: Path) -> Path:
        """A file by which a client is this account, with a token that the API server gave."""
        token = self.namespace.kubectl("create", "token", self.name, "--duration=1h").strip()
        found = json.loads(self.namespace.kubectl("config", "view", "--raw", "-o", "json"))
        for each in found["users"]:
            each["user"] = {"token": token}
        path = folder / f"{self.name}.kubeconfig"
        path.write_text(json.dumps(found))
        path.chmod(0o600)
        return path

    def rules(self, namespace: str) -> set[tuple[str, str, str, str]]:
        """All that it may do there: group, resource, name ("" is any) and verb.

        Rights to addresses that are no objects have the group "-".
        """
        status = self._ask("SelfSubjectRulesReview", {"namespace": namespace})
        found = {
            (group, resource, name, verb)
            for rule in status["resourceRules"]
            for group in rule.get("apiGroups", ())
            for resource in rule.get("resources", ())
            for name in rule.get("resourceNames") or [""]
            for verb in rule["verbs"]
        }
        paths = {
            ("-", path, "", verb)
            for rule in status["nonResourceRules"]
            for path in rule.get("nonResourceURLs", ())
            for verb in rule["verbs"]
        }
        return found | paths

    def may(self, **attributes: str) -> bool:
        """Whether the API server would let it."""
        status = self._ask("SelfSubjectAccessReview", {"resourceAttributes": attributes})
        return bool(status["allowed"])

    def _ask(self, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        arguments = ("create", "--validate=false", "--as", self.user, "-o", "json", "-f", "-")
        answer = self.namespace.kubernetes.kubectl(*arguments, stdin=json.dumps(body))
        status: dict[str, Any] = json.loads(answer)["status"]
        return status

"""The Prometheus rules: up to date, understood by promtool, and each alert has a runbook."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from kcs_contracts.generate.files import stale
from kcs_contracts.resources.v1alpha1.sfupool import SFUPoolSpec
from kcs_dev.observability.rules.files import ALERTS, RECORDINGS, rule_files
from kcs_dev.observability.rules.model import RUNBOOKS, Alert
from kcs_dev.stack import ROOT

PAGES = ROOT / "docs" / "runbooks"
HEADINGS = ["What it means", "Who suffers", "Look first", "Do", "Do not"]
GUIDE = {
    "SFU worker crash or unresponsive": [
        "KcsSfuWorkerCrashed",
        "KcsSfuWorkerMissing",
        "KcsSfuNodeDown",
        "KcsSfuLeaseLost",
        "KcsSfuOperationsFailing",
    ],
    "Signaling server down": ["KcsSignalingDown"],
    "Database unavailable": ["KcsDatabaseUnavailable"],
    "TURN server failure": ["KcsTurnDown"],
    "Connection success rate <95%": ["KcsConnectionSuccessLow"],
    "CPU >90% for >5 minutes": ["KcsCpuCritical"],
    "CPU >80% for >5 minutes": ["KcsCpuHigh"],
    "Memory >85%": ["KcsMemoryHigh"],
    "Packet loss >2%": ["KcsPacketLossHigh"],
    "RTT >200ms": ["KcsRttHigh"],
    "Disk space <20%": ["KcsDiskSpaceLow"],
}
"""The architecture guide's lines, and what stands for each."""


def test_the_charts_rules_are_up_to_date() -> None:
    assert stale(ROOT, rule_files()) == [], "run `make generate`"


@pytest.mark.parametrize("path", sorted(rule_files()))
def test_promtool_finds_nothing_wrong(path: str) -> None:
    argv = ["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(ROOT / path)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("heading", "severity"), [("Critical", "critical"), ("Warning", "warning")]
)
def test_every_alert_of_the_guide_is_there_and_as_severe(heading: str, severity: str) -> None:
    guide = (ROOT / "docs" / "guides" / "architecture-guide.md").read_text()
    listed = guide.partition(f"**{heading} Alerts")[2].partition("\n\n")[0]
    lines = [line[2:] for line in listed.splitlines() if line.startswith("- ")]
    assert len(lines) >= 5
    severities = {alert.name: alert.severity for alert in ALERTS}
    for line in lines:
        for name in GUIDE[line]:
            assert severities[name] == severity, (line, name)


def test_names_are_used_once() -> None:
    names = [alert.name for alert in ALERTS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"Kcs[A-Z][A-Za-z]+", name) for name in names)
    assert all(re.fullmatch(r"kcs:[a-z_]+:[a-z0-9_]+", r.name) for r in RECORDINGS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_what_is_wrong_and_has_a_runbook(alert: Alert) -> None:
    annotations = alert.rule()["annotations"]
    assert annotations["runbook"] == f"{RUNBOOKS}/{alert.name}.md"
    assert alert.summary.endswith(".")
    assert "First:" in alert.description
    text = (ROOT / annotations["runbook"]).read_text()
    assert text.startswith(f"# {alert.name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert f"**{alert.severity}**" in text


def test_fields_of_a_pool_that_runbooks_name_are_there() -> None:
    spec = SFUPoolSpec.model_json_schema(by_alias=True)
    found = {
        (group, name)
        for page in PAGES.glob("*.md")
        for group, name in re.findall(r"`(?:spec\.)?(\w+)\.(\w+)", page.read_text())
        if group in spec["properties"]
    }
    assert len(found) > 8
    for group, name in found:
        (definition,) = re.findall(r"#/\$defs/(\w+)", str(spec["properties"][group]))
        assert name in spec["$defs"][definition]["properties"], f"{group}.{name}"


def test_there_is_no_runbook_without_an_alert_and_the_list_has_all() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    names = {alert.name for alert in ALERTS}
    assert pages == names
    listed = re.findall(r"\[(Kcs\w+)\]\(\1\.md\)", (PAGES / "README.md").read_text())
    assert sorted(listed) == sorted(names)


def test_the_files_hold_what_is_declared_and_nothing_more() -> None:
    found = [
        rule.get("alert") or rule["record"]
        for path in rule_files()
        for group in yaml.safe_load((ROOT / Path(path)).read_text())["groups"]
        for rule in group["rules"]
    ]
    assert sorted(found) == sorted([a.name for a in ALERTS] + [r.name for r in RECORDINGS])

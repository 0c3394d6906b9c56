"""Each alert, by promtool: fires when it should, after its time, and not just below its bound."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kcs_dev.observability.rules.files import ALERTING, ALERTS, rule_files
from kcs_dev.observability.rules.model import Alert
from kcs_dev.observability.rules.recording import RECORDING
from kcs_dev.stack import ROOT

STEP_S = 15
Series = Mapping[str, str]
"""Values by series, as promtool has them but for the length: `1` stays, `0+2` grows, `0 1` once."""

NS = 'namespace="meet"'
NODE = f'job="kcs-sfu",{NS},pod="sfu-0",pool="main"'
SIG = f'job="kcs-signaling",{NS},pod="sig-0"'
OTHER = f'job="kcs-signaling",{NS},pod="sig-1"'
OP = f'job="kcs-operator",{NS},pod="op-0"'
FOLLOWER = f'job="kcs-operator",{NS},pod="op-1"'
TURN = f'job="kcs-turn",{NS},pod="turn-0",pool="main"'
IN_NS = {"namespace": "meet"}
OF_POOL = {**IN_NS, "pool": "main"}
ON_NODE = {**OF_POOL, "pod": "sfu-0"}
ON_TURN = {**OF_POOL, "pod": "turn-0"}
LEADS: Series = {f"kcs_operator_leader{{{OP}}}": "1", f"kcs_operator_leader{{{FOLLOWER}}}": "0"}
REDIS_UP = {f'kcs_signaling_dependency_up{{{SIG},dependency="redis"}}': "1"}


@dataclass(frozen=True)
class Fires:
    """What makes it fire, and the labels that it then has beside its own."""

    alert: str
    series: Series
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Calm:
    """What must not."""

    alert: str
    series: Series


def commands(ok: float, **results: float) -> Series:
    name = f'kcs_signaling_commands_total{{{SIG},event="chat:send",result='
    return {f'{name}"{r}"}}': f"0+{n}" for r, n in {"ok": ok, **results}.items()}


def operations(ok: float, unavailable: float) -> Series:
    name = f'kcs_sfu_operations_total{{{NODE},op="consume",result='
    return {f'{name}"ok"}}': f"0+{ok}", f'{name}"UNAVAILABLE"}}': f"0+{unavailable}"}


def connections(connected: float, ice_failed: float, abandoned: float = 0) -> Series:
    name = f"kcs_sfu_connections_total{{{NODE},outcome="
    outcomes = {"connected": connected, "ice_failed": ice_failed, "abandoned": abandoned}
    return {f'{name}"{outcome}"}}': f"0+{n}" for outcome, n in outcomes.items()}


def sampled(histogram: str, mean: float) -> Series:
    labels = f'{NODE},direction="in"'
    return {
        f"{histogram}_sum{{{labels}}}": f"0+{mean * 100}",
        f"{histogram}_count{{{labels}}}": "0+100",
    }


def answered(within_1_s: float) -> Series:
    name = f'kcs_signaling_command_seconds_bucket{{{SIG},event="room:join",le='
    return {
        f'{name}"1"}}': f"0+{within_1_s}",
        f'{name}"2.5"}}': "0+100",
        f'{name}"+Inf"}}': "0+100",
    }


def worker_cpu(share: float) -> Series:
    return {f'kcs_sfu_worker_cpu_seconds_total{{{NODE},worker="3"}}': f"0+{share * STEP_S}"}


def process_cpu(share: float) -> Series:
    return {f"process_cpu_seconds_total{{{SIG}}}": f"0+{share * STEP_S}"}


def node_memory(own: int, worker: int) -> Series:
    workers = {f'kcs_sfu_worker_memory_bytes{{{NODE},worker="{n}"}}': str(worker) for n in (0, 1)}
    limit = {f"kcs_sfu_memory_limit_bytes{{{NODE}}}": "1000"}
    return {f"process_resident_memory_bytes{{{NODE}}}": str(own), **workers, **limit}


def signaling_memory(own: int) -> Series:
    limit = {f"kcs_signaling_memory_limit_bytes{{{SIG}}}": "1000"}
    return {f"process_resident_memory_bytes{{{SIG}}}": str(own), **limit}


def volume(available: int, namespace: str) -> Series:
    labels = f'namespace="{namespace}",persistentvolumeclaim="data-0",node="n1"'
    return {
        f"up{{{SIG}}}": "1",
        f"kubelet_volume_stats_available_bytes{{{labels}}}": str(available),
        f"kubelet_volume_stats_capacity_bytes{{{labels}}}": "100",
    }


def pods(wanted: int, **states: int) -> Series:
    name = f'kcs_operator_pods{{{OP},pool="main",role="sfu",state='
    return {
        **LEADS,
        f'kcs_operator_desired_pods{{{OP},pool="main",role="sfu"}}': str(wanted),
        **{f'{name}"{state}"}}': str(n) for state, n in states.items()},
    }


def another_pool(wanted: int) -> Series:
    return {f'kcs_operator_desired_pods{{{OP},pool="other",role="sfu"}}': str(wanted)}


def capacity(free: int) -> Series:
    name = f'kcs_operator_capacity_participants{{{OP},pool="main",state='
    return {**LEADS, f'{name}"free"}}': str(free), f'{name}"total"}}': "100"}


def reconciles(ok: float, temporary: float) -> Series:
    name = f'kcs_operator_reconciles_total{{{OP},kind="SFUPool",result='
    return {f'{name}"ok"}}': f"0+{ok}", f'{name}"temporary"}}': f"0+{temporary}"}


def dependency(name: str, first: int, second: int) -> Series:
    metric = "kcs_signaling_dependency_up"
    return {
        f'{metric}{{{SIG},dependency="{name}"}}': str(first),
        f'{metric}{{{OTHER},dependency="{name}"}}': str(second),
    }


def turn_refused(code: int) -> Series:
    return {f'kcs_turn_refused_total{{{TURN},method="allocate",code="{code}"}}': "0+1"}


def relays(count: int) -> Series:
    return {f"kcs_turn_allocations{{{TURN}}}": str(count), f"up{{{TURN}}}": "1"}


NO_CAPACITY = f"kcs_signaling_no_capacity_total{{{SIG}}}"
RESTARTS = f"kcs_sfu_worker_restarts_total{{{NODE}}}"
LOST = f'kcs_signaling_journal_lost_total{{{SIG},kind="samples"}}'
UNSWEPT = f'kcs_signaling_retention_failed_total{{{SIG},step="stats_anonymised"}}'
WORKERS, WANTED = f"kcs_sfu_workers{{{NODE}}}", f"kcs_sfu_workers_configured{{{NODE}}}"
NODES = f"kcs_signaling_nodes{{{SIG}}}"
FROM_A_WORKER = {**ON_NODE, "job": "kcs-sfu", "part": "worker", "worker": "3"}
FROM_A_PROCESS = {**IN_NS, "pod": "sig-0", "job": "kcs-signaling", "part": "process"}
SFU_ROLE = {**OF_POOL, "role": "sfu"}

CASES: list[Fires | Calm] = [
    Fires("KcsSfuNodeDown", {f"up{{{NODE}}}": "0"}, ON_NODE),
    Calm("KcsSfuNodeDown", {f"up{{{NODE}}}": "1", f"up{{{SIG}}}": "0"}),
    Fires("KcsSfuWorkerCrashed", {RESTARTS: "0 1"}, ON_NODE),
    Calm("KcsSfuWorkerCrashed", {RESTARTS: "3"}),
    Fires("KcsSfuWorkerMissing", {WORKERS: "3", WANTED: "4"}, ON_NODE),
    Calm("KcsSfuWorkerMissing", {WORKERS: "4", WANTED: "4"}),
    Fires("KcsSfuLeaseLost", {f"kcs_sfu_lease_age_seconds{{{NODE}}}": "2.5"}, ON_NODE),
    Calm("KcsSfuLeaseLost", {f"kcs_sfu_lease_age_seconds{{{NODE}}}": "2"}),
    Fires("KcsSfuOperationsFailing", operations(94, 6), ON_NODE),
    Calm("KcsSfuOperationsFailing", operations(96, 4)),
    Fires("KcsSignalingDown", {f"up{{{SIG}}}": "0", f"up{{{OTHER}}}": "0"}, IN_NS),
    Fires("KcsSignalingDown", {f"up{{{OP}}}": "1"}, IN_NS),
    Calm("KcsSignalingDown", {f"up{{{NODE}}}": "1"}),
    Calm("KcsSignalingDown", {f"up{{{SIG}}}": "0", f"up{{{OTHER}}}": "1"}),
    Fires("KcsSignalingReplicaDown", {f"up{{{SIG}}}": "0"}, {**IN_NS, "pod": "sig-0"}),
    Calm("KcsSignalingReplicaDown", {f"up{{{SIG}}}": "1", f"up{{{NODE}}}": "0"}),
    Fires("KcsDatabaseUnavailable", dependency("database", 1, 0), IN_NS),
    Calm("KcsDatabaseUnavailable", {**dependency("database", 1, 1), **dependency("redis", 0, 0)}),
    Fires("KcsRedisUnavailable", dependency("redis", 1, 0), IN_NS),
    Calm("KcsRedisUnavailable", {**dependency("redis", 1, 1), **dependency("database", 0, 0)}),
    Fires("KcsNoSfuNode", {NODES: "0", **REDIS_UP}, IN_NS),
    Calm("KcsNoSfuNode", {NODES: "1", **REDIS_UP}),
    Fires("KcsNoSfuNode", {NODES: "0", **REDIS_UP, **pods(1)}, IN_NS),
    Fires("KcsNoSfuNode", {NODES: "0", **REDIS_UP, **pods(0), **another_pool(1)}, IN_NS),
    Calm("KcsNoSfuNode", {NODES: "0", **REDIS_UP, **pods(0), **another_pool(0)}),
    Calm("KcsNoSfuNode", {NODES: "0", **dependency("redis", 0, 0)}),
    Fires("KcsNoCapacity", {NO_CAPACITY: "0 1"}, IN_NS),
    Calm("KcsNoCapacity", {NO_CAPACITY: "7"}),
    Fires("KcsNoCapacityPersists", {NO_CAPACITY: "0+1"}, IN_NS),
    Calm("KcsNoCapacityPersists", {NO_CAPACITY: "0 9"}),
    Fires("KcsJournalLost", {LOST: "0 4"}, {**IN_NS, "kind": "samples"}),
    Calm("KcsJournalLost", {LOST: "4"}),
    Fires("KcsRetentionFailing", {UNSWEPT: "0 3"}, IN_NS),
    Calm("KcsRetentionFailing", {UNSWEPT: "0 2"}),
    Fires("KcsCommandsFailing", commands(94, UNAVAILABLE=4, INTERNAL_ERROR=2), IN_NS),
    Calm("KcsCommandsFailing", commands(96, UNAVAILABLE=2, INTERNAL_ERROR=2)),
    Calm("KcsCommandsFailing", commands(50, ACCESS_DENIED=50)),
    Fires("KcsCommandsSlow", answered(94), IN_NS),
    Calm("KcsCommandsSlow", answered(96)),
    Fires("KcsConnectionSuccessLow", connections(94, 6), OF_POOL),
    Fires("KcsConnectionSuccessLow", connections(0, 6), OF_POOL),
    Calm("KcsConnectionSuccessLow", connections(96, 4)),
    Calm("KcsConnectionSuccessLow", connections(96, 4, abandoned=900)),
    Calm("KcsConnectionSuccessLow", connections(0, 0.9)),
    Fires("KcsPacketLossHigh", sampled("kcs_sfu_packet_loss_ratio", 0.021), OF_POOL),
    Calm("KcsPacketLossHigh", sampled("kcs_sfu_packet_loss_ratio", 0.019)),
    Fires("KcsRttHigh", sampled("kcs_sfu_rtt_seconds", 0.21), OF_POOL),
    Calm("KcsRttHigh", sampled("kcs_sfu_rtt_seconds", 0.19)),
    Fires("KcsCpuCritical", worker_cpu(0.91), FROM_A_WORKER),
    Fires("KcsCpuCritical", process_cpu(0.91), FROM_A_PROCESS),
    Calm("KcsCpuCritical", {**worker_cpu(0.89), **process_cpu(0.89)}),
    Fires("KcsCpuHigh", worker_cpu(0.81), FROM_A_WORKER),
    Calm("KcsCpuHigh", {**worker_cpu(0.79), **process_cpu(0.79)}),
    Fires("KcsMemoryHigh", node_memory(60, 400), {**ON_NODE, "job": "kcs-sfu"}),
    Fires(
        "KcsMemoryHigh", signaling_memory(860), {**IN_NS, "pod": "sig-0", "job": "kcs-signaling"}
    ),
    Calm("KcsMemoryHigh", {**node_memory(40, 400), **signaling_memory(840)}),
    Fires("KcsDiskSpaceLow", volume(19, "meet"), {**IN_NS, "persistentvolumeclaim": "data-0"}),
    Calm("KcsDiskSpaceLow", volume(21, "meet")),
    Calm("KcsDiskSpaceLow", volume(5, "of-somebody-else")),
    Fires("KcsOperatorWithoutLeader", {f"kcs_operator_leader{{{OP}}}": "0"}, IN_NS),
    Fires("KcsOperatorWithoutLeader", {f"up{{{SIG}}}": "1"}, IN_NS),
    Calm("KcsOperatorWithoutLeader", {**LEADS, f"up{{{SIG}}}": "1"}),
    Calm("KcsOperatorWithoutLeader", {f"up{{{NODE}}}": "1"}),
    Fires("KcsOperatorErrors", reconciles(70, 30), {**IN_NS, "kind": "SFUPool"}),
    Calm("KcsOperatorErrors", reconciles(90, 10)),
    Fires("KcsPoolPodsMissing", pods(3, ready=2, starting=1), SFU_ROLE),
    Fires("KcsPoolPodsMissing", pods(1), SFU_ROLE),
    Calm("KcsPoolPodsMissing", pods(3, ready=3, draining=1)),
    Calm(
        "KcsPoolPodsMissing",
        {
            **pods(3, ready=3),
            f'kcs_operator_desired_pods{{{FOLLOWER},pool="main",role="sfu"}}': "9",
        },
    ),
    Fires("KcsPoolCapacityLow", capacity(9), OF_POOL),
    Calm("KcsPoolCapacityLow", capacity(11)),
    Fires("KcsDrainStuck", pods(1, ready=1, draining=1), SFU_ROLE),
    Calm("KcsDrainStuck", pods(1, ready=1, draining=0)),
    Fires("KcsTurnDown", {f"up{{{TURN}}}": "0"}, ON_TURN),
    Calm("KcsTurnDown", {f"up{{{TURN}}}": "1", f"up{{{NODE}}}": "0"}),
    Fires("KcsTurnRefused", turn_refused(508), ON_TURN),
    Calm("KcsTurnRefused", turn_refused(401)),
    Fires("KcsTurnAllocationsHigh", relays(751), OF_POOL),
    Calm("KcsTurnAllocationsHigh", relays(749)),
]


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    names = {alert.name for alert in ALERTS}
    assert {case.alert for case in CASES if isinstance(case, Fires)} == names
    assert {case.alert for case in CASES if isinstance(case, Calm)} == names


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_it_fires_after_its_time_or_not_at_all(alert: Alert, tmp_path: Path) -> None:
    test = tmp_path / "test.yaml"
    cases = [case for case in CASES if case.alert == alert.name]
    test.write_text(yaml.safe_dump(_promtool_tests(alert, cases)))
    done = subprocess.run(["promtool", "test", "rules", str(test)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c, Fires)], ids=lambda c: c.alert)
def test_its_words_name_only_labels_that_it_has(case: Fires) -> None:
    (alert,) = [each for each in ALERTS if each.name == case.alert]
    named = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    optional = {"worker"}  # of a part that is a worker
    assert named - optional <= set(case.labels)


def _promtool_tests(alert: Alert, cases: list[Fires | Calm]) -> dict[str, Any]:
    steps = (_seconds(alert.hold) + 300) // STEP_S
    return {
        "rule_files": [str(ROOT / path) for path in rule_files()],
        "evaluation_interval": f"{STEP_S}s",
        "group_eval_order": [group.name for group in (RECORDING, *ALERTING)],
        "tests": [
            {
                "name": f"{type(case).__name__} {number}",
                "interval": f"{STEP_S}s",
                "input_series": [
                    {"series": name, "values": _values(values, steps)}
                    for name, values in case.series.items()
                ],
                "promql_expr_test": _expected(alert, case, f"{steps * STEP_S}s"),
            }
            for number, case in enumerate(cases)
        ],
    }


def _expected(alert: Alert, case: Fires | Calm, at: str) -> list[dict[str, Any]]:
    """What Prometheus keeps of alerts: whether it fires at last, and how long it waited."""
    name = f'alertname="{alert.name}"'
    fires = {"expr": f'ALERTS{{{name},alertstate="firing"}}', "eval_time": at}
    waited = f'count_over_time(ALERTS{{{name},alertstate="pending"}}[6h])'
    if isinstance(case, Calm):
        return [{**fires, "exp_samples": []}]
    labels = {**case.labels, "alertname": alert.name, "severity": alert.severity}
    firing = {"labels": _text({**labels, "alertstate": "firing"}, "ALERTS"), "value": 1}
    pending = {
        "labels": _text({**labels, "alertstate": "pending"}),
        "value": _seconds(alert.hold) // STEP_S,
    }
    return [
        {**fires, "exp_samples": [firing]},
        {"expr": waited, "eval_time": at, "exp_samples": [pending] if pending["value"] else []},
    ]


def _values(text: str, steps: int) -> str:
    first, _, then = text.partition(" ")
    return f"{first}x5 {then}x{steps}" if then else f"{first}x{steps}"


def _text(labels: Mapping[str, str], name: str = "") -> str:
    return name + "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]

"""The rules as files of the chart: `recording.yaml` and `alerts.yaml`."""

from collections.abc import Sequence

import yaml

from kcs_contracts.generate.files import Files
from kcs_dev.observability.rules.machines import MACHINE_ALERTS
from kcs_dev.observability.rules.media import MEDIA_ALERTS
from kcs_dev.observability.rules.model import Alert, Group, Recording
from kcs_dev.observability.rules.operator import OPERATOR_ALERTS
from kcs_dev.observability.rules.recording import RECORDING
from kcs_dev.observability.rules.sfu import SFU_ALERTS
from kcs_dev.observability.rules.signaling import SIGNALING_ALERTS

ALERTING = (SFU_ALERTS, SIGNALING_ALERTS, MEDIA_ALERTS, MACHINE_ALERTS, OPERATOR_ALERTS)
ALERTS: Sequence[Alert] = [a for g in ALERTING for a in g.rules if isinstance(a, Alert)]
RECORDINGS: Sequence[Recording] = [r for r in RECORDING.rules if isinstance(r, Recording)]

_FOLDER = "charts/kcs-meetings/rules"
_HEAD = "# Written by `make generate` from dev/src/kcs_dev/observability/rules: do not edit.\n"


def rule_files() -> Files:
    """Texts by path from the repository's root."""
    files = {"recording": [RECORDING], "alerts": list(ALERTING)}
    return {f"{_FOLDER}/{name}.yaml": _text(groups) for name, groups in files.items()}


def _text(groups: Sequence[Group]) -> str:
    content = {"groups": [group.group() for group in groups]}
    return _HEAD + yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True)

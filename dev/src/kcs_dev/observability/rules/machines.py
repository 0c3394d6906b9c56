"""Alerts of what everything runs on: CPU, memory, disks."""

from kcs_dev.observability.rules.model import Alert, Group
from kcs_dev.observability.rules.recording import CPU, MEMORY
from kcs_dev.observability.scrape import SIGNALING

_VOLUME = "kubelet_volume_stats"
_BY_VOLUME = "namespace, persistentvolumeclaim"

MACHINE_ALERTS = Group(
    "kcs-machines",
    [
        Alert(
            "KcsCpuCritical",
            "critical",
            value=CPU,
            when="> 0.9",
            hold="5m",
            summary="{{ $labels.pod }} is out of CPU.",
            description="Its {{ $labels.part }} {{ $labels.worker }} uses {{ $value | "
            "humanizePercentage }} of a core, and cannot use two: media stutters or answers are "
            "late. First: the dashboard KCS / Pool, is it one worker or all?",
        ),
        Alert(
            "KcsCpuHigh",
            "warning",
            value=CPU,
            when="> 0.8",
            hold="5m",
            summary="{{ $labels.pod }} is short of CPU.",
            description="Its {{ $labels.part }} {{ $labels.worker }} uses {{ $value | "
            "humanizePercentage }} of a core, and cannot use two. First: does the pool grow?",
        ),
        Alert(
            "KcsMemoryHigh",
            "warning",
            value=MEMORY,
            when="> 0.85",
            hold="5m",
            summary="{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory.",
            description="At 100 % the kernel ends it, and its calls with it. First: does it grow "
            "with people, or without them?",
        ),
        Alert(
            "KcsDiskSpaceLow",
            "warning",
            value=f"min by ({_BY_VOLUME}) ({_VOLUME}_available_bytes / {_VOLUME}_capacity_bytes)",
            when="< 0.2",
            hold="5m",
            # the kubelet tells of all volumes of the cluster: only those beside signaling are ours
            only_if=f'on (namespace) group by (namespace) (up{{job="{SIGNALING}"}})',
            summary="Volume {{ $labels.persistentvolumeclaim }} has "
            "{{ $value | humanizePercentage }} left.",
            description="When it is full the database or Redis stops writing. First: `kubectl -n "
            "{{ $labels.namespace }} get pvc {{ $labels.persistentvolumeclaim }}`.",
        ),
    ],
)

"""`meetings.kcs.dev/v1alpha1`: SFUPool and Meeting.

The models are the one source of the CRDs (`kcs_contracts.generate.crds` writes `crds/`), of
what the operator reads and of the status that it writes.
"""

from kcs_contracts.resources.v1alpha1.common import (
    API_VERSION,
    GROUP,
    VERSION,
    Condition,
    PortRange,
    Resource,
    duration_of,
)
from kcs_contracts.resources.v1alpha1.meeting import (
    Meeting,
    MeetingPhase,
    MeetingSettings,
    MeetingSpec,
    MeetingStatus,
    PoolRef,
    Schedule,
    SecretRef,
)
from kcs_contracts.resources.v1alpha1.sfupool import (
    AnnouncedAddressFrom,
    Autoscaling,
    Capacity,
    Drain,
    Exposure,
    ExposureMode,
    PoolReplicas,
    PoolSchedule,
    Replicas,
    SFUPool,
    SFUPoolSpec,
    Turn,
    TurnReplicas,
    TurnTls,
    Update,
)
from kcs_contracts.resources.v1alpha1.sfupool_status import (
    PodState,
    PoolCapacity,
    PoolPod,
    RoleCounts,
    SFUPoolStatus,
)
from kcs_contracts.resources.v1alpha1.template import EnvVar, PodTemplate, Resources

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "AnnouncedAddressFrom",
    "Autoscaling",
    "Capacity",
    "Condition",
    "Drain",
    "EnvVar",
    "Exposure",
    "ExposureMode",
    "Meeting",
    "MeetingPhase",
    "MeetingSettings",
    "MeetingSpec",
    "MeetingStatus",
    "PodState",
    "PodTemplate",
    "PoolCapacity",
    "PoolPod",
    "PoolRef",
    "PoolReplicas",
    "PoolSchedule",
    "PortRange",
    "Replicas",
    "Resource",
    "Resources",
    "RoleCounts",
    "SFUPool",
    "SFUPoolSpec",
    "SFUPoolStatus",
    "Schedule",
    "SecretRef",
    "Turn",
    "TurnReplicas",
    "TurnTls",
    "Update",
    "duration_of",
]

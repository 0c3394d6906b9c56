"""What a scrape adds to the services' own series: the labels that all queries rely on.

The chart's ServiceMonitor and PodMonitors set them; docs/metrics.md says how without these.
"""

from kcs_contracts.labels import Component

SIGNALING = f"kcs-{Component.SIGNALING}"
SFU = f"kcs-{Component.SFU}"
OPERATOR = f"kcs-{Component.OPERATOR}"
TURN = f"kcs-{Component.TURN}"
"""Values of `job`: the pod's component label behind `kcs-`."""

JOBS = (SIGNALING, SFU, OPERATOR, TURN)
LABELS = ("job", "namespace", "pod", "pool")
"""`pool` only where the pod is a pool's."""

POD = "namespace, pool, pod"
POOL = "namespace, pool"
"""To group by, as PromQL has it."""

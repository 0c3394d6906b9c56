"""Names of annotations and ports that manifests write and observations read."""

from kcs_contracts.resources.v1alpha1 import GROUP

SLOT = f"{GROUP}/slot"
"""Annotation: which part of the pool's port range the pod has."""
DRAINING_SINCE = f"{GROUP}/draining-since"
"""Annotation: when the pod began to drain; deadlines count from there."""
ADDRESS = f"{GROUP}/announced-address"
"""Annotation: the address that browsers are told."""
ANNOUNCED = "KCS_MEDIA__ANNOUNCED_ADDRESS"
"""Variable of an SFU pod: the address that browsers are told, or which one of the pod's it is."""
PEERS = f"{GROUP}/sfu-addresses"
"""Annotation of a coturn pod: the IPv4 addresses that it may relay to, separated by commas."""

CONTROL_PORT = 4000
"""The control API of an SFU pod, with its metrics and health."""
EXPORTER_PORT = 9641
"""Metrics of a coturn pod."""

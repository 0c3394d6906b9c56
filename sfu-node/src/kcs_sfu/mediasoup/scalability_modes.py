"""Reads a `scalabilityMode` (W3C webrtc-svc): how many spatial and temporal layers a stream has.

Source: mediasoup 3.27.1, `node/src/scalabilityModesUtils.ts`.
"""

import re
from typing import NamedTuple

_MODE = re.compile(r"[LS]([1-9][0-9]?)T([1-9][0-9]?)(_KEY)?")


class ScalabilityMode(NamedTuple):
    """`ksvc` means that spatial layers depend on each other in key frames only."""

    spatial_layers: int
    temporal_layers: int
    ksvc: bool


def parse_scalability_mode(mode: str | None) -> ScalabilityMode:
    """E.g. `L3T2_KEY` is (3, 2, True); anything that is no mode is one layer: (1, 1, False)."""
    match = _MODE.match(mode or "")
    if match is None:
        return ScalabilityMode(1, 1, False)
    return ScalabilityMode(int(match[1]), int(match[2]), match[3] is not None)

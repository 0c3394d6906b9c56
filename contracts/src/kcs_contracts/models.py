"""The base of every model that crosses a border between services."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """Frozen, and closed: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid")


JsonObject = dict[str, Any]
"""WebRTC parameters on their way through: signaling caps their size, the node validates them."""

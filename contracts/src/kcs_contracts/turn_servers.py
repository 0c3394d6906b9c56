"""TURN servers that browsers are told of: signaling's settings name some, pools run others."""

from pydantic import ConfigDict, Field

from kcs_contracts.models import Contract


class TurnServer(Contract):
    """A coturn that browsers reach; a port that it does not listen on is null."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    host: str = Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")
    """Its name or its IPv4 address."""
    tls_host: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]{1,253}$")
    """The name in its TLS certificate, where that is not `host`."""
    region: str = ""
    """Region of the people that it is near to; empty: of all."""
    udp_port: int | None = Field(default=3478, ge=1, le=65535)
    """UDP port of STUN and TURN."""
    tcp_port: int | None = Field(default=3478, ge=1, le=65535)
    """TCP port of TURN."""
    tls_port: int | None = Field(default=None, ge=1, le=65535)
    """TCP port of TURN over TLS; 443 passes the strictest networks."""

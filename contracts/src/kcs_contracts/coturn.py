"""coturn's configuration as text: pure, for whoever starts a TURN server (the stack, the operator).

Browsers that cannot reach an SFU node directly reach it through coturn, and nothing else: every
peer address is denied but the SFU's. Debian's coturn is 4.6, whose checks of IPv6 peers and of
IPv4-mapped ones were wrong in several ways, so it relays over IPv4 alone.

Source: https://github.com/coturn/coturn/wiki/turnserver (options); RFC 8656.
"""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from kcs_contracts.models import Contract

_NEVER_AN_SFU = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # "this host": some systems take it for loopback
        "169.254.0.0/16",  # link-local, and the clouds' metadata service
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_EVERYBODY = ("0.0.0.0-255.255.255.255", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")

_Line = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/+=:@-]{1,255}$")]
"""What may stand in a line of the file: no space, no `#`, no line end."""


class CoturnTls(Contract):
    """TURN over TLS."""

    port: int = Field(default=5349, ge=1, le=65535)
    certificate: Path
    """PEM file with the chain."""
    key: Path
    """PEM file with the private key."""


class CoturnConfig(Contract):
    """One coturn process."""

    listen_ip: IPv4Address | None
    """Where browsers reach it; None: the command line says it (`--listening-ip`)."""
    relay_ip: IPv4Address | None
    """From where it speaks to the SFU; None: the command line says it (`--relay-ip`)."""
    external_ip: IPv4Address | None = None
    """The relay's public address, where a NAT stands before it."""
    port: int = Field(default=3478, ge=1, le=65535)
    """Of UDP and TCP alike."""
    udp: bool = True
    tcp: bool = True
    tls: CoturnTls | None = None
    relay_ports: tuple[int, int] = (49152, 65535)
    """First and last UDP port of the allocations."""
    realm: _Line
    secrets: tuple[SecretStr, ...] = Field(min_length=1, max_length=2)
    """Shared with signaling; credentials that any of them signed are good."""
    sfu_networks: tuple[IPv4Network, ...] = ()
    """Where the SFU's media addresses lie: the only peers. `10.1.2.3/32` is one address."""
    peers_db: Path | None = None
    """SQLite database whose table `allowed_peer_ip` has more of them, and whose other tables are
    there, and empty: coturn reads it again every few seconds."""
    user_quota: int = Field(default=40, ge=1)
    """Allocations of one user at a time; a client holds one per transport, URL and network."""
    total_quota: int = Field(default=4000, ge=1)
    """Allocations at a time."""
    state_dir: Path
    """Where it may write its process id."""

    @model_validator(mode="after")
    def _peers_are_an_sfus(self) -> Self:
        for network in self.sfu_networks:
            for never in _NEVER_AN_SFU:
                if network.overlaps(never):
                    # coturn lets an allowed address win over a denied one.
                    raise ValueError(f"sfu_networks: {network} holds addresses of {never}")
        if not (self.sfu_networks or self.peers_db):
            raise ValueError("one of sfu_networks and peers_db is needed")
        if not (self.udp or self.tcp or self.tls):
            raise ValueError("one of udp, tcp and tls is needed")
        for secret in self.secrets:
            if len(secret.get_secret_value()) < 16:
                raise ValueError("secrets: 16 characters or more are needed")
        return self


def coturn_conf(config: CoturnConfig) -> str:
    """The text of `turnserver.conf`; it holds secrets.

    Raises:
        ValueError: a secret or a path holds a character that would end its line.
    """
    lines = [*_listeners(config), *_relay(config), *_who(config), *_peers(config), *_fixed(config)]
    for line in lines:
        if any(c.isspace() or c == "#" for c in line):
            raise ValueError(f"{line.split('=')[0]}: no space and no `#` can stand here")
    return "\n".join(lines) + "\n"


def _listeners(config: CoturnConfig) -> list[str]:
    lines = [f"listening-port={config.port}", "no-dtls"]
    lines += [] if config.listen_ip is None else [f"listening-ip={config.listen_ip}"]
    lines += [] if config.udp else ["no-udp"]
    lines += [] if config.tcp else ["no-tcp"]
    if config.tls is None:
        return [*lines, "no-tls"]
    return [
        *lines,
        f"tls-listening-port={config.tls.port}",
        f"cert={config.tls.certificate}",
        f"pkey={config.tls.key}",
        "no-tlsv1",
        "no-tlsv1_1",
    ]


def _relay(config: CoturnConfig) -> list[str]:
    first, last = config.relay_ports
    lines = [f"min-port={first}", f"max-port={last}"]
    lines += [] if config.relay_ip is None else [f"relay-ip={config.relay_ip}"]
    if config.external_ip is not None and config.relay_ip is not None:
        lines.append(f"external-ip={config.external_ip}/{config.relay_ip}")
    return [*lines, "no-tcp-relay"]


def _who(config: CoturnConfig) -> list[str]:
    return [
        f"realm={config.realm}",
        "use-auth-secret",
        *(f"static-auth-secret={secret.get_secret_value()}" for secret in config.secrets),
        f"user-quota={config.user_quota}",
        f"total-quota={config.total_quota}",
        "stale-nonce=600",
    ]


def _peers(config: CoturnConfig) -> list[str]:
    allowed = [f"allowed-peer-ip={_range(network)}" for network in config.sfu_networks]
    loopback = any(network.is_loopback for network in config.sfu_networks)
    return [
        *(f"denied-peer-ip={each}" for each in _EVERYBODY),
        *allowed,
        *(["allow-loopback-peers"] if loopback else []),
        "no-multicast-peers",
    ]


def _range(network: IPv4Network) -> str:
    if network.num_addresses == 1:
        return str(network.network_address)
    return f"{network.network_address}-{network.broadcast_address}"


def _fixed(config: CoturnConfig) -> list[str]:
    """No shell, no mobility (off unless asked for), no answers larger than their questions."""
    # With a database on disk that is not made yet, coturn 4.6 refuses good credentials while one
    # of its threads makes the tables and the others find them locked.
    return [
        f"userdb={config.peers_db or ':memory:'}",
        *([] if config.peers_db else ["no-dynamic-ip-list"]),
        "no-cli",
        "no-rfc5780",
        "no-stun-backward-compatibility",
        "no-software-attribute",
        "no-auth-pings",
        "no-dynamic-realms",
        "fingerprint",
        f"pidfile={config.state_dir / 'turnserver.pid'}",
        "log-file=stdout",
    ]

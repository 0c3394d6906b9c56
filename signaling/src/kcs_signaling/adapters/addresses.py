"""Whose requests these are, for limits: the client's address, as far as it can be believed.

A proxy that we trust says in X-Forwarded-For who spoke to it; anybody else's word is not taken.
An IPv6 client mostly has a /64 to itself (RFC 4291, section 2.5.4) and could use a new address
for each request, so that is what counts.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
"""What clients without an address share."""
_MAX_HOPS = 16
_MAX_LENGTH = 64
_PREFIX = 64


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The address behind an ASGI scope: `192.0.2.7`, or `2001:db8:1:2::/64`.

    From the peer leftwards through X-Forwarded-For: each trusted proxy names the one before it.
    The first that is not trusted is the client; so is the last one known, where the next is no
    address or the sixteenth.
    """
    peer = scope.get("client")
    address = _parsed(peer[0]) if peer else None
    if address is None:
        return UNKNOWN
    if _is_trusted(address, trusted):
        for text in _forwarded(scope):
            before = _parsed(text)
            if before is None:
                break
            address = before
            if not _is_trusted(address, trusted):
                break
    return _shown(address)


def _forwarded(scope: Scope) -> list[str]:
    """The entries of all X-Forwarded-For headers, the nearest first."""
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    entries = b",".join(values[-_MAX_HOPS:]).rsplit(b",", _MAX_HOPS)[-_MAX_HOPS:]
    return [entry.decode("latin-1").strip() for entry in reversed(entries)]


def _parsed(text: str) -> Address | None:
    """The address in an entry; some proxies add the port: `192.0.2.7:443`, `[2001:db8::1]:443`."""
    if len(text) > _MAX_LENGTH:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _shown(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _PREFIX), strict=False))

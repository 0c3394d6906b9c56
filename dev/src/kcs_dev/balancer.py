"""HAProxy before several signaling replicas: it gathers the people of a meeting on one of them.

docs/load-balancing.md says how it is set up elsewhere; the configuration here is the one there, for
replicas on this machine.
"""

from collections.abc import Sequence
from pathlib import Path

from kcs_dev.processes import Child, accepts, free_port

_PROGRAM = "/usr/sbin/haproxy"
_CONFIGURATION = """\
global
    nbthread 1
    maxconn 4000

defaults
    mode http
    option forwardfor
    option redispatch 1
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h

frontend kcs
    bind 127.0.0.1:{port}
    use_backend meetings if {{ path_beg /socket.io/ }} {{ url_param(meeting) -m found }}
    default_backend others

backend meetings
    balance url_param meeting
    hash-type consistent sdbm avalanche
{servers}

backend others
    balance source
    hash-type consistent sdbm avalanche
{servers}
"""


async def start_balancer(
    directory: Path, replicas: Sequence[str], port: int = 0
) -> tuple[Child, str]:
    """HAProxy before the replicas at these URLs, and its own URL. Whoever starts it stops it."""
    port = port or free_port()
    servers = "\n".join(
        f"    server replica-{number} {url.removeprefix('http://')} check"
        for number, url in enumerate(replicas)
    )
    file = directory / "haproxy.cfg"
    file.write_text(_CONFIGURATION.format(port=port, servers=servers))
    argv = [_PROGRAM, "-db", "-f", str(file)]
    child = await Child.start("HAProxy", argv, env={}, log=directory / "haproxy.log")
    await child.ready(lambda: accepts(port))
    return child, f"http://127.0.0.1:{port}"

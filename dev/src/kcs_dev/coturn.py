"""coturn as a process on loopback, as `kcs_contracts.coturn` configures it.

Its relay address is one of its own, so that whoever looks at the SFU's side sees who went through.
"""

import secrets
import socket
import struct
import subprocess
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from pydantic import SecretStr

from kcs_contracts.coturn import CoturnConfig, coturn_conf
from kcs_dev.processes import Child, accepts, free_port

HOST = "127.0.0.1"
RELAY_IP = "127.0.0.77"
SFU_IP = "127.0.0.1"
"""Where the stack's SFU nodes listen for media."""


class Coturn:
    """A TURN server; an async context manager.

    Args:
        directory: for its configuration, state and log.
        more: fields of `CoturnConfig`.
    """

    def __init__(self, directory: Path, **more: Any):
        self.directory = directory
        self.config = CoturnConfig(
            **{
                "listen_ip": IPv4Address(HOST),
                "relay_ip": IPv4Address(RELAY_IP),
                "port": free_port(),
                "realm": "kcs.test",
                "secrets": (SecretStr(secrets.token_hex(16)),),
                "sfu_networks": (IPv4Network(SFU_IP),),
                "state_dir": directory,
                **more,
            }
        )
        self._child: Child | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts it; on the same port when it ran before."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "turnserver.conf"
        file.touch(mode=0o600)
        file.write_text(coturn_conf(self.config))
        argv = ["turnserver", "-c", str(file)]
        self._child = await Child.start("coturn", argv, env={}, log=self.directory / "log")
        await self._child.ready(self._answers)

    async def stop(self) -> None:
        """Ends it and every allocation."""
        if self._child is not None:
            await self._child.stop()

    async def _answers(self) -> bool:
        if self.config.udp:
            return _answers_stun(self.config.port)
        tls = self.config.tls
        return await accepts(self.config.port if self.config.tcp or tls is None else tls.port)

    @property
    def env(self) -> Mapping[str, str]:
        """Signaling's settings that offer this server."""
        config = self.config
        server = {
            "host": HOST,
            "udp_port": config.port if config.udp else None,
            "tcp_port": config.port if config.tcp else None,
            "tls_port": config.tls.port if config.tls else None,
        }
        shared = [secret.get_secret_value() for secret in config.secrets]
        return {
            "KCS_TURN__SERVERS": orjson.dumps([server]).decode(),
            "KCS_TURN__SECRETS": orjson.dumps(shared).decode(),
        }


def certify(certificate: Path, key: Path, name: str) -> None:
    """Makes a key, and a certificate that nobody vouches for; `name` such as `IP:127.0.0.1`."""
    made = ("-keyout", str(key), "-out", str(certificate))
    named = ("-subj", "/CN=turn", "-addext", f"subjectAltName={name}")
    new = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    subprocess.run(["openssl", "req", *new, *named, *made], check=True, capture_output=True)


def _answers_stun(port: int) -> bool:
    """Whether a STUN server answers a Binding request there now (RFC 8489)."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.1)
        udp.connect((HOST, port))
        try:
            udp.send(struct.pack("!HHI", 0x0001, 0, 0x2112A442) + secrets.token_bytes(12))
            return udp.recv(1500)[:2] == b"\x01\x01"
        except OSError:
            return False

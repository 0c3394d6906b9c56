"""`kcs-coturn`, the coturn image's program, over a real coturn: what it counts, tells and ends."""

import json
import os
import secrets
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import free_port
from tests.support.turn_client import TurnClient

from kcs_signaling.turn import credentials

PROGRAM = Path(__file__).resolve().parents[2] / "images" / "coturn" / "kcs_coturn.py"
SECRET = secrets.token_hex(16)
RELAYED = 9_000


class Server:
    """A running one, and its exporter."""

    def __init__(self, home: Path, tls: tuple[str, ...] = ("no-tls",), **env: str):
        self.port, self.metrics_port = free_port(), free_port()
        config = home / "turnserver.conf"
        lines = [
            "listening-ip=127.0.0.1",
            f"listening-port={self.port}",
            "no-dtls",
            *tls,
            "relay-ip=127.0.0.77",
            "realm=kcs.test",
            "use-auth-secret",
            f"static-auth-secret={SECRET}",
            "denied-peer-ip=10.0.0.0-10.255.255.255",
            "allowed-peer-ip=127.0.0.1",
            "allow-loopback-peers",
            "no-cli",
            "userdb=:memory:",
            f"pidfile={home}/pid",
        ]
        config.write_text("\n".join(lines) + "\n")
        self.log = home / "log"
        settings = {"KCS_COTURN_METRICS_PORT": str(self.metrics_port), "KCS_COTURN_POOL": "eu"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, "-c", config],
                env={**os.environ, **settings, **env},
                stdout=log,
                stderr=log,
                start_new_session=True,  # turnserver is its child, and ends with it below
            )
        self.until(lambda: self.get("/readyz") == 200)

    def get(self, path: str) -> int:
        """The status of the answer; 0 where there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}") as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def series(self) -> dict[str, int]:
        """The samples by name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: int(value) for name, value in pairs}

    def client(self, user: str = "ann") -> TurnClient:
        name, password = credentials(SECRET, user, int(time.time()) + 60)
        return TurnClient(self.port, name, password)

    def until(self, what: Callable[[], bool]) -> None:
        """Waits until it holds."""
        deadline = time.monotonic() + 15
        while not what():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.close()


def test_it_counts_connections_bytes_and_refusals(server: Server) -> None:
    pool = 'pool="eu"'
    with server.client() as client:
        assert client.allocate().code == 0
        server.until(lambda: server.series()[f"kcs_turn_allocations{{{pool}}}"] == 1)
        assert client.permit("10.0.0.1") == 403
        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 40000))
            assert client.bind_channel("127.0.0.1") == 0
            for number in range(RELAYED):
                client._socket.send(struct.pack("!HH", 0x4001, 100) + bytes(100))
                if number % 50 == 0:
                    time.sleep(0.005)
        assert client._ask(0x004, [(0x000D, struct.pack("!I", 0))]).code == 0  # the connection ends
    server.until(lambda: server.series()[f"kcs_turn_allocations{{{pool}}}"] == 0)
    seen = server.series()
    assert seen[f"kcs_turn_allocations_total{{{pool}}}"] == 1
    sent = seen[f'kcs_turn_egress_bytes_total{{{pool},side="peer"}}']
    assert RELAYED * 90 <= sent <= RELAYED * 100  # the kernel may drop some
    assert seen[f'kcs_turn_ingress_bytes_total{{{pool},side="client"}}'] >= sent
    assert seen[f'kcs_turn_refused_total{{{pool},method="create_permission",code="403"}}'] == 1


def test_its_log_names_nobody(server: Server) -> None:
    with server.client("ann-who-is-private") as client:
        assert client.allocate().code == 0
    server.process.terminate()
    assert server.process.wait(timeout=10) == 0
    text = server.log.read_text()
    assert "private" not in text
    assert SECRET not in text
    for line in text.splitlines():
        assert {"event", "timestamp", "level"} <= json.loads(line).keys()


def test_it_ends_when_the_last_connection_has_ended(tmp_path: Path) -> None:
    server = Server(tmp_path, KCS_COTURN_DRAIN_SECONDS="30")
    try:
        with server.client() as client:
            assert client.allocate().code == 0
            server.until(lambda: 1 in server.series().values())
            server.process.terminate()
            time.sleep(1.5)
            assert server.process.poll() is None
            assert client._ask(0x004, [(0x000D, struct.pack("!I", 0))]).code == 0
        assert server.process.wait(timeout=10) == 0
    finally:
        server.close()


def test_a_renewed_certificate_is_taken_up_and_nobody_is_cut_off(tmp_path: Path) -> None:
    certify(tmp_path)
    port, file = free_port(), tmp_path / "tls.crt"
    tls = (f"tls-listening-port={port}", f"cert={file}", f"pkey={tmp_path / 'tls.key'}")
    server = Server(tmp_path, tls, KCS_COTURN_CERTIFICATE=str(file))
    try:
        assert ssl.get_server_certificate(("127.0.0.1", port)) == file.read_text()
        with server.client() as client:
            assert client.allocate().code == 0
            certify(tmp_path)
            renewed = file.read_text()
            server.until(lambda: ssl.get_server_certificate(("127.0.0.1", port)) == renewed)
            assert client.permit("127.0.0.1") == 0, "the connection is there still"
    finally:
        server.close()


def certify(home: Path) -> None:
    """A new key, and a new certificate in the place of the old one."""
    made = ("-keyout", str(home / "new.key"), "-out", str(home / "new.crt"))
    kind = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=turn")
    subprocess.run(["openssl", "req", "-x509", *kind, *made], check=True, capture_output=True)
    (home / "new.key").replace(home / "tls.key")
    (home / "new.crt").replace(home / "tls.crt")


def test_without_a_turnserver_it_fails(tmp_path: Path) -> None:
    env = {**os.environ, "KCS_COTURN_METRICS_PORT": str(free_port()), "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, PROGRAM], env=env, capture_output=True, timeout=10)
    assert done.returncode != 0

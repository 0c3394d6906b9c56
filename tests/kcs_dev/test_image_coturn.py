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
from pydantic import SecretStr
from tests.support.turn_client import TurnClient

from kcs_contracts.coturn import CoturnConfig, coturn_conf
from kcs_dev.processes import free_port
from kcs_signaling.turn import credentials

PROGRAM = Path(__file__).resolve().parents[2] / "images" / "coturn" / "kcs_coturn.py"
SECRET = secrets.token_hex(16)
RELAYED = 9_000


class Server:
    """A running one, and its exporter."""

    def __init__(
        self,
        home: Path,
        tls: tuple[str, ...] = ("no-tls",),
        peers: tuple[str, ...] = (
            "denied-peer-ip=10.0.0.0-10.255.255.255",
            "allowed-peer-ip=127.0.0.1",
            "userdb=:memory:",
        ),
        **env: str,
    ):
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
            *peers,
            "allow-loopback-peers",
            "no-cli",
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


@pytest.fixture
def following(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """One whose peers stand in a file, as the operator configures it; and the file."""
    told, database = tmp_path / "peers", tmp_path / "peers.sqlite"
    told.write_text("10.1.2.3")
    config = CoturnConfig(
        listen_ip=None, relay_ip=None, realm="kcs.test", secrets=(SecretStr(SECRET),),
        peers_db=database, state_dir=tmp_path,
    )  # fmt: skip
    names = ("denied-peer-ip", "allowed-peer-ip", "userdb", "no-dynamic", "no-multicast")
    lines = [each for each in coturn_conf(config).splitlines() if each.startswith(names)]
    file, db = str(told), str(database)
    running = Server(tmp_path, peers=tuple(lines), KCS_COTURN_PEERS=file, KCS_COTURN_PEERS_DB=db)
    yield running, told
    running.close()


def test_new_peers_are_taken_up_and_former_ones_are_none_any_more(
    following: tuple[Server, Path],
) -> None:
    server, told = following
    with server.client() as client:
        assert client.allocate().code == 0
        assert client.permit("10.1.2.3") == 0
        assert client.permit("10.9.9.9") == 403
        told.write_text("10.9.9.9,10.1.2.4")
        server.until(lambda: client.permit("10.9.9.9") == 0)
        assert client.permit("10.1.2.4") == 0
        assert client.permit("10.1.2.3") == 403
        told.write_text("")
        server.until(lambda: client.permit("10.9.9.9") == 403)


def test_an_address_where_only_an_attack_would_be_is_never_a_peer(
    following: tuple[Server, Path],
) -> None:
    server, told = following
    wrong = ["127.0.0.1", "169.254.169.254", "0.0.0.1", "224.0.0.1", "255.255.255.255"]
    told.write_text(
        ",".join([*wrong, "::1", "10.0.0.0/8", "10.3.3.3-10.3.3.9", "x' or 1", "10.1.2.9"])
    )
    with server.client() as client:
        assert client.allocate().code == 0
        server.until(lambda: client.permit("10.1.2.9") == 0)
        for each in (*wrong, "10.3.3.3", "10.3.3.5"):
            assert client.permit(each) == 403
    refused = [line for line in server.log.read_text().splitlines() if "peer_refused" in line]
    assert len(refused) == len(wrong)


def test_nobody_is_refused_while_peers_change(following: tuple[Server, Path]) -> None:
    server, told = following
    for number in range(40):
        told.write_text(",".join(f"10.2.{number}.{last}" for last in range(200)))
        with server.client(f"user-{number}") as client:
            assert client.allocate().code == 0
        time.sleep(0.15)
    changes = [line for line in server.log.read_text().splitlines() if "peers_changed" in line]
    assert len(changes) > 4


def test_without_a_turnserver_it_fails(tmp_path: Path) -> None:
    env = {**os.environ, "KCS_COTURN_METRICS_PORT": str(free_port()), "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, PROGRAM], env=env, capture_output=True, timeout=10)
    assert done.returncode != 0

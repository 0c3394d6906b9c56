#!/usr/bin/env python3
"""`kcs-coturn ARGUMENTS...`: runs `turnserver ARGUMENTS...` and counts what it does.

Debian's coturn has no metrics of its own, and its log names people and their addresses. So it
runs as a child whose log is read here: sessions and bytes are counted, warnings that name nobody
are passed on as JSON. `GET :9641/metrics` answers in Prometheus' text format, `/readyz` asks the
server itself by STUN, `/healthz` says that it runs.

Where `KCS_COTURN_CERTIFICATE` names the file of the server's certificate, a new one is taken up as
it comes (Secrets are renewed in place), with no connection cut. Where `KCS_COTURN_PEERS` names a
file with the IPv4 addresses that may be peers, separated by commas, they are kept in the SQLite
database `KCS_COTURN_PEERS_DB`, which the server (`userdb`) reads again every 5 s.

SIGTERM ends the server when nobody is connected any more, or after `KCS_COTURN_DRAIN_SECONDS` (0).
Series have the label `pool` where `KCS_COTURN_POOL` is set. Nothing but the standard library.

Sources: coturn 4.6 `ns_turn_server.c` (the lines; usage is what came since the last line, written
every 4,096 packets and at a session's end), `mainrelay.c` (SIGUSR2), `dbd_sqlite.c` (the tables),
`userdb.c` (when they are read); RFC 8489 (STUN).
"""

import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import FrameType

PORT = int(os.environ.get("KCS_COTURN_METRICS_PORT", "9641"))
_SESSION = re.compile(r"session (\d+): (.*)")
_USAGE = re.compile(r"(peer )?usage: .*rb=(\d+), sp=\d+, sb=(\d+)$")
_REFUSED = re.compile(r"incoming packet (\w+) processed, error (\d+)")
_LISTENS = re.compile(r"IPv4\. (UDP|TCP|TLS/TCP) listener opened on ?: (\d+\.\d+\.\d+\.\d+):(\d+)")
_NAMES_SOMEBODY = re.compile(r"session |user[ <]|username|\d+\.\d+\.\d+\.\d+:\d+ *$|remote|peer ")
_CHALLENGE = "401"
_LOOK_S = 5.0
"""How often the certificate is looked at."""
_PEERS_LOOK_S = 1.0
_MOST_PEERS = 10_000
_TABLES = (
    "turnusers_lt (realm, name, hmackey, primary key (realm, name))",
    "turn_secret (realm, value, primary key (realm, value))",
    "allowed_peer_ip (realm, ip_range, primary key (realm, ip_range))",
    "denied_peer_ip (realm, ip_range, primary key (realm, ip_range))",
    "turn_origin_to_realm (origin primary key, realm)",
    "turn_realm_option (realm, opt, value, primary key (realm, opt))",
    "oauth_key (kid primary key, ikm_key, timestamp, lifetime, as_rs_alg, realm)",
    "admin_user (name primary key, realm, password)",
)
"""All are made before the server looks: it refuses good credentials while it makes them itself."""


class Counts:
    """What the log has told so far."""

    def __init__(self) -> None:
        self._open: set[str] = set()
        self.opened = 0
        self.bytes: Counter[tuple[str, str]] = Counter()
        """By side (`client`, `peer`) and direction (`in`, `out`)."""
        self.refused: Counter[tuple[str, str]] = Counter()
        """By STUN method and error code; being asked for credentials is no refusal."""
        self.listeners: dict[str, tuple[str, int]] = {}

    @property
    def allocations(self) -> int:
        """Relayed connections now."""
        return len(self._open)

    def read(self, line: str) -> None:
        """Counts what a line of the log tells."""
        if found := _LISTENS.search(line):
            self.listeners.setdefault(found[1], (found[2], int(found[3])))
        elif found := _SESSION.search(line):
            self._session(found[1], found[2])

    def _session(self, number: str, what: str) -> None:
        if what.startswith("new, "):
            self._open.add(number)
            self.opened += 1
        elif what.startswith(("closed (2nd stage)", "delete: ")):
            self._open.discard(number)
        elif found := _USAGE.match(what):
            side = "peer" if found[1] else "client"
            self.bytes[side, "in"] += int(found[2])
            self.bytes[side, "out"] += int(found[3])
        elif (found := _REFUSED.search(what)) and found[2] != _CHALLENGE:
            self.refused[found[1].lower(), found[2]] += 1

    def render(self, pool: str) -> str:
        """Prometheus' text format."""
        return "\n".join([*_lines(self, _label("pool", pool) if pool else []), ""])


def _label(name: str, value: str) -> list[str]:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return [f'{name}="{escaped}"']


def _lines(counts: Counts, pool: list[str]) -> Iterator[str]:
    def series(name: str, kind: str, text: str) -> Iterator[str]:
        yield f"# HELP {name} {text}"
        yield f"# TYPE {name} {kind}"

    def sample(name: str, value: int, *labels: str) -> str:
        every = ",".join([*pool, *labels])
        return f"{name}{{{every}}} {value}" if every else f"{name} {value}"

    yield from series("kcs_turn_allocations", "gauge", "Relayed connections now.")
    yield sample("kcs_turn_allocations", counts.allocations)
    yield from series("kcs_turn_allocations_total", "counter", "Relayed connections that began.")
    yield sample("kcs_turn_allocations_total", counts.opened)
    for direction, name in (("out", "egress"), ("in", "ingress")):
        name = f"kcs_turn_{name}_bytes_total"
        yield from series(name, "counter", "Relayed, by side: client (browsers) or peer (SFU).")
        for side in ("client", "peer"):
            yield sample(name, counts.bytes[side, direction], f'side="{side}"')
    name = "kcs_turn_refused_total"
    yield from series(name, "counter", "Requests that were refused, by method and STUN error.")
    for (method, code), value in sorted(counts.refused.items()):
        yield sample(name, value, f'method="{method}"', f'code="{code}"')


def answers_stun(address: tuple[str, int], over: str) -> bool:
    """Whether the server answers a Binding request there now; TLS: whether it takes connections."""
    kind = socket.SOCK_DGRAM if over == "UDP" else socket.SOCK_STREAM
    try:
        with socket.socket(type=kind) as sock:
            sock.settimeout(1)
            sock.connect(address)
            if over == "TLS/TCP":
                return True
            sock.send(struct.pack("!HHI", 0x0001, 0, 0x2112A442) + secrets.token_bytes(12))
            return sock.recv(1500)[:2] == b"\x01\x01"
    except OSError:
        return False


class Exporter(ThreadingHTTPServer):
    """Answers probes and Prometheus."""

    daemon_threads = True

    def __init__(self, port: int, counts: Counts, pool: str):
        self.counts, self.pool = counts, pool
        super().__init__(("", port), _Handler)

    def ready(self) -> bool:
        """Whether the server answers on its first listener; UDP, where there is one."""
        for over in ("UDP", "TCP", "TLS/TCP"):
            if over in self.counts.listeners:
                return answers_stun(self.counts.listeners[over], over)
        return False


class _Handler(BaseHTTPRequestHandler):
    server: Exporter
    timeout = 5

    def do_GET(self) -> None:
        status, text = 404, "there are /metrics, /healthz and /readyz\n"
        if self.path == "/metrics":
            status, text = 200, self.server.counts.render(self.server.pool)
        elif self.path == "/healthz":
            status, text = 200, "ok\n"
        elif self.path == "/readyz":
            status, text = (200, "ok\n") if self.server.ready() else (503, "no answer by STUN\n")
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Probes are not worth a line."""


def log(level: str, event: str, message: str) -> None:
    """One JSON object on standard output, as all services write it (`kcs_contracts.logs`)."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"event": event, "timestamp": at, "level": level, "metadata": {"message": message}}
    print(json.dumps(line), flush=True)


def pass_on(line: str) -> None:
    """Warnings and errors of the server's own; lines about sessions name people."""
    message = re.sub(r"^\d+:( \(\d+\))? ?: ", "", line).strip()
    if _NAMES_SOMEBODY.search(message):
        return
    if "ERROR" in message:
        log("error", "coturn_error", message)
    elif "WARNING" in message:
        log("warning", "coturn_warning", message)


class Peers:
    """The addresses in a file, as the server's allowed peers."""

    def __init__(self, file: Path, database: Path):
        self._file = file
        self._known: bytes | None = None
        for former in ("", "-wal", "-shm"):
            Path(f"{database}{former}").unlink(missing_ok=True)
        self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode=wal")  # who reads never waits for who writes
        for table in _TABLES:
            self._db.execute(f"create table {table}")

    def look(self) -> None:
        """Takes up what the file says now; what cannot be read changes nothing."""
        now = _content(self._file)
        if now is None or now == self._known:
            return
        peers = peers_of(now.decode(errors="replace"))
        rows = [(str(each),) for each in sorted(peers)]
        try:
            with self._db:
                self._db.execute("begin")
                self._db.execute("delete from allowed_peer_ip")
                self._db.executemany("insert into allowed_peer_ip values ('', ?)", rows)
        except sqlite3.Error as error:  # no room on the disk: the next look tries again
            log("error", "coturn_peers_not_written", str(error))
            return
        self._known = now
        log("info", "coturn_peers_changed", f"{len(peers)} addresses may be peers")

    def keep(self) -> None:
        """Looks again and again; never returns."""
        while True:
            time.sleep(_PEERS_LOOK_S)
            self.look()


def peers_of(text: str) -> set[IPv4Address]:
    """The addresses; those where nothing but an attack would be are left out, with a warning."""
    found = set()
    for word in text.split(",")[:_MOST_PEERS]:
        try:
            address = IPv4Address(word.strip())
        except ValueError:
            continue
        never = address.is_loopback or address.is_link_local or address.is_multicast
        if never or address.is_reserved or address in IPv4Network("0.0.0.0/8"):
            log("warning", "coturn_peer_refused", f"{address} is no address of an SFU")
        else:
            found.add(address)
    return found


def follow(certificate: Path, child: "subprocess.Popen[str]", counts: Counts) -> None:
    """Has the server read its certificate again whenever the file is another one; never returns."""
    known = _content(certificate)
    while True:
        time.sleep(_LOOK_S)
        now = _content(certificate)
        # before it listens, the signal would end it
        if now not in (None, known) and counts.listeners:
            known = now
            child.send_signal(signal.SIGUSR2)
            log("info", "coturn_certificate_renewed", "the server reads it again")


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def run(
    arguments: list[str],
    drain_s: float,
    pool: str,
    certificate: str = "",
    peers: Peers | None = None,
) -> int:
    """Runs the server until it ends or SIGTERM; its exit status."""
    counts = Counts()
    if peers is not None:
        peers.look()
        threading.Thread(target=peers.keep, daemon=True).start()
    exporter = Exporter(PORT, counts, pool)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    argv = ["turnserver", *arguments, "--verbose", "--log-file=stdout", "--simple-log"]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def drain() -> None:
        deadline = time.monotonic() + drain_s
        while counts.allocations and time.monotonic() < deadline:
            time.sleep(0.5)
        child.terminate()

    def on_signal(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=drain, daemon=True).start()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    if certificate:
        watched = (Path(certificate), child, counts)
        threading.Thread(target=follow, args=watched, daemon=True).start()
    log("info", "coturn_started", f"metrics on port {PORT}")
    assert child.stdout is not None
    for line in child.stdout:
        counts.read(line.rstrip("\n"))
        pass_on(line)
    status = child.wait()
    return 0 if status in (0, -signal.SIGTERM) else max(status, 1)


def main() -> None:
    """The command line is turnserver's."""
    env = os.environ
    drain_s = float(env.get("KCS_COTURN_DRAIN_SECONDS", "0"))
    pool, certificate = env.get("KCS_COTURN_POOL", ""), env.get("KCS_COTURN_CERTIFICATE", "")
    file, peers = env.get("KCS_COTURN_PEERS", ""), None
    if file:
        peers = Peers(Path(file), Path(env["KCS_COTURN_PEERS_DB"]))
    sys.exit(run(sys.argv[1:], drain_s, pool, certificate, peers))


if __name__ == "__main__":
    main()

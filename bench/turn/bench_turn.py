"""What coturn takes to relay: CPU by packets and by how clients reach it, memory by allocation.

    python bench/turn/bench_turn.py [--seconds N]

For `turn.targetEgressMbps` and `turn.targetAllocations` of a pool.
"""

import argparse
import asyncio
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.turn_client import TurnClient

from kcs_contracts.coturn import CoturnTls
from kcs_dev.coturn import HOST, Coturn, certify
from kcs_dev.measure import Figure, cpu_s, memory_mib, save
from kcs_dev.processes import free_port
from kcs_signaling.turn import credentials

METHOD = (
    "A real coturn with the configuration of a pool's pods, on loopback. Downstream, as most media"
    " goes: a peer in the SFU's place sends packets of 1,200 bytes at a steady pace to the relayed"
    " addresses of 20 clients, who read them. CPU is coturn's alone, user and system, all threads;"
    " Mbit/s are those that clients got. Memory: resident, what 1,000 allocations add. On loopback"
    " there is no network card, so a real network's system time differs."
)
CLIENTS, PACKET, PACE, ALLOCATIONS = 20, 1200, 8_000, 1000
PEER_PORT = 40000
"""Where `TurnClient` binds its channels to."""
OVER = ("udp", "tcp", "tls")


class Load:
    """Packets from the peer to all relays, and what comes of them at the clients."""

    def __init__(self, clients: Sequence[TurnClient], relays: Sequence[tuple[str, int]]):
        self._sockets, self._relays = [client._socket for client in clients], relays
        self._end = threading.Event()
        self.received = 0

    def run(self, seconds: float) -> None:
        """Sends for so long; `received` bytes came meanwhile."""
        reader = threading.Thread(target=self._read)
        reader.start()
        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            peer.bind((HOST, PEER_PORT))
            began, sent, packet = time.monotonic(), 0, bytes(PACKET)
            while (now := time.monotonic()) - began < seconds:
                due = int((now - began) * PACE)
                for number in range(sent, due):
                    peer.sendto(packet, self._relays[number % len(self._relays)])
                sent = due
                time.sleep(0.001)
        time.sleep(0.2)
        self._end.set()
        reader.join()

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in self._sockets:
                each.setblocking(False)
                selector.register(each, selectors.EVENT_READ)
            while not self._end.is_set():
                for key, _ in selector.select(0.1):
                    self.received += self._all(key.fileobj)

    @staticmethod
    def _all(sock: Any) -> int:
        read = 0
        try:
            while piece := sock.recv(65536):
                read += len(piece)
        except OSError:  # there is no more now
            return read
        return read


class Bench:
    """One coturn, and clients of it."""

    def __init__(self, coturn: Coturn, authority: Path):
        self._coturn, self._authority = coturn, authority

    @property
    def pid(self) -> int:
        """coturn's."""
        assert self._coturn._child is not None
        return self._coturn._child.pid

    def client(self, over: str, user: str) -> TurnClient:
        """Connected over udp, tcp or tls."""
        config = self._coturn.config
        assert config.tls is not None
        port = config.tls.port if over == "tls" else config.port
        secret = config.secrets[0].get_secret_value()
        name, password = credentials(secret, user, int(time.time()) + 300)
        return TurnClient(port, name, password, over, str(self._authority))

    def relayed(self, over: str, seconds: float) -> dict[str, float]:
        """CPU seconds of coturn, and Mbit that clients got."""
        with ExitStack() as stack:
            clients = [
                stack.enter_context(self.client(over, f"{over}-{n}")) for n in range(CLIENTS)
            ]
            relays = [client.allocate().relayed for client in clients]
            assert all(client.bind_channel(HOST) == 0 for client in clients)
            load = Load(clients, relays)
            before = cpu_s(self.pid)
            load.run(seconds)
            return {"cpu_s": cpu_s(self.pid) - before, "mbit": load.received * 8 / 1e6}

    def memory(self) -> float:
        """MiB that so many allocations add."""
        before, _ = memory_mib(self.pid)
        with ExitStack() as stack:
            for number in range(ALLOCATIONS):
                client = stack.enter_context(self.client("udp", f"memory-{number}"))
                assert client.allocate().code == 0
            after, _ = memory_mib(self.pid)
        return after - before


async def _measure(home: Path, seconds: float, rounds: int) -> dict[str, Any]:
    tls = CoturnTls(port=free_port(), certificate=home / "tls.crt", key=home / "tls.key")
    certify(tls.certificate, tls.key, "IP:127.0.0.1")
    samples: dict[str, Any] = {over: [] for over in OVER}
    async with Coturn(home / "coturn", tls=tls) as coturn:
        bench = Bench(coturn, tls.certificate)
        samples["memory_mib"] = await asyncio.to_thread(bench.memory)
        for _ in range(rounds):
            await coturn.stop()  # former clients' ports are free again
            await coturn.start()
            for over in OVER:
                samples[over].append(await asyncio.to_thread(bench.relayed, over, seconds))
                print(f"  over {over}: {samples[over][-1]}", flush=True)
    return samples


def _figures(samples: dict[str, Any], seconds: float) -> list[Figure]:
    figures = []
    for over in OVER:
        cpu = sum(each["cpu_s"] for each in samples[over])
        mbit = sum(each["mbit"] for each in samples[over])
        wanted = len(samples[over]) * seconds * PACE * PACKET * 8 / 1e6
        note = f"{mbit / wanted:.0%} of what was sent came"
        figures.append(
            Figure(f"Mbit/s relayed by one core, over {over}", mbit / cpu, "Mbit/s", note=note)
        )
    each = samples["memory_mib"] / ALLOCATIONS * 1024
    return [*figures, Figure("memory of an allocation", each, "KiB")]


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        samples = asyncio.run(_measure(Path(directory), wanted.seconds, wanted.rounds))
    save("turn", METHOD, _figures(samples, wanted.seconds), samples)


if __name__ == "__main__":
    main()

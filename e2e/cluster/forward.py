#!/usr/bin/env python3
"""Lets this machine reach TCP ports of a cluster with a node, as `kubectl port-forward` does.

    forward.py PID PORT[:ADDRESS:PORT]...

PID is the first process in the cluster's namespaces ($CLUSTER_DIR/pid/namespaces-init). Each PORT
of this machine's loopback leads to ADDRESS:PORT in there, without more to 127.0.0.1:PORT.
"""

import asyncio
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
BACKLOG = 128


def main() -> None:
    """Listens out here, then goes inside, where new connections start."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    ways = [_way(argument) for argument in sys.argv[2:]]
    listeners = [socket.create_server(("127.0.0.1", port), backlog=BACKLOG) for port, *_ in ways]
    _enter_network(int(sys.argv[1]))
    asyncio.run(_serve(list(zip(listeners, ways, strict=True))))


def _way(argument: str) -> tuple[int, str, int]:
    port, _, target = argument.partition(":")
    address, _, port_there = target.rpartition(":")
    return int(port), address or "127.0.0.1", int(port_there or port)


def _enter_network(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        sys.exit(f"cannot enter the network of process {pid}: {os.strerror(ctypes.get_errno())}")
    os.close(namespace)


async def _serve(ways: list[tuple[socket.socket, tuple[int, str, int]]]) -> None:
    for listener, (_, address, port) in ways:

        async def accepted(
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            address: str = address,
            port: int = port,
        ) -> None:
            await _join(reader, writer, address, port)

        await asyncio.start_server(accepted, sock=listener)
    await asyncio.Event().wait()


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int
) -> None:
    try:
        reader_there, writer_there = await asyncio.open_connection(address, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pump(reader, writer_there), _pump(reader_there, writer))
    writer.close()
    writer_there.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


if __name__ == "__main__":
    main()

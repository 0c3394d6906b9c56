"""Starts a mediasoup-worker process and tells when it is gone.

`os.posix_spawn`, because it can put the two channel sockets on descriptors 3 and 4 without a
`preexec_fn`, which runs Python between fork and exec and may deadlock when there are threads, and
without a shell in between. The process gets a group of its own, so that Ctrl-C in a terminal
reaches only us; it ends by itself when its channel closes, also when we are killed.
"""

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping

logger = logging.getLogger("kcs_sfu.mediasoup.worker")

_MAX_LINE = 65536


class WorkerProcess:
    """A running worker: its pid, its channel (`to_worker`, `from_worker`) and its end."""

    def __init__(self, argv: list[str], env: Mapping[str, str]) -> None:
        """Spawns. Raises OSError when the binary is missing or cannot be executed."""
        self.to_worker, worker_in = socket.socketpair()
        self.from_worker, worker_out = socket.socketpair()
        self._log_fd, log_in = os.pipe()
        ours: list[int] = []
        try:
            # Away from the numbers that they are to be copied to in the child.
            ours += [
                fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
                for fd in (worker_in.fileno(), worker_out.fileno(), log_in)
            ]
            self.pid = os.posix_spawn(
                argv[0],
                argv,
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, ours[2], 1),
                    (os.POSIX_SPAWN_DUP2, ours[2], 2),
                    (os.POSIX_SPAWN_DUP2, ours[0], 3),
                    (os.POSIX_SPAWN_DUP2, ours[1], 4),
                ],
                setpgroup=0,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
            )
        except OSError:
            self.to_worker.close()
            self.from_worker.close()
            os.close(self._log_fd)
            raise
        finally:
            worker_in.close()
            worker_out.close()
            os.close(log_in)
            for fd in ours:
                os.close(fd)
        self._pidfd = os.pidfd_open(self.pid)
        self.exit_status: int | None = None
        """As in `subprocess`: an exit code, or minus the number of a signal; None while it runs."""

    async def watch(self, on_exit: Callable[[int], None]) -> None:
        """Logs what the worker prints; calls `on_exit(exit_status)` once, when it is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pidfd, self._reap, loop, on_exit)
        await loop.connect_read_pipe(lambda: _Lines(self.pid), os.fdopen(self._log_fd, "rb"))

    def kill(self) -> None:
        """Kills the process unless it is gone (the pid is ours until it is reaped)."""
        if self.exit_status is None:
            os.kill(self.pid, signal.SIGKILL)

    def _reap(self, loop: asyncio.AbstractEventLoop, on_exit: Callable[[int], None]) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else's waitpid(-1) was first
            pid, status = self.pid, 255 << 8
        if pid == 0:
            return
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.exit_status = os.waitstatus_to_exitcode(status)
        on_exit(self.exit_status)


class _Lines(asyncio.Protocol):
    """What the worker and its libraries print, line by line, into the log."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            if line:
                logger.error("[pid:%d] %s", self._pid, line.decode(errors="replace"))

    def eof_received(self) -> None:
        if self._rest:
            self.data_received(b"\n")

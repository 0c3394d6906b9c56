"""An event loop whose time jumps: minutes pass in milliseconds, the same way each time.

For code that waits and talks to nobody outside the process.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast


class VirtualLoop(asyncio.SelectorEventLoop):
    """When nothing is ready, it is as late as the next thing is due."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        loop = cast("Any", self)
        if not loop._ready and loop._scheduled:
            self.now = max(self.now, loop._scheduled[0]._when)
        super()._run_once()  # type: ignore[misc]


def virtually(work: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)

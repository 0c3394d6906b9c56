"""How a transport's first connection came out: the node's part of the connection success rate.

It begins when the client hands over its DTLS parameters, and has one outcome.
"""

import asyncio
from collections.abc import Callable
from typing import Literal

from kcs_sfu.mediasoup.events import Closed, DtlsStateChange, IceStateChange
from kcs_sfu.mediasoup.webrtc_transport import WebRtcTransport

Outcome = Literal["connected", "ice_failed", "dtls_failed", "abandoned"]
"""ice_failed: no packet came through; dtls_failed: some did, but the handshake did not succeed;
abandoned: it was closed before its time was over."""

PATIENCE_S = 15.0
"""As long as browsers themselves look for a way (ICE) before they give up."""


class Connection:
    """Watches one transport; `tell` gets the outcome, once, if there was an attempt."""

    def __init__(self, transport: WebRtcTransport, tell: Callable[[Outcome], None]):
        self._tell = tell
        self._ice = False
        self._deadline: asyncio.TimerHandle | None = None
        self._over = False
        transport.on(IceStateChange, lambda event: self._ice_changed(event.state))
        transport.on(DtlsStateChange, lambda event: self._dtls_changed(event.state))
        transport.on(Closed, lambda _: self._end("abandoned"))

    def begin(self) -> None:
        """The client connects now."""
        if self._deadline is None and not self._over:
            self._deadline = asyncio.get_running_loop().call_later(PATIENCE_S, self._fail)

    def _ice_changed(self, state: str) -> None:
        self._ice = self._ice or state in ("connected", "completed")

    def _dtls_changed(self, state: str) -> None:
        if state == "connected":
            self._end("connected")
        elif state == "failed":
            self._end("dtls_failed")

    def _fail(self) -> None:
        self._end("dtls_failed" if self._ice else "ice_failed")

    def _end(self, outcome: Outcome) -> None:
        if self._over:
            return
        self._over = True
        if self._deadline is not None:
            self._deadline.cancel()
            self._tell(outcome)

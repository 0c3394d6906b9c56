"""The command line: holds the call, tries again while parts of a fresh installation still start."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from kcs_sfu.call_test.call import PACKETS, hold
from kcs_sfu.call_test.socket import CallFailed
from kcs_sfu.mediasoup.errors import MediasoupError

_AGAIN_S = 3.0


async def run(url: str, tokens: dict[str, str], patience_s: float) -> int:
    """The exit status: 0 when a call was held before patience was over."""
    deadline = time.monotonic() + patience_s
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(60):
                await hold(url, tokens)
        except (CallFailed, MediasoupError, TimeoutError) as error:
            print(f"no call: {error or 'it took more than 60 s'}", flush=True)
            if time.monotonic() + _AGAIN_S > deadline:
                return 1
            await asyncio.sleep(_AGAIN_S)
            continue
        took = time.monotonic() - began
        print(f"Two bots held a call in {took:.1f} s: {PACKETS} packets of sound came each way.")
        return 0


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="kcs_sfu.call_test", description="A call of two bots.")
    parser.add_argument("url", help="signaling, such as http://kcs-signaling:8080")
    parser.add_argument("--tokens", type=Path, required=True, help="of kcs_signaling.testers")
    parser.add_argument("--patience", type=float, default=60, help="seconds to try again for")
    options = parser.parse_args()
    tokens = json.loads(options.tokens.read_text())
    sys.exit(asyncio.run(run(options.url.rstrip("/"), tokens, options.patience)))


if __name__ == "__main__":
    main()

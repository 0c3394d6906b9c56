"""ORTC against the original: mediasoup's own `ortc.js` in Node gets the same generated input.

Results must be the same JSON, errors of the same kind. Well-formed input may never differ. Broken
input (the same, with random edits) may differ only as listed here, all on purpose:

1. What `ortc/limits.py` bounds is InvalidRtp: sizes, and numbers that the worker's fields cannot
   hold (a payload type of 1.5 or 300). Node lets JavaScript coerce them when it writes the request.
2. An array where an object belongs is InvalidRtp, or replaced by `{}` where Node replaces other
   non-objects (`parameters`). To Node, an array is an object.
3. A MIME type with anything but printable ASCII is InvalidRtp. To Node it is merely unsupported.
4. An optional field of the wrong type that JavaScript finds false (null, false, 0, "") is dropped.
   Node leaves it there, and its serialiser skips it later.
5. `maxBitrate` and `codecPayloadType` must be numbers; Node does not look at them.
6. Running out of payload types is UnsupportedError; in Node it is a plain Error.
7. A `profile-level-id` is six hexadecimal digits; Node's parseInt takes "-bfff6" too.
"""

import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kcs_sfu.mediasoup import ortc
from kcs_sfu.mediasoup.errors import InvalidRtp, UnsupportedError
from kcs_sfu.mediasoup.ortc import h264
from kcs_sfu.mediasoup.ortc.validate import validate_and_normalize_router_codec
from kcs_sfu.mediasoup.scalability_modes import parse_scalability_mode
from kcs_sfu.mediasoup.supported_rtp_capabilities import (
    supported_codecs,
    supported_header_extensions,
)

MEDIASOUP = "3.27.1"
Json = Any
Steps = list[list[Json]]


class Oracle:
    """A Node process that answers one line of JSON with one line of JSON."""

    def __init__(self, directory: Path) -> None:
        script = Path(__file__).with_name("ortc_oracle.js")
        command = ["node", str(script), str(directory)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, request: Json) -> Steps:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def oracle(pytestconfig: pytest.Config) -> Iterator[Oracle]:
    """The original, installed from npm into the cache the first time."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.fail("Node and npm are not installed (Debian: apt-get install nodejs npm)")
    oracle = Oracle(_node_mediasoup(pytestconfig))
    yield oracle
    oracle.process.communicate(timeout=10)


def _node_mediasoup(config: pytest.Config) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kcs-meetings"
    directory = cache / f"node-mediasoup-{MEDIASOUP}"
    if (directory / "node_modules/mediasoup/node/lib/ortc.js").exists():
        return directory
    with config.get_terminal_writer_suspended() if False else _shown(config):
        print(f"\ninstalling npm's mediasoup {MEDIASOUP} into {directory} ...", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=cache)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", scratch]
    done = subprocess.run([*command, f"mediasoup@{MEDIASOUP}"], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"npm could not install mediasoup {MEDIASOUP}:\n{done.stderr}")
    shutil.rmtree(directory, ignore_errors=True)
    os.rename(scratch, directory)
    return directory

"""Fixtures with the real worker, started per test and ended after it, and npm's mediasoup."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from kcs_sfu.mediasoup import Router, Worker, WorkerSettings, default_worker_bin
from kcs_sfu.mediasoup.rtp_parameters import RouterRtpCodecCapability, RtpParameters
from kcs_sfu.mediasoup.version import MEDIASOUP_VERSION

MEDIA_CODECS: list[RouterRtpCodecCapability] = [
    {"kind": "audio", "mimeType": "audio/opus", "clockRate": 48000, "channels": 2},
    {"kind": "video", "mimeType": "video/VP8", "clockRate": 90000},
]


@pytest.fixture(scope="session")
def worker_bin() -> str:
    """The worker's binary; `sfu-node/worker/build.sh` makes it."""
    path = default_worker_bin()
    if not os.access(path, os.X_OK):
        script = Path(__file__).parents[2] / "sfu-node" / "worker" / "build.sh"
        pytest.fail(f"no mediasoup-worker at {path}: run {script} or set MEDIASOUP_WORKER_BIN")
    return path


@pytest.fixture(scope="session")
def node_mediasoup(pytestconfig: pytest.Config) -> Path:
    """A folder with npm's mediasoup in node_modules; installed into the cache the first time."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.fail("Node and npm are not installed (Debian: apt-get install nodejs npm)")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kcs-meetings"
    directory = cache / f"node-mediasoup-{MEDIASOUP_VERSION}"
    if (directory / "node_modules/mediasoup/node/lib/ortc.js").exists():
        return directory
    package = f"mediasoup@{MEDIASOUP_VERSION}"
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\ninstalling npm's {package} into {directory} ...", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=cache)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", scratch]
    done = subprocess.run([*command, package], capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(scratch)
        pytest.fail(f"npm could not install {package}:\n{done.stderr}")
    shutil.rmtree(directory, ignore_errors=True)
    Path(scratch).rename(directory)
    return directory


StartWorker = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def start_worker(worker_bin: str) -> AsyncIterator[StartWorker]:
    """Starts workers; `start_worker(bin=..., request_timeout=...)` takes any setting."""
    started: list[Worker] = []

    async def start(**settings: object) -> Worker:
        options = {"bin": worker_bin, "log_level": "warn", **settings}
        worker = await Worker.create(WorkerSettings(**options))  # type: ignore[arg-type] # a test's choice
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close()
        await worker.wait_closed()


@pytest.fixture
async def worker(start_worker: StartWorker) -> Worker:
    """One running worker."""
    return await start_worker()


@pytest.fixture
async def router(worker: Worker) -> Router:
    """A router for Opus and VP8."""
    return await worker.create_router(media_codecs=MEDIA_CODECS)


@pytest.fixture
def audio_parameters() -> RtpParameters:
    """An Opus producer, as Chromium offers it."""
    return {
        "mid": "AUDIO",
        "codecs": [
            {
                "mimeType": "audio/opus",
                "payloadType": 111,
                "clockRate": 48000,
                "channels": 2,
                "parameters": {"useinbandfec": 1, "usedtx": 1},
            }
        ],
        "headerExtensions": [
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 10},
            {"uri": "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "id": 12},
        ],
        "encodings": [{"ssrc": 11111111, "dtx": True}],
        "rtcp": {"cname": "alice"},
    }


@pytest.fixture
def simulcast_parameters() -> RtpParameters:
    """A VP8 producer of three layers, as Chromium offers it."""
    return {
        "mid": "VIDEO",
        "codecs": [
            {
                "mimeType": "video/VP8",
                "payloadType": 96,
                "clockRate": 90000,
                "rtcpFeedback": [
                    {"type": "nack"},
                    {"type": "nack", "parameter": "pli"},
                    {"type": "transport-cc"},
                ],
            },
            {
                "mimeType": "video/rtx",
                "payloadType": 97,
                "clockRate": 90000,
                "parameters": {"apt": 96},
            },
        ],
        "headerExtensions": [
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 10},
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": 11},
        ],
        "encodings": [
            {"rid": "low", "maxBitrate": 150_000, "scalabilityMode": "L1T3"},
            {"rid": "mid", "maxBitrate": 500_000, "scalabilityMode": "L1T3"},
            {"rid": "high", "maxBitrate": 1_500_000, "scalabilityMode": "L1T3"},
        ],
        "rtcp": {"cname": "alice"},
    }

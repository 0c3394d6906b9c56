"""An asyncio driver of mediasoup-worker: mediasoup's v3 API in Python, with nothing of the rest.

From the outside in: `Worker` (a process) makes `Router`s, routers make transports, transports make
producers and consumers. Each class has a module of its own; below them `channel` carries messages,
`templates` and `encode` write them, `flat` and `parse` read them, and `ortc` negotiates. Ids and
options are mediasoup's, in snake_case; data that travels to clients keeps its camelCase keys.
"""

from kcs_sfu.mediasoup import events
from kcs_sfu.mediasoup.active_speaker_observer import ActiveSpeakerObserver
from kcs_sfu.mediasoup.audio_level_observer import AudioLevelObserver
from kcs_sfu.mediasoup.consumer import Consumer
from kcs_sfu.mediasoup.data_consumer import DataConsumer
from kcs_sfu.mediasoup.data_producer import DataProducer
from kcs_sfu.mediasoup.direct_transport import DirectTransport
from kcs_sfu.mediasoup.errors import (
    ChannelClosed,
    InvalidRtp,
    InvalidStateError,
    MalformedFrame,
    MediasoupError,
    NotFoundError,
    ObjectClosed,
    RejectedTypeError,
    RequestRejected,
    RequestTimeout,
    UnsupportedError,
    WorkerDied,
    WorkerStartError,
)
from kcs_sfu.mediasoup.pipe_transport import PipeTransport
from kcs_sfu.mediasoup.pipes import PipeToRouterResult
from kcs_sfu.mediasoup.plain_transport import PlainTransport
from kcs_sfu.mediasoup.producer import Producer
from kcs_sfu.mediasoup.router import Router
from kcs_sfu.mediasoup.rtp_observer import RtpObserver
from kcs_sfu.mediasoup.transport import Transport
from kcs_sfu.mediasoup.version import MEDIASOUP_VERSION
from kcs_sfu.mediasoup.webrtc_server import WebRtcServer
from kcs_sfu.mediasoup.webrtc_transport import WebRtcTransport
from kcs_sfu.mediasoup.worker import Worker, WorkerSettings, default_worker_bin

__all__ = [
    "MEDIASOUP_VERSION",
    "ActiveSpeakerObserver",
    "AudioLevelObserver",
    "ChannelClosed",
    "Consumer",
    "DataConsumer",
    "DataProducer",
    "DirectTransport",
    "InvalidRtp",
    "InvalidStateError",
    "MalformedFrame",
    "MediasoupError",
    "NotFoundError",
    "ObjectClosed",
    "PipeToRouterResult",
    "PipeTransport",
    "PlainTransport",
    "Producer",
    "RejectedTypeError",
    "RequestRejected",
    "RequestTimeout",
    "Router",
    "RtpObserver",
    "Transport",
    "UnsupportedError",
    "WebRtcServer",
    "WebRtcTransport",
    "Worker",
    "WorkerDied",
    "WorkerSettings",
    "WorkerStartError",
    "default_worker_bin",
    "events",
]

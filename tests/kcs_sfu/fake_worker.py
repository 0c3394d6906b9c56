"""A worker that misbehaves as told by FAKE_WORKER, on the real descriptors 3 and 4."""

import os
import random
import struct
import sys
import time

from kcs_sfu.mediasoup.encode import _encode, build, encode_notification
from kcs_sfu.mediasoup.fbs.Message.Body import Body as MessageBody
from kcs_sfu.mediasoup.fbs.Message.Message import MessageT
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Response.Response import ResponseT

MODE = os.environ["FAKE_WORKER"]


def read(size: int) -> bytes:
    """Exactly so many bytes; ends the process when the channel is closed."""
    data = b""
    while len(data) < size:
        piece = os.read(3, size - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data


def request_id() -> int:
    """Waits for a message, and tells its id (0 for a notification)."""
    (size,) = struct.unpack("<I", read(4))
    message = MessageT.InitFromBuf(*root(read(size)))
    return getattr(message.data, "id", 0)


def root(data: bytes) -> tuple[bytes, int]:
    """Where the message starts."""
    return data, struct.unpack_from("<I", data)[0]


def refuse(number: int, reason: str) -> None:
    """Answers NotFoundError."""
    response = build(ResponseT, id=number, accepted=False, error="NotFoundError", reason=reason)
    os.write(4, _encode(MessageBody.Response, response))


if MODE == "wrong settings":
    os.close(3)
    os.close(4)
    time.sleep(0.1)  # as one that tidies up between hanging up and its exit
    sys.exit(42)
if MODE == "silent":
    time.sleep(60)
print("a line from a library")
sys.stdout.flush()
os.write(4, encode_notification(Event.WORKER_RUNNING, str(os.getpid())))
method = "rtpObserver.somethingNew" if MODE == "other version" else "rtpObserver.removeProducer"
refuse(request_id(), f"Channel request handler with ID x not found [method:{method}]")
while True:
    number = request_id()
    if not number:
        sys.exit(0)
    if MODE == "too long":
        os.write(4, struct.pack("<I", 9 * 1024 * 1024) + b"x" * 100)
    elif MODE == "undecodable":
        junk = random.Random(number).randbytes(200)
        os.write(4, struct.pack("<I", len(junk)) + junk)
    elif MODE == "zeros":
        os.write(4, struct.pack("<I", 40) + bytes(40))
    elif MODE == "byte by byte":
        response = build(ResponseT, id=number, accepted=True)
        for byte in _encode(MessageBody.Response, response):
            os.write(4, bytes([byte]))
            time.sleep(0.001)
    elif MODE == "hangs up":
        os.close(4)
        time.sleep(60)

"""A notification is read the same whether one like it was read before or not."""

import contextlib
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kcs_sfu.mediasoup.encode import build, encode_notification
from kcs_sfu.mediasoup.fbs.AudioLevelObserver.Volume import VolumeT
from kcs_sfu.mediasoup.fbs.AudioLevelObserver.VolumesNotification import VolumesNotificationT
from kcs_sfu.mediasoup.fbs.Consumer.ConsumerScore import ConsumerScoreT
from kcs_sfu.mediasoup.fbs.Consumer.ScoreNotification import ScoreNotificationT
from kcs_sfu.mediasoup.fbs.Notification.Body import Body
from kcs_sfu.mediasoup.flat import follow, slots, u32
from kcs_sfu.mediasoup.notifications import Notification, NotificationReader
from kcs_sfu.mediasoup.parse import plain

ids = st.one_of(st.uuids().map(str), st.text(min_size=0, max_size=40))
scores = st.builds(
    lambda score, scores: (
        Body.Consumer_ScoreNotification,
        build(
            ScoreNotificationT,
            score=build(ConsumerScoreT, score=score, producerScore=10, producerScores=scores),
        ),
    ),
    st.integers(0, 10),
    st.lists(st.integers(0, 10), max_size=3),
)
volumes = st.builds(
    lambda entries: (
        Body.AudioLevelObserver_VolumesNotification,
        build(
            VolumesNotificationT,
            volumes=[build(VolumeT, producerId=i, volume=v) for i, v in entries],
        ),
    ),
    st.lists(st.tuples(ids, st.integers(-127, 0)), max_size=3),
)
bodies = st.one_of(st.just((0, None)), scores, volumes)
notifications = st.lists(st.tuples(ids, st.integers(1, 60), bodies), min_size=1, max_size=30)


def read(reader: NotificationReader, frame: bytes) -> Notification:
    """As the channel does."""
    known = reader.read_known(frame, 4, len(frame) - 4)
    if known is not None:
        return known
    buf = frame[4:]
    root = u32(buf, 0)
    return reader.read(buf, follow(buf, root + slots(buf, root)[1]))


def parsed(notification: Notification, body_type: type | None) -> Any:
    """With its body as nested dictionaries."""
    handler_id, event, buf, pos = notification
    body = None
    if body_type is not None:
        body = plain(body_type.InitFromBuf(buf, pos))  # type: ignore[attr-defined] # flatc's
    return handler_id.decode(), event, body


@settings(max_examples=200, deadline=None, derandomize=True)
@given(notifications)
def test_notifications_are_read_as_they_were_written(several: Any) -> None:
    reader = NotificationReader()
    for handler_id, event, (kind, body) in several:
        frame = encode_notification(event, handler_id, kind, body)
        expected = (handler_id, event, plain(body) if body is not None else None)
        assert parsed(read(reader, frame), type(body) if body is not None else None) == expected


def test_a_shape_is_recognised_and_only_that_one() -> None:
    reader = NotificationReader()
    one, two = ("3e506f9e-8552-4766-a9e5-33864a7ff6fe", "edcdb1f8-73fe-4eaf-8aa4-4432fbc7e34d")
    first, second = (encode_notification(17, one), encode_notification(18, two))
    assert reader.read_known(first, 4, len(first) - 4) is None
    read(reader, first)
    assert reader.read_known(second, 4, len(second) - 4) == (two.encode(), 18, b"", 0)
    assert reader.read_known(b"junk" + second, 8, len(second) - 4) == (two.encode(), 18, b"", 0)
    broken = bytearray(second)
    broken[8] ^= 1
    assert reader.read_known(bytes(broken), 4, len(second) - 4) is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_notifications_are_read_or_refused_but_never_worse(data: st.DataObject) -> None:
    reader = NotificationReader()
    handler_id, event, (kind, body) = data.draw(
        st.tuples(st.uuids().map(str), st.integers(1, 60), bodies)
    )
    frame = bytearray(encode_notification(event, handler_id, kind, body))
    if data.draw(st.booleans()):
        read(reader, bytes(frame))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(4, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(struct.error, IndexError, KeyError, ValueError):
        read(reader, bytes(frame))

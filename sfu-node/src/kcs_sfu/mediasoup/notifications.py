"""Reads notifications, fast when one looks like another before it.

The worker writes all notifications of a kind alike: same length, same bytes, but for the id of the
object that it is for, the event's number, and the contents of the body. So what was learnt from one
(where these lie, and what all else is) is compared with the next, instead of following its tables.
"""

from kcs_sfu.mediasoup.flat import follow, raw, slots, u16, u32

Notification = tuple[bytes, int, bytes, int]
"""For whom (an id), which event, and its body: a table at a position (0: none) of a buffer."""

_Shape = tuple[bytes, int, bytes, int, bytes, int, int, int]

_MAX_SHAPES = 256


class NotificationReader:
    """Remembers one shape per length of message."""

    def __init__(self) -> None:
        self._shapes: dict[int, _Shape] = {}

    def read_known(self, data: bytes, pos: int, size: int) -> Notification | None:
        """The notification in the message at `pos`, if one of its shape was read before."""
        shape = self._shapes.get(size)
        if shape is None:
            return None
        before, event_at, after, id_at, id_size, start, end, body = shape
        if (
            data.startswith(before, pos)
            and data.startswith(after, pos + event_at + 1)
            and data.startswith(id_size, pos + id_at)
        ):
            buf = data[pos : pos + size] if body else b""
            return data[pos + start : pos + end], data[pos + event_at], buf, body
        return None

    def read(self, buf: bytes, pos: int) -> Notification:
        """The notification whose table is at `pos` of a whole message; remembers its shape."""
        fields = slots(buf, pos)
        handler_id = raw(buf, pos + fields[0])
        event_at = pos + fields[1]
        body = follow(buf, pos + fields[3]) if fields[3] else 0
        id_at = follow(buf, pos + fields[0])
        # All that was read but the event and the id must lie in what will be compared.
        vtable = pos - u32(buf, pos)
        end = pos + u16(buf, vtable + 2) if 0 < vtable < pos else 0
        if fields[1] and all(pos + field < end for field in fields) and _plain_root(buf, pos):
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[len(buf)] = (
                buf[:event_at],
                event_at,
                buf[event_at + 1 : end],
                id_at,
                buf[id_at : id_at + 4],
                id_at + 4,
                id_at + 4 + len(handler_id),
                body,
            )
        return handler_id, buf[event_at], buf, body


def _plain_root(buf: bytes, pos: int) -> bool:
    """Whether the message's own table and vtable lie before the table at `pos`."""
    root = u32(buf, 0)
    return root < pos and 0 < root - u32(buf, root) < root

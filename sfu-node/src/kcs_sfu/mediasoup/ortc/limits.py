"""The one place that bounds the size and numbers of RTP and SCTP JSON from a client.

Mediasoup's Node code has no such bounds: it lets JavaScript coerce what does not fit. Here a value
that passes can be hashed, logged and written into the worker's flatbuffers without a further
thought. The bounds are far above what any browser sends (Chrome lists about 50 codecs).
"""

import math

from kcs_sfu.mediasoup.errors import InvalidRtp

MAX_DEPTH = 8
MAX_ITEMS = 128
"""Of a list or object; see `MAX_ENCODINGS`."""
MAX_ENCODINGS = 32
MAX_STRING = 256
"""Characters, object keys included."""

_UINT8 = 0xFF
_UINT16 = 0xFFFF
_UINT32 = 0xFFFF_FFFF
_INT32 = 0x7FFF_FFFF
_MAX_SAFE_INTEGER = 2**53 - 1

_MAX_INTEGER = {
    "payloadType": 127,
    "preferredPayloadType": 127,
    "codecPayloadType": 127,
    "clockRate": _UINT32,
    "channels": _UINT8,
    "id": _UINT8,
    "preferredId": _UINT8,
    "ssrc": _UINT32,
    "maxBitrate": _MAX_SAFE_INTEGER,
    "streamId": _UINT16,
    "maxPacketLifeTime": _UINT16,
    "maxRetransmits": _UINT16,
}
"""Fields whose numbers must be integers from 0, up to what the worker's field (`.fbs`) holds."""


def check_limits(value: object) -> None:
    """Raise InvalidRtp when `value` is not JSON, or too deep, long or large to go on with."""
    _check(value, "", MAX_DEPTH, in_parameters=False)


def _check(value: object, key: str, depth: int, *, in_parameters: bool) -> None:
    if isinstance(value, str):
        _check_string(value)
    elif value is None or isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        _check_number(value, key, in_parameters=in_parameters)
    elif depth == 0:
        raise InvalidRtp(f"nested more than {MAX_DEPTH} levels deep")
    elif isinstance(value, list):
        _check_length(value, MAX_ENCODINGS if key == "encodings" else MAX_ITEMS)
        for item in value:
            _check(item, "", depth - 1, in_parameters=in_parameters)
    elif isinstance(value, dict):
        _check_length(value, MAX_ITEMS)
        for name, item in value.items():
            _check_key(name)
            inside = in_parameters or key == "parameters"
            _check(item, name, depth - 1, in_parameters=inside)
    else:
        raise InvalidRtp(f"{type(value).__name__} is not JSON")


def _check_length(value: list[object] | dict[str, object], limit: int) -> None:
    if len(value) > limit:
        raise InvalidRtp(f"more than {limit} entries")


def _check_key(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidRtp("an object key is not a string")
    _check_string(name)


def _check_string(value: str) -> None:
    if len(value) > MAX_STRING:
        raise InvalidRtp(f"a string is longer than {MAX_STRING} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRtp("a string is not valid Unicode") from None


def _check_number(value: float, key: str, *, in_parameters: bool) -> None:
    if in_parameters:  # names are the codec's own there; the worker takes int32, double or string
        within = abs(value) <= _INT32 if isinstance(value, int) else math.isfinite(value)
    elif key in _MAX_INTEGER:
        within = isinstance(value, int) and 0 <= value <= _MAX_INTEGER[key]
    else:
        within = abs(value) <= _MAX_SAFE_INTEGER  # false for NaN and the infinities
    if not within:
        raise InvalidRtp(f"{key or 'number'} is out of range or not an integer")

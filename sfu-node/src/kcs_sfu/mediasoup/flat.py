"""Reads flatbuffers tables with `struct`: the way in for answers and notifications on the hot path.

flatc's Python objects cost some ten microseconds per message; a table read here is two lookups. A
table at `pos` starts with the distance back to its vtable, which lists where each field lies:

    fields = slots(buf, pos)                 # indexed as the fields are declared in the .fbs file
    if fields[1]:                            # 0: the field has its default value
        value = buf[pos + fields[1]]         # a byte; use u32(), text(), follow() for the rest

Only bytes that a worker sent are read here. Anything that does not fit raises an exception, which
the channel turns into MalformedFrame. Source: the FlatBuffers binary format ("Internals").
"""

import struct
from typing import NamedTuple

_u16 = struct.Struct("<H").unpack_from
_i32 = struct.Struct("<i").unpack_from
_u32 = unpack_u32 = struct.Struct("<I").unpack_from

_MAX_SLOTS = 32
"""No table of the worker has as many fields."""
_MAX_VTABLES = 4096
"""The worker writes a few dozen; more are nonsense, and not worth remembering."""

_vtables: dict[bytes, tuple[int, ...]] = {}
"""Vtables that were read before: the same few come again and again."""


class Reply(NamedTuple):
    """The body of an accepted answer: a table at `pos`, or none (`pos` is 0)."""

    buf: bytes
    pos: int


def slots(buf: bytes, pos: int) -> tuple[int, ...]:
    """Where the fields of the table at `pos` lie, from `pos`; 0 for a field that is left out."""
    vtable = pos - _i32(buf, pos)[0]
    if vtable < 0:
        raise ValueError("a vtable lies before its buffer")
    known = buf[vtable : vtable + _u16(buf, vtable)[0]]
    try:
        return _vtables[known]
    except KeyError:
        return _read_vtable(known)


def _read_vtable(vtable: bytes) -> tuple[int, ...]:
    count, odd = divmod(len(vtable) - 4, 2)
    if odd or not 0 <= count <= _MAX_SLOTS or u16(vtable, 0) != len(vtable):
        raise ValueError(f"a vtable of {len(vtable)} bytes")
    if len(_vtables) >= _MAX_VTABLES:
        _vtables.clear()
    fields = struct.unpack_from(f"<{count}H", vtable, 4)
    _vtables[vtable] = (*fields, *(0,) * (_MAX_SLOTS - count))
    return _vtables[vtable]


def u16(buf: bytes, pos: int) -> int:
    """The uint16 at `pos`."""
    value: int = _u16(buf, pos)[0]
    return value


def u32(buf: bytes, pos: int) -> int:
    """The uint32 at `pos`."""
    value: int = _u32(buf, pos)[0]
    return value


def i8(buf: bytes, pos: int) -> int:
    """The int8 at `pos`."""
    value = buf[pos]
    return value - 256 if value > 127 else value


def follow(buf: bytes, pos: int) -> int:
    """Where the table, string or vector lies that the reference at `pos` names."""
    target: int = pos + _u32(buf, pos)[0]
    return target


def raw(buf: bytes, pos: int) -> bytes:
    """The bytes of the string or byte vector that the reference at `pos` names."""
    start = pos + _u32(buf, pos)[0]
    size = _u32(buf, start)[0]
    value = buf[start + 4 : start + 4 + size]
    if len(value) != size:
        raise ValueError("a string reaches beyond its buffer")
    return value


def text(buf: bytes, pos: int) -> str:
    """The string that the reference at `pos` names."""
    return raw(buf, pos).decode()


def tables(buf: bytes, pos: int) -> list[int]:
    """Where the tables lie that are in the vector that the reference at `pos` names."""
    start = pos + _u32(buf, pos)[0]
    count = _u32(buf, start)[0]
    if count * 4 > len(buf):
        raise ValueError("a vector reaches beyond its buffer")
    return [follow(buf, start + 4 + 4 * i) for i in range(count)]

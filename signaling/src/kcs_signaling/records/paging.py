"""Lists in pages. A cursor is the place of the last row, so that new rows shift nothing."""

import base64
import binascii
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, RowMapping, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from kcs_contracts.models import Contract
from kcs_signaling.errors import SignalingError

MAX_LIMIT = 200
_MAX_CURSOR = 512
_T = TypeVar("_T")

Keys = Sequence[InstrumentedAttribute[Any]]
"""The columns that a list is ordered by; together they tell any two rows apart."""


class BadCursor(SignalingError):
    """The cursor is not one that this list gave."""

    code = "INVALID_CURSOR"


class Page(Contract, Generic[_T]):
    """A part of a list."""

    items: tuple[_T, ...]
    next: str | None
    """The cursor of the next page; None: this was the last."""


async def read_page(
    connection: AsyncConnection,
    query: Select[Any],
    keys: Keys,
    build: Callable[[RowMapping], _T],
    *,
    after: str | None,
    limit: int,
    newest_first: bool = False,
) -> Page[_T]:
    """The query's rows after a cursor, in the keys' order; at most `MAX_LIMIT`.

    Raises:
        BadCursor: `after` is not a cursor of such a list.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    if after is not None:
        place, here = tuple_(*keys), tuple_(*_values(after, keys))
        query = query.where(place < here if newest_first else place > here)
    query = query.order_by(*(key.desc() if newest_first else key.asc() for key in keys))
    rows = (await connection.execute(query.limit(limit + 1))).mappings().all()
    shown = rows[:limit]
    more = len(rows) > limit
    cursor = _cursor([shown[-1][key.name] for key in keys]) if more else None
    return Page(items=tuple(build(row) for row in shown), next=cursor)


def _cursor(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _values(cursor: str, keys: Keys) -> list[ColumnElement[Any]]:
    try:
        if len(cursor) > _MAX_CURSOR:
            raise ValueError("too long")
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", True))
        if not isinstance(values, list):
            raise ValueError("no list")
        return [
            literal(_checked(value, key.type.python_type), key.type)
            for value, key in zip(values, keys, strict=True)
        ]
    except (ValueError, binascii.Error, RecursionError):
        raise BadCursor("the cursor is not one of this list: begin without it") from None


def _checked(value: object, kind: type) -> object:
    if type(value) is not kind:
        raise ValueError("another type")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("no id")  # PostgreSQL takes neither NUL nor lone surrogates
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("no time")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("too large")
    return value

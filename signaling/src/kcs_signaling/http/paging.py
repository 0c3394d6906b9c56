"""Lists over REST: one page at a time, with an opaque cursor for the next (`records.paging`)."""

from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import Field

from kcs_contracts.models import Contract
from kcs_signaling.records.paging import MAX_LIMIT
from kcs_signaling.records.paging import Page as RecordsPage

T = TypeVar("T")
R = TypeVar("R")

Cursor = Annotated[
    str | None,
    Query(max_length=500, description="`next` of the page before; left out: from the beginning."),
]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
DEFAULT_LIMIT = 50


class Page(Contract, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = Field(description="Cursor of the next page; null after the last one.")


def page_of(view: Callable[[R], T], page: RecordsPage[R]) -> Page[T]:
    """The page of records as REST shows it."""
    return Page(items=[view(item) for item in page.items], next=page.next)

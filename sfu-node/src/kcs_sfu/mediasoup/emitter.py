"""Typed events: `obj.on(EventType, callback)`, called with an instance of that type."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

E = TypeVar("E")

logger = logging.getLogger(__name__)


class Emitter:
    """Base of everything that emits events."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        # Made with the first listener: a node holds thousands of objects that nobody listens to.
        self._listeners: dict[type, tuple[Callable[[Any], object], ...]] | None = None

    def on(self, event: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """Calls `callback` for each event of this type until the returned function is called.

        Callbacks are plain functions and must not block. One that raises is logged; the others are
        called all the same.
        """
        listeners = self._listeners
        if listeners is None:
            listeners = self._listeners = {}
        listeners[event] = (*listeners.get(event, ()), callback)

        def unsubscribe() -> None:
            present = listeners.get(event, ())
            if callback in present:
                at = present.index(callback)
                listeners[event] = present[:at] + present[at + 1 :]

        return unsubscribe

    def _emit(self, event: object) -> None:
        if self._listeners is None:
            return
        for callback in self._listeners.get(type(event), ()):
            try:
                callback(event)
            except Exception:
                logger.exception("a listener of %s raised", type(event).__name__)

    def _heard(self, event: type) -> bool:
        """Whether it is worth making an event of this type."""
        return self._listeners is not None and bool(self._listeners.get(event))

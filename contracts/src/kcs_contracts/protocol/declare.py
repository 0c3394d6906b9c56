"""How an event is declared: once, here; handlers, documents and types for browsers follow from it.

What comes in is a closed pydantic model. What goes out is a `TypedDict`: it is made by our own
code, checked by mypy, and costs nothing at run time; tests hold each one that is sent against it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from kcs_contracts.limits import Limit
from kcs_contracts.protocol.errors import ErrorCode
from kcs_contracts.protocol.roles import Action
from kcs_contracts.rooms import Role, Source

Guide = Literal["architecture", "client", "ours"]
"""Where an event comes from: one of the two guides, or what they lack."""
To = Literal["you", "all", "others", "hosts", "target"]
"""Whom a server's event reaches."""


def _one_line(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError("no control characters")
    return text


DisplayName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=80, strip_whitespace=True),
    AfterValidator(_one_line),
]
Reason = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)]
RoleText = Annotated[Role, Field(strict=False)]
SourceText = Annotated[Source, Field(strict=False)]


class Payload(BaseModel):
    """What comes with an event: closed, and without conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class CamelPayload(Payload):
    """The client guide's names on the wire, ours in the code."""

    model_config = ConfigDict(alias_generator=to_camel)


class Nothing(TypedDict):
    """An answer with nothing to tell."""


P = TypeVar("P", bound=Payload)
A = TypeVar("A", bound=Mapping[str, Any])


@dataclass(frozen=True)
class ClientEvent(Generic[P, A]):
    """One event that clients send."""

    name: str
    payload: type[P]
    answer: type[A]
    """What the acknowledgement's `data` holds, and the event `emits`."""
    text: str
    """What it does, in a sentence."""
    limit: Limit
    """Of one participant; an address has a multiple of it."""
    needs: Action | Callable[[P], Action] | None = None
    """What the sender's role must allow; None: nobody has to be in a meeting for it."""
    errors: tuple[ErrorCode, ...] = ()
    """Beyond those that any event may be answered with (`errors.COMMON`)."""
    emits: str | None = None
    """The event that carries the answer to the sender too, as the guides have it."""
    guide: Guide = "ours"
    counts_as: str | None = None
    """The event whose limit it shares, where another namespace has another name for the same."""

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions that `needs` may come to."""
        if self.needs is None:
            return ()
        if isinstance(self.needs, Action):
            return (self.needs,)
        return tuple(getattr(self.needs, "actions", ()))


class Choice(Generic[P]):
    """`needs` that depends on a payload, and what it may come to."""

    def __init__(self, choose: Callable[[P], Action], *actions: Action):
        self._choose, self.actions = choose, actions

    def __call__(self, payload: P) -> Action:
        return self._choose(payload)


@dataclass(frozen=True)
class ServerEvent:
    """One event that the server sends."""

    name: str
    payload: Any
    """A TypedDict."""
    text: str
    to: To = "all"
    guide: Guide = "ours"


@dataclass(frozen=True)
class Protocol:
    """A namespace: what clients send there and what they hear."""

    namespace: str
    title: str
    client_events: tuple[ClientEvent[Any, Any], ...]
    server_events: tuple[ServerEvent, ...]


def per_second(count: int) -> Limit:
    """So many a second."""
    return Limit(count=count, per_seconds=1)


def per_minute(count: int) -> Limit:
    """So many a minute."""
    return Limit(count=count, per_seconds=60)


NEGOTIATION = Limit(count=400, per_seconds=10)
"""A client that joins a large meeting consumes and resumes some hundred streams at once."""
CONTROL = Limit(count=30, per_seconds=10)
"""What a person does with a click."""
ENTRANCE = Limit(count=20, per_seconds=10)
"""Joins and leaves; clients that reconnect try again and again."""

"""What clients hear, held against what `kcs_contracts.protocol` declares: every event and answer.

`declared(namespace)` is made once per namespace. Each check answers what is wrong, in words; a
field that nobody declared is wrong too.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from kcs_contracts.generate.shapes import REF, Shapes
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import PROTOCOLS, Protocol
from kcs_contracts.protocol.declare import ClientEvent
from kcs_contracts.protocol.errors import COMMON, IN_A_MEETING

_NO_EVENT = ("UNKNOWN_EVENT", "RATE_LIMIT_EXCEEDED")
"""How what is no event is refused."""


class Declared:
    """The events of a namespace."""

    def __init__(self, protocol: Protocol):
        shapes = Shapes(protocol)
        self._definitions = {n: _closed(schema) for n, schema in shapes.definitions.items()}
        self._heard = {e.name: (shapes.payload(e),) for e in protocol.server_events}
        self._answers = {e.name: shapes.answers(e) for e in protocol.client_events}
        self._codes = {e.name: _codes(e) for e in protocol.client_events}
        self._validators: dict[tuple[str, ...], jsonschema_rs.Validator] = {}

    def heard(self, event: str, payload: object) -> Iterator[str]:
        """What is wrong with an event that a client heard."""
        if event in self._heard:
            yield from self._wrong(event, self._heard[event], payload)
        else:
            yield f"{event} is not declared: {payload}"

    def answered(self, event: str, answer: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with an acknowledgement."""
        if answer["ok"]:
            yield from self._wrong(f"answer to {event}", self._answers[event], answer["data"])
        elif answer["error"]["code"] not in self._codes.get(event, _NO_EVENT):
            yield f"{event} is not declared to be refused so: {answer['error']}"

    def _wrong(self, what: str, names: tuple[str, ...], value: object) -> Iterator[str]:
        if names not in self._validators:
            one_of = [{"$ref": REF + name} for name in names]
            schema = {"anyOf": one_of, "$defs": self._definitions}
            self._validators[names] = jsonschema_rs.validator_for(schema)
        for error in self._validators[names].iter_errors(value):
            yield f"{what}: {error.message} at {error.instance_path} of {value}"


@cache
def declared(namespace: str) -> Declared:
    """What is declared for the namespace."""
    return Declared(next(each for each in PROTOCOLS if each.namespace == namespace))


def _closed(schema: JsonObject) -> JsonObject:
    return {**schema, "additionalProperties": False} if schema.get("type") == "object" else schema


def _codes(event: ClientEvent[Any, Any]) -> tuple[str, ...]:
    in_a_meeting = () if event.needs is None else IN_A_MEETING
    return (*COMMON, *in_a_meeting, *event.errors)

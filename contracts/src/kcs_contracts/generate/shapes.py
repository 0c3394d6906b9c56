"""The JSON schemas of all that travels in a namespace, under the names that readers see.

First step of `kcs_contracts.generate`: the page, the AsyncAPI document and the types for browsers
are written from these.
"""

from collections.abc import Iterable
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.json_schema import CoreModeRef, DefsRef, GenerateJsonSchema

from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import CLIENT, SHARED, SHARED_HEARD, Protocol, guide_client, room
from kcs_contracts.protocol.camel import camel_name, camel_payload
from kcs_contracts.protocol.declare import ClientEvent, Payload, ServerEvent

AnyEvent = ClientEvent[Any, Any] | ServerEvent
Schemas = dict[str, JsonObject]

REF = "#/$defs/"
_PREFIX = {"breakouts": "Breakout", "chat": "Chat"}
"""Modules whose names are too short outside of them, and what goes before."""
_OR: dict[str, type] = {
    room.JOIN.name: room.RoomWaiting,
    guide_client.JOIN.name: guide_client.WaitingForApproval,
}
"""Who has to wait for a host's approval is answered otherwise."""


class Shapes:
    """What the events of a namespace carry, spelled as it travels there."""

    def __init__(self, protocol: Protocol):
        camel = protocol is CLIENT
        self._shared = frozenset[AnyEvent]((*SHARED, *SHARED_HEARD) if camel else ())
        comes = [e for e in protocol.client_events if e not in self._shared]
        goes = [e for e in protocol.server_events if e not in self._shared]
        answers = [shape for event in comes for shape in _answers(event)]
        self.definitions = schemas([e.payload for e in comes] + answers + [e.payload for e in goes])
        """Schemas by name; they refer to each other by `#/$defs/...`."""
        if camel:
            self.definitions |= _camel_schemas()

    def model(self, event: ClientEvent[Any, Any]) -> type[Payload]:
        """What checks a request's payload."""
        return _camel_model(event) if event in self._shared else _model(event)

    def payload(self, event: AnyEvent) -> str:
        """The definition of what an event carries."""
        return self._name(event, event.payload)

    def answers(self, event: ClientEvent[Any, Any]) -> tuple[str, ...]:
        """The definitions of what a request may be answered with."""
        return tuple(self._name(event, shape) for shape in _answers(event))

    def _name(self, event: AnyEvent, shape: type) -> str:
        name = _type_name(shape.__module__, shape.__name__)
        return f"Camel{name}" if event in self._shared else name


class _Generator(GenerateJsonSchema):
    """Pydantic's, with our names for definitions and no titles for fields."""

    def get_defs_ref(self, core_mode_ref: CoreModeRef) -> DefsRef:
        path, number = core_mode_ref[0].rsplit(":", 1)
        module, name = path.rsplit(".", 1)
        ref = f"{module}.{_type_name(module, name)}:{number}"
        return super().get_defs_ref(cast("CoreModeRef", (ref, core_mode_ref[1])))

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schemas(shapes: Iterable[type]) -> Schemas:
    """The schema of each shape and of all that is in them, by name."""
    inputs = [(shape, "validation", _adapter(shape)) for shape in shapes]
    _, document = TypeAdapter.json_schemas(cast("Any", inputs), schema_generator=_Generator)
    found = document["$defs"].items()
    return {name: {k: v for k, v in schema.items() if k != "title"} for name, schema in found}


def _type_name(module: str, name: str) -> str:
    bare = name.removeprefix("Camel")
    return name[: -len(bare)] + _PREFIX.get(module.rpartition(".")[2], "") + bare


def _adapter(shape: type) -> TypeAdapter[Any]:
    """An adapter takes no `config` for a TypedDict itself, but for one that is in a list."""
    if issubclass(shape, BaseModel):
        return TypeAdapter(shape)
    return TypeAdapter(list[shape], config=ConfigDict(use_attribute_docstrings=True))  # type: ignore[valid-type] # made at run time


def _model(event: ClientEvent[Any, Any]) -> type[Payload]:
    return event.payload


def _camel_model(event: ClientEvent[Any, Any]) -> type[Payload]:
    return camel_payload(_model(event))


def _answers(event: ClientEvent[Any, Any]) -> tuple[type, ...]:
    other = _OR.get(event.name)
    return (event.answer, other) if other else (event.answer,)


def _camel_schemas() -> Schemas:
    """Of what both namespaces have, as `/` spells it."""
    plain = schemas([e.answer for e in SHARED] + [e.payload for e in SHARED_HEARD])
    objects = {name for name, schema in plain.items() if "properties" in schema}
    camel = {
        f"Camel{name}" if name in objects else name: _camelized(schema, objects)
        for name, schema in plain.items()
    }
    return schemas([_camel_model(event) for event in SHARED]) | camel


def _camelized(value: Any, objects: set[str]) -> Any:
    if isinstance(value, list):
        return [_camelized(each, objects) for each in value]
    if not isinstance(value, dict):
        return value
    result = {key: _camelized(inner, objects) for key, inner in value.items()}
    if "properties" in value:
        result["properties"] = {camel_name(k): v for k, v in result["properties"].items()}
        result["required"] = [camel_name(name) for name in value.get("required", [])]
    if str(value.get("$ref", "")).removeprefix(REF) in objects:
        result["$ref"] = f"{REF}Camel{value['$ref'].removeprefix(REF)}"
    return result

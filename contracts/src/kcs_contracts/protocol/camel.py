"""The client guide's spelling of what `/meeting` says: camelCase, and `userName` for a name."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from kcs_contracts.models import JsonObject
from kcs_contracts.protocol.declare import Payload

P = TypeVar("P", bound=Payload)

_AS_IT_IS = frozenset({"rtp_capabilities", "rtp_parameters", "ice_servers"})
"""Their insides are WebRTC's."""


@cache
def camel_name(name: str) -> str:
    """A field's name in the client guide's dialect."""
    return "userName" if name == "display_name" else to_camel(name)


def camelized(value: Any) -> Any:
    """The same with the keys of all objects in camelCase."""
    if isinstance(value, Mapping):
        return {
            camel_name(key): inner if key in _AS_IT_IS else camelized(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [camelized(each) for each in value]
    return value


def camel_object(value: Mapping[str, Any]) -> JsonObject:
    """`camelized` of an object."""
    return cast("JsonObject", camelized(value))


@cache
def camel_payload(model: type[P]) -> type[P]:
    """The same payload with camelCase names on the wire."""
    if model.model_config.get("alias_generator"):
        return model
    fields = {name: (_inner(field.annotation), field) for name, field in model.model_fields.items()}
    annotations = {name: annotation for name, (annotation, _) in fields.items()}
    body = {
        "__annotations__": annotations,
        "__module__": model.__module__,
        "__doc__": model.__doc__,
        # the fields have their docstrings; pydantic would search all sources for these classes'
        "model_config": ConfigDict(alias_generator=camel_name, use_attribute_docstrings=False),
        **{name: field for name, (_, field) in fields.items()},
    }
    return cast("type[P]", type(f"Camel{model.__name__}", (model,), body))


def _inner(annotation: Any) -> Any:
    """Models inside a payload are spelled so too."""
    if isinstance(annotation, type) and issubclass(annotation, Payload):
        return camel_payload(annotation)
    arguments = getattr(annotation, "__args__", ())
    if any(isinstance(a, type) and issubclass(a, Payload) for a in arguments):
        origin = annotation.__origin__
        return origin[tuple(_inner(a) for a in arguments)]
    return annotation

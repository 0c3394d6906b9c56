"""`docs/asyncapi.json`: both namespaces as AsyncAPI 3.0, for programs.

A namespace is a channel, an event a message; operations are seen from the server. What AsyncAPI
has no word for stands in `x-` fields: acknowledgements, roles, limits and codes of errors.
Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
from typing import Any

from pydantic import ValidationError

from kcs_contracts.generate.shapes import REF, Schemas, Shapes
from kcs_contracts.generate.words import roles_of
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import CLIENT, MEETING, Protocol
from kcs_contracts.protocol.declare import ClientEvent, ServerEvent
from kcs_contracts.protocol.errors import COMMON, IN_A_MEETING, MEANING

CHANNELS = {MEETING.namespace: "meeting", CLIENT.namespace: "root"}
REQUEST, HEARD = "request.", "event."
"""An event of one name may go both ways; these tell the messages apart."""

LINE = 200
"""Characters in a line of the document, about."""
_SAMPLES = {"meeting": "k7f-x2mq-9tb", "room": "k7f-x2mq-9tb-1", "user": "ada", "part": "ada"}
"""Ids, by what the name of their field begins with; media ids have the one below."""
_MEDIA_ID = "5f3c7a0e-8c1d-4a52-9a55-0a4f6c2b1d9e"


def asyncapi(version: str) -> str:
    """The document as text; `version` is the release's."""
    document: JsonObject = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "KCS Meetings",
            "version": version,
            "license": {"name": "Apache-2.0"},
            "description": "Signaling over Socket.IO (protocol 5) at /socket.io/, with a token in "
            "`auth`. docs/events.md says the same to people.",
        },
        "defaultContentType": "application/json",
        "channels": {},
        "operations": {},
        "components": {"schemas": {"Acknowledgement": _acknowledgement()}},
    }
    for protocol in (MEETING, CLIENT):
        _add(document, protocol)
    return _text(document) + "\n"


def example(event: ClientEvent[Any, Any], shapes: Shapes) -> JsonObject | None:
    """A payload of the required fields; None where they do not make one that is valid."""
    payload: JsonObject = _sample(shapes.definitions[shapes.payload(event)], "", shapes.definitions)
    try:
        shapes.model(event).model_validate(payload)
    except ValidationError:
        return None
    return payload


def _text(value: Any, indent: str = "") -> str:
    """JSON, with objects on one line that have room there."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= LINE or not isinstance(value, dict):
        return line
    inner = indent + "  "
    rows = (f"{inner}{json.dumps(key)}: {_text(each, inner)}" for key, each in value.items())
    return "{\n" + ",\n".join(rows) + f"\n{indent}}}"


def _add(document: JsonObject, protocol: Protocol) -> None:
    shapes, name = Shapes(protocol), CHANNELS[protocol.namespace]
    messages, operations = {}, {}
    for event in protocol.client_events:
        messages[REQUEST + event.name] = _request(event, shapes, name)
        operations[f"{name}.{REQUEST}{event.name}"] = _receive(event, shapes, name)
    for heard in protocol.server_events:
        messages[HEARD + heard.name] = _message(heard, shapes, name)
        operations[f"{name}.{HEARD}{heard.name}"] = _send(heard, name)
    channel = {"address": protocol.namespace, "title": protocol.title, "messages": messages}
    document["channels"][name] = channel
    document["operations"] |= operations
    for key, schema in shapes.definitions.items():
        document["components"]["schemas"][f"{name}.{key}"] = _moved(schema, name)


def _message(
    event: ClientEvent[Any, Any] | ServerEvent, shapes: Shapes, channel: str
) -> JsonObject:
    payload = _schema_ref(channel, shapes.payload(event))
    return {"name": event.name, "summary": event.text, "payload": payload, "x-guide": event.guide}


def _request(event: ClientEvent[Any, Any], shapes: Shapes, channel: str) -> JsonObject:
    message = _message(event, shapes, channel)
    sample = example(event, shapes)
    return message if sample is None else {**message, "examples": [{"payload": sample}]}


def _receive(event: ClientEvent[Any, Any], shapes: Shapes, channel: str) -> JsonObject:
    answers = [_schema_ref(channel, name) for name in shapes.answers(event)]
    within = IN_A_MEETING if event.needs else ()
    operation = {
        "action": "receive",
        **_operation(REQUEST + event.name, event.text, channel),
        "x-ack": answers[0] if len(answers) == 1 else {"oneOf": answers},
        "x-limit": {"count": event.limit.count, "per_seconds": event.limit.per_seconds},
        "x-roles": {action.value: [*roles_of(action)] for action in event.actions},
        "x-errors": list(dict.fromkeys((*event.errors, *within, *COMMON))),
    }
    if event.emits:
        messages = [{"$ref": _message_ref(channel, HEARD + event.emits)}]
        operation["reply"] = {"channel": {"$ref": f"#/channels/{channel}"}, "messages": messages}
    return operation


def _send(event: ServerEvent, channel: str) -> JsonObject:
    return {
        "action": "send",
        **_operation(HEARD + event.name, event.text, channel),
        "x-to": event.to,
    }


def _operation(message: str, text: str, channel: str) -> JsonObject:
    return {
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": text,
        "messages": [{"$ref": _message_ref(channel, message)}],
    }


def _message_ref(channel: str, message: str) -> str:
    return f"#/channels/{channel}/messages/{message}"


def _schema_ref(channel: str, name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{channel}.{name}"}


def _moved(value: Any, channel: str) -> Any:
    """With the refs to where the definitions are in this document."""
    if isinstance(value, list):
        return [_moved(each, channel) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _schema_ref(channel, str(value["$ref"]).removeprefix(REF))
    return {key: _moved(inner, channel) for key, inner in value.items()}


def _acknowledgement() -> JsonObject:
    fields = {
        "code": {"enum": list(MEANING), "x-meaning": MEANING},
        "message": {"type": "string"},
        "retry_after": {"type": "number", "description": "In seconds."},
    }
    error = _object(fields, "code", "message")
    return {
        "description": "What requests are acknowledged with; `data` is the operation's `x-ack`.",
        "oneOf": [
            _object({"ok": {"const": True}, "data": {"type": "object"}}, "ok", "data"),
            _object({"ok": {"const": False}, "error": error}, "ok", "error"),
        ],
    }


def _object(properties: JsonObject, *required: str) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(required)}


def _sample(schema: JsonObject, field: str, shapes: Schemas) -> Any:
    if "$ref" in schema:
        return _sample(shapes[str(schema["$ref"]).removeprefix(REF)], field, shapes)
    if "anyOf" in schema:
        return _sample(schema["anyOf"][0], field, shapes)
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "array":
        return [_sample(schema["items"], field, shapes)]
    if schema["type"] == "object":
        fields = schema.get("properties", {})
        return {name: _sample(fields[name], name, shapes) for name in schema.get("required", [])}
    if schema["type"] == "string":
        ids = (value for name, value in _SAMPLES.items() if name in field.lower())
        return next(ids, _MEDIA_ID) if "pattern" in schema else "Hello"
    return True if schema["type"] == "boolean" else 1

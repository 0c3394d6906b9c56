"""`docs/events.md`: the reference of both namespaces, for people."""

import inspect
import re
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from kcs_contracts.generate.shapes import REF, Shapes
from kcs_contracts.generate.words import (
    GUIDES,
    ID_LIMITS,
    REACH,
    keys,
    limit_text,
    listed,
    one_line,
    outline,
    roles_of,
    senders,
    table,
    type_text,
)
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import (
    CLIENT,
    MEETING,
    SHARED,
    SHARED_HEARD,
    breakouts,
    capture,
    chat,
    guide_client,
    media,
    moving,
    people,
    room,
    telemetry,
)
from kcs_contracts.protocol.declare import ClientEvent, ServerEvent
from kcs_contracts.protocol.errors import COMMON, IN_A_MEETING, MEANING
from kcs_contracts.protocol.roles import Action
from kcs_contracts.rooms import Role

PARTS: dict[ModuleType, str] = {
    room: "Room",
    media: "Media",
    moving: "Moving to another media server",
    people: "People",
    chat: "Chat",
    breakouts: "Breakout rooms",
    capture: "Recording and streaming",
    telemetry: "Statistics",
}
"""The sections of `/meeting`, by the module that declares them."""
LONGEST_OUTLINE = 110
"""Characters; what is longer gets a table among the shapes."""

_INTRO = f"""\
# Events

What clients and signaling say to each other over Socket.IO. Written by `make generate` from
`kcs_contracts.protocol`; `asyncapi.json` beside this page says the same to programs.

There are two namespaces over the same meetings: `/meeting` speaks the architecture guide's
snake_case, `/` the client guide's camelCase. What is marked with no guide is ours. Connect with
`auth: {{ token }}`.

**Answers.** Each request of `/meeting` is acknowledged: `{{ "ok": true, "data": ... }}`, or
`{{ "ok": false, "error": {{ "code", "message", "retry_after"? }} }}` with seconds in `retry_after`.
Where the guides have an event that carries the answer, that one comes too. In `/`, events are the
answers; a client that asks for an acknowledgement gets it as well.

**Payloads** are closed: an unknown field is an error, and so is a value of another type. Times
are ISO 8601 in UTC. An *id* has {ID_LIMITS};
a *media id* is what the server calls a transport, producer or consumer.
In `{{ user_id, paused: boolean, reason? }}` a bare name is an id or text, and what has `?` may be
left out.

**Limits** are one person's: so many at once, and as many again within each period, evenly spread.
All the people behind one address have a multiple of it together.

"""


def events_page() -> str:
    """The whole page."""
    body = "".join((_roles(), _errors(), *_meeting(), *_client()))
    return _INTRO + _contents(body) + body.rstrip() + "\n"


def _contents(body: str) -> str:
    lines = []
    for level, title in re.findall(r"^(##|###) (.*)$", body, re.MULTILINE):
        slug = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        lines.append(f"{'  ' * (len(level) - 2)}- [{title}](#{slug})\n")
    return "".join(lines) + "\n"


def _roles() -> str:
    rows = (
        [action.value, *("yes" if role in roles_of(action) else "" for role in Role)]
        for action in Action
    )
    return (
        "## Roles\n\nWho may do what. The meeting's setting `guest_chat` lets guests write too, "
        "and `allow_unmute_self` lets attendees unmute themselves.\n\n"
        + table(["may", *(f"`{role.value}`" for role in Role)], rows)
    )


def _errors() -> str:
    rows = ([f"`{code}`", meaning] for code, meaning in MEANING.items())
    common, inside = (listed([f"`{code}`" for code in codes]) for codes in (COMMON, IN_A_MEETING))
    return (
        f"## Errors\n\nAny request may be answered with {common};\n"
        f"one that needs a role, with {inside} too.\n"
        "The others stand with the requests.\n\n" + table(["code", "meaning"], rows)
    )


def _meeting() -> Iterator[str]:
    shapes = Shapes(MEETING)
    yield "## `/meeting` (architecture guide)\n\n"
    for part, title in PARTS.items():
        yield f"### {title}\n\n{inspect.getdoc(part)}\n\n"
        yield from (_request(event, shapes) for event in part.CLIENT_EVENTS)
        yield "**What you hear**\n\n" + _heard(part.SERVER_EVENTS, shapes)
    yield "### Shapes\n\nWhat several events carry, or what is too long for a line.\n\n"
    for name, schema in sorted(shapes.definitions.items()):
        if _has_heading(name, shapes):
            text = f"{schema['description']}\n\n" if "description" in schema else ""
            yield f"#### {name}\n\n{text}{_shape(schema, shapes)}"


def _client() -> Iterator[str]:
    shapes = Shapes(CLIENT)
    yield "## `/` (client guide)\n\n### Of its own\n\n"
    yield from (_request(event, shapes, whole=True) for event in guide_client.CLIENT_EVENTS)
    yield "**What you hear**\n\n" + _heard(guide_client.SERVER_EVENTS, shapes, whole=True)
    yield (
        "### As in `/meeting`\n\nThe same events with the same meaning and limits, in camelCase"
        " (`display_name` is `userName`).\n\n"
    )
    for event in SHARED:
        payload = shapes.definitions[shapes.payload(event)]
        yield f"- `{event.name}` `{outline(payload, shapes.definitions, 2)}`\n"
    yield "\n**What you hear**\n\n"
    for heard in SHARED_HEARD:
        yield f"- `{heard.name}` `{keys(shapes.definitions[shapes.payload(heard)])}`\n"


def _request(event: ClientEvent[Any, Any], shapes: Shapes, whole: bool = False) -> str:
    payload = shapes.definitions[shapes.payload(event)]
    answer = " or ".join(_carried(name, shapes, whole) for name in shapes.answers(event))
    also = f", also as `{event.emits}`" if event.emits else ""
    errors = (
        f"- errors: {', '.join(f'`{code}`' for code in event.errors)}\n" if event.errors else ""
    )
    return (
        f"#### `{event.name}`\n\n{event.text}{GUIDES[event.guide]}\n\n"
        f"{_takes(payload, shapes)}"
        f"- from: {senders(event)}\n"
        f"- limit: {limit_text(event.limit)}\n"
        f"- answer: {answer}{also}\n"
        f"{errors}\n"
    )


def _heard(events: Iterable[ServerEvent], shapes: Shapes, whole: bool = False) -> str:
    lines = (
        f"- `{event.name}` to {REACH[event.to]}: {event.text}{GUIDES[event.guide]}\n"
        f"  {_carried(shapes.payload(event), shapes, whole)}\n"
        for event in events
    )
    return "".join(lines) + "\n"


def _takes(payload: JsonObject, shapes: Shapes) -> str:
    """On one line where there is nothing to explain, else a table."""
    if any(_needs_words(field, shapes) for field in payload["properties"].values()):
        return _fields(payload, shapes)
    return f"Takes `{outline(payload, shapes.definitions)}`.\n\n"


def _shape(schema: JsonObject, shapes: Shapes) -> str:
    if "additionalProperties" in schema or any(
        "description" in field for field in schema["properties"].values()
    ):
        return _fields(schema, shapes)
    return f"`{outline(schema, shapes.definitions)}`\n\n"


def _needs_words(field: JsonObject, shapes: Shapes) -> bool:
    kind = type_text(field, shapes.definitions).removesuffix(" or null")
    plain = kind in ("id", "media id", "boolean", "object") or kind.startswith("`")
    return not plain or "description" in field or field.get("default") is not None


def _fields(schema: JsonObject, shapes: Shapes) -> str:
    """A table. What comes has its defaults; of what goes nearly all is always there."""
    required = schema.get("required", [])
    closed = "additionalProperties" in schema
    rows = []
    for name, field in schema["properties"].items():
        kind = type_text(field, shapes.definitions)
        if name not in required:
            kind = kind.removesuffix(" or null")
        default = ("**needed**" if name in required else _default(field)) if closed else ""
        mark = "" if closed or name in required else "?"
        rows.append([f"`{name}`{mark}", kind, default, one_line(field.get("description"))])
    return table(["field", "type", "default", "what"], rows)


def _default(field: JsonObject) -> str:
    value = field.get("default")
    if value in (None, "", []):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _carried(name: str, shapes: Shapes, whole: bool) -> str:
    if not whole and _has_heading(name, shapes):
        return f"[{name}](#{name.lower()})"
    return f"`{outline(shapes.definitions[name], shapes.definitions, 2 if whole else 1)}`"


def _has_heading(name: str, shapes: Shapes) -> bool:
    """Objects within others, long ones and those with something to say about a field."""
    schema = shapes.definitions[name]
    if "properties" not in schema:
        return False
    if any(f"'{REF}{name}'" in str(other) for other in shapes.definitions.values()):
        return True
    if "additionalProperties" in schema:
        return False  # a payload: it stands with its request
    return len(outline(schema, shapes.definitions)) > LONGEST_OUTLINE or any(
        "description" in field for field in schema["properties"].values()
    )

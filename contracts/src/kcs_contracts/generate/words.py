"""Schemas, limits and roles as a reader of documentation wants them said."""

from collections.abc import Iterable, Sequence
from typing import Any

from kcs_contracts.generate.shapes import REF, Schemas
from kcs_contracts.limits import Limit
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol.declare import ClientEvent, Guide, To
from kcs_contracts.protocol.roles import ALLOWED, GUESTS_WHO_CHAT, Action
from kcs_contracts.rooms import Role

GUIDES: dict[Guide, str] = {
    "architecture": " *(architecture guide)*",
    "client": " *(client guide)*",
    "ours": "",
}
REACH: dict[To, str] = {
    "you": "you",
    "all": "all",
    "others": "all others",
    "hosts": "hosts and co-hosts",
    "target": "the one whom it is about",
}
ID_LIMITS = "up to 64 letters, digits and `_ . : @ -`, the first a letter or digit"
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}$": "id",
    r"^[A-Za-z0-9-]{1,64}$": "media id",
    r"^[A-Za-z0-9_-]{1,64}$": "message id",
    r"^[^@\s\x00-\x1f,;<>\"]{1,64}@[A-Za-z0-9.-]{1,185}$": "mail address",
}
_PERIODS = {1.0: "second", 60.0: "minute"}


def limit_text(limit: Limit) -> str:
    """Such as `10 per minute`."""
    return f"{limit.count} per {_PERIODS.get(limit.per_seconds, f'{limit.per_seconds:g} s')}"


def senders(event: ClientEvent[Any, Any]) -> str:
    """Which roles may send an event, and for what, where it depends on the payload."""
    if event.needs is None:
        return "whoever has a token"
    groups: dict[str, list[str]] = {}
    for action in event.actions:
        groups.setdefault(roles_text(action), []).append(action.value)
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{roles} ({', '.join(actions)})" for roles, actions in groups.items())


def roles_text(action: Action) -> str:
    """The roles that may do something."""
    allowed = roles_of(action)
    if len(allowed) == len(Role):
        return "everybody in the meeting"
    text = listed([f"`{role.value}`" for role in allowed])
    return f"{text}, and guests where `guest_chat` is on" if action in GUESTS_WHO_CHAT else text


def roles_of(action: Action) -> list[Role]:
    """The roles that may do something, whatever the meeting's settings."""
    return [role for role, actions in ALLOWED.items() if action in actions]


def type_text(schema: JsonObject, shapes: Schemas) -> str:
    """A field's type with its caps, in Markdown; an object of its own is a link to its heading."""
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(REF)
        is_object = "properties" in shapes[name]
        return f"[{name}](#{name.lower()})" if is_object else type_text(shapes[name], shapes)
    if "anyOf" in schema:
        kinds = [type_text(each, shapes) for each in schema["anyOf"]]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return listed([f"`{value}`" for value in schema["enum"]], "or")
    if schema["type"] == "array":
        most = schema.get("maxItems")
        inner = type_text(schema["items"], shapes)
        return f"list of {inner}" + (f", at most {most}" if most else "")
    if schema["type"] == "string":
        return _text_type(schema)
    return str(schema["type"]) + _bounds(schema)


def outline(schema: JsonObject, shapes: Schemas, depth: int = 1) -> str:
    """An object on one line: a bare name is text, `?` may be left out.

    Shapes are written out down to `depth`, and named below.
    """
    if "properties" not in schema:
        return _short_type(schema, shapes, depth)
    required = schema.get("required", [])
    fields = []
    for name, field in schema["properties"].items():
        kind = _short_type(field, shapes, depth - 1)
        mark = ""
        if name not in required:
            kind, mark = kind.removesuffix(" | null"), "?"
        fields.append(f"{name}{mark}" if kind == "string" else f"{name}{mark}: {kind}")
    return f"{{ {', '.join(fields)} }}"


def keys(schema: JsonObject) -> str:
    """An object's fields by name alone."""
    required = schema.get("required", [])
    names = (name if name in required else f"{name}?" for name in schema.get("properties", {}))
    return f"{{ {', '.join(names)} }}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Such as `a, b and c`."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table without the columns that are empty, and a line after it."""
    content = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    used = [i for i in range(len(head)) if any(row[i] for row in content)]
    lines = [head, ["---"] * len(head), *content]
    return "".join(f"| {' | '.join(line[i] for i in used)} |\n" for line in lines) + "\n"


def one_line(text: str | None) -> str:
    """A docstring without its line breaks."""
    return " ".join((text or "").split())


def _short_type(schema: JsonObject, shapes: Schemas, depth: int) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(REF)
        target = shapes[name]
        return outline(target, shapes, depth) if depth > 0 or "enum" in target else name
    if "anyOf" in schema:
        return " | ".join(_short_type(each, shapes, depth) for each in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(f'"{v}"' if isinstance(v, str) else str(v).lower() for v in values)
    if schema["type"] == "array":
        return f"{_short_type(schema['items'], shapes, depth)}[]"
    return str(schema["type"])


def _text_type(schema: JsonObject) -> str:
    if "pattern" in schema:
        return _PATTERNS.get(schema["pattern"], f"text like `{schema['pattern']}`")
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most is None:
        return "text"
    return f"text, {f'{least} to' if least else 'at most'} {most} characters"


def _bounds(schema: JsonObject) -> str:
    least, most, above = (
        _number(schema[key]) if key in schema else ""
        for key in ("minimum", "maximum", "exclusiveMinimum")
    )
    if least and most:
        return f", {least} to {most}"
    bounds = (f"at least {least}", f"above {above}", f"at most {most}")
    return "".join(f", {b}" for b, said in zip(bounds, (least, above, most), strict=True) if said)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100_000 else f"{value:g}"

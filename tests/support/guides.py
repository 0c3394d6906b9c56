"""The two guides, read as they stand: which events they show, with which fields."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Fields = Mapping[str, "Fields"]
"""Names of an object's fields, each with the fields of what is in it."""

Way = Literal["emitted", "heard"]
WAYS: tuple[Way, ...] = ("emitted", "heard")

DOCS = Path(__file__).parents[2] / "docs" / "guides"
ARCHITECTURE = (DOCS / "architecture-guide.md").read_text()
CLIENT = (DOCS / "client-guide.md").read_text()

SOCKET_IO = frozenset(
    {"connect", "disconnect", "connect_error", "reconnect", "reconnect_attempt", "reconnect_failed"}
)
"""Events of the library itself."""


@dataclass(frozen=True)
class Shown:
    """One place in a guide that shows an event."""

    way: Way
    event: str
    fields: Fields
    choices: Mapping[str, frozenset[str]]
    """Values that the guide names, by field."""
    optional: frozenset[str] = frozenset()
    """Fields that it calls optional."""


def in_tables(text: str) -> Iterator[Shown]:
    """The architecture guide's rows `| event | payload | description |`."""
    headings = ("### Client → Server Events", "### Server → Client Events")
    for way, heading in zip(WAYS, headings, strict=True):
        section = re.split(r"^---$", text.split(heading)[1], maxsplit=1, flags=re.MULTILINE)[0]
        for event, payload in re.findall(r"^\| `(\S+)` \| `(\{.*\})` \|", section, re.MULTILINE):
            choices = re.findall(r"(\w+): ('\w+'(?:/'\w+')+)", payload)
            yield Shown(
                way, event, fields(payload), {name: _quoted(values) for name, values in choices}
            )


def in_snippets(text: str) -> Iterator[Shown]:
    """The client guide's `socket.emit(...)` and `socket.on(...)`."""
    for call in re.finditer(r"socket\.emit\('([^']+)', (?=\{)", text):
        payload = _balanced(text, call.end())
        optional = re.findall(r"(\w+): .*// Optional", payload)
        yield Shown("emitted", call[1], fields(payload), _commented(payload), frozenset(optional))
    for start, call in _handlers(text):
        if call[1] not in SOCKET_IO:
            body = _without_handlers(_balanced(text, start)[1:-1])
            yield Shown("heard", call[1], _told(body, call[2]), {})


def in_summary(text: str) -> Iterator[tuple[Way, str]]:
    """The events of the client guide's overview."""
    overview = text.split("### Event Overview")[1].split("###")[0]
    for line in re.findall(r"^- (.*)$", overview, re.MULTILINE):
        way: Way = "heard" if "receive" in line else "emitted"
        for event in re.findall(r"[a-z]+(?:[-:][a-z]+)*", line):
            if event != "receive":
                yield way, event


def limits(text: str) -> dict[str, tuple[int, float]]:
    """The client guide's rate limits: how often, in how many seconds."""
    periods = {"minute": 60.0, "second": 1.0, "5 seconds": 5.0}
    rows = re.findall(r"^- \*\*(\S+)\*\*: (\d+)/(.*)$", text, re.MULTILINE)
    return {event: (int(count), periods[period]) for event, count, period in rows}


def roles(text: str) -> set[str]:
    """The architecture guide's table of roles, as we write them."""
    table = text.split("| Role | Permissions |")[1].split("---\n")[0]
    found = re.findall(r"^\| \*\*(\S+)\*\*", table, re.MULTILINE)
    return {name.lower().replace("-", "_") for name in found}


def error_codes(text: str) -> set[str]:
    """The codes that the client guide's handlers tell apart."""
    return set(re.findall(r"(?:case |code === )'([A-Z_]+)'", text))


def names(text: str) -> set[str]:
    """All that is written as an event's name anywhere."""
    return set(re.findall(r"[`'\s]([a-z]+(?:[-:][a-z]+)*)(?=[`',\n])", text))


def fields(text: str) -> Fields:
    """The fields of an object as JavaScript, or the tables' shorthand, writes it."""
    inner = re.sub(r"//[^\n]*", "", text.strip())[1:-1]
    found: dict[str, Fields] = {}
    for part in _split(inner):
        name, _, value = part.partition(":")
        if name.strip().isidentifier():
            found[name.strip()] = fields(value) if value.strip().startswith("{") else {}
    return found


def _told(body: str, parameter: str) -> Fields:
    """What a handler's comment shows, and what its code reads."""
    shown = re.search(r"/\*\s*(\{.*?\})\s*\*/", body, re.DOTALL)
    read = re.findall(rf"\b{parameter}\.(\w+)", body) if parameter else []
    return {**{name: {} for name in read}, **(fields(shown[1]) if shown else {})}


def _handlers(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Where each handler's call opens its bracket, with the event and its parameter's name."""
    for call in re.finditer(r"socket\.(?:on|once)\('([^']+)', (?:async )?\(?(\w*)", text):
        yield text.index("(", call.start()), call


def _without_handlers(body: str) -> str:
    for start, _ in _handlers(body):
        inner = _balanced(body, start)
        return _without_handlers(body.replace(inner, "", 1))
    return body


def _commented(payload: str) -> dict[str, frozenset[str]]:
    """`field: 'a' // 'a', 'b' or 'c'`, and the emoji's `// Valid: x, y`."""
    found = {}
    for name, value, comment in re.findall(r"(\w+): '([^']+)',? *// (.*)", payload):
        valid = comment.partition("Valid: ")[2]
        choices = frozenset(valid.split(", ")) if valid else _quoted(comment) | {value}
        if len(choices) > 1:
            found[name] = choices
    return found


def _quoted(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"'([^']+)'", text))


def _balanced(text: str, start: int) -> str:
    """From an opening bracket to the one that closes it."""
    opening, depth = text[start], 0
    closing = {"{": "}", "(": ")"}[opening]
    for end in range(start, len(text)):
        depth += (text[end] == opening) - (text[end] == closing)
        if depth == 0:
            return text[start : end + 1]
    raise ValueError(f"nothing closes {text[start : start + 40]!r}")


def _split(text: str) -> list[str]:
    """At the commas that are in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "{[(") - (character in "}])")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts

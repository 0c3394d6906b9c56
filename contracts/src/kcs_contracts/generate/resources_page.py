"""`docs/resources.md`: every field of both kinds, for people."""

import re
from collections.abc import Iterator

from kcs_contracts.generate.crds import (
    KINDS,
    MEETING,
    POOL,
    Kind,
    default_text,
    has_own_default,
    sentence,
)
from kcs_contracts.generate.structural import FREE, INT_OR_STRING, structural
from kcs_contracts.generate.words import listed, table
from kcs_contracts.models import JsonObject
from kcs_contracts.resources.v1alpha1 import API_VERSION
from kcs_contracts.resources.v1alpha1.common import RULES

_INTRO = f"""\
# Resources

What one applies to Kubernetes: `{API_VERSION}`. Written by `make generate` from
`kcs_contracts.resources.v1alpha1`, as are the CRDs in `crds/` and in the chart; `kubectl explain`
says the same. Both kinds live in a namespace, and `kubectl get kcs` lists both.

A field without a default may be left out unless it is marked as needed. The API server fills in
the defaults and refuses what breaks a rule, with a sentence. Each *rule* below is such a sentence.

"""
_EXAMPLES = {
    POOL.name: """\
```yaml
apiVersion: meetings.kcs.dev/v1alpha1
kind: SFUPool
metadata:
  name: main
spec:
  replicas:
    min: 1
    max: 3
```

`kubectl scale sfup/main --replicas=2` sets `spec.replicas.desired`: the pool then has as many pods,
within `min` and `max`, until the field is removed
(`kubectl patch sfup/main --type=json -p '[{"op":"remove","path":"/spec/replicas/desired"}]'`).
A HorizontalPodAutoscaler on the pool needs such a first number, and then changes it.

""",
    MEETING.name: """\
```yaml
apiVersion: meetings.kcs.dev/v1alpha1
kind: Meeting
metadata:
  name: town-hall
spec:
  displayName: Town hall
  host: ada
  schedule:
    start: 2027-03-01T09:00:00Z
    duration: 1h30m
  maxParticipants: 500
  expectedParticipants: 300
```

""",
}


def resources_page() -> str:
    """The whole page."""
    body = "".join(text for kind in KINDS for text in _kind(kind))
    return _INTRO + body.rstrip() + "\n"


def _kind(kind: Kind) -> Iterator[str]:
    schema = structural(kind.model)
    yield f"## {kind.name}\n\n{schema['description']}\n\n"
    yield _EXAMPLES[kind.name]
    yield from _rules(schema)
    yield f"`kubectl get {kind.short}` shows (the last ones with `-o wide`):\n\n"
    yield table(["column", "what"], ([column.name, column.text] for column in kind.columns))
    if kind.selectable:
        fields = listed([f"`{path.removeprefix('.')}`" for path in kind.selectable])
        yield f"`--field-selector` takes {fields}.\n\n"
    for name, field in schema["properties"].items():
        yield from _section(kind, name, field)


def _section(kind: Kind, path: str, node: JsonObject) -> Iterator[str]:
    """An object's fields, then the objects within it."""
    yield f"### {kind.name}: {path}\n\n{node['description']}\n\n"
    required = node.get("required", ())
    rows = []
    for name, field in node["properties"].items():
        default = "**needed**" if name in required else _default(field)
        rows.append([f"`{name}`", _type(kind, f"{path}.{name}", field), default, _what(field)])
    yield table(["field", "type", "default", "what"], rows)
    yield from _rules(node)
    for name, field in node["properties"].items():
        inner = field.get("items", field)
        if "properties" in inner:
            yield from _section(kind, f"{path}.{name}", {**inner, "description": _about(field)})


def _about(field: JsonObject) -> str:
    own = str(field["description"])
    each = field.get("items", {}).get("description")
    return f"{own} Each one: {each[0].lower()}{each[1:]}" if each else own


def _what(field: JsonObject) -> str:
    sentences = [] if "properties" in field else [rule["message"] for rule in field.get(RULES, ())]
    return " ".join([field["description"], *map(sentence, sentences)])


def _rules(node: JsonObject) -> Iterator[str]:
    rules = node.get(RULES, ())
    for rule in rules:
        field = rule.get("fieldPath", "").removeprefix(".")
        yield f"- *rule*{f' on `{field}`' if field else ''}: {rule['message']}\n"
    if rules:
        yield "\n"


def _type(kind: Kind, path: str, field: JsonObject) -> str:
    if "properties" in field:
        return f"[object](#{_slug(f'{kind.name}: {path}')})"
    if FREE in field:
        return "object"
    if INT_OR_STRING in field:
        return "number or text"
    if "enum" in field:
        return listed([f"`{value}`" for value in field["enum"]], "or")
    if field["type"] == "array":
        kinds = _type(kind, path, field["items"])
        return f"list of {kinds.replace('[object]', '[objects]')}" + _most(field, "maxItems")
    if "additionalProperties" in field:
        return f"map of {_type(kind, path, field['additionalProperties'])}" + _most(
            field, "maxProperties"
        )
    if field["type"] == "string":
        return "text" if RULES in field else "text" + _most(field, "maxLength", " characters")
    bounds = f", {field['minimum']} to {field['maximum']}" if "minimum" in field else ""
    return f"{field['type']}{bounds}"


def _most(field: JsonObject, key: str, unit: str = "") -> str:
    return f", at most {field[key]}{unit}" if key in field else ""


def _default(field: JsonObject) -> str:
    return f"`{default_text(field['default'])}`" if has_own_default(field) else ""


def _slug(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")

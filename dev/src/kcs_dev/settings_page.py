"""`docs/settings.md`: every environment variable of the services, from their settings' models.

It stands here because the services' settings may be imported from nowhere below. Started by
`make generate`; a test fails when the page is stale.
"""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

import kcs_operator.settings as operator
import kcs_sfu.agent.settings as node
import kcs_signaling.settings as signaling
from kcs_contracts.generate.files import Files, write
from kcs_contracts.generate.words import one_line, table, type_text
from kcs_contracts.models import JsonObject

_HEAD = """\
# Settings

Each service reads `KCS_*` environment variables once, at start, and stops with what is wrong if one
does not fit. Written by `make generate` from the services' `settings.py`.

"""
_FORMATS = {"path": "path", "password": "secret"}
_SERVICES: dict[str, type[BaseModel]] = {
    "Signaling": signaling.Settings,
    "SFU node": node.Settings,
    "Operator": operator.Settings,
}


def generated() -> Files:
    """The page as it should be, by its path from the repository's root."""
    contents = "".join(f"- [{title}](#{title.lower().replace(' ', '-')})\n" for title in _SERVICES)
    sections = (
        f"## {title}\n\n{''.join(_groups(model, 'KCS_'))}" for title, model in _SERVICES.items()
    )
    return {"docs/settings.md": f"{_HEAD}{contents}\n{''.join(sections).rstrip()}\n"}


def _groups(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """A heading and a table for each group, and for those within and those in lists."""
    for name, field in model.model_fields.items():
        group = _model_in(field)
        if group is not None:
            note = "" if field.default is not None else "May be left out as a whole.\n\n"
            yield from _group(group, f"{prefix}{name.upper()}__", _is_list(field), note)


def _group(model: type[BaseModel], prefix: str, in_list: bool, note: str) -> Iterator[str]:
    title = f"Each of `{prefix.removesuffix('__')}`" if in_list else f"`{prefix}*`"
    fields = model.model_json_schema()["properties"]
    rows = [
        _row(name if in_list else prefix + name.upper(), field, fields[name])
        for name, field in model.model_fields.items()
        if _model_in(field) is None or _is_list(field)
    ]
    yield f"### {title}\n\n{inspect.getdoc(model)}\n\n{note}"
    yield table(["name", "type", "default", "what"], rows)
    yield from _groups(model, prefix)


def _row(label: str, field: FieldInfo, schema: JsonObject) -> list[str]:
    return [f"`{label}`", _type(schema), _default(field), one_line(field.description)]


def _type(schema: JsonObject) -> str:
    """`None` is said by leaving a variable out, so it is no type; lists are JSON."""
    items = schema.get("items")
    if items is not None:
        texts = {**schema, "items": {"type": "string"}}
        return "JSON list" if "$ref" in items else f"JSON {type_text(texts, {})}"
    kinds = [each for each in schema.get("anyOf", [schema]) if each["type"] != "null"]
    return " or ".join(_FORMATS.get(k.get("format", "")) or type_text(k, {}) for k in kinds)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    if field.default_factory is not None:
        return "worked out at start"
    value: Any = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value in (None, "", ()):
        return ""
    return f"`{value}`" if isinstance(value, str | Path) else f"`{json.dumps(value)}`"


def _is_list(field: FieldInfo) -> bool:
    return getattr(field.annotation, "__origin__", None) is tuple


def _model_in(field: FieldInfo) -> type[BaseModel] | None:
    """The group that a field is, may be, or lists."""
    kinds = (field.annotation, *get_args(field.annotation))
    found = (k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel))
    return next(found, None)


if __name__ == "__main__":
    write(Path(), generated())

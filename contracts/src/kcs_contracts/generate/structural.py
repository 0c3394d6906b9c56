"""A pydantic model's JSON schema as Kubernetes wants it in a CRD: structural OpenAPI v3.

First step of `crds` and `resources_page`. References are inlined, what may be null is optional,
free objects keep what they have, and each level has a default that says all below it, as rules are
held against defaults too. Source: "Extend the Kubernetes API with CustomResourceDefinitions" in the
Kubernetes documentation, on structural schemas.
"""

from typing import Any

from kcs_contracts.models import JsonObject
from kcs_contracts.resources.v1alpha1 import Resource

_REF = "#/$defs/"
_WITHIN = ("properties", "items", "additionalProperties")
INT_OR_STRING = "x-kubernetes-int-or-string"
FREE = "x-kubernetes-preserve-unknown-fields"


def structural(model: type[Resource]) -> JsonObject:
    """The model's schema, camelCase; in `status` without defaults: it says what is known."""
    schema = model.model_json_schema(by_alias=True)
    found = _node(schema, schema.get("$defs", {}))
    if "status" in found["properties"]:
        found["properties"]["status"] = _without_defaults(found["properties"]["status"])
    return found


def _node(schema: JsonObject, definitions: dict[str, JsonObject]) -> JsonObject:
    schema = _resolved(schema, definitions)
    node = {key: value for key, value in schema.items() if key not in ("title", "$defs", *_WITHIN)}
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if "properties" in schema:
        fields = schema["properties"].items()
        node["properties"] = {name: _node(field, definitions) for name, field in fields}
    if "items" in schema:
        node["items"] = _node(schema["items"], definitions)
    entries = schema.get("additionalProperties")
    if entries is True:
        node[FREE] = True
    elif entries:
        node["additionalProperties"] = _node(entries, definitions)
    if "default" in node:
        node["default"] = _said(node["default"])
    return node


def _resolved(schema: JsonObject, definitions: dict[str, JsonObject]) -> JsonObject:
    """Without references and unions; what stands beside a reference goes before what it names."""
    if "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _resolved({**definitions[schema["$ref"].removeprefix(_REF)], **beside}, definitions)
    if "anyOf" not in schema:
        return schema
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    if beside.get("default", "") is None:
        del beside["default"]
    kinds = [each for each in schema["anyOf"] if each.get("type") != "null"]
    if len(kinds) == 1:
        return _resolved({**kinds[0], **beside}, definitions)
    if {each.get("type") for each in kinds} != {"integer", "string"}:
        raise ValueError(f"a CRD has no union of {kinds}")
    return {INT_OR_STRING: True, **beside}


def _said(value: Any) -> Any:
    """A default without what nobody says. It is whole: rules see it before the level below."""
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner is not None}
    return value


def _without_defaults(node: JsonObject) -> JsonObject:
    bare = {key: value for key, value in node.items() if key != "default"}
    if "properties" in bare:
        fields = bare["properties"].items()
        bare["properties"] = {name: _without_defaults(field) for name, field in fields}
    if "items" in bare:
        bare["items"] = _without_defaults(bare["items"])
    return bare

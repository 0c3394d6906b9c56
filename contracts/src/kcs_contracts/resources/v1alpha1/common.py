"""What both kinds are made of: camelCase fields with their documentation, rules, conditions.

A field's docstring is what `kubectl explain` says. A model's `rules` are CEL expressions over
`self` that the API server holds every object against, each with the sentence that it answers;
a text's form has such a sentence too, because nobody reads a regular expression in an error.
Both stand in the JSON schema under Kubernetes' own key, for `kcs_contracts.generate.structural`.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

GROUP = "meetings.kcs.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


RULES = "x-kubernetes-validations"


class Rule(NamedTuple):
    """A CEL rule: what must hold, and what to say when it does not."""

    holds: str
    otherwise: str
    at: str = ""
    """The field that the error names, such as `.max`; the whole object where there is none."""
    detail: str = ""
    """A CEL expression of what is said instead of `otherwise`, with the object's own values."""

    def to_schema(self) -> dict[str, str]:
        """As a CRD has it."""
        parts = {
            "rule": self.holds,
            "message": self.otherwise,
            "messageExpression": self.detail,
            "fieldPath": self.at,
        }
        return {key: text for key, text in parts.items() if text}


def keyed_by(key: str) -> dict[str, JsonValue]:
    """For a list's `json_schema_extra`: no two entries have the same key; they merge by it."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


SET: dict[str, JsonValue] = {"x-kubernetes-list-type": "set"}
"""For a list's `json_schema_extra`: no two entries are the same."""


@dataclass(frozen=True)
class Says:
    """Goes behind a type's constraints: a sentence for who breaks the pattern.

    `also` is more that must hold of `self`, in CEL, where a pattern does not tell it all.
    """

    sentence: str
    also: str = ""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = dict(handler(core))
        holds = f"self.matches(r'{schema.pop('pattern')}')"
        if self.also:
            holds += f" && {self.also}"
        return {**schema, RULES: [Rule(holds, self.sentence).to_schema()]}


class Resource(BaseModel):
    """A part of an object. Unknown fields are ignored: a newer CRD may have more of them."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler(core)
        if cls.rules:
            found = handler.resolve_ref_schema(schema)
            found[RULES] = [rule.to_schema() for rule in cls.rules]
        return schema

    def to_json(self) -> dict[str, Any]:
        """As the API server has it; what nobody said is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


_H, _M, _S = "[0-9]{1,5}h", "[0-9]{1,5}m", "[0-9]{1,6}s"
DURATION = f"^({_H}({_M})?({_S})?|{_M}({_S})?|{_S})$"
Duration = Annotated[
    str,
    StringConstraints(pattern=DURATION, max_length=19),
    Says("a length of time is written as 90s, 10m or 1h30m"),
]
"""A length of time such as `90s`, `10m` or `1h30m`."""

_PARTS = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def duration_of(text: str) -> timedelta:
    """The length that a `Duration` names."""
    found = _PARTS.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is no duration: write it as 90s, 10m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _is_a_time(text: str) -> str:
    datetime.fromisoformat(text)  # refuses a 30th of February
    return text


Time = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
        r"(Z|[+-][01][0-9]:[0-5][0-9])$",
        max_length=32,
    ),
    AfterValidator(_is_a_time),
    Says(
        "a time is written with its zone, as 2027-03-01T09:00:00Z or 2027-03-01T10:00:00+01:00",
        also="!format.datetime().validate(self).hasValue()",
    ),
]
"""A time in ISO 8601 with its zone, such as `2027-03-01T09:00:00Z`."""

ObjectName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63),
    Says("a name has small letters, digits and - between them, such as pool-1"),
]
"""The name of an object in the same namespace."""

TlsHost = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
        max_length=230,
    ),
    Says("a name such as turn.example.org or *.turn.example.org"),
]
"""The name in a certificate."""

Region = Annotated[
    str,
    StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", max_length=63),
    Says("a region has small letters, digits and - between them, such as eu-west"),
]
"""A region's name, or nothing."""
Port = Annotated[int, Field(ge=1, le=65535)]


class PortRange(Resource):
    """Ports from the first to the last, both included."""

    rules = (Rule("self.last >= self.first", "last must not be below first", at=".last"),)

    first: Port
    """The first port."""
    last: Port
    """The last port."""


class Condition(Resource):
    """One answer to one question about the object."""

    type: str
    """The question."""
    status: Literal["True", "False", "Unknown"]
    """The answer."""
    reason: str
    """One word for why."""
    message: str = ""
    """The same in a sentence. It has no time in it: it changes when something changes."""
    last_transition_time: str | None = None
    """When `status` changed last."""
    observed_generation: int | None = None
    """Which generation of the spec it is about."""

    def told_after(self, before: "Condition | None", now: str) -> Self:
        """With the time of the last change: the former one where the status stays the same."""
        same = before is not None and before.status == self.status
        at = before.last_transition_time if before is not None and same else now
        return self.model_copy(update={"last_transition_time": at})

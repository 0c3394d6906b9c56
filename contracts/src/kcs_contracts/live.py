"""What holds in a running meeting beside its people and streams: settings, spotlight, and so on.

Placement keeps it as a hash, one JSON text per field, so that two who change different things do
not meet; a change travels as `RoomChanged(field, value)`. `Live` is the whole of it, with types.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, get_args

from pydantic import BaseModel, TypeAdapter

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Breakouts, Role

Layout = Literal["grid", "speaker", "presentation"]
LiveField = Literal[
    "settings",
    "record",
    "host_id",
    "spotlight",
    "layout",
    "acting",
    "parent",
    "breakouts",
    "of_main",
    "debug_until_ms",
]
FIELDS: frozenset[str] = frozenset(get_args(LiveField))


class Acting(Contract):
    """Who is host in the host's place, and what they were before."""

    id: ParticipantId
    was: Role


_OPTIONAL: dict[str, TypeAdapter[Any]] = {
    "spotlight": TypeAdapter(ParticipantId | None),
    "layout": TypeAdapter(Layout | None),
    "parent": TypeAdapter(MeetingId | None),
    "acting": TypeAdapter(Acting | None),
    "breakouts": TypeAdapter(Breakouts | None),
    "of_main": TypeAdapter(Breakouts | None),
    "debug_until_ms": TypeAdapter(int | None),
    "host_id": TypeAdapter(ParticipantId | None),
}


class Live:
    """Immutable; each field is read when somebody asks.

    Beside the fields there are marks per person: `removed:<id>`, `admitted:<id>`, `role:<id>`, and,
    for when they come back, `muted_audio:<id>` and `muted_video:<id>`.
    """

    def __init__(self, fields: Mapping[str, str] | None = None):
        self.fields: Mapping[str, str] = dict(fields or {})

    def changed(self, field: str, value: str | None) -> "Live":
        """With that field at that JSON text; without it if None."""
        fields = {name: text for name, text in self.fields.items() if name != field}
        return Live(fields if value is None else {**fields, field: value})

    def over(self, older: "Live") -> "Live":
        """With what an older one had and this one lacks."""
        return Live({**older.fields, **self.fields})

    @cached_property
    def settings(self) -> RoomSettings:
        """Defaults where nobody has said anything."""
        text = self.fields.get("settings")
        return RoomSettings() if text is None else RoomSettings.model_validate_json(text)

    @property
    def spotlight(self) -> ParticipantId | None:
        """Who is in the light for everybody."""
        found: ParticipantId | None = self._read("spotlight")
        return found

    @property
    def layout(self) -> Layout | None:
        """What a host chose for all."""
        found: Layout | None = self._read("layout")
        return found

    @property
    def host_id(self) -> ParticipantId | None:
        """Whose meeting it is."""
        found: ParticipantId | None = self._read("host_id")
        return found

    @property
    def acting(self) -> Acting | None:
        """Who is host in the host's place."""
        found: Acting | None = self._read("acting")
        return found

    @property
    def parent(self) -> MeetingId | None:
        """The meeting that this breakout room belongs to."""
        found: MeetingId | None = self._read("parent")
        return found

    @cached_property
    def breakouts(self) -> Breakouts | None:
        """Its breakout rooms."""
        found: Breakouts | None = self._read("breakouts")
        return found

    @cached_property
    def of_main(self) -> Breakouts | None:
        """In a breakout room: what the main meeting says of its rooms, this one among them."""
        found: Breakouts | None = self._read("of_main")
        return found

    @property
    def debug_until_ms(self) -> int:
        """Until when the meeting is logged in detail, Unix time in ms; 0: not at all."""
        found: int | None = self._read("debug_until_ms")
        return found or 0

    @property
    def record(self) -> str | None:
        """The meeting on record as JSON, as it was when somebody joined last: for signaling, while
        the database is away."""
        return self.fields.get("record")

    def role_of(self, who: ParticipantId) -> Role | None:
        """The role that a host gave somebody here."""
        text = self.fields.get(f"role:{who}")
        return None if text is None else Role(text.strip('"'))

    def was_removed(self, who: ParticipantId) -> bool:
        """Whether a host removed them, and nobody has added them since."""
        return f"removed:{who}" in self.fields

    def _read(self, field: LiveField) -> Any:
        text = self.fields.get(field)
        return None if text is None else _OPTIONAL[field].validate_json(text)


def as_json(value: object) -> str:
    """A field's value as its JSON text."""
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return TypeAdapter(type(value)).dump_json(value).decode()

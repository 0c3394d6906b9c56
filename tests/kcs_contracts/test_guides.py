"""Both guides, read from the documents, against what is declared in `kcs_contracts.protocol`.

The tables say where we differ; everything else must be as the guides have it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support import guides
from tests.support.guides import Fields, Shown, Way

from kcs_contracts.generate.shapes import REF, Shapes
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import CLIENT, MEETING, Protocol, chat
from kcs_contracts.protocol.declare import ClientEvent, Guide, ServerEvent
from kcs_contracts.protocol.errors import MEANING
from kcs_contracts.rooms import Role

NOT_NEEDED = {
    "user_id": "the token says who it is; a guide's client may say it too",
    "role": "the token and the meeting decide it",
    "display_name": "the account has a name",
    "reason": "hosts need not say why",
    "reply_to": "most messages reply to nothing",
    "rtp_capabilities": "a device's are told once",
    "options": "there are defaults",
    "options.recordVideo": "there are defaults",
    "options.recordAudio": "there are defaults",
    "options.recordChat": "there are defaults",
    "recipientType": "to all, if nothing else is said",
    "recipientId": "the guide itself needs it for private messages only",
}
"""Fields of the guides' requests that ours may go without."""

LEFT_OUT: Mapping[Guide, Mapping[str, set[str]]] = {
    "architecture": {},
    "client": {},
}
"""Fields that a guide shows and we do not have."""

MORE_TAKEN: Mapping[Guide, Mapping[str, set[str]]] = {
    "architecture": {
        "room:join": {"transports", "since"},
        "produce": {"source", "paused", "epoch"},
        "transport:create": {"epoch"},
        "transport:connect": {"epoch"},
        "produce:close": {"epoch"},
        "consume": {"epoch"},
        "consumer:resume": {"epoch"},
        "consumer:pause": {"epoch"},
        "consumer:close": {"epoch"},
        "quality:change": {"epoch"},
        "screen:stop": {"target_user_id"},
        "participant:mute": {"muted", "reason"},
        "hand:lower": {"target_user_id"},
        "chat:send": {"recipient_type", "recipient_id"},
        "layout:change": {"for_all"},
        "stats:report": {"stats.limitedBy"},
    },
    "client": {
        "screen:stop": {"targetUserId"},
        "participant:mute": {"muted"},
        "hand:lower": {"targetUserId"},
        "send-message": {"replyTo"},
        "layout:change": {"forAll"},
        "stats:report": {"stats.limitedBy"},
    },
}
"""Optional fields of ours in the guides' requests."""

MORE_TOLD: Mapping[Guide, Mapping[str, set[str]]] = {
    "architecture": {
        "room:joined": {
            *("user_id", "display_name", "producers", "rtp_capabilities", "ice_servers"),
            *("ice_ttl_seconds", "transports", "settings", "spotlight", "layout", "waiting"),
            *("breakouts", "parent_id", "recent_messages", "version", "resume_token", "resumed"),
            *("media", "moving"),
        },
        "room:closed": {"return_to"},
        "recording:started": {"host_name", "timestamp"},
        "room:error": {"event", "retry_after"},
        "transport:created": {"direction", "ice_servers", "ice_ttl_seconds"},
        "producer:created": {"source", "paused"},
        "consumer:created": {"user_id", "source", "type", "producer_paused"},
        "consumer:closed": {"producer_id"},
        "new-producer": {"source", "paused"},
        "muted:by-host": {"may_unmute"},
        "hand:raised": {"display_name", "timestamp"},
        "chat:message": {
            *("message_id", "display_name", "reply_to", "recipient_type", "recipient_id"),
            "deleted",
        },
        "reaction:received": {"display_name"},
        "quality:warning": {"resolved"},
    },
    "client": {
        "hand:lowered": {"meetingId"},
        "participant:muted": {"meetingId", "muteType", "muted"},
        "layout:changed": {"meetingId", "userId", "forAll"},
        "participant:pinned": {"meetingId"},
        "participant:spotlighted": {"meetingId"},
        "transport-created": {"params.iceServers"},
        "new-producer": {"source"},
        "new-message": {"recipient_id", "reply_to"},
        "error": {"message", "retry_after"},
    },
}
"""Fields of ours in the guides' events, where a guide shows any."""


@dataclass(frozen=True)
class Book:
    """A guide, and the namespace that implements it."""

    guide: Guide
    protocol: Protocol
    shapes: Shapes
    shown: tuple[Shown, ...]

    def declared(self, way: Way) -> dict[str, ClientEvent[Any, Any] | ServerEvent]:
        """The namespace's events by name."""
        protocol = self.protocol
        events = protocol.client_events if way == "emitted" else protocol.server_events
        return {event.name: event for event in events}

    def schema(self, way: Way, name: str) -> JsonObject:
        """The schema of what an event carries."""
        return self.shapes.definitions[self.shapes.payload(self.declared(way)[name])]

    def all_shown(self, way: Way) -> dict[str, Fields]:
        """The fields that the guide shows of each event, over all places."""
        found: dict[str, Fields] = {}
        for each in self.shown:
            if each.way == way:
                found[each.event] = _together(found.get(each.event, {}), each.fields)
        return found

    def compared(self, way: Way, name: str, fields: Fields) -> "Compared":
        """Paths of the guide's fields against ours, down to where the guide shows fields."""
        return _compared(fields, self.schema(way, name), self.shapes)


@dataclass(frozen=True)
class Compared:
    """Paths such as `stats.rtt`."""

    left_out: set[str]
    more: set[str]
    needed: set[str]
    """Ours that must be there."""
    same: set[str]


ARCHITECTURE = Book(
    "architecture", MEETING, Shapes(MEETING), tuple(guides.in_tables(guides.ARCHITECTURE))
)
CLIENT_GUIDE = Book("client", CLIENT, Shapes(CLIENT), tuple(guides.in_snippets(guides.CLIENT)))
BOTH = pytest.mark.parametrize("book", [ARCHITECTURE, CLIENT_GUIDE], ids=lambda book: book.guide)


@BOTH
def test_every_event_of_a_guide_is_declared_with_its_fields(book: Book) -> None:
    assert len(book.shown) > 50
    for way in guides.WAYS:
        shown = book.all_shown(way)
        assert set(shown) - set(book.declared(way)) == set()
        left_out = {name: book.compared(way, name, said).left_out for name, said in shown.items()}
        assert _filled(left_out) == (LEFT_OUT[book.guide] if way == "heard" else {})


@BOTH
def test_every_request_that_a_guide_shows_is_accepted(book: Book) -> None:
    for each in book.shown:
        if each.way == "emitted":
            compared = book.compared("emitted", each.event, each.fields)
            assert compared.needed <= compared.same, f"{each.event}: a guide's client lacks it"


@BOTH
def test_what_a_guide_needs_is_needed_unless_the_table_says_why_not(book: Book) -> None:
    optional = {(each.event, field) for each in book.shown for field in each.optional}
    for name, fields in book.all_shown("emitted").items():
        compared = book.compared("emitted", name, fields)
        for path in compared.same - compared.needed:
            assert path in NOT_NEEDED or (name, path) in optional, f"{name}: {path}"


@BOTH
def test_fields_beyond_a_guides_are_those_that_the_tables_name(book: Book) -> None:
    for way, table in (("emitted", MORE_TAKEN), ("heard", MORE_TOLD)):
        more = {
            name: book.compared(way, name, fields).more
            for name, fields in book.all_shown(way).items()
            if fields
        }
        assert _filled(more) == table[book.guide]


@BOTH
def test_the_values_that_a_guide_names_are_those_that_are_declared(book: Book) -> None:
    named = [(each, field) for each in book.shown for field in each.choices]
    assert len(named) >= 5
    for each, field in named:
        schema = book.schema(each.way, each.event)["properties"][field]
        assert set(schema["enum"]) == each.choices[field], f"{each.event}: {field}"


def test_audio_video_and_screens_are_produced_as_the_architecture_guide_says() -> None:
    assert "Start producing media (audio/video/screen)" in guides.ARCHITECTURE
    kind = ARCHITECTURE.schema("emitted", "produce")["properties"]["kind"]
    assert kind["enum"] == ["audio", "video", "screen"]


def test_the_client_guides_overview_names_nothing_else() -> None:
    named = list(guides.in_summary(guides.CLIENT))
    assert len(named) == 27
    assert [(way, name) for way, name in named if name not in CLIENT_GUIDE.declared(way)] == []


def test_events_in_the_architecture_guides_flows_are_declared() -> None:
    known = {*ARCHITECTURE.declared("emitted"), *ARCHITECTURE.declared("heard")}
    assert {name for name in guides.names(guides.ARCHITECTURE) if ":" in name} - known == set()


@BOTH
def test_an_event_says_truly_which_guide_it_is_from(book: Book) -> None:
    named = {
        "architecture": guides.names(guides.ARCHITECTURE),
        "client": guides.names(guides.CLIENT),
    }
    for event in (*book.protocol.client_events, *book.protocol.server_events):
        said = event.name in named[book.guide if event.guide == "ours" else event.guide]
        assert said == (event.guide != "ours"), event.name


def test_the_client_guides_rate_limits_hold_in_both_namespaces() -> None:
    said = guides.limits(guides.CLIENT)
    events = {e.name: e for e in (*CLIENT.client_events, chat.SEND, chat.TYPING)}
    assert set(said) == {"send-message", "typing", "reaction:send", "stats:report"}
    for name, limit in said.items():
        assert (events[name].limit.count, events[name].limit.per_seconds) == limit, name
    assert events["chat:send"].limit == events["send-message"].limit
    assert events["chat:typing"].limit == events["typing"].limit


def test_the_guides_roles_and_codes_of_errors_are_ours() -> None:
    assert guides.roles(guides.ARCHITECTURE) == {role.value for role in Role}
    codes = guides.error_codes(guides.CLIENT)
    assert len(codes) == 7
    assert codes <= set(MEANING)


def _together(one: Fields, other: Fields) -> Fields:
    return {key: _together(one.get(key, {}), other.get(key, {})) for key in {**one, **other}}


def _filled(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    return {name: paths for name, paths in found.items() if paths}


def _compared(fields: Fields, schema: JsonObject, shapes: Shapes, path: str = "") -> Compared:
    ours = schema.get("properties", {})
    required = schema.get("required", ())
    result = Compared(
        left_out=_paths(path, fields.keys() - ours),
        more=_paths(path, ours.keys() - fields),
        needed=_paths(path, required),
        same=_paths(path, fields.keys() & ours),
    )
    for name, inside in _inside(fields, ours, shapes):
        inner = _compared(fields[name], inside, shapes, f"{path}{name}.")
        result.left_out.update(inner.left_out)
        result.more.update(inner.more)
        result.needed.update(inner.needed)
        result.same.update(inner.same)
    return result


def _inside(fields: Fields, ours: JsonObject, shapes: Shapes) -> Iterator[tuple[str, JsonObject]]:
    """Objects of whose fields the guide shows some."""
    for name in fields.keys() & ours:
        if fields[name] and "$ref" in ours[name]:
            yield name, shapes.definitions[ours[name]["$ref"].removeprefix(REF)]


def _paths(path: str, names: Iterable[str]) -> set[str]:
    return {path + name for name in names}

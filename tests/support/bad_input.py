"""What each event of both dialects takes, and from that, payloads that it must not take.

Written by hand beside the payload models, so that a model which becomes lenient is noticed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

UUID = "7d0a3e4e-0000-4000-8000-000000000000"
LONG = "x" * 60_000

_ID = [None, 7, True, [], {}, "", LONG, "../../etc", "a b", "-a", "\u0000", "a\n"]
_MEDIA_ID = [*_ID[:-3], "\u0000", "a\n", "a.b"]
_WORD = [None, 7, True, [], {}, "", LONG, "other", "Audio"]
_OBJECT = [None, 7, True, [], "", "text"]
_BOOL = [None, 0, 1, "true", "", [], {}]
_NAME = [7, True, [], {}, "", "  ", "x" * 81, LONG]


@dataclass(frozen=True)
class Field:
    """A field with a value that is well-formed, and values that are not."""

    good: Any
    wrong: list[Any]


MEETING = Field("M", _ID)
"""`M` stands for the id of the meeting that the test is in."""
USER = Field("eve", _ID)
ANN = Field("ann", _ID)
NAME = Field("Eve", _NAME)
ROLE = Field("presenter", _WORD)
MEDIA = Field(UUID, _MEDIA_ID)
OBJECT = Field({}, _OBJECT)
KIND = Field("audio", _WORD)
DIRECTION = Field("send", _WORD)
LAYER = Field("low", _WORD)
BOOL = Field(True, _BOOL)
SOURCE = Field("mic", [*_WORD, "camera", "screen"])
"""The last two are sources, but not of audio."""


@dataclass(frozen=True)
class Takes:
    """An event's fields; `None` says the same as leaving an optional one out."""

    required: dict[str, Field]
    optional: dict[str, Field] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Field]:
        return self.required | self.optional

    def good(self, meeting: str) -> dict[str, Any]:
        """A well-formed payload with every field; its ids are nobody's."""
        return {name: meeting if f is MEETING else f.good for name, f in self.fields.items()}

    def wrong(self, meeting: str) -> Iterator[Any]:
        """Payloads that differ in one thing from a well-formed one."""
        good = self.good(meeting)
        yield from ([], "text", 7, True, {}, [good], {**good, "extra": 1}, {**good, "": None})
        for name in self.required:
            yield {other: value for other, value in good.items() if other != name}
        for name, each in self.fields.items():
            for value in each.wrong:
                if value is not None or name in self.required or each is BOOL:
                    yield {**good, name: value}


def _meeting_dialect() -> dict[str, Takes]:
    who = {"user_id": USER, "role": ROLE}
    of_transport, of_producer = {"transport_id": MEDIA}, {"producer_id": MEDIA}
    of_consumer = Takes({"consumer_id": MEDIA})
    return {
        "room:create": Takes({"meeting_id": MEETING}, who),
        "room:join": Takes({"meeting_id": MEETING}, {**who, "display_name": NAME}),
        "room:leave": Takes({"meeting_id": MEETING}, {"user_id": USER}),
        "transport:create": Takes({"meeting_id": MEETING, "direction": DIRECTION}),
        "transport:connect": Takes({**of_transport, "dtls_parameters": OBJECT}),
        "transport:restart-ice": Takes(of_transport),
        "produce": Takes(
            {**of_transport, "kind": KIND, "rtp_parameters": OBJECT},
            {"source": SOURCE, "paused": BOOL},
        ),
        "produce:close": Takes(of_producer),
        "consume": Takes(of_producer, {"rtp_capabilities": OBJECT}),
        "consumer:resume": of_consumer,
        "consumer:pause": of_consumer,
        "consumer:close": of_consumer,
        "media:toggle": Takes({"meeting_id": MEETING, "kind": KIND, "enabled": BOOL}),
        "quality:change": Takes({**of_producer, "layer": LAYER}),
        "ice:refresh": Takes({"meeting_id": MEETING}),
    }


def _client_dialect() -> dict[str, Takes]:
    meeting, of_consumer = {"meetingId": MEETING}, Takes({"consumerId": MEDIA})
    return {
        "join-meeting": Takes(meeting, {"userId": USER, "userName": NAME}),
        "leave-meeting": Takes(meeting),
        "create-transport": Takes({**meeting, "direction": DIRECTION}),
        "connect-transport": Takes({"transportId": MEDIA, "dtlsParameters": OBJECT}),
        "produce": Takes({**meeting, "kind": KIND, "rtpParameters": OBJECT}),
        "consume": Takes(
            {**meeting, "producerParticipantId": ANN, "kind": KIND, "rtpCapabilities": OBJECT}
        ),
        "resume-consumer": of_consumer,
        "pause-consumer": of_consumer,
        "quality:change": Takes({**meeting, "participantId": ANN, "quality": LAYER}),
    }


TAKES: dict[str, dict[str, Takes]] = {"/meeting": _meeting_dialect(), "/": _client_dialect()}
"""By namespace and event."""

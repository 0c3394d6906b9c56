"""What each event of both dialects takes, and from that, payloads that it must not take.

Written by hand beside the payload models, so that a model which becomes lenient is noticed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

UUID = "7d0a3e4e-0000-4000-8000-000000000000"
LONG = "x" * 60_000

_NO_TEXT = [7, True, [], {}]
_ID = [*_NO_TEXT, "", LONG, "x" * 65, "../../etc", "a b", "-a", "\u0000", "a\n"]
_MEDIA_ID = [*_ID[:-3], "\u0000", "a\n", "a.b"]
_MESSAGE_ID = [*_ID[:-3], "\u0000", "a\n", "a.b"]
_WORD = [*_NO_TEXT, "", LONG, "other", "Audio"]
_OBJECT = [7, True, [], "", "text"]
_LIST = [7, True, {}, "", "text"]
_BOOL = [0, 1, "true", "", [], {}]
_NAME = [*_NO_TEXT, "", "  ", "x" * 81, LONG, "a\u0000b", "a\nb"]
_MAIL = [*_NO_TEXT, "", LONG, "zoe", "zoe@", "@example.org", "a b@example.org", "a@b@c", "a,b@c.d"]
_MAIL += ["zoe@exa mple.org", "zoe@example.org\n", f"{'x' * 65}@example.org"]


@dataclass(frozen=True)
class Field:
    """A field with a value that is well-formed, and values that are not."""

    good: Any
    wrong: list[Any]
    null: bool = False
    """None is well-formed too."""
    inside: "Takes | None" = None
    """What the object, or each of the objects, in it takes."""

    @property
    def all_wrong(self) -> list[Any]:
        return self.wrong if self.null else [None, *self.wrong]


@dataclass(frozen=True)
class Takes:
    """An event's fields, or those of an object in its payload."""

    required: Mapping[str, Field]
    optional: Mapping[str, Field] = field(default_factory=dict)
    contrary: tuple[Mapping[str, Any], ...] = ()
    """Values that are well-formed each, but not together with the others."""

    @property
    def fields(self) -> dict[str, Field]:
        return {**self.required, **self.optional}

    def good(self, meeting: str) -> dict[str, Any]:
        """A well-formed payload with every field; its ids are nobody's."""
        return {name: meeting if f is MEETING else f.good for name, f in self.fields.items()}

    def wrong(self, meeting: str) -> Iterator[Any]:
        """Payloads that differ in one thing from a well-formed one."""
        good = self.good(meeting)
        yield from ([], "text", 7, True, [good], {**good, "extra": 1}, {**good, "": None})
        yield from [{}] if self.required else []
        for name in self.required:
            yield {other: value for other, value in good.items() if other != name}
        for name, each in self.fields.items():
            yield from ({**good, name: value} for value in each.all_wrong)
        yield from ({**good, **values} for values in self.contrary)


def or_null(known: Field) -> Field:
    """The same, where None is well-formed too."""
    return replace(known, null=True)


def many(known: Field, most: int, least: int = 0) -> Field:
    """A list of at most so many."""
    wrong = [*_LIST, [known.good] * (most + 1), *([value] for value in known.all_wrong)]
    return Field([known.good], wrong + ([[]] if least else []), inside=known.inside)


def an_object(takes: Takes) -> Field:
    """An object with fields of its own."""
    return Field(takes.good(""), [*_OBJECT, *takes.wrong("")], inside=takes)


def number(good: float, least: float, most: float | None, *wrong: object) -> Field:
    """A number; a whole one where its bounds are."""
    bad: list[Any] = [str(good), True, [], {}, least - 1, *wrong]
    if isinstance(least, int):
        bad += [good + 0.5, float(good)]
    return Field(good, bad if most is None else [*bad, most + 1, 2**63, 1e308])


MEETING = Field("M", _ID)
"""`M` stands for the id of the meeting that the test is in."""
ROOM = Field("k7f-x2mq-9tb:1", _ID)
USER = Field("eve", _ID)
ANN = Field("ann", _ID)
ZOE = Field("zoe", _ID)
NAME = Field("Eve", _NAME)
ROLE = Field("presenter", _WORD)
MEDIA = Field(UUID, _MEDIA_ID)
OBJECT = Field({}, _OBJECT)
KIND = Field("audio", _WORD)
DIRECTION = Field("send", _WORD)
LAYER = Field("low", _WORD)
EPOCH = number(7, 0, 2**53)
AT = {"epoch": or_null(EPOCH)}
"""A media server that the meeting does not have."""
LAYOUT = Field("grid", _WORD)
YES = Field(True, _BOOL)
NO = Field(False, _BOOL)
TEXT = Field("hello", [*_NO_TEXT, "", " \n", "x" * 4001, LONG, "a\u0000b"])
SHORT_TEXT = Field("hello", [*TEXT.wrong, "x" * 501])
REASON = Field("", [*_NO_TEXT, "x" * 201, LONG])
MESSAGE_ID = Field("nobodys", _MESSAGE_ID)
CURSOR = Field("WzEuMCwieCJd", [*_NO_TEXT, "x" * 201, LONG, "garbage", "W10"])
"""`[1.0,"x"]` and `[]`."""
EMOJI = Field("👍", [*_WORD, "👍👍", "🥶"])
TOKEN = Field("a.b.c", [*_NO_TEXT, "", "x" * 4097, LONG])
MAIL = Field("zoe@example.org", _MAIL)
SOURCE = Field("mic", [*_WORD, "camera", "screen"])
"""The last two are sources, but not of audio."""
WHOM = Field("private", _WORD)


def _only_meeting(*events: str) -> dict[str, Takes]:
    return dict.fromkeys(events, Takes({"meeting_id": MEETING}))


def _shared() -> dict[str, Takes]:
    """Of both dialects, in snake_case."""
    meeting, target = {"meeting_id": MEETING}, {"target_user_id": ANN}
    settings = (
        *("require_host_approval", "allow_unmute_self", "guest_chat"),
        *("several_screens", "host_succession", "chat_history"),
    )
    changes = Takes({}, dict.fromkeys(settings, or_null(YES)))
    options = Takes({}, {"record_video": YES, "record_audio": YES, "record_chat": NO})
    config = Takes(
        {},
        {
            "layout": Field("speaker", [*_NO_TEXT, "", LONG, "Speaker", "a b", "x" * 33, "a\n"]),
            "url": or_null(Field("rtmp://cdn", [*_NO_TEXT, "x" * 501, LONG])),
        },
    )
    assignment = Takes({"user_id": ANN, "room_id": or_null(ROOM)})
    ms = number(20.0, 0.0, 60_000.0)
    stats = Takes(
        {
            "rtt": ms,
            "jitter": ms,
            "packetLoss": number(1.0, 0.0, 100.0),
            "bitrate": number(1e6, 0.0, 1e10),
        },
        {"limitedBy": Field("none", _WORD)},
    )
    return {
        **_only_meeting("room:snapshot", "room:end", "ice:refresh", "screen:start", "hand:raise"),
        **_only_meeting("breakout:list", "recording:stop", "recording:pause", "recording:resume"),
        **_only_meeting("stream:stop"),
        "room:lock": Takes({**meeting, "locked": YES}),
        "room:settings": Takes({**meeting, "settings": an_object(changes)}),
        "waiting:admit": Takes(
            meeting,
            {"target_user_ids": many(ZOE, 200), "all": NO},
            contrary=({"all": True}, {"target_user_ids": []}),
        ),
        "waiting:deny": Takes({**meeting, "target_user_id": ZOE}, {"reason": REASON}),
        "auth:refresh": Takes({"token": TOKEN}),
        "transport:restart-ice": Takes({"transport_id": MEDIA}, AT),
        "produce:close": Takes({"producer_id": MEDIA}, AT),
        "consumer:close": Takes({"consumer_id": MEDIA}, AT),
        "media:toggle": Takes({**meeting, "kind": KIND, "enabled": YES}),
        "screen:stop": Takes(meeting, {"target_user_id": or_null(ANN)}),
        "participant:remove": Takes({**meeting, **target}, {"reason": REASON}),
        "participant:role:update": Takes({**meeting, **target, "new_role": ROLE}),
        "participant:add": Takes(
            meeting,
            {"user_ids": many(ZOE, 50), "emails": many(MAIL, 50), "role": or_null(ROLE)},
            contrary=({"user_ids": [], "emails": []},),
        ),
        "hand:lower": Takes(meeting, {"target_user_id": or_null(ANN)}),
        "layout:change": Takes({**meeting, "layout": LAYOUT}, {"for_all": YES}),
        "participant:pin": Takes({**meeting, "target_user_id": or_null(ANN)}),
        "participant:spotlight": Takes({**meeting, "target_user_id": or_null(ANN)}),
        "chat:history": Takes(meeting, {"before": or_null(CURSOR), "limit": number(50, 1, 100)}),
        "chat:delete": Takes({**meeting, "message_id": MESSAGE_ID}),
        "reaction:send": Takes({**meeting, "emoji": EMOJI}),
        "breakout:create": Takes(
            {**meeting, "count": number(2, 1, 50)}, {"names": many(NAME, 50), "choose": YES}
        ),
        "breakout:assign": Takes(
            meeting,
            {"assignments": many(an_object(assignment), 1000), "evenly": NO},
            contrary=({"evenly": True}, {"assignments": []}),
        ),
        "breakout:open": Takes(meeting, {"minutes": or_null(number(5.0, 0.0, 1440.0, 0))}),
        "breakout:choose": Takes({**meeting, "room_id": ROOM}),
        "breakout:message": Takes({**meeting, "message": SHORT_TEXT}),
        "breakout:close": Takes(meeting, {"seconds": number(30, 0, 300)}),
        "recording:start": Takes(meeting, {"options": an_object(options)}),
        "stream:start": Takes(meeting, {"config": an_object(config)}),
        "stats:report": Takes({**meeting, "stats": an_object(stats)}),
        "stats:subscribe": Takes({**meeting, "enabled": YES}),
    }


def _meeting_dialect() -> dict[str, Takes]:
    meeting = {"meeting_id": MEETING}
    who = {"user_id": or_null(USER), "role": or_null(ROLE)}
    of_producer, of_consumer = {"producer_id": MEDIA}, Takes({"consumer_id": MEDIA}, AT)
    capabilities = {"rtp_capabilities": or_null(OBJECT)}
    entrance = {
        "display_name": or_null(NAME),
        "transports": many(DIRECTION, 2),
        "since": or_null(number(7, 0, None)),
    }
    return {
        "room:create": Takes(meeting, who),
        "room:join": Takes(meeting, {**who, **entrance}),
        "room:leave": Takes(meeting, {"user_id": or_null(USER)}),
        "transport:create": Takes({**meeting, "direction": DIRECTION}, AT),
        "transport:connect": Takes({"transport_id": MEDIA, "dtls_parameters": OBJECT}, AT),
        "produce": Takes(
            {"transport_id": MEDIA, "kind": KIND, "rtp_parameters": OBJECT},
            {"source": or_null(SOURCE), "paused": YES, **AT},
        ),
        "consume": Takes(of_producer, {**capabilities, **AT}),
        "consume:batch": Takes(
            {"producer_ids": many(MEDIA, 25, least=1)}, {**capabilities, "paused": YES, **AT}
        ),
        "consumer:resume": of_consumer,
        "consumers:resume": Takes({"consumer_ids": many(MEDIA, 200, least=1)}, AT),
        "consumer:pause": of_consumer,
        "quality:change": Takes({**of_producer, "layer": LAYER}, AT),
        "media:cross": Takes({**meeting, "epoch": EPOCH}),
        "participant:mute": Takes(
            {**meeting, "target_user_id": ANN, "kind": KIND}, {"muted": YES, "reason": REASON}
        ),
        "chat:send": Takes(
            {**meeting, "message": TEXT},
            {
                "reply_to": or_null(MESSAGE_ID),
                "recipient_type": WHOM,
                "recipient_id": or_null(ANN),
            },
            contrary=({"recipient_type": "all"}, {"recipient_id": None}),
        ),
        "chat:typing": Takes({**meeting, "is_typing": YES}),
        **_shared(),
    }


_IN_CAMEL = {
    "meeting_id": "meetingId",
    "target_user_id": "targetUserId",
    "target_user_ids": "targetUserIds",
    "user_id": "userId",
    "user_ids": "userIds",
    "room_id": "roomId",
    "transport_id": "transportId",
    "producer_id": "producerId",
    "consumer_id": "consumerId",
    "message_id": "messageId",
    "new_role": "newRole",
    "for_all": "forAll",
    "require_host_approval": "requireHostApproval",
    "allow_unmute_self": "allowUnmuteSelf",
    "guest_chat": "guestChat",
    "several_screens": "severalScreens",
    "host_succession": "hostSuccession",
    "chat_history": "chatHistory",
    "record_video": "recordVideo",
    "record_audio": "recordAudio",
    "record_chat": "recordChat",
}


def _spelled(value: Any) -> Any:
    """The same as the client guide spells it."""
    if isinstance(value, Takes):
        required, optional = _spelled(value.required), _spelled(value.optional)
        return Takes(required, optional, tuple(map(_spelled, value.contrary)))
    if isinstance(value, Field) and value.inside:
        wrong, inside = _spelled(value.wrong), _spelled(value.inside)
        return replace(value, good=_spelled(value.good), wrong=wrong, inside=inside)
    if isinstance(value, Mapping):
        return {_IN_CAMEL.get(name, name): _spelled(inner) for name, inner in value.items()}
    return [_spelled(each) for each in value] if isinstance(value, list) else value


def _client_dialect() -> dict[str, Takes]:
    meeting, of_consumer = {"meetingId": MEETING}, Takes({"consumerId": MEDIA})
    return {
        "join-meeting": Takes(meeting, {"userId": or_null(USER), "userName": or_null(NAME)}),
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
        "participant:mute": Takes(
            {**meeting, "targetUserId": ANN, "muteType": KIND}, {"muted": YES}
        ),
        "send-message": Takes(
            {**meeting, "message": TEXT},
            {"recipientType": WHOM, "recipientId": or_null(ANN), "replyTo": or_null(MESSAGE_ID)},
            contrary=({"recipientId": None},),
        ),
        "typing": Takes({**meeting, "typing": YES}),
        **{event: _spelled(takes) for event, takes in _shared().items()},
    }


TAKES: dict[str, dict[str, Takes]] = {"/meeting": _meeting_dialect(), "/": _client_dialect()}
"""By namespace and event."""

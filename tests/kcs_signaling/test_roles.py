"""Who may do what: every event of both namespaces, for every role, wherever the asker is.

The tables are written by hand from the guides, not taken from the code: H host, C co-host,
P presenter, A attendee, G guest.
"""

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import CAPABILITIES, FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import PROTOCOLS, Protocol
from kcs_contracts.protocol.camel import camel_object
from kcs_contracts.rooms import Role

LETTERS = {
    "H": Role.HOST,
    "C": Role.CO_HOST,
    "P": Role.PRESENTER,
    "A": Role.ATTENDEE,
    "G": Role.GUEST,
}
DONE = {None, "NOT_FOUND"}
"""What may come of an event that the role allows: all name things and people that are not there."""
DISABLED = {"recording": "RECORDING_DISABLED", "stream": "STREAMING_DISABLED"}
"""What comes of these: nothing records or streams."""

BOTH = """
    transport:restart-ice          HCPAG
    ice:refresh                    HCPAG
    produce:close                  HCPAG
    consume                        HCPAG
    consumer:close                 HCPAG
    quality:change                 HCPAG
    media:toggle audio             HCPA
    media:toggle video             HCPA
    screen:stop                    HCP
    screen:stop another's          HC
    participant:mute               HC
    participant:remove             HC
    participant:role:update        HC
    participant:add                HC
    participant:pin                HCPAG
    participant:spotlight          HC
    hand:raise                     HCPA
    hand:lower                     HCPA
    hand:lower another's           HC
    layout:change                  HCPAG
    layout:change for all          HC
    chat:history                   HCPAG
    chat:delete                    HCPAG
    reaction:send                  HCPA
    breakout:create                HC
    breakout:assign                HC
    breakout:open                  HC
    breakout:choose                HCPAG
    breakout:message               HC
    breakout:list                  HCPAG
    breakout:close                 HC
    recording:start                HC
    recording:pause                HC
    recording:resume               HC
    recording:stop                 HC
    stream:start                   HC
    stream:stop                    HC
    stats:report                   HCPAG
    stats:subscribe                HC
    room:snapshot                  HCPAG
    room:lock                      HC
    room:settings                  HC
    waiting:admit                  HC
    waiting:deny                   HC
    auth:refresh                   HCPAG
    room:end                       H
"""
MEETING = """
    room:create                    HC
    room:join                      HCPAG
    room:leave                     HCPAG
    media:cross                    HCPAG
    transport:create send          HCPA
    transport:create recv          HCPAG
    transport:connect              HCPAG
    produce audio                  HCPA
    produce video                  HCPA
    screen:start                   HCP
    produce screen                 HCP
    produce screen_audio           HCP
    consume:batch                  HCPAG
    consumer:resume                HCPAG
    consumers:resume               HCPAG
    consumer:pause                 HCPAG
    chat:send                      HCPA
    chat:typing                    HCPA
"""
CLIENT = """
    join-meeting                   HCPAG
    leave-meeting                  HCPAG
    create-transport send          HCPAG
    create-transport recv          HCPAG
    connect-transport              HCPAG
    produce audio                  HCPA
    produce video                  HCPA
    screen:start                   HCP
    resume-consumer                HCPAG
    pause-consumer                 HCPAG
    send-message                   HCPA
    typing                         HCPA
"""


def rows(text: str) -> dict[str, str]:
    """A table's rows: what is done, and the letters of those who may."""
    return {line[:31].strip(): line[31:].strip() for line in text.strip("\n").splitlines()}


EXPECTED = {"/meeting": rows(MEETING) | rows(BOTH), "/": rows(CLIENT) | rows(BOTH)}
LEAVE = {"/meeting": "room:leave", "/": "leave-meeting"}
JOIN = {"/meeting": "room:join", "/": "join-meeting"}

_NOBODY = {"target_user_id": "nobody-here"}
_AUDIO, _VIDEO = {"kind": "audio", "enabled": False}, {"kind": "video", "enabled": False}
_STATS = {"rtt": 20, "jitter": 3, "packetLoss": 0, "bitrate": 900_000}
_IN_THE_MEETING: dict[str, JsonObject] = {
    "ice:refresh": {},
    "media:toggle audio": _AUDIO,
    "media:toggle video": _VIDEO,
    "screen:start": {},
    "screen:stop": {},
    "screen:stop another's": _NOBODY,
    "participant:mute": {**_NOBODY, "kind": "audio"},
    "participant:remove": _NOBODY,
    "participant:role:update": {**_NOBODY, "new_role": "attendee"},
    "participant:add": {"user_ids": ["somebody-new"]},
    "participant:pin": _NOBODY,
    "participant:spotlight": _NOBODY,
    "hand:raise": {},
    "hand:lower": {},
    "hand:lower another's": _NOBODY,
    "layout:change": {"layout": "grid"},
    "layout:change for all": {"layout": "grid", "for_all": True},
    "chat:history": {},
    "chat:delete": {"message_id": "none"},
    "reaction:send": {"emoji": "👍"},
    "breakout:create": {"count": 2},
    "breakout:assign": {"evenly": True},
    "breakout:open": {},
    "breakout:choose": {"room_id": "none"},
    "breakout:message": {"message": "Ten more minutes"},
    "breakout:list": {},
    "breakout:close": {},
    "recording:start": {},
    "recording:pause": {},
    "recording:resume": {},
    "recording:stop": {},
    "stream:start": {},
    "stream:stop": {},
    "stats:report": {"stats": _STATS},
    "stats:subscribe": {"enabled": False},
    "room:snapshot": {},
    "room:lock": {"locked": False},
    "room:settings": {"settings": {"guest_chat": False}},
    "waiting:admit": {"target_user_ids": ["nobody-here"]},
    "waiting:deny": _NOBODY,
    "room:end": {},
}
_RTP = {"rtp_parameters": {}}
_CAN = {"rtp_capabilities": CAPABILITIES}
_MEETING_ONLY: dict[str, JsonObject] = {
    "room:create": {},
    "room:join": {},
    "room:leave": {},
    "media:cross": {"epoch": 1},
    "transport:create send": {"direction": "send"},
    "transport:create recv": {"direction": "recv"},
    "chat:send": {"message": "Hello"},
    "chat:typing": {"is_typing": True},
}
_NAMELESS: dict[str, JsonObject] = {
    "transport:restart-ice": {"transport_id": "none"},
    "produce:close": {"producer_id": "none"},
    "consumer:close": {"consumer_id": "none"},
}
"""Events that name no meeting: they mean the one that the socket is in."""
_MEETING_NAMELESS: dict[str, JsonObject] = {
    "transport:connect": {"transport_id": "none", "dtls_parameters": {}},
    "produce audio": {"transport_id": "none", "kind": "audio", **_RTP},
    "produce video": {"transport_id": "none", "kind": "video", **_RTP},
    "produce screen": {"transport_id": "none", "kind": "screen", **_RTP},
    "produce screen_audio": {
        "transport_id": "none",
        "kind": "audio",
        "source": "screen_audio",
        **_RTP,
    },
    "consume": {"producer_id": "none", **_CAN},
    "consume:batch": {"producer_ids": ["none"], **_CAN},
    "consumer:resume": {"consumer_id": "none"},
    "consumers:resume": {"consumer_ids": ["none"]},
    "consumer:pause": {"consumer_id": "none"},
    "quality:change": {"producer_id": "none", "layer": "low"},
}
_CLIENT_ONLY: dict[str, JsonObject] = {
    "join-meeting": {},
    "leave-meeting": {},
    "create-transport send": {"direction": "send"},
    "create-transport recv": {"direction": "recv"},
    "produce audio": {"kind": "audio", **_RTP},
    "produce video": {"kind": "video", **_RTP},
    "consume": {"producer_participant_id": "nobody-here", "kind": "audio", **_CAN},
    "quality:change": {"participant_id": "nobody-here", "quality": "low"},
    "participant:mute": {**_NOBODY, "mute_type": "audio"},
    "send-message": {"message": "Hello"},
    "typing": {"typing": True},
}
_CLIENT_NAMELESS: dict[str, JsonObject] = {
    "connect-transport": {"transport_id": "none", "dtls_parameters": {}},
    "resume-consumer": {"consumer_id": "none"},
    "pause-consumer": {"consumer_id": "none"},
}
NAMELESS = {
    "/meeting": _NAMELESS | _MEETING_NAMELESS,
    "/": _NAMELESS | _CLIENT_NAMELESS,
}
NAMING = {
    "/meeting": _IN_THE_MEETING | _MEETING_ONLY,
    "/": _IN_THE_MEETING | _CLIENT_ONLY,
}


async def outcome(client: Client, what: str, meeting: str, token: str) -> str | None:
    """The code that it is refused with; None: it is done."""
    namespace, event = client.namespace, what.split()[0]
    payload = NAMELESS[namespace].get(what)
    if payload is None:
        payload = {"meeting_id": meeting, **NAMING[namespace].get(what, {})}
    if event == "auth:refresh":
        payload = {"token": token}
    answer = await client.ask(event, camel_object(payload) if namespace == "/" else payload)
    return None if answer["ok"] else str(answer["error"]["code"])


async def outcomes(client: Client, meeting: str, token: str) -> dict[str, str | None]:
    """What becomes of everything that there is to do; of what takes one out of it, last."""
    leave, join = LEAVE[client.namespace], JOIN[client.namespace]
    last = [leave, join, "room:end"]
    first = [what for what in EXPECTED[client.namespace] if what not in last]
    return {what: await outcome(client, what, meeting, token) for what in [*first, *last]}


def allowed_or_refused(
    namespace: str, role: Role, come_of: dict[str, str | None]
) -> dict[str, str | None]:
    """What should have come of it for the role: of what it may do, whatever means done."""
    letter = next(letter for letter, one in LETTERS.items() if one is role)
    return {
        what: _expected(what, code, may=letter in EXPECTED[namespace][what])
        for what, code in come_of.items()
    }


def _expected(what: str, code: str | None, *, may: bool) -> str | None:
    family = what.partition(":")[0]
    if may and family in DISABLED:
        return DISABLED[family]
    if may:
        return code if code in DONE else "done"
    return "UNAUTHORIZED_RECORDING" if family == "recording" else "ACCESS_DENIED"


each_role = pytest.mark.parametrize("role", LETTERS.values(), ids=str)
each_namespace = pytest.mark.parametrize("namespace", EXPECTED)


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    """A replica without limits."""
    return replicas[0]


class Asker:
    """Somebody in one role, by a meeting token."""

    def __init__(self, client: Client, meeting: str, token: str):
        self.client, self.meeting, self.token = client, meeting, token

    async def joins(self, meeting: str | None = None) -> None:
        name = "meetingId" if self.client.namespace == "/" else "meeting_id"
        await self.client.get(JOIN[self.client.namespace], {name: meeting or self.meeting})

    async def outcomes(self) -> dict[str, str | None]:
        return await outcomes(self.client, self.meeting, self.token)


async def asker(
    signaling: Signaling, clients: MakeClient, namespace: str, role: Role, **settings: object
) -> Asker:
    meeting = await signaling.create_meeting("owner", settings=settings)
    token = signaling.invited(meeting, "ann", role)
    client = await clients(signaling, namespace, "ann", token=token)
    return Asker(client, meeting, token)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.namespace)
def test_the_tables_hold_every_event(protocol: Protocol) -> None:
    done = EXPECTED[protocol.namespace].keys()
    assert {what.split()[0] for what in done} == {each.name for each in protocol.client_events}
    payloads = NAMING[protocol.namespace].keys() | NAMELESS[protocol.namespace].keys()
    assert payloads | {"auth:refresh"} == done


@each_namespace
@each_role
async def test_in_the_meeting_people_may_do_what_their_role_allows(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str, role: Role
) -> None:
    ann = await asker(signaling, clients, namespace, role)
    await ann.joins()

    come_of = await ann.outcomes()

    assert come_of == allowed_or_refused(namespace, role, come_of)


@each_namespace
@each_role
async def test_whoever_has_not_joined_can_do_nothing_in_it(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str, role: Role
) -> None:
    ann = await asker(signaling, clients, namespace, role)
    join = JOIN[namespace]

    come_of = await ann.outcomes()

    assert come_of.pop("auth:refresh") is None
    assert come_of.pop(join) is None
    if namespace == "/meeting":
        may = role in (Role.HOST, Role.CO_HOST)
        assert come_of.pop("room:create") == (None if may else "ACCESS_DENIED")
    ended = come_of.pop("room:end")  # the join before it worked
    assert ended == (None if role is Role.HOST else "ACCESS_DENIED")
    assert set(come_of.values()) == {"NOT_JOINED"}


@each_namespace
@pytest.mark.parametrize("role", [Role.PRESENTER, Role.ATTENDEE, Role.GUEST], ids=str)
async def test_whoever_waits_can_do_nothing_in_it(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str, role: Role
) -> None:
    ann = await asker(signaling, clients, namespace, role, require_host_approval=True)
    await ann.joins()

    come_of = await ann.outcomes()

    assert come_of.pop("auth:refresh") is None
    assert come_of.pop(JOIN[namespace]) is None
    assert come_of.pop(LEAVE[namespace]) is None
    if namespace == "/meeting":
        assert come_of.pop("room:create") == "ACCESS_DENIED"
    assert set(come_of.values()) == {"NOT_JOINED"}


@each_namespace
@each_role
async def test_whoever_was_removed_can_do_nothing_in_it(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str, role: Role
) -> None:
    ann = await asker(signaling, clients, namespace, role)
    await ann.joins()
    owner = await clients(signaling, "/meeting", "owner")
    await owner.get("room:join", {"meeting_id": ann.meeting})
    await owner.get("participant:remove", {"meeting_id": ann.meeting, "target_user_id": "ann"})
    await ann.client.hears("removed:from-meeting")

    come_of = await ann.outcomes()

    assert come_of.pop("auth:refresh") is None
    assert come_of.pop(JOIN[namespace]) == "ACCESS_DENIED"
    if namespace == "/meeting":
        assert come_of.pop("room:create") == "ACCESS_DENIED"
    assert set(come_of.values()) == {"NOT_JOINED"}


@each_namespace
@each_role
async def test_from_another_meeting_people_can_do_nothing_in_it(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str, role: Role
) -> None:
    host = "ann" if role is Role.HOST else "owner"
    settings = {} if role is Role.HOST else {"default_role": role.value}
    there = await signaling.create_meeting(host, settings=settings)
    meeting = await signaling.create_meeting(host, settings=settings)
    token = signaling.access("ann")
    ann = Asker(await clients(signaling, namespace, "ann", token=token), meeting, token)
    await ann.joins(there)

    come_of = await ann.outcomes()

    where_they_are = {what: come_of.pop(what) for what in NAMELESS[namespace]}
    if where_they_are.get("produce screen_audio") == "INVALID_REQUEST":
        where_they_are["produce screen_audio"] = "NOT_FOUND"  # they share no screen there
    assert where_they_are == allowed_or_refused(namespace, role, where_they_are)
    assert come_of.pop("auth:refresh") is None
    assert come_of.pop(JOIN[namespace]) == "INVALID_REQUEST"
    if namespace == "/meeting":
        may = role in (Role.HOST, Role.CO_HOST)
        assert come_of.pop("room:create") == (None if may else "ACCESS_DENIED")
    assert set(come_of.values()) == {"NOT_JOINED"}

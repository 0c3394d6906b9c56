"""Whatever is sent is answered: random payloads for every event, over real sockets, on PostgreSQL,
which takes less than SQLite does.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import Postgres
from tests.support.bad_input import TAKES, UUID, Field, Takes
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, Signaling

EXAMPLES = 60
AT_ONCE = 14
"""Events of one example, which stand together in the table; their meeting is new."""
Sent = Iterable[tuple[str, Any]]

FLOATS = st.floats(allow_nan=False, allow_infinity=False)  # JSON has no such numbers
TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PEOPLE = ["ann", "eve", "zoe"]
IDS = {
    UUID: ["SEND", "RECV", "PRODUCER", "CONSUMER", "ANNS", UUID],
    "M": ["M", "M", "M", "M:1"],
    "k7f-x2mq-9tb:1": ["M", "M:1", "M:2"],
    "nobodys": ["MESSAGE", "nobodys"],
    **dict.fromkeys(PEOPLE, PEOPLE),
}
"""What may be there, by what is well-formed; capitals stand for what the meeting's ids are."""


def likely(field: Field) -> st.SearchStrategy[Any]:
    """Values that are well-formed."""
    one = field.good[0] if isinstance(field.good, list) else field.good
    if field.inside is not None:
        known = payloads(field.inside)
    elif isinstance(one, bool):
        known = st.booleans()
    elif one == "hello":
        known = TEXT
    else:
        known = st.sampled_from(IDS.get(one, [one])) if isinstance(one, str) else st.just(one)
    return st.lists(known, max_size=3) if isinstance(field.good, list) else known


def values(field: Field) -> st.SearchStrategy[Any]:
    """Nine times of ten those."""
    wrong = st.sampled_from(field.all_wrong) | JSON
    return st.integers(0, 9).flatmap(lambda dice: wrong if dice == 9 else likely(field))


def payloads(takes: Takes) -> st.SearchStrategy[Any]:
    """Objects with the fields' own names."""
    return st.fixed_dictionaries(
        {name: values(each) for name, each in takes.required.items()},
        optional={name: values(each) for name, each in takes.optional.items()},
    )


def events(namespace: str) -> st.SearchStrategy[Sent]:
    """Events with payloads; one of ten has no fields of its own."""
    names, table = list(TAKES[namespace]), TAKES[namespace]
    starts = range(0, len(names), AT_ONCE)

    def sent(name: str) -> st.SearchStrategy[tuple[str, Any]]:
        known = payloads(table[name])
        payload = st.integers(0, 9).flatmap(lambda dice: JSON if dice == 9 else known)
        return st.tuples(st.just(name), payload)

    group = st.sampled_from(starts).flatmap(lambda at: st.permutations(names[at : at + AT_ONCE]))
    return group.flatmap(lambda some: st.tuples(*map(sent, some)))


@pytest.fixture(scope="module")
def on_postgres(
    redis_url: str, postgres: Postgres, key_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Signaling]:
    """A process without limits."""
    home = tmp_path_factory.mktemp("random")
    shutil.copy(key_file, home)
    url = postgres.new_database()
    process = Signaling(home, redis_url, KCS_LIMITS__ENABLED="false", KCS_SQL__URL=url)
    with asyncio.Runner() as runner:
        runner.run(process.start())
        yield process
        runner.run(process.stop())


@pytest.fixture
async def signaling(on_postgres: Signaling) -> Signaling:
    """That process."""
    return on_postgres


class Stage:
    """Eve hosts one meeting after the other, and sends; Ann, who is in them too, speaks to her."""

    def __init__(self, signaling: Signaling, namespace: str):
        self._signaling, self._namespace = signaling, namespace
        self.sent: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    async def play(self, sent: Sent) -> None:
        """Each event is answered as it is declared, and Ann is still heard at the end."""
        meeting = await self._signaling.create_meeting("eve")
        async with self._client("/meeting", "ann") as ann, self._client(self._namespace) as eve:
            ids = await self._set_up(meeting, ann, eve)
            for event, payload in sent:
                answer = await eve.ask(event, _named(payload, ids))
                code = "ok" if answer["ok"] else answer["error"]["code"]
                assert code not in ("INTERNAL_ERROR", "UNKNOWN_EVENT"), (event, payload, answer)
                self.sent[event] += 1
                self.codes[code] += 1
            assert await ann.refused("no-such-event") == "UNKNOWN_EVENT"

    @asynccontextmanager
    async def _client(self, namespace: str, user: str = "eve") -> AsyncIterator[Client]:
        client = await Client(namespace).connect(self._signaling.url, self._signaling.access(user))
        try:
            yield client
        finally:
            await client.close()

    async def _set_up(self, meeting: str, ann: Client, eve: Client) -> dict[str, str]:
        """The ids of what is there."""
        both = ("send", "recv")
        named: dict[str, Any] = {"meeting_id": meeting}
        joined = await ann.get("room:join", {**named, "transports": both})
        mic = {"kind": "audio", "rtp_parameters": {}}
        sends = joined["transports"][0]["transport_id"]
        anns = (await ann.get("produce", {**mic, "transport_id": sends}))["producer_id"]
        if self._namespace == "/meeting":
            joined = await eve.get("room:join", {**named, "transports": both})
            sends, receives = (each["transport_id"] for each in joined["transports"])
            mine = (await eve.get("produce", {**mic, "transport_id": sends}))["producer_id"]
            consume = {"producer_id": anns, "rtp_capabilities": {}}
            consumer = (await eve.get("consume", consume))["consumer_id"]
            said = await eve.get("chat:send", {**named, "message": "hello"})
            message = said["message_id"]
        else:
            named = {"meetingId": meeting}
            await eve.get("join-meeting", named)
            sends, receives = [
                (await eve.get("create-transport", {**named, "direction": direction}))["params"][
                    "id"
                ]
                for direction in both
            ]
            produce = {**named, "kind": "audio", "rtpParameters": {}}
            mine = (await eve.get("produce", produce))["producerId"]
            consume = {**named, "kind": "audio", "producerParticipantId": "ann"}
            consumer = (await eve.get("consume", {**consume, "rtpCapabilities": {}}))["id"]
            message = (await eve.get("send-message", {**named, "message": "hello"}))["id"]
        transports = {"SEND": sends, "RECV": receives}
        streams = {"PRODUCER": mine, "CONSUMER": consumer, "ANNS": anns}
        rooms = {"M": meeting, "M:1": f"{meeting}:1", "M:2": f"{meeting}:2"}
        return {**transports, **streams, **rooms, "MESSAGE": message}


def _named(payload: Any, ids: dict[str, str]) -> Any:
    """With the meeting's own ids."""
    if isinstance(payload, list):
        return [_named(each, ids) for each in payload]
    if isinstance(payload, dict):
        return {name: _named(each, ids) for name, each in payload.items()}
    return ids.get(payload, payload) if isinstance(payload, str) else payload


@pytest.mark.parametrize("namespace", list(TAKES))
async def test_whatever_is_sent_is_answered_with_ok_or_a_declared_error_and_is_no_bug_of_ours(
    signaling: Signaling, node: FakeNode, namespace: str
) -> None:
    stage, loop = Stage(signaling, namespace), asyncio.get_running_loop()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(events(namespace))
    def attempt(sent: Sent) -> None:
        asyncio.run_coroutine_threadsafe(stage.play(sent), loop).result(60)

    await asyncio.to_thread(attempt)

    assert set(stage.sent) == set(TAKES[namespace]), "some events were never sent"
    assert stage.codes["ok"] > EXAMPLES, "hardly anything of it is done"
    assert [line for line in signaling.lines if line.get("level") in ("error", "critical")] == []

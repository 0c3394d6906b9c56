"""Two people, one with each guide in hand, hold a whole meeting and nothing surprises them."""

from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import CAPABILITIES, FakeNode
from tests.support.signaling import Client, Signaling


class Story:
    """Ann speaks `/meeting`, Gus speaks `/`; each step is seen from both sides."""

    def __init__(self, meeting: str, ann: Client, gus: Client):
        self.ann, self.gus = ann, gus
        self.here, self.there = {"meeting_id": meeting}, {"meetingId": meeting}

    async def come_in(self) -> None:
        """Gus has to be let in, and is then as much in as Ann."""
        joined = await self.ann.get("room:join", {**self.here, "role": "host"})
        assert joined["your_role"] == "host"
        assert await self.gus.get("join-meeting", self.there) == {**self.there, "waiting": True}
        waits = await self.ann.hears("waiting:added")
        await self.ann.get("waiting:admit", {**self.here, "target_user_ids": [waits["user_id"]]})
        me = await self.gus.hears("participant-joined")
        assert (me["userId"], me["participantCount"]) == ("gus", 2)
        assert (await self.ann.hears("participant:joined"))["display_name"] == "Gus"

    async def see_each_other(self) -> None:
        """Each sends a camera and gets the other's."""
        ann = await self.ann.get("transport:create", {**self.here, "direction": "send"})
        camera = {"transport_id": ann["transport_id"], "kind": "video", "rtp_parameters": {}}
        await self.ann.get("produce", camera)
        for direction in ("send", "recv"):
            made = await self.gus.get("create-transport", {**self.there, "direction": direction})
            assert made["direction"] == direction
        offered = await self.gus.hears("new-producer")
        wanted = {"producerParticipantId": offered["participantId"], "kind": offered["kind"]}
        consume = {**self.there, **wanted, "rtpCapabilities": CAPABILITIES}
        taken = await self.gus.get("consume", consume)
        await self.gus.get("resume-consumer", {"consumerId": taken["id"]})
        await self.gus.get("produce", {**self.there, "kind": "audio", "rtpParameters": {}})
        heard = await self.ann.hears("new-producer")
        assert (heard["user_id"], heard["kind"]) == ("gus", "audio")
        await self.ann.get("transport:create", {**self.here, "direction": "recv"})
        batch = {"producer_ids": [heard["producer_id"]], "rtp_capabilities": CAPABILITIES}
        got = await self.ann.get("consume:batch", {**batch, "paused": False})
        assert [each["user_id"] for each in got["consumers"]] == ["gus"]
        low = {**self.there, "participantId": "ann", "quality": "low"}
        assert (await self.gus.get("quality:change", low))["quality"] == "low"

    async def talk(self) -> None:
        """Chat in both directions, a private word, typing, reactions, hands."""
        await self.ann.get("chat:send", {**self.here, "message": "hello"})
        said = await self.gus.hears("new-message")
        assert (said["sender_id"], said["message"], said["recipient_type"]) == (
            "ann",
            "hello",
            "all",
        )
        answer = {**self.there, "message": "hi", "recipientType": "private", "recipientId": "ann"}
        await self.gus.get("send-message", answer)
        assert (await self.ann.hears("chat:message"))["message"] == "hello"
        assert (await self.ann.hears("chat:message"))["recipient_type"] == "private"
        await self.gus.get("typing", {**self.there, "typing": True})
        assert (await self.ann.hears("chat:typing"))["is_typing"]
        await self.ann.get("chat:typing", {**self.here, "is_typing": True})
        assert (await self.gus.hears("user-typing"))["userName"] == "Ann"
        await self.gus.get("reaction:send", {**self.there, "emoji": "👍"})
        assert (await self.ann.hears("reaction:received"))["emoji"] == "👍"
        await self.gus.get("hand:raise", self.there)
        assert (await self.ann.hears("hand:raised"))["user_id"] == "gus"
        await self.ann.get("hand:lower", {**self.here, "target_user_id": "gus"})
        assert (await self.gus.hears("hand:lowered"))["userId"] == "gus"
        history = await self.gus.get("chat:history", self.there)
        assert [each["message"] for each in history["messages"]] == ["hi", "hello"]

    async def present(self) -> None:
        """Screens, layouts, pins and the spotlight."""
        await self.gus.get("screen:start", self.there)
        assert (await self.ann.hears("screen:started"))["user_id"] == "gus"
        await self.gus.get("produce", {**self.there, "kind": "video", "rtpParameters": {}})
        shown = await self.ann.hears("new-producer", lambda p: p["kind"] == "video")
        assert shown["source"] == "screen"
        await self.gus.get("screen:stop", self.there)
        assert (await self.ann.hears("screen:stopped"))["user_id"] == "gus"
        await self.gus.get("layout:change", {**self.there, "layout": "speaker"})
        assert (await self.gus.hears("layout:changed"))["layout"] == "speaker"
        await self.gus.get("participant:pin", {**self.there, "targetUserId": "ann"})
        assert (await self.gus.hears("participant:pinned"))["targetUserId"] == "ann"
        await self.ann.get("participant:spotlight", {**self.here, "target_user_id": "gus"})
        assert (await self.gus.hears("participant:spotlighted"))["targetUserId"] == "gus"
        stats = {"rtt": 45, "packetLoss": 0.5, "jitter": 10, "bitrate": 1_500_000}
        await self.gus.get("stats:report", {**self.there, "stats": stats})
        assert (await self.ann.hears("connection:quality"))["quality"] == "excellent"

    async def be_in_charge(self) -> None:
        """What Ann may do and Gus may not, until she lets him."""
        mute = {**self.there, "targetUserId": "ann", "muteType": "audio"}
        assert await self.gus.refused("participant:mute", mute) == "ACCESS_DENIED"
        assert await self.gus.refused("recording:start", self.there) == "UNAUTHORIZED_RECORDING"
        await self.ann.get(
            "participant:mute", {**self.here, "target_user_id": "gus", "kind": "audio"}
        )
        told = await self.gus.hears("participant:muted")
        assert (told["targetUserId"], told["moderatorName"]) == ("gus", "Ann")
        assert not (await self.ann.hears("participant:media:updated", lambda p: not p["enabled"]))[
            "enabled"
        ]
        role = {**self.here, "target_user_id": "gus", "new_role": "co_host"}
        await self.ann.get("participant:role:update", role)
        changed = await self.gus.hears("participant:role:changed")
        assert (changed["oldRole"], changed["newRole"]) == ("presenter", "co_host")
        assert await self.gus.refused("recording:start", self.there) == "RECORDING_DISABLED"
        assert await self.gus.refused("stream:start", self.there) == "STREAMING_DISABLED"
        await self.gus.get("room:lock", {**self.there, "locked": True})
        assert (await self.ann.hears("room:locked"))["locked"]
        assert await self.gus.refused("room:end", self.there) == "ACCESS_DENIED"

    async def part(self) -> None:
        """Breakout rooms and the end."""
        await self.ann.get("breakout:create", {**self.here, "count": 1, "names": ["Corner"]})
        assert (await self.gus.hears("breakout:updated"))["rooms"][0]["name"] == "Corner"
        assign = [{"user_id": "gus", "room_id": f"{self.here['meeting_id']}:1"}]
        await self.ann.get("breakout:assign", {**self.here, "assignments": assign})
        await self.ann.get("breakout:open", self.here)
        go = await self.gus.hears("breakout:go")
        await self.gus.get("join-meeting", {"meetingId": go["roomId"]})
        assert (await self.ann.hears("breakout:moved"))["user_id"] == "gus"
        await self.ann.get("breakout:close", self.here)
        closed = await self.gus.hears("room:closed")
        assert closed["returnTo"] == self.here["meeting_id"]
        await self.gus.get("join-meeting", {"meetingId": closed["returnTo"]})
        await self.ann.get("room:end", self.here)
        assert (await self.gus.hears("room:closed"))["reason"] == "ended_by_host"
        over = await self.gus.hears("error", lambda told: told["event"] is None)
        assert over["code"] == "MEETING_ENDED"
        assert await self.gus.refused("join-meeting", self.there) == "MEETING_ENDED"


async def test_one_client_of_each_guide_holds_a_whole_meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann", settings={"require_host_approval": True})
    ann = await clients(signaling, "/meeting", "ann")
    gus = await clients(signaling, "/", "gus")
    story = Story(meeting, ann, gus)
    await story.come_in()
    await story.see_each_other()
    await story.talk()
    await story.present()
    await story.be_in_charge()
    await story.part()

"""How the client guide's dialect spells what `/meeting` says. Pure."""

import pytest
from pydantic import ValidationError

from kcs_contracts import protocol
from kcs_contracts.protocol import breakouts, capture, chat, telemetry
from kcs_contracts.protocol.camel import camel_name, camel_payload, camelized


def test_names_are_camel_case_and_a_display_name_is_a_user_name() -> None:
    assert [camel_name(name) for name in ("meeting_id", "kind", "display_name")] == [
        *("meetingId", "kind", "userName")
    ]


def test_objects_are_spelled_so_all_the_way_down_but_for_what_is_webrtcs() -> None:
    inside = {"header_extensions": [{"preferred_id": 1}]}
    ours = {
        "user_ids": ("a_b",),
        "participants": [{"hand_raised_at": None, "display_name": "A_B"}],
        "rtp_capabilities": inside,
        "rtp_parameters": inside,
        "ice_servers": [{"credential_type": "password"}],
        "ice_parameters": {"usernameFragment": "a_b", "iceLite": True},
    }
    assert camelized(ours) == {
        "userIds": ["a_b"],
        "participants": [{"handRaisedAt": None, "userName": "A_B"}],
        "rtpCapabilities": inside,
        "rtpParameters": inside,
        "iceServers": [{"credential_type": "password"}],
        "iceParameters": {"usernameFragment": "a_b", "iceLite": True},
    }


def test_a_payload_in_camel_case_is_the_same_one_under_other_names() -> None:
    model = camel_payload(breakouts.Assign)
    assignment = {"userId": "ann", "roomId": "m:1"}
    read = model.model_validate({"meetingId": "m", "assignments": [assignment]})

    ours = {"user_id": "ann", "room_id": "m:1"}
    assert (
        read.model_dump()
        == breakouts.Assign.model_validate({"meeting_id": "m", "assignments": [ours]}).model_dump()
    )
    assert isinstance(read, breakouts.Assign)
    for wrong in (
        {"meeting_id": "m", "assignments": [assignment]},
        {"meetingId": "m", "assignments": [ours]},
        {"meetingId": "m", "assignments": [{**assignment, "extra": 1}]},
        {"meetingId": "m", "assignments": [assignment], "evenly": True},
        {"meetingId": "m", "assignments": [assignment] * 1001},
        {"meetingId": "m", "evenly": "true"},
    ):
        with pytest.raises(ValidationError):
            model.model_validate(wrong)


def test_defaults_are_kept_in_camel_case_and_what_is_camel_case_stays() -> None:
    start = camel_payload(capture.RecordingStart).model_validate({"meetingId": "m"})
    assert start.options == capture.RecordingOptions()
    some = {"meetingId": "m", "options": {"recordChat": True}}
    assert camel_payload(capture.RecordingStart).model_validate(some).options.record_chat
    assert camel_payload(telemetry.ConnectionStats) is telemetry.ConnectionStats
    assert camel_payload(chat.React) is camel_payload(chat.React)


def test_every_shared_payload_takes_no_snake_case_in_the_client_dialect() -> None:
    for event in protocol.SHARED:
        aliases = {f.alias for f in camel_payload(event.payload).model_fields.values()}
        assert not [alias for alias in aliases if alias is None or "_" in alias], event.name

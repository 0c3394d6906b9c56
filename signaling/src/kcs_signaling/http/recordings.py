"""Recordings and live streams over REST.

No recorder or streamer is part of this installation yet, so the lists are empty and no recording
is found; the routes and their shapes are what clients may build on.
"""

from datetime import datetime
from typing import Annotated, Literal, NoReturn

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import Field

from kcs_contracts.ids import MeetingId
from kcs_contracts.models import Contract
from kcs_signaling.errors import NotFound
from kcs_signaling.http.needs import Caller, HostedMeeting
from kcs_signaling.http.paging import Page
from kcs_signaling.http.problems import documented

RecordingId = Annotated[str, Path(description="A recording's id.", examples=["Yk3vX0c9Q2M"])]


class RecordingView(Contract):
    """A recording of a meeting."""

    id: str = Field(examples=["Yk3vX0c9Q2M"])
    meeting_id: MeetingId = Field(examples=["k7f-x2mq-9tb"])
    started_at: datetime
    ended_at: datetime | None = Field(description="null while it runs.")
    size_bytes: int = Field(examples=[104857600])


class StreamView(Contract):
    """A live stream of a meeting; its address and key are shown to nobody."""

    id: str = Field(examples=["Yk3vX0c9Q2M"])
    meeting_id: MeetingId = Field(examples=["k7f-x2mq-9tb"])
    status: Literal["live", "ended", "failed"]
    started_at: datetime
    ended_at: datetime | None = Field(description="null while it runs.")


router = APIRouter(prefix="/api/v1", tags=["recordings and streams"])


@router.get("/meetings/{meeting_id}/recordings", responses=documented(401, 403, 404, 429, 503))
async def list_recordings(meeting: HostedMeeting) -> Page[RecordingView]:
    """A meeting's recordings: none, since no recorder is configured here yet."""
    return Page(items=[], next=None)


@router.get("/meetings/{meeting_id}/streams", responses=documented(401, 403, 404, 429, 503))
async def list_streams(meeting: HostedMeeting) -> Page[StreamView]:
    """A meeting's live streams: none, since no streamer is configured here yet."""
    return Page(items=[], next=None)


@router.get("/recordings/{recording_id}", responses=documented(401, 404, 429))
async def read_recording(caller: Caller, recording_id: RecordingId) -> RecordingView:
    """A recording. No recorder is configured here yet, so there is none."""
    _none()


@router.delete("/recordings/{recording_id}", status_code=204, responses=documented(401, 404, 429))
async def delete_recording(caller: Caller, recording_id: RecordingId) -> None:
    """Deletes a recording. No recorder is configured here yet, so there is none."""
    _none()


@router.get(
    "/recordings/{recording_id}/download",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"video/mp4": {}}},
        **documented(401, 404, 429),
    },
)
async def download_recording(caller: Caller, recording_id: RecordingId) -> Response:
    """A recording's file. No recorder is configured here yet, so there is none."""
    _none()


def _none() -> NoReturn:
    raise NotFound("there is no such recording: no recorder is configured here yet")

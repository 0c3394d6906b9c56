"""What holds in a meeting, as its host sets it: one form for REST, the records, placement, rooms.

REST takes some of the names at a time, the records keep what was said, and placement tells the
rooms of a running meeting the whole.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import ConfigDict, Field, ValidationError

from kcs_contracts.models import Contract


class RoomSettings(Contract):
    """A meeting's settings; what nobody has said has these defaults."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    require_host_approval: bool = False
    """People wait until a host lets them in."""
    allow_unmute_self: bool = True
    """Attendees may switch on their own microphones."""
    guest_chat: bool = False
    """Guests may write in the chat."""
    several_screens: bool = True
    """Two people may share their screens at once; otherwise one."""
    host_succession: bool = True
    """When the host has left, a co-host becomes host, else the presenter who is there longest."""
    chat_history: bool = True
    """People who join see what was said before."""
    locked: bool = False
    """Nobody else may join."""
    idle_minutes: int = Field(default=30, ge=1, le=1440)
    """The meeting ends when nobody was there for so long."""
    recording: bool = True
    """The meeting may be recorded."""
    streaming: bool = True
    """The meeting may be streamed to the public."""
    open_minutes_before: int = Field(default=15, ge=0, le=1440)
    """A scheduled meeting lets people in so long before it starts."""

    @classmethod
    def lenient(cls, said: Mapping[str, object]) -> Self:
        """The settings of a record that another version may have written.

        Names that are unknown and values that fit no more are left out, as if nobody had said
        them.
        """
        known = {name: said[name] for name in cls.model_fields if name in said}
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            wrong = {each["loc"][0] for each in error.errors(include_input=False)}
            return cls.model_validate({k: v for k, v in known.items() if k not in wrong})

"""What a single meeting does in detail, in the log for as long as somebody looks into it."""

import time

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.logs import pseudonym
from kcs_sfu.agent.logs import MEETING


class Detail:
    """The detailed log of one meeting: call it with an event; silent unless it is switched on."""

    def __init__(self, meeting_id: MeetingId):
        self._meeting_id, self._until_s, self._key = meeting_id, 0.0, b""

    def switch(self, until_ms: int, pseudonym_key: bytes) -> None:
        """On until then, in Unix ms; 0: off. Without a key, lines do not say whom they tell of."""
        self._until_s, self._key = until_ms / 1000, pseudonym_key

    def __call__(self, event: str, who: ParticipantId | None = None, **fields: object) -> None:
        """A line at debug level. No secrets."""
        if self._until_s <= time.time():
            return
        user_id = pseudonym(self._key, who) if who is not None and self._key else None
        MEETING.debug(event, meeting_id=self._meeting_id, user_id=user_id, **fields)

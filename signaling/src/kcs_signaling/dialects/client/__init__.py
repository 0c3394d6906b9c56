"""The `/` dialect (client guide): camelCase, answers as events, errors as the `error` event.

The guide's sample client must run as it stands; what it takes for granted is kept here:
`participant-joined` also goes to the joiner, a participant's id is its user's, `produce` names no
transport, and streams are announced one at a time (see `announcements`). A client that asks for
an acknowledgement gets the one of the `/meeting` dialect. What the guide has no words of its own
for is what `/meeting` says, in camelCase.
"""

from kcs_signaling.dialects.client.dialect import ClientDialect

__all__ = ["ClientDialect"]

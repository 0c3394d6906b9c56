"""Tickets: signaling's signed leave to control one meeting on one node for half a minute.

Signaling signs (`TicketSigner`), nodes verify (`TicketVerifier`); only signaling holds the
private key. The epoch in a ticket fences: a node refuses one below the highest that it has seen.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from kcs_contracts.ids import BootId, Epoch, MeetingId, NodeName
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Assignment

LIFETIME_S = 30
_REUSE_S = 15
_KEPT = 4096
_AUDIENCE = "kcs-node"
_TYPE = "kcs-ticket"


class BadTicket(Exception):
    """Missing, malformed, expired, forged, or made for another node."""


class Ticket(Contract):
    """Who may control what: the claims of a verified ticket."""

    meeting_id: MeetingId
    node: NodeName
    boot: BootId
    epoch: Epoch


class TicketSigner:
    """Signs tickets and keeps each for 15 s: a meeting in full flow signs twice a minute."""

    def __init__(self, key: Ed25519PrivateKey, kid: str, now: Callable[[], float] = time.time):
        self._key, self._kid, self._now = key, kid, now
        self._kept: OrderedDict[tuple[str, str, str, int], tuple[str, float]] = OrderedDict()

    def ticket(self, assignment: Assignment) -> str:
        """A ticket for that home of the meeting, valid for 15 s at least."""
        a, now = assignment, self._now()
        known = (a.meeting_id, a.node, a.boot, a.epoch)
        text, until = self._kept.get(known, ("", 0.0))
        if until > now:
            return text
        claims = {
            "aud": _AUDIENCE,
            "exp": int(now) + LIFETIME_S,
            "meeting": a.meeting_id,
            "node": a.node,
            "boot": a.boot,
            "epoch": a.epoch,
        }
        headers = {"kid": self._kid, "typ": _TYPE}
        text = jwt.encode(claims, self._key, algorithm="EdDSA", headers=headers)
        self._kept[known] = (text, now + _REUSE_S)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return text


class TicketVerifier:
    """Verifies tickets for one life of one node; one seen before costs a dictionary look-up."""

    def __init__(
        self,
        keys: Mapping[str, Ed25519PublicKey],
        node: NodeName,
        boot: BootId,
        now: Callable[[], float] = time.time,
    ):
        self._keys, self._node, self._boot, self._now = keys, node, boot, now
        self._kept: OrderedDict[str, tuple[Ticket, float]] = OrderedDict()

    def verify(self, text: str) -> Ticket:
        """The ticket's claims.

        Raises:
            BadTicket: it is not a valid ticket for this life of this node.
        """
        ticket, until = self._kept.get(text, (None, 0.0))
        if ticket is None:
            ticket, until = self._read(text)
            self._kept[text] = (ticket, until)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        if until <= self._now():
            raise BadTicket("the ticket has expired")
        return ticket

    def _read(self, text: str) -> tuple[Ticket, float]:
        try:
            header = jwt.get_unverified_header(text)
            if header.get("typ") != _TYPE:
                raise BadTicket("not a ticket")
            key = self._keys.get(str(header.get("kid")))
            if key is None:
                raise BadTicket("signed by a key that this node does not know")
            claims = jwt.decode(
                text,
                key,
                algorithms=["EdDSA"],
                audience=_AUDIENCE,
                options={"require": ["exp", "aud"], "verify_exp": False},
            )
            ticket = Ticket.model_validate(
                {
                    "meeting_id": claims.get("meeting"),
                    "node": claims.get("node"),
                    "boot": claims.get("boot"),
                    "epoch": claims.get("epoch"),
                }
            )
            until = float(claims["exp"])
        except (jwt.InvalidTokenError, ValidationError, ValueError, TypeError) as error:
            raise BadTicket("the ticket is malformed or forged") from error
        if (ticket.node, ticket.boot) != (self._node, self._boot):
            raise BadTicket("the ticket is for another node or another life of this one")
        if until > self._now() + LIFETIME_S + 5:
            raise BadTicket("the ticket lives too long")
        return ticket, until

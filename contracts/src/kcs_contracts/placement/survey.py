"""What lives on which node: what the operator counts, and drains by."""

from collections.abc import Sequence

from kcs_contracts.ids import Epoch, MeetingId, NodeName
from kcs_contracts.placement.functions import Functions
from kcs_contracts.placement.models import Housed, Unmet

UNMET_MS = 30_000


class Survey(Functions):
    """The part of `Placement` about all meetings of a node."""

    async def survey(self, nodes: Sequence[NodeName]) -> dict[NodeName, list[Housed]]:
        """The meetings of each of these nodes, in one call that changes nothing.

        Those are the meetings that the node hosts, as it said in its last renewal, and those
        that were assigned to it and that it has not opened yet. A meeting that is moving is also
        at its next home, in that epoch and with 0 people: they count where they are. A meeting
        whose home is an earlier life (boot) of the node is nowhere until it is assigned again. A
        node that placement does not know has none. Each node's are sorted by meeting.
        """
        (rows,) = await self._call("kcs_survey", *nodes)
        return {node: _housed(row) for node, row in zip(nodes, rows, strict=True)}

    async def meetings_on(self, node: NodeName) -> list[Housed]:
        """The same of one node."""
        return (await self.survey([node]))[node]

    async def unmet(self, within_ms: int = UNMET_MS) -> list[Unmet]:
        """Meetings that no node had room for within that time, and that have none yet.

        Whoever is refused tries again every few seconds: a meeting stays while it is wanted.
        """
        (rows,) = await self._call("kcs_unmet", within_ms)
        return [Unmet(MeetingId(m), int(people), pool, region) for m, people, pool, region in rows]

    async def age_ms(self) -> int | None:
        """How long ago this Redis was first seen empty, by its own clock; None when it still is.

        For some time after that it does not know yet who is where: see `Nodes.renew`.
        """
        answer = await self._call("kcs_age")
        return int(answer[0]) if answer else None


def _housed(flat: list[str | int]) -> list[Housed]:
    rows = (flat[i : i + 3] for i in range(0, len(flat), 3))
    return sorted(Housed(MeetingId(str(m)), Epoch(int(e)), int(p)) for m, e, p in rows)

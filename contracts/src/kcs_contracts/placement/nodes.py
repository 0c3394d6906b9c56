"""Nodes: the lease that each renews itself, and the operator's drain marks."""

from collections.abc import Sequence
from itertools import chain

from kcs_contracts.ids import BootId, MeetingId, NodeName
from kcs_contracts.placement.functions import Functions
from kcs_contracts.placement.models import Hosted, NodeLease, NodeView, Renewal


class Nodes(Functions):
    """The part of `Placement` that nodes and the operator call."""

    async def renew(self, lease: NodeLease, hosted: Sequence[Hosted]) -> Renewal:
        """Holds the node's lease for `lease_ms` more; called each second by the node itself.

        A hosted meeting that Redis does not know, as after a flush, is put back with that node
        and epoch; of two nodes that claim one, the higher epoch wins. A generation above the
        stored one counts as `reset_media(reason="worker_died")`. A second boot of the node's
        name replaces the first, whose renewals are refused from then on.
        """
        claims = chain.from_iterable((h.meeting_id, h.epoch, h.generation) for h in hosted)
        draining, superseded, stale = await self._call(
            "kcs_renew",
            lease.node,
            lease.boot,
            lease.control_url,
            lease.region,
            lease.consumer_capacity,
            lease.cpu,
            lease.consumers,
            lease.egress_fraction,
            lease.lease_ms,
            *claims,
        )
        return Renewal(
            draining=bool(draining),
            superseded=bool(superseded),
            stale=tuple(MeetingId(text) for text in stale),
        )

    async def release(self, node: NodeName, boot: BootId) -> None:
        """Ends the lease now (graceful stop); this boot's later renewals are refused."""
        await self._call("kcs_release", node, boot)

    async def drain(self, node: NodeName) -> None:
        """From now on the node gets no meeting. The mark outlives the lease, not a flush."""
        await self._call("kcs_drain", node, 1)

    async def undrain(self, node: NodeName) -> None:
        """Takes the mark away."""
        await self._call("kcs_drain", node, 0)

    async def nodes(self) -> list[NodeView]:
        """All nodes that renewed within the last hour, by name."""
        (rows,) = await self._call("kcs_nodes")
        names = list(NodeView.model_fields)
        views = [NodeView.model_validate(dict(zip(names, row, strict=True))) for row in rows]
        return sorted(views, key=lambda view: view.node)

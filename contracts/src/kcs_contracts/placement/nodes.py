"""Nodes: the lease that each renews itself, and the operator's drain marks."""

import json
from collections.abc import Sequence

from kcs_contracts.ids import BootId, MeetingId, NodeName
from kcs_contracts.models import JsonObject
from kcs_contracts.placement.functions import Functions
from kcs_contracts.placement.models import Hosted, NodeLease, NodeView, Renewal, Strategy

_CAPABILITIES = "kcs:rtp_capabilities"


class Nodes(Functions):
    """The part of `Placement` that nodes and the operator call."""

    async def renew(self, lease: NodeLease, hosted: Sequence[Hosted]) -> Renewal:
        """Holds the node's lease for `lease_ms` more; called each second by the node itself.

        A hosted meeting that Redis does not know, as after a flush, is put back with that node
        and epoch; of two nodes that claim one, the higher epoch wins. A meeting that moves is both
        nodes'. A generation above the
        stored one counts as `reset_media(reason="worker_died")`. A second boot of the node's
        name replaces the first, whose renewals are refused from then on; only a Redis that lost
        all, and hears of the first boot after the second, takes them the other way round.
        """
        claims: list[str | int] = []
        for one in hosted:
            claims += [one.meeting_id, one.epoch, one.generation]
        draining, superseded, over, moved = await self._call(
            "kcs_renew_lease",
            lease.node,
            lease.boot,
            lease.control_url,
            lease.region,
            lease.consumer_capacity,
            lease.cpu,
            lease.consumers,
            lease.egress_fraction,
            lease.lease_ms,
            lease.pool,
            *claims,
        )
        return Renewal(
            draining=bool(draining),
            superseded=bool(superseded),
            over=tuple(MeetingId(text) for text in over),
            moved=tuple(MeetingId(text) for text in moved),
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

    async def set_strategy(self, pool: str, strategy: Strategy) -> None:
        """Told by the operator: how meetings are placed on the pool's nodes."""
        await self._whole(self._redis.hset("kcs:pools", pool, strategy))

    async def publish_capabilities(self, rtp_capabilities: JsonObject) -> None:
        """Told by a node at its start, and now and then in case of a flush.

        The routers' RTP capabilities follow from the version, so the last node's hold for all.
        """
        await self._whole(self._redis.set(_CAPABILITIES, json.dumps(rtp_capabilities)))

    async def capabilities(self) -> JsonObject | None:
        """The RTP capabilities that a node published last; None when none did."""
        text = await self._whole(self._redis.get(_CAPABILITIES))
        found: JsonObject | None = None if text is None else json.loads(text)
        return found

    async def nodes(self) -> list[NodeView]:
        """All nodes that renewed within the last hour, by name."""
        (rows,) = await self._call("kcs_nodes")
        names = list(NodeView.model_fields)
        views = [NodeView.model_validate(dict(zip(names, row, strict=True))) for row in rows]
        return sorted(views, key=lambda view: view.node)

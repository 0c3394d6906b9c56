"""Placement's choice of a node, as `choice.lua` and `meetings.lua` make it, without a Redis.

`tests/bench/test_placing.py` lets both choose and compares. One region, one boot per node; a node's
load is what its people are, at once: a real lease tells a second later.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

RESERVED_FOR_S = 15 * 60.0
PEOPLE_AT_LEAST = 15
CONSUMERS_EACH = 10
WHOLE = 0.9
PACK_BELOW = 0.7
RETRY_S = 5.0

Strategy = Literal["packed", "spread"]


@dataclass(slots=True, eq=False)
class Room:
    """A meeting, as placement has it."""

    id: str
    expected: int = 0
    people: int = 0
    home: "Node | None" = None


@dataclass(slots=True, eq=False)
class Node:
    """An SFU pod, as placement has it."""

    name: str
    capacity: int
    """In consumers."""
    alive: bool = True
    draining: bool = False
    rooms: dict[str, Room] = field(default_factory=dict)
    reserved: dict[str, tuple[int, float, Room]] = field(default_factory=dict)
    """Meeting, and for how many people room is kept since when."""

    @property
    def people(self) -> int:
        """In all its meetings."""
        return sum(room.people for room in self.rooms.values())

    @property
    def load(self) -> float:
        """1 is full."""
        return self.people * CONSUMERS_EACH / self.capacity

    def reserved_load(self, now: float) -> float:
        """Promised to people who have not come yet; falls to nothing within 15 minutes."""
        total, over = 0.0, []
        for name, (people, since, room) in self.reserved.items():
            left = 1 - (now - since) / RESERVED_FOR_S
            if left <= 0:
                over.append(name)
            else:
                total += max(0.0, people * left - room.people)
        for name in over:
            del self.reserved[name]
        return total * CONSUMERS_EACH / self.capacity


class Placing:
    """All nodes."""

    def __init__(self, strategy: Strategy = "packed"):
        self._strategy = strategy
        self.nodes: dict[str, Node] = {}

    def assign(self, room: Room, now: float) -> bool:
        """The meeting has a home that takes people; False: there is no room for it."""
        home = room.home
        if home is not None and home.alive and (not home.draining or room.people > 0):
            return True
        return self._place(room, now)

    def evict(self, room: Room, now: float) -> bool:
        """It moves to another node; False: there is no room for it."""
        return self._place(room, now)

    def end(self, room: Room) -> None:
        """Nobody comes any more."""
        if room.home is not None:
            room.home.rooms.pop(room.id, None)
            room.home.reserved.pop(room.id, None)
        room.home = None

    def gone(self, node: Node) -> None:
        """The node's process has ended."""
        node.alive = False
        self.nodes.pop(node.name)

    def _place(self, room: Room, now: float) -> bool:
        people = max(room.expected, PEOPLE_AT_LEAST, room.people)
        node = self._choose(people, room.home, now)
        if node is None:
            return False
        self.end(room)
        room.home = node
        node.rooms[room.id] = room
        node.reserved[room.id] = (people + room.people, now, room)
        return True

    def _choose(self, people: int, home: Node | None, now: float) -> Node | None:
        found = []
        for node in sorted(self.nodes.values(), key=lambda each: each.name):
            if node.alive and not node.draining and node is not home:
                promised = node.reserved_load(now)
                share = min(people * CONSUMERS_EACH / node.capacity, WHOLE)
                found.append((node.load + promised + share, node))
        return self._best([each for each in found if each[0] <= 1 + 1e-9])

    def _best(self, nodes: Iterable[tuple[float, Node]]) -> Node | None:
        fullest: tuple[float, Node] | None = None
        emptiest: tuple[float, Node] | None = None
        for after, node in nodes:
            if emptiest is None or after < emptiest[0]:
                emptiest = after, node
            if after <= PACK_BELOW and (fullest is None or after > fullest[0]):
                fullest = after, node
        best = fullest if self._strategy == "packed" and fullest is not None else emptiest
        return best[1] if best is not None else None

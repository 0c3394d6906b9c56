"""The typed client of the placement functions."""

from kcs_contracts.placement.controls import Controls
from kcs_contracts.placement.gone import Gone
from kcs_contracts.placement.homes import Homes
from kcs_contracts.placement.limits import Limits
from kcs_contracts.placement.moving import Moving
from kcs_contracts.placement.nodes import Nodes
from kcs_contracts.placement.people import People
from kcs_contracts.placement.streams import Streams
from kcs_contracts.placement.survey import Survey
from kcs_contracts.placement.turns import Turns
from kcs_contracts.placement.whereabouts import Tracing


class Placement(
    Nodes, Survey, Tracing, Homes, Moving, People, Controls, Gone, Streams, Limits, Turns
):
    """Every placement function as a method; make it with `Placement(connect(url))`.

    `load()` once at the start. Safe to use from many tasks at once; a caller that is cancelled
    leaves its call to end by itself (see `settle`). A connection that breaks is retried by
    redis-py, so a change may be made twice: each is written to bear that, but a `publish` can
    then appear twice on the bus.
    """

"""What the server does for a client in its turn, once that client is gone."""

from typing import Any, cast

import pytest

from kcs_signaling.adapters.socket_server import Connection, Session


class Joined:
    """A connection in its namespace."""

    def __init__(self, connection: Connection):
        self.connection = connection


@pytest.mark.parametrize("there", [True, False])
async def test_nothing_is_done_for_a_client_that_has_left_before_its_turn_came(there: bool) -> None:
    session = Session(cast("Any", None))
    connection, done = Connection("/meeting", session), []
    session.joined["/meeting"] = cast("Any", Joined(connection))

    async def work() -> None:
        done.append(True)

    connection.run(work)
    if not there:
        del session.joined["/meeting"]
    turn = cast("Any", session.inbox.popleft())
    await turn()

    assert bool(done) is there

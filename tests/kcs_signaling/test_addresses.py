"""Whose requests these are: the peer's address, or what a trusted proxy says of it."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.signaling import ORIGIN, RawSocket

from kcs_signaling.adapters import packets
from kcs_signaling.adapters.addresses import UNKNOWN, client_address
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.socket_server import Connection, SocketServer
from kcs_signaling.adapters.websockets import Link
from kcs_signaling.settings import AuthSettings, HttpSettings, Settings

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def scope(peer: str | None, *forwarded: str | bytes) -> dict[str, Any]:
    values = [each.encode() if isinstance(each, str) else each for each in forwarded]
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value) for value in values)]
    return {"type": "http", "client": peer and (peer, 1234), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_a_client_counts_by_its_ipv4_address_or_its_ipv6_network(
    peer: str | None, counted: str
) -> None:
    assert client_address(scope(peer), PROXIES) == counted


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        ([], "10.0.0.1"),
        (["192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1, 192.0.2.7,10.9.9.9 , fd00::5"], "192.0.2.7"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["192.0.2.7:4711"], "192.0.2.7"),
        (["[2001:db8::1]:443"], "2001:db8::/64"),
        (["2001:db8::1"], "2001:db8::/64"),
        (["::ffff:10.1.1.1"], "10.1.1.1"),
        (["198.51.100.1, unknown"], "10.0.0.1"),
        (["198.51.100.1, 192.0.2.7, "], "10.0.0.1"),
        (["198.51.100.1, <script>, 10.2.2.2"], "10.2.2.2"),
        ([b"198.51.100.1, \xff\x00"], "10.0.0.1"),
        (["9" * 70_000], "10.0.0.1"),
        (["192.0.2.7" + ", 10.2.2.2" * 40], "10.2.2.2"),
    ],
)
def test_a_trusted_proxy_says_who_spoke_to_it_and_the_client_before_it_says_nothing(
    forwarded: list[str | bytes], counted: str
) -> None:
    assert client_address(scope("10.0.0.1", *forwarded), PROXIES) == counted


def test_nobody_else_says_whose_request_it_is() -> None:
    assert client_address(scope("192.0.2.7", "198.51.100.1"), PROXIES) == "192.0.2.7"
    assert client_address(scope("10.0.0.1", "198.51.100.1"), ()) == "10.0.0.1"


ADDRESSES = st.one_of(
    st.ip_addresses().map(str), st.ip_addresses(network="10.0.0.0/8").map(str), st.text()
)


@given(
    peer=ADDRESSES,
    forwarded=st.lists(
        st.one_of(st.binary(), st.lists(ADDRESSES, max_size=30).map(",".join)), max_size=5
    ),
)
def test_whatever_is_sent_the_answer_is_an_address_of_the_request(
    peer: str, forwarded: list[str | bytes]
) -> None:
    values = [
        each.encode(errors="replace") if isinstance(each, str) else each for each in forwarded
    ]
    counted = client_address(scope(peer, *values), PROXIES)
    if counted != UNKNOWN:
        assert ipaddress.ip_network(counted).prefixlen in (32, 64)
    elif ":" not in peer:  # a peer has no port in it
        with pytest.raises(ValueError, match="does not appear"):
            ipaddress.ip_address(peer)


@given(claimed=st.lists(ADDRESSES, max_size=30), real=st.ip_addresses(v=4, network="192.0.0.0/8"))
def test_nothing_that_a_client_claims_hides_it_behind_a_proxy(
    claimed: list[str], real: ipaddress.IPv4Address
) -> None:
    forwarded = ",".join([*claimed, str(real)]).encode(errors="replace")
    assert client_address(scope("10.0.0.1", forwarded), PROXIES) == str(real)


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        (["10.0.0.5/8"], "has host bits set"),
        (["proxy.example.org"], "KCS_HTTP__TRUSTED_PROXIES"),
        ([5], "KCS_HTTP__TRUSTED_PROXIES"),
        (["0.0.0.0/0"], "choose the address"),
        (["::/0"], "choose the address"),
    ],
)
def test_a_wrong_list_of_proxies_is_told_with_an_example(networks: list[Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        HttpSettings(allowed_origins=(ORIGIN,), trusted_proxies=networks)


class Echo:
    """A namespace that tells each client where it comes from."""

    name = "/"

    def connect(self, connection: Connection, auth: object) -> Connection:
        return connection

    async def handle(
        self, peer: Connection, event: str, args: Sequence[object], *, acknowledged: bool
    ) -> object:
        return peer.address

    async def disconnected(self, peer: Connection) -> None:
        pass

    def refusal(self, peer: Connection, code: str, message: str) -> Packet:
        return packets.event("/", "error", code)


@pytest.fixture
async def echo_url(tmp_path: Path) -> AsyncIterator[str]:
    """A socket server that trusts proxies on this machine."""
    http = HttpSettings(
        allowed_origins=(ORIGIN,),
        trusted_proxies=("127.0.0.1/32",),
    )
    settings = Settings(http=http, auth=AuthSettings(key_file=tmp_path / "none"))
    sockets = SocketServer(settings, [Echo()])
    server = uvicorn.Server(
        uvicorn.Config(sockets, ws=Link, lifespan="off", log_level="warning", proxy_headers=False)
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        await sockets.close()
        server.should_exit = True
        await task


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), ("polling", "websocket")])
async def test_a_connection_has_the_address_that_its_session_began_at(
    echo_url: str, transports: tuple[str, ...]
) -> None:
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(echo_url, transports=list(transports))
    assert await client.call("where", timeout=5) == "127.0.0.1"
    await client.disconnect()


async def test_a_connection_through_a_proxy_has_the_clients_address(echo_url: str) -> None:
    raw = await RawSocket.open(echo_url, **{"X-Forwarded-For": "198.51.100.1, 192.0.2.7"})
    await raw.join("/", "")
    await raw.ws.send_str('420["where"]')
    assert await raw.text() == '430["192.0.2.7"]'
    await raw.close()


async def test_a_polling_session_through_a_proxy_has_the_clients_address(echo_url: str) -> None:
    headers = {"X-Forwarded-For": "192.0.2.7"}
    url = f"{echo_url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.get(url) as answer:
            sid = (await answer.text()).partition('"sid":"')[2].partition('"')[0]
        async with http.post(f"{url}&sid={sid}", data='40\x1e420["where"]') as answer:
            assert answer.status == 200
        heard = ""
        while "43" not in heard:
            async with http.get(f"{url}&sid={sid}") as answer:
                assert answer.status == 200
                heard += await answer.text()
    assert '430["192.0.2.7"]' in heard

"""TURN: what signaling mints, a real coturn takes; what it should refuse, it refuses."""

import asyncio
import base64
import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr, ValidationError
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import CAPABILITIES, FakeNode
from tests.support.signaling import Signaling
from tests.support.turn_client import TurnClient

from kcs_contracts.coturn import CoturnConfig, CoturnTls, coturn_conf
from kcs_contracts.placement import Placement
from kcs_dev.coturn import RELAY_IP, Coturn
from kcs_dev.processes import free_port
from kcs_signaling.settings import TurnSettings
from kcs_signaling.turn import Turn, credentials

OLD, NEW = "old-secret-of-the-tests", "new-secret-of-the-tests"
NOW = 1_700_000_000
STRANGERS = [
    "127.0.0.2",
    "127.255.255.254",
    "0.0.0.0",
    "0.0.0.1",
    "10.0.0.1",
    "100.64.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.1.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "8.8.8.8",
    RELAY_IP,
]
STRANGERS_V6 = [
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "fe80::1",
    "fd00:ec2::254",
    "ff02::1",
]

StartCoturn = Callable[..., Awaitable[Coturn]]
OwnSignaling = Callable[..., Awaitable[Signaling]]


@pytest.fixture
async def start_coturn(tmp_path: Path) -> AsyncIterator[StartCoturn]:
    """Starts a coturn with these fields of `CoturnConfig`; it is stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(**more: Any) -> Coturn:
            return await stack.enter_async_context(Coturn(tmp_path / "coturn", **more))

        yield start


def settings(*servers: dict[str, Any], **more: Any) -> TurnSettings:
    return TurnSettings.model_validate({"servers": servers, "secrets": [NEW, OLD], **more})


def good_for(coturn: Coturn, user: str, seconds: int = 60) -> tuple[str, str]:
    secret = coturn.config.secrets[0].get_secret_value()
    return credentials(secret, user, int(time.time()) + seconds)


# --- what is minted --------------------------------------------------------------------------


def test_a_user_gets_stun_and_turn_over_udp_tcp_and_tls_signed_by_the_first_secret() -> None:
    turn = Turn(settings({"host": "turn.example.org", "tls_port": 443}), "", lambda: NOW)

    ice = turn.for_user("ann")

    name = f"{NOW + 300}:ann"
    digest = hmac.digest(NEW.encode(), name.encode(), hashlib.sha1)
    assert ice.ttl_seconds == 300
    assert ice.servers == [
        {"urls": ["stun:turn.example.org:3478"]},
        {
            "urls": [
                "turn:turn.example.org:3478?transport=udp",
                "turn:turn.example.org:3478?transport=tcp",
                "turns:turn.example.org:443?transport=tcp",
            ],
            "username": name,
            "credential": base64.b64encode(digest).decode(),
        },
    ]


def test_over_tls_a_server_is_called_by_its_certificates_name() -> None:
    server = {"host": "192.0.2.7", "tls_port": 443, "tls_host": "turn.example.org"}
    (_, turn) = Turn(settings(server), "", lambda: NOW).for_user("ann").servers
    assert turn["urls"] == [
        "turn:192.0.2.7:3478?transport=udp",
        "turn:192.0.2.7:3478?transport=tcp",
        "turns:turn.example.org:443?transport=tcp",
    ]


def test_people_get_the_servers_of_their_region_and_all_where_it_has_none() -> None:
    def hosts(region: str) -> set[str]:
        (stun, _) = Turn(offered, region).for_user("ann").servers
        return {url.split(":")[1] for url in stun["urls"]}

    offered = settings({"host": "e1", "region": "eu"}, {"host": "u1", "region": "us"})
    assert (hosts("eu"), hosts("us"), hosts("asia")) == ({"e1"}, {"u1"}, {"e1", "u1"})
    offered = settings({"host": "e1", "region": "eu"}, {"host": "all"})
    assert (hosts("eu"), hosts("asia")) == ({"e1", "all"}, {"all"})


def test_a_mounted_secret_is_read_anew_when_it_is_replaced(tmp_path: Path) -> None:
    def mount(version: str, text: str) -> None:
        """As a kubelet does: a new folder, and a link that is turned at once."""
        (tmp_path / version).mkdir()
        (tmp_path / version / "secrets").write_text(text)
        (tmp_path / "..next").symlink_to(version)
        (tmp_path / "..next").rename(tmp_path / "..data")

    def signed_by() -> str:
        (_, found) = turn.for_user("ann").servers
        name = f"{NOW + 300}:ann"
        (secret,) = [
            each
            for each in (OLD, NEW)
            if credentials(each, "ann", NOW + 300) == (name, found["credential"])
        ]
        return secret

    mount("..1", json.dumps([OLD]))
    (tmp_path / "secrets").symlink_to("..data/secrets")
    mounted = {"servers": [{"host": "a"}], "secrets_file": str(tmp_path / "secrets")}
    turn = Turn(TurnSettings.model_validate(mounted), "", lambda: NOW)
    assert signed_by() == OLD
    mount("..2", json.dumps([OLD, NEW]))
    assert signed_by() == OLD
    mount("..3", json.dumps([NEW, OLD]))
    assert signed_by() == NEW
    mount("..4", '["short"]')
    assert signed_by() == NEW, "what cannot be read leaves the last"


@pytest.mark.parametrize(
    "wrong",
    [
        {"servers": [{"host": "a"}]},
        {"servers": [{"host": "a"}], "secrets": ["short"]},
        {"servers": [{"host": "a"}], "secrets": [NEW, OLD, NEW]},
        {"servers": [{"host": "a b"}], "secrets": [NEW]},
        {"secrets": [NEW], "credential_seconds": 301},
    ],
)
def test_settings_that_cannot_work_do_not_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TurnSettings.model_validate(wrong)


@pytest.mark.parametrize(
    "network", ["0.0.0.0/0", "169.254.169.254/32", "0.0.0.0/32", "224.0.0.0/8"]
)
def test_no_sfu_is_where_nothing_but_an_attack_would_be(network: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="sfu_networks"):
        Coturn(tmp_path, sfu_networks=(IPv4Network(network),))


@pytest.mark.parametrize("secret", ["a-secret-that-goes-on\nno-auth", "a-secret-with#comment"])
def test_a_secret_cannot_bring_lines_of_its_own(secret: str, tmp_path: Path) -> None:
    config = CoturnConfig.model_validate(
        {**Coturn(tmp_path).config.model_dump(), "secrets": (SecretStr(secret),)}
    )
    with pytest.raises(ValueError, match="static-auth-secret"):
        coturn_conf(config)


# --- where clients get it --------------------------------------------------------------------


async def test_both_dialects_hand_out_fresh_credentials_of_the_users_own(
    own_signaling: OwnSignaling, placement: Placement, clients: MakeClient
) -> None:
    signaling = await _offering(own_signaling)
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/", "bob")
    named = {"meeting_id": meeting}
    assert await ann.refused("ice:refresh", named) == "NOT_JOINED"

    keys = {signaling.tokens.signer_kid: signaling.key.public_key()}
    async with FakeNode(placement, keys, "n"):
        joined = await ann.get("room:join", named)
        created = await ann.get("transport:create", {**named, "direction": "send"})
        refreshed = await ann.get("ice:refresh", named)
        await bob.emit("join-meeting", {"meetingId": meeting})
        await bob.emit("create-transport", {"meetingId": meeting, "direction": "send"})
        bobs = (await bob.hears("transport-created"))["params"]["iceServers"]

    for answer in (joined, created, refreshed):
        assert answer["ice_ttl_seconds"] == 120
        _is_good(answer["ice_servers"], "ann", 120)
    _is_good(bobs, "bob", 120)


async def test_who_is_not_known_gets_stun_alone(
    own_signaling: OwnSignaling, placement: Placement
) -> None:
    signaling = await _offering(own_signaling)
    await placement.publish_capabilities(CAPABILITIES)
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{signaling.url}/meeting/any/webrtc-config") as answer,
    ):
        config = await answer.json()
    assert answer.status == 200
    assert config["iceServers"] == [{"urls": ["stun:turn.example.org:3478"]}]


async def _offering(own_signaling: OwnSignaling) -> Signaling:
    return await own_signaling(
        KCS_TURN__SERVERS='[{"host": "turn.example.org"}]',
        KCS_TURN__SECRETS=f'["{NEW}", "{OLD}"]',
        KCS_TURN__CREDENTIAL_SECONDS="120",
    )


def _is_good(servers: list[dict[str, Any]], user: str, ttl: int) -> None:
    _, turn = servers
    expires, _, who = turn["username"].partition(":")
    assert who == user
    assert 0 < int(expires) - time.time() <= ttl
    assert (turn["username"], turn["credential"]) == credentials(NEW, user, int(expires))


# --- what coturn makes of it -----------------------------------------------------------------


@pytest.mark.parametrize("over", ["udp", "tcp", "tls"])
async def test_credentials_give_a_relay_to_the_sfu_and_to_nobody_else(
    start_coturn: StartCoturn, tmp_path: Path, over: str
) -> None:
    tls = _certificate(tmp_path)
    coturn = await start_coturn(tls=tls)
    port = tls.port if over == "tls" else coturn.config.port
    user = good_for(coturn, "ann")

    with TurnClient(port, *user, over=over, ca=str(tls.certificate)) as client:
        allocated = client.allocate()
        assert (allocated.code, allocated.relayed[0]) == (0, RELAY_IP)
        permitted = {peer: client.permit(peer) for peer in [*STRANGERS, *STRANGERS_V6]}
        bound = {peer: client.bind_channel(peer) for peer in [*STRANGERS, *STRANGERS_V6]}
        assert (client.permit("127.0.0.1"), client.bind_channel("127.0.0.1")) == (0, 0)

    # 443 is "Peer Address Family Mismatch": a relay of IPv4 speaks to nothing else.
    refused = dict.fromkeys(STRANGERS, 403) | dict.fromkeys(STRANGERS_V6, 443)
    assert permitted == refused
    assert bound == refused


async def test_there_is_no_relay_over_ipv6_nor_over_tcp(start_coturn: StartCoturn) -> None:
    coturn = await start_coturn()
    with TurnClient(coturn.config.port, *good_for(coturn, "ann")) as client:
        assert client.allocate(family=2).code == 440
    with TurnClient(coturn.config.port, *good_for(coturn, "ann"), over="tcp") as client:
        assert client.allocate(protocol=6).code == 442


async def test_expired_forged_and_strangers_credentials_are_refused(
    start_coturn: StartCoturn,
) -> None:
    coturn = await start_coturn()
    name, password = good_for(coturn, "ann")
    later = f"{int(time.time()) + 10**6}:ann"
    refused = [
        good_for(coturn, "ann", -1),
        credentials("another-secret-altogether", "ann", int(time.time()) + 60),
        (later, password),  # an expiry moved on under the old signature
        (name.replace("ann", "ben"), password),
        ("ann", password),
        (name, ""),
    ]
    for user in refused:
        with TurnClient(coturn.config.port, *user) as client:
            assert client.allocate().code == 401, user


async def test_the_first_people_who_come_at_once_are_all_let_in(start_coturn: StartCoturn) -> None:
    coturn = await start_coturn()

    def allocate(number: int) -> int:
        user = good_for(coturn, f"user-{number}")
        with TurnClient(coturn.config.port, *user) as client:
            return client.allocate().code

    codes = await asyncio.gather(*(asyncio.to_thread(allocate, number) for number in range(16)))
    assert codes == [0] * 16


async def test_two_secrets_are_good_at_a_time_and_no_third(start_coturn: StartCoturn) -> None:
    coturn = await start_coturn(secrets=(SecretStr(OLD), SecretStr(NEW)))
    expiry = int(time.time()) + 60
    outcomes = []
    for secret in (OLD, NEW, "third-secret-of-the-tests"):
        with TurnClient(coturn.config.port, *credentials(secret, "ann", expiry)) as client:
            outcomes.append(client.allocate().code)
    assert outcomes == [0, 0, 401]


async def test_a_users_quota_holds_over_new_credentials_and_takes_nothing_from_others(
    start_coturn: StartCoturn,
) -> None:
    coturn = await start_coturn(user_quota=2)
    outcomes = []
    with ExitStack() as clients:
        for number, user in enumerate(("ann", "ann", "ann", "ben")):
            fresh = good_for(coturn, user, 60 + number)
            client = clients.enter_context(TurnClient(coturn.config.port, *fresh))
            outcomes.append(client.allocate().code)
    assert outcomes == [0, 0, 486, 0]


def _certificate(directory: Path) -> CoturnTls:
    certificate, key = directory / "cert.pem", directory / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-days", "1", "-subj", "/CN=turn", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(argv, check=True, capture_output=True)
    return CoturnTls(port=free_port(), certificate=certificate, key=key)

"""Each kind of transport, from creation to closing, with real packets where it takes them."""

import asyncio
import base64
import os
import struct
from typing import Any

import pylibsrtp
import pytest

from kcs_sfu.mediasoup import (
    InvalidRtp,
    InvalidStateError,
    ObjectClosed,
    RequestRejected,
    Router,
    UnsupportedError,
    Worker,
)
from kcs_sfu.mediasoup.events import (
    Closed,
    DtlsStateChange,
    IceSelectedTupleChange,
    IceStateChange,
    ProducerTrace,
    RtcpTupleChange,
    RtpReceived,
    TupleChange,
)
from kcs_sfu.mediasoup.rtp_parameters import RtpParameters, SrtpCryptoSuite
from kcs_sfu.mediasoup.transport_types import DtlsParameters, ListenInfo

from .conftest import MEDIA_CODECS
from .rtp import audio_packets, next_event, stun_binding, udp_socket

UDP: ListenInfo = {"protocol": "udp", "ip": "127.0.0.1"}
TCP: ListenInfo = {"protocol": "tcp", "ip": "127.0.0.1"}
DTLS: DtlsParameters = {
    "role": "server",
    "fingerprints": [{"algorithm": "sha-256", "value": ":".join(["AB"] * 32)}],
}


async def test_a_webrtc_transport_tells_what_a_browser_needs(router: Router) -> None:
    transport = await router.create_webrtc_transport(
        listen_infos=[{**UDP, "announcedAddress": "198.51.100.7"}, TCP],
        enable_tcp=True,
        prefer_udp=True,
        enable_sctp=True,
        app_data={"direction": "send"},
    )
    assert len(transport.ice_parameters["usernameFragment"]) >= 16
    assert transport.ice_parameters["iceLite"] is True
    udp, tcp = transport.ice_candidates
    assert (udp["protocol"], udp["address"], udp["ip"]) == ("udp", "198.51.100.7", "198.51.100.7")
    assert (tcp["protocol"], tcp["tcpType"]) == ("tcp", "passive")
    assert udp["priority"] > tcp["priority"]
    assert {f["algorithm"] for f in transport.dtls_parameters["fingerprints"]} >= {"sha-256"}
    assert transport.sctp_parameters is not None
    assert transport.sctp_parameters["port"] == 5000
    assert transport.sctp_parameters["maxMessageSize"] == 262_144
    assert (transport.ice_state, transport.dtls_state) == ("new", "new")
    dump = await transport.dump()
    assert dump["iceParameters"] == transport.ice_parameters
    assert dump["iceCandidates"] == [dict(c) for c in transport.ice_candidates]
    assert dump["sctpParameters"] == transport.sctp_parameters
    [stats] = await transport.get_stats()
    assert (stats["type"], stats["iceState"]) == ("webrtc-transport", "new")
    assert (await router.dump())["transportIds"] == [transport.id]


async def test_a_webrtc_transport_connects_once_and_restarts_ice(router: Router) -> None:
    transport = await router.create_webrtc_transport(listen_infos=[UDP])
    await transport.connect(dtls_parameters=DTLS)
    assert transport.dtls_parameters["role"] == "client"
    with pytest.raises(RequestRejected):
        await transport.connect(dtls_parameters=DTLS)
    before = transport.ice_parameters
    after = await transport.restart_ice()
    assert after["usernameFragment"] != before["usernameFragment"]
    assert transport.ice_parameters == after
    assert (await transport.dump())["iceParameters"] == after


@pytest.mark.parametrize(
    "wrong",
    [
        {"fingerprints": [{"algorithm": "md5", "value": "AB"}]},
        {"fingerprints": [{"algorithm": "sha-256", "value": 3}]},
        {"fingerprints": 3},
        {"fingerprints": [], "role": "boss"},
        {},
    ],
)
async def test_wrong_dtls_parameters_are_refused_before_they_reach_the_worker(
    router: Router, wrong: Any
) -> None:
    transport = await router.create_webrtc_transport(listen_infos=[UDP])
    with pytest.raises(InvalidRtp):
        await transport.connect(dtls_parameters=wrong)
    await transport.connect(dtls_parameters=DTLS)


async def test_ice_and_dtls_states_are_told_as_they_change(router: Router) -> None:
    transport = await router.create_webrtc_transport(listen_infos=[UDP])
    await transport.connect(dtls_parameters=DTLS)
    port = transport.ice_candidates[0]["port"]
    check = stun_binding(
        f"{transport.ice_parameters['usernameFragment']}:browser",
        transport.ice_parameters["password"],
    )
    states: list[str] = []
    transport.on(IceStateChange, lambda event: states.append(event.state))
    with udp_socket() as browser:
        selected = asyncio.ensure_future(next_event(transport, IceSelectedTupleChange))
        dtls = asyncio.ensure_future(next_event(transport, DtlsStateChange))
        await asyncio.sleep(0)
        browser.sendto(check, ("127.0.0.1", port))
        assert (await selected).tuple["remotePort"] == browser.getsockname()[1]
        assert (await dtls).state == "connecting"
    assert states[-1] == transport.ice_state == "completed"
    assert transport.ice_selected_tuple == selected.result().tuple
    assert transport.dtls_state == "connecting"
    [stats] = await transport.get_stats()
    assert stats["iceSelectedTuple"] == transport.ice_selected_tuple


async def test_bitrates_of_a_transport_can_be_bounded(router: Router) -> None:
    transport = await router.create_webrtc_transport(listen_infos=[UDP])
    await transport.set_max_incoming_bitrate(1_000_000)
    await transport.set_max_outgoing_bitrate(2_000_000)
    await transport.set_min_outgoing_bitrate(100_000)
    await transport.enable_trace_event(["bwe", "probation"])
    [stats] = await transport.get_stats()
    assert stats["maxIncomingBitrate"] == 1_000_000
    assert stats["maxOutgoingBitrate"] == 2_000_000
    assert stats["minOutgoingBitrate"] == 100_000
    assert sorted((await transport.dump())["traceEventTypes"]) == ["bwe", "probation"]
    with pytest.raises(RequestRejected):
        await transport.set_min_outgoing_bitrate(3_000_000)


async def test_transports_share_the_ports_of_a_webrtc_server_and_close_with_it(
    worker: Worker, router: Router
) -> None:
    server = await worker.create_webrtc_server(listen_infos=[UDP, TCP])
    one, two = [await router.create_webrtc_transport(webrtc_server=server) for _ in range(2)]
    ports = [[c["port"] for c in t.ice_candidates] for t in (one, two)]
    assert ports[0] == ports[1]
    assert len(ports[0]) == 2
    dump = await server.dump()
    assert sorted(dump["webRtcTransportIds"]) == sorted([one.id, two.id])
    one.close()
    reasons: list[str] = []
    two.on(Closed, lambda event: reasons.append(event.reason))
    server.close()
    assert reasons == ["listenserverclose"]
    assert router.transports == {}
    assert (await router.dump())["transportIds"] == []
    assert worker.webrtc_servers == set()
    with pytest.raises(ObjectClosed):
        await router.create_webrtc_transport(webrtc_server=server)
    with pytest.raises(TypeError):
        await router.create_webrtc_transport()


async def test_closing_a_transport_closes_what_is_on_it_with_the_reason(
    router: Router, audio_parameters: RtpParameters
) -> None:
    sender = await router.create_webrtc_transport(listen_infos=[UDP])
    receiver = await router.create_webrtc_transport(listen_infos=[UDP])
    producer = await sender.produce(kind="audio", rtp_parameters=audio_parameters)
    consumer = await receiver.consume(
        producer_id=producer.id, rtp_capabilities=router.rtp_capabilities
    )
    order: list[tuple[str, str]] = []
    for name, entity in (("producer", producer), ("sender", sender), ("consumer", consumer)):
        entity.on(Closed, lambda event, name=name: order.append((name, event.reason)))
    gone = asyncio.ensure_future(next_event(consumer, Closed))
    await asyncio.sleep(0)
    sender.close()
    assert order == [("producer", "transportclose"), ("sender", "closed")]
    assert router.producers == {}
    await gone
    assert order[2:] == [("consumer", "producerclose")]
    assert receiver.consumers == {}
    assert (await router.dump())["transportIds"] == [receiver.id]


SUITES: dict[SrtpCryptoSuite, tuple[int, int]] = {
    "AES_CM_128_HMAC_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES_CM_128_HMAC_SHA1_32": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
}
if hasattr(pylibsrtp.Policy, "SRTP_PROFILE_AEAD_AES_128_GCM"):
    SUITES["AEAD_AES_128_GCM"] = (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28)
    SUITES["AEAD_AES_256_GCM"] = (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44)


def _session(key: bytes, direction: int, profile: int) -> pylibsrtp.Session:
    return pylibsrtp.Session(
        policy=pylibsrtp.Policy(key=key, ssrc_type=direction, srtp_profile=profile)
    )


@pytest.mark.parametrize("suite", SUITES)
async def test_packets_sent_over_srtp_reach_a_consumer_over_srtp(
    router: Router, audio_parameters: RtpParameters, suite: SrtpCryptoSuite
) -> None:
    profile, size = SUITES[suite]
    key = os.urandom(size)
    ours = {"cryptoSuite": suite, "keyBase64": base64.b64encode(key).decode()}
    source, sink = [
        await router.create_plain_transport(
            listen_info=UDP, comedia=comedia, enable_srtp=True, srtp_crypto_suite=suite
        )
        for comedia in (True, False)
    ]
    assert source.srtp_parameters is not None
    assert source.srtp_parameters["cryptoSuite"] == suite
    with udp_socket() as socket:
        await source.connect(srtp_parameters=ours)  # type: ignore[arg-type] # its suite is one of them
        await sink.connect(
            ip="127.0.0.1",
            port=socket.getsockname()[1],
            srtp_parameters=ours,  # type: ignore[arg-type] # its suite is one of them
        )
        assert sink.tuple["remotePort"] == socket.getsockname()[1]
        producer = await source.produce(kind="audio", rtp_parameters=audio_parameters)
        consumer = await sink.consume(
            producer_id=producer.id, rtp_capabilities=router.rtp_capabilities
        )
        seen = asyncio.ensure_future(next_event(source, TupleChange))
        await asyncio.sleep(0)
        encrypt = _session(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, profile)
        for packet in audio_packets(11111111, 20, level=30):
            socket.sendto(encrypt.protect(packet), ("127.0.0.1", source.tuple["localPort"]))
        assert sink.srtp_parameters is not None
        decrypt = _session(
            base64.b64decode(sink.srtp_parameters["keyBase64"]),
            pylibsrtp.Policy.SSRC_ANY_INBOUND,
            profile,
        )
        loop = asyncio.get_running_loop()
        payloads: list[bytes] = []
        while len(payloads) < 20:
            packet = await asyncio.wait_for(loop.sock_recv(socket, 2000), 5)
            if 200 <= packet[1] <= 207:  # RTCP, on the same port
                continue
            packet = decrypt.unprotect(packet)
            assert (
                int.from_bytes(packet[8:12], "big")
                == (consumer.rtp_parameters["encodings"][0]["ssrc"])
            )
            payloads.append(packet[packet.index(b"opus") :])
        assert payloads == [b"opus %d" % i for i in range(1, 21)]
        assert (await seen).tuple["remotePort"] == socket.getsockname()[1]
        assert source.tuple == seen.result().tuple
        [sent] = [s for s in await consumer.get_stats() if s["type"] == "outbound-rtp"]
        assert sent["packetCount"] == 20
        [received] = await producer.get_stats()
        assert (received["type"], received["packetCount"]) == ("inbound-rtp", 20)
        assert received["bitrateByLayer"] == {}


async def test_a_plain_transport_learns_the_rtcp_address_by_itself_too(
    router: Router, audio_parameters: RtpParameters
) -> None:
    transport = await router.create_plain_transport(listen_info=UDP, rtcp_mux=False, comedia=True)
    assert transport.rtcp_tuple is not None
    with udp_socket() as rtp, udp_socket() as rtcp:
        await transport.produce(kind="audio", rtp_parameters=audio_parameters)
        seen = asyncio.ensure_future(next_event(transport, RtcpTupleChange))
        await asyncio.sleep(0)
        for packet in audio_packets(11111111, 2, level=30):
            rtp.sendto(packet, ("127.0.0.1", transport.tuple["localPort"]))
        receiver_report = bytes([0x80, 201, 0, 1, 0, 0, 0, 9])
        rtcp.sendto(receiver_report, ("127.0.0.1", transport.rtcp_tuple["localPort"]))
        assert (await seen).tuple["remotePort"] == rtcp.getsockname()[1]
    with pytest.raises(InvalidRtp, match="suite"):
        await router.create_plain_transport(
            listen_info=UDP,
            enable_srtp=True,
            srtp_crypto_suite="ROT13",  # type: ignore[arg-type] # there is none
        )


async def test_a_direct_transport_takes_and_gives_packets_in_this_process(
    router: Router, audio_parameters: RtpParameters
) -> None:
    sender = await router.create_direct_transport()
    receiver = await router.create_direct_transport()
    producer = await sender.produce(kind="audio", rtp_parameters=audio_parameters)
    consumer = await receiver.consume(
        producer_id=producer.id, rtp_capabilities=router.rtp_capabilities
    )
    heard = asyncio.ensure_future(next_event(consumer, RtpReceived))
    await producer.enable_trace_event(["sr"])
    traced = asyncio.ensure_future(next_event(producer, ProducerTrace))
    await asyncio.sleep(0)
    [packet] = audio_packets(11111111, 1, level=30)
    producer.send(packet)
    assert b"opus 1" in (await heard).data
    sender.send_rtcp(struct.pack("!BBHIIIIII", 0x80, 200, 6, 11111111, 1, 2, 3, 4, 5))
    report = await traced
    assert (report.type, report.direction) == ("sr", "in")
    assert report.info["ssrc"] == 11111111
    assert report.info["packetCount"] == 4
    with pytest.raises(UnsupportedError):
        await sender.set_max_incoming_bitrate(1)
    [stats] = await sender.get_stats()
    assert (stats["type"], stats["rtpBytesReceived"] > 0) == ("direct-transport", True)


async def test_a_producer_id_can_be_given_but_not_twice(
    router: Router, audio_parameters: RtpParameters
) -> None:
    one, two = [await router.create_webrtc_transport(listen_infos=[UDP]) for _ in range(2)]
    producer = await one.produce(kind="audio", rtp_parameters=audio_parameters, id="chosen-id")
    assert producer.id == "chosen-id"
    with pytest.raises(InvalidStateError):
        await two.produce(kind="audio", rtp_parameters=audio_parameters, id="chosen-id")
    consumer = await two.consume(producer_id="chosen-id", rtp_capabilities=router.rtp_capabilities)
    await producer.pause()
    await producer.resume()
    assert not consumer.closed
    producer.close()
    again = await two.produce(kind="audio", rtp_parameters=audio_parameters, id="chosen-id")
    assert router.producers == {"chosen-id": again}


async def test_many_calls_at_once_each_get_their_own_answer(worker: Worker) -> None:
    routers = await asyncio.gather(
        *(worker.create_router(media_codecs=MEDIA_CODECS) for _ in range(50))
    )
    dumps = await asyncio.gather(*(router.dump() for router in routers))
    assert [dump["id"] for dump in dumps] == [router.id for router in routers]

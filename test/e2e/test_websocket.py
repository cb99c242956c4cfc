"""Goal: WebSocket N+2 as RFC 6455 and clients behind it have it: everything of TCP N and N-1, and only WebSocket."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Callable

import pytest
import websockets
import websockets.exceptions

import rdwire
import rdws
from conftest import Lab
from rdclient import (
    VERSION,
    Connection,
    Device,
    SecurePeer,
    Target,
    TcpPeer,
    UdpPeer,
    WsConnection,
    WsController,
    WsPeer,
    fresh_source,
    fresh_uuid,
    online_states,
    state_bits,
)
from rdwire import Failure, NatType, Result, decode_addr

MIB = 1 << 20
V6_OF_A = rdwire.encode_addr(("2001:db8::a", 40001))
NAT_TEST = rdwire.encode("TestNatRequest", serial=3)


def ws(lab: Lab, target: Target, **options: Any) -> WsConnection:
    return lab.keep(WsConnection(target, **options))


def assert_works(connection: Connection) -> None:
    connection.send("TestNatRequest", serial=3)
    assert connection.expect("TestNatResponse")["port"] == connection.local[1]


# --- messages and frames --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [rdws.BINARY, rdws.TEXT], ids=["binary", "text"])
def test_answers_are_binary(id_site: Target, lab: Lab, opcode: int) -> None:
    """Binary and text messages are taken alike, UTF-8 or not; the answer is one binary message."""
    connection = ws(lab, id_site)
    for _ in range(3):
        connection.send_frame(opcode, NAT_TEST)
        found = connection.recv_frame()
        assert found is not None and (found.opcode, found.final) == (rdws.BINARY, True), found
        assert rdwire.decode(found.payload)["port"] == connection.local[1]


def test_text_that_is_text(id_site: Target, lab: Lab) -> None:
    """A text message that happens to be UTF-8 is a message like any other."""
    a = lab.keep(WsController(id_site, fresh_source()))
    request = rdwire.encode("PunchHoleRequest", id="999999999", licence_key=id_site.key)
    assert request.decode()
    a.send_frame(rdws.TEXT, request)
    assert a.expect("PunchHoleResponse").fields == {}


def in_fragments(connection: WsConnection, payload: bytes, size: int) -> None:
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    for number, part in enumerate(parts):
        connection.send_frame(rdws.CONTINUATION if number else rdws.BINARY, part, number == len(parts) - 1)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_fragmented_message(id_site: Target, lab: Lab, size: int) -> None:
    """A message in fragments is one message."""
    b, a = lab.registered(id_site), lab.keep(WsController(id_site, fresh_source()))
    fields = {"id": b.id, "licence_key": id_site.key, "version": VERSION, "token": "t" * 2000}
    in_fragments(a, rdwire.encode("PunchHoleRequest", **fields), size)
    assert decode_addr(b.expect("PunchHole")["socket_addr"]) == a.local


def test_ping_between_fragments(id_site: Target, lab: Lab) -> None:
    """Control frames may come between the fragments, and are answered there."""
    connection = ws(lab, id_site)
    connection.send_frame(rdws.BINARY, NAT_TEST[:2], final=False)
    connection.send_frame(rdws.PING, b"between")
    assert connection.recv_frame() == rdws.Frame(rdws.PONG, True, b"between")
    connection.send_frame(rdws.CONTINUATION, NAT_TEST[2:])
    assert connection.expect("TestNatResponse")["port"] == connection.local[1]


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(125))], ids=len)
def test_ping(id_site: Target, lab: Lab, content: bytes) -> None:
    """A ping is answered by a pong with its content."""
    connection = ws(lab, id_site)
    connection.send_frame(rdws.PING, content)
    assert connection.recv_frame() == rdws.Frame(rdws.PONG, True, content)
    assert_works(connection)


def test_pings_of_one_that_reads_nothing(id_site: Target, lab: Lab) -> None:
    """The pongs that wait for it are bounded, like all that waits for a slow reader: then it is gone."""
    bystander, connection = ws(lab, id_site), ws(lab, id_site, receive_buffer=4096)
    pings = rdws.frame(rdws.PING, bytes(125)) * 500 + rdws.frame(rdws.BINARY, b"")
    sent = 0
    with pytest.raises(ConnectionError):
        while sent < 64 * MIB:
            connection.sock.sendall(pings)
            sent += len(pings)
    assert_works(bystander)


def test_unasked_pong(id_site: Target, lab: Lab) -> None:
    """A pong that nobody asked for is nothing."""
    connection = ws(lab, id_site)
    connection.send_frame(rdws.PONG, b"x")
    assert_works(connection)


@pytest.mark.parametrize("content", [b"", b"\x03\xe8", b"\x03\xe9going away"], ids=["none", "1000", "1001"])
def test_close_handshake(id_site: Target, lab: Lab, content: bytes) -> None:
    """A close frame is answered by one with the same code, and then the connection ends."""
    connection = ws(lab, id_site)
    connection.send_frame(rdws.CLOSE, content)
    found = connection.recv_frame()
    assert found is not None and (found.opcode, found.payload[:2]) == (rdws.CLOSE, content[:2])
    assert connection.recv_frame() is None


def unmasked(connection: WsConnection) -> None:
    connection.send_frame(rdws.BINARY, NAT_TEST, mask=False)


def reserved_bits(connection: WsConnection) -> None:
    data = bytearray(rdws.frame(rdws.BINARY, NAT_TEST))
    data[0] |= 0x40
    connection.send_raw(bytes(data))


def unknown_opcode(connection: WsConnection) -> None:
    connection.send_frame(3, NAT_TEST)


def continuation_of_nothing(connection: WsConnection) -> None:
    connection.send_frame(rdws.CONTINUATION, NAT_TEST)


def message_within_a_message(connection: WsConnection) -> None:
    connection.send_frame(rdws.BINARY, NAT_TEST[:2], final=False)
    connection.send_frame(rdws.BINARY, NAT_TEST)


def long_ping(connection: WsConnection) -> None:
    connection.send_frame(rdws.PING, bytes(126))


def fragmented_ping(connection: WsConnection) -> None:
    connection.send_frame(rdws.PING, b"x", final=False)


def no_message(connection: WsConnection) -> None:
    connection.send_payload(b"\xff" * 10)


def of_no_kind(connection: WsConnection) -> None:
    connection.send_payload(rdwire.delimited(200, b"later"))


def tcp_frame_within(connection: WsConnection) -> None:
    connection.send_payload(rdwire.frame(NAT_TEST))


PROTOCOL_FAULTS = [
    unmasked,
    reserved_bits,
    unknown_opcode,
    continuation_of_nothing,
    message_within_a_message,
    long_ping,
    fragmented_ping,
]
CONTENT_FAULTS = [no_message, of_no_kind, tcp_frame_within]


@pytest.mark.parametrize("fault", PROTOCOL_FAULTS + CONTENT_FAULTS, ids=lambda f: f.__name__)
def test_fault_ends_the_connection(id_site: Target, lab: Lab, fault: Callable[[WsConnection], None]) -> None:
    """What RFC 6455 or the protocol forbids ends its connection, without an answer, and no other."""
    bystander, connection = ws(lab, id_site), ws(lab, id_site)
    fault(connection)
    connection.expect_closed()
    if fault in PROTOCOL_FAULTS:
        assert connection.close_code in (None, 1002)
    assert_works(bystander)
    assert_works(ws(lab, id_site))


def announce_in_one_frame(connection: WsConnection) -> None:
    connection.try_to_send(rdws.frame_head(rdws.BINARY, MIB + 1) + bytes(4 + 65536))


def send_in_one_frame(connection: WsConnection) -> None:
    connection.try_to_send(rdws.frame(rdws.BINARY, bytes(MIB + 1)))


def send_in_fragments(connection: WsConnection) -> None:
    for number in range(40):
        opcode = rdws.CONTINUATION if number else rdws.BINARY
        connection.try_to_send(rdws.frame(opcode, bytes(32 * 1024), final=False))


def announce_a_giant(connection: WsConnection) -> None:
    connection.try_to_send(rdws.frame_head(rdws.BINARY, (1 << 63) - 1) + bytes(100))


OVERSIZED = [announce_in_one_frame, send_in_one_frame, send_in_fragments, announce_a_giant]


@pytest.mark.parametrize("fault", OVERSIZED, ids=lambda f: f.__name__)
def test_message_over_1_mib(id_site: Target, lab: Lab, fault: Callable[[WsConnection], None]) -> None:
    """A message over 1 MiB ends its connection, as soon as it can be known, however it is cut."""
    bystander, connection = ws(lab, id_site), ws(lab, id_site)
    fault(connection)
    connection.expect_closed()
    assert connection.close_code in (None, 1009, 1002)
    assert_works(bystander)


def test_empty_message_is_a_heartbeat(id_site: Target, lab: Lab) -> None:
    """An empty binary message is no junk, and has no other answer than its like, if any."""
    connection = ws(lab, id_site)
    for _ in range(3):
        connection.send_payload(b"")
    connection.send("TestNatRequest")
    while (payload := connection.recv_payload()) == b"":
        pass
    assert payload is not None and rdwire.decode(payload).kind == "TestNatResponse"


def test_end_within_a_frame(id_site: Target, lab: Lab) -> None:
    """A connection that ends anywhere leaves nothing behind."""
    whole = rdws.frame(rdws.BINARY, NAT_TEST)
    for cut in range(len(whole)):
        connection = ws(lab, id_site)
        connection.send_raw(whole[:cut])
        connection.end_sending()
        connection.expect_closed()
    assert_works(ws(lab, id_site))


# --- everything of N and N-1 ----------------------------------------------------------------------------------------


def test_many_exchanges(id_site: Target, lab: Lab) -> None:
    """Not one exchange per connection, as on N-1."""
    connection = ws(lab, id_site)
    for _ in range(20):
        assert_works(connection)


def test_online_request_of_a_thousand(lab: Lab) -> None:
    """OnlineRequest with 1,000 ids on N+2, bit by bit, as on N-1."""
    target = lab.server("id", log_level="info").target()
    registered = [f"{i:09}" for i in range(1, 101)]
    lab.peers(target, registered)
    asked = registered + [f"unknown-{i}" for i in range(900)]
    random.shuffle(asked)
    connection = ws(lab, target)
    connection.send("OnlineRequest", id="123456789", peers=asked)
    states = connection.expect("OnlineResponse")["states"]
    assert states == state_bits(i in set(registered) for i in asked) == online_states(target, asked)


def test_online_request_of_almost_1_mib(id_site: Target, lab: Lab) -> None:
    """One of 60,000 ids is under 1 MiB, and answered."""
    b = lab.registered(id_site)
    asked = [f"{i:010}" for i in range(60_000)] + [b.id]
    connection = ws(lab, id_site)
    connection.send("OnlineRequest", id="123456789", peers=asked)
    assert connection.expect("OnlineResponse")["states"] == state_bits(i == b.id for i in asked)


@pytest.mark.parametrize("same_ip", [False, True])
@pytest.mark.parametrize("kind", [UdpPeer, TcpPeer, SecurePeer, WsPeer])
def test_punch_goes_to_the_relay(id_site: Target, lab: Lab, kind: Any, same_ip: bool) -> None:
    """A on WebSocket: B gets PunchHole, SYMMETRIC and force_relay, never FetchLocalAddr; its answer reaches A."""
    b = lab.keep(kind(id_site)).register()
    a = lab.keep(WsController(id_site, b.source if same_ip else fresh_source()))
    a.punch(b.id, nat_type=NatType.ASYMMETRIC, socket_addr_v6=V6_OF_A)
    hole = b.expect_hole("PunchHole", a)
    assert (hole["nat_type"], hole["force_relay"]) == (NatType.SYMMETRIC, True)
    uuid = fresh_uuid()
    connection = lab.keep(b.answer("RelayResponse", **b.relay_response(hole["socket_addr"], uuid)))
    answer = a.expect("RelayResponse")
    assert (answer["uuid"], answer["relay_server"]) == (uuid, id_site.relay_name)
    assert a.verified(answer) == (b.id, b.pk)
    connection.expect_closed()
    assert a.pending() == []


def test_lan_mask_and_websocket(lab: Lab) -> None:
    """Both in the LAN, but A on WebSocket: no FetchLocalAddr."""
    target = lab.server("id", "--mask", "127.3.7.0/24").target()
    b = lab.registered(target, source=fresh_source("127.3.7."))
    a = lab.keep(WsController(target, fresh_source("127.3.7.")))
    a.punch(b.id)
    assert b.expect_hole("PunchHole", a)["force_relay"] is True


def test_request_relay(id_site: Target, lab: Lab) -> None:
    """RequestRelay from A on WebSocket to B on WebSocket; B's RelayResponse by WebSocket."""
    b, a, uuid = lab.joined(WsPeer, id_site), lab.keep(WsController(id_site, fresh_source())), fresh_uuid()
    a.request_relay(b.id, uuid, relay_server="relay.example")
    request = b.expect("RequestRelay")
    assert (request["uuid"], request["relay_server"]) == (uuid, "relay.example")
    assert decode_addr(request["socket_addr"]) == a.local
    connection = lab.keep(b.answer("RelayResponse", socket_addr=request["socket_addr"], version=VERSION))
    assert isinstance(connection, WsConnection)
    assert a.expect("RelayResponse")["refuse_reason"] == ""
    connection.expect_closed()


def test_punch_hole_sent_by_websocket(id_site: Target, lab: Lab) -> None:
    """PunchHoleSent by WebSocket, sent and closed at once, reaches A on TCP, 50 times."""
    b = lab.joined(WsPeer, id_site)
    for number in range(50):
        a = lab.controller(id_site)
        a.punch(b.id)
        hole = b.expect_hole("PunchHole", a)
        b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"], upnp_port=number + 1))
        answer = a.expect("PunchHoleResponse")
        assert answer["upnp_port"] == number + 1 and a.verified(answer) == (b.id, b.pk)


def test_refusals(id_site: Target, lab: Lab) -> None:
    """A on WebSocket is refused in the same words."""
    a = lab.keep(WsController(id_site, fresh_source()))
    a.punch("999999999", licence_key="wrong")
    assert a.expect("PunchHoleResponse").fields == {"failure": Failure.LICENSE_MISMATCH}
    a.punch("999999999")
    assert a.expect("PunchHoleResponse").fields == {}
    a.request_relay("999999999", fresh_uuid())
    assert a.expect("RelayResponse")["refuse_reason"]


def test_nothing_but_the_answer_while_a_waits(id_site: Target, lab: Lab) -> None:
    """While A waits it hears nothing, and then its one answer."""
    b, a = lab.registered(id_site), lab.keep(WsController(id_site, fresh_source()))
    for _ in range(3):
        a.punch(b.id)
        hole = b.expect_hole("PunchHole", a)
    b.answer_and_close("PunchHoleSent", **b.hole_sent(hole["socket_addr"]))
    a.expect("PunchHoleResponse")
    assert a.pending() == [] and a.pings == []


# --- another implementation -----------------------------------------------------------------------------------------


def other(target: Target, source: str) -> Any:
    """A connection of Python's websockets, which offers compression and checks every frame."""
    return websockets.connect("ws://%s:%d/ws/id" % target.websocket_port, local_addr=(source, 0), open_timeout=10)


async def receive(connection: Any, kind: str) -> rdwire.Message:
    payload = await asyncio.wait_for(connection.recv(), 10)
    assert isinstance(payload, bytes)
    message = rdwire.decode(payload)
    assert message.kind == kind, message
    return message


async def other_session(target: Target, b: Device, a_source: str) -> None:
    """B registers, A asks, B answers, A verifies: all by the other implementation."""
    async with other(target, b.source) as registered, other(target, a_source) as a:
        await registered.send(rdwire.encode("RegisterPk", id=b.id, **b.identity))
        assert (await receive(registered, "RegisterPkResponse"))["result"] == Result.OK
        request = rdwire.encode("PunchHoleRequest", id=b.id, licence_key=target.key, version=VERSION)
        await a.send([request[:1], request[1:20], request[20:]])
        hole = await receive(registered, "PunchHole")
        assert decode_addr(hole["socket_addr"]) == a.local_address[:2]
        async with other(target, b.source) as answering:
            answer = b.relay_response(hole["socket_addr"], fresh_uuid())
            await answering.send(rdwire.encode("RelayResponse", **answer))
            signed = (await receive(a, "RelayResponse"))["pk"]
            await asyncio.wait_for(answering.wait_closed(), 10)
        assert rdwire.open_id_pk(signed, target.key) == (b.id, b.pk)


def test_session_of_another_implementation(id_site: Target) -> None:
    """A whole punch, with fragments, between clients of another WebSocket implementation."""
    asyncio.run(other_session(id_site, Device(id_site), fresh_source()))


async def other_manners(target: Target, source: str) -> None:
    async with other(target, source) as connection:
        assert connection.extensions == []
        await asyncio.wait_for(await connection.ping(b"are you there"), 10)
        for _ in range(3):
            await connection.send(NAT_TEST)
            assert (await receive(connection, "TestNatResponse"))["port"] == connection.local_address[1]
        await connection.close(1001, "going away")
    assert connection.close_code == 1001


def test_manners_of_another_implementation(id_site: Target) -> None:
    """Ping, messages and the close handshake, as another implementation checks them."""
    asyncio.run(other_manners(id_site, fresh_source()))


async def other_giant(target: Target, source: str) -> None:
    async with other(target, source) as connection:
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            await connection.send(bytes(2 * MIB))
            await asyncio.wait_for(connection.recv(), 10)


def test_giant_of_another_implementation(id_site: Target, lab: Lab) -> None:
    """A message of 2 MiB ends the connection."""
    asyncio.run(other_giant(id_site, fresh_source()))
    assert_works(ws(lab, id_site))
